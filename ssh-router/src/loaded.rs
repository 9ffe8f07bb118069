//! File that tells others which routes are in use: it holds the digest of the routes file that was loaded last.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use berth_host::file;
use blake3::Hash;

/// Writer of that file, if the operator wants one.
#[derive(Debug)]
pub(crate) struct Loaded {
    path: Option<PathBuf>,
    retired: AtomicBool,
}

impl Loaded {
    pub(crate) fn new(path: Option<PathBuf>) -> Self {
        Self { path, retired: AtomicBool::new(false) }
    }

    /// Writes that the routes of this digest are in use.
    pub(crate) fn tell(&self, digest: Hash) {
        let Some(path) = &self.path else { return };
        if self.retired.load(Ordering::Relaxed) {
            return;
        }
        if let Err(error) = file::replace(path, format!("{digest}\n").as_bytes(), 0o600) {
            tracing::error!(path = %path.display(), %error, "cannot write which routes are in use");
        }
    }

    /// Writes nothing from now on: the file belongs to the router that took over.
    pub(crate) fn retire(&self) {
        self.retired.store(true, Ordering::Relaxed);
    }
}
