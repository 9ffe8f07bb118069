//! From the state repo to a view: commits made again with the files that the member may see.

use std::collections::{HashMap, HashSet};

use git2::{ErrorCode, ObjectType, Oid, Tree};

use super::error::{ViewError, git};
use super::eye::{Eye, hides};
use super::own::Own;
use super::progress::{Progress, Tell};
use super::recast::recast;
use super::room::Room;
use super::shared::Shared;
use super::{Shows, View, tidy};
use crate::tree::{self, Trees};
use crate::{MAIN, OPENED, PROPOSALS};

impl View {
    /// Brings commits and branches up to the state repo's, as far as the store has them.
    pub(super) fn refresh(&mut self, shared: &Shared, shows: Shows, tell: Tell<'_>) -> Result<(), ViewError> {
        let mut tips = self.tips()?;
        let last = match shows {
            Shows::LastMain => self.last_main().map_err(git("read the view's branches"))?,
            Shows::Now => None,
        };
        // Main may have moved since the store was filled.
        tips.extend(last.or(shared.tip()).map(|tip| (MAIN.to_owned(), tip)));
        let new = self.unseen(&tips).map_err(git("walk the state repo's history"))?;
        if !new.is_empty() {
            self.show_all(shared, &new, tell)?;
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

    /// Makes commits again, parents first, and writes them. A view that had none gets a pack, and one that had some a pack where
    /// they are many.
    fn show_all(&mut self, shared: &Shared, commits: &[Oid], tell: Tell<'_>) -> Result<(), ViewError> {
        let path = self.repository.path().to_owned();
        let (is_first, of, mut packs) = (self.pairs.is_empty(), commits.len(), 0);
        let mut room = Room::open(&path, None)?;
        let (user, pages) = (self.user.clone(), self.pages);
        let mut look =
            Look { eye: Eye::of(&user, pages), own: Own::of(user.as_str()), alike: HashMap::new() };
        for (done, commit) in commits.iter().enumerate() {
            tell(Progress::Own { done, of });
            let made = self.make_again(&mut room, shared, &mut look, *commit);
            let made = made.map_err(git(format!("show the commit {commit}")))?;
            let view = made.ok_or_else(|| ViewError::Commit { commit: commit.to_string() })?;
            self.pairs.insert(*commit, view);
            if room.is_full() {
                room.keep(true)?;
                packs += 1;
                room = Room::open(&path, None)?;
            }
        }
        room.keep(is_first || packs > 0)?;
        if packs > 0 {
            tidy::pack(&path)?;
        }
        let objects = self.repository.odb().and_then(|objects| objects.refresh());
        objects.map_err(git("read the view"))?;
        tell(Progress::Own { done: of, of });
        Ok(())
    }

    /// Makes one commit again, whose parents are there.
    fn make_again(
        &self,
        room: &mut Room,
        shared: &Shared,
        look: &mut Look<'_>,
        real: Oid,
    ) -> Result<Option<Oid>, git2::Error> {
        let commit = self.real.find_commit(real)?;
        let seen =
            |parent| self.pairs.view_of(parent).ok_or_else(|| git2::Error::from_str("a parent isn't shown"));
        let parents = commit.parent_ids().map(seen).collect::<Result<Vec<Oid>, _>>()?;
        let before = match commit.parent_ids().next().zip(parents.first()) {
            Some((real, view)) => Some(Before {
                id: real,
                tree: self.real.find_commit(real)?.tree_id(),
                shown: room.repository().find_commit(*view)?.tree_id(),
            }),
            None => None,
        };
        let tree = match self.like_everybody(room, shared, look, (real, commit.tree_id()), before.as_ref())? {
            Some(tree) => {
                look.alike.insert(real, true);
                tree
            }
            None => self.show_tree(room, &look.eye, before.as_ref(), &commit.tree()?)?,
        };
        let objects = self.real.odb()?;
        let Some(bytes) = recast(objects.read(real)?.data(), tree, &parents) else { return Ok(None) };
        room.write(ObjectType::Commit, &bytes, b"").map(Some)
    }

    /// Makes a commit's tree from the one that everybody sees, where that is all that it differs in: the member's own file. `None` where
    /// it isn't, or can't be told.
    fn like_everybody(
        &self,
        room: &mut Room,
        shared: &Shared,
        look: &mut Look<'_>,
        (commit, tree): (Oid, Oid),
        before: Option<&Before>,
    ) -> Result<Option<Oid>, git2::Error> {
        let Some(everybodys) = shared.folder_of(commit) else { return Ok(None) };
        if let Some(before) = before
            && !self.is_alike(room, shared, look, before)?
        {
            return Ok(None);
        }
        let entry = look.own.entry(&self.real, tree)?;
        let was = before.map(|before| look.own.entry(&self.real, before.tree)).transpose()?;
        let shown = match before {
            // A file that doesn't change looks unchanged, in whatever way it was pushed.
            Some(before) if was == Some(entry) => look.own.entry(room.repository(), before.shown)?,
            _ => look.eye.show(&self.real, room, &look.own.path(), entry)?,
        };
        look.own.set(room, everybodys, shown)
    }

    /// Returns whether a commit's tree in the view is everybody's but for the member's own file.
    fn is_alike(
        &self,
        room: &mut Room,
        shared: &Shared,
        look: &mut Look<'_>,
        before: &Before,
    ) -> Result<bool, git2::Error> {
        if let Some(known) = look.alike.get(&before.id) {
            return Ok(*known);
        }
        let is_alike = match shared.folder_of(before.id) {
            Some(everybodys) => {
                let own = look.own.entry(room.repository(), before.shown)?;
                look.own.set(room, everybodys, own)? == Some(before.shown)
            }
            None => false,
        };
        look.alike.insert(before.id, is_alike);
        Ok(is_alike)
    }

    /// Changes the tree that the parent's is shown as wherever `after` differs from the parent's. So a file that doesn't change looks
    /// unchanged.
    fn show_tree(
        &self,
        room: &mut Room,
        eye: &Eye<'_>,
        before: Option<&Before>,
        after: &Tree<'_>,
    ) -> Result<Oid, git2::Error> {
        let mut entries = Vec::new();
        for (path, real) in Trees::new(&self.real).changes(before.map(|before| before.tree), after.id())? {
            let shown = eye.show(&self.real, room, &path, real)?;
            entries.push((path, shown));
        }
        let shown = match before {
            Some(before) => before.shown,
            None => tree::empty(room.repository())?,
        };
        let made = tree::changed(room.repository(), shown, &entries)?;
        let added = Trees::new(room.repository()).added(before.map(|before| before.shown), made)?;
        for (id, path) in added {
            room.take(id, &path)?;
        }
        Ok(made)
    }

    /// Returns whether a path is one of the wiki's, which this member doesn't read.
    pub(super) fn hides(&self, path: &[u8]) -> bool {
        hides(self.pages, path)
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

/// A commit's first parent.
struct Before {
    id: Oid,
    tree: Oid,
    /// The tree of the commit that stands for it in the view.
    shown: Oid,
}

/// A member's look at many commits.
struct Look<'u> {
    eye: Eye<'u>,
    own: Own,
    /// Commits whose tree in the view is known to be everybody's but for the member's own file, or not to be.
    alike: HashMap<Oid, bool>,
}
