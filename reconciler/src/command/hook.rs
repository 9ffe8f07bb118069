//! `berth hook`: what git runs when somebody pushes to the state repo.

use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use berth_repo::{MAIN, StateRepo};
use berth_schema::name::UserName;
use berth_schema::report::Look;
use clap::Subcommand;

use super::Exit;
use super::apply::{short, tell};
use crate::client::Daemon;
use crate::draw::{outcome_line, say};
use crate::event::{Event, Listener};
use crate::hook::{Installed, Update, install, judge, view};
use crate::outcome::chain;
use crate::review::{AfterPush, BRANCHES, after_push};
use crate::settings::Settings;

/// Which hook.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    hook: Hook,
}

#[derive(Debug, Subcommand)]
enum Hook {
    /// Run by git: judge a push, show its plan, accept or refuse it
    PreReceive {
        /// Who pushes, as the door knows them; without it, whoever has the repository's files, who may do everything
        #[arg(long, env = "BERTH_USER", value_name = "USER")]
        user: Option<String>,
        /// Judge a push into this member's view
        #[arg(long, value_name = "USER", conflicts_with = "user")]
        view: Option<UserName>,
    },
    /// Run by git: keep proposals, merge those that need nobody's consent, show how an accepted push is applied
    PostReceive {
        /// Who pushed, as the door knows them; without it, whoever has the repository's files
        #[arg(long, env = "BERTH_USER", value_name = "USER")]
        user: Option<String>,
        /// How long to wait, in seconds. `git push -o no-wait` doesn't wait at all
        #[arg(long, env = "BERTH_WAIT", value_name = "SECONDS", default_value_t = 60)]
        wait: u64,
        /// Of a push into this member's view
        #[arg(long, value_name = "USER")]
        view: Option<UserName>,
    },
    /// Let a state repo judge what is pushed to it
    Install {
        /// The repository. Default: --state
        repo: Option<PathBuf>,
    },
}

pub(super) async fn run(args: &Args, settings: &Settings) -> anyhow::Result<Exit> {
    match &args.hook {
        Hook::PreReceive { view: Some(viewer), .. } => pre_receive_in_view(viewer, settings),
        Hook::PreReceive { user, view: None } => pre_receive(user.as_deref()),
        Hook::PostReceive { user, wait, view } => {
            let wait = Duration::from_secs(*wait);
            match view {
                Some(viewer) => {
                    let updates = view::real(settings, viewer, &updates()?)?;
                    let state = || StateRepo::open(&settings.state);
                    post_receive(state, &updates, Some(viewer.as_str()), wait, settings).await
                }
                None => {
                    let state = StateRepo::open_from_env;
                    post_receive(state, &updates()?, user.as_deref(), wait, settings).await
                }
            }
        }
        Hook::Install { repo } => install_into(repo.as_ref().unwrap_or(&settings.state), settings),
    }
}

fn pre_receive(user: Option<&str>) -> anyhow::Result<Exit> {
    let updates = updates()?;
    let mut repo = StateRepo::open_from_env()?;
    let judgement = judge(&mut repo, &updates, user, look())?;
    tell_pusher(&judgement.text);
    Ok(if judgement.accepted { Exit::Ok } else { Exit::Failed })
}

fn pre_receive_in_view(viewer: &UserName, settings: &Settings) -> anyhow::Result<Exit> {
    let updates = updates()?;
    let quarantine = std::env::var_os("GIT_QUARANTINE_PATH").map(PathBuf::from);
    let judgement = view::judge(settings, viewer, &updates, quarantine.as_deref(), look())?;
    tell_pusher(&judgement.text);
    Ok(if judgement.accepted { Exit::Ok } else { Exit::Failed })
}

/// The push is accepted, whatever happens here: nothing that follows is an error of the push.
async fn post_receive(
    repo: impl FnOnce() -> Result<StateRepo, berth_repo::Error>,
    updates: &[Update],
    user: Option<&str>,
    wait: Duration,
    settings: &Settings,
) -> anyhow::Result<Exit> {
    let merged = match proposals(repo, updates, user) {
        Ok(after) => {
            tell_pusher(&after.text);
            after.merged
        }
        Err(error) => {
            say(&format!("The push is accepted; what follows from it failed: {}", chain(&*error)));
            None
        }
    };
    let pushed = updates.iter().find(|update| update.reference == MAIN).and_then(|update| update.new);
    let Some(revision) = merged.or(pushed) else { return Ok(Exit::Ok) };
    let revision = revision.to_string();
    if push_options().iter().any(|option| option == "no-wait") {
        say(&format!("{} is accepted; `berth status` shows how it is applied.", short(&revision)));
        return Ok(Exit::Ok);
    }
    follow(&revision, wait, settings).await;
    Ok(Exit::Ok)
}

