//! A walk through the files of a server, in slices. Its root may change them meanwhile, and may have built them to be a trap.
//!
//! No symbolic link is followed, nothing is opened but folders, and each folder is opened within the one that it was found in: so a
//! walk never leaves where it began, whatever is moved, replaced or removed below it. The depth bounds the open files, and the number
//! of entries bounds the time. Memory doesn't grow with either: a file with several names is counted by a share at each of them.

use std::ffi::CString;
use std::io;
use std::path::PathBuf;
use std::time::Instant;

use berth_engine::Places;
use berth_wire::figures::Extent;
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, openat, statat};
use rustix::io::Errno;

/// Folders that are open at once, and so the depth of the deepest that is looked into.
const DEEPEST: usize = 200;
/// Most entries of one walk.
const MOST: u64 = 50_000_000;
/// Entries between two looks at the clock.
const STEPS: u32 = 64;
/// Bytes that the kernel counts blocks in.
const BLOCK: u64 = 512;
/// Binary digits behind the point of a sum of shares.
const FRACTION: u32 = 16;

/// Result of a walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Measured {
    /// Bytes on disks.
    pub(super) bytes: u64,
    /// Extent of what was counted.
    pub(super) extent: Extent,
    /// Files and folders. A file with several names counts at each.
    pub(super) inodes: u64,
}

/// A walk.
#[derive(Debug)]
pub(super) struct Walk {
    waiting: Vec<PathBuf>,
    /// Open folders, each within the one before.
    open: Vec<Dir>,
    /// Bytes, with some digits behind the point.
    sum: u128,
    entries: u64,
    extent: Extent,
    deepest: usize,
    most: u64,
}

impl Walk {
    /// A walk through these folders.
    pub(super) fn through(Places { folders, has_layer }: Places) -> Self {
        Self {
            waiting: folders,
            open: Vec::new(),
            sum: 0,
            entries: 0,
            extent: if has_layer { Extent::Whole } else { Extent::Part },
            deepest: DEEPEST,
            most: MOST,
        }
    }

    /// Goes on until this moment; `None` where there is more to do then. An error where one of the folders can't be looked into.
    pub(super) fn work(&mut self, until: Instant) -> Option<io::Result<Measured>> {
        loop {
            for _ in 0..STEPS {
                match self.step() {
                    Ok(true) => {}
                    Ok(false) => return Some(Ok(self.measured())),
                    Err(error) => return Some(Err(error)),
                }
            }
            if Instant::now() >= until {
                return None;
            }
        }
    }

    fn measured(&self) -> Measured {
        let bytes = u64::try_from(self.sum >> FRACTION).unwrap_or(u64::MAX);
        Measured { bytes, extent: self.extent, inodes: self.entries }
    }

    /// Counts one entry; `false` at the end.
    fn step(&mut self) -> io::Result<bool> {
        let Some(folder) = self.open.last_mut() else { return self.begin_next() };
        if self.entries >= self.most {
            self.extent = Extent::Part;
            return Ok(false);
        }
        let entry = match folder.read() {
            Some(Ok(entry)) => entry,
            Some(Err(_)) => {
                self.extent = Extent::Part;
                self.open.pop();
                return Ok(true);
            }
            None => {
                self.open.pop();
                return Ok(true);
            }
        };
        if entry.file_name() != c"." && entry.file_name() != c".." {
            let name = entry.file_name().to_owned();
            self.entries += 1;
            self.count(&name);
        }
        Ok(true)
    }

    /// Opens the next of the folders to walk through.
    fn begin_next(&mut self) -> io::Result<bool> {
        let Some(place) = self.waiting.pop() else { return Ok(false) };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = openat(CWD, &place, flags, Mode::empty()).and_then(|folder| {
            let blocks = rustix::fs::fstat(&folder)?.st_blocks;
            Ok((Dir::new(folder)?, blocks))
        });
        match opened {
            Ok((folder, blocks)) => {
                self.add(blocks, 1_u32);
                self.open.push(folder);
            }
            // The server is being removed.
            Err(Errno::NOENT) => self.extent = Extent::Part,
            Err(error) => {
                return Err(io::Error::new(
                    io::Error::from(error).kind(),
                    format!("{}: {error}", place.display()),
                ));
            }
        }
        Ok(true)
    }

    /// Counts an entry of the innermost folder, and looks into it if it is a folder.
    fn count(&mut self, name: &CString) {
        let Some(folder) = self.open.last() else { return };
        let Ok(within) = folder.fd() else { return };
        let found = match statat(within, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(found) => found,
            // It has gone meanwhile.
            Err(Errno::NOENT) => return,
            Err(_) => {
                self.extent = Extent::Part;
                return;
            }
        };
        let is_folder = FileType::from_raw_mode(found.st_mode) == FileType::Directory;
        if !is_folder {
            self.add(found.st_blocks, found.st_nlink);
            return;
        }
        if self.open.len() >= self.deepest {
            self.extent = Extent::Part;
            self.add(found.st_blocks, 1_u32);
            return;
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = openat(within, name, flags, Mode::empty()).and_then(Dir::new);
        self.add(found.st_blocks, 1_u32);
        match opened {
            Ok(inner) => self.open.push(inner),
            // It has gone, or is a folder no longer.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
            Err(_) => self.extent = Extent::Part,
        }
    }

    /// Adds a share of a file's blocks: all of its names together add all of them.
    fn add(&mut self, blocks: i64, names: impl Into<u128>) {
        let bytes = u128::from(u64::try_from(blocks).unwrap_or_default()) * u128::from(BLOCK);
        self.sum = self.sum.saturating_add((bytes << FRACTION) / names.into().max(1));
    }
}

#[cfg(test)]
#[path = "walk_tests.rs"]
mod tests;
