//! Keeps `berth acme` running for as long as `main` has `[acme.eab]` or `[acme.dns]`.

use berth_repo::StateRepo;
use berth_schema::name::{Fqdn, Prefix};
use berth_schema::platform::{Acme, Platform};

use super::child::GRACE;
use super::followed::Part;
use crate::source;

/// Part of `platform.toml` of which it is made.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::command) struct Wanted {
    acme: Acme,
    domain: Fqdn,
    prefix: Prefix,
    has_panel: bool,
}

/// The command that is kept.
pub(super) const PART: Part = Part { command: "acme", what: "`berth acme`", grace: GRACE };

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
