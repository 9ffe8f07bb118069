//! The program's end: the socket that it was given, and the word that it listens.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};

use rustix::process::{Signal, set_parent_process_death_signal};

use crate::supervisor::READY;

/// Takes the socket off standard input and leaves no copy there: a copy that stays open would take connections that
/// nobody accepts.
pub fn take_stdin() -> io::Result<OwnedFd> {
    let socket = io::stdin().as_fd().try_clone_to_owned()?;
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    Ok(socket)
}

/// Tells the supervisor that this program listens, and has it end with the supervisor.
pub fn announce() -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::TERM))?;
    // A failure means that the supervisor is gone or doesn't care.
    let _ = io::stdout().write_all(READY);
    Ok(())
}
