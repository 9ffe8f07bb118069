//! One direction of a channel in motion: takes what waits on one end, in order, and writes it to the other.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use russh::{ChannelWriteHalf, client, server};

use crate::link::{End, Kind};
use crate::queue::{Event, Patience};

/// Writes to one end.
pub(crate) enum Writer {
    Client { half: ChannelWriteHalf<server::Msg>, handle: server::Handle },
    Server { half: Arc<ChannelWriteHalf<client::Msg>> },
}

/// Carries what arrived on one end to the other, until either ends.
pub(crate) struct Pump {
    pub(crate) from: Arc<End>,
    pub(crate) to: Arc<End>,
    pub(crate) writer: Writer,
    pub(crate) kind: Kind,
}

/// How far the end of a program's output has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    None,
    /// It has arrived, and waits for the exit status. A client that has heard it, and has nothing to say itself, closes
    /// the channel; the library answers that at once, and the status would never get through.
    Held,
    /// The status was there first, or didn't come in time.
    Free,
}

/// How long the end of output waits for the exit status, where the client may still have something to say.
const STATUS_MAX: Duration = Duration::from_secs(1);

impl Pump {
    pub(crate) async fn run(self) {
        let mut ending = Ending::None;
        let (from, to) = (&self.from, &self.to);
        loop {
            let event = tokio::select! {
                event = self.next(&mut ending) => event,
                () = from.inbox.broken() => Event::Close,
                () = to.closed.cancelled() => break,
            };
            let last = matches!(event, Event::Close);
            tokio::select! {
                sent = self.writer.send(event) => if last || sent.is_err() { break },
                () = to.closed.cancelled() => break,
                () = from.inbox.broken() => {
                    // Nothing to be done where even this fails: the connection is gone.
                    let _ = self.writer.send(Event::Close).await;
                    break;
                }
            }
        }
        from.inbox.abandon();
        // Whether it was closed by its peer or by the event above: nothing more will come out of it. The library says
        // nothing of a close that answers our own.
        to.closed.cancel();
        let _ = to.inbox.push(Event::Close, Patience::None).await;
    }

    /// The next event to send.
    async fn next(&self, ending: &mut Ending) -> Event {
        loop {
            let arrived = match *ending {
                Ending::Held => match tokio::time::timeout(STATUS_MAX, self.from.inbox.next()).await {
                    Ok(arrived) => arrived,
                    Err(_) if self.to.said_all.load(Ordering::Relaxed) => continue,
                    Err(_) => {
                        *ending = Ending::Free;
                        return Event::Eof;
                    }
                },
                Ending::None | Ending::Free => self.from.inbox.next().await,
            };
            let event = arrived.unwrap_or_else(|error| {
                tracing::error!(side = ?self.from.side, %error, "the overflow file can't be read back");
                Event::Close
            });
            match (&event, *ending) {
                (Event::Eof, Ending::None) if self.kind == Kind::Session => *ending = Ending::Held,
                (Event::ExitStatus(_) | Event::ExitSignal(_), Ending::Held) => {
                    *ending = Ending::Free;
                    // Behind the status that goes out now.
                    self.from.inbox.push_front(Event::Eof);
                    return event;
                }
                (Event::ExitStatus(_) | Event::ExitSignal(_), _) => {
                    *ending = Ending::Free;
                    return event;
                }
                _ => return event,
            }
        }
    }
}

impl Writer {
    async fn send(&self, event: Event) -> Result<(), russh::Error> {
        match self {
            Self::Client { half, handle } => match event {
                Event::Data(data) => half.data_bytes(data).await,
                Event::Extended(kind, data) => half.extended_data_bytes(kind, data).await,
                Event::Eof => half.eof().await,
                Event::ExitStatus(status) => half.exit_status(status).await,
                Event::ExitSignal(exit) => handle
                    .exit_signal_request(
                        half.id(),
                        exit.signal,
                        exit.core_dumped,
                        exit.message,
                        exit.language,
                    )
                    .await
                    .map_err(|()| russh::Error::SendError),
                Event::Close => half.close().await,
            },
            Self::Server { half } => match event {
                Event::Data(data) => half.data_bytes(data).await,
                Event::Extended(kind, data) => half.extended_data_bytes(kind, data).await,
                Event::Eof => half.eof().await,
                // Only servers say how a program ended.
                Event::ExitStatus(_) | Event::ExitSignal(_) => Ok(()),
                Event::Close => half.close().await,
            },
        }
    }
}
