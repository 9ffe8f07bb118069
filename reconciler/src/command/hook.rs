//! `berth hook`: what git runs when somebody pushes to the state repo.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use berth_plan::Identities;
use berth_plan::observed::HostRules;
use berth_repo::{MAIN, StateRepo};
use berth_schema::State;
use berth_schema::name::UserName;
use berth_schema::report::Look;
use clap::Subcommand;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::Exit;
use super::apply::{short, tell};
use crate::client::{ClientError, Daemon};
use crate::draw::{outcome_line, say};
use crate::event::{Event, Listener};
use crate::hook::{Asker, Engine, Installed, Update, install, judge, view};
use crate::identity::Identity;
use crate::journal::PassRecord;
use crate::look::Sight;
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
        /// Judge a push into this member's view, whoever --user is
        #[arg(long, value_name = "USER")]
        view: Option<UserName>,
        /// How long the engine may take to show itself, in seconds: a stuck one must not hold up every push
        #[arg(long, env = "BERTH_LOOK", value_name = "SECONDS", default_value_t = 15)]
        look: u64,
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
        Hook::PreReceive { user, view, look } => {
            let engine = Reconciler { settings, within: Duration::from_secs(*look), begun: Mutex::default() };
            pre_receive(user.as_deref(), view.as_ref(), &engine, settings)
        }
        Hook::PostReceive { user, wait, view } => {
            let wait = Duration::from_secs(*wait);
            match view {
                Some(viewer) => {
                    let pushed = updates()?;
                    let updates = view::real(settings, viewer, &pushed)?;
                    let state = || StateRepo::open(&settings.state);
                    let names = Names::of(&updates, &pushed);
                    post_receive(state, &updates, Some(viewer.as_str()), &names, wait, settings).await
                }
                None => {
                    let (state, names) = (StateRepo::open_from_env, Names::default());
                    post_receive(state, &updates()?, user.as_deref(), &names, wait, settings).await
                }
            }
        }
        Hook::Install { repo } => install_into(repo.as_ref().unwrap_or(&settings.state), settings),
    }
}

fn pre_receive(
    user: Option<&str>,
    viewer: Option<&UserName>,
    engine: &Reconciler<'_>,
    settings: &Settings,
) -> anyhow::Result<Exit> {
    let updates = updates()?;
    if updates.iter().any(|update| update.reference == MAIN && update.new.is_some()) {
        engine.begin();
    }
    let asker = Asker { user, look: look(), engine, resolver: settings.resolver };
    let judgement = match viewer {
        Some(viewer) => {
            let quarantine = std::env::var_os("GIT_QUARANTINE_PATH").map(PathBuf::from);
            view::judge(settings, viewer, &updates, quarantine.as_deref(), asker)?
        }
        None => judge(&mut StateRepo::open_from_env()?, &updates, asker)?,
    };
    tell_pusher(&judgement.text);
    Ok(if judgement.accepted { Exit::Ok } else { Exit::Failed })
}

/// The reconciler, which sees the engine.
struct Reconciler<'a> {
    settings: &'a Settings,
    /// How long it may take.
    within: Duration,
    /// A look that was begun before anybody needed it: while the engine is listed, the hook reads and judges.
    begun: Mutex<Option<JoinHandle<Looked>>>,
}

/// What the reconciler sees; nothing where none runs.
type Looked = Result<Option<Sight>, ClientError>;

async fn look_by(socket: PathBuf, firewall: Option<bool>) -> Looked {
    match Daemon::find(&socket).await? {
        Some(mut daemon) => daemon.observed(firewall).await.map(Some),
        None => Ok(None),
    }
}

impl Reconciler<'_> {
    /// Begins to look, with the host's rules if the last pass needed them, which the next one will too, nearly always.
    fn begin(&self) {
        let looks = tokio::spawn(look_by(self.settings.socket(), None));
        *self.begun.lock().unwrap_or_else(PoisonError::into_inner) = Some(looks);
    }

    async fn looked(&self, firewall: bool) -> Looked {
        let begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(begun) = begun
            && let Ok(looked) = begun.await
            && let Some(mut sight) = looked?
            && (sight.observed.host_rules != HostRules::Absent || !firewall)
        {
            if !firewall {
                // As a pass would see it, which doesn't look at them then.
                sight.observed.host_rules = HostRules::Absent;
            }
            return Ok(Some(sight));
        }
        look_by(self.settings.socket(), Some(firewall)).await
    }
}

impl Engine for Reconciler<'_> {
    fn look(&self, firewall: bool) -> Result<Sight, String> {
        let bounded = async { tokio::time::timeout(self.within, self.looked(firewall)).await };
        match tokio::task::block_in_place(|| Handle::current().block_on(bounded)) {
            Ok(Ok(Some(sight))) => Ok(sight),
            Ok(Ok(None)) => Err("no reconciler runs, so nobody sees the engine".to_owned()),
            Ok(Err(error)) => Err(format!("the engine can't be seen ({})", chain(&error))),
            Err(_) => {
                Err(format!("the reconciler didn't show the engine within {} s", self.within.as_secs()))
            }
        }
    }

    fn identities(&self, state: &State) -> Result<Identities, String> {
        Identity::shown(&self.settings.data, state.servers.keys().copied())
            .map_err(|error| format!("the platform's keys can't be read ({})", chain(&error)))
    }
}

