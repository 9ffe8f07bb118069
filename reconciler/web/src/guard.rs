//! Guards before every page: requests that aren't for this panel, or that another site's page has made, get no further; and every
//! answer tells the browser how little it may do with it.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use berth_schema::organisation::addressed;
use futures_util::{FutureExt as _, StreamExt as _};
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_LENGTH, EXPECT, HOST, HeaderName, ORIGIN};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};

use crate::api;
use crate::app::App;
use crate::page;
use crate::problem::Problem;
use crate::settings::Settings;
use crate::visitor::Peer;
use crate::way::Way;

/// The longest form, in bytes.
pub(crate) const LONGEST_BODY: usize = 256 << 10;
/// The longest form of the wiki: a picture, or a page whose letters travel as three each.
const LONGEST_PAGE: usize = (1 << 20) + (64 << 10);
/// Bytes of a form that is too long which are taken and thrown away, and the time for that. Whoever sends all of it before they read
/// gets their answer then; the web server would tell them of a broken connection instead.
const OVERFLOW: usize = 1 << 20;
const OVERFLOW_PATIENCE: Duration = Duration::from_secs(2);
/// Time for a form to arrive.
const BODY_PATIENCE: Duration = Duration::from_secs(20);
/// Time for a page to be made. The door has answered, or failed to, before, even a question with much patience.
const PAGE_PATIENCE: Duration = Duration::from_secs(200);

/// Policy of every page that has none of its own.
pub(crate) const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
    form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Headers of every answer, unless it has its own.
const HEADERS: [(&str, &str); 6] = [
    ("content-security-policy", POLICY),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=()"),
];

/// Checks a request, has the page made, and dresses the answer.
pub(crate) async fn guard(State(app): State<App>, request: Request, next: Next) -> Response {
    let is_api = request.uri().path().starts_with(api::BELOW);
    app.organisation.look(&app.door).await;
    let answer = match checked(&app, request, is_api).await {
        Err(problem) => problem.into_response(),
        Ok(request) => {
            let made = AssertUnwindSafe(next.run(request)).catch_unwind();
            match tokio::time::timeout(PAGE_PATIENCE, made).await {
                Ok(Ok(answer)) => answer,
                Ok(Err(_)) => {
                    // The panic itself has been written to the log where it happened.
                    tracing::error!("a page panicked");
                    Problem::internal().into_response()
                }
                Err(_) => Problem::new(StatusCode::SERVICE_UNAVAILABLE, "This page has taken too long.")
                    .hint("Whatever it was to do may have been done: look before you try again.")
                    .into_response(),
            }
        }
    };
    dressed(&app, answer, is_api)
}

async fn checked(app: &App, request: Request, is_api: bool) -> Result<Request, Problem> {
    let Peer(from) = request.extensions().get().copied().ok_or_else(Problem::internal)?;
    let host = host(request.uri(), request.headers()).unwrap_or_default().to_owned();
    let way = request.extensions().get().copied().unwrap_or(Way::Own);
    if !app.settings.answers(&host, from, way) {
        let hint = format!("Its address is {}/.", app.settings.origin());
        return Err(Problem::new(
            StatusCode::MISDIRECTED_REQUEST,
            "The panel doesn't go by the name that you called it.",
        )
        .hint(hint));
    }
    match *request.method() {
        Method::GET | Method::HEAD => return Ok(request.map(|_| Body::empty())),
        Method::POST => {}
        Method::PATCH | Method::DELETE if is_api => {}
        // No row of the table takes it, and the answer names the methods that its path takes.
        _ if is_api => return Ok(request.map(|_| Body::empty())),
        _ => {
            return Err(Problem::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "The panel only shows pages and takes forms.",
            ));
        }
    }
    // A program shows its token itself, so no other site's page can send it on somebody's behalf.
    if !(is_api && api::without_guard(request.headers())) {
        same_origin(request.headers(), &host, &app.settings)?;
    }
    let (parts, body) = request.into_parts();
    let longest = longest_body(parts.uri.path());
    let too_much = || {
        let message = format!("That is more than the panel takes in one form ({} KiB).", longest >> 10);
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, message).hint("A longer file can be pushed with git.")
    };
    let length =
        parts.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    let mut body = body.into_data_stream();
    if length.is_some_and(|length| length > longest) {
        // Who waits for a word before they send needn't send anything.
        if !parts.headers.contains_key(EXPECT) {
            throw_away(&mut body).await;
        }
        return Err(too_much());
    }
    match tokio::time::timeout(BODY_PATIENCE, take(&mut body, longest)).await {
        Ok(Some(body)) => Ok(Request::from_parts(parts, Body::from(body))),
        Ok(None) => {
            throw_away(&mut body).await;
            Err(too_much())
        }
        Err(_) => Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "The form has taken too long to arrive.")
            .hint("Send it again.")),
    }
}

