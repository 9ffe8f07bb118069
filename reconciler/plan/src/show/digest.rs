//! Digest of a plan: a short text by which plans are compared.

use serde_json::Value;

use crate::label::{REMOVED_AT, REVISION};
use crate::step::Plan;

/// The first 16 hexadecimal digits of the BLAKE3 digest of everything that a plan says and does. Two plans that were made
/// one after the other from the same world have the same digest: it ignores the moment of a removal and the
/// revision that removes, which a tombstone carries: a commit that is only planned isn't made yet.
pub fn digest(plan: &Plan) -> serde_json::Result<String> {
    let mut value = serde_json::to_value(plan)?;
    forget_moments(&mut value);
    let digest = blake3::hash(&serde_json::to_vec(&value)?);
    Ok(digest.to_hex().chars().take(16).collect())
}

fn forget_moments(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.remove(REMOVED_AT);
            fields.remove(REVISION);
            fields.values_mut().for_each(forget_moments);
        }
        Value::Array(values) => values.iter_mut().for_each(forget_moments),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::spec::VolumeSpec;
    use crate::step::{Action, Change, Stage, StageKind, Step, Subject};

    fn entombed(id: &str, label: (&str, &str)) -> Plan {
        let labels = BTreeMap::from([(label.0.to_owned(), label.1.to_owned())]);
        let volume = VolumeSpec { name: format!("b-{id}"), labels };
        let change = Change {
            subject: Subject::Network(id.to_owned()),
            action: Action::Entomb,
            reasons: Vec::new(),
            losses: Vec::new(),
            steps: vec![Step::CreateVolume(volume)],
        };
        let stages = vec![Stage { kind: StageKind::Removals, changes: vec![change] }];
        Plan { stages, ..Plan::default() }
    }

    #[test]
    fn the_moment_and_the_revision_do_not_count_and_everything_else_does() {
        let of = |plan: &Plan| digest(plan).unwrap();
        let plan = entombed("a", (REMOVED_AT, "2026-01-01T00:00:00Z"));
        assert_eq!(of(&plan), of(&entombed("a", (REMOVED_AT, "2026-01-01T00:00:01Z"))));
        assert_eq!(of(&entombed("a", (REVISION, "1"))), of(&entombed("a", (REVISION, "2"))));
        assert_eq!(of(&plan).len(), 16);
        assert_ne!(of(&plan), of(&entombed("b", (REMOVED_AT, "2026-01-01T00:00:00Z"))));
        assert_ne!(of(&plan), of(&entombed("a", ("other", "2026-01-01T00:00:00Z"))));
    }
}
