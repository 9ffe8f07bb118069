//! Events as a stream of JSON lines, up to the end that whoever asked waits for.

use std::borrow::Cow;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::response::{IntoResponse as _, Response};
use berth_wire::{Event, PassRecord};
use futures_util::{StreamExt as _, stream};
use tokio::sync::broadcast;

/// Progress of the events of a pass.
pub(super) enum Told {
    /// Nothing more is to be told.
    Ended(PassRecord),
    /// It has ended, and something of it is tried again.
    Retried,
    /// It runs, or hasn't begun.
    Unfinished,
}

impl Told {
    pub(super) fn of(told: &[Arc<Event>]) -> Self {
        match told.last().map(|event| &**event) {
            Some(Event::PassEnded(record)) if record.retry_millis.is_some() => Self::Retried,
            Some(Event::PassEnded(record)) => Self::Ended(record.clone()),
            _ => Self::Unfinished,
        }
    }
}

/// The share of an event that a socket's listeners hear.
pub(super) type Share = fn(&Event) -> Cow<'_, Event>;

pub(super) fn whole(event: &Event) -> Cow<'_, Event> {
    Cow::Borrowed(event)
}

/// The events of a pass that has ended, and the answer at their end.
pub(super) fn answer(mut told: Vec<Arc<Event>>, record: PassRecord, share: Share) -> Response {
    told.push(Arc::new(Event::Answer { record: Some(record) }));
    let bytes: Vec<u8> = told.iter().flat_map(|event| line(event, share)).collect();
    bytes.into_response()
}

type Ended = tokio::sync::oneshot::Receiver<PassRecord>;

/// End of a stream of events.
pub(super) enum Until {
    /// Until this pass has ended.
    PassEnds(Ended),
    /// The same, and then on if something that failed in it is tried again.
    NothingIsRetried(Ended),
    /// Until whoever listens goes.
    TheyGo,
    /// No longer.
    Over,
}

/// Events as JSON lines, those that were told already first.
pub(super) fn lines(
    told: Vec<Arc<Event>>,
    events: broadcast::Receiver<Arc<Event>>,
    until: Until,
    share: Share,
) -> Response {
    let told = stream::iter(told).map(move |event| line(&event, share));
    let stream = stream::unfold((events, until), move |(mut events, mut until)| async move {
        loop {
            let heard = match &mut until {
                Until::Over => return None,
                Until::TheyGo => events.recv().await,
                Until::PassEnds(answer) | Until::NothingIsRetried(answer) => tokio::select! {
                    biased;
                    heard = events.recv() => heard,
                    record = answer => {
                        // Whoever asked gets the record of their own pass, even if its event was missed.
                        let record = record.ok();
                        let retried = record.as_ref().is_some_and(|record| record.retry_millis.is_some());
                        let until = match until {
                            Until::NothingIsRetried(_) if retried => Until::TheyGo,
                            _ => Until::Over,
                        };
                        return Some((line(&Event::Answer { record }, share), (events, until)));
                    }
                },
            };
            match heard {
                Ok(event) => return Some((line(&event, share), (events, until))),
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    });
    Body::from_stream(told.chain(stream).map(Ok::<_, std::convert::Infallible>)).into_response()
}

fn line(event: &Event, share: Share) -> Bytes {
    let mut bytes = serde_json::to_vec(&*share(event)).unwrap_or_default();
    bytes.push(b'\n');
    bytes.into()
}
