//! `GET /volumes`, `POST /hold` and `POST /release`, for whoever backs servers up. Only the control socket has them.

use std::convert::Infallible;

use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use berth_fault::chain;
use berth_schema::name::ServerId;
use berth_wire::hold::HoldOrder;
use futures_util::stream;
use serde::Deserialize;

use crate::hold::{HeldError, Holds};

/// Returns the routes.
pub(super) fn router(holds: Holds) -> Router {
    Router::new()
        .route("/volumes", get(volumes))
        .route("/hold", post(hold))
        .route("/release", post(release))
        .with_state(holds)
}

#[derive(Deserialize)]
struct Which {
    server: ServerId,
}

async fn volumes(State(holds): State<Holds>) -> Response {
    match holds.volumes().await {
        Ok(volumes) => Json(volumes).into_response(),
        Err(error) => refused(&error),
    }
}

/// Answers once the server stands still, with a body that never comes: when whoever asked goes, the server runs on.
async fn hold(State(holds): State<Holds>, Json(order): Json<HoldOrder>) -> Response {
    match holds.hold(order).await {
        Ok(lease) => {
            let nothing = stream::unfold(lease, |mut lease| async move {
                lease.recv().await.map(|()| (Ok::<_, Infallible>(Bytes::new()), lease))
            });
            Body::from_stream(nothing).into_response()
        }
        Err(error) => refused(&error),
    }
}

async fn release(State(holds): State<Holds>, Query(which): Query<Which>) -> Response {
    match holds.release(which.server).await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => refused(&error),
    }
}

fn refused(error: &HeldError) -> Response {
    let status = match error {
        HeldError::NoServer(_) => StatusCode::NOT_FOUND,
        HeldError::Twice(_) | HeldError::Over => StatusCode::CONFLICT,
        HeldError::TooEarly | HeldError::Ends => StatusCode::SERVICE_UNAVAILABLE,
        HeldError::Hold { .. } | HeldError::Volumes(_) => StatusCode::BAD_GATEWAY,
    };
    (status, chain(error) + "\n").into_response()
}
