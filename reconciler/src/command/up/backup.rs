//! Keeps `berth backup keep` running for as long as `main` has `[backup]`. Its failures are its own: the reconciler goes on.

use std::path::PathBuf;
use std::time::Duration;

use berth_repo::StateRepo;
use berth_tasks::Pulse;
use tokio_util::sync::CancellationToken;

use super::child::{Kept, Unasked, arguments};
use super::followed::follow;
use crate::settings::Settings;
use crate::source;

/// Time to end: a run breaks off, and what it held runs on.
const GRACE: Duration = Duration::from_secs(30);

/// Runs until `stop`, and ends what it started.
pub(super) async fn keep(program: PathBuf, settings: Settings, stop: CancellationToken) {
    // A plain folder has no history, and so nothing to copy it by.
    let Ok(repo) = StateRepo::open(&settings.state) else { return };
    let words: [std::ffi::OsString; 3] = ["backup".into(), "keep".into(), "--with-parent".into()];
    let kept = |(): &()| {
        Some(Kept {
            what: "`berth backup keep`",
            program: program.clone(),
            arguments: [words.to_vec(), arguments(&settings)].concat(),
            socket: None,
            grace: GRACE,
            unasked: Unasked::IsACrash,
        })
    };
    // It reads the rest at each look.
    let read = |repo: &StateRepo| source::platform(repo).map(|platform| platform.backup.as_ref().map(|_| ()));
    follow(&repo, read, kept, &stop, &Pulse::default()).await;
}
