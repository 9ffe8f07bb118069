//! `berth down`: stops the platform's processes. Servers keep running.

use std::time::{Duration, Instant};

use anyhow::bail;
use rustix::process::{Pid, Signal, kill_process};

use super::Exit;
use crate::client::Daemon;
use crate::draw::say;
use crate::settings::Settings;

/// A stop in hand is finished first, and a server may take its whole time to stop.
const PATIENCE: Duration = Duration::from_secs(180);

pub(super) async fn run(settings: &Settings) -> anyhow::Result<Exit> {
    let Some(daemon) = Daemon::find(&settings.socket()).await? else {
        say("Nothing runs.");
        return Ok(Exit::Ok);
    };
    let Some(pid) = daemon.pid().and_then(Pid::from_raw) else {
        bail!("the kernel does not say which process the reconciler is");
    };
    kill_process(pid, Signal::TERM)?;
    let deadline = Instant::now() + PATIENCE;
    // Its socket goes last; and a clean end of the reconciler ends its supervisor too.
    while Daemon::find(&settings.socket()).await?.is_some() {
        if Instant::now() > deadline {
            bail!("process {} does not end; look at {}", pid.as_raw_nonzero(), settings.log().display());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    say("Stopped. Servers keep running.");
    Ok(Exit::Ok)
}
