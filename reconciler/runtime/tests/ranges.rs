//! Ids of a server's own: a real runc in a folder of this machine, and refusals with a runc that must not be called.

#![allow(clippy::expect_used, clippy::panic, reason = "a test says what it expects by unwrapping it")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

fn runtime() -> Command {
    Command::new(env!("CARGO_BIN_EXE_berth-runtime"))
}

fn mounts() -> Vec<String> {
    let table = fs::read_to_string("/proc/self/mountinfo").expect("a table");
    table.lines().map(str::to_owned).collect()
}

/// A bundle of a server with an id, one bind mount, and a runc that says that it was called.
fn ground(id: u32, source: &str) -> TempDir {
    let ground = tempfile::tempdir().expect("a folder");
    let mapping = json!([{"containerID": 0, "hostID": 700_000, "size": 65536}]);
    let config = json!({
        "process": {"env": [format!("BERTH_SERVER_ID={id}")]},
        "root": {"path": "rootfs"},
        "mounts": [{"destination": "/x", "type": "bind", "source": source, "options": ["rbind"]}],
        "linux": {
            "uidMappings": mapping,
            "gidMappings": mapping,
            "namespaces": [{"type": "pid"}, {"type": "user"}],
        },
    });
    fs::write(ground.path().join("config.json"), config.to_string()).expect("config.json");
    fs::create_dir(ground.path().join("rootfs")).expect("a root");
    let runc = ground.path().join("runc");
    fs::write(&runc, format!("#!/bin/sh\ntouch {}\n", ground.path().join("called").display())).expect("runc");
    fs::set_permissions(&runc, fs::Permissions::from_mode(0o755)).expect("mode");
    ground
}

fn create(ground: &Path) -> Output {
    let mut command = runtime();
    command.args(["--own-ranges", "create", "--bundle"]).arg(ground).arg("abc");
    command.env("BERTH_RUNC", ground.join("runc")).output().expect("an answer")
}

/// Checks that nothing was made, and returns the words.
fn refused(ground: &TempDir) -> String {
    let config = fs::read_to_string(ground.path().join("config.json")).expect("a bundle");
    let before = mounts();
    let output = create(ground.path());
    assert!(!output.status.success());
    assert!(!ground.path().join("called").exists(), "runc was called");
    assert_eq!(fs::read_to_string(ground.path().join("config.json")).expect("a bundle"), config);
    assert_eq!(mounts(), before);
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_probe_says_what_this_machine_can_do_and_leaves_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let before = mounts();
    let output = runtime().args(["probe", "--json"]).arg(folder.path()).output().expect("an answer");
    let answer: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let way = answer["way"].as_str().unwrap_or_else(|| panic!("{answer}"));
    let refused: Vec<&str> =
        answer["refused"].as_array().expect("a list").iter().filter_map(|one| one["way"].as_str()).collect();
    match way {
        "own" => assert!(refused.is_empty(), "{answer}"),
        "account" => assert_eq!(refused, ["own"], "{answer}"),
        _ => assert_eq!(refused, ["own", "account"], "{answer}"),
    }
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0);
    assert_eq!(mounts(), before);

    let words = runtime().arg("probe").arg(folder.path()).output().expect("an answer").stdout;
    let words = String::from_utf8_lossy(&words).into_owned();
    assert!(words.starts_with(&format!("{way}: ")), "{words}");
}

#[test]
fn a_folder_where_no_server_could_be_is_said_to_be_one_with_the_reason() {
    // Nothing can be written there.
    let output = runtime().args(["probe", "--json", "/proc"]).output().expect("an answer");
    assert!(!output.status.success());
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(words.contains("/proc/berth-probe-"), "{words}");
}

#[test]
fn an_id_without_a_range_stops_before_runc() {
    let words = refused(&ground(4095, "/tmp"));
    assert!(words.contains("server 4095 has no range of ids"), "{words}");
}

#[test]
fn a_volume_that_can_t_be_shifted_stops_before_runc() {
    let words = refused(&ground(3, "/proc/version"));
    assert!(words.contains("cannot shift the ids of /proc/version"), "{words}");
    assert!(words.contains("engine check"), "{words}");
}

#[test]
fn a_root_that_is_no_overlay_stops_before_runc() {
    let folder = tempfile::tempdir().expect("a folder");
    let words = refused(&ground(3, &folder.path().display().to_string()));
    assert!(words.contains("nothing is mounted at") && words.contains("rootfs"), "{words}");
}
