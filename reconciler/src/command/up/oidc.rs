//! Keeps `berth oidc` running for as long as `main` has `[panel.oidc]`.

use berth_repo::StateRepo;
use berth_schema::oidc::Oidc;
use berth_schema::platform::Platform;

use super::child::GRACE;
use super::followed::Part;
use crate::source;

/// The command that is kept.
pub(super) const PART: Part = Part { command: "oidc", what: "`berth oidc`", grace: GRACE };

/// Reads what `main` wants. `None` where that can't be read.
pub(in crate::command) fn read(repo: &StateRepo) -> Option<Option<Oidc>> {
    source::platform(repo).map(|platform| wanted(&platform))
}

fn wanted(platform: &Platform) -> Option<Oidc> {
    platform.panel.as_ref().and_then(|panel| panel.oidc.clone())
}
