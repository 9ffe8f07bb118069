//! Keeps `berth metrics` running for as long as `main` has `[metrics]`. Its failures are its own: the reconciler goes on.

use std::path::PathBuf;

use berth_repo::StateRepo;
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
    let kept = |(): &()| {
        Some(Kept {
            what: "`berth metrics`",
            program: program.clone(),
            arguments: [vec!["metrics".into(), "--with-parent".into()], arguments(&settings)].concat(),
            socket: None,
            grace: GRACE,
            unasked: Unasked::IsACrash,
        })
    };
    // It asks the reconciler where to listen, so another address is no reason to start it anew.
    let read =
        |repo: &StateRepo| source::platform(repo).map(|platform| platform.metrics.as_ref().map(|_| ()));
    follow(&repo, read, kept, &stop, &Pulse::default()).await;
}
