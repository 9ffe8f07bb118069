//! The parent: binds the port, and has a child without any privilege serve the panel on it.
//!
//! The port is the parent's, and so is the edge's socket: connections wait in them while a child is started again. On SIGHUP, and when the program's file
//! has been replaced, the next child reads everything that may have mistakes before the last one is asked to end.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use berth_host::process::Group;
use berth_host::{GuestSocket, Waits, service};
use rustix::io::Errno;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpSocket;
use tokio::process::{Child, Command};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::handover::Giver;
use crate::user::{User, UserError, make_folder};

/// The line with which a child says that it has read everything.
pub const PREPARED: &str = "prepared";
/// Time for a child to do so.
const PREPARE: Duration = Duration::from_secs(30);
/// Time for a child to end after it is asked to: longer than it gives the answers in hand.
const GRACE: Duration = Duration::from_secs(20);
/// A child that lived this long had come up; its end is a new story.
const SETTLED: Duration = Duration::from_secs(60);
const WAITS: Waits = Waits::new(Duration::from_millis(500), Duration::from_secs(30));
/// Time between two looks at the program's file and at the edge's socket.
const LOOK: Duration = Duration::from_secs(2);
/// Name of the edge's socket in its folder.
const EDGE_SOCKET: &str = "edge.sock";
/// Connections that wait to be taken.
const BACKLOG: u32 = 1024;

