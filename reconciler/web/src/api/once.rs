//! Writes that name themselves: one that was answered before is given its answer again, and isn't done.

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Method, StatusCode};

use super::answers::{Answers, Kept, Name, digest, name};
use super::caller::Caller;
use super::problem::{ANSWER_GONE, BAD_REQUEST, IN_PROGRESS, KEY_REUSED, Problem};
use crate::app::App;
use crate::guard::LONGEST_BODY;
use crate::session::SessionError;

/// Header that names a write.
pub(super) const HEADER: &str = "idempotency-key";
/// Header of an answer that is given again.
const REPLAYED: &str = "idempotency-replayed";
/// The longest answer that is kept, in bytes.
const LONGEST: usize = 64 << 10;
/// The longest key, in bytes.
const LONGEST_KEY: usize = 255;

/// Mark of an answer that holds a secret: it is kept that it was given, and not what it said.
#[derive(Debug, Clone, Copy)]
pub(super) struct Untold;

/// Has a request answered, or gives the answer again that it got before.
pub(super) async fn once(app: &App, caller: &Caller, request: Request, next: Next) -> Response {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let Some(named) = request.headers().get(HEADER).filter(|_| !is_read) else {
        return next.run(request).await;
    };
    let named = named
        .to_str()
        .ok()
        .filter(|key| (1..=LONGEST_KEY).contains(&key.len()) && !key.contains([' ', '\t']));
    let Some(named) = named.map(str::to_owned) else {
        return Problem::new(
            &BAD_REQUEST,
            "The `Idempotency-Key` is none: it has 1 to 255 characters of ASCII, without spaces.",
        )
        .hint("Take a new random UUID for each write.")
        .into_response();
    };
    let name = name(caller.person.name.as_str(), &named);
    let token = digest("berth-web answer 1", &[caller.token.as_str().as_bytes()]);
    let Some(under_way) = app.answers.begin(name) else {
        return Problem::new(&IN_PROGRESS, "A request with this `Idempotency-Key` is still being answered.")
            .hint("Send it again in a moment to get the answer.")
            .wait(1)
            .into_response();
    };
    let (parts, body) = request.into_parts();
    // The guard has read it already.
    let Ok(body) = to_bytes(body, LONGEST_BODY).await else { return Problem::internal().into_response() };
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let asked = digest("berth-web request 1", &[parts.method.as_str().as_bytes(), path.as_bytes(), &body]);
    let asked = BASE64_STANDARD.encode(asked);
    match app.answers.find(&name, &token) {
        Ok(None) => {}
        Ok(Some(Ok(kept))) if kept.request == asked => return again(kept),
        Ok(Some(_)) => {
            return Problem::new(
                &KEY_REUSED,
                "This `Idempotency-Key` was used for another request, or with another token.",
            )
            .hint("Take a new one for each write, and the same token for each try.")
            .into_response();
        }
        Err(error) => return failed(&error),
    }
    let request = Request::from_parts(parts, Body::from(body));
    let answers = app.answers.clone();
    // It goes on when whoever asked goes away: they may ask what came of it.
    let made = tokio::spawn(async move {
        let _under_way = under_way;
        let answer = next.run(request).await;
        keep(&answers, &name, &token, asked, answer).await
    });
    made.await.unwrap_or_else(|error| {
        tracing::error!(%error, "a write of the API broke");
        Problem::internal().into_response()
    })
}

async fn keep(
    answers: &Answers,
    name: &Name,
    token: &[u8; 32],
    request: String,
    answer: Response,
) -> Response {
    let (parts, body) = answer.into_parts();
    let Ok(body) = to_bytes(body, usize::MAX).await else { return Problem::internal().into_response() };
    // What was refused did nothing, so it may be tried again by the same key. Nor do refusals push out what was done.
    if parts.status.is_success() {
        let kind = parts.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let is_gone = body.len() > LONGEST || parts.extensions.get::<Untold>().is_some();
        let kept = Kept {
            request,
            status: parts.status.as_u16(),
            kind: kind.to_owned(),
            body: if is_gone { String::new() } else { String::from_utf8_lossy(&body).into_owned() },
            is_gone,
        };
        let written = match answers.keep(name, token, &kept) {
            Ok(()) => answers.flush().await,
            Err(error) => Err(error),
        };
        if let Err(error) = written {
            tracing::error!(error = berth_fault::chain(&error), "an answer can't be kept to be given again");
        }
    }
    Response::from_parts(parts, Body::from(body))
}

fn again(kept: Kept) -> Response {
    if kept.is_gone {
        return Problem::new(
            &ANSWER_GONE,
            "This was done before, and its answer isn't kept: it was too long, or holds a secret.",
        )
        .hint("GET /api/changes shows what was committed. A token whose text is lost can be revoked.")
        .into_response();
    }
    let status = StatusCode::from_u16(kept.status).unwrap_or(StatusCode::OK);
    let mut answer = (status, Bytes::from(kept.body)).into_response();
    let headers = answer.headers_mut();
    if let Ok(kind) = HeaderValue::from_str(&kept.kind) {
        headers.insert(CONTENT_TYPE, kind);
    }
    headers.insert(HeaderName::from_static(REPLAYED), HeaderValue::from_static("true"));
    answer
}

fn failed(error: &SessionError) -> Response {
    tracing::error!(error = berth_fault::chain(error), "answers that were given can't be read");
    Problem::internal().into_response()
}
