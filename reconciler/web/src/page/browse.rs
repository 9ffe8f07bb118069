//! `/admin/state` and below: the state repo as it is written, one file below for each page.

pub(crate) mod diff;
pub(crate) mod file;
pub(crate) mod folder;
pub(crate) mod table;
pub(crate) mod text_form;
mod trail;

use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use http::header::{HeaderValue, LOCATION};

/// Leads whoever knows this place by its first name to its page.
pub(crate) async fn moved() -> Response {
    (StatusCode::PERMANENT_REDIRECT, [(LOCATION, HeaderValue::from_static("/admin/state"))]).into_response()
}
