//! From the state repo to a view: commits made again with the files that the member may see.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use berth_schema::view::{Shown, is_open, shown};
use berth_schema::{Kind, docs};
use git2::{ErrorCode, FileMode, ObjectType, Oid, Repository, Tree};

use super::accept::Pending;
use super::copy;
use super::error::{ViewError, file, git};
use super::pages::Pages;
use super::recast::recast;
use super::{Shows, View};
use crate::source::read_too;
use crate::tree::{self, Entry, Trees};
use crate::{LARGEST_FILE, MAIN, OPENED, PROPOSALS};

/// Up to this many commits are written as loose objects; more become packs.
const FEW: usize = 32;
/// Number of commits that go into one pack: their objects are held in memory until it is written.
const BATCH: usize = 100;
/// Time that an accepted push may take to move its branch, which is all that git has left to do.
const PATIENCE: Duration = Duration::from_secs(60);

impl View {
    /// Waits until git has moved the branches of a push that was accepted a moment ago. If that git ends first or takes
    /// too long, the branches are set like any other.
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
    pub(super) fn refresh(&mut self, shows: Shows) -> Result<(), ViewError> {
        let mut tips = self.tips()?;
        if let (Shows::LastMain, Some(last)) =
            (shows, self.last_main().map_err(git("read the view's branches"))?)
        {
            tips.insert(MAIN.to_owned(), last);
        }
        let new = self.unseen(&tips).map_err(git("walk the state repo's history"))?;
        if new.len() <= FEW {
            let to = Repository::open_bare(self.repository.path()).map_err(git("open the view"))?;
            let real = Repository::open_bare(self.real.path()).map_err(git("open the state repo"))?;
            let trees = Trees::new(&real);
            for commit in &new {
                self.show(Target { repository: &to, trees: &trees, reads_real: false }, *commit)?;
            }
        } else {
            self.show_many(&new)?;
        }
        self.pairs.save()?;
        self.set_branches(&tips)
    }

    /// Main and the member's own proposals, each with its commit in the state repo.
    fn tips(&self) -> Result<HashMap<String, Oid>, ViewError> {
        let read = || {
            let mut tips = HashMap::new();
            for reference in self.real.references()? {
                let reference = reference?;
                let Ok(name) = reference.name() else { continue };
                // A branch that leads to no commit shows nothing.
                let Ok(commit) = reference.peel_to_commit() else { continue };
                if name == MAIN || self.is_own_proposal(name, commit.id())? {
                    tips.insert(name.to_owned(), commit.id());
                }
            }
            Ok(tips)
        };
        read().map_err(git("read the state repo's branches"))
    }

    /// The commit of the state repo that the view shows as `main`; `None` where it shows none, or history was rewritten since.
    fn last_main(&self) -> Result<Option<Oid>, git2::Error> {
        let shown = self.repository.refname_to_id(MAIN).ok();
        let Some(last) = shown.and_then(|shown| self.pairs.real_of(shown)) else { return Ok(None) };
        let main = self.real.refname_to_id(MAIN)?;
        let is_in = main == last || self.real.graph_descendant_of(main, last)?;
        Ok(is_in.then_some(last))
    }

