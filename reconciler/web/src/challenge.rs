//! Answers to an ACME CA that asks over plain HTTP whether the panel's name is this panel's (RFC 8555, 8.3).
//!
//! The edge passes such requests on, over its socket, and nothing else that comes in plain text.

use std::collections::HashMap;
use std::sync::Arc;

use axum::body::Body;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use parking_lot::RwLock;

/// Path below which a CA asks, before the token.
const BELOW: &str = "/.well-known/acme-challenge/";

/// The challenges that are open now. A clone is the same ones.
#[derive(Debug, Clone, Default)]
pub struct Challenges(Arc<RwLock<HashMap<String, String>>>);

impl Challenges {
    /// Opens a challenge: whoever asks for the token gets the key authorization.
    pub fn open(&self, token: impl Into<String>, authorization: impl Into<String>) {
        self.0.write().insert(token.into(), authorization.into());
    }

    /// Closes a challenge.
    pub fn close(&self, token: &str) {
        self.0.write().remove(token);
    }

    /// Answers a request that came in plain text.
    pub(crate) fn answer(&self, path: &str) -> Response<Body> {
        let known = path.strip_prefix(BELOW).and_then(|token| self.0.read().get(token).cloned());
        let Some(authorization) = known else {
            let mut missing = Response::new(Body::from("There is nothing here.\n"));
            *missing.status_mut() = StatusCode::NOT_FOUND;
            return missing;
        };
        let mut answer = Response::new(Body::from(authorization));
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_open_challenge_is_answered() {
        let challenges = Challenges::default();
        let status = |path: &str| challenges.answer(path).status();
        let path = "/.well-known/acme-challenge/token";
        assert_eq!(status(path), StatusCode::NOT_FOUND);
        challenges.open("token", "token.thumbprint");
        assert_eq!(status(path), StatusCode::OK);
        for other in ["/", "/login", "/.well-known/acme-challenge/", "/.well-known/acme-challenge/other"] {
            assert_eq!(status(other), StatusCode::NOT_FOUND, "{other}");
        }
        challenges.close("token");
        assert_eq!(status(path), StatusCode::NOT_FOUND);
    }
}
