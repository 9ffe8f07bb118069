//! A channel that leads to no server's: the router itself answers it, with words and an exit code.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use russh::server::Msg;
use russh::{ChannelId, ChannelWriteHalf};

use crate::link::{End, Links, Side, Slot};

/// See the module. Dropped, it is forgotten, whoever closed it.
pub(crate) struct Unjoined {
    /// Made with the channel, so that its close is never missed.
    pub(crate) end: Arc<End>,
    pub(crate) half: ChannelWriteHalf<Msg>,
    links: Arc<Links>,
    _slot: Slot,
}

/// A person who takes nothing keeps no place.
const WORDS_MAX: Duration = Duration::from_secs(5);

impl Unjoined {
    pub(crate) fn new(links: &Arc<Links>, half: ChannelWriteHalf<Msg>, slot: Slot) -> Self {
        Self { end: links.end(Side::Client, half.id()), half, links: Arc::clone(links), _slot: slot }
    }

    pub(crate) fn id(&self) -> ChannelId {
        self.half.id()
    }

    /// Says the words, if any, on standard error, and ends the channel.
    pub(crate) async fn finish(self, words: Option<String>, code: u32) {
        // What the person says from here on is for nobody.
        self.end.inbox.abandon();
        let said = async {
            if let Some(words) = words {
                self.half.extended_data_bytes(1, Bytes::from(words)).await?;
            }
            self.half.exit_status(code).await?;
            self.half.eof().await
        };
        tokio::select! {
            // Nothing can be done where that fails: the person is gone.
            _ = tokio::time::timeout(WORDS_MAX, said) => {}
            () = self.end.closed.cancelled() => return,
        }
        let _ = self.half.close().await;
    }
}

impl Drop for Unjoined {
    fn drop(&mut self) {
        self.end.inbox.abandon();
        self.links.forget(Side::Client, self.half.id());
    }
}
