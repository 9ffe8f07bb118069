//! Keeps `berth mail` running for as long as `main` has `[mail]`. Its failures are its own: the reconciler goes on.

use std::path::PathBuf;

use berth_repo::StateRepo;
use berth_schema::mail::Mail;
use berth_schema::name::Fqdn;
use berth_schema::platform::{Organisation, Platform};
use tokio_util::sync::CancellationToken;

use super::child::{GRACE, Kept, Unasked, arguments};
use super::followed::follow;
use crate::settings::Settings;
use crate::source;

/// Part of `platform.toml` of which it is made.
#[derive(Debug, PartialEq, Eq)]
struct Wanted {
    mail: Mail,
    organisation: Organisation,
    domain: Fqdn,
}

/// Runs until `stop`, and ends what it started.
pub(super) async fn keep(program: PathBuf, settings: Settings, stop: CancellationToken) {
    // A plain folder has no door, and so nobody who writes letters.
    let Ok(repo) = StateRepo::open(&settings.state) else { return };
    let kept = |_: &Wanted| {
        Some(Kept {
            what: "`berth mail`",
            program: program.clone(),
            arguments: [vec!["mail".into(), "--with-parent".into()], arguments(&settings)].concat(),
            socket: None,
            grace: GRACE,
            unasked: Unasked::IsACrash,
        })
    };
    follow(&repo, |repo| source::platform(repo).map(|platform| wanted(&platform)), kept, &stop).await;
}

fn wanted(platform: &Platform) -> Option<Wanted> {
    let Platform { mail, organisation, domain, .. } = platform;
    // A notice isn't in any mail.
    let organisation = Organisation { notice: None, ..organisation.clone() };
    Some(Wanted { mail: mail.clone()?, organisation, domain: domain.clone() })
}
