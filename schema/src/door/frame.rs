//! The frames in which both sides of the git door speak: a kind, a length, and as many bytes.

/// Kind of a frame with bytes for the command's standard input.
pub const INPUT: u8 = 0;
/// Kind of a frame that ends the command's standard input. It has no bytes.
pub const INPUT_END: u8 = 1;
/// Kind of a frame with bytes of the command's standard output.
pub const OUTPUT: u8 = 2;
/// Kind of a frame with bytes of the command's standard error.
pub const ERROR: u8 = 3;
/// Kind of a frame that ends the connection with the command's exit code: four bytes, big-endian.
pub const EXIT: u8 = 4;
/// Kind of a frame with the size of a terminal ([`crate::ticket::Size`]). It comes after a ticket alone.
pub const RESIZE: u8 = 5;
/// Kind of a frame that ends the connection with a sentence for the person. It comes after a ticket alone.
pub const WORDS: u8 = 6;

/// Longest frame, in bytes without its head.
pub const FRAME_MAX: usize = 64 << 10;

/// Beginning of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// One of the kinds, if the other side speaks as this one does.
    pub kind: u8,
    /// Number of bytes that follow, [`FRAME_MAX`] at most.
    pub length: usize,
}

/// Content of a door's frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// Bytes of standard output, this many.
    Output(usize),
    /// Bytes of standard error, this many.
    Error(usize),
    /// Exit code, four bytes.
    Exit,
}

/// Reasons why a frame cannot be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The other side sends no frames of this kind.
    #[error("cannot understand a frame of kind {0}")]
    Kind(u8),
    /// No frame of its kind has this many bytes.
    #[error("cannot take a frame of {0} bytes")]
    Length(u32),
}

impl Head {
    /// Length of a head: the kind, then the length in four bytes, big-endian.
    pub const BYTES: usize = 5;

    /// Reads a head.
    pub fn read([kind, a, b, c, d]: [u8; Self::BYTES]) -> Result<Self, FrameError> {
        let length = u32::from_be_bytes([a, b, c, d]);
        match usize::try_from(length) {
            Ok(bytes) if bytes <= FRAME_MAX => Ok(Self { kind, length: bytes }),
            _ => Err(FrameError::Length(length)),
        }
    }

    /// Returns the head as it is sent.
    pub fn bytes(self) -> [u8; Self::BYTES] {
        // The reader refuses a length that doesn't fit.
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
