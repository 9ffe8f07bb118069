//! Commands that people call: one file a subcommand. Data goes to standard output, talk to standard error.

mod acme;
mod alarms;
mod apply;
mod assessed;
mod backup;
mod check;
mod doctor;
mod down;
mod ending;
mod engine;
mod exit;
mod export;
mod fault;
mod findings;
mod following;
mod git;
mod hook;
mod image;
mod init;
mod invite;
mod lobby;
mod log;
mod mail;
mod metrics;
mod oidc;
mod panel;
mod plan;
mod reconcile;
mod remote;
mod render;
mod restore;
mod revert;
mod review;
mod schema;
mod secret;
mod status;
mod supervised;
mod top;
mod up;
mod view;
mod why;

use std::fs::File;
use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::sync::Arc;

use anstyle::{AnsiColor, Style};
use anyhow::Context as _;
use berth_fault::chain;
use berth_schema::text::SafeLog;
use clap::{CommandFactory as _, Parser, Subcommand};
use rustix::fs::Mode;
use rustix::process::umask;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

use self::exit::Exit;
use self::findings::{BRIEF, show_findings, show_these};
use crate::draw::say;
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
    /// Check a state repo or a folder: list every mistake with its place and a hint
    Check(check::Args),
    /// Show what a pass would change on the engine. Exit code 0: nothing, 2: something, 1: an error
    Plan(plan::Args),
    /// Print a configuration as a pass would write it
    Render(render::Args),
    /// Make the engine agree with the state repo now
    Apply(apply::Args),
    /// Show the state of servers, containers and the forge
    Status(status::Args),
    /// Show what is wrong and who was told, silence alarms, and test their targets
    Alarms(alarms::Args),
    /// Show what servers use, by processors, memory, disk or network, again and again on a terminal
    Top(top::Args),
    /// Make a new state repo
    Init(init::Args),
    /// Print a link with which a member sets their password for the panel; or make members of a list of people, with a link for each
    Invite(invite::Args),
    /// Print the JSON Schema of a kind of file, for editors
    Schema(schema::Args),
    /// Store, list and remove the secrets that the state names
    Secret(secret::Args),
    /// Back up the platform and every server; list and check the copies; or do so at the times of `backup.at`, until SIGTERM
    Backup(backup::Args),
    /// Restore a server's data from a backup: beside its own, or in its place
    Restore(restore::Args),
    /// Build the images of servers and of the platform
    Image(image::Args),
    /// Prepare the Docker engine and this host, or check them
    Engine(engine::Args),
    /// Check this host: what it has and lacks, its secrets, its names, or the isolation of servers
    Doctor(doctor::Args),
    /// Judge pushes to the state repo: git runs these commands, except `install`
    Hook(hook::Args),
    /// Explain what a member may change, and why
    Why(why::Args),
    /// Show the revisions: who changed what and why, and the result
    Log(log::Args),
    /// Take back the changes of a revision, by a new commit
    Revert(revert::Args),
    /// Write a state repo from the servers that run, or propose changes that somebody made by hand
    Export(export::Args),
    /// List, show, approve and reject proposals: changes that wait for consent
    Review(review::Args),
    /// Run by the door: answer a line that somebody typed after `ssh git@<host>`
    #[command(hide = true)]
    Lobby(lobby::Args),
    /// Run by the door: make a member's view ready, and become the program of git's that serves it
    #[command(hide = true)]
    View(view::Args),
    /// Run by the door: put together what pushes left in the state repo and in the views
    #[command(hide = true)]
    Tidy,
    /// Run the reconciler until SIGTERM
    Reconcile,
    /// Serve git to people who come through the SSH router, until SIGTERM
    Git(git::Args),
    /// Follow the forge that hosts the state repo, until SIGTERM
    Remote(following::Args),
    /// Keep the account at the ACME CA and the wildcard certificate, until SIGTERM
    Acme(following::Args),
    /// Send the platform's mails, until SIGTERM
    Mail(mail::Args),
    /// Answer scrapers of metrics where platform.toml says, until SIGTERM
    Metrics(metrics::Args),
    /// Reach the OpenID provider for the door, until SIGTERM
    Oidc(following::Args),
    /// Keep the panel running while platform.toml has `[panel]`, until SIGTERM
    Panel,
    /// Start the platform's processes and keep them running
    Up(up::Args),
    /// Stop the platform's processes; servers keep running
    Down,
}

/// Returns the command line as clap knows it, for whoever describes it to people and shells.
pub fn line() -> clap::Command {
    Cli::command()
}

