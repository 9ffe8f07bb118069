//! Members: the door's own look at `main`, which tells whom the state knows, remembered until it moves.

use std::path::Path;
use std::sync::Arc;

use berth_repo::{APPLIED, Memory, Revision, StateRepo};
use berth_schema::State;
use berth_schema::name::UserName;
use berth_schema::policy::Actor;
use parking_lot::Mutex;

use crate::refusal::Refusal;

/// Somebody's place in the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Membership {
    /// Works on the state repo itself.
    Admin,
    /// Works on what is theirs.
    Member,
}

/// The last good state, and the revision that it was read at.
#[derive(Clone)]
pub(crate) struct Good {
    pub(crate) state: Arc<State>,
    pub(crate) at: Revision,
}

/// The state repo, as the door asks it.
pub(crate) struct Members {
    known: Mutex<Known>,
    /// The revisions that were read last, for all who read in this process.
    memory: Memory,
}

struct Known {
    repo: StateRepo,
    tip: Option<Revision>,
    /// The last good state: who somebody is doesn't depend on a mistake that is on `main` now.
    good: Option<Good>,
    /// Those who are told of each good state of `main`'s.
    watchers: Vec<Watcher>,
}

/// Told of a good state.
type Watcher = Box<dyn Fn(&State) + Send>;

impl Members {
    pub(crate) fn open(path: &Path) -> Result<Self, berth_repo::Error> {
        let mut known = Known { repo: StateRepo::open(path)?, tip: None, good: None, watchers: Vec::new() };
        if let Ok(applied) = known.repo.resolve(APPLIED) {
            known.good = known.load(applied)?;
        }
        known.look()?;
        let memory = known.repo.memory().clone();
        Ok(Self { known: Mutex::new(known), memory })
    }

    pub(crate) fn memory(&self) -> &Memory {
        &self.memory
    }

    /// The state as it is, or was when it last was good; `None` when it never was. Reads no object while `main` stays.
    pub(crate) fn good(&self) -> Result<Option<Good>, berth_repo::Error> {
        let mut known = self.known.lock();
        known.look()?;
        Ok(known.good.clone())
    }

    /// The organisation's contact, by the last good state that is known. Nobody waits for it, and nothing is read.
    pub(crate) fn contact(&self) -> Option<String> {
        let known = self.known.try_lock()?;
        known.good.as_ref()?.state.platform.organisation.contact().map(str::to_owned)
    }

    /// Has `watcher` told of the state that `main` is at, and of each good one that it is at later, as far as somebody looks. It may not ask
    /// for a state itself.
    pub(crate) fn watch(&self, watcher: impl Fn(&State) + Send + 'static) {
        let mut known = self.known.lock();
        if let Some(good) = known.good.as_ref().filter(|good| Some(good.at) == known.tip) {
            watcher(&good.state);
        }
        known.watchers.push(Box::new(watcher));
    }

    /// Finds `user` in the state; refused where it doesn't know them.
    pub(crate) fn membership(&self, user: &str) -> Result<(UserName, Membership), Refusal> {
        let Some(Good { state, .. }) = self.good()? else { return Err(Refusal::NoGoodState) };
        let stranger = || Refusal::Stranger { help: state.platform.organisation.help().to_owned() };
        let name: UserName = user.parse().map_err(|_| stranger())?;
        if !state.users.contains_key(&name) {
            return Err(stranger());
        }
        let membership =
            if Actor::Member(&name).is_admin(&state) { Membership::Admin } else { Membership::Member };
        Ok((name, membership))
    }
}

impl Known {
    fn look(&mut self) -> Result<(), berth_repo::Error> {
        let tip = self.repo.head()?;
        if tip == self.tip {
            return Ok(());
        }
        if let Some(tip) = tip
            && let Some(good) = self.load(tip)?
        {
            self.watchers.iter().for_each(|watcher| watcher(&good.state));
            self.good = Some(good);
        }
        self.tip = tip;
        Ok(())
    }

    fn load(&mut self, at: Revision) -> Result<Option<Good>, berth_repo::Error> {
        Ok(self.repo.load(&at)?.state.ok().map(|state| Good { state, at }))
    }
}
