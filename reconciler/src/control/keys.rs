//! `GET /keys`: the public halves of the platform's SSH keys, for whoever plans without the file that they follow from.

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use berth_engine::Identity;
use serde::Deserialize;

use super::ids::server_ids;

/// Most servers of one request. Each key that isn't known yet takes a moment of a processor.
const SERVERS_MAX: usize = 1000;

/// Source of public keys.
#[derive(Debug, Clone)]
pub struct Keys(Identity);

#[derive(Deserialize)]
struct Asked {
    /// Ids with commas between them.
    #[serde(default)]
    servers: String,
}

impl Keys {
    /// Public halves of this identity's keys.
    pub fn of(identity: Identity) -> Self {
        Self(identity)
    }

    /// Returns the route that answers with them.
    pub(super) fn router(self) -> Router {
        Router::new().route("/keys", get(keys)).with_state(self)
    }
}

async fn keys(State(keys): State<Keys>, Query(asked): Query<Asked>) -> Response {
    match server_ids(&asked.servers, SERVERS_MAX) {
        Ok(ids) => {
            // Off the threads that carry connections: a thousand new keys take a while.
            let shown = tokio::task::spawn_blocking(move || keys.0.identities(ids)).await;
            match shown {
                Ok(shown) => Json(shown).into_response(),
                Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
            }
        }
        Err(refused) => *refused,
    }
}
