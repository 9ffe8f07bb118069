//! The place of a container's cgroup, and the parts of it that change their owner.

use super::*;
use std::os::unix::fs::{MetadataExt as _, symlink};

const V1: &str = "\
24 1 0:22 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
25 24 0:23 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
26 24 0:24 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
27 24 0:25 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd
28 24 0:25 / /var/second/systemd rw - cgroup cgroup rw,name=systemd
29 24 0:26 / /sys/fs/cgroup/unified rw shared:4 - cgroup2 cgroup2 rw
";

const V2: &str = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";

fn opened(path: &Path) -> OwnedFd {
    open(path, DIRECTORY, Mode::empty()).expect("an open directory")
}

fn found(mountinfo: &str, memberships: &str, cgroups_path: &str) -> Vec<String> {
    let hierarchies = hierarchies(mountinfo);
    let wanted = Wanted::parse(cgroups_path).expect("a path");
    own(&hierarchies, memberships, &wanted)
        .into_iter()
        .flatten()
        .map(|(hierarchy, path)| hierarchy.mount_point.join(path).display().to_string())
        .collect()
}

#[test]
fn finds_every_v1_hierarchy_that_holds_the_container() {
    let memberships = "12:cpu,cpuacct:/docker/abc\n4:memory:/docker/abc\n1:name=systemd:/docker/abc\n0::/\n";
    assert_eq!(
        found(V1, memberships, "/docker/abc"),
        [
            "/sys/fs/cgroup/cpu,cpuacct/docker/abc",
            "/sys/fs/cgroup/memory/docker/abc",
            "/sys/fs/cgroup/systemd/docker/abc",
            "/var/second/systemd/docker/abc",
        ]
    );
}

#[test]
fn finds_the_one_v2_hierarchy() {
    assert_eq!(found(V2, "0::/docker/abc\n", "/docker/abc"), ["/sys/fs/cgroup/docker/abc"]);
}

#[test]
fn finds_both_in_hybrid_mode() {
    let memberships = "4:memory:/docker/abc\n0::/docker/abc\n";
    assert_eq!(
        found(V1, memberships, "/docker/abc"),
        ["/sys/fs/cgroup/memory/docker/abc", "/sys/fs/cgroup/unified/docker/abc"]
    );
}

#[test]
fn understands_the_systemd_driver() {
    let memberships = "0::/system.slice/docker-abc.scope\n";
    assert_eq!(
        found(V2, memberships, "system.slice:docker:abc"),
        ["/sys/fs/cgroup/system.slice/docker-abc.scope"]
    );
    assert_eq!(found(V2, memberships, "system.slice:docker:other"), Vec::<String>::new());
}

#[test]
fn a_path_below_the_engine_s_own_cgroup_is_found_too() {
    assert_eq!(found(V2, "0::/outer/docker/abc\n", "/docker/abc"), ["/sys/fs/cgroup/outer/docker/abc"]);
    let inside = "30 23 0:26 /outer /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
    assert_eq!(found(inside, "0::/outer/docker/abc\n", "/docker/abc"), ["/sys/fs/cgroup/docker/abc"]);
}

#[test]
fn never_takes_a_cgroup_that_is_not_the_container_s() {
    for memberships in
        ["0::/\n", "0::/docker\n", "0::/docker/xabc\n", "0::/docker/abc/init.scope\n", "junk\n", ""]
    {
        assert_eq!(found(V2, memberships, "/docker/abc"), Vec::<String>::new(), "{memberships:?}");
    }
    for path in ["", "/", "..", "/../docker", "/docker/../../x"] {
        assert!(matches!(Wanted::parse(path), Err(CgroupError::NoPath)), "{path:?}");
    }
}

#[test]
fn a_process_outside_the_wanted_cgroup_is_an_error() {
    let root = MappedRoot { uid: 0, gid: 0 };
    let error = delegate(std::process::id(), Some("/berth-test/none"), root).expect_err("an error");
    assert!(matches!(error, CgroupError::NotFound { .. }), "{error}");
    assert!(matches!(delegate(std::process::id(), None, root), Err(CgroupError::NoPath)));
}

