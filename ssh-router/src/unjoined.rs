//! Channels that lead to no server: the router itself answers them, with text and an exit code.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use russh::server::Msg;
use russh::{ChannelId, ChannelWriteHalf};

use crate::end::{End, Side};
use crate::link::{Links, Slot};

/// Channel of that kind. Its end is forgotten on drop, whoever closed it.
pub(crate) struct Unjoined {
    /// End of the channel, made together with it so that no close is missed.
    pub(crate) end: Arc<End>,
    pub(crate) half: ChannelWriteHalf<Msg>,
    links: Arc<Links>,
    _slot: Slot,
}

/// Longest wait for a person to take the text, so that nobody keeps a place by reading nothing.
const WORDS_MAX: Duration = Duration::from_secs(5);

impl Unjoined {
    pub(crate) fn new(links: &Arc<Links>, half: ChannelWriteHalf<Msg>, slot: Slot) -> Self {
        Self { end: links.end(Side::Client, half.id()), half, links: Arc::clone(links), _slot: slot }
    }

    pub(crate) fn id(&self) -> ChannelId {
        self.half.id()
    }

    /// Writes the text, if there is one, to standard error and ends the channel.
    pub(crate) async fn finish(self, words: Option<String>, code: u32) {
        // Nobody reads what the person sends from here on.
        self.end.inbox.abandon();
        let said = async {
            if let Some(words) = words {
                self.half.extended_data_bytes(1, Bytes::from(words)).await?;
            }
            self.half.exit_status(code).await?;
            self.half.eof().await
        };
        tokio::select! {
            // A failure means that the person is gone, so there is nobody to tell.
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
