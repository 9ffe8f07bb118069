//! Memory of processes, looked at while something goes on.

use std::collections::BTreeSet;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::bounds::family;

/// Time between two looks.
const LOOK: Duration = Duration::from_millis(20);

/// Runs something, and returns besides the most bytes that these processes and all below them had resident at one moment. Shared
/// pages count for each process.
pub(crate) fn at_most<T>(roots: &[u32], act: impl FnOnce() -> T) -> (T, u64) {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut most = 0;
            while !over.load(Ordering::Relaxed) {
                let all: BTreeSet<u32> = roots.iter().flat_map(|root| family(*root)).collect();
                most = most.max(all.into_iter().filter_map(resident).sum());
                thread::sleep(LOOK);
            }
            most
        });
        let value = act();
        over.store(true, Ordering::Relaxed);
        (value, watcher.join().unwrap_or_default())
    })
}

/// Bytes that a process has resident; `None` when it is gone.
pub(crate) fn resident(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes * 1024)
}

/// Bytes in words.
pub(crate) fn words(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "a number to read")]
    let mebibytes = bytes as f64 / f64::from(1 << 20);
    format!("{mebibytes:.1} MiB")
}
