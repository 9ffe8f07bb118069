//! A push into a view, from its lock to the commits that it would make in the state repo.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use berth_host::FileLock;
use berth_schema::name::{Invalid, UserName};
use berth_schema::{Finding, Severity};
use git2::Repository;

use super::error::{ViewError, file, git};
use super::pages::Pages;
use super::pairs::Pairs;
use super::pending::Pending;
use super::pushed::Pushed;
use super::receive::{Move, Received, Restoring};
use super::shared::Shared;
use super::{PATIENCE, View, Views};
use crate::bounds::Budget;
use crate::oid::{oid, revision_of};
use crate::source::read_too;
use crate::{MAIN, Revision, beside};

/// A member's view that is open for a push into it. Nobody else changes it while this is there.
pub struct Entered {
    pub(super) view: View,
    /// File in which the member's pushes are counted.
    pub(super) counted: PathBuf,
    /// Folder of the push's objects.
    pub(super) quarantine: Option<PathBuf>,
}

impl Entered {
    /// Makes the push again on top of the real commits.
    pub fn receive(self, moves: &[Move]) -> Result<Received, ViewError> {
        let Self { view, counted: path, quarantine } = self;
        let quarantine = quarantine.as_deref();
        let pushed =
            Pushed::read(path.clone(), quarantine, SystemTime::now()).map_err(file("read", &path))?;
        let objects = view.real.commondir().join("objects");
        let folder = beside::folder_in(&objects).map_err(file("make a folder in", &objects))?;
        let to = beside::make(folder.path()).map_err(git("make room for the pushed commits"))?;
        let seen = to.odb().and_then(|odb| read_too(&odb, &objects));
        seen.map_err(git("read the state repo"))?;
        let mut restoring = Restoring {
            own_path: format!("users/{}.toml", view.user),
            view: &view,
            to,
            restored: HashMap::new(),
            bases: BTreeSet::new(),
            hidden: HashMap::new(),
            refused: Vec::new(),
            unclear: BTreeSet::new(),
            budget: Budget::of_push(),
            merging: None,
        };
        let real = restoring.moves(moves).map_err(git("make the pushed commits again"))?;
        if let Some(quarantine) = quarantine {
            restoring.refuse_cut_off(quarantine).map_err(git("read the pushed commits"))?;
        }
        let own = restoring.own(moves).map_err(git("read the pushed commits"))?;
        let Restoring { restored, mut refused, unclear, merging, .. } = restoring;
        let first = moves.first().map_or(MAIN, |moved| moved.reference.as_str());
        refused.extend(pushed.too_much().map(|invalid| Finding::new(Severity::Error, first, None, invalid)));
        let unclear = unclear.into_iter().map(|(path, message)| {
            let hint = "take the change out of every commit with `git rebase -i`";
            Finding::new(Severity::Error, path, None, Invalid::new(message, hint))
        });
        let commits = restored.iter().map(|(view, real)| (revision_of(*real), revision_of(*view)));
        let known = moves.iter().flat_map(|moved| [moved.old, moved.new]).flatten();
        let known =
            known.filter_map(|view_id| Some((revision_of(view.pairs.real_of(oid(view_id))?), view_id)));
        let commits = commits.chain(known).collect();
        let unclear = unclear.collect();
        let shown = moves.to_vec();
        Ok(Received { folder, moves: real, shown, pushed, refused, unclear, own, commits, merging, view })
    }
}

impl Views {
    /// Opens a member's view for a push into it, and locks it: nobody else pushes into it until this is dropped. `patience` is for
    /// another push of theirs to end.
    pub fn enter(
        &self,
        user: &UserName,
        quarantine: Option<&Path>,
        patience: Duration,
    ) -> Result<Entered, ViewError> {
        let take = |path: PathBuf, patience| {
            FileLock::take(&path, patience).map_err(|error| match error.kind() {
                // Its holder may be a git that hangs.
                io::ErrorKind::TimedOut => ViewError::Busy { user: user.clone(), after: patience },
                _ => file("lock", &path)(error),
            })
        };
        let pushing = take(self.pushing_file(user), patience)?;
        let lock = take(self.lock_file(user), PATIENCE)?;
        // Git may still be at work in the folder for the push before.
        Pending::settle(&self.path(user))?;
        let real = self.state_of_member(user)?;
        let reads = (Pages::read(&real)?, Shared::objects_of_current(&self.folder)?);
        let view = self.open_view(user, real, reads, (lock, Some(pushing)))?;
        if let Some(quarantine) = quarantine {
            let objects = view.repository.odb().map_err(git("open the view"))?;
            read_too(&objects, quarantine).map_err(git("read the pushed objects"))?;
        }
        Ok(Entered {
            view,
            counted: self.folder.join(format!("{user}.pushed")),
            quarantine: quarantine.map(Path::to_owned),
        })
    }

    /// Makes a push into a member's view again on top of the real commits. `quarantine` holds its objects.
    pub fn receive(
        &self,
        user: &UserName,
        moves: &[Move],
        quarantine: Option<&Path>,
    ) -> Result<Received, ViewError> {
        self.enter(user, quarantine, PATIENCE)?.receive(moves)
    }

    /// Returns the moves in the state repo that an accepted push stands for.
    pub fn real(&self, user: &UserName, moves: &[Move]) -> Result<Vec<Move>, ViewError> {
        let real = Repository::open_bare(&self.state).map_err(git("open the state repo"))?;
        let Some(pairs) = Pairs::load(&self.path(user), Pages::read(&real)?)? else {
            return Ok(Vec::new());
        };
        let real = |view: Option<Revision>| view.and_then(|view| pairs.real_of(oid(view))).map(revision_of);
        let of = |moved: &Move| Move {
            reference: moved.reference.clone(),
            old: real(moved.old),
            new: real(moved.new),
        };
        Ok(moves.iter().map(of).collect())
    }
}
