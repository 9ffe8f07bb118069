//! `/swagger/`: pages that show the description of the API and try it, from files in the program.

use std::sync::Arc;

use axum::extract::Path;
use axum::response::{IntoResponse as _, Redirect, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use utoipa_swagger_ui::{Config, serve};

use crate::problem::Problem;

/// Leads to the pages.
pub(crate) async fn redirect() -> Redirect {
    Redirect::permanent("/swagger/")
}

/// The first page.
pub(crate) async fn index() -> Result<Response, Problem> {
    give("index.html")
}

/// One of its files.
pub(crate) async fn file(Path(name): Path<String>) -> Result<Response, Problem> {
    give(&name)
}

fn give(name: &str) -> Result<Response, Problem> {
    // Nothing is asked of other hosts: no validator, and one description.
    let config = Config::from("/api/openapi.json").validator_url("none").deep_linking(true);
    let found = serve(name, Arc::new(config)).map_err(|error| {
        tracing::error!(%error, "a file of the API's pages can't be made");
        Problem::internal()
    })?;
    let file = found.ok_or_else(Problem::not_found)?;
    let mut answer = (StatusCode::OK, file.bytes.into_owned()).into_response();
    let headers = answer.headers_mut();
    if let Ok(kind) = HeaderValue::from_str(&file.content_type) {
        headers.insert(CONTENT_TYPE, kind);
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Ok(answer)
}
