//! Way through Berth's own folder for the owner of the state repo: to the door's socket and the members' views, and to
//! nothing else in it.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _, chown};
use std::path::Path;

use crate::Owner;

/// Mode of Berth's own folder with such a way: its group may pass, and see nothing.
const PASSAGE: u32 = 0o710;
/// Mode of a folder for its owner alone.
const CLOSED: u32 = 0o700;

/// Opens `data` to the owner of the state repo, if that is another user. The views become theirs.
pub fn admit(owner: Owner, data: &Path, views: &Path) -> io::Result<()> {
    if !owner.is_another() {
        return Ok(());
    }
    for entry in fs::read_dir(data)? {
        let entry = entry?;
        let path = entry.path();
        let kind = entry.file_type()?;
        if path == views || !(kind.is_dir() || kind.is_file()) {
            continue;
        }
        // Berth makes nothing here for others; an older version or somebody's hand may have.
        let mode = entry.metadata()?.permissions().mode();
        if mode & 0o077 != 0 {
            fs::set_permissions(&path, Permissions::from_mode(mode & 0o7700))?;
        }
    }
    match DirBuilder::new().mode(CLOSED).create(views) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        made => made?,
    }
    owner.mend(views)?;
    chown(data, None, Some(owner.group()))?;
    fs::set_permissions(data, Permissions::from_mode(PASSAGE))
}
