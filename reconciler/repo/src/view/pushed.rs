//! Bytes that a member's pushes brought of late: nobody fills the host's disk push by push.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use berth_schema::name::Invalid;

/// The most that a member's pushes may bring within [`A_WHILE`], as git packs it. A state file is a page of text.
const MOST: u64 = 64 << 20;
/// Time after which a push counts no more: a day.
const A_WHILE: Duration = Duration::from_secs(24 * 3600);

/// The pushes of a member within the last day. It is kept in a file, a line for each: seconds since 1970, bytes.
#[derive(Debug)]
pub(super) struct Pushed {
    path: PathBuf,
    now: u64,
    before: Vec<(u64, u64)>,
    /// Bytes of the push in hand.
    bytes: u64,
}

impl Pushed {
    /// Reads what is kept at `path`. `quarantine` holds the objects of the push in hand.
    pub(super) fn read(path: PathBuf, quarantine: Option<&Path>, now: SystemTime) -> io::Result<Self> {
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error),
        };
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let counts = |at: u64| at.saturating_add(A_WHILE.as_secs()) > now;
        // What isn't a line of ours counts for nothing: the file may be lost as well.
        let line = |line: &str| {
            let (at, bytes) = line.split_once(' ')?;
            Some((at.parse().ok()?, bytes.parse().ok()?))
        };
        let before = text.lines().filter_map(line).filter(|(at, _)| counts(*at)).collect();
        let bytes = quarantine.map(size).transpose()?.unwrap_or_default();
        Ok(Self { path, now, before, bytes })
    }

    /// Says why the push in hand is too much; `None` where it isn't. In the hint, `{help}` stands for whom the member asks.
    pub(super) fn too_much(&self) -> Option<Invalid> {
        let before: u64 = self.before.iter().map(|(_, bytes)| bytes).sum();
        if before.saturating_add(self.bytes) <= MOST {
            return None;
        }
        let mib = |bytes: u64| bytes.div_ceil(1 << 20);
        let message = format!(
            "this push brings {} MiB, your pushes of the last 24 hours brought {} MiB, and {} MiB is the most that a member may \
             push in that time",
            mib(self.bytes),
            mib(before),
            mib(MOST)
        );
        let hint = match self.hours_until_it_fits() {
            Some(hours) => format!("try again in {hours} h, or ask {{help}} to push it"),
            None => "push less at once, or ask {help} to push it".to_owned(),
        };
        Some(Invalid::new(message, hint))
    }

    /// Hours after which enough of the pushes before count no more.
    fn hours_until_it_fits(&self) -> Option<u64> {
        let mut rest: u64 = self.before.iter().map(|(_, bytes)| bytes).sum();
        self.before.iter().find_map(|(at, bytes)| {
            rest = rest.saturating_sub(*bytes);
            let end = at.saturating_add(A_WHILE.as_secs());
            (rest.saturating_add(self.bytes) <= MOST).then(|| end.saturating_sub(self.now).div_ceil(3600))
        })
    }

    /// Counts the push in hand.
    pub(super) fn count(&self) -> io::Result<()> {
        let lines: String = self.before.iter().map(|(at, bytes)| format!("{at} {bytes}\n")).collect();
        let text = format!("{lines}{} {}\n", self.now, self.bytes);
        berth_host::file::replace_for_now(&self.path, text.as_bytes(), 0o600)
    }
}

/// Bytes of the files in a folder of objects. Git makes no links there.
fn size(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            match entry.file_type()? {
                kind if kind.is_dir() => folders.push(entry.path()),
                _ => bytes += entry.metadata()?.len(),
            }
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn pushes_of_a_day_are_counted_together() {
        let folder = tempfile::tempdir().unwrap();
        let (path, quarantine) = (folder.path().join("bob.pushed"), folder.path().join("objects"));
        fs::create_dir_all(quarantine.join("pack")).unwrap();
        let fill =
            |mib: u64| fs::File::create(quarantine.join("pack/a.pack")).unwrap().set_len(mib * MIB).unwrap();
        let hour = |hour: u64| UNIX_EPOCH + Duration::from_secs(1_000_000 + hour * 3600);
        let read = |at| Pushed::read(path.clone(), Some(&quarantine), at).unwrap();
        for (at, mib) in [(0, 30), (2, 20), (3, 10)] {
            fill(mib);
            assert!(read(hour(at)).too_much().is_none());
            read(hour(at)).count().unwrap();
        }
        fill(5);
        let Some(invalid) = read(hour(4)).too_much() else { panic!("65 of 64") };
        assert!(
            invalid
                .message
                .starts_with("this push brings 5 MiB, your pushes of the last 24 hours brought 60 MiB")
        );
        assert_eq!(invalid.hint, "try again in 20 h, or ask {help} to push it");
        assert!(read(hour(24)).too_much().is_none(), "the first one is a day old");
        fill(65);
        assert_eq!(read(hour(100)).too_much().unwrap().hint, "push less at once, or ask {help} to push it");
        // What was lost or spoiled locks nobody out.
        fs::write(&path, "x\n\n1 2 3\n").unwrap();
        fill(64);
        assert!(read(hour(4)).too_much().is_none());
        assert!(Pushed::read(path.clone(), None, hour(4)).unwrap().too_much().is_none());
    }
}
