//! Circles: files that import each other, straight or through others.

use std::collections::{BTreeMap, BTreeSet};

/// Finds the largest sets in which everything reaches everything else.
pub fn circles<'a>(arrows: &BTreeMap<&'a str, BTreeSet<&'a str>>) -> Vec<BTreeSet<&'a str>> {
    let reach: BTreeMap<&str, BTreeSet<&str>> =
        arrows.keys().map(|from| (*from, reached(arrows, from))).collect();
    let mutual = |one: &str, other: &str| {
        let reaches = |from: &str, to: &str| reach.get(from).is_some_and(|reached| reached.contains(to));
        reaches(one, other) && reaches(other, one)
    };
    let mut found: Vec<BTreeSet<&str>> = Vec::new();
    for name in arrows.keys() {
        let known = found.iter().any(|circle| circle.contains(name));
        let circle: BTreeSet<&str> = arrows.keys().copied().filter(|other| mutual(name, other)).collect();
        if !known && !circle.is_empty() {
            found.push(circle);
        }
    }
    found
}

fn reached<'a>(arrows: &BTreeMap<&'a str, BTreeSet<&'a str>>, from: &str) -> BTreeSet<&'a str> {
    let mut seen = BTreeSet::new();
    let mut open: Vec<&str> = arrows.get(from).into_iter().flatten().copied().collect();
    while let Some(next) = open.pop() {
        if seen.insert(next) {
            open.extend(arrows.get(next).into_iter().flatten());
        }
    }
    seen
}
