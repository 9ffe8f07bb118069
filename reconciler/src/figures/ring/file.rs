//! The past of one in a file: a line that says what it is, and the places of an hour, of a day and of a month.
//!
//! Its length never changes. A sample that was half written, or is of another time than its place says, is none, so a loss of power costs
//! what was being written, and a clock that jumps costs what it wrote over. A file that is something else is made anew.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use berth_wire::figures::{Sample, Span};
use jiff::Timestamp;

use super::mean::mean;
use super::place::{IN_MINUTE, Whose, step};
use super::slot::{self, Slot};

/// First bytes of a file.
const HEAD: &[u8; 32] = b"berth figures 1, 5 s, 60 s, 1 h\n";
/// Length of a file.
pub(super) const LENGTH: u64 = offset(Span::Month, 0) + slot::BYTES as u64 * Span::Month.samples() as u64;
/// Hours back in which one is looked for that wasn't finished, since the process was away at its end.
const HOURS_BACK: u32 = 24;
/// Minutes of an hour.
const IN_HOUR: u32 = Span::Month.every() / Span::Day.every();

/// Place of a sample in the file.
const fn offset(span: Span, step: u32) -> u64 {
    let before = match span {
        Span::Hour => 0,
        Span::Day => Span::Hour.samples(),
        Span::Month => Span::Hour.samples() + Span::Day.samples(),
    };
    HEAD.len() as u64 + slot::BYTES as u64 * (before + step % span.samples()) as u64
}

/// A minute of one's, which has ended or is being left, to be written.
#[derive(Debug)]
pub(in super::super) struct Minute {
    pub(super) path: PathBuf,
    pub(super) minute: u32,
    pub(super) samples: [Option<Sample>; IN_MINUTE as usize],
    /// Set if its hour has ended, too.
    pub(super) ends_hour: bool,
}

impl Minute {
    /// Writes it.
    pub(in super::super) fn write(self) -> io::Result<()> {
        let file = open(&self.path)?;
        let first = self.minute.saturating_mul(IN_MINUTE);
        let slots = (first..)
            .zip(self.samples)
            .map(|(step, sample)| sample.map(|sample| Slot::of(step, sample)).unwrap_or_default());
        let bytes: Vec<u8> = slots.flat_map(|slot| slot.bytes()).collect();
        file.write_all_at(&bytes, offset(Span::Hour, first))?;
        if let Some(mean) = mean(&self.samples) {
            put(&file, Span::Day, self.minute, mean)?;
        }
        if self.ends_hour {
            finish_hour(&file, self.minute / IN_HOUR)?;
        }
        Ok(())
    }
}

fn put(file: &File, span: Span, step: u32, sample: Sample) -> io::Result<()> {
    file.write_all_at(&Slot::of(step, sample).bytes(), offset(span, step))
}

/// Makes the sample of an hour of those of its minutes.
fn finish_hour(file: &File, hour: u32) -> io::Result<()> {
    let first = hour.saturating_mul(IN_HOUR);
    match mean(&read_slots(file, Span::Day, first, IN_HOUR)?) {
        Some(mean) => put(file, Span::Month, hour, mean),
        None => Ok(()),
    }
}

/// Opens a file, which is made where there is none, or something else.
fn open(path: &Path) -> io::Result<File> {
    let file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    if !is_ours(&file)? {
        file.set_len(0)?;
        file.write_all_at(HEAD, 0)?;
        file.set_len(LENGTH)?;
    }
    Ok(file)
}

fn is_ours(file: &File) -> io::Result<bool> {
    let mut head = [0; HEAD.len()];
    Ok(file.metadata()?.len() == LENGTH && file.read_exact_at(&mut head, 0).is_ok() && head == *HEAD)
}

/// Reads `count` samples from `first` on, which mustn't be more than the span has.
fn read_slots(file: &File, span: Span, first: u32, count: u32) -> io::Result<Vec<Option<Sample>>> {
    // They may go on at the beginning of the span's places.
    let to_end = count.min(span.samples() - first % span.samples());
    let mut samples = read_row(file, span, first, to_end)?;
    if to_end < count {
        samples.extend(read_row(file, span, first.saturating_add(to_end), count - to_end)?);
    }
    Ok(samples)
}

/// Reads samples that lie in a row.
fn read_row(file: &File, span: Span, first: u32, count: u32) -> io::Result<Vec<Option<Sample>>> {
    let mut bytes = vec![0; slot::BYTES * count as usize];
    file.read_exact_at(&mut bytes, offset(span, first))?;
    let slots = bytes.chunks_exact(slot::BYTES).map(Slot::read);
    Ok((first..).zip(slots).map(|(step, slot)| slot.sample(step)).collect())
}

/// The past of one, as its file has it.
#[derive(Debug, Clone)]
pub(in super::super) struct Past(PathBuf);

impl Past {
    pub(in super::super) fn of(path: PathBuf) -> Self {
        Self(path)
    }

    /// Reads the samples of a span up to this time, all of them. What can't be read is nothing.
    pub(in super::super) fn read(&self, span: Span, at: Timestamp) -> Vec<Option<Sample>> {
        let now = step(at, span);
        let first = (now + 1).saturating_sub(span.samples());
        let read = || {
            let file = File::open(&self.0).ok()?;
            is_ours(&file).ok().filter(|is| *is)?;
            read_slots(&file, span, first, span.samples()).ok()
        };
        read().unwrap_or_default()
    }

    /// Finishes hours at whose end nobody was there to do it.
    pub(super) fn finish_hours(&self, at: Timestamp) {
        let months = self.read(Span::Month, at);
        let now = step(at, Span::Month);
        let lacks = |back: &u32| {
            let place = months.len().checked_sub(1 + *back as usize);
            place.and_then(|place| months.get(place)).is_some_and(Option::is_none)
        };
        let Ok(file) = OpenOptions::new().read(true).write(true).open(&self.0) else { return };
        for back in (1..=HOURS_BACK).filter(lacks) {
            if let Err(error) = finish_hour(&file, now.saturating_sub(back)) {
                tracing::warn!(path = %self.0.display(), %error, "an hour of figures can't be kept");
                return;
            }
        }
    }
}

/// Removes the files of others than these.
pub(super) fn clean_up(folder: &Path, known: &BTreeSet<Whose>) {
    let wanted: BTreeSet<String> = known.iter().map(|whose| whose.file()).collect();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let (name, path) = (entry.file_name().to_string_lossy().into_owned(), entry.path());
        if !name.ends_with(".ring") || wanted.contains(&name) {
            continue;
        }
        if let Err(error) = fs::remove_file(&path) {
            tracing::warn!(path = %path.display(), %error, "figures of a server that is gone can't be removed");
        }
    }
}

/// Writes minutes. A past that can't be kept is told once, and costs the next restart its charts.
pub(in super::super) fn write(minutes: Vec<Minute>, failing: &mut bool) {
    // Each is written, whatever became of the others.
    let failed = minutes.into_iter().fold(None, |failed, minute| minute.write().err().or(failed));
    match failed {
        Some(error) if !*failing => {
            tracing::warn!(%error, "the figures can't be kept; a restart will lose the past");
            *failing = true;
        }
        Some(_) => {}
        None => *failing = false,
    }
}
