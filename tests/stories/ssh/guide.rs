//! The members' guide (docs/members.md), run from top to bottom as bob, at his own machine and in his server.

use std::fs;

use berth_tests::lab::PUBLIC;
use berth_tests::process::{source_tree, within};
use berth_tests::{Ran, run};

use super::scene::{MACHINE, PATIENCE, Scene};

/// Beginnings of the blocks that are run, and where.
const MARKS: [(&str, Place); 2] = [("```sh laptop", Place::Laptop), ("```sh server", Place::Server)];

/// Key that bob has by then.
const BOB: &str = "new";

/// The image of the guide's Compose file, which can't be had here, made of what is in a server.
const STAND_IN: &str = "mkdir -p /tmp/root/bin && cp /bin/busybox /tmp/root/bin/ && cp /bin/busybox /tmp/root/bin/httpd \
    && tar -C /tmp/root -c . | docker import - busybox:stable && rm -r /tmp/root";

/// Place at which a block is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Somebody's own machine, on the internet.
    Laptop,
    /// Their server.
    Server,
}

pub(super) fn a_member_follows_the_guide(scene: &Scene<'_>) {
    let up = scene.platform.up();
    scene.gets_in(BOB, "shop", "shop");
    within(PATIENCE, "Docker is up in the server", || {
        scene.runs(BOB, "shop", "docker info && systemctl is-active caddy").is_good().then_some(())
    });
    scene.runs(BOB, "shop", STAND_IN).good();
    let home = tempfile::tempdir().expect("a folder");
    let guide = fs::read_to_string(source_tree().join("docs/members.md")).expect("the guide");
    let blocks = blocks(&guide);
    assert!(blocks.len() > 10, "{}", blocks.len());
    for (place, block) in blocks {
        if place == Place::Server {
            // It may be starting again.
            scene.gets_in(BOB, "shop", "shop");
        }
        let ran = match place {
            Place::Laptop => at_home(scene, home.path(), &block),
            Place::Server => scene.runs(BOB, "shop", &format!("set -eu\n{block}")),
        };
        assert!(ran.is_good(), "the guide says:\n{block}\nand then: {ran}");
    }
    up.end();
}

fn blocks(guide: &str) -> Vec<(Place, String)> {
    let mut blocks = Vec::new();
    let mut block: Option<(Place, String)> = None;
    for line in guide.lines() {
        match &mut block {
            None => {
                let mark = MARKS.iter().find(|(mark, _)| *mark == line);
                block = mark.map(|(_, place)| (*place, String::new()));
            }
            Some(_) if line == "```" => blocks.extend(block.take()),
            Some((_, text)) => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    blocks
}

/// Runs a block at bob's machine, which finds the platform under the guide's name, and trusts its certificates. No CA that the
/// public knows is here, so his domain has one of the platform's.
fn at_home(scene: &Scene<'_>, home: &std::path::Path, block: &str) -> Ran {
    let options = scene.options(BOB).join(" ");
    let way = format!("ssh {options} -o HostName={MACHINE}");
    let block = block
        .replace("hosting.example.org", "stories.example.org")
        .replace("'server = \"shop\"'", "'server = \"shop\"\ntls = \"internal\"'");
    let script = format!(
        "set -eu; cd {}; ssh() {{ command {way} \"$@\"; }}; curl() {{ command curl -k --connect-to ::{PUBLIC}: \"$@\"; }}\n{block}",
        home.display()
    );
    let mut command = scene.lab.internet().namespace().command();
    command.args(["sh", "-c", &script]).env("GIT_SSH_COMMAND", &way).env("HOME", home);
    for (name, value) in [("GIT_AUTHOR", "bob"), ("GIT_COMMITTER", "bob")] {
        command.env(format!("{name}_NAME"), value).env(format!("{name}_EMAIL"), "bob@example.org");
    }
    run(&mut command, PATIENCE)
}
