//! The OpenID provider, as the process that reaches it tells the door of it over `oidc.sock`: its description and its keys, and the
//! exchange of a code. The door has no network, and checks tokens by the keys that this process brings.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::net::UnixStream;
use tokio_util::task::AbortOnDropHandle;

use crate::web::Secret;

/// Name of the socket in Berth's data.
pub const SOCKET: &str = "oidc.sock";
/// Path of the question for the provider.
pub const PROVIDER: &str = "/provider";
/// Path of the question that exchanges a code.
pub const EXCHANGE: &str = "/exchange";
/// Path of the question how the provider does.
pub const STANDING: &str = "/standing";
/// Time for an answer. The process behind the socket has less for whatever it asks the provider.
const PATIENCE: Duration = Duration::from_secs(30);
/// The longest answer, in bytes.
const LONGEST: usize = 2 << 20;

/// The client that the door means. Settings that the process doesn't have yet, or not any more, are told by it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    /// The provider's issuer.
    pub issuer: String,
    /// The panel's identifier there.
    pub client_id: String,
}

/// Asks for the provider.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AskProvider {
    /// The client.
    pub client: Client,
    /// Set where a token names a key that the door doesn't know. The keys are fetched anew then, unless they just were.
    pub renew: bool,
}

/// The provider's description and its keys, as it publishes them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Provider {
    /// The description (OpenID Connect Discovery, 3).
    pub description: Value,
    /// The keys (RFC 7517).
    pub keys: Value,
    /// When they were fetched.
    pub fetched: Timestamp,
}

/// Exchanges a code.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Exchange {
    /// The client.
    pub client: Client,
    /// The code, which is good once.
    pub code: Secret,
    /// What proves that the door began the sign-in (RFC 7636).
    pub verifier: Secret,
    /// Address that the provider sent the person back to.
    pub redirect_uri: String,
}

/// The provider's word for a code. Nobody has checked it yet.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Exchanged {
    /// The ID token.
    pub id_token: Secret,
}

/// The provider's standing, as the process that reaches it knows from its last questions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderStanding {
    /// The provider's issuer.
    pub issuer: String,
    /// Time at which its keys were fetched last; `None` where they never were.
    pub fetched: Option<Timestamp>,
    /// The last failure, if it has done as asked at no time since.
    pub failed: Option<ProviderFailure>,
}

/// A failure to do what people need who sign in by the provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderFailure {
    /// Reason.
    pub why: String,
    /// Time of it.
    pub at: Timestamp,
}

/// The provider in the status of a platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderRow {
    /// Its standing. Without the process that reaches it, nothing but the issuer is known.
    pub standing: ProviderStanding,
    /// Reason why that process can't be asked, where it can't.
    pub unheard: Option<String>,
}

/// A "no" of the process that reaches the provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// Kind of it.
    pub kind: TroubleKind,
    /// What happened, for the log.
    pub message: String,
}

/// Kind of a trouble with the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TroubleKind {
    /// The provider doesn't answer, or not in time, or with nonsense. Later it may.
    Down,
    /// It doesn't take the code.
    Refused,
    /// Something here isn't as the provider wants it: the secret, the client, the issuer.
    Settings,
}

/// The process that reaches the provider didn't answer, or said no.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub enum FetchError {
    /// It says no.
    #[error("{}", .0.message)]
    Trouble(Trouble),
    /// Nobody listens there.
    #[error("cannot reach `berth oidc` at {path}")]
    Connect {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The connection broke.
    #[error("cannot talk to `berth oidc`")]
    Http(#[from] hyper::Error),
    /// The answer is too long, or broke off.
    #[error("cannot hear the answer of `berth oidc` out")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It takes too long.
    #[error("`berth oidc` did not answer within {} s", PATIENCE.as_secs())]
    Silent,
    /// The answer makes no sense: another version, perhaps.
    #[error("cannot read the answer of `berth oidc` (is it of the same version?)")]
    Answer(#[from] serde_json::Error),
}

/// The process that reaches the provider.
#[derive(Debug, Clone)]
pub struct Fetcher {
    socket: PathBuf,
}

impl Fetcher {
    /// The process that listens in Berth's folder `data`.
    pub fn of(data: &Path) -> Self {
        Self { socket: data.join(SOCKET) }
    }

    /// Asks for the provider.
    pub async fn provider(&self, asked: &AskProvider) -> Result<Provider, FetchError> {
        self.ask(PROVIDER, asked).await
    }

    /// Asks how the provider does. Nobody asks the provider for that.
    pub async fn standing(&self) -> Result<ProviderStanding, FetchError> {
        self.ask(STANDING, &()).await
    }

    /// Exchanges a code.
    pub async fn exchange(&self, asked: &Exchange) -> Result<Exchanged, FetchError> {
        self.ask(EXCHANGE, asked).await
    }

    async fn ask<T: DeserializeOwned>(&self, path: &str, asked: &impl Serialize) -> Result<T, FetchError> {
        let answer = self.answer(path, serde_json::to_vec(asked)?);
        let answer = tokio::time::timeout(PATIENCE, answer).await.map_err(|_| FetchError::Silent)??;
        Ok(serde_json::from_slice(&answer)?)
    }

    async fn answer(&self, path: &str, asked: Vec<u8>) -> Result<Bytes, FetchError> {
        let stream = UnixStream::connect(&self.socket).await;
        let stream = stream.map_err(|source| FetchError::Connect { path: self.socket.clone(), source })?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
        let mut request = Request::new(Full::new(Bytes::from(asked)));
        *request.method_mut() = Method::POST;
        // A path of ours; were it not a URI, nothing would answer there.
        *request.uri_mut() = path.parse().unwrap_or_default();
        request.headers_mut().insert(HOST, HeaderValue::from_static("oidc"));
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), LONGEST).collect().await.map_err(FetchError::Body)?;
        let body = body.to_bytes();
        match status {
            StatusCode::OK => Ok(body),
            _ => Err(FetchError::Trouble(serde_json::from_slice(&body)?)),
        }
    }
}
