//! The error of this crate: always the kernel's refusal, with the act that it refused.

use std::fmt;
use std::io;

/// The result of an operation on links.
pub type Result<T> = std::result::Result<T, Error>;

/// `ESRCH`.
const NO_PROCESS: i32 = 3;

/// An act that failed, and the kernel's answer.
#[derive(Debug)]
pub struct Error {
    what: String,
    source: io::Error,
}

impl Error {
    /// An error while doing `what`, such as "make the port s3".
    pub fn new(what: impl Into<String>, source: io::Error) -> Self {
        Self { what: what.into(), source }
    }

    /// Kind of the kernel's answer.
    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }

    /// Returns whether the kernel said that a process is not there. One that has ended but was not waited for yet has no
    /// namespaces left.
    pub(crate) fn says_gone(&self) -> bool {
        self.source.kind() == io::ErrorKind::NotFound || self.source.raw_os_error() == Some(NO_PROCESS)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {}", self.what)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// Names the act that failed.
pub(crate) trait Trying<T> {
    fn trying(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: Into<io::Error>> Trying<T> for std::result::Result<T, E> {
    fn trying(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|source| Error::new(what(), source.into()))
    }
}
