//! Problems: pages that say "no", "not here" or "not now", each with the next step.

use std::borrow::Cow;

use axum::response::{IntoResponse, Response};
use berth_schema::organisation::addressed;
use berth_wire::web::{AskError, Refusal, Why};
use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};

/// A problem, which becomes a page on its way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Status of the answer.
    pub status: StatusCode,
    /// A sentence.
    pub message: Cow<'static, str>,
    /// The next step.
    pub hint: Option<Cow<'static, str>>,
    /// Seconds after which trying again makes sense.
    pub wait: Option<u64>,
}

impl Problem {
    /// A problem with this status and sentence.
    pub fn new(status: StatusCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self { status, message: message.into(), hint: None, wait: None }
    }

    /// The same with a next step.
    pub fn hint(self, hint: impl Into<Cow<'static, str>>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// There is no such page.
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "There is no such page.").hint(
            "What was here may have been removed, or the address has a slip in it. Start at the first page.",
        )
    }

    /// The person may not see the page.
    pub fn admins_only() -> Self {
        Self::new(StatusCode::FORBIDDEN, "This page is for admins.").hint(
            "Ask {help} for what you need, or for the role: `role = \"admin\"` in your file makes you one.",
        )
    }

    /// Nobody is signed in. A page isn't made of it: it leads to the sign-in.
    pub(crate) fn signed_out() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "You are not signed in any more.")
            .hint("Load the page again to sign in.")
    }

    /// Something of ours failed, which the log tells of.
    pub fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "The panel has failed to make this page.")
            .hint("Try again. If it fails again, tell {help} the time: the log says why.")
    }

    /// The door doesn't answer.
    pub fn unreachable() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "The panel can't reach Berth's door at the moment, so it knows nothing and changes nothing.")
            .hint("Servers keep running. Try again in a minute; if it lasts, tell {help}: `berth status` and the log say what is the matter.")
    }

    /// The SSH router can't be reached.
    pub(crate) fn no_router() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "The panel can't reach the platform's SSH router at the moment.")
            .hint("Try again in a minute; if it lasts, tell {help}: `berth status` says whether the router runs, and the panel's log what is the matter.")
    }

    /// Returns whether the person is signed out, or may not know of what they asked for: nothing else can be said then.
    pub(crate) fn is_of_the_session(&self) -> bool {
        matches!(self.status, StatusCode::UNAUTHORIZED | StatusCode::NOT_FOUND)
    }

    /// The sentence and the next step.
    pub(crate) fn words(&self) -> String {
        let hint = addressed(self.hint.as_deref().unwrap_or_default(), None);
        format!("{} {hint}", self.message).trim().to_owned()
    }

    /// Title of the page.
    pub fn title(&self) -> &'static str {
        match self.status {
            StatusCode::BAD_REQUEST => "This makes no sense",
            StatusCode::UNAUTHORIZED => "Signed out",
            StatusCode::FORBIDDEN => "Not allowed",
            StatusCode::NOT_FOUND => "Not found",
            StatusCode::METHOD_NOT_ALLOWED => "Not that way",
            StatusCode::REQUEST_TIMEOUT => "Too slow",
            StatusCode::PAYLOAD_TOO_LARGE => "Too much",
            StatusCode::MISDIRECTED_REQUEST => "Wrong address",
            StatusCode::TOO_MANY_REQUESTS => "Too many attempts",
            StatusCode::PRECONDITION_REQUIRED => "Is it you?",
            StatusCode::SERVICE_UNAVAILABLE => "Not now",
            _ => "Something went wrong",
        }
    }
}

/// The sentences of a refusal as one text, for a page that says them where they belong.
pub(crate) fn words(refused: Refusal) -> String {
    [Some(refused.message), refused.hint].into_iter().flatten().collect::<Vec<_>>().join(" ")
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let Refusal { why, message, hint } = refusal;
        let (status, wait) = match why {
            Why::SignedOut => return Self::signed_out(),
            Why::Stale => (StatusCode::PRECONDITION_REQUIRED, None),
            Why::WrongPassword | Why::WrongCode | Why::Forbidden | Why::OutOfScope { .. } => {
                (StatusCode::FORBIDDEN, None)
            }
            Why::TooMany { seconds } => (StatusCode::TOO_MANY_REQUESTS, Some(seconds)),
            Why::NotFound => (StatusCode::NOT_FOUND, None),
            Why::BadQuestion => (StatusCode::BAD_REQUEST, None),
            Why::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, None),
        };
        Self { status, message: message.into(), hint: hint.map(Into::into), wait }
    }
}

impl From<AskError> for Problem {
    fn from(error: AskError) -> Self {
        match error {
            AskError::Refused(refusal) => refusal.into(),
            error => {
                tracing::error!(error = berth_fault::chain(&error), "the door can't be asked");
                Self::unreachable()
            }
        }
    }
}

impl IntoResponse for Problem {
    /// An answer without a body; whoever sends it makes a page of the problem that it carries.
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        if let Some(seconds) = self.wait {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response.extensions_mut().insert(self);
        response
    }
}
