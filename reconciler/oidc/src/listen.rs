//! `oidc.sock`: the door's questions, a bounded number at once.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::serve::Listener;
use axum::{Json, Router};
use berth_fault::{Fault, Kind, chain};
use berth_host::StagedSocket;
use berth_tasks::{Pulse, TaskError, Tasks};
use berth_wire::oidc::{
    AskProvider, Client, EXCHANGE, Exchange, PROVIDER, ProviderStanding, STANDING, Trouble, TroubleKind,
};
use http::StatusCode;
use tokio::net::unix::SocketAddr;
use tokio::net::{UnixListener, UnixStream};

use crate::provider::Keeper;
use crate::settings::OidcSettings;
use crate::trouble::ProviderError;

/// The longest question, in bytes.
const LARGEST: usize = 64 << 10;

/// The socket can't be opened, or a task broke.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub enum ListenError {
    /// The socket can't be made.
    #[error("cannot open the socket {path}")]
    Socket {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// A task broke.
    #[error(transparent)]
    Task(#[from] TaskError),
}

impl Fault for ListenError {
    fn kind(&self) -> Kind {
        Kind::Configuration
    }
}

/// Answers the door until `tasks` are asked to end.
pub async fn run(settings: OidcSettings, tasks: &Tasks) -> Result<(), ListenError> {
    let path = settings.socket.clone();
    let failed = |source| ListenError::Socket { path: path.clone(), source };
    let staged = StagedSocket::make(path.parent().unwrap_or(&path)).map_err(failed)?;
    if let Some(owner) = settings.owner {
        owner.give(staged.path()).map_err(failed)?;
    }
    let listener = staged.put(&path).and_then(UnixListener::from_std).map_err(failed)?;
    let client =
        Client { issuer: settings.oidc.issuer.to_string(), client_id: settings.oidc.client_id.clone() };
    let keeper = Arc::new(Keeper::new(settings));
    let first = Arc::clone(&keeper);
    tasks.serve("the first look at the OpenID provider", async move {
        // Whoever signs in first needn't wait, and a wrong setting is told at once.
        if let Err(error) = first.provider(&AskProvider { client, renew: false }).await {
            tracing::warn!(
                error = chain(&error),
                "the OpenID provider can't be asked; it is tried again when somebody signs in"
            );
        }
    });
    let router = Router::new()
        .route(PROVIDER, post(provider))
        .route(EXCHANGE, post(exchange))
        .route(STANDING, post(standing))
        .layer(DefaultBodyLimit::max(LARGEST))
        .with_state(keeper);
    let pulse = tasks.pulse().clone();
    tasks.keep("the socket for the door", async move {
        if let Err(error) = axum::serve(Beating { listener, pulse }, router).await {
            tracing::error!(%error, "the socket for the door broke");
        }
    });
    tasks.stop().cancelled().await;
    let ended = tasks.end().await;
    let _ = std::fs::remove_file(&path);
    Ok(ended?)
}

/// The socket, at which waiting for the next question is a sign of life.
struct Beating {
    listener: UnixListener,
    pulse: Pulse,
}

impl Listener for Beating {
    type Io = UnixStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        self.pulse.wait(Listener::accept(&mut self.listener)).await
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

async fn provider(State(keeper): State<Arc<Keeper>>, Json(asked): Json<AskProvider>) -> Response {
    told(keeper.provider(&asked).await)
}

async fn exchange(State(keeper): State<Arc<Keeper>>, Json(asked): Json<Exchange>) -> Response {
    told(keeper.exchange(asked).await)
}

async fn standing(State(keeper): State<Arc<Keeper>>) -> Json<ProviderStanding> {
    Json(keeper.standing())
}

fn told<T: serde::Serialize>(answer: Result<T, ProviderError>) -> Response {
    match answer {
        Ok(answer) => Json(answer).into_response(),
        Err(error) => {
            let trouble = Trouble::from(&error);
            tracing::warn!(error = trouble.message, "the OpenID provider doesn't do as asked");
            let status = match trouble.kind {
                TroubleKind::Refused => StatusCode::FORBIDDEN,
                TroubleKind::Down | TroubleKind::Settings => StatusCode::BAD_GATEWAY,
            };
            (status, Json(trouble)).into_response()
        }
    }
}