/// The parent can't go on.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub enum SuperviseError {
    #[error("cannot listen on {address}")]
    Bind {
        address: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error(
        "cannot listen on {address}: this host has no such address: give it that one, or change `panel.address` in platform.toml"
    )]
    NoAddress {
        address: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error(transparent)]
    User(#[from] UserError),
    #[error("cannot begin to serve the panel: {why}")]
    Begin { why: String },
    #[error("cannot listen to signals")]
    Signal(#[source] io::Error),
}

/// A child to be kept running.
#[derive(Debug)]
pub struct Supervised {
    /// Its program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// Address to listen on.
    pub listen: SocketAddr,
    /// Folder of the panel's data.
    pub data: PathBuf,
    /// Folder of the edge's socket, which the engine makes with the edge's container.
    pub edge: Option<PathBuf>,
    /// User that serves, if it is another one.
    pub user: Option<User>,
}

/// Serves until `stop`, by children.
pub async fn supervise(supervised: &Supervised, stop: &CancellationToken) -> Result<(), SuperviseError> {
    let mut hangups = signal(SignalKind::hangup()).map_err(SuperviseError::Signal)?;
    make_folder(&supervised.data, supervised.user)?;
    let bound = bind(supervised.listen);
    let address = supervised.listen;
    let listener = bound.map_err(|source| match source.kind() {
        io::ErrorKind::AddrNotAvailable => SuperviseError::NoAddress { address, source },
        _ => SuperviseError::Bind { address, source },
    })?;
    let bound = listener.local_addr().map(|address| address.to_string()).unwrap_or_default();
    tracing::info!(address = bound, "the panel's port is open");
    let mut sockets = Sockets { port: listener, edge: supervised.edge.as_deref().map(Edge::in_folder) };
    let served = keep(supervised, &mut sockets, &mut hangups, stop).await;
    if let Some(edge) = sockets.edge {
        edge.socket.remove();
    }
    served
}

async fn keep(
    supervised: &Supervised,
    sockets: &mut Sockets,
    hangups: &mut Signal,
    stop: &CancellationToken,
) -> Result<(), SuperviseError> {
    let mut waits = WAITS;
    let mut file = version(&supervised.program);
    let mut started = Instant::now();
    let first = tokio::select! {
        first = start(supervised, sockets) => first,
        () = stop.cancelled() => return Ok(()),
    };
    let mut child = first.map_err(|why| SuperviseError::Begin { why })?;
    loop {
        let again = tokio::select! {
            ended = child.process.wait() => {
                let why = ended.map_or_else(|error| error.to_string(), |ended| ended.to_string());
                if started.elapsed() > SETTLED {
                    waits.reset();
                }
                let wait = waits.next_wait();
                tracing::error!(why, wait_ms = wait.as_millis(), "the panel ended by itself; it is started again");
                tokio::select! {
                    () = sleep(wait) => Again::Since,
                    () = stop.cancelled() => return Ok(()),
                }
            }
            _ = hangups.recv() => Again::Beside("it was asked to"),
            () = sleep(LOOK) => {
                sockets.look(&child);
                match version(&supervised.program) {
                    now if now.is_some() && now != file => Again::Beside("its program was replaced"),
                    _ => continue,
                }
            }
            () = stop.cancelled() => {
                end(&mut child).await;
                return Ok(());
            }
        };
        file = version(&supervised.program);
        let next = tokio::select! {
            next = start(supervised, sockets) => next,
            () = stop.cancelled() => {
                end(&mut child).await;
                return Ok(());
            }
        };
        match (next, again) {
            (Ok(next), Again::Since) => (child, started) = (next, Instant::now()),
            (Ok(next), Again::Beside(why)) => {
                tracing::info!(why, "the panel is started anew");
                end(&mut child).await;
                (child, started) = (next, Instant::now());
            }
            // The child that has ended is seen once more, and waited for longer.
            (Err(why), Again::Since) => tracing::error!(why, "the panel can't be started"),
            (Err(why), Again::Beside(_)) => tracing::error!(
                why,
                "the panel isn't started anew, since that can't begin; it goes on as it was"
            ),
        }
    }
}

/// Reason for another child.
enum Again {
    /// The last one has ended.
    Since,
    /// The last one serves until the next one can.
    Beside(&'static str),
}

/// Sockets that children serve on.
struct Sockets {
    port: TcpListener,
    edge: Option<Edge>,
}

/// The edge's socket. The engine makes its folder, before or after us.
struct Edge {
    socket: GuestSocket,
    listener: Option<UnixListener>,
    is_told: bool,
}

impl Edge {
    fn in_folder(folder: &Path) -> Self {
        Self { socket: GuestSocket::at(folder, EDGE_SOCKET), listener: None, is_told: false }
    }

    /// Makes the socket where it is missing. Returns whether it did.
    fn look(&mut self) -> bool {
        if !self.socket.is_lost() {
            return false;
        }
        let made = self.socket.make();
        match &made {
            Ok(_) => {
                tracing::info!(socket = %self.socket.path().display(), "the edge's way to the panel is open");
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) if !self.is_told => {
                tracing::error!(socket = %self.socket.path().display(), %error, "the edge has no way to the panel");
            }
            Err(_) => {}
        }
        self.is_told = made.is_err();
        let is_made = made.is_ok();
        // A lost one leads nowhere any more.
        self.listener = made.ok();
        is_made
    }
}

impl Sockets {
    /// Looks whether the edge's socket has to be made, and hands it to a child.
    fn look(&mut self, child: &Serving) {
        if let Some(edge) = &mut self.edge
            && edge.look()
            && let Some(listener) = &edge.listener
            && let Err(error) = child.giver.edge(listener)
        {
            tracing::error!(%error, "the edge's socket can't be handed over");
        }
    }

    /// Hands everything to a new child.
    fn give(&mut self, giver: &Giver) -> io::Result<()> {
        giver.port(&self.port)?;
        let Some(edge) = &mut self.edge else { return Ok(()) };
        edge.look();
        edge.listener.as_ref().map_or(Ok(()), |listener| giver.edge(listener))
    }
}

/// A child, and the way on which it gets its sockets.
struct Serving {
    process: Child,
    giver: Giver,
}

/// Starts a child, which has read everything when this returns.
async fn start(supervised: &Supervised, sockets: &mut Sockets) -> Result<Serving, String> {
    let (giver, input) = Giver::pair().map_err(|error| error.to_string())?;
    sockets.give(&giver).map_err(|error| format!("its sockets can't be handed over: {error}"))?;
    let mut command = Command::new(&supervised.program);
    command
        .args(&supervised.arguments)
        // Nothing else of ours is its business.
        .env_clear()
        .envs(service::way())
        .stdin(Stdio::from(input))
        .stdout(Stdio::piped())
        // A Ctrl-C in the terminal reaches it through us, once.
        .process_group(0)
        .kill_on_drop(true);
    if let Some(User { uid, gid }) = supervised.user {
        // std clears the supplementary groups too, and the kernel the capabilities of a user that was root.
        command.uid(uid).gid(gid);
    }
    let mut child = command.spawn().map_err(|error| format!("it can't be started: {error}"))?;
    let mut lines = BufReader::new(child.stdout.take().ok_or("it has no output")?).lines();
    match timeout(PREPARE, lines.next_line()).await {
        Ok(Ok(Some(line))) if line == PREPARED => Ok(Serving { process: child, giver }),
        Ok(Ok(Some(_)) | Err(_)) => Err("it isn't the panel".to_owned()),
        Ok(Ok(None)) => Err("it has ended; what it said is above".to_owned()),
        Err(_) => Err(format!("it has not come up in {} s", PREPARE.as_secs())),
    }
}

/// Asks a child to end, and kills it when it doesn't.
async fn end(Serving { process: child, .. }: &mut Serving) {
    let Some(group) = child.id().and_then(Group::led_by) else { return };
    group.ask_leader();
    if timeout(GRACE, child.wait()).await.is_err() {
        tracing::error!(grace_s = GRACE.as_secs(), "the panel did not end; it was killed");
        group.kill();
        if let Err(error) = child.wait().await {
            tracing::error!(%error, "a child cannot be waited for");
        }
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let listen = |address: SocketAddr| {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        // A port that was ours a moment ago is ours again.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        // The children take the connections.
        socket.listen(BACKLOG)?.into_std()
    };
    let has_no_ipv6 = |error: &io::Error| {
        let codes = [Errno::AFNOSUPPORT, Errno::ADDRNOTAVAIL].map(Errno::raw_os_error);
        error.raw_os_error().is_some_and(|code| codes.contains(&code))
    };
    match listen(address) {
        Err(error) if address.ip() == Ipv6Addr::UNSPECIFIED && has_no_ipv6(&error) => {
            listen((Ipv4Addr::UNSPECIFIED, address.port()).into())
        }
        listening => listening,
    }
}

/// Identity of a program's file, by which a replacement is noticed.
fn version(program: &Path) -> Option<(u64, u64)> {
    fs::metadata(program).ok().map(|found| (found.dev(), found.ino()))
}
