//! Shares: takes all of a kind for the attacker, has the neighbour ask for a few, and lets go.
//!
//! The hog is a program whose standard input is held here: it ends when that does, so nothing stays taken, whatever becomes
//! of the doctor.

use std::fmt;
use std::time::{Duration, Instant};

use crate::attempt::Expected;
use crate::canary::Root;
use crate::error::DoctorError;
use crate::kind::Kind;
use crate::report::Verdict;

/// As many as the neighbour asks for.
const FEW: u32 = 3;
/// The kernel's words for a call that servers don't have.
const NOT_THERE: &str = "Function not implemented";
/// Time in which the kernel has taken back what was let go: some of it goes in the background.
const TAKEN_BACK: Duration = Duration::from_secs(10);

/// Result of asking for a number of things.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Got {
    number: u32,
    /// The kernel's reason for refusing the next one; `None` when it didn't.
    refusal: Option<String>,
}

impl Got {
    /// Reads the program's line.
    fn read(said: &str) -> Option<Self> {
        let line = said.lines().find_map(|line| line.strip_prefix("got "))?;
        let (number, why) = line.split_once(' ')?;
        Some(Self { number: number.parse().ok()?, refusal: (why != "enough").then(|| why.to_owned()) })
    }
}

/// The shares of the attacker and of its neighbour, who asked while the attacker held its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Share {
    kind: Kind,
    attacker: Got,
    /// `None` when no program could be started in the neighbour.
    neighbour: Option<Got>,
}

impl Share {
    /// Judges it by the result that it must have.
    pub(crate) fn verdict(&self, expected: Expected) -> Verdict {
        let refused = self.attacker.refusal.is_some();
        // What nobody has can't be taken from anybody.
        if let Some(refusal) = self.absence() {
            return Verdict::Limited(format!("nobody gets any ({refusal})"));
        }
        if self.attacker.number == 0 {
            return Verdict::CouldNot(self.to_string());
        }
        match expected {
            // One count that isn't full yet is still one count.
            Expected::Shared if self.lacks() || !refused => Verdict::Shared(self.to_string()),
            Expected::Shared => Verdict::Limited(self.to_string()),
            _ if self.lacks() => Verdict::Through(self.to_string()),
            // Of these a server may have as many as its memory holds.
            _ if !refused && self.kind != Kind::EpollWatches => Verdict::CouldNot(self.to_string()),
            _ => Verdict::Limited(self.to_string()),
        }
    }

    /// Returns whether the neighbour got less than it asked for.
    fn lacks(&self) -> bool {
        self.neighbour.as_ref().is_none_or(|got| got.number < FEW)
    }

    /// Returns the kernel's words where servers get none of the kind at all.
    fn absence(&self) -> Option<&str> {
        let refusal = self.attacker.refusal.as_deref()?;
        (self.attacker.number == 0 && refusal == NOT_THERE).then_some(refusal)
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Got { number, refusal } = &self.attacker;
        match (number, refusal) {
            (0, Some(refusal)) => write!(f, "the attacker got none ({refusal})")?,
            (_, Some(_)) => write!(f, "the attacker got {number}")?,
            (_, None) => write!(f, "the attacker got {number} and was not refused")?,
        }
        match &self.neighbour {
            None => f.write_str(", and nothing could be started in the neighbour"),
            Some(Got { number: 0, .. }) => f.write_str(", the neighbour none"),
            Some(Got { number, .. }) => write!(f, ", the neighbour {number} of {FEW}"),
        }
    }
}

/// Takes all of a kind, asks, and lets go.
pub(crate) async fn take(kind: Kind, attacker: &Root, neighbour: &Root) -> Result<Share, DoctorError> {
    let hog = attacker.hold(&["hold", kind.word(), &kind.most().to_string()]).await?;
    let got = Got::read(&hog.said);
    let beside = ask(kind, neighbour).await;
    let said = attacker.release(hog).await?;
    let attacker = got.ok_or(DoctorError::Mute { kind, said })?;
    let share = Share { kind, attacker, neighbour: beside.ok() };
    if share.lacks() && share.absence().is_none() {
        gets_few_alone(kind, neighbour).await?;
    }
    Ok(share)
}

/// Checks that the neighbour gets a few while nobody holds any: else it wasn't the attacker who took them.
async fn gets_few_alone(kind: Kind, neighbour: &Root) -> Result<(), DoctorError> {
    let until = Instant::now() + TAKEN_BACK;
    while ask(kind, neighbour).await?.number < FEW {
        if Instant::now() > until {
            return Err(DoctorError::Lacks { kind });
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

async fn ask(kind: Kind, neighbour: &Root) -> Result<Got, DoctorError> {
    let said = neighbour.send(&["hold", kind.word(), &FEW.to_string()], b"\n").await?;
    Got::read(&said).ok_or(DoctorError::Mute { kind, said })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(kind: Kind, attacker: &str, neighbour: &str, expected: Expected) -> Verdict {
        let attacker = Got::read(attacker).expect("a line");
        Share { kind, attacker, neighbour: Got::read(neighbour) }.verdict(expected)
    }

    #[test]
    fn a_neighbour_that_lacks_what_is_its_own_was_robbed() {
        let of = |attacker, neighbour| verdict(Kind::Timers, attacker, neighbour, Expected::Limited);
        let all = "got 128 Too many open files";
        assert!(matches!(of(all, "got 3 enough"), Verdict::Limited(_)));
        assert!(matches!(of(all, "got 2 Too many open files"), Verdict::Through(_)));
        let nothing = "the attacker got 128, and nothing could be started in the neighbour";
        assert_eq!(of(all, "no answer"), Verdict::Through(nothing.to_owned()));
        assert!(matches!(of("got 1000000 enough", "got 3 enough"), Verdict::CouldNot(_)), "nothing was full");
        assert!(matches!(of("got 0 Permission denied", "got 3 enough"), Verdict::CouldNot(_)));
        let absent = "got 0 Function not implemented";
        assert!(matches!(of(absent, absent), Verdict::Limited(_)), "there is nothing to be robbed of");
    }

    #[test]
    fn what_is_known_to_be_shared_is_no_hole() {
        let of = |attacker, neighbour| verdict(Kind::Pipes, attacker, neighbour, Expected::Shared);
        assert!(matches!(of("got 1024 less than asked for", "got 0 less"), Verdict::Shared(_)));
        assert!(matches!(of("got 1000000 enough", "got 3 enough"), Verdict::Shared(_)));
        assert!(matches!(of("got 1024 less than asked for", "got 3 enough"), Verdict::Limited(_)));
    }

    #[test]
    fn watches_of_epoll_may_have_no_limit_but_memory() {
        let of = |neighbour| verdict(Kind::EpollWatches, "got 300000 enough", neighbour, Expected::Limited);
        assert!(matches!(of("got 3 enough"), Verdict::Limited(_)));
        assert!(matches!(of("got 0 No space left on device"), Verdict::Through(_)));
    }
}
