//! Rings: the past of each server and of the host, in memory and files of a fixed size.
//!
//! A sample has its place by its time, so nothing has to be moved when samples are missed, when the clock jumps, or when a server stops
//! and comes back: what stands in a place and isn't of the time that is asked for is nothing. The last hour is in memory, 720 samples of
//! 36 bytes: 26 kB for a server, and 26 MB for a thousand, however often they start and stop. The whole past is in a file for each of
//! 116 kB ([`file`]), which is written once a minute.

mod file;
mod mean;
mod place;
mod slot;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;

use berth_wire::figures::{Sample, Span};
use jiff::Timestamp;

pub(super) use file::{Minute, Past, write};
use place::IN_MINUTE;
pub(super) use place::{Whose, step};
use slot::Slot;

/// Samples of the finest span that are in memory.
const KEPT: usize = Span::Hour.samples() as usize;

/// The rings of all servers and of the host.
#[derive(Debug, Default)]
pub(super) struct Rings {
    /// Folder of the files; `None` where there is none, and the past begins with the process.
    folder: Option<PathBuf>,
    /// Those that there are.
    known: BTreeSet<Whose>,
    /// Time of the newest samples.
    at: Option<Timestamp>,
    newest: HashMap<Whose, Sample>,
    of: BTreeMap<Whose, Ring>,
}

/// The last hour of one.
#[derive(Debug)]
struct Ring {
    slots: Box<[Slot]>,
    /// Minutes in a row at whose end it had no sample.
    idle: u32,
}

impl Ring {
    fn new() -> Self {
        Self { slots: vec![Slot::default(); KEPT].into(), idle: 0 }
    }

    fn put(&mut self, step: u32, sample: Sample) {
        if let Some(place) = self.slots.get_mut(index(step)) {
            *place = Slot::of(step, sample);
        }
    }

    fn at(&self, step: u32) -> Option<Sample> {
        self.slots.get(index(step))?.sample(step)
    }

    /// Samples of a minute, by its number.
    fn minute(&self, minute: u32) -> [Option<Sample>; IN_MINUTE as usize] {
        let first = minute.saturating_mul(IN_MINUTE);
        std::array::from_fn(|more| self.at(first.saturating_add(u32::try_from(more).unwrap_or_default())))
    }
}

/// Index of a sample of the finest span.
fn index(step: u32) -> usize {
    (step % Span::Hour.samples()) as usize
}

impl Rings {
    /// Rings whose past is in the files of this folder. Those of others than these are removed.
    pub(super) fn load(folder: PathBuf, known: BTreeSet<Whose>, at: Timestamp) -> Self {
        let mut rings = Self { folder: Some(folder.clone()), ..Self::default() };
        for whose in &known {
            let past = Past::of(folder.join(whose.file()));
            past.finish_hours(at);
            let hour = past.read(Span::Hour, at);
            if hour.iter().all(Option::is_none) {
                continue;
            }
            let ring = rings.of.entry(*whose).or_insert_with(Ring::new);
            let now = step(at, Span::Hour);
            for (back, sample) in (0_u32..).zip(hour.into_iter().rev()) {
                if let Some(sample) = sample {
                    ring.put(now.saturating_sub(back), sample);
                }
            }
        }
        rings.retain(known);
        rings
    }

    /// Forgets all others than these, with their files.
    pub(super) fn retain(&mut self, known: BTreeSet<Whose>) {
        if self.known == known {
            return;
        }
        self.of.retain(|whose, _| known.contains(whose));
        self.newest.retain(|whose, _| known.contains(whose));
        if let Some(folder) = &self.folder {
            file::clean_up(folder, &known);
        }
        self.known = known;
    }

    /// Adds the samples of one moment. Returns what there is to write by now, which is best done without a lock.
    pub(super) fn push(&mut self, at: Timestamp, samples: HashMap<Whose, Sample>) -> Vec<Minute> {
        let minutes = match self.at {
            Some(before) if step(before, Span::Day) != step(at, Span::Day) => {
                let ended = self.minutes(Some(at));
                self.drop_idle();
                ended
            }
            _ => Vec::new(),
        };
        let step = step(at, Span::Hour);
        for (whose, sample) in &samples {
            self.of.entry(*whose).or_insert_with(Ring::new).put(step, *sample);
        }
        (self.at, self.newest) = (Some(at), samples);
        minutes
    }

    /// Gives back the memory of rings in which nothing is left. Servers come back, and files keep their day and their month. That goes by
    /// minutes that were seen: a clock that jumps is no reason to forget anything.
    fn drop_idle(&mut self) {
        let newest = &self.newest;
        self.of.retain(|whose, ring| {
            ring.idle = if newest.contains_key(whose) { 0 } else { ring.idle + 1 };
            ring.idle <= Span::Hour.samples() / IN_MINUTE
        });
    }

    /// Returns what there is to write of the minute of the newest samples. With the time of the next ones, it says whether an hour has
    /// ended, too.
    pub(super) fn minutes(&self, next: Option<Timestamp>) -> Vec<Minute> {
        let Some(at) = self.at else { return Vec::new() };
        let minute = step(at, Span::Day);
        let ends_hour = next.is_some_and(|next| step(next, Span::Month) != step(at, Span::Month));
        let one = |(whose, ring): (&Whose, &Ring)| {
            let samples = ring.minute(minute);
            // Where nothing was sampled, the file has nothing to say of this minute either; but its hour may be over.
            (ends_hour || samples.iter().any(Option::is_some))
                .then(|| Some(Minute { path: self.path(*whose)?, minute, samples, ends_hour }))
                .flatten()
        };
        self.of.iter().filter_map(one).collect()
    }

    /// Path of a file.
    pub(super) fn path(&self, whose: Whose) -> Option<PathBuf> {
        Some(self.folder.as_ref()?.join(whose.file()))
    }

    /// Time of the newest samples; `None` before the first.
    pub(super) fn at(&self) -> Option<Timestamp> {
        self.at
    }

    /// The newest sample; `None` where it doesn't run.
    pub(super) fn newest(&self, whose: Whose) -> Option<Sample> {
        self.newest.get(&whose).copied()
    }

    /// Owners of the newest samples.
    pub(super) fn sampled(&self) -> impl Iterator<Item = Whose> {
        self.newest.keys().copied()
    }

    /// The last hour, the oldest sample first, from the first that there is.
    pub(super) fn hour(&self, whose: Whose) -> Vec<Option<Sample>> {
        let (Some(ring), Some(at)) = (self.of.get(&whose), self.at) else { return Vec::new() };
        let now = step(at, Span::Hour);
        let all = (0..Span::Hour.samples()).rev().map(|back| ring.at(now.saturating_sub(back)));
        trimmed(all.collect())
    }
}

/// Samples from the first that there is; none where there is none.
pub(super) fn trimmed(mut samples: Vec<Option<Sample>>) -> Vec<Option<Sample>> {
    let first = samples.iter().position(Option::is_some).unwrap_or(samples.len());
    samples.drain(..first);
    samples
}

#[cfg(test)]
#[path = "ring_tests.rs"]
mod tests;
