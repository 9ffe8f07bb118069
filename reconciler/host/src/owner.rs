//! Owner of a repository: the user whose folder it is owns every file in it, whichever of Berth's processes wrote it.
//!
//! The reconciler and commands on the machine run as root, and a file that root leaves behind would be closed to the user
//! that the door and git run as. So whoever writes as root writes as the owner, for as long as that takes. It also means
//! that no link in somebody else's folder leads root anywhere.

use std::ffi::CStr;
use std::fs;
use std::io;
use std::marker::PhantomData;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt as _, lchown};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, chownat, fchown, fstat, openat, statat};
use rustix::process::{Gid, Uid, getegid, geteuid};
use rustix::thread::{CapabilitySet, capabilities, set_capabilities, set_thread_res_gid, set_thread_res_uid};

/// User and group that own a repository, a folder or a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl From<&fs::Metadata> for Owner {
    fn from(found: &fs::Metadata) -> Self {
        Self { uid: found.uid(), gid: found.gid() }
    }
}

/// Time in which this thread acts as an owner. It ends on drop.
#[derive(Debug)]
#[must_use = "the thread acts as the owner only until this is dropped"]
pub struct Acting {
    /// Group to go back to; `None` if nothing had to change.
    root: Option<Gid>,
    /// Only this thread changed, so only this thread may change back.
    _thread: PhantomData<*const ()>,
}

/// Flags with which a folder is opened: only if it is one itself.
const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

impl Owner {
    /// Returns the owner of a folder or a file.
    pub fn of(path: &Path) -> io::Result<Self> {
        fs::metadata(path).map(|found| Self::from(&found))
    }

    /// Returns whether this thread is root and the owner isn't.
    pub fn is_another(self) -> bool {
        geteuid().is_root() && self.uid != 0
    }

    /// Lets this thread act as the owner. Does nothing unless it is root: another user can't become anybody.
    pub fn act(self) -> io::Result<Acting> {
        let nothing = Acting { root: None, _thread: PhantomData };
        if !self.is_another() {
            return Ok(nothing);
        }
        let before = getegid();
        // The group first and back last: only root may change it. The saved ids stay root's, which is the way back.
        set_thread_res_gid(None, Gid::from_raw(self.gid), None)?;
        let acting = Acting { root: Some(before), ..nothing };
        set_thread_res_uid(None, Uid::from_raw(self.uid), None)?;
        // Libraries look into root's home, which they may still do.
        let mut capabilities = capabilities(None)?;
        capabilities.effective = capabilities.permitted & CapabilitySet::DAC_READ_SEARCH;
        set_capabilities(None, capabilities)?;
        Ok(acting)
    }

    /// Lets a command run as the owner, if this thread is root.
    pub fn run(self, command: &mut Command) -> &mut Command {
        match self.is_another() {
            true => command.uid(self.uid).gid(self.gid),
            false => command,
        }
    }

    /// Gives one file or folder to the owner, if this thread is root.
    pub fn give(self, path: &Path) -> io::Result<()> {
        match self.is_another() {
            true => lchown(path, Some(self.uid), Some(self.gid)),
            false => Ok(()),
        }
    }

    /// Gives the owner everything in a folder that git or somebody's hand left as root's. Follows no link, and leaves a file
    /// that has another name elsewhere: it may be somebody else's.
    pub fn mend(self, folder: &Path) -> io::Result<()> {
        if !self.is_another() {
            return Ok(());
        }
        let opened = rustix::fs::open(folder, FOLDER, Mode::empty())?;
        self.mend_opened(&opened)
    }

    /// Works by the open folder and names in it, so that nobody can put a link in the place of a folder meanwhile.
    fn mend_opened(self, folder: &OwnedFd) -> io::Result<()> {
        if fstat(folder)?.st_uid == 0 {
            fchown(folder, Some(Uid::from_raw(self.uid)), Some(Gid::from_raw(self.gid)))?;
        }
        for entry in Dir::read_from(folder)? {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            gone_is_fine(self.mend_entry(folder, name))?;
        }
        Ok(())
    }

    fn mend_entry(self, folder: &OwnedFd, name: &CStr) -> io::Result<()> {
        let found = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let kind = FileType::from_raw_mode(found.st_mode);
        if kind.is_dir() {
            return self.mend_opened(&openat(folder, name, FOLDER, Mode::empty())?);
        }
        if found.st_uid != 0 || found.st_nlink > 1 {
            return Ok(());
        }
        let (uid, gid) = (Uid::from_raw(self.uid), Gid::from_raw(self.gid));
        Ok(chownat(folder, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// Returns the group, by which a folder may be opened to the owner.
    pub fn group(self) -> u32 {
        self.gid
    }
}

/// Git renames and removes files at any time.
fn gone_is_fine(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

impl Drop for Acting {
    fn drop(&mut self) {
        let Some(group) = self.root else { return };
        let back =
            set_thread_res_uid(None, Uid::ROOT, None).and_then(|()| set_thread_res_gid(None, group, None));
        if back.is_err() {
            // The saved ids are root's, so this can't happen; a thread that is two users at once must not go on.
            std::process::abort();
        }
    }
}
