//! `berth hook`: the hooks that git runs when somebody pushes to the state repo.

mod as_owner;

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use berth_door::Asking;
use berth_fault::chain;
use berth_judge::Update;
use berth_judge::hook::{Acts, Asker, Installed, install, judge, view};
use berth_judge::review::{AfterPush, after_push};
use berth_repo::{Closed, MAIN, PROPOSALS, Revision, Source, StateRepo};
use berth_schema::Origin;
use berth_schema::name::UserName;
use berth_schema::report::Look;
use berth_schema::text::{counted, page};
use berth_wire::client::Daemon;
use berth_wire::{Event, Listener, PassRecord};
use clap::Subcommand;
use parking_lot::Mutex;

use super::Exit;
use super::apply::tell;
use crate::draw::{Tally, say};
use crate::settings::Settings;

/// Hook to run or install.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    hook: Hook,
}

#[derive(Debug, Subcommand)]
enum Hook {
    /// Judge a push, show its plan, accept or refuse it (git runs this)
    PreReceive {
        /// Name of the pusher, as the door knows it. Default: somebody with the repository's files, who may do everything
        #[arg(long, env = "BERTH_USER", value_name = "USER")]
        user: Option<String>,
        /// Judge a push into this member's view, whoever --user is
        #[arg(long, value_name = "USER")]
        view: Option<UserName>,
        /// Seconds for the engine to answer: a stuck one must not hold up every push
        #[arg(long, env = "BERTH_LOOK", value_name = "SECONDS", default_value_t = 15)]
        look: u64,
        /// Address of the pusher, as the door knows it
        #[arg(long, env = "BERTH_FROM", value_name = "ADDRESS", hide = true)]
        from: Option<IpAddr>,
    },
    /// Keep proposals, merge those that need no consent, show how an accepted push is applied (git runs this)
    PostReceive {
        /// Name of the pusher, as the door knows it. Default: somebody with the repository's files
        #[arg(long, env = "BERTH_USER", value_name = "USER")]
        user: Option<String>,
        /// Seconds to wait for the result. `git push -o no-wait` doesn't wait at all
        #[arg(long, env = "BERTH_WAIT", value_name = "SECONDS", default_value_t = 60)]
        wait: u64,
        /// The push went into this member's view
        #[arg(long, value_name = "USER")]
        view: Option<UserName>,
    },
    /// Run by git: refuse to tidy up as root what another user owns
    PreAutoGc,
    /// Make a state repo judge every push
    Install {
        /// The repository. Default: --state
        repo: Option<PathBuf>,
    },
}

pub(super) async fn run(args: &Args, settings: &Settings) -> anyhow::Result<Exit> {
    match &args.hook {
        Hook::PreReceive { user, view, look, from } => {
            if view.is_none() {
                as_owner::judge()?;
            }
            let engine = Asking::new(settings.door_socket(), Duration::from_secs(*look));
            let judged = pre_receive((user.as_deref(), *from), view.as_ref(), &engine, settings)?;
            count(matches!(judged, Exit::Ok), settings).await;
            Ok(judged)
        }
        Hook::PostReceive { user, wait, view } => {
            let wait = Duration::from_secs(*wait);
            match view {
                Some(viewer) => {
                    let pushed = updates()?;
                    let updates = view::real(&settings.viewer(), viewer, &pushed)?;
                    let state = || StateRepo::open(&settings.state);
                    let names = Names::of(&updates, &pushed);
                    post_receive(state, &updates, Some(viewer.as_str()), &names, wait, settings).await
                }
                None => {
                    as_owner::follow()?;
                    let (state, names) = (StateRepo::open_from_env, Names::default());
                    post_receive(state, &updates()?, user.as_deref(), &names, wait, settings).await
                }
            }
        }
        Hook::PreAutoGc => Ok(if as_owner::may_tidy()? { Exit::Ok } else { Exit::Failed }),
        Hook::Install { repo } => install_into(repo.as_ref().unwrap_or(&settings.state), settings),
    }
}

