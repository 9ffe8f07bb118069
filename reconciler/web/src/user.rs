//! The user that serves the panel, where root starts it.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use rustix::process::geteuid;

/// Users of this host.
const PASSWD: &str = "/etc/passwd";

/// A user and the group that goes with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct User {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// The user can't serve the panel.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub enum UserError {
    /// The host's users.
    #[error("cannot read {PASSWD}")]
    Read(#[source] io::Error),
    /// There is none of that name.
    #[error(
        "cannot find the user {name} in {PASSWD}: `useradd --system --user-group --no-create-home --shell /usr/sbin/nologin {name}` makes it"
    )]
    Unknown { name: String },
    /// It is root, who has nothing to do with the network.
    #[error("cannot serve the panel as {name}, who is root")]
    Root { name: String },
    /// Its folder.
    #[error("cannot make the panel's folder {path}")]
    Folder {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

impl User {
    /// Finds whom root lets serve the panel. `None` where this process isn't root: then it serves itself.
    pub fn find(name: &str) -> Result<Option<Self>, UserError> {
        if !geteuid().is_root() {
            return Ok(None);
        }
        let users = fs::read_to_string(PASSWD).map_err(UserError::Read)?;
        let user = find(&users, name).ok_or_else(|| UserError::Unknown { name: name.to_owned() })?;
        match user.uid == 0 || user.gid == 0 {
            true => Err(UserError::Root { name: name.to_owned() }),
            false => Ok(Some(user)),
        }
    }
}

fn find(users: &str, name: &str) -> Option<User> {
    let mut users = users.lines().map(|line| line.split(':'));
    let mut fields = users.find_map(|mut fields| (fields.next() == Some(name)).then_some(fields))?;
    Some(User { uid: fields.nth(1)?.parse().ok()?, gid: fields.next()?.parse().ok()? })
}

/// Makes the panel's folder, which only its user may enter. What lies in it is the user's own, so root does nothing in there.
pub(crate) fn make_folder(path: &Path, user: Option<User>) -> Result<(), UserError> {
    let made = || -> io::Result<()> {
        if let Some(parent) = path.parent() {
            // Others have to get through to it.
            fs::DirBuilder::new().recursive(true).mode(0o755).create(parent)?;
        }
        match fs::DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => made?,
        }
        if !fs::symlink_metadata(path)?.is_dir() {
            return Err(io::Error::new(io::ErrorKind::NotADirectory, "it is not a folder"));
        }
        if let Some(User { uid, gid }) = user {
            chown(path, Some(uid), Some(gid))?;
        }
        fs::set_permissions(path, fs::Permissions::from_mode(0o700))
    };
    made().map_err(|source| UserError::Folder { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_the_whole_name() {
        let users = "root:x:0:0:root:/root:/bin/sh\nberth-web-2:x:7:7::/:\nberth-web:x:991:992::/:/usr/sbin/nologin\nodd\n";
        assert_eq!(find(users, "berth-web"), Some(User { uid: 991, gid: 992 }));
        assert_eq!((find(users, "berth"), find(users, "odd")), (None, None));
    }
}
