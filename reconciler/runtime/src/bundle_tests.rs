//! Edits of real-looking bundles.

use std::os::unix::fs::PermissionsExt as _;

use super::*;

fn bundle_of(document: &Value) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("config.json");
    fs::write(&path, document.to_string()).expect("config.json");
    (directory, path)
}

fn server() -> Value {
    json!({
        "ociVersion": "1.0.2",
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid"]},
            {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "ro"]},
            {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
             "options": ["ro", "nosuid", "noexec", "nodev"]},
        ],
        "linux": {
            "cgroupsPath": "/docker/abc",
            "uidMappings": [{"containerID": 0, "hostID": 100_000, "size": 65536}],
            "gidMappings": [{"containerID": 0, "hostID": 200_000, "size": 65536}],
        },
        "futureField": {"kept": true},
    })
}

fn prepare(directory: &Path) {
    let mut bundle = Bundle::read(directory).expect("a bundle");
    bundle.prepare_for_server();
    bundle.save().expect("the edit");
}

#[test]
fn takes_ro_off_the_cgroup_mount_and_changes_nothing_else() {
    let (directory, path) = bundle_of(&server());
    prepare(directory.path());

    let mut expected = server();
    expected["mounts"][2]["options"] = json!(["nosuid", "noexec", "nodev"]);
    grants::grant(&mut expected);
    let written: Value = serde_json::from_slice(&fs::read(&path).expect("bytes")).expect("JSON");
    assert_eq!(written, expected);
}

#[test]
fn reads_the_mapped_root_and_the_cgroup_path() {
    let (directory, _) = bundle_of(&server());
    let bundle = Bundle::read(directory.path()).expect("a bundle");
    assert_eq!(bundle.mapped_root, Some(MappedRoot { uid: 100_000, gid: 200_000 }));
    assert_eq!(bundle.cgroups_path.as_deref(), Some("/docker/abc"));
}

#[test]
fn a_container_of_the_host_s_user_namespace_has_no_mapped_root() {
    let mut document = server();
    document["linux"]["uidMappings"] = Value::Null;
    let (directory, _) = bundle_of(&document);
    assert_eq!(Bundle::read(directory.path()).expect("a bundle").mapped_root, None);
}

#[test]
fn a_mapping_that_leaves_root_out_has_no_mapped_root() {
    let mut document = server();
    document["linux"]["uidMappings"] = json!([{"containerID": 1, "hostID": 100_000, "size": 65536}]);
    let (directory, _) = bundle_of(&document);
    assert_eq!(Bundle::read(directory.path()).expect("a bundle").mapped_root, None);
}

#[test]
fn writes_nothing_when_the_mount_is_writable_already() {
    let mut document = server();
    document["mounts"][2]["options"] = json!(["nosuid"]);
    // With a user namespace of its own it would be granted more.
    document["linux"]["uidMappings"] = Value::Null;
    let (directory, path) = bundle_of(&document);
    let before = fs::metadata(&path).expect("metadata").ino();
    prepare(directory.path());
    assert_eq!(fs::metadata(&path).expect("metadata").ino(), before);
}

#[test]
fn fits_a_profile_to_a_nested_runc_and_makes_none_where_there_is_none() {
    let mut document = server();
    document["linux"]["seccomp"] = json!({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
        {"names": ["read", "keyctl"], "action": "SCMP_ACT_ALLOW"},
        {"names": ["add_key"], "action": "SCMP_ACT_ALLOW"},
    ]});
    let (directory, path) = bundle_of(&document);
    prepare(directory.path());
    let written: Value = serde_json::from_slice(&fs::read(&path).expect("bytes")).expect("JSON");
    let mut expected = document;
    expected["linux"]["seccomp"] = json!({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
        {"names": ["read"], "action": "SCMP_ACT_ALLOW"},
        {"names": ["pivot_root"], "action": "SCMP_ACT_ALLOW"},
        {"names": ["add_key", "keyctl", "request_key"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38},
    ]});
    grants::grant(&mut expected);
    assert_eq!(written["linux"]["seccomp"], expected["linux"]["seccomp"]);

    let (directory, path) = bundle_of(&server());
    prepare(directory.path());
    let written: Value = serde_json::from_slice(&fs::read(&path).expect("bytes")).expect("JSON");
    assert_eq!(written["linux"].get("seccomp"), None);
}

#[test]
fn keeps_the_mode_and_leaves_no_second_file() {
    let (directory, path) = bundle_of(&server());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("mode");
    prepare(directory.path());
    assert_eq!(fs::metadata(&path).expect("metadata").mode() & 0o7777, 0o640);
    assert_eq!(fs::read_dir(directory.path()).expect("entries").count(), 1);
}

