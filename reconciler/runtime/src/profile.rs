//! The AppArmor profile of a server's first process, from which all others inherit it.
//!
//! It is chosen at each start, so that a server that exists has it from its next start on, and so that one that was made with it starts
//! on a host that hasn't loaded it: runc refuses a profile that isn't there.

use std::collections::BTreeSet;

use berth_host::SERVER_PROFILE;
use serde_json::{Value, json};

/// The engine's word for a process without a profile, on a host with AppArmor. Without AppArmor it says nothing.
const UNCONFINED: &str = "unconfined";

/// Gives a server the profile of servers if it is among those that are loaded, and takes it away if it isn't. Returns whether the
/// document was changed. A profile that somebody else chose stays.
pub(crate) fn fit(document: &mut Value, loaded: &BTreeSet<String>) -> bool {
    let Some(profile) = document.pointer_mut("/process/apparmorProfile") else { return false };
    let is_loaded = loaded.contains(SERVER_PROFILE);
    let (from, to) = match is_loaded {
        true => (UNCONFINED, SERVER_PROFILE),
        false => (SERVER_PROFILE, UNCONFINED),
    };
    let changes = profile == from;
    if changes {
        *profile = json!(to);
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The profile after a start, and whether it was changed.
    fn fitted(before: Value, loaded: &[&str]) -> (Value, bool) {
        let mut document = json!({"process": {"apparmorProfile": before}});
        let loaded = loaded.iter().map(|name| (*name).to_owned()).collect();
        let changed = fit(&mut document, &loaded);
        (document["process"]["apparmorProfile"].take(), changed)
    }

    #[test]
    fn a_server_takes_the_profile_up_where_it_is_loaded_and_starts_without_where_it_isn_t() {
        assert_eq!(fitted(json!("unconfined"), &[SERVER_PROFILE]), (json!(SERVER_PROFILE), true));
        assert_eq!(fitted(json!(SERVER_PROFILE), &[SERVER_PROFILE]), (json!(SERVER_PROFILE), false));
        assert_eq!(fitted(json!(SERVER_PROFILE), &["berth-firewall"]), (json!("unconfined"), true));
        assert_eq!(fitted(json!("unconfined"), &[]), (json!("unconfined"), false));
    }

    #[test]
    fn a_profile_of_somebody_else_s_stays_and_without_apparmor_there_is_none() {
        for before in [json!("docker-default"), json!(""), json!(null), json!(7)] {
            assert_eq!(fitted(before.clone(), &[SERVER_PROFILE]), (before.clone(), false));
            assert_eq!(fitted(before.clone(), &[]), (before, false));
        }
        for document in [json!({"process": {}}), json!({}), json!([])] {
            let mut after = document.clone();
            assert!(!fit(&mut after, &[SERVER_PROFILE.to_owned()].into()));
            assert_eq!(after, document, "nothing is added");
        }
    }
}
