//! Keeps the webhook's listener up: its port may be taken and its secret missing when we begin, and an operator mends that.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use berth_schema::remote::{Branch, Forge};
use berth_schema::secret::SecretName;
use berth_secrets::Secrets;
use tokio::net::TcpListener;

use crate::bell::Bell;
use crate::folder::Folder;
use crate::listener::{Key, PATH, Webhook};

/// Time between two attempts.
const AGAIN: Duration = Duration::from_secs(10);

/// A webhook to be.
pub(crate) struct Listening {
    pub(crate) forge: Forge,
    pub(crate) branch: Branch,
    pub(crate) address: SocketAddr,
    pub(crate) secrets: Secrets,
    pub(crate) secret: SecretName,
    pub(crate) folder: Arc<Folder>,
    pub(crate) bell: Arc<Bell>,
}

impl Listening {
    /// Listens, forever, and tries again until it can.
    pub(crate) async fn keep(self) {
        let mut told = None;
        loop {
            match self.open().await {
                Ok((listener, key)) => {
                    let address = listener.local_addr().unwrap_or(self.address);
                    tracing::info!(%address, path = PATH, "the webhook listens");
                    self.folder.change(|standing| {
                        standing.listening = Some(address);
                        standing.webhook_trouble = None;
                    });
                    let webhook = Webhook::new(self.forge, &self.branch, key, Arc::clone(&self.bell));
                    webhook.serve(listener).await;
                }
                Err(why) => {
                    if told.as_ref() != Some(&why) {
                        tracing::warn!(why, "the webhook doesn't listen; the poll goes on");
                        self.folder.change(|standing| standing.webhook_trouble = Some(why.clone()));
                        told = Some(why);
                    }
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
    }

    async fn open(&self) -> Result<(TcpListener, Key), String> {
        let key = Key::open(&self.secrets, &self.secret)?;
        let bound = TcpListener::bind(self.address).await;
        let listener = bound.map_err(|error| format!("listen on {}: {error}", self.address))?;
        Ok((listener, key))
    }
}