#[test]
fn says_which_part_is_wrong() {
    let mut document = server();
    document["mounts"] = json!("none");
    let (directory, _) = bundle_of(&document);
    let error = Bundle::read(directory.path()).expect_err("an error");
    assert!(error.to_string().contains("/mounts"), "{error}");
}

#[test]
fn a_hook_is_added_to_those_that_are_there() {
    let own = json!({"path": "/bin/berth-runtime", "args": ["berth-runtime", "link"], "timeout": 30});
    let engine_s = json!({"path": "/proc/1/exe", "args": ["libnetwork-setkey", "abc"]});
    let other = json!({"path": "/bin/other"});
    for (before, after) in [
        (Value::Null, json!({"createRuntime": [own]})),
        (json!({"prestart": [engine_s]}), json!({"prestart": [engine_s], "createRuntime": [own]})),
        (json!({"createRuntime": null}), json!({"createRuntime": [own]})),
        (json!({"createRuntime": [other]}), json!({"createRuntime": [other, own]})),
    ] {
        let mut document = server();
        document["hooks"] = before.clone();
        let (directory, path) = bundle_of(&document);
        let mut bundle = Bundle::read(directory.path()).expect("a bundle");
        bundle.add_hook(Path::new("/bin/berth-runtime"), &["link".into()]).expect("a hook");
        bundle.save().expect("the edit");
        let written: Value = serde_json::from_slice(&fs::read(&path).expect("bytes")).expect("JSON");
        document["hooks"] = after;
        assert_eq!(written, document, "{before}");
    }
}

#[test]
fn hooks_that_are_none_are_refused() {
    for hooks in [json!([]), json!({"createRuntime": {}})] {
        let mut document = server();
        document["hooks"] = hooks;
        let (directory, _) = bundle_of(&document);
        let mut bundle = Bundle::read(directory.path()).expect("a bundle");
        let error = bundle.add_hook(Path::new("/bin/berth-runtime"), &[]).expect_err("refused");
        assert!(error.to_string().contains("hooks"), "{error}");
    }
}

#[test]
fn reads_the_environment() {
    let mut document = server();
    document["process"] = json!({"env": ["PATH=/bin", "A=b=c"]});
    let (directory, _) = bundle_of(&document);
    let bundle = Bundle::read(directory.path()).expect("a bundle");
    assert_eq!(bundle.environment().collect::<Vec<_>>(), ["PATH=/bin", "A=b=c"]);
}

#[test]
fn bind_mounts_are_told_by_their_options_too() {
    let mut document = server();
    document["mounts"] = json!([
        {"destination": "/a", "type": "bind", "source": "/host/a", "options": ["rbind", "ro"]},
        {"destination": "/b", "source": "/host/b", "options": ["bind"]},
        {"destination": "/c", "type": "bind", "source": "/host/c"},
        {"destination": "/d", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid"]},
    ]);
    let (directory, _) = bundle_of(&document);
    let bind = |source: &str, reach| Bind { source: source.into(), reach };
    assert_eq!(
        Bundle::read(directory.path()).expect("a bundle").binds(),
        [bind("/host/a", Reach::Below), bind("/host/b", Reach::Alone), bind("/host/c", Reach::Alone)]
    );
}

#[test]
fn a_server_with_ids_of_its_own_gets_another_root_and_a_note_of_the_engine_s() {
    let mut document = server();
    document["root"] = json!({"path": "rootfs", "readonly": false});
    let (directory, path) = bundle_of(&document);
    let mut bundle = Bundle::read(directory.path()).expect("a bundle");
    let mapping: Vec<LinuxIdMapping> =
        serde_json::from_value(json!([{"containerID": 0, "hostID": 0x7001_0000, "size": 65536}]))
            .expect("a mapping");
    bundle.move_to((mapping.clone(), mapping), Path::new("/run/x")).expect("the edit");
    assert_eq!(bundle.mapped_root, Some(MappedRoot { uid: 0x7001_0000, gid: 0x7001_0000 }));
    bundle.save().expect("the edit");

    let engine_s = directory.path().join("rootfs");
    let mut expected = document;
    expected["root"]["path"] = json!("/run/x");
    expected["annotations"] = json!({ENGINE_S_ROOT: engine_s});
    expected["linux"]["uidMappings"][0]["hostID"] = json!(0x7001_0000);
    expected["linux"]["gidMappings"][0]["hostID"] = json!(0x7001_0000);
    let written: Value = serde_json::from_slice(&fs::read(&path).expect("bytes")).expect("JSON");
    assert_eq!(written, expected);
}

#[test]
fn a_bundle_without_a_root_can_t_be_moved() {
    let (directory, _) = bundle_of(&server());
    let mut bundle = Bundle::read(directory.path()).expect("a bundle");
    assert!(matches!(
        bundle.move_to((Vec::new(), Vec::new()), Path::new("/run/x")),
        Err(BundleError::NoRoot { .. })
    ));
}
