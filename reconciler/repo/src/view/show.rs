//! From the state repo to a view: commits made again with what the member may see.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use berth_schema::Kind;
use berth_schema::view::{Shown, is_open, shown};
use git2::{FileMode, ObjectType, Oid, Repository, Tree};

use super::accept::Pending;
use super::error::{ViewError, file, git};
use super::recast::recast;
use super::tree::{self, Entry};
use super::{REVIEW, View};
use crate::{LARGEST_FILE, MAIN};

/// Up to this many commits are written as loose objects; more become packs.
const FEW: usize = 32;
/// As many commits go into one pack: their objects are held in memory until it is written.
const BATCH: usize = 100;
/// How long a push that was accepted may take to move its branch. Git has nothing left to do but that.
const PATIENCE: Duration = Duration::from_secs(60);

impl View {
    /// Waits until git has moved the branches of a push that was accepted a moment ago. If it can't any more, the branches
    /// are set like any other.
    pub(super) fn settle(&self) -> Result<(), ViewError> {
        let path = self.repository.path().join(Pending::FILE);
        let Some(pending) = Pending::load(&path)? else { return Ok(()) };
        let start = Instant::now();
        let moved = |(reference, target): &(String, Option<Oid>)| {
            self.repository.refname_to_id(reference).ok() == *target
        };
        while !pending.moves.iter().all(moved) && pending.is_at_work() && start.elapsed() < PATIENCE {
            thread::sleep(Duration::from_millis(10));
        }
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(file("remove", path)(error)),
            _ => Ok(()),
        }
    }

    /// Brings commits and branches up to the state repo's.
    pub(super) fn refresh(&mut self) -> Result<(), ViewError> {
        let tips = self.tips()?;
        let new = self.unseen(&tips).map_err(git("walk the state repo's history"))?;
        if new.len() <= FEW {
            let path = self.repository.path().to_owned();
            let to = Repository::open_bare(path).map_err(git("open the view"))?;
            for commit in &new {
                self.show(&to, *commit)?;
            }
        } else {
            self.show_many(&new)?;
        }
        self.pairs.save()?;
        self.set_branches(&tips)
    }

    /// Main and the proposals, and where they are in the state repo.
    fn tips(&self) -> Result<HashMap<String, Oid>, ViewError> {
        let read = || {
            let mut tips = HashMap::new();
            for reference in self.real.references()? {
                let reference = reference?;
                let Ok(name) = reference.name() else { continue };
                // A branch that leads to no commit shows nothing.
                if (name == MAIN || name.starts_with(REVIEW))
                    && let Ok(commit) = reference.peel_to_commit()
                {
                    tips.insert(name.to_owned(), commit.id());
                }
            }
            Ok(tips)
        };
        read().map_err(git("read the state repo's branches"))
    }

    /// The commits up to `tips` that the view doesn't have, parents first.
    fn unseen(&self, tips: &HashMap<String, Oid>) -> Result<Vec<Oid>, git2::Error> {
        let objects = self.repository.odb()?;
        let has = |real| self.pairs.view_of(real).is_some_and(|view| objects.exists(view));
        let (mut found, mut seen) = (Vec::new(), HashSet::new());
        let mut stack: Vec<(Oid, bool)> = tips.values().map(|tip| (*tip, false)).collect();
        while let Some((id, parents_are_done)) = stack.pop() {
            if parents_are_done {
                found.push(id);
            } else if seen.insert(id) && !has(id) {
                stack.push((id, true));
                stack.extend(self.real.find_commit(id)?.parent_ids().map(|parent| (parent, false)));
            }
        }
        Ok(found)
    }

    /// Writes many commits: into memory first, and from there into packs.
    fn show_many(&mut self, commits: &[Oid]) -> Result<(), ViewError> {
        let path = self.repository.path().to_owned();
        let memory = Repository::open_bare(&path).map_err(git("open the view"))?;
        let objects = memory.odb().map_err(git("open the view"))?;
        let kept = objects.add_new_mempack_backend(1000).map_err(git("hold objects in memory"))?;
        for batch in commits.chunks(BATCH) {
            for commit in batch {
                self.show(&memory, *commit)?;
            }
            self.pack(&memory, batch).map_err(git("write a pack of the view"))?;
            kept.reset().and_then(|()| objects.refresh()).map_err(git("write a pack of the view"))?;
        }
        Ok(())
    }

    fn pack(&self, memory: &Repository, commits: &[Oid]) -> Result<(), git2::Error> {
        let new: HashSet<Oid> = commits.iter().filter_map(|real| self.pairs.view_of(*real)).collect();
        let mut walk = memory.revwalk()?;
        for id in &new {
            walk.push(*id)?;
            for parent in memory.find_commit(*id)?.parent_ids().filter(|parent| !new.contains(parent)) {
                walk.hide(parent)?;
            }
        }
        let mut builder = memory.packbuilder()?;
        builder.insert_walk(&mut walk)?;
        let objects = self.repository.odb()?;
        let mut pack = objects.packwriter()?;
        builder.foreach(|bytes| pack.write_all(bytes).is_ok())?;
        pack.commit()?;
        objects.refresh()
    }

    /// Makes one commit again, whose parents are there.
    fn show(&mut self, to: &Repository, real: Oid) -> Result<(), ViewError> {
        let made = self.make_again(to, real).map_err(git(format!("show the commit {real}")))?;
        let view = made.ok_or_else(|| ViewError::Commit { commit: real.to_string() })?;
        self.pairs.insert(real, view);
        Ok(())
    }

    fn make_again(&self, to: &Repository, real: Oid) -> Result<Option<Oid>, git2::Error> {
        let commit = self.real.find_commit(real)?;
        let seen =
            |parent| self.pairs.view_of(parent).ok_or_else(|| git2::Error::from_str("a parent isn't shown"));
        let parents = commit.parent_ids().map(seen).collect::<Result<Vec<Oid>, _>>()?;
        let (before, shown) = match commit.parent_ids().next().zip(parents.first()) {
            Some((real, view)) => {
                (Some(self.real.find_commit(real)?.tree()?), to.find_commit(*view)?.tree_id())
            }
            None => (None, tree::empty(to)?),
        };
        let after = self.show_tree(to, before.as_ref(), shown, &commit.tree()?)?;
        let objects = self.real.odb()?;
        let Some(bytes) = recast(objects.read(real)?.data(), after, &parents) else { return Ok(None) };
        to.odb()?.write(ObjectType::Commit, &bytes).map(Some)
    }

    /// What the tree before is shown as, with what differs in the tree after. So what doesn't change looks unchanged.
    fn show_tree(
        &self,
        to: &Repository,
        before: Option<&Tree<'_>>,
        before_is_shown_as: Oid,
        after: &Tree<'_>,
    ) -> Result<Oid, git2::Error> {
        let mut entries = Vec::new();
        for path in tree::differing(&self.real, before, after)? {
            let shown = match tree::entry(after, &path)? {
                Some(entry) => self.show_entry(to, &path, entry)?,
                None => None,
            };
            entries.push((path, shown));
        }
        tree::changed(to, before_is_shown_as, &entries)
    }

    fn show_entry(&self, to: &Repository, path: &[u8], entry: Entry) -> Result<Option<Entry>, git2::Error> {
        let Ok(path) = std::str::from_utf8(path) else { return Ok(None) };
        if !is_open(path) || Kind::of(path) == Some(Kind::User) && !entry.is_plain() {
            return Ok(None);
        }
        if entry.mode == FileMode::Commit {
            return Ok(Some(entry));
        }
        let objects = self.real.odb()?;
        // Nobody looks for a hash in there, so nobody sees it.
        if objects.read_header(entry.id)?.0 > LARGEST_FILE {
            return Ok(None);
        }
        let blob = objects.read(entry.id)?;
        let id = match shown(&self.user, path, blob.data()) {
            Shown::Whole => to.odb()?.write(ObjectType::Blob, blob.data())?,
            Shown::As(content) => to.odb()?.write(ObjectType::Blob, &content)?,
            Shown::Not => return Ok(None),
        };
        Ok(Some(Entry { id, mode: entry.mode }))
    }

    fn set_branches(&self, tips: &HashMap<String, Oid>) -> Result<(), ViewError> {
        let set = || {
            for (name, real) in tips {
                let view = self.pairs.view_of(*real);
                let view = view.ok_or_else(|| git2::Error::from_str("a branch's commit isn't shown"))?;
                if self.repository.refname_to_id(name).ok() != Some(view) {
                    self.repository.reference(name, view, true, "berth: view")?;
                }
            }
            for reference in self.repository.references()? {
                let mut reference = reference?;
                if !reference.name().is_ok_and(|name| tips.contains_key(name)) {
                    reference.delete()?;
                }
            }
            Ok(())
        };
        set().map_err(git("set the view's branches"))
    }
}

impl Pending {
    /// Whether the git that has to move the branches still runs.
    fn is_at_work(&self) -> bool {
        Path::new("/proc").join(self.process.to_string()).exists()
    }
}
