//! Style sheets, scripts and pictures, which browsers keep for good.

use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};

use crate::app::App;
use crate::problem::Problem;

/// `GET /assets/{name}`
pub(crate) async fn give(State(app): State<App>, Path(name): Path<String>) -> Result<Response, Problem> {
    let (kind, content) = app.templates.assets().get(&name).ok_or_else(Problem::not_found)?;
    let headers = [(CONTENT_TYPE, kind), (CACHE_CONTROL, "public, max-age=31536000, immutable")];
    Ok((headers, content).into_response())
}
