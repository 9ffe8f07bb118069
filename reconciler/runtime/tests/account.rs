//! A server's account with the kernel: real user namespaces, with a runc that only says what it was given.

#![allow(clippy::expect_used, clippy::panic, reason = "a test says what it expects by unwrapping it")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

/// Says what the namespace at the bundle's path is: its users, one of its ceilings, and whether its root may raise that one.
const RUNC: &str = r#"#!/bin/sh
[ "$1" = create ] || exit 0
path=$(sed -n 's/.*"path":"\(\/proc\/[0-9]*\/ns\/user\)".*/\1/p' "$BUNDLE/config.json")
[ -n "$path" ] || exit 0
cat "${path%/ns/user}/uid_map" > "$BUNDLE/users"
cat "${path%/ns/user}/status" > "$BUNDLE/holder"
nsenter --user="$path" --setuid 0 --setgid 0 cat /proc/sys/user/max_uts_namespaces > "$BUNDLE/ceiling"
nsenter --user="$path" --setuid 0 --setgid 0 setpriv --bounding-set -sys_resource --inh-caps -sys_resource \
    sh -c 'echo 9999 > /proc/sys/user/max_uts_namespaces' 2> "$BUNDLE/raised" && echo raised > "$BUNDLE/raised"
exit 0
"#;

/// A bundle of a server, and a runc.
fn ground(environment: &[&str], more: &Value) -> TempDir {
    let ground = tempfile::tempdir().expect("a folder");
    let mut linux = json!({
        "uidMappings": [{"containerID": 0, "hostID": 700_000, "size": 65536}],
        "gidMappings": [{"containerID": 0, "hostID": 700_000, "size": 65536}],
        "namespaces": [{"type": "pid"}, {"type": "user"}],
    });
    for (key, value) in more.as_object().expect("an object") {
        linux[key] = value.clone();
    }
    let config = json!({"process": {"env": environment}, "linux": linux});
    fs::write(ground.path().join("config.json"), config.to_string()).expect("config.json");
    let runc = ground.path().join("runc");
    fs::write(&runc, RUNC).expect("runc");
    fs::set_permissions(&runc, fs::Permissions::from_mode(0o755)).expect("mode");
    ground
}

fn create(ground: &Path, own: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_berth-runtime"))
        .args(own)
        .args(["create", "--bundle"])
        .arg(ground)
        .arg("abc")
        .env("BERTH_RUNC", ground.join("runc"))
        .env("BUNDLE", ground)
        .output()
        .expect("an answer")
}

fn said(ground: &TempDir, name: &str) -> Option<String> {
    fs::read_to_string(ground.path().join(name)).ok()
}

fn user_namespace(ground: &TempDir) -> Value {
    let config: Value = serde_json::from_str(&said(ground, "config.json").expect("a file")).expect("JSON");
    config["linux"]["namespaces"][1].clone()
}

#[test]
fn a_server_s_namespace_is_made_by_a_user_of_its_own_and_has_ceilings() {
    let ground = ground(&["BERTH_SERVER_ID=7"], &json!({}));
    create(ground.path(), &[]);
    let users = said(&ground, "users").expect("runc was called with a namespace");
    assert_eq!(users.split_whitespace().collect::<Vec<_>>(), ["0", "700000", "65536"]);
    assert_eq!(said(&ground, "ceiling").as_deref(), Some("2000\n"));
    let raised = said(&ground, "raised").expect("an attempt");
    assert!(raised.contains("ermission denied"), "{raised}");
}

#[test]
fn nothing_of_it_is_left_when_runc_has_ended() {
    let ground = ground(&["BERTH_SERVER_ID=7"], &json!({}));
    create(ground.path(), &[]);
    let holder = said(&ground, "holder").expect("a holder");
    let pid = holder.lines().find_map(|line| line.strip_prefix("Pid:")).expect("a pid").trim();
    assert!(!Path::new(&format!("/proc/{pid}/ns/user")).exists(), "{pid} lives");
    // It ran as root with another effective user, and held no descriptors of the engine's.
    let ids: Vec<&str> =
        holder.lines().find_map(|line| line.strip_prefix("Uid:")).expect("ids").split_whitespace().collect();
    assert_eq!(ids.first(), Some(&"0"));
    let maker: u32 = ids.get(1).expect("an effective user").parse().expect("a number");
    assert!(maker > 0x8000_0000 && maker % 0x1_0000 == 7, "{maker:#x}");
}

#[test]
fn who_is_no_server_or_has_a_namespace_already_stays_as_it_is() {
    let joined = json!({"namespaces": [{"type": "pid"}, {"type": "user", "path": "/proc/1/ns/user"}]});
    let unmapped = json!({"uidMappings": null, "gidMappings": null});
    for (environment, more, own) in [
        (&[][..], json!({}), &[][..]),
        (&["BERTH_SERVER_ID=7"], joined, &[]),
        (&["BERTH_SERVER_ID=7"], unmapped, &[]),
        (&["BERTH_SERVER_ID=7"], json!({}), &["--shared-account"]),
    ] {
        let ground = ground(environment, &more);
        let before = user_namespace(&ground);
        create(ground.path(), own);
        assert_eq!(user_namespace(&ground), before, "{environment:?} {own:?}");
    }
}

#[test]
fn an_id_that_is_not_clear_stops_before_runc() {
    for environment in [
        &["BERTH_SERVER_ID=7", "BERTH_SERVER_ID=8"][..],
        &["BERTH_SERVER_ID="],
        &["BERTH_SERVER_ID=-1"],
        &["BERTH_SERVER_ID=65536"],
    ] {
        let ground = ground(environment, &json!({}));
        let output = create(ground.path(), &[]);
        assert!(!output.status.success(), "{environment:?}");
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(words.contains("BERTH_SERVER_ID") && words.contains("--way shared"), "{words}");
        assert_eq!(said(&ground, "users"), None);
    }
}

#[test]
fn a_namespace_that_cannot_be_made_is_no_server() {
    // A mapping that the kernel refuses.
    let twice = json!({"uidMappings": [
        {"containerID": 0, "hostID": 700_000, "size": 10}, {"containerID": 5, "hostID": 800_000, "size": 10},
    ]});
    let ground = ground(&["BERTH_SERVER_ID=7"], &twice);
    let output = create(ground.path(), &[]);
    assert!(!output.status.success());
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(words.contains("uid_map"), "{words}");
    assert_eq!(said(&ground, "users"), None);
}
