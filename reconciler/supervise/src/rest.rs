//! Asking one's own supervisor for another program, from a program that holds memory which it can't give back.
//!
//! A process keeps what its allocator has once got: blocks that live lie between blocks that don't. What no session of its own
//! needs goes with the process, and the next one begins with as little as the first.

use std::fs;
use std::io;

use rustix::process::{Signal, getppid, kill_process};

use crate::renew::supervises;

/// Bytes of memory that are this process's own: neither its program nor files.
pub fn own_memory() -> io::Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let found = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kilobytes = found.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    let missing = || io::Error::new(io::ErrorKind::InvalidData, "/proc/self/status has no line RssAnon");
    kilobytes.map(|kilobytes| kilobytes.saturating_mul(1024)).ok_or_else(missing)
}

/// Has the supervisor that started this process start the program once more, which takes over as after an upgrade. Returns
/// whether there is a supervisor.
pub fn ask_for_another() -> io::Result<bool> {
    match getppid().filter(|parent| supervises(*parent)) {
        Some(parent) => kill_process(parent, Signal::HUP).map(|()| true).map_err(Into::into),
        None => Ok(false),
    }
}
