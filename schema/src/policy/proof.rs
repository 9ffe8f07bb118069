//! The proof that a name outside the platform's domain is somebody's: a DNS record that only whoever runs the name can
//! publish. Owns which names need a proof and what it looks like; a door does the asking.

use crate::name::{Fqdn, UserName, label_below};
use crate::policy::types::Actor;
use crate::state::State;

/// Names of one change that proofs are sought for: each costs questions.
const NAMES_MAX: usize = 10;
/// Names above a name that prove it too: `_berth.example.org` is a proof for everything below `example.org`.
const LEVELS_MAX: usize = 4;

/// A TXT record that proves a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// Name at which the record is looked up.
    pub record: String,
    /// Content of the record.
    pub text: String,
}

/// The record that proves that `fqdn` is `member`'s, on this platform.
pub fn proof(fqdn: &Fqdn, member: &UserName, platform: &Fqdn) -> Proof {
    proof_at(fqdn.base(), member, platform)
}

fn proof_at(base: &str, member: &UserName, platform: &Fqdn) -> Proof {
    Proof { record: format!("_berth.{base}"), text: format!("berth-verify={platform}/{member}") }
}

/// Every record that proves a name, its own first.
pub fn proofs(fqdn: &Fqdn, member: &UserName, platform: &Fqdn) -> Vec<Proof> {
    let above = std::iter::successors(Some(fqdn.base()), |name| name.split_once('.').map(|(_, above)| above));
    let names = above.take_while(|name| name.contains('.')).take(LEVELS_MAX);
    names.map(|name| proof_at(name, member, platform)).collect()
}

/// The names that a change adds for a member and that need a proof. An admin needs none.
pub fn to_prove(actor: Actor<'_>, before: &State, after: &State) -> Vec<Fqdn> {
    if actor.is_admin(before) {
        return Vec::new();
    }
    let platform = &before.platform.domain;
    let new = after.domains.keys().filter(|fqdn| !before.domains.contains_key(*fqdn));
    new.filter(|fqdn| label_below(fqdn, platform).is_none()).take(NAMES_MAX).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_proved_by_itself_or_from_above() {
        let of = |name: &str| {
            let (fqdn, bob, platform) =
                (name.parse().unwrap(), "bob".parse().unwrap(), "h.org".parse().unwrap());
            proofs(&fqdn, &bob, &platform)
        };
        let records = |name: &str| of(name).into_iter().map(|proof| proof.record).collect::<Vec<_>>();
        assert_eq!(of("a.example.org")[0].text, "berth-verify=h.org/bob");
        assert_eq!(records("a.example.org"), ["_berth.a.example.org", "_berth.example.org"]);
        assert_eq!(records("*.example.org"), ["_berth.example.org"]);
        assert_eq!(records("a.b.c.d.e.f.org").len(), LEVELS_MAX);
    }
}
