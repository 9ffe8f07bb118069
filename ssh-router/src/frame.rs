//! The frames of the git door: how a piece is written, and what a door may say.

use berth_schema::door::{ERROR, EXIT, FRAME_MAX, OUTPUT};

/// Kind and length.
pub(crate) const HEAD: usize = 5;

/// What a door says next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Said {
    /// So many bytes of standard output.
    Output(usize),
    /// So many bytes of standard error.
    Error(usize),
    /// Four bytes: the exit code.
    Exit,
}

/// Why what a door says can't be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("a frame of the unknown kind {0}")]
    Kind(u8),
    #[error("a frame of {0} bytes")]
    Length(u32),
}

/// The head of a frame; `length` is at most [`FRAME_MAX`].
pub(crate) fn head(kind: u8, length: usize) -> [u8; HEAD] {
    let [a, b, c, d] = u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
    [kind, a, b, c, d]
}

/// Reads the head of a frame that a door sent.
pub(crate) fn read_head([kind, a, b, c, d]: [u8; HEAD]) -> Result<Said, FrameError> {
    let length = u32::from_be_bytes([a, b, c, d]);
    let bytes = usize::try_from(length).ok().filter(|bytes| *bytes <= FRAME_MAX);
    let bytes = bytes.ok_or(FrameError::Length(length))?;
    match kind {
        OUTPUT => Ok(Said::Output(bytes)),
        ERROR => Ok(Said::Error(bytes)),
        EXIT if bytes == 4 => Ok(Said::Exit),
        EXIT => Err(FrameError::Length(length)),
        other => Err(FrameError::Kind(other)),
    }
}
