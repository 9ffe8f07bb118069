//! Rows of the tables. Each is told when it comes, too: the last table is minutes away then.

use super::process::Memory;
use crate::table;
use crate::times::Times;

/// Rows of the tables.
#[derive(Default)]
pub(super) struct Rows {
    /// Servers that those are about which come next.
    servers: usize,
    times: Vec<Vec<String>>,
    memory: Vec<Vec<String>>,
    bytes: Vec<Vec<String>>,
}

/// Times of one thing.
pub(super) struct Timed<'a> {
    pub(super) what: &'a str,
    pub(super) connections: usize,
    pub(super) taken: &'a Times,
    /// Times of the file that it is compared with.
    pub(super) bound: &'a Times,
    /// Processor time of each, in words.
    pub(super) each: Option<String>,
}

impl Rows {
    pub(super) fn of(servers: usize) -> Self {
        Self { servers, ..Self::default() }
    }

    pub(super) fn add(&mut self, mut others: Self) {
        self.times.append(&mut others.times);
        self.memory.append(&mut others.memory);
        self.bytes.append(&mut others.bytes);
    }

    pub(super) fn time(&mut self, timed: &Timed<'_>) {
        let Timed { what, connections, taken, bound, each } = timed;
        let worst = taken.below(0.99);
        self.times.push(self.row([
            (*what).to_owned(),
            connections.to_string(),
            taken.rounds().to_string(),
            taken.to_string(),
            format!("{:.1} ms", worst.as_secs_f64() * 1e3),
            format!("{:.1}", taken.ratio_to(bound)),
            format!("{:.1}", worst.as_secs_f64() / bound.below(0.99).as_secs_f64()),
            each.clone().unwrap_or_default(),
        ]));
        tell(self.times.last());
    }

    pub(super) fn remember(&mut self, when: &str, memory: [Memory; 3]) {
        let [panel, door, reconciler] = memory.map(Memory::told);
        self.memory.push(self.row([when.to_owned(), panel, door, reconciler]));
        tell(self.memory.last());
    }

    /// Remembers what one of so many takes that came between two looks.
    pub(super) fn share(&mut self, before: [Memory; 3], after: [Memory; 3], number: usize) {
        let mut row = self.row(["each of them".to_owned()]);
        row.extend(before.iter().zip(&after).map(|(before, after)| {
            let more = after.resident.saturating_sub(before.resident);
            format!("{:.1} KiB", more as f64 / number as f64)
        }));
        self.memory.push(row);
        tell(self.memory.last());
    }

    /// Remembers the bytes of a page alone, and with its style and scripts.
    pub(super) fn weigh(&mut self, path: &str, (alone, all): (usize, usize)) {
        self.bytes.push(self.row([format!("`{path}`"), alone.to_string(), all.to_string()]));
    }

    fn row<const N: usize>(&self, cells: [String; N]) -> Vec<String> {
        [self.servers.to_string()].into_iter().chain(cells).collect()
    }

    pub(super) fn print(&self, of: &str) {
        let head = [
            "servers",
            "what",
            "connections",
            "rounds",
            "median (range)",
            "p99",
            "× the file",
            "p99, ×",
            "panel + door + reconciler, each",
        ];
        table::print(&format!("(o) Pages, plans and commits{of}"), &head, &self.times);
        let head = ["servers", "when", "`berth-web`", "the door", "the reconciler"];
        table::print(&format!("(o) Resident memory (proportional){of}"), &head, &self.memory);
        let head = ["servers", "page", "bytes, compressed", "with style and scripts"];
        table::print(&format!("(o) Bytes of a page on its way{of}"), &head, &self.bytes);
    }
}

fn tell(row: Option<&Vec<String>>) {
    eprintln!("{}", row.map(|row| row.join(", ")).unwrap_or_default());
}
