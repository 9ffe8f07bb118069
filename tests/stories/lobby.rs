//! The lobby: the panel's actions over SSH, with the clients that people have, and on an engine.

use std::fs;
use std::process::{Command, Stdio};

use berth_tests::process::{PATIENCE, Ran, run};
use berth_tests::{GitDoor, Platform, World, eventually};
use serde_json::Value;

crate::stories! {
    clients_of_every_sort_are_served,
    a_change_is_planned_applied_and_told,
}

const FILES: [(&str, &str); 4] = [
    ("platform.toml", "domain = \"hosting.example.org\"\n"),
    ("users/ann.toml", "role = \"admin\"\n"),
    ("users/bob.toml", ""),
    ("servers/shop.toml", "id = 1\nowner = \"bob\"\n"),
];

/// The one answer in a document, by its name.
#[track_caller]
fn json(ran: &Ran, name: &str) -> Value {
    let whole: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran}"));
    let answer = whole.get(name).unwrap_or_else(|| panic!("{name}: {ran}"));
    assert_eq!(whole.as_object().map(serde_json::Map::len), Some(1), "{ran}");
    answer.clone()
}

fn clients_of_every_sort_are_served(_: &World) {
    let door = GitDoor::alone(&["ann", "bob"], &FILES);
    // OpenSSH, as a program calls it: no terminal, no input, plain lines.
    let ran = door.ask("bob", "ls").good().says("shop");
    assert!(!ran.stdout.contains('\r') && !ran.stdout.contains('\u{1b}') && ran.stdout.ends_with('\n'), "{ran}");
    let list = json(&door.ask("bob", "ls --json").good(), "list");
    assert_eq!(list["servers"][0]["name"], "shop");

    // At a terminal, and without a command, as people and the apps on their phones come: a pty, then a shell.
    let terminal = |command: Option<&str>| {
        let ssh = door.ssh("bob");
        let mut words = ssh.split_whitespace();
        let mut ssh = Command::new(words.next().expect("ssh"));
        ssh.args(words).args(["-tt", "-p", &door.port().to_string(), "git@127.0.0.1"]).args(command);
        run(&mut ssh, PATIENCE).good()
    };
    for (ran, words) in [(terminal(None), "Hello bob."), (terminal(Some("domain ls")), "You have no domains.")] {
        assert!(ran.stdout.contains(words) && ran.stdout.contains("\r\n"), "{ran}");
        assert!(!ran.stdout.replace("\r\n", "").contains('\n'), "every line begins at the left: {ran}");
    }

    // PuTTY's, both ways.
    let key = door.key("bob").with_extension("ppk");
    let mut convert = Command::new("puttygen");
    convert.arg(door.key("bob")).args(["-O", "private", "-o"]).arg(&key);
    run(convert.stdin(Stdio::null()), PATIENCE).good();
    let mut listed = Command::new("ssh-keygen");
    let listed = run(listed.arg("-lf").arg(door.host_key()), PATIENCE).good();
    let fingerprint = listed.stdout.split(' ').nth(1).expect("a fingerprint").to_owned();
    let plink = |words: &[&str]| {
        let mut plink = Command::new("plink");
        plink.env("HOME", key.with_extension("home")).args(["-ssh", "-batch", "-noagent", "-P", &door.port().to_string()]);
        plink.args(["-hostkey", &fingerprint, "-i"]).arg(&key).args(words);
        run(plink.stdin(Stdio::null()), PATIENCE)
    };
    let ran = plink(&["git@127.0.0.1", "ls", "--json"]).good();
    assert_eq!(json(&ran, "list")["servers"][0]["name"], "shop");
    let ran = plink(&["-t", "git@127.0.0.1", "ls"]).good().says("shop");
    assert!(ran.stdout.contains("\r\n"), "{ran}");
    plink(&["-t", "git@127.0.0.1"]).good().says("Hello bob.");
    let ran = plink(&["git@127.0.0.1", "start", "nothing"]).coded(1);
    assert!(ran.stderr.contains("you have no server `nothing`") && ran.stderr.contains("hint: "), "{ran}");

    // A library's client, without a terminal: a command, and a shell that nobody types into, as some apps on phones open one.
    let paramiko = |words: &str| {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/stories/lobby/with_paramiko.py");
        let mut python = Command::new("/usr/bin/python3");
        python.arg(script).arg(door.port().to_string()).arg(door.key("bob")).arg(door.host_key()).arg(words);
        run(python.stdin(Stdio::null()), PATIENCE)
    };
    let ran = paramiko("ls --json").good();
    assert_eq!(json(&ran, "list")["servers"][0]["name"], "shop");
    let ran = paramiko("").good().says("Hello bob.");
    assert!(!ran.stdout.contains('\r'), "{ran}");
    let ran = paramiko("start nothing").coded(1);
    assert!(ran.stderr.contains("you have no server `nothing`") && ran.stderr.contains("hint: "), "{ran}");

    // A change by one of them is there for the others; what is refused leaves main where it is.
    plink(&["git@127.0.0.1", "stop", "shop", "--no-wait"]).good().says("server shop (id 1) is stopped");
    assert_eq!(json(&door.ask("bob", "ls --json").good(), "list")["servers"][0]["wanted"], "stopped");
    let tip = door.tip();
    for (line, words) in [
        ("rm shop", "`rm shop --yes`"),
        ("set shop memory=64GiB", "ask an admin to raise"),
        ("strat shop", "'start'"),
        ("'", "put the other quote"),
    ] {
        door.ask("bob", line).coded(1).says(words);
    }
    assert_eq!(door.tip(), tip);
    // Git and reviews go on as ever.
    door.ask("bob", "review list").good();
    let clone = door.clone_as("bob");
    assert!(clone.clone.read("servers/shop.toml").contains("stopped"));
    assert!(door.log().contains("lobby stop shop --no-wait"), "{}", door.log());
}

