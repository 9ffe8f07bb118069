//! Cgroups of containers, in trees of files as the kernel writes them.

use super::*;

const ID: &str = "3f5e8c1b7a9d2e4f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7";

/// `memory.stat` of a cgroup of v1 with others below it (Linux 6.18).
const MEMORY_STAT_V1: &str = "\
cache 10874880
rss 9093120
rss_huge 0
shmem 9170944
mapped_file 7712768
dirty 86016
writeback 0
pgpgin 32647
pgpgout 27760
pgfault 36508
pgmajfault 0
inactive_anon 0
active_anon 1531904
inactive_file 49152
active_file 1654784
unevictable 16732160
hierarchical_memory_limit 9223372036854771712
hierarchical_memsw_limit 9223372036854771712
total_cache 8250519552
total_rss 469712896
total_inactive_anon 460419072
total_active_anon 1601536
total_inactive_file 4739788800
total_active_file 3501559808
total_unevictable 16732160
";

/// The same of v2, whose figures are always totals (the kernel's `cgroup-v2.rst`).
const MEMORY_STAT_V2: &str = "\
anon 412876800
file 1266679808
kernel 33509376
kernel_stack 1310720
pagetables 4489216
sec_pagetables 0
percpu 1440
sock 4096
vmalloc 12288
shmem 9170944
file_mapped 129015808
file_dirty 86016
file_writeback 0
swapcached 0
inactive_anon 408502272
active_anon 1601536
inactive_file 739788800
active_file 501559808
unevictable 16732160
slab_reclaimable 21004288
slab_unreclaimable 5009408
slab 26013696
workingset_refault_file 1279
";

const CPU_STAT_V2: &str = "\
usage_usec 2641145518
user_usec 2335169360
system_usec 305976157
nice_usec 336000
core_sched.force_idle_usec 0
nr_periods 1201
nr_throttled 7
throttled_usec 96110
";

fn put(folder: &Path, file: &str, text: &str) {
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join(file), text).unwrap();
}

/// A tree of v2 in which the container's cgroup is at `place`.
fn v2(root: &Path, place: &str) -> Tree {
    let folder = root.join(place);
    put(&folder, "cpu.stat", CPU_STAT_V2);
    put(&folder, "memory.current", "1726078976\n");
    put(&folder, "memory.stat", MEMORY_STAT_V2);
    put(&folder, "memory.events", "low 0\nhigh 0\nmax 41\noom 3\noom_kill 3\noom_group_kill 0\n");
    put(&folder, "pids.current", "87\n");
    put(&folder, "io.stat", "254:0 rbytes=4096 wbytes=12288 rios=1 wios=2 dbytes=0 dios=0\n");
    Tree::Unified(root.to_owned())
}

#[test]
fn the_files_of_v2_are_understood() {
    let home = tempfile::tempdir().unwrap();
    let tree = v2(home.path(), &format!("system.slice/docker-{ID}.scope"));
    let layout = tree.layout(ID).unwrap();
    assert_eq!(layout, Layout { parent: "system.slice".into(), form: Form::Scope });
    let read = tree.read(&layout, ID, &mut Disks::default(), &mut String::new()).unwrap();
    let memory = 1_726_078_976 - 739_788_800;
    let moved = Moved { read: 4096, written: Some(12_288) };
    let (usage, oom_kills, moved) = (1_726_078_976, Some(3), Some(moved));
    assert_eq!(read, Reading { cpu_micros: 2_641_145_518, memory, processes: 87, usage, moved, oom_kills });
    assert_eq!(layout.path(ID), format!("/system.slice/docker-{ID}.scope"));
    // An older kernel's.
    fs::remove_file(home.path().join(format!("system.slice/docker-{ID}.scope/memory.events"))).unwrap();
    let old = tree.read(&layout, ID, &mut Disks::default(), &mut String::new()).unwrap();
    assert_eq!(old, Reading { oom_kills: None, ..read });
}

