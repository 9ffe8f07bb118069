//! The order of things around a runc that is a shell script here.

use super::*;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// A directory with a bundle and a runc that records its calls and then runs `script`.
fn ground(script: &str, config: &serde_json::Value) -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    fs::write(directory.path().join("config.json"), config.to_string()).expect("config.json");
    let runc = directory.path().join("runc");
    let calls = directory.path().join("calls");
    fs::write(&runc, format!("#!/bin/sh\necho \"$@\" >> {}\n{script}\n", calls.display())).expect("runc");
    fs::set_permissions(&runc, fs::Permissions::from_mode(0o755)).expect("mode");
    directory
}

fn mapped() -> serde_json::Value {
    serde_json::json!({"linux": {
        "cgroupsPath": "/berth-test/none",
        "uidMappings": [{"containerID": 0, "hostID": 100_000, "size": 65536}],
        "gidMappings": [{"containerID": 0, "hostID": 100_000, "size": 65536}],
    }})
}

fn run(directory: &Path) -> (ExitCode, String, String) {
    let log = directory.join("log.json");
    let arguments = [
        "--root".into(),
        directory.join("state").into_os_string(),
        "--log".into(),
        log.clone().into_os_string(),
        "--log-format=json".into(),
        "create".into(),
        "--bundle".into(),
        directory.as_os_str().to_owned(),
        "--pid-file".into(),
        directory.join("pid").into_os_string(),
        "abc".into(),
    ];
    let invocation = Invocation::parse(arguments.to_vec());
    let request = invocation.create().expect("a create request");
    let code = create(directory.join("runc").as_os_str(), &invocation, &request);
    let calls = fs::read_to_string(directory.join("calls")).unwrap_or_default();
    (code, calls, fs::read_to_string(log).unwrap_or_default())
}

#[test]
fn runc_s_failure_is_passed_on_and_nothing_else_is_called() {
    let directory = ground("exit 7", &mapped());
    let (code, calls, log) = run(directory.path());
    assert_eq!(code, ExitCode::from(7));
    assert_eq!(calls.lines().count(), 1);
    assert_eq!(log, "");
}

#[test]
fn without_a_user_namespace_nothing_is_delegated() {
    let directory = ground("exit 0", &serde_json::json!({"linux": {"cgroupsPath": "/docker/abc"}}));
    let (code, calls, _) = run(directory.path());
    assert_eq!(code, ExitCode::SUCCESS);
    assert_eq!(calls.lines().count(), 1);
}

#[test]
fn a_failed_delegation_deletes_the_container_and_says_so_in_runc_s_log() {
    let directory = ground("", &mapped());
    fs::write(directory.path().join("pid"), std::process::id().to_string()).expect("pid");
    let (code, calls, log) = run(directory.path());
    assert_eq!(code, ExitCode::FAILURE);
    let last = calls.lines().last().expect("a call");
    assert!(last.ends_with("delete --force abc"), "{calls}");
    assert!(last.starts_with("--root "), "{calls}");
    let line: serde_json::Value = serde_json::from_str(log.trim()).expect("a JSON line");
    assert_eq!(line["level"], "error");
    let message = line["msg"].as_str().expect("a message");
    assert!(message.contains("delegated") && message.contains("berth-test/none"), "{message}");
}

#[test]
fn the_process_id_comes_from_runc_state_when_there_is_no_pid_file() {
    let directory = ground("echo '{\"id\":\"abc\",\"pid\":4242}'", &mapped());
    let invocation = Invocation::parse(["create".into(), "abc".into()].to_vec());
    let request = invocation.create().expect("a create request");
    let pid = process_id(directory.path().join("runc").as_os_str(), &invocation, &request).expect("a pid");
    assert_eq!(pid, 4242);
}

#[test]
fn a_bundle_that_is_not_there_stops_before_runc() {
    let directory = ground("exit 0", &mapped());
    fs::remove_file(directory.path().join("config.json")).expect("removal");
    let (code, calls, log) = run(directory.path());
    assert_eq!(code, ExitCode::FAILURE);
    assert_eq!(calls, "");
    assert!(log.contains("config.json"), "{log}");
}
