//! `docs/hosting.md` is true: each command in it is run, in order, by whom it says, and does what it says.
//!
//! A block `sh` is run by whoever runs the platform, `sh ann` by ann, with her key; one that is `refused` must fail, with the advice that
//! the page shows after it.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use berth_tests::ground::scratch;
use berth_tests::process::{built, run, source_tree};
use berth_tests::{GitDoor, World};

crate::stories! {
    every_command_of_the_page_works,
}

/// A push waits for nobody here: no reconciler runs.
const PATIENCE: Duration = Duration::from_secs(180);

/// A block of commands, who runs it, and whether it must be refused.
struct Block {
    who: String,
    refused: bool,
    text: String,
    /// Advice in the answer to a refusal, as the page shows it.
    advice: Option<String>,
}

fn blocks(page: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let Some(words) = line.strip_prefix("```").filter(|words| !words.is_empty()) else { continue };
        let body: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        let Some(words) = words.strip_prefix("sh") else {
            if let Some(block) = blocks.last_mut().filter(|block| block.refused && block.advice.is_none()) {
                let last = body.last().and_then(|line| line.split_once("help: ").or(line.split_once("hint: ")));
                block.advice = last.map(|(_, advice)| advice.to_owned());
            }
            continue;
        };
        let who = words.split_whitespace().next().unwrap_or("operator").to_owned();
        blocks.push(Block { who, refused: words.ends_with(" refused"), text: body.join("\n"), advice: None });
    }
    blocks
}

/// A block as it is run: with this door in the example's place.
fn shell(block: &Block, home: &Path, door: Option<&GitDoor>, state: &Path) -> Command {
    let mut text = block.text.clone();
    let mut command = Command::new("bash");
    if let Some(door) = door {
        text = text.replace("ssh://git@hosting.example.org:10022/state", &door.url());
        let ssh = door.ssh(&block.who);
        text = text.replace("ssh -p 10022 git@hosting.example.org", &format!("{ssh} -p {} git@127.0.0.1", door.port()));
        command.env("GIT_SSH_COMMAND", ssh);
    }
    assert!(!text.contains("10022"), "a command that leads elsewhere:\n{text}");
    let folder = home.join(&block.who);
    fs::create_dir_all(&folder).expect("a folder");
    let programs = built("berth").parent().expect("a folder").to_owned();
    let path = std::env::var("PATH").unwrap_or_default();
    command.args(["-euo", "pipefail", "-c", &text]).current_dir(folder);
    command.env("PATH", format!("{}:{path}", programs.display()));
    command.env("BERTH_STATE", state).env("BERTH_DATA", home.join("data")).env_remove("BERTH_USER");
    command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1").env("NO_COLOR", "1");
    for role in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{role}_NAME"), &block.who);
        command.env(format!("GIT_{role}_EMAIL"), format!("{}@example.org", block.who));
    }
    command
}

fn every_command_of_the_page_works(_: &World) {
    let page = fs::read_to_string(source_tree().join("docs/hosting.md")).expect("the page");
    let home = scratch();
    let state = home.path().join("state.git");
    let operator = home.path().join("operator");
    fs::create_dir_all(&operator).expect("a folder");
    let mut door: Option<GitDoor> = None;
    let mut people = 0;
    for block in blocks(&page) {
        if block.who != "operator" && door.is_none() {
            door = Some(GitDoor::of(&state, &home.path().join("data"), &["ann", "bob"]));
        }
        // Their keys, for the first admin to be made with.
        for name in ["ann", "bob"] {
            let key = operator.join(name);
            if !key.exists() {
                let mut keygen = Command::new("ssh-keygen");
                keygen.args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"]).arg(&key);
                run(&mut keygen, PATIENCE).good();
            }
        }
        let ran = run(&mut shell(&block, home.path(), door.as_ref(), &state), PATIENCE);
        assert_eq!(ran.is_good(), !block.refused, "{}\n{ran}", block.text);
        if block.refused {
            ran.says(block.advice.as_deref().expect("advice on the page"));
        }
        people += usize::from(block.who != "operator");
    }
    assert!(people >= 6, "the page has lost its commands");
    let door = door.expect("somebody came through the door");
    assert!(door.log().contains("review approve welcome"), "{}", door.log());
    assert_eq!(fs::read_to_string(home.path().join("bob/state/docs/welcome.md")).expect("the page"), "# Welcome\n");
}
