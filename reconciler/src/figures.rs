//! Figures of the image cache: its size, its hits, and what Docker Hub still lets this address pull. Read on a schedule by
//! programs in the cache's container, and shown by `berth status`. Nothing is decided by them.

use std::time::Duration;

use bollard::Docker;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::control::Control;
use crate::exec;
use crate::outcome::chain;

/// How often the cache is asked for its size and hits.
const FIGURES_EVERY: Duration = Duration::from_secs(60);
/// Of those, every so many times Docker Hub is asked too: its window is six hours.
const RATE_LIMIT_EVERY: u32 = 30;
/// The programs in the cache's container (templates/dockerhub-cache/).
const FIGURES: &str = "/usr/lib/berth/figures";
const RATE_LIMIT: &str = "/usr/lib/berth/rate-limit";
/// The exit code of the second where there is nothing to ask: the upstream isn't Docker Hub.
const NO_LIMIT: i64 = 3;

/// What is known of the image cache.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheFigures {
    /// Size and hits; `None` while they can't be read.
    pub usage: Option<Usage>,
    /// What Docker Hub last said of its limit; `None` where there is none, or it wasn't asked yet.
    pub rate_limit: Option<RateLimit>,
    /// Why something can't be read.
    pub trouble: Option<String>,
}

/// How the cache is used. Hits and misses count from the registry's start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Bytes that it stores.
    pub bytes: u64,
    /// Requests that it answered by itself.
    pub hits: u64,
    /// Requests for which it asked its upstream.
    pub misses: u64,
}

/// What Docker Hub lets this address pull (its headers `ratelimit-limit` and `ratelimit-remaining`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateLimit {
    /// Pulls in a window; `None` when there is no limit.
    pub limit: Option<u64>,
    /// Pulls that are left.
    pub remaining: Option<u64>,
    /// The window in seconds.
    pub window_seconds: Option<u64>,
    /// When it was asked.
    #[serde(default)]
    pub at: Timestamp,
}

/// Asks again and again until `stop`.
pub async fn watch(docker: Docker, control: Control, stop: CancellationToken) {
    let mut figures = CacheFigures::default();
    let mut clock = tokio::time::interval(FIGURES_EVERY);
    clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut turn: u32 = 0;
    loop {
        tokio::select! {
            _ = clock.tick() => {}
            () = stop.cancelled() => return,
        }
        let Some(container) = control.running_cache() else {
            control.publish_cache(None);
            // The first pass may still be making it.
            clock.reset_after(if turn == 0 { Duration::from_secs(5) } else { FIGURES_EVERY });
            continue;
        };
        figures.trouble = None;
        match ask(&docker, &container, FIGURES).await {
            Ok(usage) => figures.usage = usage,
            Err(why) => figures.trouble = Some(why),
        }
        if turn.is_multiple_of(RATE_LIMIT_EVERY) {
            match ask::<RateLimit>(&docker, &container, RATE_LIMIT).await {
                Ok(limit) => {
                    figures.rate_limit = limit.map(|limit| RateLimit { at: Timestamp::now(), ..limit });
                }
                Err(why) => figures.trouble = Some(why),
            }
        }
        turn = turn.wrapping_add(1);
        control.publish_cache(Some(figures.clone()));
    }
}

/// Runs one of the programs and reads its JSON; `None` where there is nothing to tell.
async fn ask<T: for<'de> Deserialize<'de>>(
    docker: &Docker,
    container: &str,
    program: &str,
) -> Result<Option<T>, String> {
    let ran = exec::run(docker, container, &[program]).await.map_err(|error| chain(&error))?;
    match ran.code {
        0 => serde_json::from_str(&ran.said)
            .map(Some)
            .map_err(|error| format!("{program} says {:?}: {error}", ran.said)),
        NO_LIMIT => Ok(None),
        _ => Err(ran.said.replace('\n', ": ")),
    }
}
