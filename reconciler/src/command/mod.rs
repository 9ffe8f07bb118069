//! What people call: one file a subcommand. Data goes to standard output, talk to standard error.

mod apply;
mod check;
mod doctor;
mod down;
mod engine;
mod export;
mod git;
mod hook;
mod image;
mod init;
mod log;
mod plan;
mod reconcile;
mod remote;
mod render;
mod revert;
mod review;
mod schema;
mod status;
mod up;
mod why;

pub(crate) use apply::short;

use std::error::Error;
use std::io::IsTerminal as _;
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use berth_repo::Loaded;
use berth_schema::report::{Look, report};
use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use crate::draw::say;
use crate::outcome::chain;
use crate::settings::Settings;

/// Berth: an app hosting platform that lives in a git repository.
#[derive(Debug, Parser)]
#[command(version, about, propagate_version = true)]
struct Cli {
    #[command(flatten)]
    settings: Settings,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check a state repo or a folder: every mistake at once, with its place and how to mend it
    Check(check::Args),
    /// Show what would change on the engine. Exit code 0: nothing, 2: something, 1: an error
    Plan(plan::Args),
    /// Print a configuration as it would be written, for review
    Render(render::Args),
    /// Make the engine agree with the state repo, now
    Apply(apply::Args),
    /// Show how things are
    Status(status::Args),
    /// Make a new state repo
    Init(init::Args),
    /// Print the JSON Schema of a kind of file, for editors
    Schema(schema::Args),
    /// Images of servers and of the platform
    Image(image::Args),
    /// The Docker engine's own settings
    Engine(engine::Args),
    /// Try whether servers are kept from what they must not reach
    Doctor(doctor::Args),
    /// What git runs when somebody pushes to the state repo
    Hook(hook::Args),
    /// Explain what a member may change, and why
    Why(why::Args),
    /// Show who changed what, why, and whether it worked
    Log(log::Args),
    /// Take back what a revision changed, by a commit like any other
    Revert(revert::Args),
    /// Write a state repo from what runs, or propose what somebody changed by hand
    Export(export::Args),
    /// Proposals: changes that wait for somebody's consent
    Review(review::Args),
    /// Run the reconciler until SIGTERM
    Reconcile,
    /// Serve git to people who come through the SSH router, until SIGTERM
    Git(git::Args),
    /// Follow the forge that hosts the state repo, until SIGTERM
    Remote(remote::Args),
    /// Start the platform's processes and keep them running
    Up(up::Args),
    /// Stop the platform's processes; servers keep running
    Down,
}

/// How a command ended, other than by an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Exit {
    /// All is well; for a plan: nothing to do.
    Ok,
    /// There are mistakes or failures, and they were told.
    Failed,
    /// The plan has changes.
    Changes,
}

/// Parses the command line, runs the command, and turns what came of it into an exit code.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // clap's own code for a mistake is 2, which here means that a plan has changes.
            let code = if error.use_stderr() { ExitCode::FAILURE } else { ExitCode::SUCCESS };
            let _ = error.print();
            return code;
        }
    };
    let quiet = if matches!(
        cli.command,
        Command::Reconcile | Command::Git(_) | Command::Remote(_) | Command::Up(_)
    ) {
        "info"
    } else {
        "warn"
    };
    // The kernel may tell more of a link than that crate knows, and it warns of each.
    let quiet = format!("{quiet},netlink_packet_route=error");
    let filter = EnvFilter::try_from_env("BERTH_LOG").unwrap_or_else(|_| EnvFilter::new(quiet));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();

    // Two threads: the engine is the limit, and each thread costs memory for as long as the daemon idles.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let ended = match runtime {
        Ok(runtime) => runtime.block_on(run(cli)),
        Err(error) => Err(anyhow::Error::new(error).context("start the async runtime")),
    };
    match ended {
        Ok(Exit::Ok) => ExitCode::SUCCESS,
        Ok(Exit::Failed) => ExitCode::from(1),
        Ok(Exit::Changes) => ExitCode::from(2),
        Err(error) => {
            let red = Style::new().bold().fg_color(Some(AnsiColor::Red.into()));
            say(&format!("{red}error{red:#}: {}", chain(&*error)));
            if let Some(hint) = hint(&error) {
                say(&format!("  hint: {hint}"));
            }
            ExitCode::from(1)
        }
    }
}

