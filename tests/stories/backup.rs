//! Backups: what is damaged comes back, beside the present data or in its place; and a server that is copied stands still only for that,
//! whatever becomes of whoever copies.

use std::process::Stdio;
use std::time::Duration;

use berth_tests::process::{run, within};
use berth_tests::{Platform, World, eventually};
use rustix::process::Signal;
use tempfile::TempDir;

crate::stories! {
    what_is_damaged_comes_back_beside_and_in_its_place,
    a_server_stands_still_while_its_last_changes_are_copied,
    a_killed_backup_leaves_the_server_running_and_the_next_works,
    a_drill_starts_a_copy_beside_the_servers_and_leaves_nothing,
}

/// Time for restic on a busy machine: each of its calls derives a key first.
const LONG: Duration = Duration::from_secs(600);

/// A platform that backs up into a folder, with its password stored.
fn platform(world: &World, vault: &TempDir, servers: &[(&str, u32, &str)]) -> Platform {
    let platform = Platform::new(world.engine(), |state| {
        let table = format!("\n[backup]\nrepository = \"{}\"\n", vault.path().join("vault").display());
        state.append("platform.toml", &table);
        for (name, id, more) in servers {
            state.server(name, *id, more);
        }
    });
    let password = vault.path().join("password");
    std::fs::write(&password, "a long password").expect("a file");
    let mut store = platform.berth_command(&["secret", "set", "backup"]);
    store.stdin(std::fs::File::open(&password).expect("the password"));
    assert!(store.status().expect("run berth").success());
    platform
}

fn berth(platform: &Platform, arguments: &[&str]) -> berth_tests::process::Ran {
    run(&mut platform.berth_command(arguments), LONG)
}

fn shell(platform: &Platform, id: u32, script: &str) -> String {
    platform.docker().shell(&platform.name(id), script).good().stdout
}

fn what_is_damaged_comes_back_beside_and_in_its_place(world: &World) {
    let vault = TempDir::new().expect("a folder");
    let platform = platform(world, &vault, &[("shop", 1, ""), ("off", 2, "state = \"stopped\"\n")]);
    let daemon = platform.daemon();
    let before = platform.running(1);
    platform.leave_mark(1, "kept");
    berth(&platform, &["restore", "shop"]).coded(1).says("cannot list the copies");
    berth(&platform, &["backup", "run"]).good().says("server shop (id 1)");
    let listed = berth(&platform, &["backup", "list", "--json"]).good().stdout;
    let listed: Vec<serde_json::Value> = serde_json::from_str(&listed).expect("JSON");
    let whose: Vec<&str> = listed.iter().filter_map(|row| row["of"].as_str()).collect();
    assert_eq!(whose, ["off", "shop", "platform"], "a platform without services has no volumes of its own");
    berth(&platform, &["backup", "check", "--read", "100"]).good().says("no errors");

    shell(&platform, 1, "rm /apps/mark && echo other > /home/mark");
    let beside = berth(&platform, &["restore", "shop"]).good().stdout.trim().to_owned();
    assert_eq!(platform.server(1), before, "neither made anew nor restarted");
    let read = |folder: &str, file: &str| shell(&platform, 1, &format!("cat {folder}/{file}"));
    assert_eq!((read(&beside, "apps/mark"), read(&beside, "home/mark")), ("kept\n".to_owned(), "kept\n".to_owned()));
    assert_eq!(read("/home", "mark"), "other\n", "its own data isn't touched");
    let written = platform.docker().shell(&platform.name(1), &format!("touch {beside}/full; touch /restored/full"));
    assert!(!written.is_good(), "nobody can keep data there past the limit of the disk");
    let part = berth(&platform, &["restore", "server1", "--path", "/apps/mark"]).good().stdout.trim().to_owned();
    assert_eq!(shell(&platform, 1, &format!("find {part} -type f")), format!("{part}/apps/mark\n"));

    berth(&platform, &["restore", "shop", "--path", "/apps/mark", "--over"]).good();
    assert_eq!((read("/apps", "mark"), read("/home", "mark")), ("kept\n".to_owned(), "other\n".to_owned()));
    berth(&platform, &["restore", "shop", "--clear"]).good();
    let replaced = berth(&platform, &["restore", "shop", "--over"]).good().says("LOST").stdout.trim().to_owned();
    platform.running(1);
    platform.has_mark(1, "kept");
    assert_eq!(read(&replaced, "home/mark"), "other\n", "what was there is kept beside");
    assert_eq!(platform.server(1).id, before.id);
    berth(&platform, &["restore", "off", "--over"]).good();
    assert!(!platform.server(2).runs());

    berth(&platform, &["restore", "shop", "--at", "2020-01-01T00:00Z"]).coded(1).says("the oldest is from");
    berth(&platform, &["restore", "shop", "--path", "/etc/shadow"]).coded(1).says("below /apps");
    berth(&platform, &["restore", "shop", "--path", "/apps/none"]).coded(1).says("/apps/none is not in the backup");
    berth(&platform, &["restore", "shop", "--clear"]).good();
    assert_eq!(shell(&platform, 1, "ls -A /restored"), "");
    daemon.end();
    platform.settled();
}

