//! The daemon's ears: the state repo's refs, the engine's events, the clock. Each only rings; none decides.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use berth_engine::Reader;
use berth_fault::chain;
use futures_util::StreamExt as _;
use jiff::Timestamp;
use notify::{EventKind, RecursiveMode, Watcher as _};

use crate::figures::Use;
use crate::wakeup::{Reason, Wakeups};

/// Time after which a pass runs although nothing happened.
const TIMER: Duration = Duration::from_secs(60);
/// Number of timer passes after which nothing remembered is trusted.
const DISTRUST_EVERY: u32 = 10;
/// Pause before listening to the engine again.
const RECONNECT: Duration = Duration::from_millis(500);

/// The engine's health: whether it answered last.
#[derive(Debug, Clone)]
pub struct EngineHealth(Arc<AtomicBool>);

impl Default for EngineHealth {
    fn default() -> Self {
        Self(Arc::new(AtomicBool::new(true)))
    }
}

impl EngineHealth {
    /// Returns whether the engine answered last.
    pub fn answers(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn set(&self, answers: bool) {
        self.0.store(answers, Ordering::Relaxed);
    }
}

/// Watches the refs of the repository in `git_dir` as long as the returned value lives.
///
/// A push renames `main.lock` onto `main`, `pack-refs` removes it, a branch may only stand in `packed-refs`: so any event
/// but a mere opening means "look again", and looking again is cheap.
pub fn refs(git_dir: &Path, wakeups: Wakeups) -> notify::Result<notify::RecommendedWatcher> {
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| match event {
        Ok(event) if matches!(event.kind, EventKind::Access(_)) => {}
        Ok(event) if event.paths.iter().any(|path| is_no_ref_of_others(path)) => {}
        Ok(_) => wakeups.wake(Reason::Ref),
        Err(error) => {
            tracing::warn!(%error, "watching the state repo failed; the timer still looks at it");
            wakeups.wake(Reason::Ref);
        }
    })?;
    watcher.watch(git_dir, RecursiveMode::NonRecursive)?;
    watcher.watch(&git_dir.join("refs"), RecursiveMode::Recursive)?;
    Ok(watcher)
}

/// Returns whether a path tells of no change that somebody else made: our own refs, whose change is the end of a pass and no reason for
/// another (marks and notes, with the files that lock them), and the repository's settings.
fn is_no_ref_of_others(path: &Path) -> bool {
    if path.file_name().is_some_and(|name| name == "config" || name == "config.lock") {
        // A branch may be called so, too.
        return !path.components().any(|part| part.as_os_str() == "refs");
    }
    let mut parts = path.components().map(|part| part.as_os_str()).skip_while(|part| *part != "refs").skip(1);
    parts.next().is_some_and(|part| part == "berth" || part == "notes")
}

/// Listens to the engine, forever; after a break it listens again and says that events may have been missed.
///
/// The engine tells again what happened from `since` on, so that nothing falls between the first look and the first
/// listening.
pub async fn engine(reader: Reader, mut since: Timestamp, health: EngineHealth, used: Use, wakeups: Wakeups) {
    loop {
        let mut events = std::pin::pin!(reader.events(since));
        loop {
            match events.next().await {
                Some(Ok(event)) => match event.action.as_str() {
                    // What runs inside a server, and what we read of it, is none of our business.
                    action if action.starts_with("exec_") || action == "top" || action == "resize" => {}
                    // The container goes on; somebody who looks at it wants to know.
                    "oom" => used.ran_out_of_memory(event.subject, Timestamp::now()),
                    action => {
                        used.happened_to(&event.subject, action, Timestamp::now());
                        wakeups.happened_to(event.subject);
                    }
                },
                Some(Err(error)) => {
                    tracing::warn!(error = %chain(&error), "the engine's events broke off");
                    break;
                }
                None => break,
            }
        }
        since = Timestamp::now();
        health.set(false);
        // A pass on an engine that is down could only fail, so the first one waits until it is back.
        loop {
            tokio::time::sleep(RECONNECT).await;
            if reader.answers().await {
                break;
            }
        }
        tracing::info!("the engine answers again");
        health.set(true);
        wakeups.events_missed(Reason::Engine);
    }
}

/// Rings every minute, forever.
pub async fn timer(wakeups: Wakeups) {
    loop {
        for tick in 1..=DISTRUST_EVERY {
            tokio::time::sleep(TIMER).await;
            match tick {
                DISTRUST_EVERY => wakeups.events_missed(Reason::Timer),
                _ => wakeups.wake(Reason::Timer),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_refs_of_others_are_a_reason_to_look() {
        for ours in ["config", "config.lock", "refs/berth/applied", "refs/notes/berth.lock"] {
            assert!(is_no_ref_of_others(&Path::new("/state.git").join(ours)), "{ours}");
        }
        for others in
            ["HEAD", "packed-refs", "refs/heads/main", "refs/heads/config", "refs/heads/review/config"]
        {
            assert!(!is_no_ref_of_others(&Path::new("/state.git").join(others)), "{others}");
        }
    }
}
