//! AppArmor profiles: what is made has Berth's own where the host has them, and none where it hasn't.

#![allow(clippy::expect_used, reason = "a test says what it expects by unwrapping it")]

use std::collections::BTreeSet;

use berth_plan::apparmor::{FIREWALL, PROFILES, SERVER};
use berth_plan::{Context, Desired, Observed, Step, plan};
use berth_schema::{Parsed, State};
use jiff::Timestamp;

/// The AppArmor options of the containers that a plan makes, by name.
fn made(profiles: &[&str]) -> Vec<(String, String)> {
    let files = [
        ("platform.toml", "domain = \"example.org\"\nprefix = \"demo\"\n"),
        ("users/alice.toml", "role = \"admin\"\n"),
        ("servers/blog.toml", "id = 1\nowner = \"alice\"\n"),
    ];
    let state = State::assemble(&files.map(|(path, text)| Parsed::parse(path, text))).expect("a state");
    let profiles: BTreeSet<String> = profiles.iter().map(|name| (*name).to_owned()).collect();
    let observed = Observed { profiles, ..Observed::default() };
    let context = Context {
        now: Timestamp::UNIX_EPOCH,
        revision: "a1",
        allowance: None,
        previous: None,
        largest_id: None,
    };
    let plan = plan(&Desired::from_state(&state), &observed, &context);
    let steps = plan.changes().flat_map(|change| &change.steps);
    let specs = steps.filter_map(|step| match step {
        Step::CreateContainer(spec) => Some(spec),
        _ => None,
    });
    let of_each = specs.flat_map(|spec| {
        let options = spec.confinement.security_opt.iter().filter(|option| option.starts_with("apparmor="));
        options.map(|option| (spec.name.clone(), option.clone()))
    });
    of_each.collect()
}

#[test]
fn the_firewall_and_servers_have_their_profiles_where_they_are_loaded() {
    let expected = |firewall: &str, server: &str| {
        [("demo-users-firewall", firewall), ("demo-users-dind-1", server)]
            .map(|(name, profile)| (name.to_owned(), format!("apparmor={profile}")))
            .to_vec()
    };
    assert_eq!(made(&[]), expected("unconfined", "unconfined"));
    assert_eq!(made(&PROFILES), expected(FIREWALL, SERVER));
    assert_eq!(made(&[SERVER]), expected("unconfined", SERVER));
    assert_eq!(made(&["docker-default"]), expected("unconfined", "unconfined"));
}
