//! A push that the state repo has, and whose branches git has yet to move in the view: the file that tells of it.

use std::fs;
use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use berth_host::file::replace_for_now;
use berth_host::process::is_running;
use git2::{Oid, Repository};

use super::error::{ViewError, file};

/// Time that an accepted push may take to move its branch, which is all that git has left to do.
const PATIENCE: Duration = Duration::from_secs(60);

/// A push that the state repo has, and whose branches git has yet to move in the view.
pub(super) struct Pending {
    /// Process id of the git that moves them.
    pub(super) process: u32,
    /// The branches, each with the commit it moves to; `None` removes one.
    pub(super) moves: Vec<(String, Option<Oid>)>,
}

impl Pending {
    /// The file's name in the view's folder.
    pub(super) const FILE: &'static str = "berth-pending";

    fn load(path: &Path) -> Result<Option<Self>, ViewError> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(file("read", path)(source)),
        };
        let mut lines = text.lines();
        let process = lines.next().and_then(|line| line.parse().ok()).unwrap_or_default();
        let moves = lines.filter_map(|line| {
            let (id, reference) = line.split_once(' ')?;
            let id = Oid::from_str(id).ok()?;
            Some((reference.to_owned(), (!id.is_zero()).then_some(id)))
        });
        Ok(Some(Self { process, moves: moves.collect() }))
    }

    pub(super) fn save(&self, path: &Path) -> Result<(), ViewError> {
        let mut text = format!("{}\n", self.process);
        for (reference, target) in &self.moves {
            text.push_str(&format!("{} {reference}\n", target.unwrap_or(Oid::ZERO_SHA1)));
        }
        // After a loss of power the process that it names is gone too.
        replace_for_now(path, text.as_bytes(), 0o600).map_err(file("write", path))
    }

    /// Waits until git has moved the branches of a push into the view at `path` that was accepted a moment ago. If that git ends first
    /// or takes too long, the branches are set like any other.
    pub(super) fn settle(path: &Path) -> Result<(), ViewError> {
        let left = path.join(Self::FILE);
        let Some(pending) = Self::load(&left)? else { return Ok(()) };
        // One that can't be opened is made anew.
        let Ok(view) = Repository::open_bare(path) else { return Ok(()) };
        let start = Instant::now();
        let moved =
            |(reference, target): &(String, Option<Oid>)| view.refname_to_id(reference).ok() == *target;
        while !pending.moves.iter().all(moved) && pending.is_at_work() && start.elapsed() < PATIENCE {
            thread::sleep(Duration::from_millis(10));
        }
        match fs::remove_file(&left) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(file("remove", left)(error)),
            _ => Ok(()),
        }
    }

    /// Returns whether the git that has to move the branches still runs.
    fn is_at_work(&self) -> bool {
        is_running(self.process)
    }
}