fn pre_receive(
    (user, from): (Option<&str>, Option<IpAddr>),
    viewer: Option<&UserName>,
    engine: &Asking,
    settings: &Settings,
) -> anyhow::Result<Exit> {
    let updates = updates()?;
    if updates.iter().any(|update| update.reference == MAIN && update.new.is_some()) {
        engine.begin();
    }
    let acts = Acts::AsThemselves;
    let asker = Asker { user, look: look(), engine, resolver: settings.resolver, from, acts };
    let judgement = match viewer {
        Some(viewer) => {
            let quarantine = std::env::var_os("GIT_QUARANTINE_PATH").map(PathBuf::from);
            view::judge(&settings.viewer(), viewer, &updates, quarantine.as_deref(), asker)?
        }
        None => judge(&mut StateRepo::open_from_env()?, &updates, asker)?,
    };
    tell_unknown_options();
    tell_pusher(&judgement.text);
    Ok(if judgement.accepted { Exit::Ok } else { Exit::Failed })
}

/// Has the reconciler count the verdict. Where it doesn't hear it, nobody's push waits for that.
async fn count(is_accepted: bool, settings: &Settings) {
    let told = async {
        let Some(mut daemon) = Daemon::find(&settings.door_socket()).await? else { return Ok(()) };
        daemon.judged(is_accepted).await
    };
    if let Err(error) = told.await {
        tracing::debug!(error = chain(&error), "a push isn't counted");
    }
}

/// Sees to everything that follows an accepted push. The push stays accepted whatever happens here, so no failure is its own.
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
            say(&format!("The push is accepted; what follows from it failed: {}", chain(error.as_ref())));
            None
        }
    };
    let pushed = updates.iter().find(|update| update.reference == MAIN).and_then(|update| update.new);
    let Some(revision) = merged.or(pushed) else { return Ok(Exit::Ok) };
    if push_options().iter().any(|option| option == "no-wait") {
        let revision = names.of_pushed(revision);
        say(&format!("{} is accepted; `berth status` shows how it is applied.", revision.short()));
        return Ok(Exit::Ok);
    }
    follow(revision, names, wait, settings).await;
    Ok(Exit::Ok)
}

/// Tells what follows for the proposals that a push moved.
fn proposals(
    repo: impl FnOnce() -> Result<StateRepo, berth_repo::Error>,
    updates: &[Update],
    user: Option<&str>,
    resolver: Option<SocketAddr>,
) -> anyhow::Result<AfterPush> {
    if !updates.iter().any(|update| update.reference.starts_with(PROPOSALS)) {
        return Ok(AfterPush::default());
    }
    // The hook before has refused every name that is none.
    let user = user.map(str::parse::<UserName>).transpose().map_err(|invalid| anyhow!("{invalid}"))?;
    Ok(after_push(&repo()?, updates, user.as_ref(), resolver)?)
}

