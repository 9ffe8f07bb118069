//! Changes of many commits, told by one git that compares their trees one after the other.

use std::io::{self, BufRead};
use std::path::Path;
use std::time::Duration;

use git2::{FileMode, Oid};

use super::error::ViewError;
use super::flat;
use crate::git::Git;
use crate::tree::Entry;

/// Time that git may take for all of a long history.
const PATIENCE: Duration = Duration::from_secs(3600);
/// Git's name for a folder without anything in it, which every repository has.
const EMPTY: &str = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";

/// One path in which two trees differ.
#[derive(Debug)]
pub(super) struct Changed {
    pub(super) path: Vec<u8>,
    pub(super) new: New,
}

/// Content of a path afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum New {
    Nothing,
    Folder(Oid),
    File(Entry),
}

/// Compares pairs of trees of the repository `at`; `None` stands for a tree without anything in it. Each difference is told with
/// the pair's number, in order.
pub(super) fn tell(
    at: &Path,
    pairs: &[(Option<Oid>, Oid)],
    mut each: impl FnMut(usize, &[Changed]) -> Result<(), ViewError>,
) -> Result<(), ViewError> {
    let mut input = String::with_capacity(pairs.len() * 82);
    for (before, after) in pairs {
        let before = before.map_or_else(|| EMPTY.to_owned(), |before| before.to_string());
        input.push_str(&format!("{before} {after}\n"));
    }
    let arguments = ["--stdin", "-r", "-t", "-z", "--no-renames"];
    let mut broke = None;
    let told = Git::at(at, PATIENCE).stream("diff-tree", arguments, input.into_bytes(), |output| {
        for number in 0..pairs.len() {
            let changed = read(output)?;
            if let Err(error) = each(number, &changed) {
                broke = Some(error);
                return Err(io::Error::other("its answer is of no use any more"));
            }
        }
        Ok(())
    });
    match (broke, told) {
        (Some(error), _) => Err(error),
        (None, told) => told.map_err(|source| ViewError::Compare { path: at.to_owned(), source }),
    }
}

/// Reads one pair's heading and its differences.
fn read(from: &mut impl BufRead) -> io::Result<Vec<Changed>> {
    let mut line = Vec::new();
    if from.read_until(b'\n', &mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let mut changed = Vec::new();
    while from.fill_buf()?.first() == Some(&b':') {
        let (mut words, mut path) = (Vec::new(), Vec::new());
        from.read_until(0, &mut words)?;
        from.read_until(0, &mut path)?;
        path.pop();
        let new = new(&words).ok_or_else(|| io::Error::other("these are no differences"))?;
        changed.push(Changed { path, new });
    }
    Ok(changed)
}

/// Reads the words before a path: `:<mode> <mode> <id> <id> <letter>`.
fn new(words: &[u8]) -> Option<New> {
    let mut words = std::str::from_utf8(words).ok()?.split(' ');
    let (mode, id) = (words.nth(1)?, words.nth(1)?);
    let id: Oid = id.parse().ok()?;
    Some(match mode {
        "000000" => New::Nothing,
        mode => match flat::of_file(mode.as_bytes()) {
            None => New::Folder(id),
            Some(mode) => New::File(Entry { id, mode }),
        },
    })
}

impl Changed {
    /// Its entry afterwards, unless it is a folder.
    pub(super) fn file(&self) -> Option<Option<Entry>> {
        match self.new {
            New::Nothing => Some(None),
            New::Folder(_) => None,
            New::File(entry) => Some(Some(entry)),
        }
    }

    /// The object that stands there afterwards, if it is this repository's.
    pub(super) fn object(&self) -> Option<Oid> {
        match self.new {
            New::Folder(id) => Some(id),
            New::File(Entry { id, mode }) if mode != FileMode::Commit => Some(id),
            New::File(_) | New::Nothing => None,
        }
    }
}
