//! Edits: the changes of a commit, file by file.

/// One file of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// Path from the root of the repo, with `/`.
    pub path: String,
    /// The whole new content; `None` removes the file.
    pub content: Option<Vec<u8>>,
}

impl Edit {
    /// Puts a file in place, new or changed.
    pub fn write(path: impl Into<String>, content: impl Into<Vec<u8>>) -> Self {
        Self { path: path.into(), content: Some(content.into()) }
    }

    /// Takes a file away.
    pub fn remove(path: impl Into<String>) -> Self {
        Self { path: path.into(), content: None }
    }
}
