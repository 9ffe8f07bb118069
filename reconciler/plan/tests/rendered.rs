//! Configurations of several states, one document each in `cases/rendered/`: the files that a state has besides the
//! plainest platform, and after `>>> kind` the lines that they add (`+`) to what that platform gets, or take out (`-`).
//! `BLESS=1` writes those lines anew.

#![allow(clippy::expect_used, clippy::panic, reason = "a test says what it expects by unwrapping it")]

use std::fs;
use std::path::{Path, PathBuf};

use berth_plan::render::{Kind, Templates, render};
use berth_plan::{Desired, Identities};
use berth_schema::{Parsed, State};

const PLAINEST: [(&str, &str); 2] =
    [("platform.toml", "domain = \"h.org\"\n"), ("users/ann.toml", "[quota]\nservers = 9\n")];

#[test]
fn every_state_is_rendered_as_told() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases/rendered");
    let mut paths: Vec<PathBuf> =
        fs::read_dir(&folder).expect("cases").map(|entry| entry.expect("entry").path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "no cases");
    let mut wrong = Vec::new();
    for path in paths {
        let document = fs::read_to_string(&path).expect("read");
        let (files, expected) = document.split_at(document.find(">>> ").expect("`>>> kind`"));
        let state = state(files);
        let kinds = expected.lines().filter_map(|line| line.strip_prefix(">>> "));
        let actual: String = kinds
            .map(|kind| {
                let kind: Kind = kind.parse().expect("a kind");
                format!(">>> {kind}\n{}", differences(kind, &state))
            })
            .collect();
        if actual == expected {
            continue;
        }
        if std::env::var_os("BLESS").is_some() {
            fs::write(&path, format!("{files}{actual}")).expect("bless");
        } else {
            wrong.push(format!("{}\nexpected:\n{expected}\nactual:\n{actual}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn state(files: &str) -> State {
    let files: Vec<(&str, &str)> =
        files.split("--- ").skip(1).map(|file| file.split_once('\n').expect("a file")).collect();
    let plain = PLAINEST.into_iter().filter(|(path, _)| !files.iter().any(|(given, _)| given == path));
    let parsed: Vec<Parsed> =
        files.iter().copied().chain(plain).map(|(path, text)| Parsed::parse(path, text)).collect();
    State::assemble(&parsed).unwrap_or_else(|found| panic!("{found:#?}"))
}

/// The lines that only one of the two has, in their order.
fn differences(kind: Kind, state: &State) -> String {
    let text = |state: &State| {
        let identities = Identities::example(state.servers.keys().copied());
        render(kind, state, &Templates::default(), &identities).expect("a configuration")
    };
    let (before, after) = (text(&self::state("")), text(state));
    let only = |one: &str, other: &str, sign: char| -> String {
        let others: Vec<&str> = other.lines().collect();
        one.lines().filter(|line| !others.contains(line)).map(|line| format!("{sign}{line}\n")).collect()
    };
    only(&before, &after, '-') + &only(&after, &before, '+')
}

/// Checks that what is taken over from before is what would have been made.
#[test]
fn what_is_made_of_what_was_is_the_same_as_made_anew() {
    let templates = Templates::default();
    let server = "--- servers/shop.toml\nid = 3\nowner = \"bob\"\n";
    let bob = "--- users/bob.toml\n";
    let cyn = "--- users/cyn.toml\n";
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDwPDn0itH/I616SruvtyOdmrd9kbKVg6ZBJUNPHVKph";
    let states = [
        format!("{bob}{cyn}"),
        format!("{bob}{cyn}{server}"),
        format!("{bob}{cyn}{server}cpus = 2\n"),
        format!("{bob}{cyn}{server}members = [\"cyn\"]\n"),
        format!("{bob}ssh_keys = [\"{key}\"]\n{cyn}{server}"),
        format!("{bob}role = \"admin\"\n{cyn}{server}"),
        format!("{bob}{cyn}{server}--- servers/more.toml\nid = 4\nowner = \"bob\"\n"),
    ];
    let states: Vec<State> = states.iter().map(|files| state(files)).collect();
    // Of all servers, so that the keys are the same ones throughout.
    let all = states.iter().flat_map(|state| state.servers.keys().copied());
    let identities = std::sync::Arc::new(Identities::example(all));
    let told = |desired: &Desired| {
        let texts: Vec<_> =
            desired.configurations.iter().map(|one| one.text.clone().expect("a text")).collect();
        let placed: Vec<_> =
            desired.servers.iter().map(|server| desired.placed(server.id).map(str::to_owned)).collect();
        (texts, placed)
    };
    for before in &states {
        let before = Desired::new(before, &templates, &identities);
        for state in &states {
            let anew = Desired::new(state, &templates, &identities);
            assert_eq!(told(&Desired::after(Some(&before), state, &templates, &identities)), told(&anew));
        }
    }
}
