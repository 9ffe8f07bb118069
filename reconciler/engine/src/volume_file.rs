//! A file in a volume of the platform's own, reached on the host where the engine keeps the volume.
//!
//! The container that has the volume may write in it too, and may be in a stranger's hands: so no symbolic link is
//! followed, nothing that is there is written into, and no more is read than a configuration can be long.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use berth_host::file;
use rustix::fs::OFlags;

/// Greatest length of a configuration: ten thousand domains need a tenth of it.
const LENGTH_MAX: u64 = 64 << 20;

/// End of the name of a new version until it is confirmed.
pub(crate) const NEXT: &str = ".next";
/// End of the name of the confirmed version while a new one is tried in its place.
const LAST: &str = ".last";

/// The owner of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    /// Ours: the container may read it, and so may everybody.
    Host,
    /// Ours: everybody may read and run it.
    Program,
    /// The container's root: everybody may read it.
    Container,
    /// The container's root, and nobody else may read it.
    ContainerAlone,
}

/// A file in a volume.
#[derive(Debug, Clone)]
pub(crate) struct VolumeFile {
    path: PathBuf,
}

impl VolumeFile {
    /// The file called `name` in the volume that the engine keeps at `volume`.
    pub(crate) fn new(volume: &Path, name: &str) -> Self {
        Self { path: volume.join(name) }
    }

    /// Returns its path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads its content; `None` when there is none, or none that a configuration could be.
    pub(crate) fn read(&self) -> io::Result<Option<Vec<u8>>> {
        self.read_at_most(LENGTH_MAX)
    }

    /// Reads its content; `None` when there is none, or one of more than `max` bytes.
    pub(crate) fn read_at_most(&self, max: u64) -> io::Result<Option<Vec<u8>>> {
        let no_follow = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let opened = File::options().read(true).custom_flags(no_follow.bits().cast_signed()).open(&self.path);
        let file = match opened {
            Ok(file) => file,
            // A symbolic link is none of our files.
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
                return Ok(None);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let meta = file.metadata()?;
        if !meta.is_file() || meta.len() > max {
            return Ok(None);
        }
        let mut content = Vec::new();
        file.take(max).read_to_end(&mut content)?;
        Ok(Some(content))
    }

    /// Writes a new version beside it.
    pub(crate) fn write_next(&self, content: &[u8], owner: Owner) -> io::Result<()> {
        let mode = match owner {
            Owner::ContainerAlone => 0o600,
            Owner::Program => 0o755,
            Owner::Host | Owner::Container => 0o644,
        };
        if matches!(owner, Owner::Host | Owner::Program) {
            return file::replace(&self.next(), content, mode);
        }
        // The engine gave the volume's folder to the container's root.
        let folder = fs::symlink_metadata(self.path.parent().unwrap_or(&self.path))?;
        let root = berth_host::Owner::from(&folder);
        file::replace_for(&self.next(), content, mode, root)
    }

    /// Makes the new version the file.
    pub(crate) fn keep_next(&self) -> io::Result<()> {
        file::rename(&self.next(), &self.path)
    }

    /// Removes the new version.
    pub(crate) fn drop_next(&self) -> io::Result<()> {
        remove(&self.next())
    }

    /// Keeps the file under another name, too, unless one is kept there already: that one was confirmed, and this one may not
    /// have been.
    pub(crate) fn keep_last(&self) -> io::Result<()> {
        match fs::hard_link(&self.path, self.beside(LAST)) {
            Err(error) if matches!(error.kind(), io::ErrorKind::AlreadyExists | io::ErrorKind::NotFound) => {
                Ok(())
            }
            linked => linked,
        }
    }

    /// Makes the kept version the file again. Returns whether there was one.
    pub(crate) fn restore_last(&self) -> io::Result<bool> {
        match file::rename(&self.beside(LAST), &self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            renamed => renamed.map(|()| true),
        }
    }

    /// Removes the kept version.
    pub(crate) fn drop_last(&self) -> io::Result<()> {
        remove(&self.beside(LAST))
    }

    fn next(&self) -> PathBuf {
        self.beside(NEXT)
    }

    fn beside(&self, end: &str) -> PathBuf {
        let mut path = self.path.clone().into_os_string();
        path.push(end);
        path.into()
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn a_new_version_is_kept_or_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let file = VolumeFile::new(folder.path(), "rules.v4");
        assert_eq!(file.read().unwrap(), None);
        file.write_next(b"one", Owner::Host).unwrap();
        assert_eq!(file.read().unwrap(), None);
        file.keep_next().unwrap();
        file.write_next(b"two", Owner::Host).unwrap();
        file.drop_next().unwrap();
        file.drop_next().unwrap();
        assert_eq!(file.read().unwrap().as_deref(), Some(b"one".as_slice()));
    }

    #[test]
    fn the_confirmed_version_comes_back_whatever_was_tried_since() {
        let folder = tempfile::tempdir().unwrap();
        let file = VolumeFile::new(folder.path(), "program");
        assert!(!file.restore_last().unwrap());
        file.keep_last().unwrap();
        let put = |content: &[u8]| {
            file.write_next(content, Owner::Program).unwrap();
            file.keep_next().unwrap();
        };
        put(b"confirmed");
        for tried in [b"one", b"two"] {
            // Cut off after the first.
            file.keep_last().unwrap();
            put(tried);
        }
        assert!(file.restore_last().unwrap());
        assert_eq!(file.read().unwrap().as_deref(), Some(b"confirmed".as_slice()));
        assert_eq!(fs::metadata(file.path()).unwrap().mode() & 0o7777, 0o755);
        file.keep_last().unwrap();
        file.drop_last().unwrap();
        assert!(!file.restore_last().unwrap());
    }

    #[test]
    fn no_link_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        let victim = folder.path().join("victim");
        fs::write(&victim, "precious").unwrap();
        let volume = folder.path().join("volume");
        fs::create_dir(&volume).unwrap();
        for name in ["rules.v4", "rules.v4.next"] {
            std::os::unix::fs::symlink(&victim, volume.join(name)).unwrap();
        }
        let file = VolumeFile::new(&volume, "rules.v4");
        assert_eq!(file.read().unwrap(), None);
        file.write_next(b"mine", Owner::Host).unwrap();
        file.keep_next().unwrap();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
        assert_eq!(file.read().unwrap().as_deref(), Some(b"mine".as_slice()));
    }

    #[test]
    fn a_secret_is_its_owners_alone_and_all_else_is_for_everybody() {
        // As in the reconciler, whose own files are nobody else's.
        rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
        let folder = tempfile::tempdir().unwrap();
        let file = VolumeFile::new(folder.path(), "host_key");
        for (owner, mode) in [(Owner::Host, 0o644), (Owner::Container, 0o644), (Owner::ContainerAlone, 0o600)]
        {
            file.write_next(b"secret", owner).unwrap();
            file.keep_next().unwrap();
            let meta = fs::metadata(file.path()).unwrap();
            assert_eq!(
                (meta.mode() & 0o7777, meta.uid()),
                (mode, fs::metadata(folder.path()).unwrap().uid())
            );
        }
        assert_eq!(file.read_at_most(6).unwrap().as_deref(), Some(b"secret".as_slice()));
        assert_eq!(file.read_at_most(5).unwrap(), None);
    }
}
