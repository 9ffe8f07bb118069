//! The folder of the sockets that the panel connects to, and the sockets in it: for the panel's group, where the host has
//! it, and otherwise for their maker alone.

use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _, chown, fchown};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::process::geteuid;

use crate::StagedSocket;

/// Group whose members are the panel's processes.
pub const PANEL_GROUP: &str = "berth-web";
/// Group of the process that answers scrapers.
pub const METRICS_GROUP: &str = "berth-metrics";
/// Folder of the panel's folders of all platforms on this machine.
pub const PANELS: &str = "/run/berth/panel";
/// Name of the reconciler's socket in such a folder.
pub const PANEL_SOCKET: &str = "panel.sock";
/// The groups of this host.
const GROUPS: &str = "/etc/group";

/// The folder, which is there and is its maker's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PanelFolder {
    path: PathBuf,
    /// The panel's group, by number; `None` where the sockets are their maker's alone.
    group: Option<u32>,
}

impl PanelFolder {
    /// Makes the folder at `path` if it isn't there, and opens it to the panel's group. One that belongs to another user is
    /// refused, and so is a link in its place.
    pub fn make(path: &Path) -> io::Result<Self> {
        Self::make_for(path, panel_group()?)
    }

    /// Makes such a folder for another group, by its name. Where the host has none, it is its maker's alone.
    pub fn make_for_group(path: &Path, name: &str) -> io::Result<Self> {
        Self::make_for(path, group_called(name)?)
    }

    fn make_for(path: &Path, group: Option<u32>) -> io::Result<Self> {
        if let Some(parent) = path.parent() {
            make_passage(parent)?;
        }
        match DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => made?,
        }
        let found = fs::symlink_metadata(path)?;
        if !found.is_dir() {
            return Err(io::Error::new(io::ErrorKind::NotADirectory, "it is not a folder"));
        }
        if found.uid() != geteuid().as_raw() {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                "the folder belongs to another user",
            ));
        }
        if group.is_some() {
            chown(path, None, group)?;
        }
        fs::set_permissions(path, Permissions::from_mode(if group.is_some() { 0o750 } else { 0o700 }))?;
        Ok(Self { path: path.to_owned(), group })
    }

    /// Path of the socket `name` in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Makes the socket `name`, in place of what is there, and returns its listener, which doesn't block.
    pub fn listen(&self, name: &str) -> io::Result<UnixListener> {
        let staged = StagedSocket::make(&self.path)?;
        if self.group.is_some() {
            chown(staged.path(), None, self.group)?;
            fs::set_permissions(staged.path(), Permissions::from_mode(0o660))?;
        }
        staged.put(&self.path(name))
    }
}

/// Keeps a file in the panel's folder with this content, which the panel's group may read, or keeps it away. A folder that isn't there
/// yet gets none.
pub fn give_to_panel(path: &Path, content: Option<&[u8]>) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    if !folder.is_dir() {
        return Ok(());
    }
    let Some(content) = content else {
        return match fs::remove_file(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        };
    };
    if fs::read(path).is_ok_and(|there| there == content) {
        return Ok(());
    }
    let mut file = tempfile::Builder::new().prefix(".next-").tempfile_in(folder)?;
    file.write_all(content)?;
    let group = panel_group()?;
    if group.is_some() {
        fchown(file.as_file(), None, group)?;
    }
    file.as_file().set_permissions(Permissions::from_mode(if group.is_some() { 0o640 } else { 0o600 }))?;
    file.persist(path)?;
    Ok(())
}

/// Number of the panel's group; `None` where the host has none, and for whoever may not give files to it.
pub fn panel_group() -> io::Result<Option<u32>> {
    group_called(PANEL_GROUP)
}

fn group_called(name: &str) -> io::Result<Option<u32>> {
    match geteuid().is_root() {
        true => Ok(group(&fs::read_to_string(GROUPS)?, name)),
        false => Ok(None),
    }
}

/// Makes a folder, and those above it, through which everybody may pass, whatever the umask says. One that is there stays as it
/// is.
pub fn make_passage(path: &Path) -> io::Result<()> {
    if path.as_os_str().is_empty() || path.exists() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        make_passage(parent)?;
    }
    match DirBuilder::new().mode(0o711).create(path) {
        Ok(()) => fs::set_permissions(path, Permissions::from_mode(0o711)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// Finds a group's number in the text of `/etc/group`. Groups that another service knows have to be written there too.
fn group(groups: &str, name: &str) -> Option<u32> {
    let mut groups = groups.lines().map(|line| line.split(':'));
    let mut fields = groups.find_map(|mut fields| (fields.next() == Some(name)).then_some(fields))?;
    fields.nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixStream;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn without_a_group_all_is_its_maker_s_alone() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("run/panel/demo");
        let folder = PanelFolder::make_for(&path, None).unwrap();
        // Not what a umask leaves, of whichever kind.
        assert_eq!(["run", "run/panel"].map(|name| mode(&home.path().join(name))), [0o711, 0o711]);
        let _listener = folder.listen("panel.sock").unwrap();
        assert_eq!((mode(&path), mode(&folder.path("panel.sock"))), (0o700, 0o600));
        UnixStream::connect(folder.path("panel.sock")).unwrap();
        assert_eq!(fs::read_dir(&path).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn with_a_group_its_members_may_connect() {
        let home = tempfile::tempdir().unwrap();
        // A group that whoever runs the test may give files to.
        let own = fs::metadata(home.path()).unwrap().gid();
        let path = home.path().join("demo");
        PanelFolder::make_for(&path, None).unwrap();
        let folder = PanelFolder::make_for(&path, Some(own)).unwrap();
        for name in ["panel.sock", "panel.sock", "web.sock"] {
            drop(folder.listen(name).unwrap());
            assert_eq!(mode(&folder.path(name)), 0o660);
        }
        assert_eq!(mode(&path), 0o750);
        // The group may have gone since.
        PanelFolder::make_for(&path, None).unwrap();
        assert_eq!(mode(&path), 0o700);
    }

    #[test]
    fn a_link_in_the_folder_s_place_leads_nowhere() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("demo");
        symlink(home.path(), &path).unwrap();
        assert_eq!(PanelFolder::make_for(&path, None).unwrap_err().kind(), io::ErrorKind::NotADirectory);
    }

    #[test]
    fn a_group_is_found_by_its_whole_name() {
        let groups = "root:x:0:\nberth-web-2:x:7:\nberth-web:x:991:ann,bob\nbroken\n";
        assert_eq!(group(groups, "berth-web"), Some(991));
        assert_eq!(group(groups, "berth"), None);
        assert_eq!(group(groups, "broken"), None);
    }
}
