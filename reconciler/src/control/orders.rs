//! `POST /power`: orders to running servers. Only the door's socket takes them: whoever has it has judged who asks.

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use berth_fault::chain;
use berth_wire::PowerOrder;

use crate::power::{Power, PowerError};

/// Returns the route that takes orders.
pub(super) fn router(power: Power) -> Router {
    Router::new().route("/power", post(obey)).with_state(power)
}

async fn obey(State(power): State<Power>, Json(order): Json<PowerOrder>) -> Response {
    match power.obey(order).await {
        Ok(record) => Json(record).into_response(),
        Err(error) => {
            let status = match error {
                PowerError::NoServer(_) => StatusCode::NOT_FOUND,
                PowerError::Removed(_)
                | PowerError::Stopped(_)
                | PowerError::NotMade(_)
                | PowerError::NotRunning(_)
                | PowerError::Busy(_) => StatusCode::CONFLICT,
                PowerError::TooSoon { .. } | PowerError::Yours => StatusCode::TOO_MANY_REQUESTS,
                PowerError::TooEarly | PowerError::Full | PowerError::Ends(_) => {
                    StatusCode::SERVICE_UNAVAILABLE
                }
                PowerError::Engine { .. } => StatusCode::BAD_GATEWAY,
            };
            let wait = match error {
                PowerError::TooSoon { seconds, .. } => Some([(RETRY_AFTER, seconds)]),
                _ => None,
            };
            (status, wait, chain(&error) + "\n").into_response()
        }
    }
}
