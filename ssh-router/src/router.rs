//! The router itself: accepts connections and looks after each until its session has ended.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use berth_count::{COUNTS_FILE, Counted, Left};
use russh::{Disconnect, MethodKind, MethodSet, server};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admission::{Admission, Admitted, Offence, Refusals};
use crate::decide;
use crate::end::Side;
use crate::offer::Offer;
use crate::person::Person;
use crate::routes::Table;
use crate::services::Services;
use crate::session::Shared;
use crate::settings::Settings;
use crate::spill::Overflow;
use crate::stream::{Begun, Cuttable, Traffic};
use crate::ticket::Desk;
use crate::{algorithms, listen, rest};

/// State that all connections share.
pub(crate) struct Router {
    services: Arc<Services>,
    /// Configurations for clients that know AES-GCM and for the others.
    configs: [Arc<server::Config>; 2],
    admission: Arc<Admission>,
    overflow: Arc<Overflow>,
    /// Cancelled when every session has to end.
    over: CancellationToken,
}

/// End of a connection, for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// The person left.
    Left,
    /// Nobody logged in within the time.
    TooSlow,
    /// The credential of the login was revoked.
    Revoked,
    /// The server's connection ended first.
    Server,
    /// The router stopped.
    Stopped,
}

/// Longest time for telling a person's client why it is cut off.
const FAREWELL: Duration = Duration::from_millis(250);
/// Longest time for delivering what one side had sent before it went away.
const LAST_WORDS: Duration = Duration::from_secs(10);
/// Pause between attempts to accept while the process has no descriptors left.
const BREATH: Duration = Duration::from_millis(100);
/// Keys that one client may show. Agents hold many.
const KEYS_MAX: usize = 10;

impl Router {
    pub(crate) fn new(
        settings: Settings,
        host_key: &russh::keys::PrivateKey,
        table: watch::Receiver<Arc<Table>>,
    ) -> Self {
        let config = |offered| {
            Arc::new(server::Config {
                server_id: algorithms::ident(),
                methods: MethodSet::from(&[MethodKind::PublicKey, MethodKind::Password][..]),
                // Refused passwords are delayed where they are checked; keys need no delay.
                auth_rejection_time: Duration::ZERO,
                max_auth_attempts: KEYS_MAX,
                keys: vec![host_key.clone()],
                preferred: algorithms::client(offered),
                inactivity_timeout: None,
                keepalive_interval: Some(settings.keepalive),
                keepalive_max: algorithms::KEEPALIVE_MAX,
                nodelay: true,
                ..server::Config::default()
            })
        };
        let (each, total) = (settings.overflow.as_u64(), settings.overflow_total.as_u64());
        let memory = usize::try_from(settings.memory.as_u64()).unwrap_or(usize::MAX);
        Self {
            configs: [config(Offer::Gcm), config(Offer::Other)],
            admission: Arc::new(Admission::new(settings.admission())),
            overflow: Arc::new(Overflow::new(settings.overflow_dir.clone(), each, total, memory)),
            over: CancellationToken::new(),
            services: Arc::new(Services::new(settings, table)),
        }
    }

