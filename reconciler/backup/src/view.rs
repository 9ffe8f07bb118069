//! A view of folders, in which no symbolic link leads anywhere.
//!
//! restic reads as root what members write, by path. A member who swaps a folder for a link at the right moment would have it copy a file
//! of the host, and could then restore it. So restic sees the folders in mounts of its own that follow no link and can't be written.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;

use nix::sched::{CloneFlags, unshare};
use rustix::mount::{MountFlags, MountPropagationFlags, mount_bind, mount_change, mount_remount};

/// A folder, and the name that it has in the view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shown {
    /// The name, without a slash.
    pub(crate) name: String,
    /// The folder of the host.
    pub(crate) folder: PathBuf,
}

/// Runs `work` where `root` shows these folders. Programs that it starts see them; nobody else on the host does.
pub(crate) fn within<T: Send>(
    root: &Path,
    shown: &[Shown],
    work: impl FnOnce() -> T + Send,
) -> io::Result<T> {
    for Shown { name, .. } in shown {
        fs::create_dir_all(root.join(name))?;
    }
    thread::scope(|scope| {
        let working = scope.spawn(|| {
            // The mounts are this thread's, and end with the last process that it starts.
            unshare(CloneFlags::CLONE_FS | CloneFlags::CLONE_NEWNS)?;
            mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
            let flags = MountFlags::BIND
                | MountFlags::RDONLY
                | MountFlags::NOSYMFOLLOW
                | MountFlags::NOSUID
                | MountFlags::NODEV
                | MountFlags::NOEXEC;
            for Shown { name, folder } in shown {
                let at = root.join(name);
                mount_bind(folder, &at)?;
                mount_remount(&at, flags, c"")?;
            }
            Ok(work())
        });
        working.join().unwrap_or_else(|_| Err(io::Error::other("a thread broke off")))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

    use std::os::unix::fs::symlink;
    use std::process::Command;

    use super::*;

    #[test]
    fn a_view_shows_folders_follows_no_link_and_is_gone_afterwards() {
        let home = tempfile::tempdir().unwrap();
        let (data, root) = (home.path().join("data"), home.path().join("view"));
        fs::create_dir(&data).unwrap();
        fs::write(data.join("file"), "words").unwrap();
        fs::write(home.path().join("secret"), "the host's").unwrap();
        symlink(home.path(), data.join("link")).unwrap();
        assert_eq!(fs::read_to_string(data.join("link/secret")).unwrap(), "the host's");
        let shown = [Shown { name: "apps".to_owned(), folder: data }];
        let seen = within(&root, &shown, || {
            let at = root.join("apps");
            let read = |path: &str| Command::new("cat").arg(at.join(path)).output().unwrap();
            let link = fs::read_link(at.join("link")).unwrap();
            (read("file"), read("link/secret"), link, fs::write(at.join("new"), "").is_err())
        })
        .unwrap();
        assert_eq!(seen.0.stdout, b"words");
        assert!(!seen.1.status.success() && seen.1.stdout.is_empty(), "{:?}", seen.1);
        assert_eq!((seen.2.as_path(), seen.3), (home.path(), true));
        assert_eq!(fs::read_dir(root.join("apps")).unwrap().count(), 0);
    }
}
