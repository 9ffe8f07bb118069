//! The members' guide (docs/members.md), run from top to bottom as bob, at his own machine and in his server. Before he resets it, the
//! server is broken, and nobody gets in.

use std::fs;

use berth_tests::lab::PUBLIC;
use berth_tests::process::{source_tree, within};
use berth_tests::{Ran, run};

use super::scene::{MACHINE, PATIENCE, Scene};

/// Beginnings of the blocks that are run, and where.
const MARKS: [(&str, Place); 2] = [("```sh laptop", Place::Laptop), ("```sh server", Place::Server)];

/// Key that bob has by then.
pub(super) const BOB: &str = "new";

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
    let mut resets = 0;
    for (place, block) in blocks {
        let is_reset = block.contains("'reset = ");
        if is_reset {
            nobody_gets_in_any_more(scene);
        }
        if place == Place::Server {
            // It may be starting again.
            scene.gets_in(BOB, "shop", "shop");
        }
        let ran = match place {
            Place::Laptop => at_home(scene, home.path(), &block),
            Place::Server => scene.runs(BOB, "shop", &format!("set -eu\n{block}")),
        };
        assert!(ran.is_good(), "the guide says:\n{block}\nand then: {ran}");
        if is_reset {
            ran.says("reset 0 → 1").says("LOST: everything outside /apps, /home and /var/lib/docker");
            its_data_is_there_and_its_system_is_new(scene);
            resets += 1;
        }
    }
    assert_eq!(resets, 1);
    up.end();
}

/// Breaks the server's system as a careless root may, so that a restart doesn't help.
fn nobody_gets_in_any_more(scene: &Scene<'_>) {
    scene.gets_in(BOB, "shop", "shop");
    within(PATIENCE, "Docker is up in the server", || {
        scene.runs(BOB, "shop", "docker volume create kept").is_good().then_some(())
    });
    let marks = "echo lost > /etc/mark; for kept in /apps /home; do echo kept > $kept/mark; done; \
        echo kept > $(docker volume inspect --format '{{.Mountpoint}}' kept)/mark; sync";
    scene.runs(BOB, "shop", marks).good();
    // The session may end before its program has.
    scene.runs(BOB, "shop", "rm /usr/sbin/sshd /etc/passwd");
    scene.platform.docker().run(&["restart", &scene.platform.name(1)]);
    let runs = || scene.platform.server(1).runs().then_some(());
    within(PATIENCE, "the broken server runs", runs);
    // What is said then has the next step in it.
    let next_step = "restart or reset it: in the panel, or by the commands `restart` and `reset` at the login `git`";
    within(PATIENCE, "bob is told what to do", || {
        let ran = scene.runs(BOB, "shop", "true");
        assert!(!ran.is_good(), "nobody gets in: {ran}");
        ran.words().contains(next_step).then_some(())
    });
}

fn its_data_is_there_and_its_system_is_new(scene: &Scene<'_>) {
    scene.gets_in(BOB, "shop", "shop");
    scene.runs(BOB, "shop", "test ! -e /etc/mark && test -s /etc/passwd && cat /apps/mark /home/mark").good().says("kept");
    let volume = "docker run --rm -v kept:/it busybox:stable busybox cat /it/mark";
    within(PATIENCE, "Docker's data is there", || {
        let ran = scene.runs(BOB, "shop", volume);
        ran.is_good().then(|| assert_eq!(ran.stdout.trim(), "kept"))
    });
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
