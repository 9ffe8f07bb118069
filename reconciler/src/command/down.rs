//! `berth down`: stops the platform's processes. Servers keep running.

use anyhow::bail;
use berth_wire::client::Daemon;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::Exit;
use crate::draw::say;
use crate::settings::Settings;

/// Longest wait for the end: a stop in hand is finished first, and a server may take its whole time to stop.
const PATIENCE_SECONDS: i64 = 180;

pub(super) async fn run(settings: &Settings) -> anyhow::Result<Exit> {
    let Some(daemon) = Daemon::find(&settings.socket()).await? else {
        say("Nothing runs.");
        return Ok(Exit::Ok);
    };
    let Some(pid) = daemon.pid().and_then(Pid::from_raw) else {
        bail!("the kernel does not say which process the reconciler is");
    };
    // Held from before the signal on, so that it is this process whose end is waited for, and no later one of its number.
    let process = pidfd_open(pid, PidfdFlags::NONBLOCK)?;
    pidfd_send_signal(&process, Signal::TERM)?;
    // Readable means ended. A clean end of the reconciler ends its supervisor too. Nothing else goes on in this process,
    // so the wait may block it.
    let patience = Timespec { tv_sec: PATIENCE_SECONDS, tv_nsec: 0 };
    if poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&patience))? == 0 {
        bail!("process {} does not end; look at {}", pid.as_raw_nonzero(), settings.log().display());
    }
    say("Stopped. Servers keep running.");
    Ok(Exit::Ok)
}
