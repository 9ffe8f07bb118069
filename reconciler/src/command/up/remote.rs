//! Keeps `berth remote` running for as long as `main` names a forge. Its failures are its own: the reconciler goes on.

use std::process::Stdio;
use std::time::{Duration, Instant};

use berth_repo::StateRepo;
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

use super::{FIRST_WAIT, LONGEST_WAIT, SETTLED, arguments, terminate};
use crate::outcome::chain;
use crate::remote::configured;
use crate::settings::Settings;
use crate::wakeup::Wakeups;
use crate::watch;

/// How often to look whether `main` names a forge, where its refs can't be watched.
const LOOK: Duration = Duration::from_secs(60);

/// Runs until `stop`, and ends what it started.
pub(super) async fn keep(settings: Settings, stop: CancellationToken) {
    // A plain folder has no forge.
    let Ok(repo) = StateRepo::open(&settings.state) else { return };
    let moved = Wakeups::default();
    let _refs = watch::refs(repo.git_dir(), moved.clone());
    let mut wait = FIRST_WAIT;
    while !stop.is_cancelled() {
        if !tokio::task::block_in_place(|| matches!(configured(&repo), Ok(Some(_)))) {
            tokio::select! {
                () = stop.cancelled() => {}
                _ = moved.next() => {}
                () = tokio::time::sleep(LOOK) => {}
            }
            continue;
        }
        let started = Instant::now();
        let mut child = match start(&settings) {
            Ok(child) => child,
            Err(error) => {
                tracing::error!(error = %chain(&*error), "the forge can't be followed");
                return;
            }
        };
        let ended = tokio::select! {
            ended = child.wait() => ended,
            () = stop.cancelled() => {
                terminate(&child);
                let _ = child.wait().await;
                return;
            }
        };
        // It ends well when `[remote]` is gone, and then this looks for a new one.
        if ended.as_ref().is_ok_and(std::process::ExitStatus::success) {
            continue;
        }
        wait = if started.elapsed() > SETTLED { FIRST_WAIT } else { (wait * 2).min(LONGEST_WAIT) };
        tracing::error!(
            ?ended,
            wait_ms = wait.as_millis(),
            "`berth remote` ended by itself; it is started again"
        );
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

fn start(settings: &Settings) -> anyhow::Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args(["remote", "--with-parent"])
        .args(arguments(settings))
        .stdin(Stdio::null())
        .process_group(0)
        .kill_on_drop(true);
    Ok(command.spawn()?)
}
