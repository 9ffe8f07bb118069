//! Content of one file of a state, and the choice of the files that are read at all.

use std::sync::Arc;

use berth_schema::finding::About;
use berth_schema::{Finding, Parsed, Severity};

use crate::LARGEST_FILE;

/// A file that was read, or the reason why it was not.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    Parsed(Arc<Parsed>),
    Refused(Arc<Finding>),
}

/// Reason for which a file is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    Link,
    Submodule,
    Special,
    TooLarge(u64),
    NotText,
    NameNotText,
    TooDeep,
}

/// Folders inside folders below this are refused; the state itself needs two.
pub(crate) const DEEPEST: usize = 16;

/// Returns whether a path belongs to the state. Pages and the hidden files of tools don't: nothing is read there, so
/// nothing can be wrong there.
pub(crate) fn is_state(path: &str) -> bool {
    let first = path.split('/').next().unwrap_or_default();
    first != "docs" && !path.split('/').any(|part| part.starts_with('.'))
}

impl Content {
    pub(crate) fn parse(path: &str, bytes: &[u8]) -> Self {
        if bytes.len() > LARGEST_FILE {
            return Self::refuse(path, Refusal::TooLarge(bytes.len() as u64));
        }
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::Parsed(Arc::new(Parsed::parse(path, text))),
            Err(_) => Self::refuse(path, Refusal::NotText),
        }
    }

    pub(crate) fn refuse(path: &str, refusal: Refusal) -> Self {
        let (message, hint) = refusal.in_words();
        Self::Refused(Arc::new(Finding {
            severity: severity(path),
            path: Arc::from(path),
            position: None,
            message,
            hint: Some(hint.to_owned()),
            about: About::Whole,
            is_strict: false,
        }))
    }
}

impl Refusal {
    fn in_words(self) -> (String, &'static str) {
        match self {
            Self::Link => (
                "a symbolic link, which Berth does not follow".to_owned(),
                "put the file itself here: a state repo holds plain files only",
            ),
            Self::Submodule => (
                "a submodule, which Berth does not follow".to_owned(),
                "put the files themselves here: a state repo holds plain files only",
            ),
            Self::Special => {
                ("neither a file nor a folder".to_owned(), "a state repo holds plain files only")
            }
            Self::TooLarge(bytes) => (
                format!("{bytes} bytes, more than the {LARGEST_FILE} that a file may have"),
                "keep large files out of the state repo",
            ),
            Self::NotText => ("not text in UTF-8".to_owned(), "save the file as UTF-8"),
            Self::NameNotText => {
                ("the name is not text in UTF-8".to_owned(), "use only a-z, 0-9 and - in names")
            }
            Self::TooDeep => (
                format!("more than {DEEPEST} folders deep"),
                "state lies in users/, servers/ and domains/, directly",
            ),
        }
    }
}

/// Severity of a refusal. A file where state is expected refuses the revision; a picture beside it only deserves a look.
fn severity(path: &str) -> Severity {
    let folder = path.split('/').next().unwrap_or_default();
    match path.ends_with(".toml") || matches!(folder, "users" | "servers" | "domains") {
        true => Severity::Error,
        false => Severity::Warning,
    }
}
