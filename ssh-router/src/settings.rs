//! Settings of the operator, by flags or environment, and the tasks that a name selects.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use berth_schema::door;
use bytesize::ByteSize;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use ipnet::IpNet;

use crate::admission::{HalfOpen, Rules};

/// One SSH port for every server.
///
/// People log in as `server<id>` or with the server's name, with a member's key or password. The router checks who may
/// enter, then carries the session to the server's own sshd with its own key.
///
/// The router changes nothing and asks nobody: it knows only the routes file, which it follows while it runs.
#[derive(Debug, Parser)]
#[command(name = "berth-ssh-router", version, args_override_self = true)]
pub(crate) struct Settings {
    /// Address to listen on, or `stdin` for a listening socket handed over as standard input. Two routers may listen on one
    /// address, so that a new one can take over.
    #[arg(long, env = "BERTH_SSH_LISTEN", default_value = "0.0.0.0:2222")]
    pub(crate) listen: Listen,
    /// Routes file.
    #[arg(long, env = "BERTH_SSH_ROUTES", value_name = "FILE")]
    pub(crate) routes: PathBuf,
    /// Prints `ready` once the router listens, and finishes as after SIGTERM when its parent is gone.
    #[arg(long)]
    pub(crate) ready: bool,
    /// File to write the digest of the routes file to once its routes are in use.
    #[arg(long, env = "BERTH_SSH_LOADED", value_name = "FILE")]
    pub(crate) loaded: Option<PathBuf>,
    /// Folder to keep a file in, called by this process's id, that says who has sessions here.
    #[arg(long, env = "BERTH_SSH_SESSIONS", value_name = "FOLDER")]
    pub(crate) sessions: Option<PathBuf>,
    /// Socket of the control plane's git door, for the login `git`. Without it there is no such login.
    #[arg(long, env = "BERTH_SSH_GIT_SOCKET", value_name = "PATH")]
    pub(crate) git_socket: Option<PathBuf>,
    /// Socket to make for the panel, at which it hands tickets in that the git door redeems. Without it, or without a git
    /// door, the panel has no way into servers.
    #[arg(long, env = "BERTH_SSH_TICKET_SOCKET", value_name = "PATH")]
    pub(crate) ticket_socket: Option<PathBuf>,
    /// Most terminals, logs and clean-ups of the panel at once.
    #[arg(long, env = "BERTH_SSH_PANEL_SESSIONS", default_value_t = 400)]
    pub(crate) panel_sessions: usize,
    /// Most of these of one member.
    #[arg(long, env = "BERTH_SSH_PANEL_SESSIONS_EACH", default_value_t = 16)]
    pub(crate) panel_sessions_each: usize,
    /// Private key that the router shows to people, in OpenSSH's format.
    #[arg(long, env = "BERTH_SSH_HOST_KEY", value_name = "FILE")]
    pub(crate) host_key: PathBuf,
    /// Time that a client has to log in.
    #[arg(long, env = "BERTH_SSH_LOGIN_TIME", default_value = "60s", value_parser = humantime::parse_duration)]
    pub(crate) login_time: Duration,
    /// Silence after which a peer is asked for a sign of life. It is given up after four unanswered questions.
    #[arg(long, env = "BERTH_SSH_KEEPALIVE", default_value = "30s", value_parser = humantime::parse_duration)]
    pub(crate) keepalive: Duration,
    /// Most connections at once.
    #[arg(long, env = "BERTH_SSH_CONNECTIONS", default_value_t = 2000)]
    connections: usize,
    /// Limit of connections without a login, as START:RATE:FULL. From START on, RATE in a hundred new ones are dropped,
    /// rising to all of them at FULL.
    #[arg(long, env = "BERTH_SSH_HALF_OPEN", default_value = "30:30:200")]
    half_open: HalfOpen,
    /// Most connections without a login from one source.
    #[arg(long, env = "BERTH_SSH_HALF_OPEN_EACH", default_value_t = 20)]
    half_open_each: usize,
    /// Longest time that a source is refused for failing to log in.
    #[arg(long, env = "BERTH_SSH_PENALTY_MAX", default_value = "10m", value_parser = humantime::parse_duration)]
    penalty_max: Duration,
    /// Networks in which many people share an address. They aren't refused for failing to log in, and count as many sources.
    #[arg(long, env = "BERTH_SSH_EXEMPT", value_name = "CIDR", value_delimiter = ',')]
    exempt: Vec<IpNet>,
    /// Most passwords that one connection may try.
    #[arg(long, env = "BERTH_SSH_PASSWORD_ATTEMPTS", default_value_t = 3)]
    pub(crate) password_attempts: u32,
    /// Most passwords that are checked at once. Each takes a processor.
    #[arg(long, env = "BERTH_SSH_PASSWORD_CHECKS", default_value = "2")]
    pub(crate) password_checks: NonZeroUsize,
    /// Least time that a refused password takes.
    #[arg(long, env = "BERTH_SSH_FAILURE_DELAY", default_value = "2s", value_parser = humantime::parse_duration)]
    pub(crate) failure_delay: Duration,
    /// Most channels of one connection at once: shells, transfers, forwarded connections, and those that only get a refusal.
    #[arg(long, env = "BERTH_SSH_CHANNELS", default_value_t = 200)]
    pub(crate) channels: usize,
    /// Most commands of the login `git` at once.
    #[arg(long, env = "BERTH_SSH_GIT_COMMANDS", default_value_t = door::COMMANDS)]
    pub(crate) git_commands: usize,
    /// Most of these commands of one member.
    #[arg(long, env = "BERTH_SSH_GIT_COMMANDS_EACH", default_value_t = door::COMMANDS_EACH)]
    pub(crate) git_commands_each: usize,
    /// Most data that waits in memory, of all channels together. More goes to the overflow folder.
    #[arg(long, env = "BERTH_SSH_MEMORY", default_value = "256MiB")]
    pub(crate) memory: ByteSize,
    /// Folder for data that one end sends faster than the other takes it.
    #[arg(long, env = "BERTH_SSH_OVERFLOW_DIR", value_name = "FOLDER", default_value = "/var/tmp")]
    pub(crate) overflow_dir: PathBuf,
    /// Most overflow of one channel. A channel that needs more is closed.
    #[arg(long, env = "BERTH_SSH_OVERFLOW", default_value = "1GiB")]
    pub(crate) overflow: ByteSize,
    /// Most overflow of all channels together.
    #[arg(long, env = "BERTH_SSH_OVERFLOW_TOTAL", default_value = "8GiB")]
    pub(crate) overflow_total: ByteSize,
    /// Time that live sessions may go on after SIGTERM. A second signal ends them at once.
    #[arg(long, env = "BERTH_SSH_FINISH", default_value = "1h", value_parser = humantime::parse_duration)]
    pub(crate) finish: Duration,
    /// Time without a session after which a router that has grown lets a new one take over, which holds little memory. A supervisor
    /// has to be there for that.
    #[arg(long, env = "BERTH_SSH_REST", default_value = "45s", value_parser = humantime::parse_duration)]
    pub(crate) rest: Duration,
}