#[test]
fn the_files_of_v1_are_understood() {
    let home = tempfile::tempdir().unwrap();
    let [cpu, memory, pids, blkio] =
        ["cpuacct", "memory", "pids", "blkio"].map(|name| home.path().join(name));
    let place = |root: &Path| root.join("docker").join(ID);
    put(&place(&cpu), "cpuacct.usage", "2651202600925\n");
    put(&place(&memory), "memory.usage_in_bytes", "8720048128\n");
    put(&place(&memory), "memory.stat", MEMORY_STAT_V1);
    put(&place(&memory), "memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n");
    put(&place(&pids), "pids.current", "203\n");
    let io = "254:0 Read 4096\n254:0 Write 0\n254:0 Sync 0\n254:0 Total 4096\nTotal 4096\n";
    put(&place(&blkio), "blkio.throttle.io_service_bytes_recursive", io);
    let tree = Tree::Split { cpu, memory, pids, blkio: Some(blkio) };
    let layout = tree.layout(ID).unwrap();
    assert_eq!(layout, Layout { parent: "docker".into(), form: Form::Plain });
    let read = tree.read(&layout, ID, &mut Disks::default(), &mut String::new()).unwrap();
    let memory = 8_720_048_128 - 4_739_788_800;
    let moved = Moved { read: 4096, written: None };
    let (usage, oom_kills, moved) = (8_720_048_128, Some(2), Some(moved));
    assert_eq!(read, Reading { cpu_micros: 2_651_202_600, memory, processes: 203, usage, moved, oom_kills });
    assert_eq!(layout.path(ID), format!("/docker/{ID}"));
}

#[test]
fn what_can_not_be_read_is_an_error() {
    let home = tempfile::tempdir().unwrap();
    let tree = v2(home.path(), &format!("docker/{ID}"));
    let layout = tree.layout(ID).unwrap();
    let mut text = String::new();
    let gone = tree.read(&layout, "another", &mut Disks::default(), &mut text).unwrap_err();
    assert_eq!(gone.kind(), io::ErrorKind::NotFound);
    for (file, text) in
        [("memory.current", "max\n"), ("memory.stat", "inactive_filed 7\n"), ("pids.current", "")]
    {
        let home = tempfile::tempdir().unwrap();
        let tree = v2(home.path(), &format!("docker/{ID}"));
        put(&home.path().join("docker").join(ID), file, text);
        let error = tree.read(&layout, ID, &mut Disks::default(), &mut String::new()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{file}");
    }
    // Less in use than could be taken back: the two files are read one after the other.
    put(&home.path().join("docker").join(ID), "memory.current", "7\n");
    assert_eq!(tree.read(&layout, ID, &mut Disks::default(), &mut text).unwrap().memory, 0);
}

#[test]
fn an_engine_with_a_parent_of_its_own_is_found() {
    let home = tempfile::tempdir().unwrap();
    let tree = v2(home.path(), &format!("machine.slice/berth.slice/{ID}"));
    let layout = tree.layout(ID).unwrap();
    assert_eq!(layout.parent, Path::new("machine.slice/berth.slice"));
    tree.read(&layout, ID, &mut Disks::default(), &mut String::new()).unwrap();
    assert_eq!(tree.layout("nobody"), None);
    // What a server calls its own cgroups is no place of the engine's.
    let other = "0123456789abcdef".repeat(4);
    for place in [format!("docker/{ID}/{other}"), format!("a/b/c/d/e/{other}")] {
        put(&home.path().join(place), "pids.current", "1\n");
    }
    assert_eq!(tree.layout(&other), None);
}

#[test]
fn the_version_with_the_controllers_counts() {
    let v2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
    assert_eq!(Tree::of(v2), Some(Tree::Unified("/sys/fs/cgroup".into())));
    let hybrid = "\
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
39 31 0:36 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
";
    let at = |name: &str| PathBuf::from(format!("/sys/fs/cgroup/{name}"));
    let split = Tree::Split { cpu: at("cpu,cpuacct"), memory: at("memory"), pids: at("pids"), blkio: None };
    assert_eq!(Tree::of(hybrid), Some(split));
    assert_eq!(Tree::of("25 1 0:23 / /proc rw - proc proc rw\n"), None);
}
