//! Counts in a file: left by the process that counts, and read as a stranger's.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::counts::{Counts, Times, now};
use crate::series::{Counted, Timed};

/// Time from one writing to the next.
const EVERY: Duration = Duration::from_secs(5);
/// The longest file that is read, in bytes. One of all series is less than half as long.
const LONGEST: u64 = 16 << 10;

/// Place of a process's counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left(PathBuf);

/// The file's content. Names that this build doesn't know are passed over: another build may have written it.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Text {
    counted: BTreeMap<String, u64>,
    timed: BTreeMap<String, TextTimes>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct TextTimes {
    buckets: Vec<u64>,
    micros: u64,
}

impl Left {
    /// Counts in the file at `path`.
    pub fn at(path: PathBuf) -> Self {
        Self(path)
    }

    /// Path of the file.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Reads what was left. Nothing was where the file isn't there, is too long, or makes no sense.
    pub fn read(&self) -> Counts {
        let read = berth_host::file::read_foreign(&self.0, LONGEST).ok();
        read.and_then(|bytes| Counts::of_text(&String::from_utf8_lossy(&bytes))).unwrap_or_default()
    }

    /// Leaves these. They need not outlive the machine's next start.
    pub fn write(&self, counts: &Counts) -> io::Result<()> {
        berth_host::file::replace_for_now(&self.0, counts.text().as_bytes(), 0o644)
    }
}

impl Counts {
    /// Text of them, in which they go from one process to another.
    pub fn text(&self) -> String {
        serde_json::to_string(&Text::of(self)).unwrap_or_default()
    }

    /// Reads such a text; `None` where it is none.
    pub fn of_text(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok().map(|text: Text| text.counts())
    }
}

impl Text {
    fn of(counts: &Counts) -> Self {
        let counted = Counted::ALL.iter().map(|one| (one.key().to_owned(), counts.of(*one)));
        let timed = Timed::ALL.iter().zip(counts.timed).map(|(one, times)| {
            let Times { buckets, micros } = times;
            (one.key().to_owned(), TextTimes { buckets: buckets.to_vec(), micros })
        });
        Self {
            counted: counted.filter(|(_, number)| *number > 0).collect(),
            timed: timed.filter(|(_, times)| times.buckets.iter().any(|number| *number > 0)).collect(),
        }
    }

    fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for (one, number) in Counted::ALL.iter().zip(&mut counts.counted) {
            *number = self.counted.get(one.key()).copied().unwrap_or_default();
        }
        for (one, times) in Timed::ALL.iter().zip(&mut counts.timed) {
            let Some(text) = self.timed.get(one.key()) else { continue };
            // Other bounds are another build's.
            if let Ok(buckets) = text.buckets.as_slice().try_into() {
                *times = Times { buckets, micros: text.micros };
            }
        }
        counts
    }
}

/// Leaves this process's counts in the file again and again, forever; a file that is right already stays.
pub async fn keep(left: Left) {
    let (mut told, mut failing) = (Counts::default(), false);
    let mut clock = tokio::time::interval(EVERY);
    clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        clock.tick().await;
        let counts = now();
        if counts == told {
            continue;
        }
        let (place, next) = (left.clone(), counts.clone());
        let written = tokio::task::spawn_blocking(move || place.write(&next)).await;
        match written.map_err(io::Error::other).flatten() {
            Ok(()) => (told, failing) = (counts, false),
            Err(error) if !failing => {
                tracing::warn!(path = %left.path().display(), %error, "nobody can be told what was counted");
                failing = true;
            }
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn some() -> Counts {
        let mut counts = Counts::default();
        counts.counted[Counted::PanelLogin as usize] = 7;
        counts.timed[Timed::Push as usize].buckets[10] = 1;
        counts.timed[Timed::Push as usize].micros = 5;
        counts
    }

    #[test]
    fn what_was_left_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let left = Left::at(folder.path().join("counts.json"));
        assert!(left.read().is_empty());
        left.write(&some()).unwrap();
        assert_eq!(left.read(), some());
        assert_eq!(
            fs::read_to_string(left.path()).unwrap(),
            r#"{"counted":{"PanelLogin":7},"timed":{"Push":{"buckets":[0,0,0,0,0,0,0,0,0,0,1],"micros":5}}}"#
        );
        // The largest that there can be.
        let most = Counts {
            counted: [u64::MAX; Counted::ALL.len()],
            timed: [Times { buckets: [u64::MAX; 11], micros: u64::MAX }; Timed::ALL.len()],
        };
        left.write(&most).unwrap();
        assert!(fs::metadata(left.path()).unwrap().len() < LONGEST / 2);
        assert_eq!(left.read(), most);
    }

    #[test]
    fn a_file_of_a_stranger_s_does_no_harm() {
        let folder = tempfile::tempdir().unwrap();
        let left = Left::at(folder.path().join("counts.json"));
        let outside = folder.path().join("secret");
        Left::at(outside.clone()).write(&some()).unwrap();
        symlink(&outside, left.path()).unwrap();
        assert!(left.read().is_empty(), "a link isn't followed");
        fs::remove_file(left.path()).unwrap();
        for text in [
            "",
            "{",
            "[]",
            r#"{"counted":{"PanelLogin":-1}}"#,
            r#"{"timed":{"Push":{"buckets":[1,2],"micros":1}}}"#,
            &format!("{{\"counted\":{{\"{}\":1}}}}", "x".repeat(20_000)),
        ] {
            fs::write(left.path(), text).unwrap();
            assert!(left.read().is_empty(), "{text}");
        }
        // Half of it is another build's.
        fs::write(left.path(), r#"{"counted":{"PanelLogin":7,"Other":3},"more":1}"#).unwrap();
        assert_eq!(left.read().of(Counted::PanelLogin), 7);
    }
}
