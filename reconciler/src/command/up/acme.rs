//! Keeps `berth acme` running for as long as `main` has `[acme.eab]` or `[acme.dns]`. Its failures are its own: the reconciler goes on.

use std::path::PathBuf;

use berth_repo::StateRepo;
use berth_schema::name::{Fqdn, Prefix};
use berth_schema::platform::{Acme, Platform};
use berth_tasks::Pulse;
use tokio_util::sync::CancellationToken;

use super::child::{GRACE, Kept, Unasked, arguments};
use super::followed::follow;
use crate::settings::Settings;
use crate::source;

/// Part of `platform.toml` of which it is made.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::command) struct Wanted {
    acme: Acme,
    domain: Fqdn,
    prefix: Prefix,
    has_panel: bool,
}

/// Runs until `stop`, and ends what it started.
pub(super) async fn keep(program: PathBuf, settings: Settings, stop: CancellationToken) {
    // A plain folder has no platform that anybody visits.
    let Ok(repo) = StateRepo::open(&settings.state) else { return };
    let kept = |_: &Wanted| {
        Some(Kept {
            what: "`berth acme`",
            program: program.clone(),
            arguments: [vec!["acme".into(), "--with-parent".into()], arguments(&settings)].concat(),
            socket: None,
            grace: GRACE,
            unasked: Unasked::IsACrash,
        })
    };
    follow(&repo, read, kept, &stop, &Pulse::default()).await;
}

/// Reads what `main` wants. `None` where that can't be read.
pub(in crate::command) fn read(repo: &StateRepo) -> Option<Option<Wanted>> {
    source::platform(repo).map(|platform| wanted(&platform))
}

fn wanted(platform: &Platform) -> Option<Wanted> {
    let Platform { acme, domain, prefix, panel, .. } = platform;
    acme.keeps_account().then(|| Wanted {
        acme: acme.clone(),
        domain: domain.clone(),
        prefix: prefix.clone(),
        has_panel: panel.is_some(),
    })
}
