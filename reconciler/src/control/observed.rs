//! `GET /observed`: what the next pass would plan against.

use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::Control;
use crate::look::LookError;
use crate::outcome::chain;

#[derive(Deserialize)]
pub(super) struct Asked {
    /// Whether the host's rules matter: whether there is to be a firewall. Unsaid: as in the last pass.
    firewall: Option<bool>,
}

pub(super) async fn observed(State(control): State<Control>, Query(asked): Query<Asked>) -> Response {
    let Some(lookout) = control.lookout.get() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "this reconciler looks at no engine\n").into_response();
    };
    match lookout.look(&control.wakeups, asked.firewall).await {
        Ok(sight) => Json(sight).into_response(),
        Err(error) => {
            let status = match error {
                LookError::TooEarly => StatusCode::SERVICE_UNAVAILABLE,
                LookError::Engine(_) | LookError::Template(_) => StatusCode::BAD_GATEWAY,
            };
            (status, chain(&error) + "\n").into_response()
        }
    }
}