fn a_change_is_planned_applied_and_told(world: &World) {
    let platform = Platform::new(world.engine(), |state| {
        state.server("shop", 1, "");
        state.write("users/bob.toml", "");
    });
    platform.apply();
    let _daemon = platform.daemon();
    let door = GitDoor::of(&platform.repo(), &platform.data(), &["ann", "bob"]);
    let state_of = |name: &str| {
        let list = json(&door.ask("bob", "ls --json").good(), "list");
        let servers = list["servers"].as_array().expect("servers").clone();
        servers.into_iter().find(|server| server["name"] == *name).map(|server| server["actual"].clone())
    };

    // The plan is against the engine, and the command ends when the change is done.
    let ran = door.ask("bob", "new blog --memory 96MiB").good();
    let ran = ran.says("Planned against the engine as it is now").says("server blog (id 2) is created");
    let ran = ran.says("done    create server blog (id 2)").says("Applied ");
    assert!(!ran.stdout.contains('\u{1b}') && !ran.stderr.contains('\u{1b}'), "{ran}");
    platform.running(2);
    eventually("the reconciler tells of it", || (state_of("blog") == Some("running".into())).then_some(()));

    // For a program the same is in the document.
    let made = json(&door.ask("bob", "stop blog --json").good(), "change");
    assert_eq!((&made["result"], &made["applied"]["state"]), (&"made".into(), &"applied".into()), "{made}");
    assert_eq!(made["revision"], door.tip());
    eventually("the reconciler tells of it", || (state_of("blog") == Some("stopped".into())).then_some(()));
    door.ask("bob", "restart blog").coded(1).says("`start blog`");

    // Taking it back is a commit, too, and the log has both with what came of them.
    let stopped = door.tip();
    door.ask("bob", &format!("undo {stopped}")).good().says("Applied ");
    platform.running(2);
    let log = json(&door.ask("bob", "log blog --json").good(), "log")["changes"].clone();
    let summaries: Vec<&str> = log.as_array().expect("a log").iter().filter_map(|row| row["summary"].as_str()).collect();
    assert_eq!(summaries.len(), 3, "{log}");
    assert!(summaries[0].starts_with("Revert ") && summaries[2] == "servers/blog: new", "{log}");
    assert!(log.as_array().expect("a log").iter().all(|row| row["door"] == "ssh" && row["outcome"].is_string()), "{log}");

    // A restart is none. It is once a minute, whoever asks.
    let before = door.tip();
    door.ask("bob", "restart blog").good().says("restarting blog …").says("blog was restarted");
    platform.running(2);
    door.ask("ann", "restart blog").coded(1).says("less than a minute ago");
    let audit = fs::read_to_string(platform.data().join("door/audit.log")).expect("the audit log");
    assert!(audit.contains("\"who\":\"bob\"") && audit.contains("\"act\":\"restart\""), "{audit}");
    assert_eq!(door.tip(), before);

    // It goes only once that is confirmed.
    door.ask("bob", "rm blog").coded(1).says("server blog (id 2)").says("`rm blog --yes`");
    platform.running(2);
    door.ask("bob", "rm blog --yes").good().says("Applied ");
    platform.settled();
}