async fn run(cli: Cli) -> anyhow::Result<Exit> {
    let settings = cli.settings;
    match cli.command {
        Command::Check(args) => check::run(&args, &settings),
        Command::Plan(args) => plan::run(&args, &settings).await,
        Command::Render(args) => render::run(&args, &settings),
        Command::Apply(args) => apply::run(&args, &settings).await,
        Command::Status(args) => status::run(&args, &settings).await,
        Command::Init(args) => init::run(&args),
        Command::Schema(args) => schema::run(&args),
        Command::Image(args) => image::run(&args, &settings).await,
        Command::Engine(args) => engine::run(&args, &settings).await,
        Command::Doctor(args) => doctor::run(&args, &settings).await,
        Command::Hook(args) => hook::run(&args, &settings).await,
        Command::Why(args) => why::run(&args, &settings),
        Command::Export(args) => export::run(&args, &settings).await,
        Command::Log(args) => log::run(&args, &settings),
        Command::Revert(args) => revert::run(&args, &settings).await,
        Command::Review(args) => review::run(&args, &settings).await,
        Command::Reconcile => reconcile::run(&settings).await,
        Command::Git(args) => git::run(&args, &settings).await,
        Command::Remote(args) => remote::run(&args, &settings).await,
        Command::Up(args) => up::run(&args, &settings).await,
        Command::Down => down::run(&settings).await,
    }
}

/// "1 file", "2 files"
fn counted(number: usize, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    }
}

/// How to mend what failed, where that is known.
fn hint(error: &anyhow::Error) -> Option<&'static str> {
    use crate::docker::EngineError;
    use crate::hook::InstallError;
    use crate::journal::JournalError;
    use crate::source::SourceError;
    for cause in error.chain().map(unwrapped) {
        match cause.downcast_ref::<EngineError>() {
            Some(EngineError::Connect { .. }) => {
                return Some("start the engine (systemctl start docker), or say where it is with --docker");
            }
            Some(EngineError::Address { .. }) => {
                return Some("unset DOCKER_HOST, or say --docker unix:///var/run/docker.sock");
            }
            Some(EngineError::Deadline { .. }) => {
                return Some("the engine may be stuck: `docker network ls` hangs then; restart it");
            }
            _ => {}
        }
        if let Some(JournalError::InUse { .. }) = cause.downcast_ref() {
            return Some("a reconciler is running: `berth status` talks to it, `berth down` stops it");
        }
        if let Some(JournalError::Prepare { .. }) = cause.downcast_ref() {
            return Some("is --data (BERTH_DATA) a folder that you may write to?");
        }
        if let Some(InstallError::Foreign { .. }) = cause.downcast_ref() {
            return Some("move it away, or let it run `berth hook pre-receive` (or post-receive) itself");
        }
        let repo = match cause.downcast_ref() {
            Some(SourceError::Read { source, .. }) => Some(source),
            _ => cause.downcast_ref(),
        };
        match repo {
            Some(berth_repo::Error::Missing { .. }) => {
                return Some(
                    "name the state repo with --state (or BERTH_STATE), or make one with `berth init`",
                );
            }
            Some(berth_repo::Error::Unknown { .. }) => {
                return Some("`git log --oneline main` in the state repo lists the revisions");
            }
            _ => {}
        }
    }
    None
}

/// What a transparent error stands for: in a chain it takes the place of the error that it wraps.
fn unwrapped<'a>(cause: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    use crate::daemon::DaemonError;
    use crate::pass::PassError;
    let cause = match cause.downcast_ref() {
        Some(DaemonError::Open(error)) => error,
        _ => cause,
    };
    match cause.downcast_ref() {
        Some(PassError::Source(error)) => error,
        Some(PassError::Engine(error)) => error,
        Some(PassError::Journal(error)) => error,
        _ => cause,
    }
}

/// Shows the findings of a load on standard error.
fn show_findings(loaded: &Loaded) {
    let look = match anstream::AutoStream::choice(&std::io::stderr()) {
        anstream::ColorChoice::Never => Look::Plain,
        _ => Look::Coloured,
    };
    let text = report(loaded.findings(), |path| loaded.source(path), look);
    if !text.is_empty() {
        say(text.trim_end());
    }
}
