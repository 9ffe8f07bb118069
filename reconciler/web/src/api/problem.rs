//! Problems, as programs read them (RFC 9457).

use std::borrow::Cow;

use axum::response::{IntoResponse, Response};
use berth_schema::organisation::addressed;
use berth_wire::web::{AskError, Refusal, Scope, Why};
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use super::shape::{Finding, Plan};
use crate::problem::Problem as PageProblem;

/// Type of a problem's body.
pub(super) const MEDIA_TYPE: &str = "application/problem+json";

/// Kind of a problem: the name after `#` in its `type`, its status, its title and what it means.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    name: &'static str,
    status: StatusCode,
    title: &'static str,
    means: &'static str,
}

macro_rules! kinds {
    ($($kind:ident: $name:literal, $status:ident, $title:literal, $means:literal;)*) => {
        $(#[doc = $means] pub(crate) static $kind: Kind = Kind {
            name: $name,
            status: StatusCode::$status,
            title: $title,
            means: $means,
        };)*
        static KINDS: &[&Kind] = &[$(&$kind),*];
    };
}

kinds! {
    BAD_REQUEST: "bad-request", BAD_REQUEST, "This makes no sense",
        "The path's query, a header or the body can't be read.";
    SIGNED_OUT: "signed-out", UNAUTHORIZED, "Signed out",
        "There is no token, or it is none any more: it has ended, was revoked, or its person is gone.";
    WRONG_CREDENTIALS: "wrong-credentials", UNAUTHORIZED, "Wrong name, password or code",
        "The name and the password don't go together, or the code is wrong or was used.";
    CODE_WANTED: "code-wanted", UNAUTHORIZED, "A code is wanted",
        "The password is good, and the person has a second factor: send its code too.";
    CONFIRM: "confirm", FORBIDDEN, "Is it you?",
        "This needs a sign-in of the last ten minutes: a token of POST /api/login, or the panel.";
    FORBIDDEN: "forbidden", FORBIDDEN, "Not allowed", "The person may not do that.";
    ADMINS_ONLY: "admins-only", FORBIDDEN, "For admins", "Only admins may do that.";
    OUT_OF_SCOPE: "out-of-scope", FORBIDDEN, "Out of the token's scope",
        "The person may do that, and the token lacks the scope that `scope` names.";
    NEEDS_REVIEW: "needs-review", FORBIDDEN, "Somebody has to agree",
        "One of `approvers` has to agree. With `propose=true` it becomes a proposal.";
    CROSS_SITE: "cross-site", FORBIDDEN, "Another site's request",
        "A request with the panel's cookie has to come from one of its own pages.";
    NOT_FOUND: "not-found", NOT_FOUND, "Not found", "There is nothing of that name for this person.";
    WRONG_METHOD: "wrong-method", METHOD_NOT_ALLOWED, "Wrong method",
        "The path takes other methods: those in the header `Allow`.";
    TIMEOUT: "timeout", REQUEST_TIMEOUT, "Too slow", "The request took too long to arrive.";
    CONFLICT: "conflict", CONFLICT, "Somebody else changed it",
        "Somebody changed the same fields meanwhile, or the plan isn't any more what `digest` says.";
    AMBIGUOUS: "ambiguous", CONFLICT, "Two servers could be meant",
        "The path's name is the name of one server and the number of another.";
    LOCKOUT: "lockout", CONFLICT, "This shuts you out",
        "The change takes a way in from the person who makes it. With `knows=true` it is made.";
    IN_PROGRESS: "in-progress", CONFLICT, "Still being answered",
        "A request with the same `Idempotency-Key` is being answered.";
    ANSWER_GONE: "answer-gone", CONFLICT, "Done before",
        "A request with the same `Idempotency-Key` was answered, and the answer isn't kept: it was too long, or holds a secret.";
    TOO_LARGE: "too-large", PAYLOAD_TOO_LARGE, "Too much", "The body is longer than 256 KiB.";
    NOT_JSON: "not-json", UNSUPPORTED_MEDIA_TYPE, "Not JSON", "The body has to be `application/json`.";
    WRONG_HOST: "wrong-host", MISDIRECTED_REQUEST, "Wrong address", "The panel has another name.";
    INVALID: "invalid", UNPROCESSABLE_ENTITY, "Invalid",
        "The body doesn't fit, or the change has mistakes; `findings` has them at their fields.";
    KEY_REUSED: "key-reused", UNPROCESSABLE_ENTITY, "Idempotency key reused",
        "The `Idempotency-Key` was used for another request, or with another token.";
    TOO_MANY: "too-many", TOO_MANY_REQUESTS, "Too many attempts",
        "Trying again makes sense after the seconds in the header `Retry-After`.";
    INTERNAL: "internal", INTERNAL_SERVER_ERROR, "Something went wrong", "The panel failed; its log says why.";
    UNAVAILABLE: "unavailable", SERVICE_UNAVAILABLE, "Not now",
        "The platform can't answer now: its door, its reconciler or its SSH router is away.";
}

