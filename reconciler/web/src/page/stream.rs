//! Live parts of pages: what is shown again while somebody looks, as events that carry the parts as HTML.
//!
//! A stream holds one place of the page's own. It ends when its person is signed out, when nothing more is to come, or when the
//! panel ends. A beat every few seconds tells the browser that the way is open; without one, the page asks by itself.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use http::{HeaderValue, StatusCode};
use minijinja::Value;

use crate::app::App;
use crate::live::{Live, World};
use crate::problem::Problem;
use crate::visitor::Visitor;

/// Time between two beats, after which the person is looked up again.
const BEAT: Duration = Duration::from_secs(15);
/// The least time between two events, however much happens.
const BREATH: Duration = Duration::from_millis(200);

/// Parts of a page, by the id of the element that holds them.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    html: BTreeMap<String, String>,
    /// Set if nothing more is to come.
    pub(crate) is_over: bool,
}

impl Parts {
    /// Adds a part that a template makes.
    pub(crate) fn put(&mut self, app: &App, id: impl Into<String>, template: &str, context: Value) {
        match app.templates.render(template, context) {
            Ok(html) => {
                self.html.insert(id.into(), html.trim().to_owned());
            }
            Err(error) => {
                tracing::error!(error = berth_fault::chain(&error), "a part of a page can't be made");
            }
        }
    }
}

/// Something that is watched.
pub(crate) trait Watched: Send + 'static {
    /// Asks the door what the person may see of it now.
    fn load(&mut self, app: &App, visitor: &Visitor) -> impl Future<Output = Result<(), Problem>> + Send;

    /// Returns whether the door has to be asked again because of what has happened. By default, it doesn't.
    fn is_stale(&self, _world: &World) -> bool {
        false
    }

    /// The parts as they are in this world.
    fn show(&self, app: &App, world: &World) -> Parts;
}

/// An event that is its name. Browsers pass on no event without data (WHATWG HTML, "Server-sent events", dispatching).
pub(crate) fn word(name: &'static str) -> Event {
    Event::default().event(name).data(name)
}

struct Stream<W> {
    app: App,
    visitor: Visitor,
    watched: W,
    live: Live,
    beat: tokio::time::Interval,
    sent: BTreeMap<String, String>,
    step: Step,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// The first parts are to be sent.
    First,
    /// Something is waited for.
    Wait,
    /// The last event has been sent.
    Over,
}

/// Answers with what is watched, until it is over.
pub(crate) async fn answer<W: Watched>(
    app: App,
    visitor: Visitor,
    mut watched: W,
) -> Result<Response, Problem> {
    watched.load(&app, &visitor).await?;
    let mut beat = tokio::time::interval(BEAT);
    beat.reset();
    let live = app.live.clone();
    let start = Stream { app, visitor, watched, live, beat, sent: BTreeMap::new(), step: Step::First };
    let events = stream::unfold(start, |mut stream| async move {
        let event = stream.next().await?;
        Some((Ok::<_, Infallible>(event), stream))
    });
    let mut response = Sse::new(events).into_response();
    // Proxies that keep answers back are asked not to.
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

impl<W: Watched> Stream<W> {
    async fn next(&mut self) -> Option<Event> {
        let closing = self.app.closing.clone();
        loop {
            let mut is_beat = false;
            match self.step {
                Step::Over => return None,
                Step::First => self.step = Step::Wait,
                Step::Wait => {
                    tokio::select! {
                        () = closing.cancelled() => return None,
                        () = self.live.changed() => tokio::time::sleep(BREATH).await,
                        _ = self.beat.tick() => is_beat = true,
                    }
                }
            }
            let world: Arc<World> = self.live.now();
            if (is_beat || self.watched.is_stale(&world))
                && let Err(problem) = self.watched.load(&self.app, &self.visitor).await
            {
                // The door may be away for a moment; a person who may not look any more is told so by the page.
                if problem.status == StatusCode::SERVICE_UNAVAILABLE {
                    return Some(word("beat"));
                }
                self.step = Step::Over;
                return Some(word("gone"));
            }
            let parts = self.watched.show(&self.app, &world);
            let news: BTreeMap<&String, &String> =
                parts.html.iter().filter(|(id, html)| self.sent.get(*id) != Some(html)).collect();
            let data = serde_json::to_string(&news).unwrap_or_default();
            let is_news = !news.is_empty();
            self.sent.extend(parts.html);
            if parts.is_over {
                self.step = Step::Over;
                return Some(word("end"));
            }
            if is_news {
                return Some(Event::default().event("parts").data(data));
            }
            if is_beat {
                return Some(word("beat"));
            }
        }
    }
}
