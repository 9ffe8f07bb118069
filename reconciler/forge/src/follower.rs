//! The follower: one look after the other, for as long as `main` names a forge.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use berth_fault::chain;
use berth_host::Waits;
use berth_repo::{Revision, StateRepo};
use berth_schema::remote::Remote;
use berth_schema::{Parsed, State};
use berth_secrets::{MoveError, Secrets, adopt};
use berth_tasks::{TaskError, Tasks};
use berth_wire::Standing;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::access::Access;
use crate::bell::Bell;
use crate::echo::{Echo, Look};
use crate::folder::{Folder, FolderError};
use crate::follow::{Fault, Followed, follow};
use crate::git::Git;
use crate::outbox::Outbox;
use crate::settings::FollowSettings;
use crate::statuses::Statuses;
use crate::waits::RateLimit;
use crate::webhook;

/// The shortest time between two looks, however often the webhook rings.
const SHORTEST: Duration = Duration::from_secs(1);
/// The longest wait after looks that failed, unless `poll` is longer.
const LONGEST: Duration = Duration::from_secs(15 * 60);

/// A forge that can't be followed at all.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub enum FollowError {
    /// The state repo can't be read.
    #[error("cannot read the state repo {path}")]
    Read {
        path: PathBuf,
        #[source]
        source: berth_repo::Error,
    },
    /// Nothing was ever pushed, so nothing says where the forge is.
    #[error(
        "cannot tell where the forge is, since {path} has no commit on main: begin with \
         `git clone --bare <url> {path}`"
    )]
    Empty { path: PathBuf },
    /// `platform.toml` at `main` can't be read.
    #[error("cannot tell where the forge is, since platform.toml at the tip of main has mistakes: {first}")]
    Broken {
        /// The first of the mistakes.
        first: String,
    },
    /// The folder for what is known of the forge can't be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// A secret from before `berth secret` can't be moved to the others.
    #[error(transparent)]
    Secret(#[from] MoveError),
    /// A task that the follower needs has ended.
    #[error(transparent)]
    Task(#[from] TaskError),
}

/// Returns the forge that hosts the state repo, as `main` says. Reads `platform.toml` and nothing else.
pub fn configured(repo: &StateRepo) -> Result<Option<Remote>, FollowError> {
    let path = repo.git_dir().to_owned();
    let failed = |source| FollowError::Read { path: path.clone(), source };
    let head = repo.head().map_err(failed)?.ok_or_else(|| FollowError::Empty { path: path.clone() })?;
    let bytes = repo.read(&head, "platform.toml").map_err(failed)?.unwrap_or_default();
    let parsed = Parsed::parse("platform.toml", &String::from_utf8_lossy(&bytes));
    let state = State::assemble([&parsed]).map_err(|findings| FollowError::Broken {
        first: findings.first().map(ToString::to_string).unwrap_or_default(),
    })?;
    Ok(state.platform.remote.clone())
}

/// A forge that is followed, for as long as `[remote]` says the same.
struct Session {
    remote: Remote,
    git: Git,
    statuses: Option<Statuses>,
    /// Ends the tasks that were started for it.
    stop: CancellationToken,
    failures: u32,
    /// The looks that a ring is good for.
    echo: Echo,
}

/// Follows the forge until `tasks` are asked to end, or until `main` names none any more.
pub async fn run(settings: &FollowSettings, tasks: &Tasks) -> Result<(), FollowError> {
    let worked = work(settings, tasks).await;
    let ended = tasks.end().await;
    worked?;
    Ok(ended?)
}

async fn work(settings: &FollowSettings, tasks: &Tasks) -> Result<(), FollowError> {
    let (stop, pulse) = (tasks.stop(), tasks.pulse());
    // The first look may take as long as a forge that doesn't answer.
    pulse.beat();
    let failed = |source| FollowError::Read { path: settings.state.clone(), source };
    let mut repo = StateRepo::open(&settings.state).map_err(failed)?;
    let folder = Arc::new(Folder::open(&settings.folder)?);
    let bell = Arc::<Bell>::default();
    let mut session: Option<Session> = None;
    while !stop.is_cancelled() {
        let main = repo.head().ok().flatten();
        match (tokio::task::block_in_place(|| configured(&repo)), &session) {
            (Ok(None), _) => {
                tracing::info!("platform.toml has no [remote]: nothing is followed");
                break;
            }
            (Ok(Some(remote)), Some(known)) if known.remote == remote => {}
            (Ok(Some(remote)), _) => {
                drop(session.take());
                adopt_secrets(&remote, folder.path(), &settings.secrets).inspect_err(|error| {
                    folder.change(|standing| standing.trouble = Some(chain(error)));
                })?;
                session = Some(Session::begin(remote, &folder, settings, &bell, tasks));
            }
            // What was followed until now is followed on: that is where a mended tip comes from.
            (Err(error), Some(_)) => tracing::warn!(error = %chain(&error), "[remote] can't be read"),
            (Err(error), None) => return Err(error),
        }
        let Some(session) = &mut session else { break };
        let wait = session.look(&mut repo, &folder, stop).await;
        let rung = async {
            tokio::time::sleep(SHORTEST).await;
            bell.rung().await
        };
        let due = async {
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(wait) => {}
                times = rung => {
                    tracing::debug!(times, "the webhook rang");
                    session.echo.ring(times);
                }
                // Somebody on this machine may have brought another `[remote]`.
                () = leaves(&mut repo, main) => {}
            }
        };
        pulse.wait(due).await;
    }
    Ok(())
}

