//! Measures of the router's process: memory, overflow, and a transfer that stands still.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::time::Duration;

use crate::harness::{Place, await_that};

/// Interval of the looks at a transfer that may stand still.
const LOOK: Duration = Duration::from_millis(20);
/// Looks in a row that find the same before a transfer counts as standing still.
const LOOKS: usize = 20;

/// Bytes of the router's files that have no name: the overflow of its channels.
pub(crate) fn on_disk(place: &Place) -> u64 {
    overflows(place).iter().sum()
}

/// Returns the size of every overflow file that holds something.
pub(crate) fn overflows(place: &Place) -> Vec<u64> {
    let folder = format!("/proc/{}/fd", place.router.0.id());
    let files = fs::read_dir(folder).unwrap().flatten().filter(|file| {
        let target = fs::read_link(file.path()).unwrap_or_default();
        target.starts_with(place.folder.path()) && target.to_string_lossy().ends_with(" (deleted)")
    });
    // One may be closed meanwhile.
    let sizes = files.filter_map(|file| fs::metadata(file.path()).ok()).map(|file| file.blocks() * 512);
    sizes.filter(|size| *size > 0).collect()
}

/// Waits until so many directions of channels have overflowed: their receivers take nothing, and memory is full.
pub(crate) fn await_overflow(place: &Place, directions: usize) {
    await_that("data on disk", || overflows(place).len() >= directions);
}

/// Waits until a number has grown so far, for as long as it grows.
pub(crate) fn await_growth(what: &str, to: u64, number: impl Fn() -> u64) {
    let mut reached = 0;
    while reached < to {
        let before = reached;
        await_that(what, || {
            reached = number();
            reached > before || reached >= to
        });
    }
}

/// Waits until a number that has grown beyond `from` stands still, look after look.
pub(crate) fn await_standstill(what: &str, from: u64, number: impl Fn() -> u64) {
    let (mut last, mut looks) = (from, 0);
    await_that(what, || {
        std::thread::sleep(LOOK);
        let now = number();
        looks = if now == last && now > from { looks + 1 } else { 0 };
        last = now;
        looks >= LOOKS
    });
}

/// Resident bytes of the router.
pub(crate) fn memory_of(place: &Place) -> u64 {
    bytes_of(place, "VmRSS:")
}

/// Most resident bytes that the router ever had.
pub(crate) fn most_memory_of(place: &Place) -> u64 {
    bytes_of(place, "VmHWM:")
}

fn bytes_of(place: &Place, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", place.router.0.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() << 10
}
