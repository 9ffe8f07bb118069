//! The platform's own part of a copy.

use std::path::{Path, PathBuf};

use crate::view::Shown;

/// Folders of the platform's own, outside of volumes.
#[derive(Debug, Clone)]
pub struct Sources {
    /// Berth's data on this host.
    pub data: PathBuf,
    /// The panel's.
    pub panel: PathBuf,
}

/// Names in Berth's data that can be made again, or that are of this moment alone. Everything else is copied, so that what is new isn't
/// forgotten.
const MADE_AGAIN: [&str; 7] =
    ["journal", "views", "backup/cache", "backup/view", "backup/lock", "*.sock", "berth.log"];

/// End of the name of the volume of images that can be fetched again.
const CACHE: &str = "-dockerhub-cache";

impl Sources {
    /// The folders that are there.
    pub(crate) fn shown(&self) -> Vec<Shown> {
        let named = [("data", &self.data), ("panel", &self.panel)];
        let there = named.into_iter().filter(|(_, folder)| folder.is_dir());
        there.map(|(name, folder)| Shown { name: name.to_owned(), folder: folder.clone() }).collect()
    }

    /// Patterns of what is left out, where the view is at `root`.
    pub(crate) fn without(root: &Path) -> Vec<String> {
        let data = root.join("data");
        MADE_AGAIN.iter().map(|name| data.join(name).display().to_string()).collect()
    }
}

/// Returns whether a volume of the platform's own holds nothing that couldn't be fetched again.
pub(crate) fn is_cache(volume: &str) -> bool {
    volume.ends_with(CACHE)
}
