//! The service manager, systemd: it is told that a process works. Where none waits for that, nothing is told.

use std::ffi::OsString;

use sd_notify::NotifyState;

/// Names the service manager's socket.
const SOCKET: &str = "NOTIFY_SOCKET";

/// Tells the service manager that this process serves, and works. The first call ends its start, each later one only its wait for a sign of
/// life (`WatchdogSec=`).
pub fn alive() {
    // Whoever doesn't hear it starts the process again, and says so.
    let _ = sd_notify::notify(&[NotifyState::Ready, NotifyState::Watchdog]);
}

/// Returns the variable by which a child with an otherwise empty environment finds the service manager.
pub fn way() -> Option<(&'static str, OsString)> {
    std::env::var_os(SOCKET).map(|socket| (SOCKET, socket))
}
