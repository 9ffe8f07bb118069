//! Channels that a person opens to the server: opened there, joined with the person's, or refused.
//!
//! Opening may take long, so it happens beside the callback that asks for it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use russh::client::Handle;
use russh::server::{self, ChannelOpenHandle, Msg};
use russh::{Channel, ChannelOpenFailure, client};

use crate::end::Kind;
use crate::link::Slot;
use crate::session::Shared;
use crate::unjoined::Unjoined;
use crate::upstream::Upstream;

/// Channel that a person opens.
pub(crate) enum ToServer {
    Session,
    Tcp { host: String, port: u32, from: String, from_port: u32 },
    Socket(String),
}

/// Takes a place for one more channel and counts a channel that gets none.
pub(crate) fn slot(shared: &Shared) -> Option<Slot> {
    let slot = shared.links.slot();
    if slot.is_none() {
        shared.unopened.fetch_add(1, Ordering::Relaxed);
    }
    slot
}

impl ToServer {
    /// Opens the channel on the server's connection and joins it to the person's.
    pub(crate) fn join(
        self,
        shared: &Arc<Shared>,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        handle: server::Handle,
    ) {
        let Some(slot) = slot(shared) else {
            tokio::spawn(reply.reject(ChannelOpenFailure::ResourceShortage));
            return;
        };
        let shared = Arc::clone(shared);
        let opening = shared.links.question();
        tokio::spawn(async move {
            let _opening = opening;
            let kind = if matches!(self, Self::Session) { Kind::Session } else { Kind::Stream };
            let upstream = match (shared.upstream().await, &self) {
                (Ok(upstream), _) => upstream,
                (Err(why), Self::Session) => {
                    shared.apologise(Unjoined::new(&shared.links, channel.split().1, slot), why);
                    return reply.accept().await;
                }
                (Err(_), _) => return reply.reject(ChannelOpenFailure::ConnectFailed).await,
            };
            let opened = tokio::select! {
                opened = self.open(&upstream) => opened,
                () = shared.cut.cancelled() => return,
            };
            match opened {
                Ok(to_server) => {
                    let ((_, half), (_, to_server)) = (channel.split(), to_server.split());
                    shared.links.join(kind, (half, handle), to_server, slot);
                    reply.accept().await;
                }
                Err(error) => {
                    shared.unopened.fetch_add(1, Ordering::Relaxed);
                    let reason = match error {
                        russh::Error::ChannelOpenFailure(reason) => reason,
                        _ => ChannelOpenFailure::ConnectFailed,
                    };
                    reply.reject(reason).await;
                }
            }
        });
    }

    async fn open(self, upstream: &Handle<Upstream>) -> Result<Channel<client::Msg>, russh::Error> {
        match self {
            Self::Session => upstream.channel_open_session().await,
            Self::Tcp { host, port, from, from_port } => {
                upstream.channel_open_direct_tcpip(host, port, from, from_port).await
            }
            Self::Socket(path) => upstream.channel_open_direct_streamlocal(path).await,
        }
    }
}
