//! Forcing a commit to disk.
//!
//! libgit2 leaves new objects to the page cache unless a setting asks otherwise that current git warns about on every
//! command. After a power cut, `main` could then name a commit whose objects are empty files, and the whole repository
//! would be unreadable. So the objects are forced down before `main` moves, and `main` before the writer is told.

use std::fs::File;
use std::io;
use std::path::Path;

use git2::Oid;

use crate::Error;

/// Forces the loose objects `ids` down. Those that already lie in a pack have no file here and need nothing.
pub(crate) fn objects(git_dir: &Path, ids: &[Oid]) -> Result<(), Error> {
    let objects = git_dir.join("objects");
    for id in ids {
        let hex = id.to_string();
        let (folder, name) = hex.split_at(2);
        let folder = objects.join(folder);
        if force(&folder.join(name))? {
            force(&folder)?;
        }
    }
    Ok(())
}

/// Forces the files of a pack down.
pub(crate) fn pack(git_dir: &Path, name: &str) -> Result<(), Error> {
    let folder = git_dir.join("objects/pack");
    for ending in ["pack", "idx"] {
        force(&folder.join(format!("{name}.{ending}")))?;
    }
    force(&folder).map(drop)
}

/// Forces the file of a ref down; it has none when it was packed in the meantime, which git forces down itself.
pub(crate) fn reference(git_dir: &Path, name: &str) -> Result<(), Error> {
    let path = git_dir.join(name);
    if force(&path)?
        && let Some(folder) = path.parent()
    {
        force(folder)?;
    }
    Ok(())
}

fn force(path: &Path) -> Result<bool, Error> {
    match File::open(path).and_then(|file| file.sync_all()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(Error::Sync { path: path.to_owned(), source }),
    }
}
