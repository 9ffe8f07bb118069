//! The commands that are left: each does what its help says, and says what it did.

use std::fs;
use std::process::Command;

use berth_tests::folder::git;
use berth_tests::process::{PATIENCE, built, is_alive, send, source_tree};
use berth_tests::{Folder, Platform, Ran, World, eventually, run};
use rustix::process::Signal;
use serde_json::Value;

crate::stories! {
    example_state_is_good,
    init_makes_a_repo_once,
    the_schemas_are_those_of_example_state,
    render_shows_a_configuration_at_any_revision,
    status_tells_how_things_are,
    up_starts_a_killed_reconciler_again,
    up_in_the_background_and_down,
}

/// `berth` without any platform.
fn berth(arguments: &[&str]) -> Ran {
    run(Command::new(built("berth")).args(arguments).env("NO_COLOR", "1"), PATIENCE)
}

fn example_state_is_good(_: &World) {
    let example = source_tree().join("example-state");
    berth(&["check", &example.to_string_lossy()]).good().says("3 users, 3 servers, 3 domains");
    let json = berth(&["check", "--format", "json", &example.to_string_lossy()]).good().stdout;
    let json: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!((&json["errors"], &json["warnings"]), (&0.into(), &0.into()), "{json}");
}

fn init_makes_a_repo_once(_: &World) {
    let home = tempfile::tempdir().expect("a folder");
    let repo = home.path().join("state.git").to_string_lossy().into_owned();
    let example = source_tree().join("example-state").to_string_lossy().into_owned();
    berth(&["init", &repo, "--from", &example]).good();
    let tip = || fs::read_to_string(format!("{repo}/refs/heads/main")).expect("main");
    let first = tip();
    berth(&["init", &repo, "--from", &example]).good().says("is there already");
    assert_eq!(tip(), first);
    berth(&["check", &repo]).good();

    let other = home.path().join("other.git").to_string_lossy().into_owned();
    berth(&["init", &other, "--domain", "hosting.example.org"]).good();
    berth(&["check", &other]).good();
    // What isn't good isn't taken over.
    let folder = home.path().join("broken");
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(folder.join("platform.toml"), "domain = 1\n").expect("a file");
    let third = home.path().join("third.git").to_string_lossy().into_owned();
    berth(&["init", &third, "--from", &folder.to_string_lossy()]).coded(1).says("platform.toml:1:10");
    assert!(!home.path().join("third.git").exists());
}

fn the_schemas_are_those_of_example_state(_: &World) {
    for kind in ["platform", "user", "server", "domain"] {
        let told: Value = serde_json::from_str(&berth(&["schema", kind]).good().stdout).expect("JSON");
        let path = source_tree().join(format!("example-state/.berth/schema/{kind}.json"));
        let kept: Value = serde_json::from_str(&fs::read_to_string(path).expect("a schema")).expect("JSON");
        assert_eq!(told, kept, "example-state/.berth/schema/{kind}.json is out of date: `berth schema {kind}` writes it");
    }
    let all: Value = serde_json::from_str(&berth(&["schema"]).good().stdout).expect("JSON");
    assert_eq!(all.as_object().map(serde_json::Map::len), Some(4));
    berth(&["schema", "sever"]).coded(1).says("choose one of");
}