/// Waits until `main` isn't at a commit any more.
async fn leaves(repo: &mut StateRepo, main: Option<Revision>) {
    loop {
        tokio::time::sleep(SHORTEST).await;
        if repo.head().is_ok_and(|head| head != main) {
            return;
        }
    }
}

/// Moves secrets that lie in `folder`, where they were before `berth secret`, to the others.
fn adopt_secrets(remote: &Remote, folder: &Path, secrets: &Secrets) -> Result<(), MoveError> {
    let files = [
        ("token", &remote.token),
        ("webhook-secret", &remote.webhook_secret),
        ("deploy-key", &remote.deploy_key),
    ];
    for (file, name) in files {
        let from = folder.join(file);
        if let Some(to) = adopt(secrets, &from, name)? {
            tracing::info!(from = %from.display(), to = %to.display(), "a secret was moved to its new place");
        }
    }
    Ok(())
}

impl Session {
    fn begin(
        remote: Remote,
        folder: &Arc<Folder>,
        settings: &FollowSettings,
        bell: &Arc<Bell>,
        tasks: &Tasks,
    ) -> Self {
        tracing::info!(url = %remote.url, branch = %remote.branch, "following the forge");
        let stop = tasks.stop().child_token();
        folder.change(|standing| {
            let same = standing.url == remote.url.as_str() && standing.branch == remote.branch.as_str();
            let before = if same { std::mem::take(standing) } else { Standing::default() };
            *standing = Standing {
                url: remote.url.to_string(),
                branch: remote.branch.to_string(),
                listening: None,
                // Judged anew by a new process, which may know better.
                refused: None,
                telling_trouble: None,
                webhook_trouble: None,
                ..before
            };
        });
        let limit = RateLimit::default();
        let statuses = remote.forge.map(|_| {
            let access = Access::new(&remote, &settings.secrets);
            Statuses::begin(access, folder, settings.socket.clone(), &limit, tasks, &stop)
        });
        if let (Some(forge), Some(address)) = (remote.forge, remote.listen) {
            let listening = webhook::Listening {
                forge,
                address,
                branch: remote.branch.clone(),
                secrets: settings.secrets.clone(),
                secret: remote.webhook_secret.clone(),
                folder: Arc::clone(folder),
                bell: Arc::clone(bell),
            };
            tasks.keep_until(&stop, "the webhook", listening.keep());
        }
        let outbox = Outbox::new(&remote, settings, folder, bell, &limit);
        tasks.keep_until(&stop, "the task that opens pull requests", outbox.keep());
        let git = Git::new(folder.path(), settings.secrets.clone());
        Self { remote, git, statuses, stop, failures: 0, echo: Echo::default() }
    }

    /// Looks at the forge once, and returns how long to wait until the next look: not at all where `main` moved.
    async fn look(&mut self, repo: &mut StateRepo, folder: &Folder, stop: &CancellationToken) -> Duration {
        let refused_before = folder.standing().refused;
        let followed = tokio::select! {
            followed = follow(repo, &self.git, &self.remote, folder, refused_before.as_ref()) => followed,
            // Whatever git is doing ends with it; `main` moves in one step, or not at all.
            () = stop.cancelled() => return Duration::ZERO,
        };
        let look = match followed {
            Ok(followed) => {
                tracing::debug!(tip = %followed.tip(), "looked at the forge");
                if self.failures > 0 {
                    tracing::info!("the forge answers again");
                }
                self.failures = 0;
                let is_meant = !matches!(followed, Followed::Moved { .. }) || self.is_meant(repo);
                self.tell(&followed, folder, is_meant);
                // `[remote]` may say something else by now, such as that nothing is merged any more.
                match followed {
                    Followed::Moved { .. } => {
                        self.echo.after(Look::Found);
                        return Duration::ZERO;
                    }
                    Followed::Refused { new: true, .. } => Look::Found,
                    Followed::Same(_) | Followed::Refused { .. } => Look::Nothing,
                }
            }
            Err(error) => {
                self.failures = self.failures.saturating_add(1);
                let error = chain(&error);
                tracing::warn!(error, failures = self.failures, "the forge can't be followed");
                folder.change(|standing| standing.trouble = Some(error));
                Look::Failed
            }
        };
        let chance = Timestamp::now().subsec_nanosecond().unsigned_abs();
        let wait = wait(self.remote.poll.duration(), self.failures, chance);
        self.echo.after(look).map_or(wait, |soon| soon.min(wait))
    }

    /// Returns whether `main` says the same of the forge still. The next session tells it otherwise, under another name for instance.
    fn is_meant(&self, repo: &StateRepo) -> bool {
        tokio::task::block_in_place(|| configured(repo))
            .is_ok_and(|remote| remote.as_ref() == Some(&self.remote))
    }

    fn tell(&self, followed: &Followed, folder: &Folder, is_meant: bool) {
        let (refused, told) = match followed {
            Followed::Refused { refusal, fault, new } => {
                if *new {
                    let (revision, why) = (&refusal.revision, refusal.first());
                    tracing::warn!(%revision, why, hint = refusal.hint, "main doesn't follow the forge");
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
        if let Some(statuses) = self.statuses.as_ref().filter(|_| told && is_meant) {
            match &refused {
                Some(refusal) => statuses.refused(tip, refusal.first()),
                None => statuses.accepted(tip),
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

/// Returns the wait after a look: `poll`, twice as long after each failure, and up to a tenth more or less, so that many
/// hosts don't ask a forge in step. `chance` is any number that differs between them.
fn wait(poll: Duration, failures: u32, chance: u32) -> Duration {
    let doubled = Waits::new(poll, LONGEST).after(failures);
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
