//! `GET /figures`: what servers use. With their ids their past, and otherwise the newest sample of all.

use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use berth_wire::figures::{SERVERS_AT_ONCE, Span};
use serde::Deserialize;

use super::ids::server_ids;
use crate::figures::Use;

#[derive(Deserialize)]
pub(super) struct Asked {
    /// Ids with commas between them.
    servers: Option<String>,
    /// Extent of their past.
    #[serde(default)]
    span: Span,
}

pub(super) async fn figures(State(used): State<Use>, Query(asked): Query<Asked>) -> Response {
    let figures = match asked.servers {
        None => used.newest(),
        Some(ids) => match server_ids(&ids, SERVERS_AT_ONCE) {
            Ok(ids) => match used.past(&ids, asked.span) {
                // Longer pasts are in files.
                Some(past) => tokio::task::spawn_blocking(move || past.read()).await.ok(),
                None => None,
            },
            Err(refused) => return *refused,
        },
    };
    match figures {
        Some(figures) => Json(figures).into_response(),
        None => (StatusCode::SERVICE_UNAVAILABLE, "no sample was taken yet\n").into_response(),
    }
}
