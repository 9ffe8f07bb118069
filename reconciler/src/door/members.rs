//! Who the state knows: the door's own look at `main`, remembered until it moves.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use berth_repo::{Revision, StateRepo};
use berth_schema::State;
use berth_schema::name::UserName;
use berth_schema::policy::Actor;

use super::Refusal;
use crate::source::APPLIED;

/// What somebody is to the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Works on the state repo itself.
    Admin,
    /// Works on what is theirs.
    Member,
}

/// The state repo, as the door asks it.
pub(super) struct Members(Mutex<Known>);

struct Known {
    repo: StateRepo,
    tip: Option<Revision>,
    /// The last good state: who somebody is doesn't depend on a mistake that is on `main` now.
    state: Option<Arc<State>>,
}

impl Members {
    pub(super) fn open(path: &Path) -> Result<Self, berth_repo::Error> {
        let mut known = Known { repo: StateRepo::open(path)?, tip: None, state: None };
        if let Ok(applied) = known.repo.resolve(APPLIED) {
            known.state = known.repo.load(&applied)?.state.ok();
        }
        known.look()?;
        Ok(Self(Mutex::new(known)))
    }

    /// The state as it is, or was when it last was good; `None` when it never was.
    pub(super) fn state(&self) -> Result<Option<Arc<State>>, berth_repo::Error> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.look()?;
        Ok(known.state.clone())
    }

    /// What `user` is; refused for whom the state doesn't know.
    pub(super) fn standing(&self, user: &str) -> Result<(UserName, Standing), Refusal> {
        let Some(state) = self.state()? else { return Err(Refusal::NoGoodState) };
        let name: UserName = user.parse().map_err(|_| Refusal::Stranger)?;
        if !state.users.contains_key(&name) {
            return Err(Refusal::Stranger);
        }
        let standing = if Actor::Member(&name).is_admin(&state) { Standing::Admin } else { Standing::Member };
        Ok((name, standing))
    }
}

impl Known {
    fn look(&mut self) -> Result<(), berth_repo::Error> {
        let tip = self.repo.head()?;
        if tip == self.tip {
            return Ok(());
        }
        if let Some(tip) = &tip
            && let Ok(state) = self.repo.load(tip)?.state
        {
            self.state = Some(state);
        }
        self.tip = tip;
        Ok(())
    }
}
