//! Keeps `berth oidc` running for as long as `main` has `[panel.oidc]`. Its failures are its own: the reconciler goes on.

use std::path::PathBuf;

use berth_repo::StateRepo;
use berth_schema::oidc::Oidc;
use berth_schema::platform::Platform;
use berth_tasks::Pulse;
use tokio_util::sync::CancellationToken;

use super::child::{GRACE, Kept, Unasked, arguments};
use super::followed::follow;
use crate::settings::Settings;
use crate::source;

/// Runs until `stop`, and ends what it started.
pub(super) async fn keep(program: PathBuf, settings: Settings, stop: CancellationToken) {
    // A plain folder has no door, and so nobody who asks.
    let Ok(repo) = StateRepo::open(&settings.state) else { return };
    let kept = |_: &Oidc| {
        Some(Kept {
            what: "`berth oidc`",
            program: program.clone(),
            arguments: [vec!["oidc".into(), "--with-parent".into()], arguments(&settings)].concat(),
            socket: None,
            grace: GRACE,
            unasked: Unasked::IsACrash,
        })
    };
    follow(&repo, read, kept, &stop, &Pulse::default()).await;
}

/// Reads what `main` wants. `None` where that can't be read.
pub(in crate::command) fn read(repo: &StateRepo) -> Option<Option<Oidc>> {
    source::platform(repo).map(|platform| wanted(&platform))
}

fn wanted(platform: &Platform) -> Option<Oidc> {
    platform.panel.as_ref().and_then(|panel| panel.oidc.clone())
}
