//! Failures of backups, left for [alarms](crate::command::alarms): each lasts until the same succeeds.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use berth_backup::{DrillRecord, DrillResult, PartResult, RunRecord};
use berth_schema::alarms::AlarmKind;
use berth_wire::trouble::{Trouble, Troubles};
use jiff::Timestamp;

/// Name of a run that came to nothing.
const RUN: &str = "backup/run";
/// Name of the last drill.
const DRILL: &str = "backup/drill";

/// Tells which parts of a run failed, and that the others didn't.
pub(super) fn tell(data: &Path, record: &RunRecord) {
    let troubles = Troubles::of(data);
    let mut named = BTreeSet::new();
    for part in &record.parts {
        let about = format!("backup/{}", part.part.tag());
        written(match &part.result {
            PartResult::Failed { error } => {
                troubles.tell(&failure(AlarmKind::Backup, &about, error, record.ended))
            }
            _ => troubles.is_over(AlarmKind::Backup, &about),
        });
        named.insert(about);
    }
    // What is no part of a whole run any more, such as a server that is gone, fails no more.
    let before = if record.whole { troubles.all().unwrap_or_default() } else { Vec::new() };
    for trouble in before {
        if trouble.kind == AlarmKind::Backup && !named.contains(&trouble.about) {
            written(troubles.is_over(trouble.kind, &trouble.about));
        }
    }
}

/// Tells that a run came to nothing.
pub(super) fn tell_failed(data: &Path, why: &str) {
    written(Troubles::of(data).tell(&failure(AlarmKind::Backup, RUN, why, Timestamp::now())));
}

/// Tells how the last drill ended.
pub(super) fn tell_drilled(data: &Path, record: &DrillRecord) {
    let troubles = Troubles::of(data);
    written(match &record.result {
        DrillResult::Failed { error } => {
            let why = format!("{}: {error}", record.name);
            troubles.tell(&failure(AlarmKind::Drill, DRILL, &why, record.began))
        }
        DrillResult::Passed { .. } => troubles.is_over(AlarmKind::Drill, DRILL),
    });
}

fn failure(kind: AlarmKind, about: &str, why: &str, since: Timestamp) -> Trouble {
    Trouble { kind, about: about.to_owned(), why: why.to_owned(), since }
}

/// The log tells of the failure, too.
fn written(told: io::Result<()>) {
    if let Err(error) = told {
        tracing::warn!(%error, "no alarm can tell of a backup");
    }
}

#[cfg(test)]
mod tests {
    use berth_backup::{Part, PartRecord};
    use berth_schema::name::ServerId;

    use super::*;

    fn run(whole: bool, parts: &[(Part, Option<&str>)]) -> RunRecord {
        let result = |error: Option<&str>| match error {
            Some(error) => PartResult::Failed { error: error.to_owned() },
            None => PartResult::Off,
        };
        let parts = parts.iter().map(|(part, error)| PartRecord {
            part: part.clone(),
            result: result(*error),
            millis: 1,
        });
        RunRecord {
            began: Timestamp::UNIX_EPOCH,
            ended: Timestamp::UNIX_EPOCH,
            whole,
            parts: parts.collect(),
        }
    }

    #[test]
    fn a_failure_lasts_until_the_same_succeeds_or_is_gone() {
        let home = tempfile::tempdir().unwrap();
        let told = || {
            let all = Troubles::of(home.path()).all().unwrap();
            all.into_iter().map(|trouble| trouble.about).collect::<Vec<_>>()
        };
        let shop = || Part::Server { id: ServerId(1.try_into().unwrap()), name: "shop".to_owned() };
        tell_failed(home.path(), "no network");
        tell(home.path(), &run(false, &[(shop(), Some("no room"))]));
        assert_eq!(told(), ["backup/run", "backup/server-1"], "one server's run says nothing of all");
        tell(home.path(), &run(true, &[(Part::Platform, Some("no room")), (shop(), None)]));
        assert_eq!(told(), ["backup/platform"]);
        tell(home.path(), &run(true, &[(Part::Tidy, None)]));
        assert_eq!(told(), Vec::<String>::new());
    }
}
