//! A process's memory and processor time, as the kernel counts them.

use std::fs;
use std::time::Duration;

use anyhow::Context as _;

/// Memory of a process, in kilobytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Memory {
    /// Resident: with what it shares with others.
    pub(super) resident: u64,
    /// Its share: of what several processes have, each has a part.
    pub(super) share: u64,
}

impl Memory {
    pub(super) fn of(pid: u32) -> anyhow::Result<Self> {
        let path = format!("/proc/{pid}/smaps_rollup");
        let text = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
        let find = |name: &str| -> anyhow::Result<u64> {
            let line = text.lines().find_map(|line| line.strip_prefix(name)).context("no memory")?;
            Ok(line.trim().trim_end_matches(" kB").parse()?)
        };
        Ok(Self { resident: find("Rss:")?, share: find("Pss:")? })
    }

    /// `12.3 MiB (10.1)`
    pub(super) fn told(self) -> String {
        let mebibytes = |kilobytes: u64| kilobytes as f64 / 1024.0;
        format!("{:.1} MiB ({:.1})", mebibytes(self.resident), mebibytes(self.share))
    }
}

/// Processor time of the panel, the door and the reconciler, of user and kernel.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Spent([Duration; 3]);

impl Spent {
    /// Time that processes have taken so far.
    pub(super) fn of(pids: [u32; 3]) -> anyhow::Result<Self> {
        let [panel, door, reconciler] = pids;
        Ok(Self([taken(panel)?, taken(door)?, taken(reconciler)?]))
    }

    pub(super) fn since(self, before: Self) -> Self {
        let [panel, door, reconciler] = self.0;
        let [then_panel, then_door, then_reconciler] = before.0;
        Self([
            panel.saturating_sub(then_panel),
            door.saturating_sub(then_door),
            reconciler.saturating_sub(then_reconciler),
        ])
    }

    pub(super) fn add(&mut self, more: Self) {
        for (all, more) in self.0.iter_mut().zip(more.0) {
            *all += more;
        }
    }

    /// `1.20 + 0.40 + 0.00 ms`: the time for each of so many.
    pub(super) fn told(self, number: usize) -> String {
        let each = self.0.map(|taken| format!("{:.2}", taken.as_secs_f64() * 1e3 / number as f64));
        format!("{} ms", each.join(" + "))
    }
}

fn taken(pid: u32) -> anyhow::Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name is in brackets and may hold anything; the times are the 14th and the 15th word.
    let words = stat.rsplit_once(')').context("no process")?.1.split_whitespace();
    let ticks = words.skip(11).take(2).map(str::parse::<u64>).sum::<Result<u64, _>>()?;
    Ok(Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64))
}

/// Load of the machine: the runnable processes of the last minute, on average.
pub(super) fn load() -> anyhow::Result<String> {
    let text = fs::read_to_string("/proc/loadavg")?;
    Ok(text.split(' ').next().unwrap_or_default().to_owned())
}