/// A problem.
#[derive(Debug, Clone)]
pub(crate) struct Problem(Box<Inner>);

#[derive(Debug, Clone)]
struct Inner {
    kind: &'static Kind,
    detail: Cow<'static, str>,
    more: More,
    wait: Option<u64>,
}

/// Parts of a problem that only some have.
#[derive(Debug, Clone, Default)]
pub(crate) struct More {
    pub(crate) hint: Option<String>,
    pub(crate) scope: Option<Scope>,
    pub(crate) findings: Vec<Finding>,
    pub(crate) approvers: Vec<String>,
    pub(crate) plan: Option<Box<Plan>>,
}

/// A problem (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct Body<'p> {
    /// Kind of the problem: `/api/problems#<kind>`, which says what it means.
    #[serde(rename = "type")]
    kind: String,
    /// The kind in a few words.
    title: &'p str,
    /// Status of the answer.
    #[schema(value_type = u64)]
    status: u16,
    /// A sentence about this case.
    detail: &'p str,
    /// The next step.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'p str>,
    /// Rule that refuses: the kind without its address.
    rule: &'p str,
    /// Scope that the token lacks.
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'p str>,
    /// Mistakes and warnings, at their fields.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    findings: &'p [Finding],
    /// People any one of whom may agree to it.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    approvers: &'p [String],
    /// Effect of the change.
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<&'p Plan>,
}

impl Problem {
    /// A problem of this kind, with a sentence.
    pub(crate) fn new(kind: &'static Kind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner { kind, detail: detail.into(), more: More::default(), wait: None }))
    }

    /// The same with a next step.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.more.hint = Some(hint.into());
        self
    }

    /// The same with other parts.
    pub(crate) fn with(mut self, more: More) -> Self {
        self.0.more = more;
        self
    }

    /// The same with seconds to wait.
    pub(crate) fn wait(mut self, seconds: u64) -> Self {
        self.0.wait = Some(seconds);
        self
    }

    /// There is nothing of that name.
    pub(crate) fn not_found() -> Self {
        Self::new(&NOT_FOUND, "There is nothing of that name, or it isn't yours to see.")
            .hint("Check the path against /api/openapi.json, and the name against the lists.")
    }

    /// Returns whether it is that there is nothing of that name.
    pub(super) fn is_not_found(&self) -> bool {
        *self.0.kind == NOT_FOUND
    }

    /// Nobody asks.
    pub(crate) fn signed_out() -> Self {
        Self::new(&SIGNED_OUT, "There is no good token: none came, or it has ended, or it was revoked.").hint(
            "Send `Authorization: Bearer <token>`. Make a token in the panel under Account, or sign in by POST /api/login.",
        )
    }

    /// The token lacks a scope.
    pub(crate) fn out_of_scope(scope: Scope) -> Self {
        let hint = Some("Make a token that has it, in the panel under Account.".to_owned());
        Self::new(&OUT_OF_SCOPE, format!("This token may not do that: it lacks the scope `{scope}`."))
            .with(More { hint, scope: Some(scope), ..More::default() })
    }

    /// The person is no admin.
    pub(crate) fn admins_only() -> Self {
        Self::new(&ADMINS_ONLY, "Only admins may do that.").hint("Ask {help} for what you need.")
    }

    /// Something of ours failed, which the log tells of.
    pub(crate) fn internal() -> Self {
        Self::new(&INTERNAL, "The panel has failed to answer.")
            .hint("Try again. If it fails again, tell {help} the time: the log says why.")
    }
}

