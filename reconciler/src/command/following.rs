//! Processes that `main` may want or not: `berth remote`, `acme`, `oidc`, `mail` and `alarms send`. With `--follow` they stay and wait for it, and begin
//! anew when what it says of them changes.

use std::fs::DirBuilder;
use std::future::Future;
use std::os::unix::fs::DirBuilderExt as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use berth_host::{FileLock, service};
use berth_repo::StateRepo;
use berth_schema::platform::Platform;
use berth_tasks::Tasks;

use super::Exit;
use super::supervised::Supervised;
use super::up::followed::changed;
use crate::settings::Settings;
use crate::source;
use crate::wakeup::Wakeups;
use crate::watch;

/// Longest wait for the lock that is a sign of life. Whoever looks whether it is held holds it for a moment.
const SIGN: Duration = Duration::from_secs(2);

/// Options of such a process.
#[derive(Debug, Clone, Copy, clap::Args)]
#[group(skip)]
pub(super) struct Args {
    #[command(flatten)]
    supervised: Supervised,
    /// Wait for its settings in platform.toml where there are none, and begin anew when they change: systemd starts it so
    #[arg(long)]
    follow: bool,
}

/// Such a process, before it works.
pub(super) struct Begun {
    /// Its tasks, which a signal ends.
    pub(super) tasks: Tasks,
    /// Set where it waits for its settings.
    pub(super) follows: bool,
    repo: StateRepo,
    _alive: Option<FileLock>,
}

/// Takes the lock that tells that a command runs. One that can't be had is told, and stops nothing: it is for alarms alone.
pub(super) fn give_sign(settings: &Settings, name: &str) -> Option<FileLock> {
    let path = settings.alive(name);
    let folder = path.parent().unwrap_or(&settings.data);
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    let taken = made.and_then(|()| FileLock::take(&path, SIGN));
    taken.inspect_err(|error| tracing::warn!(%error, "alarms can't be told that this process runs")).ok()
}

impl Args {
    /// Begins as the command of that name: from here on a signal ends it, and a lock is its sign of life.
    pub(super) fn begin(self, settings: &Settings, name: &str) -> anyhow::Result<Begun> {
        let tasks = Tasks::until_signalled().context("cannot listen to signals")?.with_pulse(service::alive);
        self.supervised.end_with_parent()?;
        let repo = StateRepo::open(&settings.state).context("cannot open the state repo")?;
        Ok(Begun { tasks, follows: self.follow, repo, _alive: give_sign(settings, name) })
    }
}

impl Begun {
    /// Works, once or for as long as `main` wants it, and comes to an end. `read` and `work` are those of [`follow`].
    pub(super) async fn run<W: PartialEq, F: Future<Output = anyhow::Result<()>>>(
        self,
        read: impl Fn(&StateRepo) -> Option<Option<W>>,
        mut work: impl FnMut(Tasks) -> F,
    ) -> anyhow::Result<Exit> {
        match self.follows {
            true => follow(&self.repo, read, &self.tasks, work).await?,
            false => work(self.tasks.clone()).await?,
        }
        self.tasks.end().await?;
        Ok(Exit::Ok)
    }
}

/// Reads the settings that `main` has.
pub(super) fn platform(settings: &Settings) -> anyhow::Result<Arc<Platform>> {
    let repo = StateRepo::open(&settings.state).context("cannot open the state repo")?;
    let Some(platform) = source::platform(&repo) else {
        bail!("cannot read platform.toml on main: `berth check` says why");
    };
    Ok(platform)
}

/// Works for as long as `main` wants it, until `tasks` are asked to end. `read` says what `main` wants, as in [`super::up::followed`]; `work`
/// reads it again, and ends when its own tasks are asked to.
async fn follow<W: PartialEq, F: Future<Output = anyhow::Result<()>>>(
    repo: &StateRepo,
    read: impl Fn(&StateRepo) -> Option<Option<W>>,
    tasks: &Tasks,
    mut work: impl FnMut(Tasks) -> F,
) -> anyhow::Result<()> {
    let read = || tokio::task::block_in_place(|| read(repo));
    let moved = Wakeups::default();
    let _refs = watch::refs(repo.git_dir(), moved.clone());
    let mut wanted = None;
    while !tasks.stop().is_cancelled() {
        wanted = read().unwrap_or(wanted);
        if wanted.is_none() {
            tasks.pulse().wait(changed(&moved, tasks.stop())).await;
            continue;
        }
        let part = tasks.part();
        let end = part.stop().clone();
        let works = async {
            let worked = work(part).await;
            end.cancel();
            worked
        };
        let looks = async {
            while !end.is_cancelled() {
                changed(&moved, &end).await;
                if read().is_some_and(|now| now != wanted) {
                    end.cancel();
                }
            }
        };
        tokio::join!(works, looks).0?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use anyhow::bail;
    use berth_testing::{git, put, until};
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::source;

    /// Commits a `platform.toml` with this after its first line.
    fn commit(state: &std::path::Path, more: &str) {
        put(state, "platform.toml", format!("domain = \"hosting.example.org\"\n{more}"));
        for arguments in [&["add", "."][..], &["commit", "-q", "-m", "platform"]] {
            assert!(git(state).args(arguments).status().unwrap().success());
        }
    }

    fn title(repo: &StateRepo) -> Option<Option<String>> {
        source::platform(repo).map(|platform| platform.organisation.title.clone())
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn it_waits_for_its_settings_and_begins_anew_with_others() {
        let home = tempfile::tempdir().unwrap();
        let state = home.path().to_owned();
        git(&state).args(["init", "-q", "-b", "main"]).status().unwrap();
        commit(&state, "");
        let repo = StateRepo::open(&state).unwrap();
        let tasks = Tasks::new(CancellationToken::new());
        let (begun, ended) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let works = follow(&repo, title, &tasks, |part| {
            begun.fetch_add(1, Ordering::SeqCst);
            let ended = &ended;
            async move {
                part.stop().cancelled().await;
                ended.fetch_add(1, Ordering::SeqCst);
                Ok(())
            }
        });
        let counts = || (begun.load(Ordering::SeqCst), ended.load(Ordering::SeqCst));
        let admin = async {
            let stop = tasks.stop().clone();
            tokio::task::block_in_place(|| {
                assert_eq!(counts(), (0, 0), "it waits");
                commit(&state, "[organisation]\ntitle = \"A club\"\n");
            });
            let reached = |wanted| async move {
                while counts() != wanted {
                    tokio::task::yield_now().await;
                }
            };
            reached((1, 0)).await;
            commit(&state, "[organisation]\ntitle = \"Another\"\n");
            reached((2, 1)).await;
            commit(&state, "");
            reached((2, 2)).await;
            stop.cancel();
        };
        tokio::join!(async { works.await.unwrap() }, admin);
        until("nothing is left", || counts() == (2, 2));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_failure_ends_it() {
        let home = tempfile::tempdir().unwrap();
        git(home.path()).args(["init", "-q", "-b", "main"]).status().unwrap();
        commit(home.path(), "[organisation]\ntitle = \"A club\"\n");
        let repo = StateRepo::open(home.path()).unwrap();
        let tasks = Tasks::new(CancellationToken::new());
        let failed = follow(&repo, title, &tasks, |_| async { bail!("no socket") }).await;
        assert_eq!(failed.unwrap_err().to_string(), "no socket");
    }
}
