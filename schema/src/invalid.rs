//! Refusals: what is wrong with a value, before its place in a file makes a finding of it.

/// The refusal of a value: a sentence that names it, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Invalid {
    /// Sentence that names the value and tells what is wrong with it.
    pub message: String,
    /// Way to mend it.
    pub hint: String,
}

impl Invalid {
    /// A refusal with its hint.
    pub fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: hint.into() }
    }
}
