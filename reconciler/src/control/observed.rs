//! `GET /observed`: what the next pass would plan against.

use std::sync::{Arc, OnceLock};

use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use berth_engine::{LookError, Lookout};
use berth_fault::chain;
use serde::Deserialize;

use crate::wakeup::Wakeups;

/// The things that a look at the engine needs, of all that the socket's daemon shares.
#[derive(Clone)]
pub(super) struct Looking {
    pub(super) wakeups: Wakeups,
    /// Set once there is an engine to look at.
    pub(super) lookout: Arc<OnceLock<Lookout>>,
}

#[derive(Deserialize)]
pub(super) struct Asked {
    /// Says that the host's rules matter, since there is to be a firewall. By default as in the last pass.
    firewall: Option<bool>,
}

pub(super) async fn observed(State(looking): State<Looking>, Query(asked): Query<Asked>) -> Response {
    let Some(lookout) = looking.lookout.get() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "this reconciler looks at no engine\n").into_response();
    };
    match lookout.look(|| looking.wakeups.unheard(), asked.firewall).await {
        Ok(sight) => Json(sight).into_response(),
        Err(error) => {
            let status = match error {
                LookError::TooEarly => StatusCode::SERVICE_UNAVAILABLE,
                LookError::Observe(_) | LookError::Template(_) => StatusCode::BAD_GATEWAY,
            };
            (status, chain(&error) + "\n").into_response()
        }
    }
}
