//! The outbox: members' changes are brought to the forge as pull requests, and what becomes of them there is found out.
//!
//! A task of its own: a forge that doesn't answer delays nothing. It looks for changes in the state repo, where the doors put
//! them, and writes down there what came of each. Changes wait apart from each other, longer each time; only a forge that is
//! away, or asks for a pause, holds all of them up.

mod due;
mod round;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use berth_fault::chain;
use berth_judge::outgoing::{self, Outgoing, OutgoingError, Way};
use berth_repo::{OUTGOING, Revision, Stamp, StateRepo};
use berth_schema::remote::{PullRequests, Remote};

use self::due::Dues;
use crate::access::Access;
use crate::api::Api;
use crate::bell::Bell;
use crate::folder::Folder;
use crate::git::Git;
use crate::settings::FollowSettings;
use crate::waits::RateLimit;

/// Time between two looks for changes.
const TICK: Duration = Duration::from_secs(1);

/// The outbox of one forge.
pub(crate) struct Outbox {
    remote: Remote,
    state: PathBuf,
    access: Access,
    limit: RateLimit,
    folder: Arc<Folder>,
    git: Git,
    /// Wakes whoever follows the forge's branch.
    bell: Arc<Bell>,
}

/// The changes at one moment, and the tip of `main`.
#[derive(Clone)]
struct Seen {
    main: Revision,
    platform: String,
    /// Set while `main` says what this outbox goes by.
    is_current: bool,
    changes: Vec<Outgoing>,
}

/// The last look for changes: as long as nothing was written, the next one would find the same.
struct Looked {
    stamp: Option<Stamp>,
    main: Option<Revision>,
    seen: Option<Seen>,
}

impl Outbox {
    pub(crate) fn new(
        remote: &Remote,
        settings: &FollowSettings,
        folder: &Arc<Folder>,
        bell: &Arc<Bell>,
        limit: &RateLimit,
    ) -> Self {
        Self {
            remote: remote.clone(),
            state: settings.state.clone(),
            access: Access::new(remote, &settings.secrets),
            limit: limit.clone(),
            folder: Arc::clone(folder),
            git: Git::new(folder.path(), settings.secrets.clone()),
            bell: Arc::clone(bell),
        }
    }

    /// Brings what there is to the forge, forever.
    pub(crate) async fn keep(self) {
        if self.remote.pull_requests == PullRequests::Off || self.remote.forge.is_none() {
            self.tell(None);
            return std::future::pending().await;
        }
        let mut dues = Dues::new(&self.limit);
        let mut told: Option<Option<String>> = None;
        let mut known: Option<Api> = None;
        let mut looked: Option<Looked> = None;
        loop {
            let api = self.access.api();
            let trouble = api.as_ref().err().map(|error| chain(error));
            if told.as_ref() != Some(&trouble) && self.publish(trouble.as_deref()) {
                told = Some(trouble);
            }
            if let Ok(api) = api {
                // Another token may do what the last one could not.
                if known.as_ref().is_some_and(|known| *known != api) {
                    dues.clear();
                }
                known = Some(api.clone());
                if let Err(error) = self.round(&api, &mut dues, &mut looked).await {
                    tracing::warn!(error = chain(&error), "changes on their way to the forge can't be read");
                }
            }
            tokio::time::sleep(TICK).await;
        }
    }

    /// Tells the doors and operators whether changes can be brought to the forge; returns whether they know.
    fn publish(&self, trouble: Option<&str>) -> bool {
        self.tell(trouble);
        if let Some(trouble) = trouble {
            tracing::warn!(trouble, "no pull request can be opened");
        }
        let way = Way { trouble: trouble.map(str::to_owned) };
        match self.with(|repo| outgoing::tell_way(repo, &way)) {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(error = chain(&error), "doors can't be told how the forge is reached");
                false
            }
        }
    }

    fn tell(&self, trouble: Option<&str>) {
        self.folder.change(|standing| standing.pulls_trouble = trouble.map(str::to_owned));
    }

    /// Lets `work` do something with the state repo.
    fn with<T>(
        &self,
        work: impl FnOnce(&mut StateRepo) -> Result<T, OutgoingError>,
    ) -> Result<T, OutgoingError> {
        tokio::task::block_in_place(|| {
            let failed = |source| OutgoingError::Repo { path: self.state.clone(), source };
            work(&mut StateRepo::open(&self.state).map_err(failed)?)
        })
    }

    /// Looks for changes that something may still happen to.
    fn look(&self, looked: &mut Option<Looked>) -> Result<Option<Seen>, OutgoingError> {
        self.with(|repo| {
            let failed = |source| OutgoingError::Repo { path: self.state.clone(), source };
            let (stamp, main) = (repo.stamp(OUTGOING).map_err(failed)?, repo.head().map_err(failed)?);
            let is_same =
                |before: &&mut Looked| stamp.is_some() && before.stamp == stamp && before.main == main;
            if let Some(before) = looked.as_mut().filter(is_same) {
                return Ok(before.seen.clone());
            }
            let mut changes = outgoing::all(repo)?;
            changes.retain(|change| change.record.landed.is_none());
            let seen = match main {
                Some(main) if !changes.is_empty() => {
                    let state = repo.load(&main).map_err(failed)?.state;
                    let platform = state.as_ref().map(|state| state.platform.domain.to_string());
                    Some(Seen {
                        main,
                        platform: platform.unwrap_or_else(|_| "the platform".to_owned()),
                        is_current: state
                            .is_ok_and(|state| state.platform.remote.as_ref() == Some(&self.remote)),
                        changes,
                    })
                }
                _ => None,
            };
            *looked = Some(Looked { stamp, main, seen: seen.clone() });
            Ok(seen)
        })
    }

    fn put(&self, change: &Outgoing) -> Result<(), OutgoingError> {
        self.with(|repo| outgoing::put(repo, change))
    }

    /// Returns whether Berth merges a change itself.
    fn merges(&self, change: &Outgoing) -> bool {
        self.remote.pull_requests == PullRequests::Merge
            && change.record.is_allowed
            && change.record.is_committed
            && !change.record.withdrawn
    }
}
