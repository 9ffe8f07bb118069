//! Keeps the webhook's listener up: its port may be taken and its secret missing when we begin, and an operator mends that.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use berth_schema::remote::{Branch, Forge};
use berth_web::{PATH, Secret, Webhook};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::folder::Folder;
use super::secrets::Kind;
use crate::outcome::chain;

/// How long to wait before trying again.
const AGAIN: Duration = Duration::from_secs(10);

/// A webhook to be.
pub(super) struct Listening {
    pub(super) forge: Forge,
    pub(super) branch: Branch,
    pub(super) address: SocketAddr,
    pub(super) folder: Arc<Folder>,
    pub(super) bell: Arc<Notify>,
}

impl Listening {
    /// Listens until `stop`, and tries again until it can.
    pub(super) async fn keep(self, stop: CancellationToken) {
        let mut told = None;
        while !stop.is_cancelled() {
            match self.open().await {
                Ok((listener, secret)) => {
                    let address = listener.local_addr().unwrap_or(self.address);
                    tracing::info!(%address, path = PATH, "the webhook listens");
                    self.folder.change(|standing| {
                        standing.listening = Some(address);
                        standing.webhook_trouble = None;
                    });
                    let webhook = Webhook::new(self.forge, &self.branch, secret, Arc::clone(&self.bell));
                    webhook.serve(listener, stop.clone()).await;
                }
                Err(why) => {
                    if told.as_ref() != Some(&why) {
                        tracing::warn!(why, "the webhook doesn't listen; the poll goes on");
                        self.folder.change(|standing| standing.webhook_trouble = Some(why.clone()));
                        told = Some(why);
                    }
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = tokio::time::sleep(AGAIN) => {}
                    }
                }
            }
        }
    }

    async fn open(&self) -> Result<(TcpListener, Secret), String> {
        let text = Kind::WebhookSecret.read(self.folder.path()).map_err(|error| chain(&error))?;
        let secret = Secret::new(text.as_bytes()).ok_or("the webhook's secret is too short")?;
        let bound = TcpListener::bind(self.address).await;
        let listener = bound.map_err(|error| format!("listen on {}: {error}", self.address))?;
        Ok((listener, secret))
    }
}
