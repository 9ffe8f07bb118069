//! A router that rests: once nobody has had a session for a while, it lets another take its place if it holds much more memory than
//! it began with.
//!
//! The next one doesn't know which sources failed to log in, so a router that refuses any doesn't rest.

use std::time::{Duration, Instant};

use berth_supervise::{ask_for_another, own_memory};
use tokio_util::task::TaskTracker;

use crate::admission::Admission;

/// Bytes that a router may have got besides those that it began with, and keep.
const GROWN: u64 = 6 << 20;
/// Looks within the time after which a router rests.
const LOOKS: u32 = 6;

/// Watches the sessions, and asks for another router once it is time. Never returns: the supervisor says when this one stops.
pub(crate) async fn watch(sessions: &TaskTracker, admission: &Admission, rest: Duration) {
    if let Err(error) = watched(sessions, admission, rest).await {
        tracing::warn!(%error, "no new router takes over when this one rests");
    }
    std::future::pending::<()>().await;
}

async fn watched(sessions: &TaskTracker, admission: &Admission, rest: Duration) -> std::io::Result<()> {
    let began_with = own_memory()?;
    let mut idle_since = None;
    loop {
        tokio::time::sleep(rest / LOOKS).await;
        if !sessions.is_empty() || admission.refuses_anybody(Instant::now()) {
            idle_since = None;
            continue;
        }
        let since: Instant = *idle_since.get_or_insert_with(Instant::now);
        let memory = own_memory()?;
        if since.elapsed() < rest || memory < began_with.saturating_add(GROWN) {
            continue;
        }
        // Without a supervisor it stays as it is.
        if ask_for_another()? {
            tracing::info!(memory, began_with, "nobody has a session: a new router takes over");
        }
        return Ok(());
    }
}