    /// Accepts until `stop`, then lets sessions finish until the time in the settings is over or `abort` comes.
    pub(crate) async fn run(
        self: Arc<Self>,
        listener: TcpListener,
        stop: impl Future<Output = ()>,
        abort: impl Future<Output = ()>,
    ) {
        let sessions = TaskTracker::new();
        let services = Arc::clone(&self.services);
        let roll = async {
            match &services.settings.sessions {
                Some(folder) => services.roll.keep(folder).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(roll);
        let desk = Desk::new(Arc::clone(&self.services), Arc::clone(&self.overflow), self.over.clone());
        let panel = async {
            match desk {
                Some(desk) => desk.serve(&sessions).await,
                None => std::future::pending().await,
            }
        };
        // Where the panel reaches this router, a folder leads out of its container. The router that takes over counts anew.
        let counts = async {
            match &services.settings.ticket_socket {
                Some(socket) => berth_count::keep(Left::at(socket.with_file_name(COUNTS_FILE))).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.accept(listener, &sessions) => {}
            () = panel => {}
            () = counts => {}
            () = &mut roll => {}
            () = rest::watch(&sessions, &self.admission, self.services.settings.rest) => {}
            () = stop => {}
        }
        sessions.close();
        tracing::info!(sessions = sessions.len(), "no longer accepting; sessions may finish");
        tokio::select! {
            () = sessions.wait() => return,
            () = roll => {}
            () = tokio::time::sleep(self.services.settings.finish) => {}
            () = abort => {}
        }
        tracing::info!(sessions = sessions.len(), "ending what is left");
        self.over.cancel();
        sessions.wait().await;
    }

    async fn accept(self: &Arc<Self>, listener: TcpListener, sessions: &TaskTracker) {
        let mut refusals = Refusals::default();
        loop {
            let due = refusals.due();
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = until(due) => {
                    refusals.tell();
                    continue;
                }
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::error!(%error, "cannot accept a connection");
                    tokio::time::sleep(BREATH).await;
                    continue;
                }
            };
            match self.admission.admit(peer.ip(), Instant::now()) {
                Ok(admitted) => {
                    berth_count::count(Counted::SshServed, 1);
                    let serving = Arc::clone(self).serve(stream, peer, admitted);
                    sessions.spawn(serving);
                }
                Err(refusal) => {
                    berth_count::count(Counted::SshRefused, 1);
                    refusals.add(peer.ip().to_canonical(), refusal, Instant::now());
                    // Clients show a line that comes before the protocol. It is lost if it doesn't fit at once.
                    let _ = stream.try_write(b"Not allowed at this time\r\n");
                }
            }
        }
    }

    /// Serves one connection, from accepting it to its line in the log.
    async fn serve(self: Arc<Self>, stream: TcpStream, peer: SocketAddr, mut admitted: Admitted) {
        let start = Instant::now();
        let shared = Arc::new(Shared::new(Arc::clone(&self.overflow), self.services.settings.channels));
        let traffic = Arc::new(Traffic::default());
        if listen::tune(&stream).is_err() {
            return;
        }
        let stream = Cuttable::new(stream, Arc::clone(&traffic), shared.cut.clone());
        let ending = self.attend(stream, peer, &shared, &mut admitted).await;
        shared.cut.cancel();
        let received = traffic.received.load(Ordering::Relaxed);
        let sent = traffic.sent.load(Ordering::Relaxed);
        let seconds = start.elapsed().as_secs();
        match shared.grant() {
            Some(grant) => tracing::info!(
                %peer, user = %grant.user, server = %grant.target, by = grant.credential.kind(),
                received, sent, unopened = shared.unopened.load(Ordering::Relaxed), seconds, ?ending,
                "session ended"
            ),
            None => {
                let refused = shared.refused.load(Ordering::Relaxed);
                let (login, key_of) = shared.tried();
                tracing::info!(%peer, login, key_of, refused, seconds, ?ending, "nobody logged in");
                let offence = match ending {
                    // Passwords were paid for one by one.
                    _ if shared.passwords.load(Ordering::Relaxed) > 0 => return,
                    _ if refused > 0 => Offence::Refused,
                    Ending::TooSlow => Offence::TooSlow,
                    _ => Offence::NoLogin,
                };
                admitted.source().punish(offence, Instant::now());
            }
        }
    }

    /// Looks after a connection until it ends, and returns how it ended.
    async fn attend(
        self: &Arc<Self>,
        stream: Cuttable,
        peer: SocketAddr,
        shared: &Arc<Shared>,
        admitted: &mut Admitted,
    ) -> Ending {
        // Taken before the login, so that no change during the login is missed.
        let mut table = self.services.changes();
        let deadline = tokio::time::sleep(self.services.settings.login_time);
        tokio::pin!(deadline);
        let person =
            Person::new(Arc::clone(&self.services), Arc::clone(shared), peer, admitted.source().clone());
        let begin = async {
            let (stream, offer) = Begun::greet(stream, algorithms::NAME).await?;
            let [gcm, any] = &self.configs;
            let config = if offer == Offer::Gcm { gcm } else { any };
            server::run_stream(Arc::clone(config), stream, person).await
        };
        let started = tokio::select! {
            started = begin => started,
            () = &mut deadline => return Ending::TooSlow,
            () = self.over.cancelled() => return Ending::Stopped,
        };
        let Ok(mut session) = started else { return Ending::Left };
        // On the roll until this ends.
        let (mut logged_in, mut _entry) = (false, None);
        let ending = loop {
            tokio::select! {
                _ = &mut session => break Ending::Left,
                () = shared.granted.notified(), if !logged_in => {
                    logged_in = true;
                    admitted.log_in();
                    _entry = shared.grant().map(|grant| self.services.roll.enter(&grant.user));
                }
                changed = table.changed() => if changed.is_err() { break Ending::Stopped },
                () = &mut deadline, if !logged_in => break Ending::TooSlow,
                () = shared.upstream_ended.cancelled(), if logged_in => break Ending::Server,
                () = self.over.cancelled() => break Ending::Stopped,
            }
            let routes = &table.borrow_and_update().routes;
            if shared.grant().is_some_and(|grant| !decide::still_stands(routes, grant)) {
                break Ending::Revoked;
            }
        };
        match ending {
            Ending::Left => shared.links.side_is_gone(Side::Client).await,
            Ending::Server => {}
            Ending::TooSlow | Ending::Revoked | Ending::Stopped => {
                farewell(&mut session, ending).await;
                return ending;
            }
        }
        // A timeout drops what nobody took.
        let _ = tokio::time::timeout(LAST_WORDS, shared.links.ended()).await;
        if ending == Ending::Server {
            farewell(&mut session, ending).await;
        } else if logged_in && let Ok(upstream) = shared.upstream().await {
            let goodbye = upstream.disconnect(Disconnect::ByApplication, "", "");
            let _ = tokio::time::timeout(FAREWELL, goodbye).await;
        }
        ending
    }
}

/// Waits until a time; without one, for ever.
async fn until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time.into()).await,
        None => std::future::pending().await,
    }
}

/// Tells a person's client why the session ends, if it listens.
async fn farewell(session: &mut server::RunningSession<Person>, ending: Ending) {
    let why = match ending {
        Ending::Revoked => "this login is no longer allowed",
        Ending::TooSlow => "nobody logged in",
        Ending::Server => "the server ended the connection",
        Ending::Stopped | Ending::Left => "the router stops",
    };
    let said = session.handle();
    let said = said.disconnect(Disconnect::ByApplication, why.to_owned(), String::new());
    if tokio::time::timeout(FAREWELL, said).await.is_ok() {
        // The client closes when it has read that; otherwise it is cut off.
        let _ = tokio::time::timeout(FAREWELL, session).await;
    }
}
