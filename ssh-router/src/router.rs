//! The router: accepts connections and looks after each until its session has ended.

use std::hash::{BuildHasher as _, RandomState};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use russh::{Disconnect, MethodKind, MethodSet, server};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admission::{Admission, Offence, Refusals, Ticket};
use crate::decide;
use crate::git::Door;
use crate::handler::Person;
use crate::link::Side;
use crate::offer::Offer;
use crate::password::Verifier;
use crate::routes::Table;
use crate::session::Shared;
use crate::settings::Settings;
use crate::spill::Overflow;
use crate::stream::{Begun, Cuttable, Traffic};
use crate::{algorithms, listen};

/// What every connection shares.
pub(crate) struct Router {
    pub(crate) settings: Settings,
    pub(crate) verifier: Verifier,
    /// `None` without a git door.
    pub(crate) git: Option<Arc<Door>>,
    /// For clients that know AES-GCM, and for the others.
    configs: [Arc<server::Config>; 2],
    table: watch::Receiver<Arc<Table>>,
    admission: Arc<Admission>,
    overflow: Arc<Overflow>,
    secret: RandomState,
    /// Cancelled when no session may go on.
    over: CancellationToken,
}

/// How a connection ended, for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// The person left.
    Left,
    /// Nobody logged in within the time.
    TooSlow,
    /// The credential that had opened doesn't any more.
    Revoked,
    /// The server's connection ended first.
    Server,
    /// The router stops.
    Stopped,
}

/// A person's client is told why before it is cut off.
const FAREWELL: Duration = Duration::from_millis(250);
/// What one side has said already goes to the other for so long after the first has gone.
const LAST_WORDS: Duration = Duration::from_secs(10);
/// Between attempts while the process has no descriptors left.
const BREATH: Duration = Duration::from_millis(100);
/// Keys that one client may show; agents hold many.
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
                // Refused passwords are delayed where they are checked; keys needn't be.
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
            verifier: Verifier::new(settings.password_checks),
            git: Door::new(&settings).map(Arc::new),
            configs: [config(Offer::Gcm), config(Offer::Other)],
            table,
            admission: Arc::new(Admission::new(settings.admission())),
            overflow: Arc::new(Overflow::new(settings.overflow_dir.clone(), each, total, memory)),
            secret: RandomState::new(),
            over: CancellationToken::new(),
            settings,
        }
    }

    /// The routes as they are now.
    pub(crate) fn table(&self) -> Arc<Table> {
        Arc::clone(&self.table.borrow())
    }

    /// A number that depends on a login and on this process.
    pub(crate) fn secret_of(&self, login: &str) -> u64 {
        self.secret.hash_one(login)
    }

    /// Accepts until `stop`, then lets sessions finish for as long as the settings say, or until `abort`.
    pub(crate) async fn run(
        self: Arc<Self>,
        listener: TcpListener,
        stop: impl Future<Output = ()>,
        abort: impl Future<Output = ()>,
    ) {
        let sessions = TaskTracker::new();
        tokio::select! {
            () = self.accept(listener, &sessions) => {}
            () = stop => {}
        }
        sessions.close();
        tracing::info!(sessions = sessions.len(), "no longer accepting; sessions may finish");
        tokio::select! {
            () = sessions.wait() => return,
            () = tokio::time::sleep(self.settings.finish) => {}
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
                    tracing::error!(%error, "a connection can't be accepted");
                    tokio::time::sleep(BREATH).await;
                    continue;
                }
            };
            match self.admission.admit(peer.ip(), Instant::now()) {
                Ok(ticket) => {
                    let serving = Arc::clone(self).serve(stream, peer, ticket);
                    sessions.spawn(serving);
                }
                Err(refusal) => {
                    refusals.add(peer.ip().to_canonical(), refusal, Instant::now());
                    // A line before the protocol begins, which clients show; lost if it doesn't fit at once.
                    let _ = stream.try_write(b"Not allowed at this time\r\n");
                }
            }
        }
    }

    /// One connection, from accepting it to its line in the log.
    async fn serve(self: Arc<Self>, stream: TcpStream, peer: SocketAddr, mut ticket: Ticket) {
        let start = Instant::now();
        let shared = Arc::new(Shared::new(Arc::clone(&self.overflow), self.settings.channels));
        let traffic = Arc::new(Traffic::default());
        if listen::tune(&stream).is_err() {
            return;
        }
        let stream = Cuttable::new(stream, Arc::clone(&traffic), shared.cut.clone());
        let ending = self.attend(stream, peer, &shared, &mut ticket).await;
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
                ticket.punish(
                    match ending {
                        _ if refused > 0 => Offence::Refused,
                        Ending::TooSlow => Offence::TooSlow,
                        _ => Offence::NoLogin,
                    },
                    Instant::now(),
                );
            }
        }
    }

    /// Looks after a connection until it ends, and says how it did.
    async fn attend(
        self: &Arc<Self>,
        stream: Cuttable,
        peer: SocketAddr,
        shared: &Arc<Shared>,
        ticket: &mut Ticket,
    ) -> Ending {
        // Before anybody is asked: a change that comes during the login is not missed.
        let mut table = self.table.clone();
        let deadline = tokio::time::sleep(self.settings.login_time);
        tokio::pin!(deadline);
        let person = Person::new(Arc::clone(self), Arc::clone(shared), peer);
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
        let mut logged_in = false;
        let ending = loop {
            tokio::select! {
                _ = &mut session => break Ending::Left,
                () = shared.granted.notified(), if !logged_in => {
                    logged_in = true;
                    ticket.log_in();
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
        // A timeout leaves unsaid what nobody took.
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

/// Never, without a time.
async fn until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time.into()).await,
        None => std::future::pending().await,
    }
}

/// Tells a person's client why, if it listens.
async fn farewell(session: &mut server::RunningSession<Person>, ending: Ending) {
    let why = match ending {
        Ending::Revoked => "this login is not allowed any more",
        Ending::TooSlow => "nobody logged in",
        Ending::Server => "the server ended the connection",
        Ending::Stopped | Ending::Left => "the router stops",
    };
    let said = session.handle();
    let said = said.disconnect(Disconnect::ByApplication, why.to_owned(), String::new());
    if tokio::time::timeout(FAREWELL, said).await.is_ok() {
        // The client closes when it has read it; if not, it is cut off.
        let _ = tokio::time::timeout(FAREWELL, session).await;
    }
}