/// Gives a tiny server the shell that every real one has, and that its own commands run in.
fn give_shell(platform: &Platform, id: u32) {
    platform.running(id);
    shell(platform, id, "busybox ln -s busybox /bin/sh");
}

/// A program that adds a number to one file and then to another, as fast as it can. A line is written at once, so that a file that stands
/// still ends with a whole one.
const WRITER: &str = "n=0; while :; do n=$((n+1)); echo $n >> /apps/one; echo $n >> /home/other; done";

fn a_server_stands_still_while_its_last_changes_are_copied(world: &World) {
    let vault = TempDir::new().expect("a folder");
    let hooks = "pause = \"freeze\"\nbefore = \"echo before >> /apps/log\"\nafter = \"echo after >> /apps/log\"\n";
    let servers = [
        ("frozen", 1, format!("[backup]\n{hooks}")),
        ("stopped", 2, "[backup]\npause = \"stop\"\n".to_owned()),
        ("broken", 3, "[backup]\nbefore = \"echo no dump >&2; exit 7\"\n".to_owned()),
        ("left-out", 4, "[backup]\nenabled = false\n".to_owned()),
    ];
    let servers: Vec<(&str, u32, &str)> = servers.iter().map(|(name, id, more)| (*name, *id, more.as_str())).collect();
    let platform = platform(world, &vault, &servers);
    let daemon = platform.daemon();
    let before: Vec<_> = (1..=4).map(|id| platform.running(id)).collect();
    for id in [1, 3] {
        give_shell(&platform, id);
    }
    for id in [1, 2] {
        platform.docker().run(&["exec", "-d", &platform.name(id), "busybox", "sh", "-c", WRITER]);
        eventually("the writer writes", || {
            platform.docker().shell(&platform.name(id), "test -s /home/other").is_good().then_some(())
        });
    }
    let ran = berth(&platform, &["backup", "run"]).coded(1);
    ran.says("server broken (id 3): ").says("ended with code 7: no dump").says("1 of 7 parts failed");
    for id in 1..=4 {
        platform.running(id);
    }
    assert_eq!(platform.server(1).started_at, before[0].started_at, "it was frozen, not stopped");
    assert_ne!(platform.server(2).started_at, before[1].started_at);
    let number = |id: u32, file: &str| -> u64 {
        let at = shell(&platform, id, &format!("tail -n 1 /restored/*/{file}"));
        at.trim().parse().unwrap_or_else(|_| panic!("a number in {file} of {id}: {at:?}"))
    };
    for (name, id) in [("frozen", 1), ("stopped", 2)] {
        berth(&platform, &["restore", name]).good();
        let (one, other) = (number(id, "apps/one"), number(id, "home/other"));
        assert!(one == other || one == other + 1, "the copy of {name} is torn: {one} and {other}");
    }
    assert_eq!(shell(&platform, 1, "cat /apps/log /restored/*/apps/log"), "before\nafter\nbefore\n");
    for name in ["broken", "left-out"] {
        berth(&platform, &["restore", name]).coded(1).says("there is no backup");
    }
    daemon.end();
}

