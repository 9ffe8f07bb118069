//! The last backup and the last drill in `berth status`.

use berth_backup::{Drills, Runs};
use berth_repo::StateRepo;
use berth_schema::text::safe_line;

use crate::command::backup::{drilled, told};
use crate::settings::Settings;
use crate::source;

/// Lines on the last backup of everything and the last drill, where `main` has backups.
pub(super) fn lines(settings: &Settings) -> Vec<String> {
    let platform = StateRepo::open(&settings.state).ok().and_then(|repo| source::platform(&repo));
    if platform.is_none_or(|platform| platform.backup.is_none()) {
        return Vec::new();
    }
    let folder = settings.data.join(berth_backup::FOLDER);
    let read = Runs::of(&folder).all().and_then(|runs| Ok((runs, Drills::of(&folder).all()?)));
    match read {
        Ok((runs, drills)) => {
            let mut lines = match runs.iter().rev().find(|run| run.whole) {
                Some(run) => told(run),
                None => vec!["There is no backup of everything yet.".to_owned()],
            };
            lines.extend(drills.last().map(drilled));
            lines
        }
        Err(error) => {
            vec![format!("the records of backups can't be read: {}", safe_line(&error.to_string(), 300))]
        }
    }
}
