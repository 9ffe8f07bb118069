//! The end of a command that changes refs: a signal ends it at once, but not in the middle of such a change.

use std::io;
use std::process::exit;

use berth_host::critical;
use tokio::signal::unix::{SignalKind, signal};

/// Base of the exit code of a command that a signal ended, as shells count.
const SIGNALLED: i32 = 128;

/// Lets SIGHUP, SIGINT and SIGTERM end this process once no ref is half changed.
pub(super) fn by_signal() -> io::Result<()> {
    let mut hangup = signal(SignalKind::hangup())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::spawn(async move {
        let number = tokio::select! {
            _ = hangup.recv() => SignalKind::hangup(),
            _ = interrupt.recv() => SignalKind::interrupt(),
            _ = terminate.recv() => SignalKind::terminate(),
        };
        let ended = tokio::task::spawn_blocking(move || {
            critical::close();
            exit(SIGNALLED + number.as_raw_value());
        });
        let _ = ended.await;
    });
    Ok(())
}
