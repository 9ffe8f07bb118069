//! Scratch folders: each command has one for its temporary files, which goes when the command has ended, however it did.
//!
//! It also carries what a command has to tell the door: the command runs as the owner of the state repo, who can't write where
//! the door keeps its own records.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use berth_host::Owner;
use berth_schema::name::ServerId;
use tempfile::TempDir;

/// Folder of all of them, beside the members' views. No member has such a name.
const FOLDER: &str = ".scratch";
/// Note of an order: the id of the server that is restarted.
const RESTARTS: &str = "restarts";
/// Log of a command that has no other place for one.
const LOG: &str = "log";
/// Longest part of it that is read, in bytes.
const LONGEST_LOG: u64 = 16 << 10;
/// Longest note, in bytes.
const LONGEST: u64 = 32;

/// A command's scratch folder, which its owner alone may enter.
pub(crate) struct Scratch {
    folder: TempDir,
    owner: Owner,
}

impl Scratch {
    /// Makes one for a command that runs as `owner`.
    pub(crate) fn make(views: &Path, owner: Owner) -> io::Result<Self> {
        let _acting = owner.act()?;
        let all = views.join(FOLDER);
        DirBuilder::new().recursive(true).mode(0o700).create(&all)?;
        Ok(Self { folder: TempDir::with_prefix_in("command-", all)?, owner })
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Path at which a command notes what it does.
    pub(crate) fn note(&self) -> PathBuf {
        self.path().join(RESTARTS)
    }

    /// Path of the command's log.
    pub(crate) fn log(&self) -> PathBuf {
        self.path().join(LOG)
    }

    /// Text of that log; empty where there is none.
    pub(crate) fn logged(&self) -> String {
        let Ok(_acting) = self.owner.act() else { return String::new() };
        let mut text = Vec::new();
        let read = File::open(self.log()).and_then(|log| log.take(LONGEST_LOG).read_to_end(&mut text));
        match read {
            Ok(_) => String::from_utf8_lossy(&text).into_owned(),
            Err(_) => String::new(),
        }
    }

    /// Server whose restart the command noted, and when.
    pub(crate) fn noted(&self) -> io::Result<Option<(ServerId, SystemTime)>> {
        let _acting = self.owner.act()?;
        Ok(read(&self.note()))
    }

    /// Takes the folder away.
    pub(crate) fn end(self) -> io::Result<()> {
        let _acting = self.owner.act()?;
        self.folder.close()
    }
}

/// Notes that a server is restarted, for the door to read.
pub(crate) fn tell(note: &Path, server: ServerId) -> io::Result<()> {
    fs::write(note, server.to_string())
}

fn read(note: &Path) -> Option<(ServerId, SystemTime)> {
    let found = fs::symlink_metadata(note).ok().filter(|found| found.is_file() && found.len() <= LONGEST)?;
    let server = fs::read_to_string(note).ok()?.parse().ok()?;
    Some((ServerId(server), found.modified().ok()?))
}

/// Takes away what an earlier door left behind: folders older than any command can be.
pub(crate) fn sweep(views: &Path, owner: Owner, longest: Duration) -> io::Result<()> {
    let _acting = owner.act()?;
    let entries = match fs::read_dir(views.join(FOLDER)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let age = entry.metadata()?.modified()?.elapsed().unwrap_or_default();
        if age > longest.saturating_mul(2) {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_goes_with_its_command_and_leaves_what_was_noted() {
        let views = tempfile::tempdir().unwrap();
        let owner = Owner::of(views.path()).unwrap();
        let scratch = Scratch::make(views.path(), owner).unwrap();
        fs::create_dir(scratch.path().join("berth-x")).unwrap();
        let server = ServerId(7_u32.try_into().unwrap());
        tell(&scratch.note(), server).unwrap();
        assert_eq!(scratch.logged(), "");
        fs::write(scratch.log(), "a line\n").unwrap();
        assert_eq!(scratch.logged(), "a line\n");
        sweep(views.path(), owner, Duration::from_secs(60)).unwrap();
        assert_eq!(scratch.noted().unwrap().map(|(server, _)| server), Some(server));
        scratch.end().unwrap();
        assert_eq!(fs::read_dir(views.path().join(FOLDER)).unwrap().count(), 0);
        let scratch = Scratch::make(views.path(), owner).unwrap();
        fs::write(scratch.note(), "no number").unwrap();
        assert!(scratch.noted().unwrap().is_none());
        // One that nobody ended goes, too, once nobody can work in it.
        std::mem::forget(scratch);
        sweep(views.path(), owner, Duration::ZERO).unwrap();
        assert_eq!(fs::read_dir(views.path().join(FOLDER)).unwrap().count(), 0);
    }
}
