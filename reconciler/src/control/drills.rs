//! `POST /drill`, `/drill/boot` and `/drill/end`, for whoever backs servers up. Only the control socket has them.

use std::convert::Infallible;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use berth_fault::chain;
use berth_wire::hold::DrillOrder;
use futures_util::stream;

use crate::drill::{DrillError, Drills};

/// Returns the routes.
pub(super) fn router(drills: Drills) -> Router {
    Router::new()
        .route("/drill", post(make))
        .route("/drill/boot", post(boot))
        .route("/drill/end", post(end))
        .with_state(drills)
}

/// Answers once the volumes are there, with a body that never comes: when whoever asked goes, the drill ends.
async fn make(State(drills): State<Drills>, Json(order): Json<DrillOrder>) -> Response {
    match drills.make(order).await {
        Ok(lease) => {
            let nothing = stream::unfold(lease, |mut lease| async move {
                lease.recv().await.map(|()| (Ok::<_, Infallible>(Bytes::new()), lease))
            });
            Body::from_stream(nothing).into_response()
        }
        Err(error) => refused(&error),
    }
}

async fn boot(State(drills): State<Drills>) -> Response {
    match drills.boot().await {
        Ok(booted) => Json(booted).into_response(),
        Err(error) => refused(&error),
    }
}

async fn end(State(drills): State<Drills>) -> Response {
    match drills.end().await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => refused(&error),
    }
}

fn refused(error: &DrillError) -> Response {
    let status = match error {
        DrillError::NoServer(_) => StatusCode::NOT_FOUND,
        DrillError::Twice | DrillError::Over => StatusCode::CONFLICT,
        DrillError::TooEarly | DrillError::Ends => StatusCode::SERVICE_UNAVAILABLE,
        DrillError::Boot(_) | DrillError::Make(_) | DrillError::Remove(_) => StatusCode::BAD_GATEWAY,
    };
    (status, chain(error) + "\n").into_response()
}
