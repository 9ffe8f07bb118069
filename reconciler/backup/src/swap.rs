//! Restored data and a server's own change places, at once and without following what the server's members have put there.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, RenameFlags, ResolveFlags, open, openat2, renameat_with};
use rustix::io::Errno;

use crate::error::BackupError;

/// Restored data that takes the place of a volume's own, or of a part of it.
#[derive(Debug, Clone)]
pub(crate) struct Swap {
    /// The volume's folder.
    volume: PathBuf,
    /// The folder that stands for it in what was fetched.
    fetched: PathBuf,
    /// The part of it; empty for all.
    below: String,
}

/// Not all of them have changed places.
#[derive(Debug)]
pub(crate) struct NotSwapped {
    pub(crate) error: BackupError,
    /// Set if none has. Otherwise data of the server's own lies in what was fetched.
    pub(crate) is_undone: bool,
}

impl Swap {
    pub(crate) fn new(volume: &Path, fetched: &Path, below: &str) -> Self {
        Self { volume: volume.to_owned(), fetched: fetched.to_owned(), below: below.to_owned() }
    }

    /// The data that was the volume's own, once they have changed places.
    pub(crate) fn replaced(&self) -> &Path {
        &self.fetched
    }

    /// The folder in which that is.
    pub(crate) fn stage(&self) -> &Path {
        self.fetched.parent().unwrap_or(&self.fetched)
    }

    /// Has all of them change places, or none.
    pub(crate) fn all(swaps: &[Self]) -> Result<(), NotSwapped> {
        for (at, swap) in swaps.iter().enumerate() {
            let Err(source) = swap.exchange() else { continue };
            let mut is_undone = true;
            for done in swaps.iter().take(at) {
                if let Err(error) = done.exchange() {
                    is_undone = false;
                    tracing::error!(%error, volume = %done.volume.display(), "cannot put it back; both are still there");
                }
            }
            let error = BackupError::Place { path: swap.volume.join(&swap.below), source };
            return Err(NotSwapped { error, is_undone });
        }
        Ok(())
    }

    fn exchange(&self) -> io::Result<()> {
        if self.below.is_empty() {
            return Ok(renameat_with(CWD, &self.fetched, CWD, &self.volume, RenameFlags::EXCHANGE)?);
        }
        let below = Path::new(&self.below);
        let name = below.file_name().unwrap_or_default();
        let folder = below.parent().unwrap_or(Path::new(""));
        let (from, to) = (beneath(&self.fetched, folder)?, beneath(&self.volume, folder)?);
        match renameat_with(&from, name, &to, name, RenameFlags::EXCHANGE) {
            // It is gone from the server.
            Err(Errno::NOENT) => Ok(renameat_with(&from, name, &to, name, RenameFlags::NOREPLACE)?),
            done => Ok(done?),
        }
    }
}

/// Opens a folder below another, through no link.
fn beneath(root: &Path, folder: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = open(root, flags, Mode::empty())?;
    if folder.as_os_str().is_empty() {
        return Ok(root);
    }
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    Ok(openat2(&root, folder, flags, Mode::empty(), resolve)?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn write(path: PathBuf, words: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, words).unwrap();
    }

    #[test]
    fn all_change_places_or_none_and_no_link_is_followed() {
        let home = tempfile::tempdir().unwrap();
        let at = |path: &str| home.path().join(path);
        let read = |path: &str| fs::read_to_string(at(path)).unwrap();
        write(at("apps/_data/shop/a"), "now");
        write(at("apps/stage/apps/shop/a"), "then");
        write(at("host/shop/a"), "the host's");
        write(at("home/stage/home/ann/shop/a"), "then");
        fs::create_dir(at("home/_data")).unwrap();
        symlink(at("host"), at("home/_data/ann")).unwrap();
        let apps = Swap::new(&at("apps/_data"), &at("apps/stage/apps"), "");
        let linked = Swap::new(&at("home/_data"), &at("home/stage/home"), "ann/shop");
        Swap::all(&[apps.clone(), linked]).unwrap_err();
        assert_eq!(
            (read("apps/_data/shop/a"), read("host/shop/a")),
            ("now".to_owned(), "the host's".to_owned())
        );
        Swap::all(std::slice::from_ref(&apps)).unwrap();
        assert_eq!(read("apps/_data/shop/a"), "then");
        assert_eq!(fs::read_to_string(apps.replaced().join("shop/a")).unwrap(), "now");
    }

    #[test]
    fn a_part_that_is_gone_comes_back() {
        let home = tempfile::tempdir().unwrap();
        let at = |path: &str| home.path().join(path);
        fs::create_dir_all(at("_data/ann")).unwrap();
        write(at("stage/home/ann/file"), "then");
        Swap::all(&[Swap::new(&at("_data"), &at("stage/home"), "ann/file")]).unwrap();
        assert_eq!(fs::read_to_string(at("_data/ann/file")).unwrap(), "then");
    }
}
