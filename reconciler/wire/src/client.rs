//! The other end of the reconciler's sockets: how commands, the door and the panel talk to a running daemon.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use berth_fault::{Fault, Kind};
use berth_plan::Identities;
use berth_schema::name::ServerId;
use berth_schema::{Origin, Revision};
use futures_util::{Stream, StreamExt as _, TryStreamExt as _};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use tokio_util::codec::{FramedRead, LinesCodec, LinesCodecError};
use tokio_util::io::StreamReader;
use tokio_util::task::AbortOnDropHandle;

use crate::event::{Event, Listener};
use crate::facts::Facts;
use crate::figures::{Figures, Span};
use crate::hold::{Booted, DrillOrder, HoldOrder, VolumeSight};
use crate::pass_record::PassRecord;
use crate::power::{PowerOrder, PowerRecord};
use crate::scrape::ScrapeAddress;
use crate::sight::Sight;
use crate::site::SiteCertificate;
use crate::status::Status;

/// Time in which a daemon answers what it knows by heart. One that takes longer is stopped, or stuck.
const PATIENCE: Duration = Duration::from_secs(30);
/// Time in which a server is started again: its own time to stop, what the engine adds to it, and a wait for a pass.
const POWER_PATIENCE: Duration = Duration::from_secs(240);
/// Time in which a server comes to stand still, or runs on: its own time to stop, and that of its commands.
const HOLD_PATIENCE: Duration = Duration::from_secs(45 * 60);
/// Time in which a push is counted. Nobody who pushed waits longer for that.
const JUDGED_PATIENCE: Duration = Duration::from_millis(500);
/// Most servers of one request for keys.
const KEYS_AT_ONCE: usize = 1000;
/// The longest event, in bytes: a plan of ten thousand servers has a few million.
const LONGEST_EVENT: usize = 64 << 20;

