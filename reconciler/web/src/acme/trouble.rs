//! Failures of an order, in words for whoever reads `berth status`.

use std::error::Error;
use std::time::Duration;

use berth_ca::{CaError, RootsError};
use berth_wire::certificate::{OrderFailure, Proof};
use rustls_acme::acme::{AcmeError, Challenge, Problem};

/// Beginning of the library's words for an answer that refuses. Its type for them can't be named outside of it.
const REFUSED: &str = "non 2xx http status: ";
/// Kind of a problem (RFC 8555, 6.7) that says to ask once more.
const BAD_NONCE: &str = ":badNonce";

/// An order failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum OrderError {
    #[error(transparent)]
    Ca(#[from] CaError),
    #[error("the CA at {directory} didn't finish the order within {} s", within.as_secs_f32())]
    Unfinished { directory: String, within: Duration },
    #[error("the CA doesn't offer {} as a proof of the name", .0.name())]
    NoProof(Proof),
    #[error("the CA didn't find the panel at {domain} by {}: {why}", proof.name())]
    Unproven { domain: String, proof: Proof, why: String },
    #[error("an order can't be written")]
    Request(#[source] Box<dyn Error + Send + Sync>),
    #[error("Berth has no account at the CA yet: `berth status` says why")]
    NoAccount,
}

impl OrderError {
    /// Failure of a request to the CA with this directory.
    pub(super) fn of(error: AcmeError, directory: &str) -> Self {
        use AcmeError as Of;
        match error {
            Of::HttpRequest(_) | Of::Io(_) => {
                let words = error.to_string();
                match words.split_once(REFUSED) {
                    Some((_, answer)) => answered(answer).into(),
                    None => {
                        CaError::Unreachable { directory: directory.to_owned(), why: reason(&words) }.into()
                    }
                }
            }
            Of::Json(_) | Of::HttpResponseNonStringHeader(_) | Of::MissingHeader(_) => {
                CaError::Unreadable(error.into()).into()
            }
            Of::NoTlsAlpn01Challenge => Self::NoProof(Proof::TlsAlpn01),
            Of::NoHttp01Challenge => Self::NoProof(Proof::Http01),
            _ => Self::Request(error.into()),
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
        CaError::Refused(words.unwrap_or_else(|| "it calls the order invalid".to_owned())).into()
    }

    /// Kind of the failure.
    pub(super) fn kind(&self) -> OrderFailure {
        match self {
            Self::Ca(error) => error.kind(),
            Self::Unfinished { .. } => OrderFailure::Silent,
            Self::NoProof(_) | Self::NoAccount => OrderFailure::Refused,
            Self::Unproven { .. } => OrderFailure::Unproven,
            Self::Request(_) => OrderFailure::Unreadable,
        }
    }
}

impl From<RootsError> for OrderError {
    fn from(error: RootsError) -> Self {
        Self::Ca(error.into())
    }
}

/// Refusal, from a status and the body as Rust writes a text.
fn answered(answer: &str) -> CaError {
    let (status, body) = answer.split_once(' ').unwrap_or((answer, ""));
    let body = serde_json::from_str::<String>(body).unwrap_or_default();
    let problem = serde_json::from_str::<Problem>(&body).ok();
    let kind = problem.as_ref().and_then(|problem| problem.typ.clone()).unwrap_or_default();
    let words = problem.and_then(|problem| problem.detail);
    let words = words.unwrap_or_else(|| format!("its answer has the status {status}"));
    CaError::refused(&kind, status.parse().ok(), words)
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
        let limited = answered(&format!("429 {body:?}"));
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
            let error = answered(answer);
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