/// Tasks other than carrying sessions.
#[derive(Debug, Subcommand)]
pub(crate) enum Task {
    /// Checks that the router would take a routes file, and reports the mistakes in it.
    Check {
        /// Routes file.
        file: PathBuf,
    },
    /// Prints the digest of a routes file, as the router writes it to `--loaded`.
    Digest {
        /// Routes file.
        file: PathBuf,
    },
    /// Keeps the port and a router on it, so that a new router takes over without a refused connection.
    ///
    /// SIGHUP starts a new router on the same socket, from the program as it is now. Once the new one listens, the old one
    /// gets SIGTERM and lets its sessions finish. If the new one never listens, the old one goes on. A router that dies is
    /// started again. SIGTERM stops everything as it stops a router. This can be the first process of a container.
    Supervise(Supervise),
    /// Has a supervisor start its program once more, and waits until that one serves.
    ///
    /// Fails with the reason where it never does; the router before goes on.
    Renew {
        /// File in which the supervisor reports.
        #[arg(long, value_name = "FILE")]
        report: PathBuf,
        /// Program that has to serve, where the supervisor looks for it.
        #[arg(long, value_name = "FILE")]
        program: PathBuf,
    },
}

/// Settings of the supervisor.
#[derive(Debug, clap::Args)]
pub(crate) struct Supervise {
    /// Address to listen on.
    #[arg(long, env = "BERTH_SSH_LISTEN", default_value = "0.0.0.0:2222")]
    pub(crate) listen: SocketAddr,
    /// File with more flags for the router, one a line, `--name=value`. Every new router reads it again.
    #[arg(long, value_name = "FILE")]
    pub(crate) flags_file: Option<PathBuf>,
    /// File in which to report what came of each start of a router.
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    /// Flags for the router.
    #[arg(last = true, value_name = "FLAG")]
    pub(crate) flags: Vec<OsString>,
}

/// Command line: flags alone carry sessions, a task's name does something else.
#[derive(Debug)]
pub(crate) enum Invocation {
    Serve(Box<Settings>),
    Task(Task),
}

/// Returns the command line as clap knows it, for whoever describes it to people.
pub fn line() -> clap::Command {
    Invocation::command()
}

impl Invocation {
    /// Reads the command line. Prints the help or the mistakes in it and ends the process where there is nothing to do.
    pub(crate) fn parse() -> Self {
        let matches = Self::command().get_matches();
        let parsed = match matches.subcommand_name() {
            Some(_) => Task::from_arg_matches(&matches).map(Self::Task),
            None => Settings::from_arg_matches(&matches).map(Box::new).map(Self::Serve),
        };
        parsed.unwrap_or_else(|error| error.exit())
    }

    fn command() -> clap::Command {
        Task::augment_subcommands(Settings::command())
            .subcommand_required(false)
            .arg_required_else_help(false)
            .subcommand_negates_reqs(true)
            .args_conflicts_with_subcommands(true)
    }
}

/// Source of connections.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Listen {
    Address(SocketAddr),
    /// A listening socket as standard input.
    Stdin,
}

impl FromStr for Listen {
    type Err = std::net::AddrParseError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "stdin" => Ok(Self::Stdin),
            address => address.parse().map(Self::Address),
        }
    }
}

impl Settings {
    /// Rules by which connections are admitted.
    pub(crate) fn admission(&self) -> Rules {
        Rules {
            connections: self.connections,
            half_open: self.half_open,
            half_open_each: self.half_open_each,
            penalty_max: self.penalty_max,
            exempt: self.exempt.clone(),
        }
    }
}