/// Shows how the new tip of `main` is applied, for at most `wait`. What fails and is tried again is followed on.
pub(super) async fn follow(revision: Revision, names: &Names, wait: Duration, settings: &Settings) {
    let pusher = Pusher { names, tally: Mutex::default(), failed: Mutex::default() };
    let applied = async {
        let Some(mut daemon) = Daemon::find(&settings.door_socket()).await? else { return Ok(None) };
        daemon.follow(revision, &pusher).await.map(Some)
    };
    let ended = tokio::time::timeout(wait, applied).await;
    let shown = names.of_pushed(revision).short();
    match ended {
        Ok(Ok(Some(record))) => {
            if let Some(other) = record.attempted.filter(|attempted| *attempted != revision.into()) {
                let other = names.of_origin(other).short();
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
            let still = match pusher.failed.into_inner() {
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

/// Closes the state repo to other users, as `berth init` makes it. A checkout is its owner's to lend.
pub(super) fn close(path: &std::path::Path) -> anyhow::Result<()> {
    if Source::of(path)? == Source::Bare && berth_repo::close(path)? == Closed::Now {
        say(&format!("{}: other users of this machine can't read it any more", path.display()));
    }
    Ok(())
}

fn install_into(path: &std::path::Path, settings: &Settings) -> anyhow::Result<Exit> {
    let absolute = |path: &std::path::Path| {
        std::path::absolute(path).with_context(|| format!("cannot find {}", path.display()))
    };
    let repo = StateRepo::open(path)?;
    let git_dir = absolute(repo.git_dir())?;
    let program = std::env::current_exe().context("cannot find the program `berth`")?;
    let done = install(&git_dir, &program, &absolute(&settings.data)?)?;
    close(path)?;
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
    std::io::stdin().read_to_string(&mut input).context("cannot read which refs the push moves")?;
    Ok(input.lines().map(Update::parse).collect::<Result<_, _>>()?)
}

/// Returns the options of `git push -o <option>`.
fn push_options() -> Vec<String> {
    let count = std::env::var("GIT_PUSH_OPTION_COUNT").ok().and_then(|count| count.parse::<usize>().ok());
    (0..count.unwrap_or(0)).filter_map(|at| std::env::var(format!("GIT_PUSH_OPTION_{at}")).ok()).collect()
}

/// Options that mean something here.
const PUSH_OPTIONS: [&str; 3] = ["color", "no-color", "no-wait"];

/// Chooses the look of text for the pusher. It may go to a program, a window or an old client, and nobody can ask from here; so it is
/// plain unless they ask. Git colours its own words, and `error:`, by its own rules.
fn look() -> Look {
    let minds = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let options = push_options();
    let has = |name: &str| options.iter().any(|option| option == name);
    match has("color") && !has("no-color") && !minds {
        true => Look::Coloured,
        false => Look::Plain,
    }
}

/// Tells of push options that mean nothing here: one that is misspelt would do nothing unseen.
fn tell_unknown_options() {
    for option in push_options().iter().filter(|option| !PUSH_OPTIONS.contains(&option.as_str())) {
        say(&format!(
            "The push option `{}` means nothing here; there are {}.",
            berth_schema::text::safe_line(option, 100),
            PUSH_OPTIONS.join(", ")
        ));
    }
}

/// Writes text for the pusher. Standard error is a pipe to them, so its own idea of colour would be wrong.
fn tell_pusher(text: &str) {
    let mut stderr = std::io::stderr().lock();
    // Whoever is gone can't be told; the verdict stands.
    let _ = stderr.write_all(page(text).as_bytes());
    let _ = stderr.flush();
}

/// Commits that were accepted, by the ids that the pusher knows: in a view, commits have others.
#[derive(Debug, Default)]
pub(super) struct Names(Vec<(Revision, Revision)>);

impl Names {
    /// Pairs the commits that were accepted with those that were pushed in their place.
    fn of(accepted: &[Update], pushed: &[Update]) -> Self {
        let pairs = accepted.iter().zip(pushed);
        Self(pairs.filter_map(|(accepted, pushed)| Some((accepted.new?, pushed.new?))).collect())
    }

    /// Returns the record with the ids that were pushed.
    fn in_record(&self, mut record: PassRecord) -> PassRecord {
        record.attempted = record.attempted.map(|tip| self.of_origin(tip));
        record.revision = record.revision.map(|revision| self.of_origin(revision));
        record
    }

    fn of_origin(&self, origin: Origin) -> Origin {
        origin.revision().map_or(origin, |revision| self.of_pushed(revision).into())
    }

    fn of_pushed(&self, revision: Revision) -> Revision {
        let known = self.0.iter().find(|(accepted, _)| *accepted == revision);
        known.map_or(revision, |(_, pushed)| *pushed)
    }
}

/// Tells passes to whoever pushed, line by line.
struct Pusher<'a> {
    names: &'a Names,
    tally: Mutex<Tally>,
    /// Record of the last pass, if a part of it failed and is tried again.
    failed: Mutex<Option<PassRecord>>,
}

impl Pusher<'_> {
    /// Tells of a failure that is tried again; says nothing of a pass in between, in which it only waited.
    fn tried_again(&self, record: PassRecord) -> Option<String> {
        let mut failed = self.failed.lock();
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
                let changes = counted(changes, "change");
                let revision = self.names.of_origin(revision).short();
                let is_first = self.failed.lock().is_none();
                let verb = if is_first { "Applying" } else { "Trying again to apply" };
                format!("{verb} {revision}: {changes} (plan {digest}).")
            }
            Event::Ended(outcome) => match self.tally.lock().line(&outcome) {
                Some(line) => line,
                None => return,
            },
            Event::PassEnded(record) => {
                let others = self.tally.lock().end();
                match (others, self.tried_again(record)) {
                    (Some(others), Some(line)) => format!("{others}\n{line}"),
                    (Some(line), None) | (None, Some(line)) => line,
                    (None, None) => return,
                }
            }
            _ => return,
        };
        match look() {
            Look::Coloured => tell_pusher(&format!("{line}\n")),
            Look::Plain => say(&line),
        }
    }
}