    /// Returns whether a branch is a proposal that the member opened. Other proposals are for their authors and the
    /// admins to read.
    pub(super) fn is_own_proposal(&self, name: &str, tip: Oid) -> Result<bool, git2::Error> {
        let Some(topic) = name.strip_prefix(PROPOSALS) else { return Ok(false) };
        match self.real.find_reference(&format!("{OPENED}{topic}")) {
            Ok(mark) => {
                let opened = mark.peel_to_tag().ok();
                let by = opened.as_ref().and_then(git2::Tag::tagger);
                Ok(by.is_some_and(|by| by.name_bytes() == self.user.as_str().as_bytes()))
            }
            // The mark follows the push. Until then it is whoever's who pushed the very same commit here.
            Err(error) if error.code() == ErrorCode::NotFound => {
                let pushed = self.repository.refname_to_id(name).ok();
                Ok(pushed.is_some() && pushed == self.pairs.view_of(tip))
            }
            Err(error) => Err(error),
        }
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

    /// Writes many commits. Objects that are made for the view go into memory first, and from there into packs. Objects that
    /// are the state repo's, byte for byte, are copied in the end, as they are packed there.
    fn show_many(&mut self, commits: &[Oid]) -> Result<(), ViewError> {
        let path = self.repository.path().to_owned();
        let memory = Repository::open_bare(&path).map_err(git("open the view"))?;
        let objects = memory.odb().map_err(git("open the view"))?;
        let kept = objects.add_new_mempack_backend(1000).map_err(git("hold objects in memory"))?;
        // Only here: objects that are copied in the end are read there until then.
        let theirs = self.real.commondir().join("objects");
        read_too(&objects, &theirs).map_err(git("read the state repo"))?;
        let trees = Trees::new(&memory);
        let mut copied = Needed::default();
        for batch in commits.chunks(BATCH) {
            let mut made = Needed::default();
            for commit in batch {
                self.show(Target { repository: &memory, trees: &trees, reads_real: true }, *commit)?;
                let theirs = self.real.odb().map_err(git("open the state repo"))?;
                let needed = self.needed(&memory, &trees, *commit).map_err(git("read what is shown"))?;
                for (id, path) in needed {
                    let list = if theirs.exists(id) { &mut copied } else { &mut made };
                    list.add(id, path);
                }
            }
            self.pack(&memory, &made).map_err(git("write a pack of the view"))?;
            kept.reset().and_then(|()| objects.refresh()).map_err(git("write a pack of the view"))?;
        }
        copy::copy(self.real.path(), &path, &copied.list)
    }

    /// The objects of a commit of the view that its first parent doesn't have, with their paths.
    fn needed(
        &self,
        memory: &Repository,
        trees: &Trees<'_>,
        real: Oid,
    ) -> Result<Vec<(Oid, Vec<u8>)>, git2::Error> {
        let view = self.pairs.view_of(real).ok_or_else(|| git2::Error::from_str("it isn't shown"))?;
        let commit = memory.find_commit(view)?;
        let before = match commit.parent_ids().next() {
            Some(parent) => Some(memory.find_commit(parent)?.tree_id()),
            None => None,
        };
        let mut needed = trees.added(before, commit.tree_id())?;
        needed.push((view, Vec::new()));
        Ok(needed)
    }

    fn pack(&self, memory: &Repository, made: &Needed) -> Result<(), git2::Error> {
        let mut builder = memory.packbuilder()?;
        for (id, path) in &made.list {
            builder.insert_object(*id, std::str::from_utf8(path).ok())?;
        }
        let objects = self.repository.odb()?;
        let mut pack = objects.packwriter()?;
        builder.foreach(|bytes| pack.write_all(bytes).is_ok())?;
        pack.commit()?;
        objects.refresh()
    }

    /// Makes one commit again, whose parents are there.
    fn show(&mut self, to: Target<'_, '_>, real: Oid) -> Result<(), ViewError> {
        let made = self.make_again(to, real).map_err(git(format!("show the commit {real}")))?;
        let view = made.ok_or_else(|| ViewError::Commit { commit: real.to_string() })?;
        self.pairs.insert(real, view);
        Ok(())
    }

    fn make_again(&self, to: Target<'_, '_>, real: Oid) -> Result<Option<Oid>, git2::Error> {
        let commit = self.real.find_commit(real)?;
        let seen =
            |parent| self.pairs.view_of(parent).ok_or_else(|| git2::Error::from_str("a parent isn't shown"));
        let parents = commit.parent_ids().map(seen).collect::<Result<Vec<Oid>, _>>()?;
        let (before, shown) = match commit.parent_ids().next().zip(parents.first()) {
            Some((real, view)) => {
                (Some(self.real.find_commit(real)?.tree()?), to.repository.find_commit(*view)?.tree_id())
            }
            None => (None, tree::empty(to.repository)?),
        };
        let after = self.show_tree(to, before.as_ref(), shown, &commit.tree()?)?;
        let objects = self.real.odb()?;
        let Some(bytes) = recast(objects.read(real)?.data(), after, &parents) else { return Ok(None) };
        to.repository.odb()?.write(ObjectType::Commit, &bytes).map(Some)
    }

    /// Changes the tree that `before` is shown as wherever `after` differs from `before`. So a file that doesn't change looks
    /// unchanged.
    fn show_tree(
        &self,
        to: Target<'_, '_>,
        before: Option<&Tree<'_>>,
        before_is_shown_as: Oid,
        after: &Tree<'_>,
    ) -> Result<Oid, git2::Error> {
        let mut entries = Vec::new();
        // Folders that the member sees as they are, and of which all that changes is shown as it is.
        let mut whole: BTreeMap<Vec<u8>, bool> = BTreeMap::new();
        let seen = to.repository.find_tree(before_is_shown_as)?;
        for (path, real) in to.trees.changes(before.map(Tree::id), after.id())? {
            let shown = match real {
                Some(entry) => self.show_entry(to.repository, &path, entry)?,
                None => None,
            };
            if let Some(end) = path.iter().position(|byte| *byte == b'/').filter(|_| to.reads_real) {
                let is_whole = whole.entry(path[..end].to_vec()).or_insert_with_key(|folder| {
                    let before = before.and_then(|before| tree::at_top(before, folder));
                    before == tree::at_top(&seen, folder)
                        && before.is_none_or(|(_, mode)| mode == FileMode::Tree)
                });
                *is_whole &= shown == real;
            }
            entries.push((path, shown));
        }
        // Such a folder needn't be put together again from its ten thousand files.
        for folder in whole.into_iter().filter_map(|(folder, is_whole)| is_whole.then_some(folder)) {
            let Some((id, mode @ FileMode::Tree)) = tree::at_top(after, &folder) else { continue };
            entries.retain(|(path, _)| {
                path.strip_prefix(folder.as_slice()).is_none_or(|rest| !rest.starts_with(b"/"))
            });
            entries.push((folder, Some(Entry { id, mode })));
        }
        tree::changed(to.repository, before_is_shown_as, &entries)
    }

    /// Returns whether a path is one of the wiki's, which this member doesn't read.
    pub(super) fn hides(&self, path: &[u8]) -> bool {
        self.pages == Pages::Hidden && docs::is_below(&String::from_utf8_lossy(path))
    }

    fn show_entry(&self, to: &Repository, path: &[u8], entry: Entry) -> Result<Option<Entry>, git2::Error> {
        let Ok(path) = std::str::from_utf8(path) else { return Ok(None) };
        if self.hides(path.as_bytes())
            || !is_open(path)
            || Kind::of(path) == Some(Kind::User) && !entry.is_plain()
        {
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

/// Place where commits are made again.
#[derive(Clone, Copy)]
struct Target<'t, 'r> {
    repository: &'t Repository,
    /// Trees of the state repo.
    trees: &'t Trees<'r>,
    /// The state repo's objects are read there too, and copied to the view in the end.
    reads_real: bool,
}

/// Objects that the view must have, each once.
#[derive(Default)]
struct Needed {
    known: HashSet<Oid>,
    list: Vec<(Oid, Vec<u8>)>,
}

impl Needed {
    fn add(&mut self, id: Oid, path: Vec<u8>) {
        if self.known.insert(id) {
            self.list.push((id, path));
        }
    }
}

impl Pending {
    /// Returns whether the git that has to move the branches still runs.
    fn is_at_work(&self) -> bool {
        Path::new("/proc").join(self.process.to_string()).exists()
    }
}
