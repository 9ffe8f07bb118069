//! Bytes that pages of the wiki show: pictures, drawings to save, diagrams. Each goes out in a sandbox, whatever is in it.

use axum::extract::State as Of;
use axum::response::{IntoResponse as _, Response};
use berth_wire::web::{DocFileRead, Docs};
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE};

use super::address::{Named, Wishes};
use super::docs::{At, Reader};
use crate::app::App;
use crate::problem::Problem;

/// Policy of what members have made: it is shown, styles itself, and does nothing else.
pub(crate) const SANDBOX: &str = "sandbox; default-src 'none'; style-src 'unsafe-inline'";

/// `GET /wiki/picture/{*path}`
pub(crate) async fn picture(
    Of(app): Of<App>,
    reader: Reader,
    Named(path): Named<String>,
    Wishes(At { rev }): Wishes<At>,
) -> Result<Response, Problem> {
    let file = reader.ask(&app, &DocFileRead { path: path.clone(), revision: rev }).await?;
    let mut response = file.bytes.0.into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(SANDBOX));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    let (kind, disposition) = match &file.media_type {
        Some(kind) => (kind.as_str(), "inline".to_owned()),
        None => ("application/octet-stream", format!("attachment; filename=\"{}\"", plain_name(&path))),
    };
    let value = |text: &str| HeaderValue::from_str(text).map_err(|_| Problem::internal());
    headers.insert(CONTENT_TYPE, value(kind)?);
    headers.insert(CONTENT_DISPOSITION, value(&disposition)?);
    Ok(response)
}

/// The name of a file, in letters that every header may hold.
fn plain_name(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or_default();
    name.chars().map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' }).collect()
}

/// `GET /wiki/diagram/{digest}`
pub(crate) async fn diagram(
    Of(app): Of<App>,
    reader: Reader,
    Named(digest): Named<String>,
) -> Result<Response, Problem> {
    if reader.visitor.is_none() {
        // Whoever may not read the wiki sees none of its diagrams either.
        reader.ask(&app, &Docs {}).await?;
    }
    let picture = app.diagrams.picture(&digest).ok_or_else(|| {
        Problem::not_found().hint("Diagrams are kept for a while only. Load the page that shows it again.")
    })?;
    let headers = [
        (CONTENT_TYPE, "image/svg+xml"),
        (CONTENT_SECURITY_POLICY, SANDBOX),
        (CACHE_CONTROL, "private, max-age=86400, immutable"),
    ];
    Ok((headers, picture).into_response())
}
