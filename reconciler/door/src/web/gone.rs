//! Tokens that have ended, until whoever closes what they opened has heard of them.

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::secret::Digest;

/// The tokens that have ended since the last look.
#[derive(Debug, Default)]
pub(crate) struct Gone {
    digests: Mutex<Vec<Digest>>,
    bell: Notify,
}

impl Gone {
    /// Tells that these have ended.
    pub(crate) fn tell(&self, ended: impl IntoIterator<Item = Digest>) {
        let mut digests = self.digests.lock();
        let before = digests.len();
        digests.extend(ended);
        if digests.len() > before {
            self.bell.notify_one();
        }
    }

    /// Waits until some have ended that nobody has taken yet.
    pub(crate) async fn some(&self) {
        self.bell.notified().await;
    }

    /// Takes those that have ended.
    pub(crate) fn take(&self) -> Vec<Digest> {
        std::mem::take(&mut self.digests.lock())
    }
}
