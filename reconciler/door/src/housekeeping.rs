//! Housekeeping: what pushes left in the state repo and in the views is put together in quiet moments, and that ends when somebody runs a
//! command.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use berth_host::process::Group;
use tokio::process::Command;

use crate::door::Door;
use crate::quiet::Quiet;

/// Time without a command before anything is put together.
const QUIET: Duration = Duration::from_secs(60);
/// Time after which it is looked at again without a command: the panel's forms commit, too.
const HOURLY: Duration = Duration::from_secs(3600);
/// Time between a request to end and the end.
const GRACE: Duration = Duration::from_secs(5);

/// Puts things together after commands, for as long as the door is open.
pub(crate) async fn housekeeping(door: Arc<Door>) {
    loop {
        door.quiet.has_lasted(QUIET).await;
        if !tidy(&door.quiet, door.tidying()).await {
            continue;
        }
        // Nothing to do until somebody has run a command, or an hour has gone by.
        let _ = tokio::time::timeout(HOURLY, door.quiet.is_over()).await;
    }
}

/// Runs the program that does it, and ends it when somebody runs a command. Returns whether it came to its own end.
async fn tidy(quiet: &Quiet, mut command: Command) -> bool {
    command.stdin(Stdio::null()).stdout(Stdio::null()).process_group(0).kill_on_drop(true);
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            tracing::warn!(%error, "what pushes left can't be put together");
            return true;
        }
    };
    let group = child.id().and_then(Group::led_by);
    tokio::select! {
        ended = child.wait() => {
            match ended {
                Ok(status) if status.success() => {}
                Ok(status) => tracing::warn!(%status, "what pushes left can't be put together"),
                Err(error) => tracing::warn!(%error, "what pushes left can't be put together"),
            }
            true
        }
        () = quiet.is_over() => {
            if let Some(group) = group {
                group.ask();
            }
            let _ = tokio::time::timeout(GRACE, child.wait()).await;
            if let Some(group) = group {
                group.kill();
            }
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_ends_when_somebody_runs_a_command() {
        let quiet = Arc::new(Quiet::default());
        let mut long = Command::new("sh");
        long.args(["-c", "sleep 600 & wait"]);
        let tidying = Arc::clone(&quiet);
        let ended = tokio::spawn(async move { tidy(&tidying, long).await });
        let at_work = quiet.begin();
        assert!(!ended.await.unwrap());
        drop(at_work);
        assert!(tidy(&quiet, Command::new("true")).await);
    }
}