#[test]
fn gives_the_directory_and_the_process_files_and_no_limit() {
    if !rustix::process::geteuid().is_root() {
        berth_testing::skipped("changing owners needs root");
        return;
    }
    let mount = tempfile::tempdir().expect("a directory");
    let own = mount.path().join("docker/abc");
    fs::create_dir_all(own.join("child")).expect("directories");
    for file in ["cgroup.procs", "tasks", "memory.max", "pids.max", "cpu.max", "memory.limit_in_bytes"] {
        fs::write(own.join(file), "").expect(file);
    }
    let root = MappedRoot { uid: 100_000, gid: 100_001 };
    delegate_directory(opened(mount.path()), mount.path(), Path::new("docker/abc"), root)
        .expect("delegation");

    let owner = |path: &Path| fs::metadata(path).map(|m| (m.uid(), m.gid())).expect("metadata");
    for file in ["", "cgroup.procs", "tasks"] {
        assert_eq!(owner(&own.join(file)), (100_000, 100_001), "{file}");
    }
    for file in ["memory.max", "pids.max", "cpu.max", "memory.limit_in_bytes", "child", ".."] {
        assert_eq!(owner(&own.join(file)), (0, 0), "{file}");
    }
}

#[test]
fn bounds_how_many_groups_there_may_be_where_the_kernel_can() {
    if !rustix::process::geteuid().is_root() {
        berth_testing::skipped("changing owners needs root");
        return;
    }
    let mount = tempfile::tempdir().expect("a directory");
    let own = mount.path().join("docker/abc");
    fs::create_dir_all(&own).expect("directories");
    fs::write(own.join("cgroup.max.descendants"), "max\n").expect("a file");
    let root = MappedRoot { uid: 100_000, gid: 100_001 };
    delegate_directory(opened(mount.path()), mount.path(), Path::new("docker/abc"), root)
        .expect("delegation");

    assert_eq!(fs::read_to_string(own.join("cgroup.max.descendants")).expect("a bound"), "4096");
    assert_eq!(fs::metadata(own.join("cgroup.max.descendants")).expect("metadata").uid(), 0);
    assert!(!own.join("cgroup.max.depth").exists());
}

#[test]
fn follows_no_symbolic_link() {
    if !rustix::process::geteuid().is_root() {
        berth_testing::skipped("changing owners needs root");
        return;
    }
    let mount = tempfile::tempdir().expect("a directory");
    let outside = tempfile::tempdir().expect("a directory");
    fs::write(outside.path().join("target"), "").expect("a file");
    let own = mount.path().join("docker/abc");
    fs::create_dir_all(&own).expect("directories");
    symlink(outside.path().join("target"), own.join("tasks")).expect("a link");
    symlink(outside.path(), mount.path().join("docker/link")).expect("a link");
    let root = MappedRoot { uid: 100_000, gid: 100_000 };

    delegate_directory(opened(mount.path()), mount.path(), Path::new("docker/abc"), root)
        .expect("delegation");
    assert_eq!(fs::metadata(outside.path().join("target")).expect("metadata").uid(), 0);
    let error = delegate_directory(opened(mount.path()), mount.path(), Path::new("docker/link"), root)
        .expect_err("an error");
    assert!(matches!(error, CgroupError::Open { .. }), "{error}");
    assert_eq!(fs::metadata(outside.path()).expect("metadata").uid(), 0);
}

#[test]
fn a_mount_point_that_leads_elsewhere_by_now_is_passed_over() {
    let directory = tempfile::tempdir().expect("a directory");
    let device = fs::metadata(directory.path()).expect("metadata").dev();
    let mount = |device| Hierarchy {
        mount_point: directory.path().to_owned(),
        device,
        root: "/".into(),
        controllers: None,
    };
    let (hidden, seen) = (mount(device + 1), mount(device));
    let gone = Hierarchy { mount_point: directory.path().join("gone"), ..mount(device) };
    let mounts: Vec<_> = [&gone, &hidden, &seen].map(|hierarchy| (hierarchy, PathBuf::from("abc"))).into();
    assert_eq!(visible(&mounts).expect("the third").0, &seen);
    assert!(visible(&mounts[..2]).is_none());
}
