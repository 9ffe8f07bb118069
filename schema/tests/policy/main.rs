//! The policy: each rule on a small platform, and its promises on random ones.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by unwrapping"
)]

mod certificates;
mod factors;
mod lockouts;
mod properties;
mod rules;

use std::collections::BTreeMap;

use berth_schema::name::UserName;
use berth_schema::policy::Change;
use berth_schema::{Finding, Parsed, State};

/// The texts of a state repo, by path.
type Files = BTreeMap<String, String>;

fn state(files: &Files) -> Result<State, Vec<Finding>> {
    let parsed: Vec<Parsed> = files.iter().map(|(path, text)| Parsed::parse(path, text)).collect();
    State::assemble(&parsed)
}

fn name(name: &str) -> UserName {
    name.parse().unwrap()
}

fn differing<'a>(before: &'a Files, after: &'a Files) -> Vec<Change<'a>> {
    let mut paths: Vec<&String> = before.keys().chain(after.keys()).collect();
    paths.sort();
    paths.dedup();
    paths
        .into_iter()
        .filter(|path| before.get(*path) != after.get(*path))
        .map(|path| Change {
            path,
            before: before.get(path).map(String::as_str),
            text: after.get(path).map(String::as_str),
        })
        .collect()
}
