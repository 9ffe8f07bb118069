//! (q) The wiki: a search over a thousand pages, and a page with three diagrams, cold and warm.

use std::fmt::Write as _;

use berth_tests::panel::HASH;
use berth_tests::process::build_folder;
use berth_tests::{GitDoor, Panel, Platform, World};

use super::reader::Reader;
use crate::table;
use crate::times::Times;

/// Pages of the wiki, and rounds of each measurement.
struct Scale {
    pages: usize,
    rounds: usize,
    /// Pages with diagrams that nobody has drawn yet.
    cold: usize,
}

const WHOLE: Scale = Scale { pages: 1_000, rounds: 200, cold: 20 };
/// A trial with debug builds.
const TRIAL: Scale = Scale { pages: 1_000, rounds: 20, cold: 5 };

/// A page of 4 KiB, as people write them.
fn page(number: usize) -> String {
    let line = "A server is yours alone, and so is its name on the web: whoever asks for it is led there by the platform.\n";
    format!("# Page {number}\n\n## About needle{number}\n\n{}", line.repeat(38))
}

/// A page with three diagrams that no other page has.
fn diagrams(number: usize) -> String {
    let mut text = format!("# Diagrams {number}\n");
    let flow = format!(
        "flowchart TD\n  a{number}[Push] --> b{{Judge}}\n  b -->|yes| c[Pass]\n  b -->|no| d[Refused]\n  c --> e[(Volumes)]\n  c --> f([Web])"
    );
    let sequence = format!(
        "sequenceDiagram\n  participant A as Ann {number}\n  A->>Panel: opens a page\n  Panel->>Door: asks\n  Door-->>Panel: answers\n  Panel-->>A: page"
    );
    let states = format!(
        "stateDiagram-v2\n  [*] --> Stopped{number}\n  Stopped{number} --> Running\n  Running --> [*]"
    );
    for diagram in [flow, sequence, states] {
        let _ = write!(text, "\n```mermaid\n{diagram}\n```\n");
    }
    text
}

pub(crate) fn run() -> anyhow::Result<()> {
    let scale = if build_folder().ends_with("debug") { TRIAL } else { WHOLE };
    let world = World::default();
    let platform = Platform::new(world.engine(), |state| {
        state.write("users/ann.toml", &format!("role = \"admin\"\npassword_hash = \"{HASH}\"\n"));
        for number in 0..scale.pages {
            state.write(&format!("docs/many/page{number}.md"), &page(number));
        }
        for number in 0..scale.cold {
            state.write(&format!("docs/drawn/page{number}.md"), &diagrams(number));
        }
    });
    let _door = GitDoor::of(&platform.repo(), &platform.data(), &["ann"]);
    let panel = Panel::of(&platform);
    let ann = Reader::signed_in(&panel, "ann")?;
    let mut rows = Vec::new();
    let mut add = |what: &str, times: &Times| {
        rows.push(vec![what.to_owned(), times.to_string(), times.rounds().to_string()]);
    };
    add("the first search: every page is read", &ann.once("/docs/search?q=needle7")?);
    for (what, path) in [
        ("a search for a word of one page", "/docs/search?q=needle777"),
        ("a search for two words of every page", "/docs/search?q=server+platform"),
        ("a page of 4 KiB", "/docs/many/page7"),
        ("the list of all pages", "/docs/"),
    ] {
        add(what, &ann.read(path, 1, scale.rounds)?);
    }
    let mut cold = Times::default();
    for number in 0..scale.cold {
        cold.add(ann.once(&format!("/docs/drawn/page{number}"))?);
    }
    add("a page with three diagrams, cold", &cold);
    add("the same, warm", &ann.read("/docs/drawn/page0", 1, scale.rounds)?);
    table::print(
        &format!("(q) The wiki, {} pages", scale.pages + scale.cold),
        &["what", "time", "rounds"],
        &rows,
    );
    Ok(())
}
