//! `docs/architecture.md` held against the code: what stands on what, what each crate can't reach, and that no files
//! import each other in a circle.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]

mod circles;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use berth_house::crates::{Member, Workspace, sources_below};
use berth_house::modules::{Extent, Modules};
use berth_house::page::{Row, table, words};
use berth_house::privileges::{exceptions, forgotten_settings, privilege, wrappers};

/// Files whose own code gets around its crate's lists, each with a reason there.
const EXCEPTIONS: &[&str] = &["reconciler/dns/src/client.rs"];

/// Share of all lines in `src` that one crate may hold, in percent.
const LARGEST: usize = 20;

static WORKSPACE: LazyLock<Workspace> = LazyLock::new(|| Workspace::read().unwrap());

fn rows(workspace: &Workspace, heading: &str) -> Vec<Row> {
    let page = fs::read_to_string(workspace.root.join("docs/architecture.md")).unwrap();
    let rows = table(&page, heading);
    assert!(!rows.is_empty(), "docs/architecture.md has no table below `{heading}`");
    rows
}

/// The crates that the page names, in its order, with their rows.
fn parts(workspace: &Workspace) -> Vec<(&str, &Member, Row)> {
    let rows = rows(workspace, "## The parts").into_iter();
    let part = |row: Row| {
        let name = workspace.in_folder(row["crate"].trim_matches('`'))?;
        Some((name, &workspace.members[name], row))
    };
    rows.filter_map(part).collect()
}

#[track_caller]
fn none(faults: Vec<String>) {
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn every_crate_is_on_the_page() {
    let workspace = &*WORKSPACE;
    let named: BTreeSet<&str> = parts(workspace).iter().map(|(name, ..)| *name).collect();
    let missing = workspace.members.iter().filter(|(name, _)| !named.contains(name.as_str()));
    none(
        missing.map(|(name, member)| format!("no row for {name}, which is in {}/", member.folder)).collect(),
    );
}

/// The page lists the crates from the ground up, so that an arrow that runs back up shows in its order.
#[test]
fn crates_stand_on_what_the_page_says() {
    let workspace = &*WORKSPACE;
    let (mut faults, mut below) = (Vec::new(), BTreeSet::new());
    for (name, member, row) in parts(workspace) {
        let said: BTreeSet<String> = words(&row, "stands on").iter().map(|word| crate_of(word)).collect();
        for more in member.stands_on.difference(&said) {
            faults.push(format!("{name} stands on {more}, which the page doesn't say"));
        }
        for less in said.difference(&member.stands_on) {
            faults.push(format!("{name} doesn't stand on {less}, as the page says"));
        }
        for above in member.stands_on.iter().filter(|base| !below.contains(base.as_str())) {
            faults.push(format!("{name} stands on {above}, whose row isn't above its own"));
        }
        below.insert(name);
    }
    none(faults);
}

/// The crate that a word of the page means.
fn crate_of(word: &str) -> String {
    match word {
        "berth" => word.to_owned(),
        _ => format!("berth-{word}"),
    }
}

#[test]
fn crates_cannot_reach_what_the_page_says() {
    let workspace = &*WORKSPACE;
    let parts = parts(workspace);
    let mut faults = Vec::new();
    for (name, member, row) in &parts {
        let denied = words(row, "can't reach");
        for word in &denied {
            let Some(privilege) = privilege(word) else {
                faults.push(format!("{name}: nothing proves the word `{word}`"));
                continue;
            };
            faults.extend(privilege.gaps(workspace, name).unwrap());
            // What a crate may not do, nobody whom it calls does for it.
            for (base, _, row) in parts.iter().filter(|(base, ..)| member.stands_on.contains(*base)) {
                if !words(row, "can't reach").contains(word) {
                    faults.push(format!("{name} can reach {word} through {base}"));
                }
            }
        }
        faults.extend(forgotten_settings(workspace, &member.folder).unwrap());
    }
    none(faults);
}

#[test]
fn exceptions_are_known() {
    let workspace = &*WORKSPACE;
    let found: BTreeSet<String> = workspace
        .members
        .values()
        .flat_map(|member| exceptions(workspace, &member.folder).unwrap())
        .collect();
    assert_eq!(found, EXCEPTIONS.iter().map(|path| (*path).to_owned()).collect());
}

#[test]
fn deny_names_those_who_use_a_crate_and_nobody_else() {
    let workspace = &*WORKSPACE;
    let mut faults = Vec::new();
    for restricted in ["bollard", "git2", "russh", "tokio"] {
        let Some(wrappers) = wrappers(workspace, restricted).unwrap() else {
            faults.push(format!("deny.toml doesn't say who may use {restricted}"));
            continue;
        };
        let ours = wrappers.into_iter().filter(|name| workspace.members.contains_key(name)).collect();
        let users = workspace.members.iter().filter(|(_, member)| member.names.contains(restricted));
        let users: BTreeSet<String> = users.map(|(name, _)| name.clone()).collect();
        if users != ours {
            faults.push(format!("{restricted}: deny.toml says {ours:?}, and these use it: {users:?}"));
        }
    }
    none(faults);
}

/// A file that no module names is built by nobody: its tests would never run.
#[test]
fn every_file_is_a_module() {
    let workspace = &*WORKSPACE;
    let mut faults = Vec::new();
    for member in workspace.members.values() {
        let modules =
            member.targets.iter().flat_map(|root| Modules::read(root, Extent::WithTests).unwrap().0);
        let named: BTreeSet<PathBuf> = modules.map(|module| module.file).collect();
        for folder in ["benches", "src", "tests"].map(|name| workspace.root.join(&member.folder).join(name)) {
            let files = if folder.exists() { sources_below(&folder).unwrap() } else { Vec::new() };
            let unnamed = files.into_iter().filter(|file| !named.contains(file));
            faults.extend(unnamed.map(|file| format!("no module is {}", file.display())));
        }
    }
    none(faults);
}

/// A process can't reach what the crate that does its work can't.
#[test]
fn processes_cannot_reach_what_the_page_says() {
    let workspace = &*WORKSPACE;
    let parts = parts(workspace);
    let mut faults = Vec::new();
    for row in rows(workspace, "## Processes") {
        let (process, home) = (&row["process"], row["works in"].trim_matches('`'));
        let Some((_, _, part)) =
            parts.iter().find(|(_, member, _)| member.folder == home.trim_end_matches('/'))
        else {
            faults.push(format!("{process} works in {home}, which is no crate"));
            continue;
        };
        let denied = words(part, "can't reach");
        let more = words(&row, "can't reach").into_iter().filter(|word| !denied.contains(word));
        faults.extend(more.map(|word| format!("{process}: {home} can reach {word}")));
    }
    none(faults);
}

#[test]
fn no_crate_holds_most_of_the_lines() {
    let workspace = &*WORKSPACE;
    let lines = workspace.lines().unwrap();
    let all: usize = lines.values().sum();
    let large = lines.iter().filter(|(_, lines)| **lines * 100 >= all * LARGEST);
    none(
        large
            .map(|(name, lines)| format!("{name} holds {lines} of {all} lines, {LARGEST} % or more"))
            .collect(),
    );
}