fn render_shows_a_configuration_at_any_revision(_: &World) {
    let home = tempfile::tempdir().expect("a folder");
    let path = |name: &str| home.path().join(name).to_string_lossy().into_owned();
    let first = Folder::at(&home.path().join("first"));
    first.write("platform.toml", "domain = \"h.example.org\"\n").write("users/ann.toml", "").server("one", 1, "");
    first.write("domains/a.h.example.org.toml", "server = \"one\"\ntls = \"off\"\n");
    berth(&["init", &path("state.git"), "--from", &path("first")]).good();
    run(git().args(["clone", "--quiet", &path("state.git"), &path("checkout")]), PATIENCE).good();
    let state = Folder::at(&home.path().join("checkout"));
    let before = state.git(&["rev-parse", "HEAD"]).good().stdout.trim().to_owned();
    state.append("platform.toml", "[firewall]\ndeny = [\"53.0.0.0/8\"]\n");
    state.write("domains/b.h.example.org.toml", "server = \"one\"\nport = 8080\ntls = \"off\"\n").commit("more");

    // Without an engine: nothing can be written but to standard output, and nothing is kept.
    let render = |arguments: &[&str]| {
        let mut command = Command::new(built("berth"));
        command.arg("render").args(arguments).env("NO_COLOR", "1").env("DOCKER_HOST", "unix:///nonexistent");
        run(command.env("BERTH_STATE", path("state.git")).env("BERTH_DATA", path("data")), PATIENCE)
    };
    let added = |kind: &str| {
        let [old, new] = [render(&[kind, "--at", &before]), render(&[kind])].map(|ran| ran.good().stdout);
        assert_eq!(render(&[kind, "--at", "main"]).good().stdout, new);
        assert!(old.lines().all(|line| new.contains(line)), "nothing goes");
        new.lines().filter(|line| !old.contains(line)).map(|line| line.trim().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(added("sites"), ["b.h.example.org \"off open 172.19.2.16:8080\""]);
    assert_eq!(added("firewall"), ["-A EGRESS -d 53.0.0.0/8 -g DENIED", "-A UPLINK -s 53.0.0.0/8 -g BACK"]);
    assert_eq!(added("dns"), [""; 0]);
    assert!(!home.path().join("data").exists());
    render(&["sites", "--at", "nonsense"]).coded(1).says("nonsense");
    render(&["nonsense"]).coded(1).says("sites");
}

fn status_tells_how_things_are(world: &World) {
    let platform = Platform::new(world.engine(), |state| {
        state.server("shop", 1, "");
        state.server("off", 2, "state = \"stopped\"\n");
    });
    // Before anything was applied, it looks for itself, and says that all is not as wanted.
    platform.berth(&["status"]).coded(1).says("no reconciler runs").says("missing");
    platform.apply();
    let status = platform.berth(&["status"]).good();
    for words in [&*platform.prefix, "shop", "ann", "running", "off", "stopped", "64 MiB", "0.5"] {
        assert!(status.stdout.contains(words), "`{words}` is not in: {status}");
    }
    let daemon = platform.daemon();
    platform.berth(&["status"]).good().says(&format!("pid {}", daemon.pid()));
    let json = platform.status().expect("a status");
    assert_eq!(json["platform"], platform.prefix.as_str());
    assert_eq!(json["servers"].as_array().map(Vec::len), Some(2));
    daemon.end();
}

fn up_starts_a_killed_reconciler_again(world: &World) {
    let platform = Platform::new(world.engine(), |state| {
        state.server("shop", 1, "");
    });
    let up = platform.stays(&mut platform.berth_command(&["up"]));
    let reconciler = || platform.status()?["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok());
    let first = eventually("the reconciler answers", reconciler);
    assert_ne!(first, up.pid());
    platform.running(1);
    send(first, Signal::KILL);
    let second = eventually("another reconciler answers", || reconciler().filter(|pid| *pid != first));
    // And it works.
    platform.docker().run(&["rm", "-f", &platform.name(1)]);
    platform.running(1);
    up.end();
    assert!(!is_alive(second), "the end of `berth up` is the end of its reconciler");
    assert!(platform.server(1).runs());
}

fn up_in_the_background_and_down(world: &World) {
    let platform = Platform::new(world.engine(), |state| {
        state.server("shop", 1, "");
    });
    platform.berth(&["down"]).good().says("Nothing runs");
    platform.berth(&["up", "--detach"]).good();
    // It returns when the state is applied, and the status is that of after it.
    platform.berth(&["status"]).good().says("running");
    let before = platform.server(1);
    assert!(before.runs());
    let pid = platform.status().expect("a status")["pid"].as_u64().expect("a pid");
    // A second time changes nothing, and starts no second one.
    platform.berth(&["up", "--detach"]).good().says("running already");
    assert_eq!(platform.status().expect("a status")["pid"], pid);
    assert_eq!(platform.server(1), before);

    platform.berth(&["down"]).good();
    assert!(!is_alive(u32::try_from(pid).expect("a pid")));
    assert_eq!(platform.server(1), before, "servers keep running");
    platform.berth(&["status"]).says("no reconciler runs");
}
