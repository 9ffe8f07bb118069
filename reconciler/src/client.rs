//! The other end of the control socket: how the commands talk to a running daemon.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::{Stream, StreamExt as _, TryStreamExt as _};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio_util::codec::{FramedRead, LinesCodec, LinesCodecError};
use tokio_util::io::StreamReader;

use crate::event::{Event, Listener};
use crate::journal::PassRecord;
use crate::look::Sight;
use crate::status::Status;

/// How long a daemon may take to answer what it knows by heart. One that takes longer is stopped, or stuck.
const PATIENCE: Duration = Duration::from_secs(30);
/// The longest event, in bytes: a plan of ten thousand servers has a few million.
const LONGEST_EVENT: usize = 64 << 20;

/// A talk with the daemon that failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The socket is there and can't be used.
    #[error("connect to the reconciler at {path}")]
    Connect {
        /// The socket.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The connection broke.
    #[error("talk to the reconciler")]
    Http(#[from] hyper::Error),
    /// It doesn't answer.
    #[error("the reconciler{} did not answer within {} s; is it stopped, or stuck?", process(*pid), within.as_secs())]
    Silent {
        /// Its process.
        pid: Option<i32>,
        /// How long it was waited for.
        within: Duration,
    },
    /// The daemon said no.
    #[error("the reconciler answered {status}: {message}")]
    Refused {
        /// The HTTP status.
        status: StatusCode,
        /// Its words.
        message: String,
    },
    /// The answer made no sense: another version, perhaps.
    #[error("read the reconciler's answer (is it of the same version?)")]
    Answer(#[from] serde_json::Error),
    /// The events broke off, or one of them is far too long.
    #[error("read the reconciler's events")]
    Events(#[from] LinesCodecError),
    /// The daemon ended before the pass.
    #[error("the reconciler ended before the pass did")]
    Ended,
}

fn process(pid: Option<i32>) -> String {
    pid.map(|pid| format!(" (process {pid})")).unwrap_or_default()
}

/// A daemon that answers.
pub struct Daemon {
    sender: http1::SendRequest<Empty<Bytes>>,
    pid: Option<i32>,
    patience: Duration,
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
        // Its error comes out of the request that it belongs to.
        tokio::spawn(connection);
        Ok(Some(Self { sender, pid, patience: PATIENCE }))
    }

    /// Its process, as the kernel knows it.
    pub fn pid(&self) -> Option<i32> {
        self.pid
    }

    /// How things are; `None` while the first pass is still running.
    pub async fn status(&mut self) -> Result<Option<Status>, ClientError> {
        let within = self.patience;
        let pid = self.pid;
        let asked = async {
            let answer = self.send(Method::GET, "/status").await?;
            Ok(serde_json::from_slice(&answer.collect().await?.to_bytes())?)
        };
        match bounded(asked, pid, within).await {
            Ok(status) => Ok(Some(status)),
            Err(ClientError::Refused { status: StatusCode::SERVICE_UNAVAILABLE, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Asks for a pass, tells `listener` what happens, and returns what the pass came to.
    pub async fn sync(&mut self, listener: &dyn Listener) -> Result<PassRecord, ClientError> {
        self.stream("/sync", None, listener).await
    }

    /// The same for the pass that works towards `revision`, even if it has begun already, or has ended. While something of it
    /// is tried again, so are its passes followed: `listener` is told what each came to, and the last one is returned. Where
    /// another revision takes its place, that one's is.
    pub async fn follow(
        &mut self,
        revision: &str,
        listener: &dyn Listener,
    ) -> Result<PassRecord, ClientError> {
        self.stream(&format!("/sync?revision={revision}"), Some(revision), listener).await
    }

    /// What the next pass would plan against, for as long as the engine takes to show it.
    /// With the host's rules, without them, or as the last pass needed them.
    pub async fn observed(&mut self, firewall: Option<bool>) -> Result<Sight, ClientError> {
        let asked = firewall.map(|firewall| format!("?firewall={firewall}")).unwrap_or_default();
        let answer = self.send(Method::GET, &format!("/observed{asked}")).await?;
        Ok(serde_json::from_slice(&answer.collect().await?.to_bytes())?)
    }

    async fn stream(
        &mut self,
        path: &str,
        revision: Option<&str>,
        listener: &dyn Listener,
    ) -> Result<PassRecord, ClientError> {
        let mut events = self.events(Method::POST, path).await?;
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
            let is_ours = revision == Some(record.attempted.as_str());
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
        let mut request = Request::new(Empty::new());
        *request.method_mut() = method;
        // A path of ours; were it not a URI, the daemon would answer 404.
        *request.uri_mut() = path.parse().unwrap_or_default();
        let answer = self.sender.send_request(request).await?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let status = answer.status();
        let message = answer.collect().await?.to_bytes();
        Err(ClientError::Refused { status, message: String::from_utf8_lossy(&message).trim().to_owned() })
    }
}

/// What a daemon answers, if it does.
async fn bounded<T>(
    answer: impl Future<Output = Result<T, ClientError>>,
    pid: Option<i32>,
    within: Duration,
) -> Result<T, ClientError> {
    tokio::time::timeout(within, answer).await.unwrap_or(Err(ClientError::Silent { pid, within }))
}

#[cfg(test)]
mod tests {
    use super::*;

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
