//! A configuration that can't be rendered.

/// A configuration can't be rendered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum RenderError {
    /// The template that replaces the built-in one has an error.
    #[error("cannot use the template `{template}`{}: {reason}", line.map(|line| format!(", line {line}")).unwrap_or_default())]
    Template {
        /// Its path below `templates/`.
        template: &'static str,
        /// The line in it, from 1 on.
        line: Option<usize>,
        reason: String,
    },
    /// The routes contradict themselves.
    #[error("cannot write the SSH router's routes: {reason}")]
    Routes { reason: String },
}
