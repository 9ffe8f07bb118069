//! Style sheets, scripts and pictures, which browsers keep for good.

use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use http::HeaderMap;
use http::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, VARY};

use crate::app::App;
use crate::problem::Problem;

/// `GET /assets/{name}`
pub(crate) async fn give(
    State(app): State<App>,
    Path(name): Path<String>,
    asked: HeaderMap,
) -> Result<Response, Problem> {
    let asset = app.templates.assets().get(&name).ok_or_else(Problem::not_found)?;
    let headers = [
        (CONTENT_TYPE, asset.kind),
        (CACHE_CONTROL, "public, max-age=31536000, immutable"),
        (VARY, "accept-encoding"),
    ];
    let compressed = if takes_gzip(&asked) { asset.compressed() } else { None };
    Ok(match compressed {
        Some(compressed) => (headers, [(CONTENT_ENCODING, "gzip")], compressed).into_response(),
        None => (headers, asset.content.clone()).into_response(),
    })
}

/// Returns whether a browser takes gzip by name, and says nothing against it.
fn takes_gzip(asked: &HeaderMap) -> bool {
    let lines = asked.get_all(ACCEPT_ENCODING).into_iter().filter_map(|line| line.to_str().ok());
    let mut words = lines.flat_map(|line| line.split(',')).map(|word| {
        let (name, weight) = word.split_once(';').unwrap_or((word, ""));
        (name.trim(), weight.trim().strip_prefix("q=").and_then(|weight| weight.parse::<f32>().ok()))
    });
    words.any(|(name, weight)| name.eq_ignore_ascii_case("gzip") && weight.is_none_or(|weight| weight > 0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_for_those_who_take_it() {
        let takes =
            |line: &str| takes_gzip(&HeaderMap::from_iter([(ACCEPT_ENCODING, line.parse().unwrap())]));
        assert!(["gzip", "br, gzip", "deflate, GZIP;q=0.5, *"].into_iter().all(takes));
        assert!(!["", "identity", "br", "gzip;q=0", "gzip; q=0.0, br", "x-gzip2"].into_iter().any(takes));
        assert!(!takes_gzip(&HeaderMap::new()));
    }
}