/// An answer whose hint leaves open whom people ask. The guard knows.
#[derive(Debug, Clone)]
pub(crate) struct Unaddressed(Problem);

impl Unaddressed {
    /// The answer's body with the organisation's contact, or an admin where it names none.
    pub(crate) fn body(self, contact: Option<&str>) -> Vec<u8> {
        self.0.body(contact)
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let Refusal { why, message, hint } = refusal;
        let (kind, wait) = match why {
            Why::SignedOut => return Self::signed_out(),
            Why::OutOfScope { scope } => return Self::out_of_scope(scope),
            Why::Stale => (&CONFIRM, None),
            Why::WrongPassword | Why::WrongCode => (&WRONG_CREDENTIALS, None),
            Why::Forbidden => (&FORBIDDEN, None),
            Why::TooMany { seconds } => (&TOO_MANY, Some(seconds)),
            Why::NotFound => (&NOT_FOUND, None),
            Why::BadQuestion => (&INVALID, None),
            Why::Unavailable => (&UNAVAILABLE, None),
        };
        let more = More { hint, ..More::default() };
        Self(Box::new(Inner { kind, detail: message.into(), more, wait }))
    }
}

impl From<AskError> for Problem {
    fn from(error: AskError) -> Self {
        match error {
            AskError::Refused(refusal) => refusal.into(),
            error => of_page(error.into()),
        }
    }
}

/// The same problem as a page tells it.
pub(crate) fn of_page(problem: PageProblem) -> Problem {
    let PageProblem { status, message, hint, wait } = problem;
    let kind = KINDS.iter().find(|kind| kind.status == status).copied();
    let kind = match status {
        StatusCode::UNAUTHORIZED => return Problem::signed_out(),
        StatusCode::PRECONDITION_REQUIRED => &CONFIRM,
        StatusCode::NOT_FOUND => return Problem::not_found(),
        // Of the guards, only the one against other sites says so.
        StatusCode::FORBIDDEN => &CROSS_SITE,
        _ => kind.unwrap_or(&INTERNAL),
    };
    let more = More { hint: hint.map(Cow::into_owned), ..More::default() };
    Problem(Box::new(Inner { kind, detail: message, more, wait }))
}

impl Problem {
    fn body(&self, contact: Option<&str>) -> Vec<u8> {
        let Inner { kind, detail, more, .. } = &*self.0;
        let hint = more.hint.as_deref().map(|hint| addressed(hint, contact));
        let body = Body {
            kind: format!("/api/problems#{}", kind.name),
            title: kind.title,
            status: kind.status.as_u16(),
            detail,
            hint: hint.as_deref(),
            rule: kind.name,
            scope: more.scope.map(Scope::word),
            findings: &more.findings,
            approvers: &more.approvers,
            plan: more.plan.as_deref(),
        };
        serde_json::to_vec(&body).unwrap_or_default()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (kind, wait) = (self.0.kind, self.0.wait);
        let mut response = (kind.status, self.body(None)).into_response();
        if self.0.more.hint.as_deref().is_some_and(|hint| addressed(hint, None) != hint) {
            response.extensions_mut().insert(Unaddressed(self));
        }
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        if kind.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"berth\""));
        }
        if let Some(seconds) = wait {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// A kind of problem.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProblemKind {
    /// Its name, which stands after `#` in a problem's `type`.
    name: &'static str,
    /// Status of its answers.
    #[schema(value_type = u64)]
    status: u16,
    /// Its title.
    title: &'static str,
    /// Its meaning, and the way on.
    means: &'static str,
}

/// Lists the kinds of problems.
#[utoipa::path(get, path = "/api/problems", tag = "About", responses((status = 200, description = "Every kind.", body = Vec<ProblemKind>)))]
pub(crate) async fn list() -> axum::Json<Vec<ProblemKind>> {
    let row = |kind: &&Kind| ProblemKind {
        name: kind.name,
        status: kind.status.as_u16(),
        title: kind.title,
        means: kind.means,
    };
    axum::Json(KINDS.iter().map(row).collect())
}
