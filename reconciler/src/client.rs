//! The other end of the control socket: how the commands talk to a running daemon.

use std::io;
use std::path::{Path, PathBuf};

use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

use crate::event::{Event, Listener};
use crate::journal::PassRecord;
use crate::look::Sight;
use crate::status::Status;

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
    /// The daemon ended before the pass.
    #[error("the reconciler ended before the pass did")]
    Ended,
}

/// A daemon that answers.
pub struct Daemon {
    sender: http1::SendRequest<Empty<Bytes>>,
    pid: Option<i32>,
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
        Ok(Some(Self { sender, pid }))
    }

    /// Its process, as the kernel knows it.
    pub fn pid(&self) -> Option<i32> {
        self.pid
    }

    /// How things are; `None` while the first pass is still running.
    pub async fn status(&mut self) -> Result<Option<Status>, ClientError> {
        match self.send(Method::GET, "/status").await {
            Ok(answer) => Ok(Some(serde_json::from_slice(&answer.collect().await?.to_bytes())?)),
            Err(ClientError::Refused { status: StatusCode::SERVICE_UNAVAILABLE, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Asks for a pass, tells `listener` what happens, and returns what the pass came to.
    pub async fn sync(&mut self, listener: &dyn Listener) -> Result<PassRecord, ClientError> {
        self.stream("/sync", None, listener).await
    }

    /// The same for the pass that works towards `revision`, even if it has begun already, or has ended.
    pub async fn follow(
        &mut self,
        revision: &str,
        listener: &dyn Listener,
    ) -> Result<PassRecord, ClientError> {
        self.stream(&format!("/sync?revision={revision}"), Some(revision), listener).await
    }

    /// What a pass on this revision would plan against now.
    pub async fn observed(&mut self, firewall: bool) -> Result<Sight, ClientError> {
        let answer = self.send(Method::GET, &format!("/observed?firewall={firewall}")).await?;
        Ok(serde_json::from_slice(&answer.collect().await?.to_bytes())?)
    }

    async fn stream(
        &mut self,
        path: &str,
        revision: Option<&str>,
        listener: &dyn Listener,
    ) -> Result<PassRecord, ClientError> {
        let mut body = self.send(Method::POST, path).await?.into_body();
        let mut buffer = Vec::new();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame?.into_data() else { continue };
            buffer.extend_from_slice(&data);
            while let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = buffer.drain(..=end).collect();
                match serde_json::from_slice(&line)? {
                    Event::Answer { record } => return record.ok_or(ClientError::Ended),
                    Event::PassEnded(record) if revision == Some(record.attempted.as_str()) => {
                        return Ok(record);
                    }
                    event => listener.hear(event),
                }
            }
        }
        Err(ClientError::Ended)
    }

    /// Tells `listener` every event from now on, until the daemon ends.
    pub async fn listen(&mut self, listener: &dyn Listener) -> Result<(), ClientError> {
        let mut body = self.send(Method::GET, "/events").await?.into_body();
        let mut buffer = Vec::new();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame?.into_data() else { continue };
            buffer.extend_from_slice(&data);
            while let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = buffer.drain(..=end).collect();
                listener.hear(serde_json::from_slice(&line)?);
            }
        }
        Ok(())
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
