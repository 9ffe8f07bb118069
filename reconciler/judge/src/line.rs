//! The line of those who move `main`, and of those who read the whole state: whoever waits in it is told their place.

use std::path::Path;
use std::time::{Duration, Instant};

use berth_repo::{Crowded, Error, Reading, Turn};
use berth_schema::name::Invalid;
use berth_schema::text::counted;

/// Time that a person at a terminal waits.
const PATIENCE: Duration = Duration::from_secs(300);
/// Time that whoever can't be told anything waits.
const SILENT: Duration = Duration::from_secs(30);
/// Number of those ahead from which on every change is told; of more, only when half of them are gone.
const NEAR: usize = 5;
/// Time after which somebody is told their place again, although it is the same.
const AGAIN: Duration = Duration::from_secs(30);

/// Somebody's way of waiting.
#[derive(Debug, Clone, Copy)]
pub struct Line {
    patience: Duration,
    tell: fn(&str),
}

/// Reason for which somebody has no turn.
#[derive(Debug, thiserror::Error)]
pub enum NoTurn {
    /// Others were ahead for too long.
    #[error("{what} {} still before yours after {} s, so nothing was changed", is_or_are(*ahead), after.as_secs())]
    Crowded {
        /// Those ahead, in words.
        what: String,
        /// Their number.
        ahead: usize,
        /// The time that was waited.
        after: Duration,
    },
    /// The line itself.
    #[error("cannot wait for a turn in the state repo")]
    Repo(#[from] Error),
}

/// Words for a change of `main`, and for a command that reads.
const CHANGE: &str = "change";
const COMMAND: &str = "command";

impl Line {
    /// A line in which somebody hears of their place by `tell`, a line at a time.
    pub const fn told(tell: fn(&str)) -> Self {
        Self { patience: PATIENCE, tell }
    }

    /// A line for somebody who can't be told anything meanwhile, and who doesn't wait as long.
    pub const fn silent() -> Self {
        Self { patience: SILENT, tell: |_| {} }
    }

    /// The same for another time.
    #[must_use]
    pub const fn for_at_most(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// The longest that somebody waits.
    pub const fn patience(self) -> Duration {
        self.patience
    }

    /// Says something to whoever waits.
    pub fn say(self, text: &str) {
        (self.tell)(text);
    }

    /// Waits for the turn to move `main` of the repository with this git folder.
    pub fn to_main(self, git_dir: &Path) -> Result<Turn, NoTurn> {
        let mut places = Places::of(CHANGE);
        let taken = Turn::take(git_dir, self.patience, |ahead| self.hear(&mut places, ahead))?;
        taken.map_err(|crowded| self.crowded(CHANGE, crowded))
    }

    /// Waits for a place among those who read the whole state.
    pub fn to_read(self, git_dir: &Path) -> Result<Reading, NoTurn> {
        let mut places = Places::of(COMMAND);
        let taken = Reading::take(git_dir, self.patience, |ahead| self.hear(&mut places, ahead))?;
        taken.map_err(|crowded| self.crowded(COMMAND, crowded))
    }

    fn hear(self, places: &mut Places, ahead: usize) {
        if let Some(line) = places.line(ahead, Instant::now()) {
            self.say(&line);
        }
    }

    fn crowded(self, noun: &str, Crowded { ahead }: Crowded) -> NoTurn {
        NoTurn::Crowded { what: counted(ahead, noun), ahead, after: self.patience }
    }
}

impl NoTurn {
    /// The same as a finding's message and hint.
    pub fn in_words(&self) -> Invalid {
        Invalid::new(self.to_string(), "try again in a moment")
    }
}

/// The places in line that somebody was told.
struct Places {
    noun: &'static str,
    told: Option<(usize, Instant)>,
}

impl Places {
    fn of(noun: &'static str) -> Self {
        Self { noun, told: None }
    }

    /// Returns the line to tell when so many are ahead; `None` where it would say little new.
    fn line(&mut self, ahead: usize, now: Instant) -> Option<String> {
        let is_new = match self.told {
            None => true,
            Some((told, at)) => {
                let moved = ahead != told && (ahead <= NEAR || ahead * 2 <= told);
                moved || now.duration_since(at) >= AGAIN
            }
        };
        is_new.then(|| {
            self.told = Some((ahead, now));
            let what = counted(ahead, self.noun);
            format!("Waiting: {what} {} before yours.", is_or_are(ahead))
        })
    }
}

fn is_or_are(number: usize) -> &'static str {
    if number == 1 { "is" } else { "are" }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

    use super::*;

    #[test]
    fn a_place_is_told_at_once_and_when_it_changes_and_in_few_lines() {
        let start = Instant::now();
        let mut places = Places::of(CHANGE);
        let told: Vec<usize> = (1..=200).rev().filter(|ahead| places.line(*ahead, start).is_some()).collect();
        assert_eq!(told, [200, 100, 50, 25, 12, 6, 5, 4, 3, 2, 1]);
        assert_eq!(places.line(1, start), None);
        let line = places.line(1, start + AGAIN).unwrap();
        assert_eq!(line, "Waiting: 1 change is before yours.");
    }

    #[test]
    fn whoever_waits_too_long_hears_why_and_what_next() {
        let folder = tempfile::tempdir().unwrap();
        let line = Line::silent().for_at_most(Duration::ZERO);
        let turn = line.to_main(folder.path()).unwrap();
        let refused = line.to_main(folder.path()).unwrap_err().in_words();
        assert_eq!(refused.message, "1 change is still before yours after 0 s, so nothing was changed");
        assert_eq!(refused.hint, "try again in a moment");
        drop(turn);
        line.to_main(folder.path()).unwrap();
        // Some read at once, and the others wait.
        let reading: Vec<_> = (0..3).map(|_| line.to_read(folder.path()).unwrap()).collect();
        let refused = line.to_read(folder.path()).unwrap_err().to_string();
        assert_eq!(refused, "1 command is still before yours after 0 s, so nothing was changed");
        drop(reading);
        line.to_read(folder.path()).unwrap();
    }
}
