//! The frames in which both sides of the git door speak: a kind, a length, and as many bytes.

/// Kind of a frame: bytes for the command's standard input.
pub const INPUT: u8 = 0;
/// Kind of a frame: the command's standard input ends. Without bytes.
pub const INPUT_END: u8 = 1;
/// Kind of a frame: bytes of the command's standard output.
pub const OUTPUT: u8 = 2;
/// Kind of a frame: bytes of the command's standard error.
pub const ERROR: u8 = 3;
/// Kind of a frame: the command has ended. Its exit code, four bytes, big-endian.
pub const EXIT: u8 = 4;

/// The longest frame, in bytes without its head.
pub const FRAME_MAX: usize = 64 << 10;

/// What a frame begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// One of the kinds, if the other side speaks as this one does.
    pub kind: u8,
    /// How many bytes follow; [`FRAME_MAX`] at most.
    pub length: usize,
}

/// What a door says in a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// So many bytes of standard output.
    Output(usize),
    /// So many bytes of standard error.
    Error(usize),
    /// Four bytes: the exit code.
    Exit,
}

/// Why a frame can't be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// No such kind comes from that side.
    #[error("a frame of the unknown kind {0}")]
    Kind(u8),
    /// No frame of its kind has so many bytes.
    #[error("a frame of {0} bytes")]
    Length(u32),
}

impl Head {
    /// The bytes of a head: the kind, then the length, big-endian.
    pub const BYTES: usize = 5;

    /// Reads a head.
    pub fn read([kind, a, b, c, d]: [u8; Self::BYTES]) -> Result<Self, FrameError> {
        let length = u32::from_be_bytes([a, b, c, d]);
        match usize::try_from(length) {
            Ok(bytes) if bytes <= FRAME_MAX => Ok(Self { kind, length: bytes }),
            _ => Err(FrameError::Length(length)),
        }
    }

    /// The head as it is sent.
    pub fn bytes(self) -> [u8; Self::BYTES] {
        // A length that doesn't fit is refused by whoever reads it.
        let [a, b, c, d] = u32::try_from(self.length).unwrap_or(u32::MAX).to_be_bytes();
        [self.kind, a, b, c, d]
    }
}

impl TryFrom<Head> for Said {
    type Error = FrameError;
    fn try_from(head: Head) -> Result<Self, FrameError> {
        match head.kind {
            OUTPUT => Ok(Self::Output(head.length)),
            ERROR => Ok(Self::Error(head.length)),
            EXIT if head.length == 4 => Ok(Self::Exit),
            EXIT => Err(FrameError::Length(u32::try_from(head.length).unwrap_or(u32::MAX))),
            other => Err(FrameError::Kind(other)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_as_it_was_written_and_a_longer_one_is_refused() {
        for (kind, length) in [(INPUT, 0), (OUTPUT, 1), (ERROR, FRAME_MAX), (99, 7)] {
            let head = Head { kind, length };
            assert_eq!(Head::read(head.bytes()), Ok(head));
        }
        let long = u32::try_from(FRAME_MAX).unwrap() + 1;
        let bytes = Head { kind: INPUT, length: FRAME_MAX + 1 }.bytes();
        assert_eq!(Head::read(bytes), Err(FrameError::Length(long)));
    }

    #[test]
    fn a_door_says_output_error_and_an_exit_code_and_nothing_else() {
        let said = |kind, length| Said::try_from(Head { kind, length });
        assert_eq!(said(OUTPUT, 3), Ok(Said::Output(3)));
        assert_eq!(said(ERROR, 0), Ok(Said::Error(0)));
        assert_eq!(said(EXIT, 4), Ok(Said::Exit));
        assert_eq!(said(EXIT, 5), Err(FrameError::Length(5)));
        assert_eq!(said(INPUT, 4), Err(FrameError::Kind(INPUT)));
    }
}
