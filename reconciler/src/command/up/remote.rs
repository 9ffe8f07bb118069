//! Keeps `berth remote` running for as long as `main` names a forge. Its failures are its own: the reconciler goes on.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use berth_forge::configured;
use berth_repo::StateRepo;
use tokio_util::sync::CancellationToken;

use super::child::{GRACE, Kept, Life, Pace, Unasked, arguments, live};
use crate::settings::Settings;
use crate::wakeup::Wakeups;
use crate::watch;

/// Time between two looks whether `main` names a forge, where its refs can't be watched.
const LOOK: Duration = Duration::from_secs(60);

/// Runs until `stop`, and ends what it started.
pub(super) async fn keep(program: PathBuf, settings: Settings, stop: CancellationToken) {
    // A plain folder has no forge.
    let Ok(repo) = StateRepo::open(&settings.state) else { return };
    let moved = Wakeups::default();
    let _refs = watch::refs(repo.git_dir(), moved.clone());
    let kept = Kept {
        what: "`berth remote`",
        program,
        arguments: [vec!["remote".into(), "--with-parent".into()], arguments(&settings)].concat(),
        socket: None,
        grace: GRACE,
        // It ends where `main` names no forge any more.
        unasked: Unasked::IsTheEnd,
    };
    let mut pace = Pace::default();
    while !stop.is_cancelled() {
        if !tokio::task::block_in_place(|| matches!(configured(&repo), Ok(Some(_)))) {
            tokio::select! {
                () = stop.cancelled() => {}
                _ = moved.next() => {}
                () = tokio::time::sleep(LOOK) => {}
            }
            continue;
        }
        let started = Instant::now();
        match live(&kept, &mut true, &stop).await {
            // It ends well when `[remote]` is gone, and then this looks for a new one.
            Life::Over => {}
            Life::Broken(why) => pace.rest(kept.what, &why, started, &stop).await,
        }
    }
}
