//! No two files import each other, straight or through others.

use std::collections::BTreeSet;

use berth_house::circles::circles;
use berth_house::imports::{self, Imports};

/// Circles that stand, each with the files in it.
const STANDING: &[&[&str]] = &[
    // The two ends of one connection: each owns what the other needs, and a trait between them would hide it.
    &["ssh-router/src/session.rs", "ssh-router/src/upstream.rs"],
];

#[test]
fn files_import_each_other_in_no_circle() {
    let workspace = &*crate::WORKSPACE;
    let (mut found, mut told) = (BTreeSet::new(), String::new());
    for root in workspace.members.values().flat_map(|member| &member.roots) {
        let imports = imports::read(root, &workspace.root).unwrap();
        let arrows =
            imports.iter().map(|(from, to)| (from.as_str(), to.keys().map(String::as_str).collect()));
        for circle in circles(&arrows.collect()) {
            if !STANDING.contains(&&circle.iter().copied().collect::<Vec<_>>()[..]) {
                told.push_str(&tell(&imports, &circle));
            }
            found.insert(circle.into_iter().map(str::to_owned).collect::<Vec<_>>());
        }
    }
    assert!(told.is_empty(), "{told}");
    for circle in STANDING {
        let stands = found.iter().any(|found| found == circle);
        assert!(stands, "this circle is open, and leaves the list of those that stand: {circle:?}");
    }
}

/// A circle in words: who takes what from whom.
fn tell(imports: &Imports, circle: &BTreeSet<&str>) -> String {
    let mut told = format!("\na circle of {} files:\n", circle.len());
    for from in circle {
        for (to, names) in imports[*from].iter().filter(|(to, _)| circle.contains(to.as_str())) {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            told.push_str(&format!("  {from} takes {} from {to}\n", names.join(", ")));
        }
    }
    told
}