fn a_killed_backup_leaves_the_server_running_and_the_next_works(world: &World) {
    let vault = TempDir::new().expect("a folder");
    let waits = "[backup]\nbefore = \"touch /apps/begun; while [ ! -e /apps/go ]; do sleep 0.1; done\"\n";
    let platform = platform(world, &vault, &[("shop", 1, waits)]);
    let daemon = platform.daemon();
    give_shell(&platform, 1);
    let mut backup = platform.berth_command(&["backup", "run", "shop"]);
    let mut backup = backup.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("run berth");
    within(LONG, "the command before has begun", || {
        platform.docker().shell(&platform.name(1), "test -e /apps/begun").is_good().then_some(())
    });
    berth(&platform, &["backup", "run"]).coded(1).says("another backup or restore runs on this host");
    berth_tests::process::send(backup.id(), Signal::KILL);
    backup.wait().expect("its end");
    shell(&platform, 1, "touch /apps/go");
    // It comes to stand still, and finds that nobody waits for it any more.
    eventually("the server runs on", || daemon.log().contains("runs on").then_some(()));
    platform.running(1);
    shell(&platform, 1, "echo kept > /apps/mark");
    berth(&platform, &["backup", "run", "shop"]).good();
    let listed = berth(&platform, &["backup", "list"]).good();
    assert!(!listed.stdout.contains("warm"), "the copy that it has left half done is forgotten:\n{listed}");

    // The reconciler itself is killed while a server stands still.
    shell(&platform, 1, "rm /apps/go /apps/begun");
    let mut backup = platform.berth_command(&["backup", "run", "shop"]);
    let mut backup = backup.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("run berth");
    within(LONG, "the command before has begun", || {
        platform.docker().shell(&platform.name(1), "test -e /apps/begun").is_good().then_some(())
    });
    daemon.kill();
    assert!(!backup.wait().expect("its end").success(), "it says that the copy isn't there");
    platform.docker().run(&["pause", &platform.name(1)]);
    let daemon = platform.daemon();
    platform.running(1);
    shell(&platform, 1, "touch /apps/go");
    berth(&platform, &["backup", "run", "shop"]).good();
    daemon.end();
    platform.settled();
}

/// Names of everything that drills have made and that is still there.
fn left_of_drills(platform: &Platform) -> Vec<String> {
    let label = format!("label=berth.platform={}", platform.prefix);
    let of = ["--filter", &label, "--filter", "label=berth.kind=drill"];
    let containers = platform.docker().run(&[&["ps", "-a", "--format", "{{.Names}}"], &of[..]].concat());
    let volumes = platform.docker().run(&[&["volume", "ls", "--format", "{{.Name}}"], &of[..]].concat());
    containers.lines().chain(volumes.lines()).map(str::to_owned).collect()
}

fn a_drill_starts_a_copy_beside_the_servers_and_leaves_nothing(world: &World) {
    let vault = TempDir::new().expect("a folder");
    let platform = platform(world, &vault, &[("shop", 1, ""), ("off", 2, "state = \"stopped\"\n[backup]\nenabled = false\n")]);
    let daemon = platform.daemon();
    let before = platform.running(1);
    platform.leave_mark(1, "kept");
    berth(&platform, &["backup", "run"]).good();
    berth(&platform, &["backup", "drill", "off"]).coded(1).says("there is no backup of server2");
    // `off` has no copy, so that chance has one choice.
    berth(&platform, &["backup", "drill"]).good().says("passed: server shop (id 1)").says("its first process runs");
    assert_eq!(left_of_drills(&platform), Vec::<String>::new());
    assert_eq!(platform.server(1), before, "the server itself isn't touched");
    platform.has_mark(1, "kept");
    platform.berth(&["status"]).good().says("The drill of");

    // A copy that is damaged in its place: restic finds it, the drill fails and is cleaned up.
    let packs = vault.path().join("vault/data");
    let zeros = ["-type", "f", "-exec", "shred", "--force", "--iterations=0", "--zero", "--exact", "{}", "+"];
    run(std::process::Command::new("find").arg(&packs).args(zeros), LONG).good();
    berth(&platform, &["backup", "drill", "shop"]).coded(1).says("FAILED");
    assert_eq!(left_of_drills(&platform), Vec::<String>::new());

    // What a reconciler that was killed has left goes with the next.
    daemon.kill();
    let volume = format!("{}-users-drill-apps", platform.prefix);
    let label = format!("berth.platform={}", platform.prefix);
    platform.docker().run(&["volume", "create", "--label", &label, "--label", "berth.kind=drill", &volume]);
    let daemon = platform.daemon();
    eventually("nothing of it is left", || left_of_drills(&platform).is_empty().then_some(()));
    daemon.end();
    platform.settled();
}