/// What follows for the proposals that a push moved.
fn proposals(
    repo: impl FnOnce() -> Result<StateRepo, berth_repo::Error>,
    updates: &[Update],
    user: Option<&str>,
) -> anyhow::Result<AfterPush> {
    if !updates.iter().any(|update| update.reference.starts_with(BRANCHES)) {
        return Ok(AfterPush::default());
    }
    // The hook before has refused every name that is none.
    let user = user.map(str::parse::<UserName>).transpose().map_err(|invalid| anyhow!("{invalid}"))?;
    Ok(after_push(&repo()?, updates, user.as_ref())?)
}

/// Shows how the new tip of `main` is applied, for at most `wait`.
pub(super) async fn follow(revision: &str, wait: Duration, settings: &Settings) {
    let applied = async {
        let Some(mut daemon) = Daemon::find(&settings.socket()).await? else { return Ok(None) };
        daemon.sync(&Pusher).await.map(Some)
    };
    let revision = short(revision);
    match tokio::time::timeout(wait, applied).await {
        Ok(Ok(Some(record))) => tell(&record),
        Ok(Ok(None)) => {
            say(&format!("{revision} is accepted, and no reconciler runs: it is applied when one does."));
        }
        Ok(Err(error)) => {
            say(&format!("{revision} is accepted; how it is applied can't be shown: {}", chain(&error)));
        }
        Err(_) => say(&format!(
            "{revision} is accepted and still being applied after {} s; `berth status` shows how it goes on.",
            wait.as_secs()
        )),
    }
}

fn install_into(path: &std::path::Path, settings: &Settings) -> anyhow::Result<Exit> {
    let absolute = |path: &std::path::Path| {
        std::path::absolute(path).with_context(|| format!("find {}", path.display()))
    };
    let repo = StateRepo::open(path)?;
    let git_dir = absolute(repo.git_dir())?;
    let program = std::env::current_exe().context("find the program `berth`")?;
    let done = install(&git_dir, &program, &absolute(&settings.data)?)?;
    say(&match done {
        Installed::Written => format!("{}: pushes are judged from now on", path.display()),
        Installed::Unchanged => {
            format!("{}: the hooks are there already; nothing was changed", path.display())
        }
    });
    Ok(Exit::Ok)
}

/// The refs that the push moves: git writes them to a hook's standard input.
fn updates() -> anyhow::Result<Vec<Update>> {
    let mut input = String::new();
    std::io::stdin().read_to_string(&mut input).context("read which refs the push moves")?;
    Ok(input.lines().map(Update::parse).collect::<Result<_, _>>()?)
}

/// `git push -o <option>`
fn push_options() -> Vec<String> {
    let count = std::env::var("GIT_PUSH_OPTION_COUNT").ok().and_then(|count| count.parse::<usize>().ok());
    (0..count.unwrap_or(0)).filter_map(|at| std::env::var(format!("GIT_PUSH_OPTION_{at}")).ok()).collect()
}

/// Git passes colours on to the terminal of whoever pushes, which nobody can ask from here.
fn look() -> Look {
    let asked = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    match asked || push_options().iter().any(|option| option == "no-color") {
        true => Look::Plain,
        false => Look::Coloured,
    }
}

/// Text for whoever pushes. Standard error is a pipe to them, so its own idea of colour would be wrong.
fn tell_pusher(text: &str) {
    let mut stderr = std::io::stderr().lock();
    // Whoever is gone can't be told; the verdict stands.
    let _ = stderr.write_all(text.as_bytes());
    let _ = stderr.flush();
}

/// Tells a pass to whoever pushed, line by line.
struct Pusher;

impl Listener for Pusher {
    fn hear(&self, event: Event) {
        let line = match event {
            Event::Planned { revision, changes, .. } if changes > 0 => {
                format!("Applying {}: {}.", short(&revision), super::counted(changes, "change"))
            }
            Event::Ended(outcome) => outcome_line(&outcome),
            _ => return,
        };
        match look() {
            Look::Coloured => tell_pusher(&format!("{line}\n")),
            Look::Plain => say(&line),
        }
    }
}
