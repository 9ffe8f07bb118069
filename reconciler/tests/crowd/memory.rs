//! Memory of the door and of everything that it runs.

use std::collections::HashMap;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// Bytes that a process and everything below it hold for themselves: pages of programs and libraries are shared, and don't count.
pub(crate) fn held_by(root: u32) -> u64 {
    let mut of = HashMap::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Ok(process) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
        let Ok(status) = fs::read_to_string(entry.path().join("status")) else { continue };
        let field = |name: &str| {
            let rest = status.lines().find_map(|line| line.strip_prefix(name))?;
            rest.split_whitespace().next()?.parse::<u64>().ok()
        };
        let parent = field("PPid:").and_then(|parent| u32::try_from(parent).ok()).unwrap_or_default();
        of.insert(process, (parent, field("RssAnon:").unwrap_or_default() * 1024));
    }
    let is_below = |mut process: u32| {
        while process != root {
            match of.get(&process) {
                Some((parent, _)) if *parent != process => process = *parent,
                _ => return false,
            }
        }
        true
    };
    of.iter().filter(|(process, _)| is_below(**process)).map(|(_, (_, bytes))| bytes).sum()
}

/// Does something, and returns the most that was held meanwhile.
pub(crate) fn peak<T>(root: u32, act: impl FnOnce() -> T) -> (T, u64) {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let watching = scope.spawn(|| {
            let mut most = 0;
            while !done.load(Ordering::Relaxed) {
                most = most.max(held_by(root));
                thread::sleep(Duration::from_millis(5));
            }
            most
        });
        let acted = act();
        done.store(true, Ordering::Relaxed);
        (acted, watching.join().unwrap())
    })
}
