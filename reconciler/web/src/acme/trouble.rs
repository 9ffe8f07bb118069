//! Failures of an order, in words for whoever reads `berth status`.

use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use berth_wire::certificate::{OrderFailure, Proof};
use rustls_acme::acme::{AcmeError, Challenge, Problem};

/// Beginning of the library's words for an answer that refuses. Its type for them can't be named outside of it.
const REFUSED: &str = "non 2xx http status: ";
/// Kind of a problem (RFC 8555, 6.7) that says to come back later.
const RATE_LIMITED: &str = ":rateLimited";
/// Kind of a problem that says to ask once more.
const BAD_NONCE: &str = ":badNonce";
/// Status that says to come back later.
const TOO_MANY_REQUESTS: &str = "429";

/// An order failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum OrderError {
    #[error("the CA can't be reached at {directory}: {why}")]
    Unreachable { directory: String, why: String },
    #[error(
        "the CA can't be checked, since this machine has no root certificates: install `ca-certificates`, or put the CA's into `acme.ca`"
    )]
    NoRoots,
    #[error("the certificates in `acme.ca` can't be used")]
    Roots(#[source] Box<dyn Error + Send + Sync>),
    #[error("the CA at {directory} didn't answer within {} s", within.as_secs_f32())]
    Silent { directory: String, within: Duration },
    #[error("the CA at {directory} didn't finish the order within {} s", within.as_secs_f32())]
    Unfinished { directory: String, within: Duration },
    #[error("the CA refuses: {0}")]
    Refused(String),
    #[error("the CA takes no more orders for now: {0}")]
    RateLimited(String),
    #[error("the CA doesn't offer {} as a proof of the name", .0.name())]
    NoProof(Proof),
    #[error("the CA didn't find the panel at {domain} by {}: {why}", proof.name())]
    Unproven { domain: String, proof: Proof, why: String },
    #[error("the CA's answer can't be read")]
    Unreadable(#[source] Box<dyn Error + Send + Sync>),
    #[error("an order can't be written")]
    Request(#[source] Box<dyn Error + Send + Sync>),
    #[error("Berth has no account at the CA yet: `berth status` says why")]
    NoAccount,
    #[error("cannot keep {path}")]
    Folder {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

impl OrderError {
    /// Failure of a request to the CA with this directory.
    pub(super) fn of(error: AcmeError, directory: &str) -> Self {
        use AcmeError as Of;
        match error {
            Of::HttpRequest(_) | Of::Io(_) => {
                let words = error.to_string();
                match words.split_once(REFUSED) {
                    Some((_, answer)) => Self::answered(answer),
                    None => Self::Unreachable { directory: directory.to_owned(), why: reason(&words) },
                }
            }
            Of::Json(_) | Of::HttpResponseNonStringHeader(_) | Of::MissingHeader(_) => {
                Self::Unreadable(error.into())
            }
            Of::NoTlsAlpn01Challenge => Self::NoProof(Proof::TlsAlpn01),
            Of::NoHttp01Challenge => Self::NoProof(Proof::Http01),
            _ => Self::Request(error.into()),
        }
    }

    /// Refusal, from a status and the body as Rust writes a text.
    fn answered(answer: &str) -> Self {
        let (status, body) = answer.split_once(' ').unwrap_or((answer, ""));
        let body = serde_json::from_str::<String>(body).unwrap_or_default();
        let problem = serde_json::from_str::<Problem>(&body).ok();
        let typ = problem.as_ref().and_then(|problem| problem.typ.clone()).unwrap_or_default();
        let words = problem.and_then(|problem| problem.detail);
        let words = words.unwrap_or_else(|| format!("its answer has the status {status}"));
        match status == TOO_MANY_REQUESTS || typ.ends_with(RATE_LIMITED) {
            true => Self::RateLimited(words),
            false => Self::Refused(words),
        }
    }

    /// Failure of a proof, in the words of the challenge.
    pub(super) fn unproven(domain: &str, proof: Proof, challenges: &[Challenge]) -> Self {
        let problem = challenges.iter().find_map(|challenge| challenge.error.clone());
        let why =
            problem.and_then(|problem| problem.detail).unwrap_or_else(|| "it doesn't say why".to_owned());
        Self::Unproven { domain: domain.to_owned(), proof, why }
    }

    /// Failure of an order that the CA calls invalid.
    pub(super) fn invalid(problem: Option<Problem>) -> Self {
        let words = problem.and_then(|problem| problem.detail);
        Self::Refused(words.unwrap_or_else(|| "it calls the order invalid".to_owned()))
    }

    /// Kind of the failure.
    pub(super) fn kind(&self) -> OrderFailure {
        match self {
            Self::Unreachable { .. } | Self::NoRoots | Self::Roots(_) => OrderFailure::Unreachable,
            Self::Silent { .. } | Self::Unfinished { .. } => OrderFailure::Silent,
            Self::Refused(_) | Self::NoProof(_) | Self::NoAccount => OrderFailure::Refused,
            Self::RateLimited(_) => OrderFailure::RateLimited,
            Self::Unproven { .. } => OrderFailure::Unproven,
            Self::Unreadable(_) | Self::Request(_) => OrderFailure::Unreadable,
            Self::Folder { .. } => OrderFailure::Folder,
        }
    }
}

/// Returns whether the CA only wants to be asked once more.
pub(super) fn is_bad_nonce(error: &AcmeError) -> bool {
    matches!(error, AcmeError::HttpRequest(_)) && error.to_string().contains(BAD_NONCE)
}

/// The part of the library's words that says why: the system's words in quotes, or else the innermost error.
fn reason(words: &str) -> String {
    if let Some(quoted) = words.rsplit('"').nth(1) {
        return quoted.to_owned();
    }
    let inner = words.rsplit_once("error: ").map_or(words, |(_, inner)| inner);
    inner.trim_end_matches([' ', '}', ')']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_in_the_words_of_the_ca() {
        let body = r#"{"type":"urn:ietf:params:acme:error:rateLimited","detail":"too many \"orders\"","status":429}"#;
        let limited = OrderError::answered(&format!("429 {body:?}"));
        assert_eq!(limited.to_string(), "the CA takes no more orders for now: too many \"orders\"");
        assert_eq!(limited.kind(), OrderFailure::RateLimited);
        for (answer, words) in [
            ("503 \"<html>\"", "the CA refuses: its answer has the status 503"),
            ("403", "the CA refuses: its answer has the status 403"),
            (
                r#"400 "{\"type\":\"urn:ietf:params:acme:error:rejectedIdentifier\",\"detail\":\"no\"}""#,
                "the CA refuses: no",
            ),
        ] {
            let error = OrderError::answered(answer);
            assert_eq!((error.to_string().as_str(), error.kind()), (words, OrderFailure::Refused));
        }
    }

    #[test]
    fn a_ca_that_can_t_be_reached_is_told_without_the_library_s_wrapping() {
        for (words, why) in [
            (
                "http request error: http error: ConnectError(TcpConnect(Os { code: 111, kind: ConnectionRefused, message: \"Connection refused\" }))",
                "Connection refused",
            ),
            (
                "http request error: http error: ConnectError(TlsConnect(Custom { kind: InvalidData, error: InvalidCertificate(UnknownIssuer) }))",
                "InvalidCertificate(UnknownIssuer",
            ),
            ("io error: unexpected end of file", "unexpected end of file"),
        ] {
            assert_eq!(reason(words), why);
        }
    }
}
