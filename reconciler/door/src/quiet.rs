//! Quiet moments, in which nobody runs a command.

use std::time::Duration;

use tokio::sync::watch;

/// Commands that run now.
#[derive(Debug)]
pub(crate) struct Quiet(watch::Sender<usize>);

/// A command that runs, until this is dropped.
#[derive(Debug)]
pub(crate) struct AtWork(watch::Sender<usize>);

impl Default for Quiet {
    fn default() -> Self {
        Self(watch::Sender::new(0))
    }
}

impl Quiet {
    /// Begins a command.
    pub(crate) fn begin(&self) -> AtWork {
        self.0.send_modify(|running| *running += 1);
        AtWork(self.0.clone())
    }

    /// Waits until nobody has run a command for so long.
    pub(crate) async fn has_lasted(&self, time: Duration) {
        let mut running = self.0.subscribe();
        loop {
            if running.wait_for(|running| *running == 0).await.is_err() {
                return;
            }
            // Also a command that has ended meanwhile is a change.
            if tokio::time::timeout(time, running.changed()).await.is_err() {
                return;
            }
        }
    }

    /// Waits for the next command.
    pub(crate) async fn is_over(&self) {
        let _ = self.0.subscribe().wait_for(|running| *running > 0).await;
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.send_modify(|running| *running = running.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const QUIET: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn a_moment_is_quiet_when_nobody_has_run_a_command_for_long() {
        let quiet = Arc::new(Quiet::default());
        let (one, other) = (quiet.begin(), quiet.begin());
        let waiting = Arc::clone(&quiet);
        let lasted = tokio::spawn(async move { waiting.has_lasted(QUIET).await });
        tokio::time::sleep(QUIET * 3).await;
        assert!(!lasted.is_finished());
        drop(one);
        tokio::time::sleep(QUIET * 3).await;
        assert!(!lasted.is_finished(), "one still runs");
        drop(other);
        tokio::time::sleep(QUIET / 2).await;
        drop(quiet.begin());
        tokio::time::sleep(QUIET * 3 / 4).await;
        assert!(!lasted.is_finished(), "it began anew");
        tokio::time::sleep(QUIET).await;
        assert!(lasted.is_finished());
    }
}
