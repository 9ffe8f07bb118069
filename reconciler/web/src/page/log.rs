//! `/vm/{id}/log`: a server's log, as it is and as it grows; and as a file.
//!
//! Lines are shown word for word. What would steer a terminal is left out of them, and nothing of them is ever markup.

use std::convert::Infallible;
use std::net::IpAddr;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State as Of;
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse as _, Response};
use berth_schema::name::ServerId;
use berth_schema::ticket::Act;
use berth_wire::router::{Ears, Mouth, Said};
use berth_wire::web::{ServerRead, Ticket};
use bytes::Bytes;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use http::{HeaderName, HeaderValue};
use minijinja::context;

use super::address::Named;
use super::lines::Lines;
use super::stream::word;
use super::words::value;
use crate::app::App;
use crate::page;
use crate::problem::Problem;
use crate::shell::SIZE;
use crate::visitor::{Peer, Visitor};

/// Time between two beats, which tell the browser that the way is open.
const BEAT: Duration = Duration::from_secs(15);
/// Time in which lines are gathered for one event.
const BREATH: Duration = Duration::from_millis(150);
/// Most lines of one event. More are in the next.
const MOST: usize = 500;
/// Longest wait for the page's first lines.
const PATIENCE: Duration = Duration::from_secs(15);

pub(crate) async fn show(
    Of(app): Of<App>,
    visitor: Visitor,
    Named(id): Named<ServerId>,
    Peer(from): Peer,
) -> Result<Response, Problem> {
    let sheet = visitor.ask(&app, &ServerRead { id }).await?;
    let (lines, wrong) = match open(&app, &visitor, id, Act::LogTail, from).await {
        Ok((ears, _mouth)) => read(ears).await,
        Err(problem) if problem.is_of_the_session() => return Err(problem),
        Err(problem) => (Vec::new(), Some(problem.words())),
    };
    let context = context! { card => value(&sheet.card), lines, wrong };
    Ok(page::render(&app, &visitor, "log.html", context))
}

async fn open(
    app: &App,
    visitor: &Visitor,
    server: ServerId,
    act: Act,
    from: IpAddr,
) -> Result<(Ears, Mouth), Problem> {
    app.shells.open(&app.door, &visitor.token, &Ticket { server, act, from }, SIZE).await
}

/// Reads everything up to the end, and a sentence if that isn't the program's own good one.
async fn read(mut ears: Ears) -> (Vec<String>, Option<String>) {
    let (mut lines, mut found) = (Lines::default(), Vec::new());
    let read = async {
        loop {
            match ears.next().await {
                Ok(Said::Output(bytes) | Said::Error(bytes)) => found.extend(lines.take(&bytes)),
                Ok(Said::Exit(0)) => return None,
                Ok(Said::Exit(code)) => {
                    return Some(format!("The server’s journalctl ended with exit code {code}."));
                }
                Ok(Said::Words(words)) => return Some(sentence(&words)),
                Err(_) => return Some("The SSH router broke off. Try again in a moment.".to_owned()),
            }
        }
    };
    let wrong = tokio::time::timeout(PATIENCE, read).await;
    let wrong = wrong.unwrap_or_else(|_| Some("The server took too long. Try again in a moment.".to_owned()));
    found.extend(lines.rest());
    (found, wrong)
}

fn sentence(words: &str) -> String {
    format!("The log can’t be read: {}.", berth_schema::text::safe_line(words, 300))
}

pub(crate) async fn events(
    Of(app): Of<App>,
    visitor: Visitor,
    Named(id): Named<ServerId>,
    Peer(from): Peer,
) -> Result<Response, Problem> {
    let (ears, mouth) = open(&app, &visitor, id, Act::LogFollow, from).await?;
    let mut beat = tokio::time::interval(BEAT);
    beat.reset();
    let follow = Follow { app, ears, _mouth: mouth, lines: Lines::default(), beat, is_over: false };
    let events = futures_util::stream::unfold(follow, |mut follow| async move {
        let event = follow.next().await?;
        Some((Ok::<_, Infallible>(event), follow))
    });
    let mut response = Sse::new(events).into_response();
    // Proxies that keep answers back are asked not to.
    response
        .headers_mut()
        .insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    Ok(response)
}

/// A log that somebody follows.
struct Follow {
    app: App,
    ears: Ears,
    /// Ends the act with the stream.
    _mouth: Mouth,
    lines: Lines,
    beat: tokio::time::Interval,
    is_over: bool,
}

impl Follow {
    async fn next(&mut self) -> Option<Event> {
        if self.is_over {
            return None;
        }
        let closing = self.app.closing.clone();
        let mut found: Vec<String> = Vec::new();
        let mut due = None;
        loop {
            let said = tokio::select! {
                said = self.ears.next() => said,
                () = closing.cancelled() => return None,
                _ = self.beat.tick(), if found.is_empty() => return Some(word("beat")),
                () = until(due), if due.is_some() => return Some(event("lines", &found)),
            };
            let why = match said {
                Ok(Said::Output(bytes) | Said::Error(bytes)) => {
                    found.extend(self.lines.take(&bytes));
                    if found.len() >= MOST {
                        return Some(event("lines", &found));
                    }
                    if !found.is_empty() {
                        due.get_or_insert_with(|| tokio::time::Instant::now() + BREATH);
                    }
                    continue;
                }
                Ok(Said::Exit(code)) => format!("The server’s journalctl ended with exit code {code}."),
                Ok(Said::Words(words)) => sentence(&words),
                Err(_) => "The SSH router broke off.".to_owned(),
            };
            self.is_over = true;
            found.extend(self.lines.rest());
            return Some(event("over", &(&found, why)));
        }
    }
}

fn event(name: &str, data: &impl serde::Serialize) -> Event {
    Event::default().event(name).data(serde_json::to_string(data).unwrap_or_default())
}

async fn until(time: Option<tokio::time::Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// Gives the log out as a file, byte for byte.
pub(crate) async fn file(
    Of(app): Of<App>,
    visitor: Visitor,
    Named(id): Named<ServerId>,
    Peer(from): Peer,
) -> Result<Response, Problem> {
    let sheet = visitor.ask(&app, &ServerRead { id }).await?;
    let (ears, mouth) = open(&app, &visitor, id, Act::LogFile, from).await?;
    let pieces = futures_util::stream::unfold(Some((ears, mouth)), |halves| async move {
        let (mut ears, mouth) = halves?;
        let said = ears.next().await;
        let broken = |words: String| Some((Err(std::io::Error::other(words)), None));
        match said {
            Ok(Said::Output(bytes) | Said::Error(bytes)) => {
                Some((Ok::<Bytes, _>(bytes), Some((ears, mouth))))
            }
            Ok(Said::Exit(0)) => None,
            // A file that breaks off must not look whole.
            Ok(Said::Exit(code)) => broken(format!("exit code {code}")),
            Ok(Said::Words(words)) => broken(words),
            Err(error) => Some((Err(error), None)),
        }
    });
    let name = format!("attachment; filename=\"{}.log\"", sheet.card.name);
    let name = HeaderValue::from_str(&name).map_err(|_| Problem::internal())?;
    let headers =
        [(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8")), (CONTENT_DISPOSITION, name)];
    Ok((headers, Body::from_stream(pieces)).into_response())
}
