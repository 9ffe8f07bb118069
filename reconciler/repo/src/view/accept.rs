//! A push into a view, accepted: its commits go into the state repo, and the branches there move.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use berth_host::{Waits, critical};
use berth_schema::Finding;
use git2::{ErrorCode, Signature};

use super::error::{ViewError, file, git};
use super::pending::Pending;
use super::trouble::moved_meanwhile;
use super::{Move, Received};
use crate::cas::PATIENCE;
use crate::oid::oid;
use crate::{OPENED, PROPOSALS, beside, durable};

/// Outcome of an accepted push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accepted {
    /// The state repo's branches are moved.
    Moved,
    /// Somebody else moved one of them first, and nothing was moved.
    Late(Vec<Finding>),
}

impl Received {
    /// Puts the commits into the state repo and moves its branches, all of them or none, unless one has moved since
    /// the push saw it. `process` is the git that moves the view's branches afterwards.
    pub fn accept(mut self, process: u32) -> Result<Accepted, ViewError> {
        // First, so that nobody gets round it by leaving in the middle.
        self.pushed.count().map_err(file("count what was pushed by", self.view.repository.path()))?;
        for (real, view) in &self.commits {
            if self.view.pairs.view_of(oid(real)) != Some(oid(view)) {
                self.view.pairs.insert(oid(real), oid(view));
            }
        }
        // Before the branches move: a commit that main has keeps the name under which its author knows it.
        self.view.pairs.save_for_good()?;
        self.show_as_pushed().map_err(git("set the view's branches"))?;
        let pending = self.view.repository.path().join(Pending::FILE);
        let moves = self.shown.iter().map(|moved| (moved.reference.clone(), moved.new.map(oid)));
        Pending { process, moves: moves.collect() }.save(&pending)?;
        let mut late = self.late().map_err(git("read the state repo's branches"))?;
        if late.is_empty() {
            // Not under git's locks of the branches: that takes a while, and whoever is killed in it would leave the locks behind. The
            // turn keeps `main` where it is meanwhile.
            self.keep_objects()?;
            late = self.move_branches()?;
        }
        if late.is_empty() {
            for moved in &self.moves {
                durable::reference(self.view.real.commondir(), &moved.reference)?;
            }
            tracing::info!(user = %self.view.user, "a push into a view is accepted");
            return Ok(Accepted::Moved);
        }
        fs::remove_file(&pending).map_err(file("remove", &pending))?;
        Ok(Accepted::Late(late))
    }

    /// Sets the view's branches to where whoever pushes saw them: git moves them from there, and somebody may have fetched newer ones
    /// since.
    fn show_as_pushed(&self) -> Result<(), git2::Error> {
        let view = &self.view.repository;
        for Move { reference, old, .. } in &self.shown {
            let Some(old) = old.map(oid) else { continue };
            if view.refname_to_id(reference).ok() != Some(old) {
                view.reference(reference, old, true, "berth: view")?;
            }
        }
        Ok(())
    }

    /// Moves the objects of the commits made again to the state repo's. Only once nothing seems to be in the way: those of a push that is
    /// late go with it.
    fn keep_objects(&self) -> Result<(), ViewError> {
        let git_dir = self.view.real.commondir();
        let to = git_dir.join("objects");
        let kept = beside::move_objects(&self.objects(), &to).map_err(file("move objects to", &to))?;
        durable::objects(git_dir, &kept)?;
        Ok(())
    }

    /// Returns a finding for each branch that isn't where the push saw it.
    fn late(&self) -> Result<Vec<Finding>, git2::Error> {
        let mut late = Vec::new();
        for moved in &self.moves {
            let is = match self.view.real.refname_to_id(&moved.reference) {
                Ok(is) => Some(is),
                Err(error) if error.code() == ErrorCode::NotFound => None,
                Err(error) => return Err(error),
            };
            if is != moved.old.map(oid) {
                late.push(moved_meanwhile(&moved.reference));
            }
        }
        Ok(late)
    }

    /// Moves all branches or none, and returns a finding for each that somebody else moved first.
    fn move_branches(&self) -> Result<Vec<Finding>, ViewError> {
        let start = Instant::now();
        let mut pauses = Waits::new(Duration::from_millis(1), Duration::from_millis(50));
        loop {
            match self.try_to_move() {
                Err(error) if error.code() == ErrorCode::Locked && start.elapsed() < PATIENCE => {
                    thread::sleep(pauses.next_wait());
                }
                Err(error) => return Err(git("move the state repo's branches")(error)),
                Ok(late) => return Ok(late),
            }
        }
    }

    fn try_to_move(&self) -> Result<Vec<Finding>, git2::Error> {
        let real = &self.view.real;
        let _section = critical::enter();
        let mut transaction = real.transaction()?;
        for moved in &self.moves {
            transaction.lock_ref(&moved.reference)?;
            if let Some(mark) = opened(moved) {
                transaction.lock_ref(&mark)?;
            }
        }
        let late = self.late()?;
        if !late.is_empty() {
            return Ok(late);
        }
        let user = self.view.user.as_str();
        let signature = Signature::now(user, &format!("{user}@berth.invalid"))?;
        for moved in &self.moves {
            // With the branch, and not after it: whoever leaves in between would have made a proposal that is nobody's.
            if let (Some(mark), Some(new)) = (opened(moved), moved.new) {
                let commit = real.find_object(oid(new), None)?;
                let tag = real.tag_annotation_create(short(&mark), &commit, &signature, "was opened\n")?;
                transaction.set_target(&mark, tag, Some(&signature), "push")?;
            }
            match moved.new {
                Some(new) => transaction.set_target(&moved.reference, oid(new), Some(&signature), "push")?,
                None => transaction.remove(&moved.reference)?,
            }
        }
        transaction.commit()?;
        Ok(Vec::new())
    }
}

/// Name of the mark that says who opened a proposal, where a branch is a new one.
fn opened(moved: &Move) -> Option<String> {
    let topic = moved.reference.strip_prefix(PROPOSALS)?;
    (moved.old.is_none() && moved.new.is_some()).then(|| format!("{OPENED}{topic}"))
}

fn short(reference: &str) -> &str {
    reference.rsplit('/').next().unwrap_or(reference)
}
