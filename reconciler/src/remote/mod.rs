//! The forge that hosts the state repo: its branch is followed, and it is told what became of its commits.
//!
//! Owns the way from a push on the forge to `main` here: look, fetch, judge, move `main` forward. Refuses what the hook would
//! refuse, and a branch whose history was rewritten; `main` stays where it is then. Never touches the engine: the reconciler
//! sees that `main` moved, as it does after any push.

mod folder;
mod follow;
mod forge;
mod git;
mod outcomes;
mod secrets;
mod standing;
mod statuses;
mod webhook;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use berth_repo::StateRepo;
use berth_schema::remote::Remote;
use berth_schema::{Parsed, State};
use jiff::Timestamp;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::outcome::chain;
use crate::settings::Settings;
use folder::Folder;
use follow::{Fault, Followed, follow};
use git::Git;
use statuses::Statuses;

pub use folder::FolderError;
pub use standing::{Refusal, Standing};

/// Looks that follow each other are this far apart, however often the webhook rings.
const SHORTEST: Duration = Duration::from_secs(1);
/// The longest wait after looks that failed, unless `poll` is longer.
const LONGEST: Duration = Duration::from_secs(15 * 60);

/// Why the forge can't be followed at all.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// The state repo can't be read.
    #[error("read the state repo {path}")]
    Read {
        /// Where it is.
        path: PathBuf,
        /// Why.
        #[source]
        source: berth_repo::Error,
    },
    /// Nothing was ever pushed, so nothing says where the forge is.
    #[error(
        "{path} has no commit on main, so nothing says where the forge is: begin with \
         `git clone --bare <url> {path}`"
    )]
    Empty {
        /// Where it is.
        path: PathBuf,
    },
    /// `platform.toml` at `main` can't be read.
    #[error("platform.toml at the tip of main has mistakes, so nothing says where the forge is: {first}")]
    Broken {
        /// The first of them.
        first: String,
    },
    /// The folder for what is known of the forge.
    #[error(transparent)]
    Folder(#[from] FolderError),
}

/// The forge that `main` says hosts the state repo. Reads `platform.toml` and nothing else.
pub fn configured(repo: &StateRepo) -> Result<Option<Remote>, RemoteError> {
    let path = repo.git_dir().to_owned();
    let failed = |source| RemoteError::Read { path: path.clone(), source };
    let head = repo.head().map_err(failed)?.ok_or_else(|| RemoteError::Empty { path: path.clone() })?;
    let bytes = repo.read(&head, "platform.toml").map_err(failed)?.unwrap_or_default();
    let parsed = Parsed::parse("platform.toml", &String::from_utf8_lossy(&bytes));
    let state = State::assemble([&parsed]).map_err(|findings| RemoteError::Broken {
        first: findings.first().map(ToString::to_string).unwrap_or_default(),
    })?;
    Ok(state.platform.remote.clone())
}

/// What goes on for as long as `[remote]` says the same.
struct Session {
    remote: Remote,
    git: Git,
    statuses: Option<Statuses>,
    /// Ends what was started for it.
    stop: CancellationToken,
    failures: u32,
}

/// Follows the forge until `stop`, or until `main` names none any more.
pub async fn run(settings: &Settings, stop: &CancellationToken) -> Result<(), RemoteError> {
    let failed = |source| RemoteError::Read { path: settings.state.clone(), source };
    let mut repo = StateRepo::open(&settings.state).map_err(failed)?;
    let folder = Arc::new(Folder::open(&settings.remote())?);
    let bell = Arc::new(Notify::new());
    let mut session: Option<Session> = None;
    while !stop.is_cancelled() {
        match (tokio::task::block_in_place(|| configured(&repo)), &session) {
            (Ok(None), _) => {
                tracing::info!("platform.toml has no [remote]: nothing is followed");
                break;
            }
            (Ok(Some(remote)), Some(known)) if known.remote == remote => {}
            (Ok(Some(remote)), _) => {
                drop(session.take());
                session = Some(Session::begin(remote, &folder, settings, &bell, stop));
            }
            // What was followed until now is followed on: that is where a mended tip comes from.
            (Err(error), Some(_)) => tracing::warn!(error = %chain(&error), "[remote] can't be read"),
            (Err(error), None) => return Err(error),
        }
        let Some(session) = &mut session else { break };
        let wait = session.look(&mut repo, &folder, stop).await;
        let rung = async {
            tokio::time::sleep(SHORTEST).await;
            bell.notified().await;
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(wait) => {}
            () = rung => tracing::debug!("the webhook rang"),
        }
    }
    Ok(())
}

