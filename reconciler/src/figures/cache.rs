//! Figures of the image cache: its size, its hits, and what Docker Hub still lets this address pull. Read on a schedule by
//! programs in the cache's container, and shown by `berth status`. Nothing is decided by them.

use std::time::Duration;

use berth_engine::Connection;
use berth_fault::chain;
use berth_wire::usage::{CacheFigures, RateLimit};
use jiff::Timestamp;
use serde::Deserialize;

use crate::control::Control;

/// Time between two questions to the cache for its size and hits.
const FIGURES_EVERY: Duration = Duration::from_secs(60);
/// Number of those after which Docker Hub is asked too: its window is six hours.
const RATE_LIMIT_EVERY: u32 = 30;
/// The programs in the cache's container (templates/dockerhub-cache/).
const FIGURES: &str = "/usr/lib/berth/figures";
const RATE_LIMIT: &str = "/usr/lib/berth/rate-limit";
/// The exit code of the second where there is nothing to ask: the upstream isn't Docker Hub.
const NO_LIMIT: i64 = 3;

/// Asks again and again, forever.
pub async fn watch(engine: Connection, control: Control) {
    let mut figures = CacheFigures::default();
    let mut clock = tokio::time::interval(FIGURES_EVERY);
    clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut turn: u32 = 0;
    loop {
        clock.tick().await;
        let Some(container) = control.running_cache() else {
            control.publish_cache(None);
            // The first pass may still be making it.
            clock.reset_after(if turn == 0 { Duration::from_secs(5) } else { FIGURES_EVERY });
            continue;
        };
        figures.trouble = None;
        match ask(&engine, &container, FIGURES).await {
            Ok(usage) => figures.usage = usage,
            Err(why) => figures.trouble = Some(why),
        }
        if turn.is_multiple_of(RATE_LIMIT_EVERY) {
            match ask::<RateLimit>(&engine, &container, RATE_LIMIT).await {
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
    engine: &Connection,
    container: &str,
    program: &str,
) -> Result<Option<T>, String> {
    let ran = engine.run(container, &[program]).await.map_err(|error| chain(&error))?;
    match ran.code {
        0 => serde_json::from_str(&ran.said)
            .map(Some)
            .map_err(|error| format!("{program} says {:?}: {error}", ran.said)),
        NO_LIMIT => Ok(None),
        _ => Err(ran.said.replace('\n', ": ")),
    }
}
