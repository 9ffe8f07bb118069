//! A folder that a state begins with: its files, and the state that they are.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use berth_repo::{Source, load_directory};
use berth_schema::State;
use berth_schema::beginning::Contents;

use super::show_findings;

/// A good state in a folder.
pub(super) struct Folder {
    pub(super) state: Arc<State>,
    pub(super) files: Contents,
}

/// Reads a folder; `None` after its mistakes were told.
pub(super) fn read(root: &Path) -> anyhow::Result<Option<Folder>> {
    if Source::of(root)? == Source::Bare {
        bail!("{} is a bare repository; clone it and name the clone", root.display());
    }
    let loaded = load_directory(root)?;
    match loaded.state {
        Ok(state) => Ok(Some(Folder { state, files: files(root)? })),
        Err(_) => {
            show_findings(&loaded);
            Ok(None)
        }
    }
}

/// Collects every plain file below the folder, but nothing of git's own.
fn files(root: &Path) -> anyhow::Result<Contents> {
    let mut files = Contents::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        let list = fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
        for entry in list {
            let entry = entry?;
            let path = entry.path();
            let kind = entry.file_type()?;
            if kind.is_dir() && entry.file_name() != ".git" {
                folders.push(path);
            } else if kind.is_file() {
                let content = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
                files.insert(path.strip_prefix(root)?.to_string_lossy().into_owned(), content);
            }
        }
    }
    Ok(files)
}
