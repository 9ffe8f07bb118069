//! Leases: tickets of the panel that the SSH router has redeemed. Each is a connection of the router's that stays open for as
//! long as the session lasts which the ticket stands on, and no longer.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use berth_schema::ticket::{Lease, Redeem};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::OwnedWriteHalf;
use tokio::sync::Semaphore;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::frame::Reader;
use crate::web::{Leased, Panel};

/// Time between two looks at the session. The router ends at once what has lost its lease, so a terminal outlives its session
/// by less than a second.
const LOOK: Duration = Duration::from_millis(300);
/// Time for the router to take an answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Everything that redeeming a ticket takes.
pub(crate) struct Redeeming {
    /// Ground of the panel's door, which gave the tickets out; `None` where it couldn't be opened.
    pub(crate) panel: Option<Arc<Panel>>,
    /// Places of leases.
    pub(crate) room: Semaphore,
    /// Cancelled when the door closes.
    pub(crate) stop: CancellationToken,
}

/// The router's connection.
pub(crate) struct Line {
    pub(crate) reader: Reader,
    pub(crate) writer: OwnedWriteHalf,
}

impl Line {
    async fn say(&mut self, answer: &Lease) -> io::Result<()> {
        let mut line = serde_json::to_vec(answer)?;
        line.push(b'\n');
        let said = tokio::time::timeout(PATIENCE, self.writer.write_all(&line)).await;
        said.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl Redeeming {
    /// Redeems a ticket and keeps its lease until it ends, the router leaves, or the door closes.
    pub(crate) async fn keep(&self, asked: Redeem, mut line: Line) {
        let over = self.lease(asked, &mut line).await;
        if let Err(why) = over {
            // Whoever is gone doesn't hear it.
            let _ = line.say(&Lease::Over(why)).await;
        }
    }

    /// Returns when the router has left; the error is a sentence why the lease is over, or never began.
    async fn lease(&self, asked: Redeem, line: &mut Line) -> Result<(), String> {
        let panel = self.panel.clone().ok_or("the panel's door isn't open; try again in a moment")?;
        let _place =
            self.room.try_acquire().map_err(|_| "too many terminals and logs are open; try again later")?;
        let inner = Arc::clone(&panel);
        // Reads the state, as its owner.
        let redeemed = tokio::task::spawn_blocking(move || inner.redeem(&asked)).await;
        let leased = redeemed.map_err(|error| error.to_string())?;
        let leased = Arc::new(leased.inspect_err(|why| tracing::info!(why, "a ticket was refused"))?);
        match line.say(&Lease::Granted(leased.errand.clone())).await {
            Ok(()) => self.hold(panel, leased, line).await,
            // The router is gone.
            Err(_) => Ok(()),
        }
    }

    async fn hold(&self, panel: Arc<Panel>, leased: Arc<Leased>, line: &mut Line) -> Result<(), String> {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut byte = [0];
        loop {
            tokio::select! {
                _ = looks.tick() => {}
                // It has nothing more to say.
                _ = line.reader.read(&mut byte) => return Ok(()),
                () = self.stop.cancelled() => {
                    return Err("the platform's control plane ends or is started anew".to_owned());
                }
            }
            let (panel, leased) = (Arc::clone(&panel), Arc::clone(&leased));
            let ended = tokio::task::spawn_blocking(move || panel.ended(&leased)).await;
            if let Ok(Some(why)) = ended {
                return Err(why.to_owned());
            }
        }
    }
}
