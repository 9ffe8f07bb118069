//! Keeps `berth alarms send` running for as long as `main` has `[alarms]`. Its failures are its own: the reconciler goes on.

use std::path::PathBuf;
use std::sync::Arc;

use berth_repo::StateRepo;
use berth_schema::platform::Platform;
use berth_tasks::Pulse;
use tokio_util::sync::CancellationToken;

use super::child::{GRACE, Kept, Unasked, arguments};
use super::followed::follow;
use crate::settings::Settings;
use crate::source;

/// Runs until `stop`, and ends what it started.
pub(super) async fn keep(program: PathBuf, settings: Settings, stop: CancellationToken) {
    // A plain folder is for trials.
    let Ok(repo) = StateRepo::open(&settings.state) else { return };
    let kept = |_: &Arc<Platform>| {
        let words = ["alarms", "send", "--with-parent"].map(Into::into).to_vec();
        Some(Kept {
            what: "`berth alarms send`",
            program: program.clone(),
            arguments: [words, arguments(&settings)].concat(),
            socket: None,
            grace: GRACE,
            unasked: Unasked::IsACrash,
        })
    };
    follow(&repo, read, kept, &stop, &Pulse::default()).await;
}

/// Reads what `main` wants. `None` where that can't be read. All of `platform.toml` counts: it says which processes have to run.
pub(in crate::command) fn read(repo: &StateRepo) -> Option<Option<Arc<Platform>>> {
    source::platform(repo).map(|platform| platform.alarms.is_some().then_some(platform))
}
