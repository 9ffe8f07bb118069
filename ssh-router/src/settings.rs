//! What the operator says, by flags or environment, or by a task's name.

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
/// It changes nothing and asks nobody: what it knows is the routes file, which it follows while it runs.
#[derive(Debug, Parser)]
#[command(name = "berth-ssh-router", version, args_override_self = true)]
pub(crate) struct Settings {
    /// Where to listen: an address, or `stdin` for a listening socket handed over as standard input. Two routers may
    /// listen on one address, so that a new one can take over.
    #[arg(long, env = "BERTH_SSH_LISTEN", default_value = "0.0.0.0:2222")]
    pub(crate) listen: Listen,
    /// The routes file.
    #[arg(long, env = "BERTH_SSH_ROUTES", value_name = "FILE")]
    pub(crate) routes: PathBuf,
    /// Says `ready` on standard output once it listens, and finishes like after SIGTERM when its parent is gone.
    #[arg(long)]
    pub(crate) ready: bool,
    /// Where to write which routes are in use: the digest of the file, after it was taken.
    #[arg(long, env = "BERTH_SSH_LOADED", value_name = "FILE")]
    pub(crate) loaded: Option<PathBuf>,
    /// The socket of the control plane's git door, for the login `git`. Without it there is no such login.
    #[arg(long, env = "BERTH_SSH_GIT_SOCKET", value_name = "PATH")]
    pub(crate) git_socket: Option<PathBuf>,
    /// The private key that the router shows to people, in OpenSSH's form.
    #[arg(long, env = "BERTH_SSH_HOST_KEY", value_name = "FILE")]
    pub(crate) host_key: PathBuf,
    /// The time to log in.
    #[arg(long, env = "BERTH_SSH_LOGIN_TIME", default_value = "60s", value_parser = humantime::parse_duration)]
    pub(crate) login_time: Duration,
    /// A peer that is silent for so long is asked whether it is there, and given up after four questions.
    #[arg(long, env = "BERTH_SSH_KEEPALIVE", default_value = "30s", value_parser = humantime::parse_duration)]
    pub(crate) keepalive: Duration,
    /// Connections at once.
    #[arg(long, env = "BERTH_SSH_CONNECTIONS", default_value_t = 2000)]
    connections: usize,
    /// START:RATE:FULL. From START connections without a login on, RATE of a hundred new ones are dropped, and all at
    /// FULL.
    #[arg(long, env = "BERTH_SSH_HALF_OPEN", default_value = "30:30:200")]
    half_open: HalfOpen,
    /// Connections without a login that one source may have.
    #[arg(long, env = "BERTH_SSH_HALF_OPEN_EACH", default_value_t = 20)]
    half_open_each: usize,
    /// The longest that a source is refused for failing to log in.
    #[arg(long, env = "BERTH_SSH_PENALTY_MAX", default_value = "10m", value_parser = humantime::parse_duration)]
    penalty_max: Duration,
    /// Networks in which many share an address: they are not refused for failing to log in, and count as many sources.
    #[arg(long, env = "BERTH_SSH_EXEMPT", value_name = "CIDR", value_delimiter = ',')]
    exempt: Vec<IpNet>,
    /// Passwords that one connection may try.
    #[arg(long, env = "BERTH_SSH_PASSWORD_ATTEMPTS", default_value_t = 3)]
    pub(crate) password_attempts: u32,
    /// Passwords that are checked at once. Each takes a processor.
    #[arg(long, env = "BERTH_SSH_PASSWORD_CHECKS", default_value = "2")]
    pub(crate) password_checks: NonZeroUsize,
    /// The least time that a refused password takes.
    #[arg(long, env = "BERTH_SSH_FAILURE_DELAY", default_value = "2s", value_parser = humantime::parse_duration)]
    pub(crate) failure_delay: Duration,
    /// Channels of one connection at once: shells, transfers, forwarded connections, and those that are refused with a word.
    #[arg(long, env = "BERTH_SSH_CHANNELS", default_value_t = 200)]
    pub(crate) channels: usize,
    /// Commands of the login `git` that run at once.
    #[arg(long, env = "BERTH_SSH_GIT_COMMANDS", default_value_t = door::COMMANDS)]
    pub(crate) git_commands: usize,
    /// And of them, one member's.
    #[arg(long, env = "BERTH_SSH_GIT_COMMANDS_EACH", default_value_t = door::COMMANDS_EACH)]
    pub(crate) git_commands_each: usize,
    /// How much data may wait in memory, of all channels together. More goes where overflow goes.
    #[arg(long, env = "BERTH_SSH_MEMORY", default_value = "256MiB")]
    pub(crate) memory: ByteSize,
    /// Where data goes that one end sends faster than the other takes it.
    #[arg(long, env = "BERTH_SSH_OVERFLOW_DIR", value_name = "FOLDER", default_value = "/var/tmp")]
    pub(crate) overflow_dir: PathBuf,
    /// How much of it one channel may have. A channel that needs more is closed.
    #[arg(long, env = "BERTH_SSH_OVERFLOW", default_value = "1GiB")]
    pub(crate) overflow: ByteSize,
    /// How much of it all channels may have.
    #[arg(long, env = "BERTH_SSH_OVERFLOW_TOTAL", default_value = "8GiB")]
    pub(crate) overflow_total: ByteSize,
    /// How long live sessions may go on after SIGTERM. A second signal ends them at once.
    #[arg(long, env = "BERTH_SSH_FINISH", default_value = "1h", value_parser = humantime::parse_duration)]
    pub(crate) finish: Duration,
}

/// What to do instead of carrying sessions.
#[derive(Debug, Subcommand)]
pub(crate) enum Task {
    /// Says whether the router would take a routes file, and what is wrong with it if not.
    Check {
        /// The routes file.
        file: PathBuf,
    },
    /// Prints the digest of a routes file, as the router writes it to `--loaded`.
    Digest {
        /// The routes file.
        file: PathBuf,
    },
    /// Keeps the port, and a router on it, in such a way that a new one takes over without a refused connection.
    ///
    /// SIGHUP starts a new router, of the program as it is now, on the same socket. Once that one listens, the old one
    /// gets SIGTERM and lets its sessions finish. If it doesn't come to that, the old one goes on. A router that dies is
    /// started again. SIGTERM stops everything as it stops a router. Fit to be the first process of a container.
    Supervise(Supervise),
}

/// How routers are kept.
#[derive(Debug, clap::Args)]
pub(crate) struct Supervise {
    /// Where to listen.
    #[arg(long, env = "BERTH_SSH_LISTEN", default_value = "0.0.0.0:2222")]
    pub(crate) listen: SocketAddr,
    /// A file with more flags for the router, one a line, `--name=value`. It is read anew for each router.
    #[arg(long, value_name = "FILE")]
    pub(crate) flags_file: Option<PathBuf>,
    /// Flags for the router.
    #[arg(last = true, value_name = "FLAG")]
    pub(crate) flags: Vec<OsString>,
}

/// The command line: flags alone carry sessions, a task's name does something else.
#[derive(Debug)]
pub(crate) enum Invocation {
    Serve(Box<Settings>),
    Task(Task),
}

impl Invocation {
    /// Reads the command line; says what is wrong with it, or the help, and ends the process.
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

/// Where connections come from.
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
    /// What is admitted.
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
