//! Tells others which routes are in use: a file that holds the digest of the last routes file that was taken.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use blake3::Hash;

/// Where it is told, if anywhere.
#[derive(Debug)]
pub(crate) struct Loaded {
    path: Option<PathBuf>,
    retired: AtomicBool,
}

impl Loaded {
    pub(crate) fn new(path: Option<PathBuf>) -> Self {
        Self { path, retired: AtomicBool::new(false) }
    }

    /// Says that the routes of this digest are in use.
    pub(crate) fn tell(&self, digest: Hash) {
        let Some(path) = &self.path else { return };
        if self.retired.load(Ordering::Relaxed) {
            return;
        }
        if let Err(error) = replace(path, &format!("{digest}\n")) {
            tracing::error!(path = %path.display(), %error, "which routes are in use can't be told");
        }
    }

    /// Says nothing more: from now on it is said by the router that took over.
    pub(crate) fn retire(&self) {
        self.retired.store(true, Ordering::Relaxed);
    }
}

/// A reader sees the old text or the new one, and nothing between.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut file = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))?;
    file.write_all(text.as_bytes())?;
    file.persist(path)?;
    Ok(())
}
