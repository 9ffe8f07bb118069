//! The last backup in `berth status`.

use berth_backup::Runs;
use berth_repo::StateRepo;
use berth_schema::text::safe_line;

use crate::command::backup::told;
use crate::settings::Settings;
use crate::source;

/// Lines on the last backup of everything, where `main` has backups.
pub(super) fn lines(settings: &Settings) -> Vec<String> {
    let platform = StateRepo::open(&settings.state).ok().and_then(|repo| source::platform(&repo));
    if platform.is_none_or(|platform| platform.backup.is_none()) {
        return Vec::new();
    }
    match Runs::of(&settings.data.join(berth_backup::FOLDER)).all() {
        Ok(all) => match all.iter().rev().find(|run| run.whole) {
            Some(run) => told(run),
            None => vec!["There is no backup of everything yet.".to_owned()],
        },
        Err(error) => {
            vec![format!("the records of backups can't be read: {}", safe_line(&error.to_string(), 300))]
        }
    }
}
