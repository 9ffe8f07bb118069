//! One direction of a channel in motion: takes events from one end, in order, and writes them to the other.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use russh::{ChannelWriteHalf, client, server};

use crate::end::{End, Kind};
use crate::event::Event;
use crate::queue::Patience;

/// Way out of one end.
pub(crate) enum Writer {
    Client { half: ChannelWriteHalf<server::Msg>, handle: server::Handle },
    Server { half: Arc<ChannelWriteHalf<client::Msg>> },
}

/// Carrier of the events that arrive on one end to the other, until either ends.
pub(crate) struct Pump {
    pub(crate) from: Arc<End>,
    pub(crate) to: Arc<End>,
    pub(crate) writer: Writer,
    pub(crate) kind: Kind,
}

/// Progress of the end of a program's output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// The program may write more.
    None,
    /// The end has arrived and waits for the exit status. A client that gets the end and has nothing to send itself closes
    /// the channel; the library answers the close at once, and the status would never get through.
    Held,
    /// The status came first, or it didn't come in time.
    Free,
}

/// Longest wait of the end of output for the exit status while the client may still send data.
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
                    // If even this fails, the connection is gone.
                    let _ = self.writer.send(Event::Close).await;
                    break;
                }
            }
        }
        from.inbox.abandon();
        // Nothing more comes out of it, whether its peer closed it or the event above did. The library doesn't report a close
        // that answers our own.
        to.closed.cancel();
        let _ = to.inbox.push(Event::Close, Patience::None).await;
    }

    /// Returns the next event to send.
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
                tracing::error!(side = ?self.from.side, %error, "cannot read the overflow file back");
                Event::Close
            });
            match (&event, *ending) {
                (Event::Eof, Ending::None) if self.kind == Kind::Session => *ending = Ending::Held,
                (Event::ExitStatus(_) | Event::ExitSignal(_), Ending::Held) => {
                    *ending = Ending::Free;
                    // It follows the status, which goes out now.
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
                // Only servers report how a program ended.
                Event::ExitStatus(_) | Event::ExitSignal(_) => Ok(()),
                Event::Close => half.close().await,
            },
        }
    }
}
