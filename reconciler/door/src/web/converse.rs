//! One connection: a question in, within its time and its length, and an answer out.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use berth_count::{Counted, Timed};
use berth_wire::web::{Refusal, Token, Why};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::UnixStream;
use tokio::sync::OwnedSemaphorePermit;

use super::panel::Panel;
use super::refusals::{no_question, too_slow, unavailable};
use super::route::{Routes, status, unknown};

/// The longest question, in bytes: a picture as base64 is the longest.
const LARGEST: usize = 2 << 20;
/// Time that whoever asks has for the headers.
const HEADERS: Duration = Duration::from_secs(5);
/// Time that they have for the rest of a question.
const BODY: Duration = Duration::from_secs(20);

/// A connection's place. The work on its answer keeps it, even if nobody waits for that any more.
pub(super) type Place = Arc<OwnedSemaphorePermit>;

/// Answers the one question of a connection.
pub(super) async fn converse(stream: UnixStream, panel: Arc<Panel>, routes: Arc<Routes>, place: Place) {
    let mut server = http1::Builder::new();
    // One question a connection: the panel asks no more, and a place is free again sooner.
    server.timer(TokioTimer::new()).header_read_timeout(HEADERS).keep_alive(false);
    let longest = routes.longest();
    let service = service_fn(move |request| {
        let (panel, routes, place) = (Arc::clone(&panel), Arc::clone(&routes), Arc::clone(&place));
        async move { Ok::<_, Infallible>(respond(request, panel, routes, place).await) }
    });
    match tokio::time::timeout(
        longest + HEADERS + BODY,
        server.serve_connection(TokioIo::new(stream), service),
    )
    .await
    {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a connection of the panel's broke"),
        Err(_) => tracing::warn!("a connection of the panel's took too long"),
    }
}

async fn respond(
    request: Request<Incoming>,
    panel: Arc<Panel>,
    routes: Arc<Routes>,
    place: Place,
) -> Response<Full<Bytes>> {
    let begun = Instant::now();
    let answered = answer(request, panel, routes, place).await;
    berth_count::took(Timed::Question, begun.elapsed());
    let counted = match &answered {
        Ok(_) => Counted::QuestionAnswered,
        Err(refusal) if refusal.why == Why::Unavailable => Counted::QuestionBroken,
        Err(_) => Counted::QuestionRefused,
    };
    berth_count::count(counted, 1);
    let (status, body) = match answered {
        Ok(body) => (StatusCode::OK, body),
        Err(refusal) => (status(&refusal), serde_json::to_vec(&refusal).unwrap_or_default()),
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

async fn answer(
    request: Request<Incoming>,
    panel: Arc<Panel>,
    routes: Arc<Routes>,
    place: Place,
) -> Result<Vec<u8>, Refusal> {
    let (head, body) = request.into_parts();
    if head.method != Method::POST {
        return Err(no_question(&format_args!("{} {:?}", head.method, head.uri.path())));
    }
    let token = head.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = token.and_then(|value| value.strip_prefix("Bearer ")).map(Token::new);
    let body = tokio::time::timeout(BODY, Limited::new(body, LARGEST).collect()).await;
    let body = body
        .map_err(|_| too_slow())?
        .map_err(|error| no_question(&format_args!("{:?}: {error}", head.uri.path())))?
        .to_bytes();
    let patience = routes.patience(head.uri.path()).ok_or_else(|| unknown(head.uri.path()))?;
    // Off the threads that carry connections: what is asked may read the repository, or hash a password.
    let work = move || {
        let _place = place;
        routes.answer(&panel, head.uri.path(), token.as_ref(), &body)
    };
    match tokio::time::timeout(patience, tokio::task::spawn_blocking(work)).await {
        Ok(Ok(answered)) => answered,
        Ok(Err(error)) => Err(unavailable(&error)),
        Err(_) => Err(too_slow()),
    }
}