impl Session {
    fn begin(
        remote: Remote,
        folder: &Arc<Folder>,
        settings: &Settings,
        bell: &Arc<Notify>,
        stop: &CancellationToken,
    ) -> Self {
        tracing::info!(url = %remote.url, branch = %remote.branch, "following the forge");
        let stop = stop.child_token();
        folder.change(|standing| {
            let same = standing.url == remote.url.as_str() && standing.branch == remote.branch.as_str();
            let before = if same { std::mem::take(standing) } else { Standing::default() };
            *standing = Standing {
                url: remote.url.to_string(),
                branch: remote.branch.to_string(),
                listening: None,
                // Judged anew by a new process, which may know better.
                refused: None,
                ..before
            };
        });
        let statuses = Statuses::begin(&remote, folder, settings.socket(), &stop);
        if let (Some(forge), Some(address)) = (remote.forge, remote.listen) {
            let listening = webhook::Listening {
                forge,
                address,
                branch: remote.branch.clone(),
                folder: Arc::clone(folder),
                bell: Arc::clone(bell),
            };
            tokio::spawn(listening.keep(stop.clone()));
        }
        let git = Git::new(folder.path());
        Self { remote, git, statuses, stop, failures: 0 }
    }

    /// Looks at the forge once, and returns how long to wait until the next look.
    async fn look(&mut self, repo: &mut StateRepo, folder: &Folder, stop: &CancellationToken) -> Duration {
        let refused_before = folder.standing().refused;
        let followed = tokio::select! {
            followed = follow(repo, &self.git, &self.remote, folder, refused_before.as_ref()) => followed,
            // Whatever git is doing ends with it; `main` moves in one step, or not at all.
            () = stop.cancelled() => return Duration::ZERO,
        };
        match followed {
            Ok(followed) => {
                tracing::debug!(tip = followed.tip(), "looked at the forge");
                if self.failures > 0 {
                    tracing::info!("the forge answers again");
                }
                self.failures = 0;
                self.tell(&followed, folder);
            }
            Err(error) => {
                self.failures = self.failures.saturating_add(1);
                let error = chain(&error);
                tracing::warn!(error, failures = self.failures, "the forge can't be followed");
                folder.change(|standing| standing.trouble = Some(error));
            }
        }
        wait(self.remote.poll.duration(), self.failures, Timestamp::now().subsec_nanosecond().unsigned_abs())
    }

    fn tell(&self, followed: &Followed, folder: &Folder) {
        let (refused, told) = match followed {
            Followed::Refused { refusal, fault, new } => {
                if *new {
                    let (revision, why) = (&refusal.revision, refusal.first());
                    tracing::warn!(revision, why, hint = refusal.hint, "main doesn't follow the forge");
                }
                (Some(refusal.clone()), *fault == Fault::Tip)
            }
            Followed::Moved { from, to } => {
                tracing::info!(%from, %to, "main follows the forge");
                (None, true)
            }
            Followed::Same(_) => (None, true),
        };
        let tip = followed.tip();
        if let Some(statuses) = self.statuses.as_ref().filter(|_| told) {
            match &refused {
                Some(refusal) => statuses.refused(&tip, refusal.first()),
                None => statuses.accepted(&tip),
            }
        }
        folder.change(|standing| {
            standing.looked_at = Some(Timestamp::now());
            standing.tip = Some(tip);
            standing.trouble = None;
            standing.refused = refused;
        });
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// How long to wait after a look: `poll`, twice as long after each failure, and a tenth more or less, so that many hosts
/// don't ask a forge in step. `chance` is anything that differs between them.
fn wait(poll: Duration, failures: u32, chance: u32) -> Duration {
    let longest = LONGEST.max(poll);
    let doubled = poll.saturating_mul(2_u32.saturating_pow(failures.min(20))).min(longest);
    let tenth = doubled / 10;
    doubled - tenth + tenth * 2 * (chance % 1000) / 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_with_failures_and_has_an_end() {
        let minute = Duration::from_secs(60);
        assert_eq!(wait(minute, 0, 500), minute);
        assert_eq!(wait(minute, 0, 0), Duration::from_secs(54));
        assert!(wait(minute, 0, 999) < Duration::from_secs(66));
        assert_eq!(wait(minute, 2, 500), minute * 4);
        assert_eq!(wait(minute, u32::MAX, 500), LONGEST);
        let day = Duration::from_secs(24 * 60 * 60);
        assert_eq!(wait(day, 3, 500), day);
    }
}