/// The push is accepted, whatever happens here: nothing that follows is an error of the push.
async fn post_receive(
    repo: impl FnOnce() -> Result<StateRepo, berth_repo::Error>,
    updates: &[Update],
    user: Option<&str>,
    names: &Names,
    wait: Duration,
    settings: &Settings,
) -> anyhow::Result<Exit> {
    let merged = match proposals(repo, updates, user, settings.resolver) {
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
        let revision = names.of_pushed(&revision);
        say(&format!("{} is accepted; `berth status` shows how it is applied.", short(revision)));
        return Ok(Exit::Ok);
    }
    follow(&revision, names, wait, settings).await;
    Ok(Exit::Ok)
}

/// What follows for the proposals that a push moved.
fn proposals(
    repo: impl FnOnce() -> Result<StateRepo, berth_repo::Error>,
    updates: &[Update],
    user: Option<&str>,
    resolver: Option<SocketAddr>,
) -> anyhow::Result<AfterPush> {
    if !updates.iter().any(|update| update.reference.starts_with(BRANCHES)) {
        return Ok(AfterPush::default());
    }
    // The hook before has refused every name that is none.
    let user = user.map(str::parse::<UserName>).transpose().map_err(|invalid| anyhow!("{invalid}"))?;
    Ok(after_push(&repo()?, updates, user.as_ref(), resolver)?)
}

/// Shows how the new tip of `main` is applied, for at most `wait`. What fails and is tried again is followed on.
pub(super) async fn follow(revision: &str, names: &Names, wait: Duration, settings: &Settings) {
    let pusher = Pusher { names, failed: Mutex::default() };
    let applied = async {
        let Some(mut daemon) = Daemon::find(&settings.socket()).await? else { return Ok(None) };
        daemon.follow(revision, &pusher).await.map(Some)
    };
    let ended = tokio::time::timeout(wait, applied).await;
    let shown = short(names.of_pushed(revision));
    match ended {
        Ok(Ok(Some(record))) => {
            if record.attempted != revision {
                let other = short(names.of_pushed(&record.attempted));
                say(&format!("{shown} is accepted; main is at {other} by now, which is what is applied:"));
            }
            tell(&names.in_record(record));
        }
        Ok(Ok(None)) => {
            say(&format!("{shown} is accepted, and no reconciler runs: it is applied when one does."));
        }
        Ok(Err(error)) => {
            say(&format!("{shown} is accepted; how it is applied can't be shown: {}", chain(&error)));
        }
        Err(_) => {
            let still = match pusher.failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
                Some(record) => {
                    tell(&names.in_record(record));
                    "tried again"
                }
                None => "being applied",
            };
            say(&format!(
                "{shown} is accepted and still {still} after {} s; `berth status` shows how it goes on.",
                wait.as_secs()
            ));
        }
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

/// What whoever pushed calls the commits that were accepted: in a view they have other ids.
#[derive(Debug, Default)]
pub(super) struct Names(Vec<(String, String)>);

impl Names {
    /// The names that were pushed, of what was accepted in their place.
    fn of(accepted: &[Update], pushed: &[Update]) -> Self {
        let pairs = accepted.iter().zip(pushed);
        let names =
            pairs.filter_map(|(accepted, pushed)| Some((accepted.new?.to_string(), pushed.new?.to_string())));
        Self(names.collect())
    }

    /// A record that names what was pushed.
    fn in_record(&self, mut record: PassRecord) -> PassRecord {
        record.attempted = self.of_pushed(&record.attempted).to_owned();
        record.revision = record.revision.map(|revision| self.of_pushed(&revision).to_owned());
        record
    }

    fn of_pushed<'a>(&'a self, revision: &'a str) -> &'a str {
        let known = self.0.iter().find(|(accepted, _)| accepted == revision);
        known.map_or(revision, |(_, pushed)| pushed)
    }
}

/// Tells passes to whoever pushed, line by line.
struct Pusher<'a> {
    names: &'a Names,
    /// What the last pass came to, if something of it failed and is tried again.
    failed: Mutex<Option<PassRecord>>,
}

impl Pusher<'_> {
    /// What is said of a failure that is tried again; nothing of a pass in between, in which it only waited.
    fn tried_again(&self, record: PassRecord) -> Option<String> {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        let is_first = failed.is_none();
        let (count, wait) =
            (record.outcomes.iter().filter(|outcome| !outcome.is_done()).count(), record.retry_millis?);
        let wait = wait.div_ceil(1000);
        let line = match count {
            0 if is_first => {
                let why = record.problems.join("\n  ");
                Some(format!("  {why}\nIt is tried again in {wait} s."))
            }
            0 => None,
            _ => Some(format!("{count} failed, to be tried again in {wait} s.")),
        };
        *failed = Some(record);
        line
    }
}

impl Listener for Pusher<'_> {
    fn hear(&self, event: Event) {
        let line = match event {
            Event::Planned { revision, changes, digest, .. } if changes > 0 => {
                let changes = super::counted(changes, "change");
                let revision = short(self.names.of_pushed(&revision));
                let is_first = self.failed.lock().unwrap_or_else(PoisonError::into_inner).is_none();
                let verb = if is_first { "Applying" } else { "Trying again to apply" };
                format!("{verb} {revision}: {changes} (plan {digest}).")
            }
            Event::Ended(outcome) => outcome_line(&outcome),
            Event::PassEnded(record) => match self.tried_again(record) {
                Some(line) => line,
                None => return,
            },
            _ => return,
        };
        match look() {
            Look::Coloured => tell_pusher(&format!("{line}\n")),
            Look::Plain => say(&line),
        }
    }
}