/// The most bytes of a form that is sent to this path.
pub(crate) fn longest_body(path: &str) -> usize {
    if path.starts_with("/wiki/") { LONGEST_PAGE } else { LONGEST_BODY }
}

/// Takes a form; `None` if it is too long, or breaks off.
async fn take(body: &mut BodyDataStream, longest: usize) -> Option<Vec<u8>> {
    let mut taken = Vec::new();
    while let Some(part) = body.next().await {
        let part = part.ok()?;
        if taken.len() + part.len() > longest {
            return None;
        }
        taken.extend_from_slice(&part);
    }
    Some(taken)
}

/// Takes some of what is still to come, and forgets it.
async fn throw_away(body: &mut BodyDataStream) {
    let rest = async {
        let mut left = OVERFLOW;
        while let Some(Ok(part)) = body.next().await
            && left > 0
        {
            left = left.saturating_sub(part.len());
        }
    };
    // What comes later than that is the sender's own loss.
    let _ = tokio::time::timeout(OVERFLOW_PATIENCE, rest).await;
}

/// The host that a request is for, unless it says two things.
pub(crate) fn host<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<&'a str> {
    let mut lines = headers.get_all(HOST).into_iter().map(|line| line.to_str().ok());
    let (first, more) = (lines.next(), lines.next());
    let of_uri = uri.authority().map(http::uri::Authority::as_str);
    match (of_uri, first, more) {
        (Some(host), None, _) => Some(host),
        (None, Some(line), None) => line,
        (Some(host), Some(Some(line)), None) if host == line => Some(host),
        _ => None,
    }
}

/// Checks that a page of the panel itself opens a WebSocket. Every browser says which page does, so an upgrade without a word of
/// that is refused too.
pub(crate) fn own_origin(headers: &HeaderMap) -> Result<(), Problem> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let host = text(HOST).unwrap_or_default();
    let is_own = text(ORIGIN).is_some_and(|origin| origin.eq_ignore_ascii_case(&format!("https://{host}")));
    match is_own && !host.is_empty() {
        true => Ok(()),
        false => Err(Problem::new(
            StatusCode::FORBIDDEN,
            "This connection wasn't opened by a page of the panel, so it was refused.",
        )
        .hint("Open the page in the panel itself.")),
    }
}

/// Checks that a page of the panel itself has sent a form. Browsers say so; a program may say it too.
fn same_origin(headers: &HeaderMap, host: &str, settings: &Settings) -> Result<(), Problem> {
    let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("another"));
    let ours = format!("https://{host}");
    let (fetched, origin) = (text(HeaderName::from_static("sec-fetch-site")), text(ORIGIN));
    let is_same = match (fetched, origin) {
        (Some("same-origin" | "none"), _) => true,
        // The other of the panel's two origins: the same name at another port.
        (Some("same-site"), Some(origin)) => {
            !origin.eq_ignore_ascii_case(&ours) && settings.is_origin(origin)
        }
        (Some(_), _) => false,
        (None, Some(origin)) => origin.eq_ignore_ascii_case(&ours) || settings.is_origin(origin),
        (None, None) => false,
    };
    if is_same {
        return Ok(());
    }
    let from = origin
        .filter(|origin| *origin != "null")
        .map_or("no page that your browser names".to_owned(), str::to_owned);
    Err(Problem::new(
        StatusCode::FORBIDDEN,
        "This form didn't come from a page of the panel, so nothing was done.",
    )
    .hint(format!(
        "It came from {from}, and the panel is {ours}. Open the page there and send the form again."
    )))
}

fn dressed(app: &App, mut answer: Response, is_api: bool) -> Response {
    if let Some(mut problem) = answer.extensions_mut().remove::<Problem>() {
        problem.hint = problem.hint.map(|hint| addressed(&hint, app.organisation.face().help()).into());
        answer = match is_api {
            false => page::of_problem(app, None, answer, &problem),
            true => {
                let allow = answer.headers().get(ALLOW).cloned();
                let mut told = api::of_page(problem).into_response();
                told.headers_mut().extend(allow.map(|allow| (ALLOW, allow)));
                told
            }
        };
    }
    if let Some(problem) = answer.extensions_mut().remove::<api::Unaddressed>() {
        let body = problem.body(app.organisation.face().help());
        answer.headers_mut().remove(CONTENT_LENGTH);
        *answer.body_mut() = Body::from(body);
    }
    let headers = answer.headers_mut();
    if is_api {
        headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    }
    for (name, value) in HEADERS {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    // A browser that has been told so would refuse to go on when an own certificate is shown again.
    if !app.certificates.is_own() {
        headers.insert("strict-transport-security", HeaderValue::from_static("max-age=31536000"));
    }
    answer
}