/// A talk with the daemon that failed.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub enum ClientError {
    /// The socket is there and can't be used.
    #[error("cannot connect to the reconciler at {path}")]
    Connect {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The connection broke.
    #[error("cannot talk to the reconciler")]
    Http(#[from] hyper::Error),
    /// It doesn't answer.
    #[error("the reconciler{} did not answer within {} s; is it stopped, or stuck?", process(*pid), within.as_secs())]
    Silent { pid: Option<i32>, within: Duration },
    /// The daemon said no.
    #[error("the reconciler answered {status}: {message}")]
    Refused {
        status: StatusCode,
        message: String,
        /// Seconds until it may say yes, where it tells.
        wait: Option<u64>,
    },
    /// The answer made no sense: another version, perhaps.
    #[error("cannot read the reconciler's answer (is it of the same version?)")]
    Answer(#[from] serde_json::Error),
    /// The events broke off, or one of them is far too long.
    #[error("cannot read the reconciler's events")]
    Events(#[from] LinesCodecError),
    /// The daemon ended before the pass.
    #[error("the reconciler ended before the pass did")]
    Ended,
}

impl Fault for ClientError {
    fn kind(&self) -> Kind {
        match self {
            Self::Connect { .. } => Kind::Configuration,
            Self::Ended => Kind::Interrupted,
            _ => Kind::User,
        }
    }
}

fn process(pid: Option<i32>) -> String {
    pid.map(|pid| format!(" (process {pid})")).unwrap_or_default()
}

/// A daemon that answers.
pub struct Daemon {
    sender: http1::SendRequest<Full<Bytes>>,
    pid: Option<i32>,
    patience: Duration,
    /// Carries the bytes. Its error comes out of the request that it belongs to.
    _connection: AbortOnDropHandle<Result<(), hyper::Error>>,
}

impl Daemon {
    /// The daemon behind the socket at `path`; `None` when none runs.
    pub async fn find(path: &Path) -> Result<Option<Self>, ClientError> {
        let stream = match UnixStream::connect(path).await {
            Ok(stream) => stream,
            Err(error)
                if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) =>
            {
                return Ok(None);
            }
            Err(source) => return Err(ClientError::Connect { path: path.to_owned(), source }),
        };
        let pid = stream.peer_cred().ok().and_then(|peer| peer.pid());
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let connection = AbortOnDropHandle::new(tokio::spawn(connection));
        Ok(Some(Self { sender, pid, patience: PATIENCE, _connection: connection }))
    }

    /// Its process, as the kernel knows it.
    pub fn pid(&self) -> Option<i32> {
        self.pid
    }

    /// Asks how things are; `None` while the first pass is still running.
    pub async fn status(&mut self) -> Result<Option<Status>, ClientError> {
        self.known("/status").await
    }

    /// Asks for something that the daemon knows by heart; `None` while it doesn't know it yet.
    async fn known<T: DeserializeOwned>(&mut self, path: &str) -> Result<Option<T>, ClientError> {
        let (pid, within) = (self.pid, self.patience);
        let asked = async {
            let answer = self.send(Method::GET, path).await?;
            Ok(serde_json::from_slice(&answer.collect().await?.to_bytes())?)
        };
        match bounded(asked, pid, within).await {
            Ok(known) => Ok(Some(known)),
            Err(ClientError::Refused { status: StatusCode::SERVICE_UNAVAILABLE, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Asks for a pass, tells `listener` what happens, and returns what the pass came to.
    pub async fn sync(&mut self, listener: &dyn Listener) -> Result<PassRecord, ClientError> {
        self.stream(Method::POST, "/sync", None, listener).await
    }

    /// The same for the pass that works towards `revision`, even if it has begun already, or has ended. While parts of it are
    /// being retried, this follows the retries too: `listener` hears each record, and the last one is returned. If a newer
    /// revision supersedes it, that revision's record is returned.
    pub async fn follow(
        &mut self,
        revision: Revision,
        listener: &dyn Listener,
    ) -> Result<PassRecord, ClientError> {
        let path = format!("/events?revision={revision}");
        self.stream(Method::GET, &path, Some(revision.into()), listener).await
    }

    /// The world that the next pass would plan against, however long the engine takes to show it: with the host's rules,
    /// without them, or (`None`) as the last pass needed them.
    pub async fn observed(&mut self, firewall: Option<bool>) -> Result<Sight, ClientError> {
        let asked = firewall.map(|firewall| format!("?firewall={firewall}")).unwrap_or_default();
        let answer = self.send(Method::GET, &format!("/observed{asked}")).await?;
        Ok(serde_json::from_slice(&answer.collect().await?.to_bytes())?)
    }

    /// Public halves of the platform's keys, as far as these servers show them. Only the door's socket has them.
    pub async fn keys(
        &mut self,
        servers: impl IntoIterator<Item = ServerId>,
    ) -> Result<Identities, ClientError> {
        let ids: Vec<String> = servers.into_iter().map(|id| id.to_string()).collect();
        let mut keys = self.some_keys(ids.get(..KEYS_AT_ONCE).unwrap_or(&ids)).await?;
        for more in ids.chunks(KEYS_AT_ONCE).skip(1) {
            keys.servers.append(&mut self.some_keys(more).await?.servers);
        }
        Ok(keys)
    }

    /// Use of these servers in the past, [`SERVERS_AT_ONCE`](crate::figures::SERVERS_AT_ONCE) at most; `None` before the first
    /// sample.
    pub async fn figures(
        &mut self,
        servers: impl IntoIterator<Item = ServerId>,
        span: Span,
    ) -> Result<Option<Figures>, ClientError> {
        let ids: Vec<String> = servers.into_iter().map(|id| id.to_string()).collect();
        self.known(&format!("/figures?servers={}&span={}", ids.join(","), span.word())).await
    }

    /// Use of every server at the newest sample; `None` before the first.
    pub async fn newest_figures(&mut self) -> Result<Option<Figures>, ClientError> {
        self.known("/figures").await
    }

    /// Certificates of these domains, [`DOMAINS_AT_ONCE`](crate::site::DOMAINS_AT_ONCE) at most; `None` before the first look.
    pub async fn certificates(
        &mut self,
        domains: &[String],
    ) -> Result<Option<Vec<SiteCertificate>>, ClientError> {
        self.known(&format!("/certificates?domains={}", domains.join(","))).await
    }

    /// Asks for what alarms are judged by.
    pub async fn facts(&mut self) -> Result<Facts, ClientError> {
        self.known("/facts").await?.ok_or(ClientError::Ended)
    }

    /// Asks where scrapers are to be answered; `None` while no state is known yet. Only the socket for metrics tells it.
    pub async fn scrape_address(&mut self) -> Result<Option<ScrapeAddress>, ClientError> {
        self.known("/listen").await
    }

    /// Text of the metrics, in OpenMetrics or in Prometheus' own format.
    pub async fn metrics(&mut self, openmetrics: bool) -> Result<String, ClientError> {
        let (pid, within) = (self.pid, self.patience);
        let asked = async {
            let answer = self.send(Method::GET, &format!("/metrics?openmetrics={openmetrics}")).await?;
            let text = answer.collect().await?.to_bytes();
            Ok(String::from_utf8_lossy(&text).into_owned())
        };
        bounded(asked, pid, within).await
    }

    /// Tells that a push was judged, so that it is counted. Only the door's socket hears it.
    pub async fn judged(&mut self, is_accepted: bool) -> Result<(), ClientError> {
        let pid = self.pid;
        let path = format!("/judged?accepted={is_accepted}");
        let told = async { self.send(Method::POST, &path).await.map(drop) };
        bounded(told, pid, JUDGED_PATIENCE).await
    }

    /// Does something to a running server, and returns what became of it once it is done. Only the door's socket takes orders.
    pub async fn power(&mut self, order: &PowerOrder) -> Result<PowerRecord, ClientError> {
        let pid = self.pid;
        let body = serde_json::to_vec(order)?;
        let asked = async {
            let answer = self.request(Method::POST, "/power", Bytes::from(body)).await?;
            Ok(serde_json::from_slice(&answer.collect().await?.to_bytes())?)
        };
        bounded(asked, pid, POWER_PATIENCE).await
    }

    /// The platform's volumes, with their places on the host. Only the control socket tells them.
    pub async fn volumes(&mut self) -> Result<Option<Vec<VolumeSight>>, ClientError> {
        self.known("/volumes").await
    }

    /// Has a server stand still, and returns once it does. It runs on when what is returned is let go, or dropped, or this process ends.
    pub async fn hold(mut self, order: &HoldOrder) -> Result<Hold, ClientError> {
        let body = Bytes::from(serde_json::to_vec(order)?);
        let asked = self.request(Method::POST, "/hold", body);
        let life = bounded(asked, None, HOLD_PATIENCE).await?.into_body();
        Ok(Hold { server: order.server, life, _daemon: self })
    }

    /// Has room made for a drill, and returns once it is. It goes when what is returned is ended, or dropped, or this process ends.
    pub async fn drill(mut self, order: &DrillOrder) -> Result<Drill, ClientError> {
        let body = Bytes::from(serde_json::to_vec(order)?);
        let asked = self.request(Method::POST, "/drill", body);
        let life = bounded(asked, None, HOLD_PATIENCE).await?.into_body();
        Ok(Drill { life, _daemon: self })
    }

    async fn some_keys(&mut self, servers: &[String]) -> Result<Identities, ClientError> {
        let answer = self.send(Method::GET, &format!("/keys?servers={}", servers.join(","))).await?;
        Ok(serde_json::from_slice(&answer.collect().await?.to_bytes())?)
    }

    async fn stream(
        &mut self,
        method: Method,
        path: &str,
        revision: Option<Origin>,
        listener: &dyn Listener,
    ) -> Result<PassRecord, ClientError> {
        let mut events = self.events(method, path).await?;
        // What the revision's last pass came to, where that wasn't the end of it.
        let mut failed: Option<PassRecord> = None;
        while let Some(event) = events.next().await {
            let (record, is_answer) = match event? {
                Event::Answer { record } => (record.ok_or(ClientError::Ended)?, true),
                Event::PassEnded(record) => (record, false),
                event => {
                    listener.hear(event);
                    continue;
                }
            };
            let is_ours = revision.is_some() && revision == record.attempted;
            // After ours, the pass of another revision is the last that there is to tell: `main` says something else now.
            let ends = match revision {
                Some(_) if is_ours => record.retry_millis.is_none(),
                Some(_) => is_answer || failed.is_some(),
                None => is_answer,
            };
            if ends {
                return Ok(record);
            }
            // The answer repeats the event before it.
            if is_ours && failed.as_ref() != Some(&record) {
                listener.hear(Event::PassEnded(record.clone()));
                failed = Some(record);
            }
        }
        Err(ClientError::Ended)
    }

    /// Tells `listener` every event from now on, until the daemon ends.
    pub async fn listen(&mut self, listener: &dyn Listener) -> Result<(), ClientError> {
        let mut events = self.events(Method::GET, "/events").await?;
        while let Some(event) = events.next().await {
            listener.hear(event?);
        }
        Ok(())
    }

    /// The events of an answer, which come one a line.
    async fn events(
        &mut self,
        method: Method,
        path: &str,
    ) -> Result<impl Stream<Item = Result<Event, ClientError>> + use<>, ClientError> {
        let (pid, within) = (self.pid, self.patience);
        // Events may be long in coming; that they will come is said at once.
        let body = bounded(self.send(method, path), pid, within).await?.into_body();
        let bytes = StreamReader::new(body.into_data_stream().map_err(io::Error::other));
        let lines = FramedRead::new(bytes, LinesCodec::new_with_max_length(LONGEST_EVENT));
        Ok(lines.map(|line| Ok(serde_json::from_str(&line?)?)))
    }

    async fn send(&mut self, method: Method, path: &str) -> Result<Response<Incoming>, ClientError> {
        self.request(method, path, Bytes::new()).await
    }

    async fn request(
        &mut self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<Response<Incoming>, ClientError> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        // A path of ours; were it not a URI, the daemon would answer 404.
        *request.uri_mut() = path.parse().unwrap_or_default();
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        // The connection may still be at the end of the answer before.
        self.sender.ready().await?;
        let answer = self.sender.send_request(request).await?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let status = answer.status();
        let wait = answer.headers().get(RETRY_AFTER).and_then(|wait| wait.to_str().ok()?.parse().ok());
        let message = answer.collect().await?.to_bytes();
        let message = String::from_utf8_lossy(&message).trim().to_owned();
        Err(ClientError::Refused { status, message, wait })
    }
}

/// A server that stands still. Its connection is the server's lease: the server runs on when it closes.
pub struct Hold {
    server: ServerId,
    life: Incoming,
    _daemon: Daemon,
}

impl Hold {
    /// Lets the server run on by the daemon at `path`, and tells whether it stood still until now and its last command succeeded.
    pub async fn release(self, path: &Path) -> Result<(), ClientError> {
        let mut other = Daemon::find(path).await?.ok_or(ClientError::Ended)?;
        let asked = format!("/release?server={}", self.server);
        bounded(other.send(Method::POST, &asked), None, HOLD_PATIENCE).await?;
        // Nothing is ever written there: it was open for its end alone.
        drop(self.life);
        Ok(())
    }
}

/// Room for a drill. Its connection is the lease on it.
pub struct Drill {
    life: Incoming,
    _daemon: Daemon,
}

impl Drill {
    /// Starts the restored server by the daemon at `path`, and returns once it is up.
    pub async fn boot(&self, path: &Path) -> Result<Booted, ClientError> {
        let mut other = Daemon::find(path).await?.ok_or(ClientError::Ended)?;
        let answer = bounded(other.send(Method::POST, "/drill/boot"), None, HOLD_PATIENCE).await?;
        Ok(serde_json::from_slice(&answer.collect().await?.to_bytes())?)
    }

    /// Ends it: all that it made is gone afterwards.
    pub async fn end(self, path: &Path) -> Result<(), ClientError> {
        let mut other = Daemon::find(path).await?.ok_or(ClientError::Ended)?;
        bounded(other.send(Method::POST, "/drill/end"), None, HOLD_PATIENCE).await?;
        drop(self.life);
        Ok(())
    }
}

/// Waits for a daemon's answer, but not longer than this.
async fn bounded<T>(
    answer: impl Future<Output = Result<T, ClientError>>,
    pid: Option<i32>,
    within: Duration,
) -> Result<T, ClientError> {
    tokio::time::timeout(within, answer).await.unwrap_or(Err(ClientError::Silent { pid, within }))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::num::NonZeroU32;

    use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
    use tokio::net::UnixListener;

    use super::*;

    /// Answers every request on one connection with the same bytes, as an HTTP server that keeps connections.
    async fn answer_all(listener: UnixListener, body: Vec<u8>) {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        while stream.read_line(&mut line).await.unwrap() > 0 {
            if line == "\r\n" {
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
                stream.write_all(&[head.as_bytes(), &body].concat()).await.unwrap();
            }
            line.clear();
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn many_requests_follow_each_other_on_one_connection() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("door.sock");
        let key: berth_schema::user::SshKey =
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJhfz3kkyiHJlsmmbk1kHFmz5ZfZ0OcVdM6yH0bhK6dA"
                .parse()
                .unwrap();
        let identities = Identities { router: key.clone(), client: key, servers: BTreeMap::new() };
        let body = serde_json::to_vec(&identities).unwrap();
        let serving = tokio::spawn(answer_all(UnixListener::bind(&path).unwrap(), body));
        let mut daemon = Daemon::find(&path).await.unwrap().unwrap();
        let ids = (1..=1_000_000).filter_map(NonZeroU32::new).map(ServerId);
        daemon.keys(ids).await.unwrap();
        drop(daemon);
        serving.await.unwrap();
    }

    #[tokio::test]
    async fn a_daemon_that_is_stopped_is_not_waited_for_for_ever() {
        struct Deaf;
        impl Listener for Deaf {
            fn hear(&self, _: Event) {}
        }
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("control.sock");
        // The kernel takes the connection; nobody ever reads it.
        let _stopped = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let find = async || {
            let daemon = Daemon::find(&path).await.unwrap().unwrap();
            Daemon { patience: Duration::from_millis(50), ..daemon }
        };
        let is_silent = |error: ClientError| {
            let own = format!("(process {})", std::process::id());
            matches!(error, ClientError::Silent { .. }) && error.to_string().contains(&own)
        };
        assert!(is_silent(find().await.status().await.unwrap_err()));
        assert!(is_silent(find().await.sync(&Deaf).await.unwrap_err()));
        assert!(is_silent(find().await.listen(&Deaf).await.unwrap_err()));
    }
}
