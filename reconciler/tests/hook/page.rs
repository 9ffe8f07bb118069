//! docs/review.md: its commands, in its order, in a clone of a state repo with hooks.

use std::path::Path;
use std::process::Command;

use super::{Bench, InTime as _, Said, git};

/// The blocks of a page that are commands.
fn blocks(page: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if line == "```sh" {
            blocks.push(lines.by_ref().take_while(|line| *line != "```").collect::<Vec<_>>().join("\n"));
        }
    }
    blocks
}

#[test]
fn every_command_of_the_page_does_what_it_says() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/review.md");
    let page = std::fs::read_to_string(page).unwrap();
    let bench = Bench::new();
    let program = Path::new(env!("CARGO_BIN_EXE_berth")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let mut said = Vec::new();
    for block in blocks(&page) {
        // The identity and the clean environment of every git here; bob pushes, and the machine's own commands decide.
        let mut shell = Command::new("sh");
        for (name, value) in git(&bench.work).get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        shell.env("PATH", &path).env("BERTH_STATE", &bench.bare).env("BERTH_DATA", bench.data());
        shell.env("BERTH_USER", "bob").env("NO_COLOR", "1").current_dir(&bench.work);
        let output = Said::of(&shell.args(["-e", "-c", &block]).in_time());
        assert!(output.good, "{block}\n{}", output.text);
        said.push(output);
    }
    let [proposed, looked, approved, rejected, kept] = said.as_slice() else {
        panic!("{} blocks", said.len())
    };
    // What the page shows is what is said.
    let shown = page.split("```\n").find(|block| block.starts_with("remote: ")).unwrap();
    for line in shown.lines() {
        // How much is as it should be is for other tests to say.
        proposed.has(&[line.trim_end_matches('…')]);
    }
    looked.has(&["TOPIC", "opened by bob", "### `review/welcome` by bob", "\"topic\": \"welcome\""]);
    approved.has(&["review/welcome is merged"]);
    rejected.has(&["review/louder is closed"]);
    kept.has(&["refs/berth/closed/louder-1"]);
}
