//! From a view to the state repo: a member's pushed commits, made again on top of the real ones.
//!
//! A change of a file that the member sees whole is taken as it is. Their own file gets its password hash back. A change
//! of a file that they see in part can't be made again, and is kept as it was pushed, so that it is judged and refused
//! like any other change of somebody else's file; it never becomes the real one.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};

use berth_schema::Finding;
use berth_schema::view::{self, Hidden, hidden, names_hash};
use git2::{Commit, ErrorCode, FileMode, ObjectType, Odb, Oid, Repository, Tree};
use tempfile::TempDir;

use super::View;
use super::error::ViewError;
use super::pushed::Pushed;
use super::recast::recast;
use super::trouble::{Trouble, moved_meanwhile, refusal};
use crate::bounds::Budget;
use crate::oid::{oid, revision_of};
use crate::tree::{self, Entry, Trees};
use crate::{LARGEST_FILE, MAIN, PROPOSALS, Revision, StateRepo};

/// Number of commits that one push may bring.
const MOST_COMMITS: usize = 1000;

/// A branch that a push moves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// The branch's full name.
    pub reference: String,
    /// The commit it is at; `None` when the branch is new.
    pub old: Option<Revision>,
    /// The commit it would be at; `None` when the branch is deleted.
    pub new: Option<Revision>,
}

/// The own file of whoever pushed, as they see it, where that differs from the one that is judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Own {
    /// The file.
    pub path: String,
    /// The file's text, as they see it.
    pub text: String,
    /// Number, from 1, of the line that only the judged file has.
    pub inserted: Option<u32>,
}

/// A push to `main` that was made on top of an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Merging {
    /// Place of the move among those of the push.
    pub(super) place: usize,
    /// The `main` on top of which the push was made.
    pub seen: Revision,
    /// `main` as it is.
    pub main: Revision,
    /// The commit that was pushed, made again.
    pub pushed: Revision,
}

/// A push into a view, made again on top of the real commits. Nobody else changes the view while this is there.
pub struct Received {
    pub(super) view: View,
    /// A repository beside the state repo's objects, with the commits made again.
    pub(super) folder: TempDir,
    /// The branches that the push would move in the state repo.
    pub moves: Vec<Move>,
    /// The same branches in the view.
    pub(super) shown: Vec<Move>,
    pub(super) pushed: Pushed,
    /// Reasons for which the push can't be made again, and so can't be judged.
    pub refused: Vec<Finding>,
    /// Changes of files that the member sees in part. They are for the judge to refuse; should the judge allow them, they
    /// are refused all the same.
    pub unclear: Vec<Finding>,
    /// The member's own file at the end of the push.
    pub own: Option<Own>,
    /// The commits made again, beside those that were pushed.
    pub commits: Vec<(Revision, Revision)>,
    /// Set where `main` has moved since whoever pushed saw it, so that what they pushed has to be merged with it.
    pub merging: Option<Merging>,
}

/// A push while it is made again.
pub(super) struct Restoring<'v> {
    pub(super) view: &'v View,
    /// Sees the real objects, and writes beside them.
    pub(super) to: Repository,
    pub(super) own_path: String,
    /// The real commit of each that was pushed.
    pub(super) restored: HashMap<Oid, Oid>,
    /// Commits that are here already, on which pushed ones stand.
    pub(super) bases: BTreeSet<Oid>,
    /// The hidden part of the member's own file, by commit of the view.
    pub(super) hidden: HashMap<Oid, Option<Hidden>>,
    pub(super) refused: Vec<Finding>,
    pub(super) unclear: BTreeSet<(String, String)>,
    pub(super) budget: Budget,
    pub(super) merging: Option<Merging>,
}

/// A parent of a pushed commit: as the member sees it, and as it is.
struct Parent<'t> {
    view: Oid,
    real: Oid,
    seen: Tree<'t>,
    holds: Tree<'t>,
}

impl Received {
    /// Folder of the objects of the commits made again, until they are accepted.
    pub fn objects(&self) -> PathBuf {
        self.folder.path().join("objects")
    }

    /// The state repo, with those objects.
    pub fn state_repo(&self) -> Result<StateRepo, ViewError> {
        Ok(StateRepo::open_beside(self.view.real.path(), &self.objects())?)
    }

    /// The repository of those objects, which sees the state repo's. What is made there is kept if the push is accepted.
    pub fn room(&self) -> Result<StateRepo, ViewError> {
        Ok(StateRepo::open_beside(self.folder.path(), &self.view.real.commondir().join("objects"))?)
    }