/// Parses the command line, runs the command, and turns its end into an exit code.
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
    let is_process = matches!(&cli.command, Command::Alarms(args) if args.is_process());
    let quiet = if is_process
        || matches!(
            cli.command,
            Command::Reconcile
                | Command::Git(_)
                | Command::Remote(_)
                | Command::Acme(_)
                | Command::Mail(_)
                | Command::Metrics(_)
                | Command::Oidc(_)
                | Command::Panel
                | Command::Backup(_)
                | Command::Up(_)
        ) {
        "info"
    } else {
        "warn"
    };
    // The kernel may tell more of a link than that crate knows, and it warns of each.
    let quiet = format!("{quiet},netlink_packet_route=error");
    let filter = EnvFilter::try_from_env("BERTH_LOG").unwrap_or_else(|_| EnvFilter::new(quiet));
    // What is done for a member is told in findings. A log has paths of the host, and the member reads this process's messages.
    let is_somebodys = std::env::var_os("BERTH_USER").is_some();
    // The door reads it, and writes it into its own log.
    let for_door = std::env::var_os("BERTH_LOG_FILE")
        .and_then(|path| File::options().append(true).create(true).open(path).ok());
    let is_heard = for_door.is_some() || !is_somebodys;
    let has_colours = for_door.is_none() && std::io::stderr().is_terminal();
    let writer = match for_door.map(Arc::new) {
        Some(file) => BoxMakeWriter::new(move || SafeLog(Arc::clone(&file))),
        None => BoxMakeWriter::new(|| SafeLog(std::io::stderr())),
    };
    tracing_subscriber::fmt()
        .with_env_filter(if is_heard { filter } else { EnvFilter::new("off") })
        .with_writer(writer)
        .with_ansi(has_colours)
        .with_target(false)
        .init();

    if is_private(&cli.command) {
        // Before there are threads, since a process has one umask.
        umask(Mode::RWXG | Mode::RWXO);
    }

    // Two threads: the engine is the limit, and each thread costs memory for as long as the daemon idles.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let ended = match runtime {
        Ok(runtime) => runtime.block_on(run(cli)),
        Err(error) => Err(anyhow::Error::new(error).context("cannot start the async runtime")),
    };
    match ended {
        Ok(Exit::Ok) => ExitCode::SUCCESS,
        Ok(Exit::Failed) => ExitCode::from(1),
        Ok(Exit::Changes) => ExitCode::from(2),
        Ok(Exit::As(code)) => ExitCode::from(code),
        Err(error) => {
            let red = Style::new().bold().fg_color(Some(AnsiColor::Red.into()));
            let (kind, hint) = fault::of(&error);
            say(&format!("{red}{}{red:#}: {}", kind.heading(), chain(error.as_ref())));
            if let Some(hint) = hint {
                say(&format!("  hint: {hint}"));
            }
            ExitCode::from(kind.exit_code())
        }
    }
}

/// Tells whether the files that a command makes are for their owner alone: those of the state repo and of Berth's own data are. An
/// export is its reader's, and an image's files are for whoever lives in a container.
fn is_private(command: &Command) -> bool {
    match command {
        Command::Init(_)
        | Command::Invite(_)
        | Command::Hook(_)
        | Command::Revert(_)
        | Command::Secret(_)
        | Command::Alarms(_)
        | Command::Backup(_)
        | Command::Restore(_)
        | Command::Review(_)
        | Command::Lobby(_)
        | Command::View(_)
        | Command::Tidy
        | Command::Apply(_)
        | Command::Reconcile
        | Command::Git(_)
        | Command::Remote(_)
        | Command::Acme(_)
        | Command::Mail(_)
        | Command::Metrics(_)
        | Command::Oidc(_)
        | Command::Panel
        | Command::Up(_) => true,
        Command::Check(_)
        | Command::Plan(_)
        | Command::Render(_)
        | Command::Status(_)
        | Command::Top(_)
        | Command::Schema(_)
        | Command::Image(_)
        | Command::Engine(_)
        | Command::Doctor(_)
        | Command::Why(_)
        | Command::Log(_)
        | Command::Export(_)
        | Command::Down => false,
    }
}

/// Tells whether a command changes refs of the state repo and has no other answer to a signal.
fn changes_refs(command: &Command) -> bool {
    matches!(
        command,
        Command::Lobby(_) | Command::Review(_) | Command::Revert(_) | Command::Hook(_) | Command::Export(_)
    )
}

async fn run(cli: Cli) -> anyhow::Result<Exit> {
    if changes_refs(&cli.command) {
        ending::by_signal().context("cannot listen to signals")?;
    }
    let settings = cli.settings;
    match cli.command {
        Command::Check(args) => check::run(&args, &settings),
        Command::Plan(args) => plan::run(&args, &settings).await,
        Command::Render(args) => render::run(&args, &settings),
        Command::Apply(args) => apply::run(&args, &settings).await,
        Command::Status(args) => status::run(&args, &settings).await,
        Command::Alarms(args) => alarms::run(&args, &settings).await,
        Command::Top(args) => top::run(&args, &settings).await,
        Command::Init(args) => init::run(&args),
        Command::Invite(args) => invite::run(&args, &settings),
        Command::Schema(args) => schema::run(&args),
        Command::Secret(args) => secret::run(&args, &settings),
        Command::Backup(args) => backup::run(&args, &settings).await,
        Command::Restore(args) => restore::run(&args, &settings).await,
        Command::Image(args) => image::run(&args, &settings).await,
        Command::Engine(args) => engine::run(&args, &settings).await,
        Command::Doctor(args) => doctor::run(&args, &settings).await,
        Command::Hook(args) => hook::run(&args, &settings).await,
        Command::Why(args) => why::run(&args, &settings),
        Command::Export(args) => export::run(&args, &settings).await,
        Command::Log(args) => log::run(&args, &settings),
        Command::Revert(args) => revert::run(&args, &settings).await,
        Command::Review(args) => review::run(&args, &settings).await,
        Command::Lobby(args) => lobby::run(&args, &settings).await,
        Command::View(args) => view::run(&args, &settings),
        Command::Tidy => view::tidy(&settings).await,
        Command::Reconcile => reconcile::run(&settings).await,
        Command::Git(args) => git::run(&args, &settings).await,
        Command::Remote(args) => remote::run(args, &settings).await,
        Command::Acme(args) => acme::run(args, &settings).await,
        Command::Mail(args) => mail::run(&args, &settings).await,
        Command::Oidc(args) => oidc::run(args, &settings).await,
        Command::Metrics(args) => metrics::run(&args, &settings).await,
        Command::Panel => panel::run(&settings).await,
        Command::Up(args) => up::run(&args, &settings).await,
        Command::Down => down::run(&settings).await,
    }
}
