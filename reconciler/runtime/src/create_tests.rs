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
    let invocation = Invocation::parse("berth-runtime".as_ref(), arguments.to_vec());
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
    let invocation = Invocation::parse("berth-runtime".as_ref(), ["create".into(), "abc".into()].to_vec());
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

/// The bundle as runc found it.
fn written(directory: &Path) -> serde_json::Value {
    let bytes = fs::read(directory.join("config.json")).expect("bytes");
    serde_json::from_slice(&bytes).expect("JSON")
}

fn member(role: &str, more: &[&str]) -> serde_json::Value {
    let role = format!("BERTH_PLANE_ROLE={role}");
    let fixed = ["BERTH_PLANE=demo", "BERTH_GATEWAY=10.77.0.1", "BERTH_SUBNET=10.77.0.0/24", &role];
    let environment: Vec<&str> = fixed.iter().chain(more).copied().collect();
    serde_json::json!({
        "process": {"env": environment},
        "mounts": [{"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["ro"]}],
        "linux": {
            "cgroupsPath": "/berth-test/none",
            "uidMappings": [{"containerID": 0, "hostID": 100_000, "size": 65536}],
            "gidMappings": [{"containerID": 0, "hostID": 100_000, "size": 65536}],
        },
        "hooks": {"prestart": [{"path": "/proc/1/exe"}]},
    })
}

#[test]
fn the_platform_s_own_containers_get_the_hook_and_nothing_else() {
    let service = member("service", &["BERTH_PLANE_PORT=caddy", "BERTH_ADDRESS=10.77.0.2"]);
    for config in [member("holder", &[]), service] {
        let directory = ground("", &config);
        let (code, calls, log) = run(directory.path());
        assert_eq!(code, ExitCode::SUCCESS, "{log}");
        assert_eq!(calls.lines().count(), 1);
        let own = std::env::current_exe().expect("a path");
        let arguments = [
            "berth-runtime",
            "--log",
            &directory.path().join("log.json").to_string_lossy(),
            "--log-format",
            "json",
            "link",
        ]
        .map(str::to_owned);
        let mut expected = config;
        expected["hooks"]["createRuntime"] =
            serde_json::json!([{"path": own, "args": arguments, "timeout": 30}]);
        assert_eq!(written(directory.path()), expected);
    }
}

#[test]
fn a_server_of_a_plane_gets_the_hook_and_all_that_a_server_gets() {
    let directory = ground("exit 7", &member("server", &["BERTH_PLANE_PORT=s1", "BERTH_ADDRESS=10.77.0.16"]));
    run(directory.path());
    let written = written(directory.path());
    assert_eq!(written["mounts"][0]["options"], serde_json::json!([]));
    assert_eq!(written["hooks"]["createRuntime"].as_array().map(Vec::len), Some(1));
    assert_eq!(written["hooks"]["prestart"].as_array().map(Vec::len), Some(1));
}

#[test]
fn a_container_of_no_plane_gets_no_hook() {
    let directory = ground("exit 7", &mapped());
    run(directory.path());
    assert_eq!(written(directory.path()).get("hooks"), None);
}

#[test]
fn an_environment_that_is_not_clear_stops_before_runc() {
    let directory = ground("exit 0", &member("server", &["BERTH_PLANE_PORT=s1"]));
    let (code, calls, log) = run(directory.path());
    assert_eq!(code, ExitCode::FAILURE);
    assert_eq!(calls, "");
    assert!(log.contains("user plane: BERTH_ADDRESS is not set"), "{log}");
}
