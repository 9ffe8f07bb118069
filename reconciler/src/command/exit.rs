//! Ends of commands.

/// End of a command, other than by an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exit {
    /// All is well; for a plan: nothing to do.
    Ok,
    /// There are mistakes or failures, and they were told.
    Failed,
    /// The plan has changes; for a question whether somebody may do something: if somebody else agrees.
    Changes,
    /// Exit code of a child that did the work, and has said why.
    As(u8),
}
