//! The panel's end of `web.sock`: asks one question a connection.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio_util::task::AbortOnDropHandle;

use super::{Question, Refusal, Token};

/// Time that the panel waits longer than the door works on an answer.
const GRACE: Duration = Duration::from_secs(5);
/// The longest answer, in bytes: a plan of ten thousand servers has a few million.
const LONGEST_ANSWER: usize = 64 << 20;

/// The door, as the panel reaches it.
#[derive(Debug, Clone)]
pub struct Door {
    socket: PathBuf,
}

/// A question without an answer.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub enum AskError {
    /// The door says no, in words for the person.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Nobody listens there.
    #[error("cannot reach the door at {path}")]
    Connect {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The connection broke.
    #[error("cannot talk to the door")]
    Http(#[from] hyper::Error),
    /// The answer is too long, or broke off.
    #[error("cannot hear the door's answer out")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The door takes too long.
    #[error("the door did not answer within {} s", within.as_secs())]
    Silent { within: Duration },
    /// The answer makes no sense: another version, perhaps.
    #[error("cannot read the door's answer (is it of the same version?)")]
    Answer(#[from] serde_json::Error),
}

impl Door {
    /// The door that listens at `socket`.
    pub fn at(socket: &Path) -> Self {
        Self { socket: socket.to_owned() }
    }

    /// Asks a question, in the name of whomever `token` stands for.
    pub async fn ask<Q: Question>(&self, token: Option<&Token>, question: &Q) -> Result<Q::Answer, AskError> {
        let within = Q::PATIENCE + GRACE;
        let asked = self.answer(Q::PATH, token, serde_json::to_vec(question)?);
        let answer = tokio::time::timeout(within, asked).await.map_err(|_| AskError::Silent { within })??;
        Ok(serde_json::from_slice(&answer)?)
    }

    async fn answer(&self, path: &str, token: Option<&Token>, question: Vec<u8>) -> Result<Bytes, AskError> {
        let stream = UnixStream::connect(&self.socket).await;
        let stream = stream.map_err(|source| AskError::Connect { path: self.socket.clone(), source })?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
        let mut request = Request::new(Full::new(Bytes::from(question)));
        *request.method_mut() = Method::POST;
        // A path of ours; were it not a URI, the door would answer 404.
        *request.uri_mut() = path.parse().unwrap_or_default();
        let headers = request.headers_mut();
        headers.insert(HOST, hyper::header::HeaderValue::from_static("door"));
        headers.insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static("application/json"));
        if let Some(value) = token.and_then(|token| format!("Bearer {}", token.as_str()).parse().ok()) {
            headers.insert(AUTHORIZATION, value);
        }
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        let body =
            Limited::new(answer.into_body(), LONGEST_ANSWER).collect().await.map_err(AskError::Body)?;
        let body = body.to_bytes();
        match status {
            StatusCode::OK => Ok(body),
            _ => Err(AskError::Refused(serde_json::from_slice(&body)?)),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by unwrapping it")]

    use super::*;
    use crate::web::{Act, Me, Power};

    #[tokio::test(start_paused = true)]
    async fn each_question_has_its_own_patience() {
        let home = tempfile::tempdir().unwrap();
        let socket = home.path().join("web.sock");
        // It takes connections, and answers nothing.
        let _listener = tokio::net::UnixListener::bind(&socket).unwrap();
        let door = Door::at(&socket);
        let Err(AskError::Silent { within }) = door.ask(None, &Me {}).await else { panic!() };
        assert_eq!(within, Me::PATIENCE + GRACE);
        let restart = Power { server: serde_json::from_str("1").unwrap(), act: Act::Restart };
        let Err(AskError::Silent { within: longer }) = door.ask(None, &restart).await else { panic!() };
        assert_eq!(longer, Power::PATIENCE + GRACE);
        assert!(longer > within * 2, "{longer:?}");
    }
}