    /// Lets `main` move to `merged`, which was made in that repository, instead of to what was pushed.
    pub fn merged_as(&mut self, merged: Revision) {
        if let Some(moved) = self.merging.and_then(|merging| self.moves.get_mut(merging.place)) {
            moved.new = Some(merged);
        }
    }

    /// Returns whether the member may not read a file.
    pub fn hides(&self, path: &str) -> bool {
        self.view.hides(path.as_bytes())
    }
}

impl Restoring<'_> {
    /// The moves in the state repo. They are worth nothing once `refused` holds something.
    pub(super) fn moves(&mut self, moves: &[Move]) -> Result<Vec<Move>, git2::Error> {
        let mut real = Vec::with_capacity(moves.len());
        for Move { reference, old, new } in moves {
            let old = match old {
                Some(old) => self.known(oid(old))?,
                None => None,
            };
            let is = match self.view.real.refname_to_id(reference) {
                Ok(is) => Some(is),
                Err(error) if error.code() == ErrorCode::NotFound => None,
                Err(error) => return Err(error),
            };
            if old != is && reference == MAIN {
                match self.late_main((old, is), new.map(oid), real.len()) {
                    Ok(moved) => real.push(moved),
                    Err(Trouble::Refused(finding)) => self.refused.push(finding),
                    Err(Trouble::Git(error)) => return Err(error),
                }
                continue;
            }
            if old != is {
                let is_others = match is {
                    Some(tip) if reference.starts_with(PROPOSALS) => {
                        !self.view.is_own_proposal(reference, tip)?
                    }
                    _ => false,
                };
                self.refused.push(if is_others {
                    let hint = "choose another topic: `git push origin HEAD:review/<topic>`";
                    refusal(reference, format!("`{reference}` is somebody else's proposal"), hint)
                } else {
                    moved_meanwhile(reference)
                });
                continue;
            }
            let new = match new {
                Some(new) => match self.restore_up_to(oid(new)) {
                    Ok(new) => Some(new),
                    Err(Trouble::Refused(finding)) => {
                        self.refused.push(finding);
                        continue;
                    }
                    Err(Trouble::Git(error)) => return Err(error),
                },
                None => None,
            };
            let (old, new) = (old.map(revision_of), new.map(revision_of));
            real.push(Move { reference: reference.clone(), old, new });
        }
        Ok(real)
    }

    /// The real commit of one of the view's, if it is there.
    fn known(&self, view: Oid) -> Result<Option<Oid>, git2::Error> {
        let real = self.restored.get(&view).copied().or_else(|| self.view.pairs.real_of(view));
        let objects = self.to.odb()?;
        Ok(real.filter(|real| objects.exists(*real)))
    }

    pub(super) fn restore_up_to(&mut self, tip: Oid) -> Result<Oid, Trouble> {
        let (mut order, mut seen) = (Vec::new(), HashSet::new());
        let mut stack = vec![(tip, false)];
        while let Some((id, parents_are_done)) = stack.pop() {
            if parents_are_done {
                order.push(id);
            } else if !seen.insert(id) {
                continue;
            } else if self.known(id)?.is_some() {
                self.bases.insert(id);
            } else {
                stack.push((id, true));
                let commit = self.view.repository.find_commit(id)?;
                stack.extend(commit.parent_ids().map(|parent| (parent, false)));
            }
            if order.len() + stack.iter().filter(|(_, done)| *done).count() > MOST_COMMITS {
                let message = format!("more than {MOST_COMMITS} commits in one push");
                return Err(Trouble::Refused(refusal(
                    short(tip),
                    message,
                    "push them in parts, or squash them",
                )));
            }
        }
        for id in order {
            let real = self.restore(id)?;
            self.restored.insert(id, real);
        }
        self.known(tip)?.ok_or_else(|| git2::Error::from_str("a commit wasn't made again").into())
    }

    /// Refuses what stands on a commit that no branch leads to and that wasn't sent: the pusher's clone is shallow and begins there, at a
    /// proposal that is gone. Git refuses that, but only after it has run the hook.
    pub(super) fn refuse_cut_off(&mut self, quarantine: &Path) -> Result<(), git2::Error> {
        let sent = Odb::new()?;
        sent.add_disk_alternate(&quarantine.to_string_lossy())?;
        let view = &self.view.repository;
        let mut tips = Vec::new();
        for reference in view.references()? {
            tips.extend(reference?.target());
        }
        for base in &self.bases {
            let mut leads = tips.contains(base) || sent.exists(*base);
            for tip in &tips {
                leads = leads || view.graph_descendant_of(*tip, *base)?;
            }
            if !leads {
                let message =
                    "your clone begins at a commit that isn't here any more, and holds nothing of before it"
                        .to_owned();
                let hint = "fetch the rest with `git fetch --unshallow`, and push again";
                self.refused.push(refusal(short(*base), message, hint));
            }
        }
        Ok(())
    }

    /// Makes a commit again whose parents are there.
    fn restore(&mut self, id: Oid) -> Result<Oid, Trouble> {
        let view = self.view;
        let commit = view.repository.find_commit(id)?;
        let after = commit.tree()?;
        let ids = self.parents_of(&commit)?;
        let repository = self.to_again()?;
        let mut parents = Vec::with_capacity(ids.len());
        for (seen, real) in ids {
            let (seen_tree, holds) =
                (view.repository.find_commit(seen)?.tree()?, repository.find_commit(real)?.tree()?);
            parents.push(Parent { view: seen, real, seen: seen_tree, holds });
        }
        let Some(first) = parents.first() else {
            return Err(git2::Error::from_str("a commit without parents").into());
        };
        let base = match parents.as_slice() {
            [one, other] => match repository.merge_base(one.real, other.real) {
                Ok(base) => Some(repository.find_commit(base)?.tree()?),
                Err(error) if error.code() == ErrorCode::NotFound => None,
                Err(error) => return Err(error.into()),
            },
            _ => None,
        };
        // What was pushed may be a trap; everything else here was accepted before.
        let mut paths = tree::pushed(&view.repository, &first.seen, &after, &mut self.budget)?;
        for other in parents.iter().skip(1) {
            // Hidden parts may differ where everything that is seen is the same.
            paths.extend(tree::differing(&repository, Some(&first.holds), &other.holds)?);
        }
        let own_path = self.own_path.clone();
        let carried = self.hidden_at(first.view, &first.seen, &first.holds)?;
        self.hidden.insert(id, carried);
        // A folder of ten thousand pages is read once, and not for each of them.
        let (pushed, held) = (Trees::new(&view.repository), Trees::new(&repository));
        let mut entries = Vec::with_capacity(paths.len());
        for path in paths {
            let now = pushed.entry(after.id(), &path)?;
            let mut found = Vec::with_capacity(parents.len());
            for parent in &parents {
                found.push((pushed.entry(parent.seen.id(), &path)?, held.entry(parent.holds.id(), &path)?));
            }
            let mut real: Vec<Option<Entry>> =
                found.iter().filter(|(seen, _)| *seen == now).map(|(_, real)| *real).collect();
            real.dedup();
            let is_own = path == own_path.as_bytes();
            let entry = match real.as_slice() {
                [] if is_own => self.restore_own(id, now, &parents, &base)?,
                // One side has what is seen here, and the other one may have another hash.
                [_] if is_own && self.hides_differently(&parents, &found)? => {
                    self.restore_own(id, now, &parents, &base)?
                }
                // Refused before anything is compared: the answer may not depend on a page that they don't see, or on the folder.
                [] if self.view.hides(&[&path[..], b"/"].concat()) => {
                    let message = "nobody but admins reads the pages of the wiki, or changes them";
                    let path = String::from_utf8_lossy(&path);
                    return Err(Trouble::Refused(refusal(path, message, "ask {help} to change it")));
                }
                [] => {
                    if found.iter().any(|(seen, real)| seen != real) {
                        self.note_unclear(&path);
                    }
                    self.take(id, &path, now)?
                }
                [same] => *same,
                several => {
                    let before =
                        base.as_ref().map(|base| held.entry(base.id(), &path)).transpose()?.flatten();
                    let changed: Vec<_> = several.iter().filter(|real| **real != before).collect();
                    match changed.as_slice() {
                        [one] => **one,
                        _ => return Err(Trouble::Refused(both_sides(&path))),
                    }
                }
            };
            if is_own && !real.is_empty() {
                let taken = found.iter().position(|(seen, real)| *seen == now && *real == entry);
                if let Some(parent) = taken.and_then(|at| parents.get(at)) {
                    let carried = self.hidden_at(parent.view, &parent.seen, &parent.holds)?;
                    self.hidden.insert(id, carried);
                }
            }
            entries.push((path, entry));
        }
        let tree = tree::changed(&repository, first.holds.id(), &entries)?;
        let ids: Vec<Oid> = parents.iter().map(|parent| parent.real).collect();
        let objects = view.repository.odb()?;
        let bytes = recast(objects.read(id)?.data(), tree, &ids);
        let bytes = bytes.ok_or_else(|| git2::Error::from_str("these are no commit's bytes"))?;
        Ok(repository.odb()?.write(ObjectType::Commit, &bytes)?)
    }

    /// Opens the repository that is written to anew, so that trees of it can be held while this changes.
    pub(super) fn to_again(&self) -> Result<Repository, git2::Error> {
        let repository = Repository::open_bare(self.to.path())?;
        repository.set_odb(&self.to.odb()?)?;
        Ok(repository)
    }

    fn parents_of(&self, commit: &Commit<'_>) -> Result<Vec<(Oid, Oid)>, Trouble> {
        let place = short(commit.id());
        match commit.parent_count() {
            0 => {
                let hint = "begin with a clone, and commit on top of main";
                return Err(Trouble::Refused(refusal(
                    place,
                    "this commit isn't built on the state repo",
                    hint,
                )));
            }
            1 | 2 => {}
            count => {
                let message = format!("a merge of {count} commits at once");
                return Err(Trouble::Refused(refusal(
                    place,
                    message,
                    "merge one after the other, or rebase",
                )));
            }
        }
        let missing = || git2::Error::from_str("a parent isn't known");
        let of = |view| Ok((view, self.known(view)?.ok_or_else(missing)?));
        commit.parent_ids().map(of).collect()
    }

    /// An entry as it was pushed.
    fn take(&self, commit: Oid, path: &[u8], entry: Option<Entry>) -> Result<Option<Entry>, Trouble> {
        let Some(entry) = entry.filter(|entry| entry.mode != FileMode::Commit) else { return Ok(entry) };
        let from = self.view.repository.odb()?;
        let size = from.read_header(entry.id)?.0;
        if size > LARGEST_FILE {
            let place = format!("{}:{}", short(commit), String::from_utf8_lossy(path));
            let message = format!(
                "{size} bytes, more than the {LARGEST_FILE} that a file may have, for ever in history"
            );
            let hint = "take it out of every commit (`git rebase -i`) and keep large files elsewhere";
            return Err(Trouble::Refused(refusal(place, message, hint)));
        }
        self.to.odb()?.write(ObjectType::Blob, from.read(entry.id)?.data())?;
        Ok(Some(entry))
    }

    /// Returns whether the hidden part of the member's own file isn't the same in all parents. Where one hides the whole file, nothing
    /// can be told apart: the other's file is taken as it is. `entries` are the file as it is seen and as it is, by parent.
    fn hides_differently(
        &mut self,
        parents: &[Parent<'_>],
        entries: &[(Option<Entry>, Option<Entry>)],
    ) -> Result<bool, git2::Error> {
        let mut hidden = Vec::with_capacity(parents.len());
        for (parent, (seen, real)) in parents.iter().zip(entries) {
            let part = self.hidden_at(parent.view, &parent.seen, &parent.holds)?;
            if part.is_none() && seen != real {
                return Ok(false);
            }
            hidden.push(part);
        }
        hidden.dedup();
        Ok(hidden.len() > 1)
    }

    /// Puts the password hash back into the member's own file, which they changed, unless it names another.
    fn restore_own(
        &mut self,
        commit: Oid,
        now: Option<Entry>,
        parents: &[Parent<'_>],
        base: &Option<Tree<'_>>,
    ) -> Result<Option<Entry>, Trouble> {
        let path = self.own_path.clone();
        // What each side hides; `None` where it has no hash at all, so that one that was taken away stays away.
        let mut sides: Vec<Option<Hidden>> = Vec::new();
        for parent in parents {
            let hidden = self.hidden_at(parent.view, &parent.seen, &parent.holds)?;
            let seen = tree::entry(&self.view.repository, &parent.seen, path.as_bytes())?;
            let real = tree::entry(&self.to, &parent.holds, path.as_bytes())?;
            if hidden.is_none() && seen != real {
                self.note_unclear(path.as_bytes());
            }
            let has_none =
                || Ok::<_, git2::Error>(self.text(&self.to, real)?.is_some_and(|text| !names_hash(&text)));
            if (hidden.is_some() || has_none()?) && !sides.contains(&hidden) {
                sides.push(hidden);
            }
        }
        if sides.len() > 1 {
            match base {
                Some(base) => {
                    let before = self.text(&self.to, tree::entry(&self.to, base, path.as_bytes())?)?;
                    let before = before.and_then(|text| hidden(&self.view.user, &text));
                    sides.retain(|side| *side != before);
                }
                None => sides.retain(Option::is_some),
            }
        }
        if sides.len() > 1 {
            return Err(Trouble::Refused(both_sides(path.as_bytes())));
        }
        let carried = sides.pop().flatten();
        let taken = self.take(commit, path.as_bytes(), now)?;
        let text = self.text(&self.view.repository, now)?;
        let Some((text, hidden)) = text.zip(carried.clone()) else {
            // Gone, or no text: a later commit of the push may still bring it back.
            self.hidden.insert(commit, carried.filter(|_| now.is_none_or(|now| !now.is_plain())));
            return Ok(taken);
        };
        let restored = view::restore(&text, &hidden);
        self.hidden.insert(commit, restored.is_some().then_some(hidden));
        match (restored, now) {
            (Some(restored), Some(now)) => {
                let id = self.to.odb()?.write(ObjectType::Blob, restored.text.as_bytes())?;
                Ok(Some(Entry { id, ..now }))
            }
            _ => Ok(taken),
        }
    }

    /// Returns the hidden part of the member's own file at a commit of the view.
    fn hidden_at(
        &mut self,
        commit: Oid,
        seen: &Tree<'_>,
        holds: &Tree<'_>,
    ) -> Result<Option<Hidden>, git2::Error> {
        if let Some(known) = self.hidden.get(&commit) {
            return Ok(known.clone());
        }
        let path = self.own_path.as_bytes();
        let seen = self.text(&self.view.repository, tree::entry(&self.view.repository, seen, path)?)?;
        let real = self.text(&self.to, tree::entry(&self.to, holds, path)?)?;
        // A hash that the member wrote there in the open isn't hidden from them.
        let found = match seen.is_some_and(|seen| names_hash(&seen)) {
            true => None,
            false => real.and_then(|real| hidden(&self.view.user, &real)),
        };
        self.hidden.insert(commit, found.clone());
        Ok(found)
    }

    fn text(&self, from: &Repository, entry: Option<Entry>) -> Result<Option<String>, git2::Error> {
        let Some(entry) = entry.filter(|entry| entry.is_plain()) else { return Ok(None) };
        let objects = from.odb()?;
        if objects.read_header(entry.id)?.0 > LARGEST_FILE {
            return Ok(None);
        }
        Ok(String::from_utf8(objects.read(entry.id)?.data().to_vec()).ok())
    }

    fn note_unclear(&mut self, path: &[u8]) {
        let path = String::from_utf8_lossy(path).into_owned();
        let message = "you see only a part of this file, so it can't be changed from your clone".to_owned();
        self.unclear.insert((path, message));
    }

    /// The member's own file at the end of the push, as they see it.
    pub(super) fn own(&mut self, moves: &[Move]) -> Result<Option<Own>, git2::Error> {
        let main = moves.iter().filter(|moved| moved.reference == crate::MAIN);
        let Some(tip) = main.chain(moves).find_map(|moved| moved.new).filter(|_| self.refused.is_empty())
        else {
            return Ok(None);
        };
        let Some(real) = self.known(oid(tip))? else { return Ok(None) };
        let view = self.view;
        let (seen, repository) = (view.repository.find_commit(oid(tip))?.tree()?, self.to_again()?);
        let holds = repository.find_commit(real)?.tree()?;
        let Some(text) =
            self.text(&view.repository, tree::entry(&view.repository, &seen, self.own_path.as_bytes())?)?
        else {
            return Ok(None);
        };
        let hidden = self.hidden_at(oid(tip), &seen, &holds)?;
        let inserted = hidden.and_then(|hidden| view::restore(&text, &hidden)?.inserted);
        Ok(Some(Own { path: self.own_path.clone(), text, inserted }))
    }
}

fn both_sides(path: &[u8]) -> Finding {
    let message = "both sides of a merge changed what you don't see of this file";
    refusal(String::from_utf8_lossy(path), message, "rebase instead of merging")
}

fn short(id: Oid) -> String {
    revision_of(id).short()
}
