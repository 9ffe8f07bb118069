//! Judgements of hosts: Debian 12 and 13 and Ubuntu 24.04 as they are set up, a bare machine, and one thing wrong at a time.

use berth_engine::Facts;
use serde_json::{Value, json};

use super::*;
use crate::checkup::facts::{AppArmor, Cgroups, Clock, Disk, Engine, Held, Low, Name, Port, Program};
use crate::checkup::version::version;
use crate::setup::keys::QUOTAS;
use crate::setup::{Needs, lacks};

const RUNTIME: &str = "/usr/local/bin/berth-runtime";

fn info(version: &str, runc: &str) -> Value {
    json!({
        "ServerVersion": version,
        "SecurityOptions": ["name=apparmor", "name=seccomp,profile=default", "name=userns"],
        "Runtimes": {"runc": {"path": "runc"}, "berth": {"path": RUNTIME}},
        "LiveRestoreEnabled": true,
        "SwapLimit": true,
        "Swarm": {"LocalNodeState": "inactive"},
        "DockerRootDir": "/var/lib/docker/231072.231072",
        "RuncCommit": {"ID": runc},
    })
}

fn running(info: &Value) -> Engine {
    let facts = Facts::read(info);
    let lacks = lacks(&facts, &Needs::new(RUNTIME)).iter().map(ToString::to_string).collect();
    Engine::Running { facts: Box::new(facts), lacks }
}

fn controllers() -> Cgroups {
    let names = ["cpuset", "cpu", "io", "memory", "hugetlb", "pids", "rdma", "misc"];
    Cgroups::V2(names.map(str::to_owned).into())
}

fn disk() -> Disk {
    Disk {
        folders: vec!["/var/lib/docker/231072.231072".into(), "/var/lib/berth/state.git".into()],
        has_engine: true,
        kind: "ext4".to_owned(),
        bytes: 100 << 30,
        free: 80 << 30,
        inodes: 6_500_000,
        free_inodes: 6_000_000,
    }
}

/// A Debian 13 on which Berth is set up.
fn debian_13() -> HostFacts {
    let port = |number, used_by, field| Port { number, used_by, field, held: Held::Ours };
    HostFacts {
        system: "Debian GNU/Linux 13 (trixie)".to_owned(),
        kernel: "6.12.48+deb13-amd64".to_owned(),
        is_root: true,
        cgroups: controllers(),
        apparmor: AppArmor { is_enabled: true, has_parser: true, missing: Vec::new(), unread: None },
        missing: Vec::new(),
        engine: running(&info("26.1.5+dfsg1", "1.3.3+ds1-2")),
        conflicts: Vec::new(),
        client: Some("26.1.5+dfsg1".to_owned()),
        caddy: Some("2.11.1-1".to_owned()),
        ports: vec![
            port(80, "the web server", "web.http_port"),
            port(443, "the web server", "web.https_port"),
            port(10_022, "SSH to servers", "ssh.port"),
        ],
        name: Some(Name {
            name: "hosting.example.org".to_owned(),
            records: Ok(vec![("192.0.2.2".parse().unwrap(), true)]),
        }),
        clock: Clock::Synchronised,
        disks: vec![disk()],
        low: Vec::new(),
        no_namespaces: Vec::new(),
        memory: Some(16 << 30),
        swap: 1 << 30,
    }
}

/// A Debian 12 on which Berth is set up, booted with cgroups of version 1 and without AppArmor.
fn debian_12() -> HostFacts {
    HostFacts {
        system: "Debian GNU/Linux 12 (bookworm)".to_owned(),
        kernel: "6.1.0-39-amd64".to_owned(),
        cgroups: Cgroups::V1(["cpu", "cpuacct", "memory", "pids", "name=systemd"].map(str::to_owned).into()),
        apparmor: AppArmor::default(),
        engine: running(&info("20.10.24+dfsg1", "1.1.5+ds1-1+deb12u1")),
        client: Some("20.10.24+dfsg1".to_owned()),
        caddy: Some("2.6.2-5".to_owned()),
        ..debian_13()
    }
}

/// An Ubuntu 24.04 with Docker's own packages, before anything of Berth's.
fn ubuntu() -> HostFacts {
    let mut stock = info("29.0.4", "v1.3.3-0-gd842d771");
    stock["SecurityOptions"] = json!(["name=apparmor", "name=seccomp,profile=builtin", "name=cgroupns"]);
    stock["Runtimes"] = json!({"runc": {"path": "runc"}});
    stock["LiveRestoreEnabled"] = json!(false);
    stock["FirewallBackend"] = json!({"Driver": "iptables"});
    HostFacts {
        system: "Ubuntu 24.04.3 LTS".to_owned(),
        kernel: "6.8.0-85-generic".to_owned(),
        apparmor: AppArmor {
            is_enabled: true,
            has_parser: true,
            missing: vec!["berth-server", "berth-firewall"],
            unread: None,
        },
        engine: running(&stock),
        client: Some("29.0.4".to_owned()),
        caddy: None,
        ports: Vec::new(),
        name: None,
        low: vec![Low { quota: &QUOTAS[0], found: "200\n".to_owned(), least: 20_000 }],
        no_namespaces: vec!["kernel.apparmor_restrict_unprivileged_userns"],
        ..debian_13()
    }
}

/// A machine with a kernel and little else.
fn bare() -> HostFacts {
    HostFacts {
        system: String::new(),
        is_root: false,
        apparmor: AppArmor { is_enabled: true, has_parser: false, missing: Vec::new(), unread: None },
        missing: vec![Program { name: "git", package: "git", without: "nothing is served" }],
        engine: Engine::Absent,
        client: None,
        caddy: None,
        name: None,
        clock: Clock::Unknown,
        memory: None,
        swap: 0,
        ..debian_13()
    }
}

fn told(facts: &HostFacts) -> Vec<String> {
    let line =
        |diagnosis: &Diagnosis| format!("{:?} {}: {}", diagnosis.weight, diagnosis.about, diagnosis.what);
    judge(facts).iter().map(line).collect()
}

/// The beginnings of what is told.
#[track_caller]
fn tells(facts: &HostFacts, expected: &[&str]) {
    let told = told(facts);
    let agree = told.len() == expected.len()
        && told.iter().zip(expected).all(|(line, beginning)| line.starts_with(beginning));
    assert!(agree, "{told:#?}\nexpected: {expected:#?}");
}

#[test]
fn a_host_that_is_set_up_has_nothing_to_mend() {
    tells(&debian_13(), &[]);
}

#[test]
fn an_older_debian_works_and_gets_advice() {
    tells(
        &debian_12(),
        &[
            "Advice cgroups: cgroups are of version 1",
            "Advice holes: runc 1.1.5+ds1-1+deb12u1 is older",
            "Advice holes: the web server's Caddy is 2.6.2-5",
        ],
    );
}

#[test]
fn an_ubuntu_before_the_set_up_lacks_what_engine_setup_brings() {
    tells(
        &ubuntu(),
        &[
            "Wrong engine: userns-remap is off",
            "Wrong engine: the runtime \"berth\" is not registered",
            "Wrong engine: live-restore is off",
            "Wrong AppArmor: not loaded as this release has it: berth-server, berth-firewall",
            "Wrong settings: the kernel has room for few servers: kernel.keys.maxkeys is 200, and should be 20000",
            "Advice settings: kernel.apparmor_restrict_unprivileged_userns keeps members' programs",
        ],
    );
    let by_setup = |diagnosis: &Diagnosis| diagnosis.remedy.contains("berth engine setup --yes");
    assert!(judge(&ubuntu()).iter().all(by_setup));
    // With the profile of servers, Ubuntu's setting is in nobody's way.
    let mut later = ubuntu();
    later.apparmor.missing.clear();
    assert!(!told(&later).iter().any(|line| line.contains("apparmor_restrict")));
}

#[test]
fn a_bare_machine_is_told_first_what_it_can_t_do_without() {
    tells(
        &bare(),
        &[
            "Stops engine: Docker isn't installed",
            "Wrong programs: `git` isn't installed",
            "Wrong AppArmor: the kernel has AppArmor and nothing loads its profiles",
            "Advice memory: how much memory there is can't be read",
            "Advice clock: whether a time server sets the clock can't be told",
            "Advice check-up: this isn't root",
        ],
    );
}

#[test]
fn every_diagnosis_has_a_next_step_and_the_heaviest_come_first() {
    for facts in [debian_12(), ubuntu(), bare()] {
        let all = judge(&facts);
        assert!(all.iter().all(|diagnosis| !diagnosis.remedy.is_empty()));
        assert!(all.is_sorted_by_key(|diagnosis| diagnosis.weight));
    }
}

#[test]
fn docker_29_refuses_old_commands_and_rules_of_nftables_stop_everything() {
    let mut facts = ubuntu();
    facts.client = Some("20.10.24+dfsg1".to_owned());
    assert!(told(&facts).iter().any(|line| line.contains("takes none before 25 (API 1.44)")));
    facts.client = Some("25.0.0".to_owned());
    assert!(!told(&facts).iter().any(|line| line.contains("API 1.44")));
    // An old command is fine with an old engine.
    assert!(!told(&debian_12()).iter().any(|line| line.contains("API 1.44")));
    facts.conflicts = vec!["/etc/docker/daemon.json: the engine's firewall-backend is nftables".to_owned()];
    assert!(told(&facts)[0].starts_with("Stops engine: /etc/docker/daemon.json"));
}

#[test]
fn an_engine_that_is_too_old_stops_and_one_that_is_silent_is_to_be_started() {
    tells(
        &HostFacts { engine: running(&info("19.03.15", "1.3.3")), client: None, ..debian_13() },
        &["Stops engine: Docker 19.03.15 is older"],
    );
    let silent = HostFacts { engine: Engine::Silent("cannot reach the engine".to_owned()), ..debian_13() };
    tells(&silent, &["Wrong engine: the engine doesn't answer: cannot reach"]);
    assert!(judge(&silent)[0].remedy.contains("systemctl start docker"));
    // It may answer others.
    let by_a_user = HostFacts { is_root: false, ..silent };
    assert!(judge(&by_a_user)[0].remedy.contains("sudo berth doctor"));
}

#[test]
fn an_engine_that_reads_other_settings_stops_everything() {
    let mut snap = info("28.1.1", "1.3.3");
    snap["DockerRootDir"] = json!("/var/snap/docker/common/var-lib-docker");
    snap["LiveRestoreEnabled"] = json!(false);
    // What its settings lack, nobody could mend there.
    tells(&HostFacts { engine: running(&snap), ..debian_13() }, &["Stops engine: Docker is a snap"]);
}

#[test]
fn swap_that_nobody_counts_is_wrong_only_where_there_is_some() {
    let mut unbounded = info("26.1.5", "1.3.3");
    unbounded["SwapLimit"] = json!(false);
    let with = |swap| HostFacts { engine: running(&unbounded), swap, ..debian_13() };
    tells(&with(1 << 30), &["Wrong engine: the kernel doesn't count swap by container"]);
    tells(&with(0), &[]);
}

#[test]
fn kernels_and_cgroups_that_can_t_hold_servers_are_named() {
    let none = HostFacts { cgroups: Cgroups::None, ..debian_13() };
    tells(&none, &["Stops cgroups: no cgroup hierarchy"]);
    let no_memory = Cgroups::V2(["cpu", "pids"].map(str::to_owned).into());
    tells(
        &HostFacts { cgroups: no_memory, ..debian_13() },
        &["Wrong cgroups: the kernel doesn't limit by cgroup: memory"],
    );
    tells(
        &HostFacts { kernel: "5.10.0-34-amd64".to_owned(), ..debian_13() },
        &["Wrong kernel: Linux 5.10.0-34-amd64"],
    );
    tells(&HostFacts { kernel: "5.11".to_owned(), ..debian_13() }, &[]);
}

#[test]
fn a_port_that_somebody_else_has_is_named_with_its_holder() {
    for (held, expected) in [
        (
            Held::Process("nginx".to_owned(), 7),
            "Wrong ports: port 80 is for the web server, and `nginx` (process 7) has it",
        ),
        (
            Held::Container("old".to_owned()),
            "Wrong ports: port 80 is for the web server, and the container `old` has it",
        ),
        (Held::Hidden, "Wrong ports: port 80 is for the web server, and another program has it"),
    ] {
        let mut facts = debian_13();
        facts.ports[0].held = held;
        tells(&facts, &[expected]);
        assert!(judge(&facts)[0].remedy.contains("`web.http_port`"));
    }
}

#[test]
fn disks_are_judged_by_their_kind_their_room_and_their_inodes() {
    let told_of = |disk: Disk| told(&HostFacts { disks: vec![disk], ..debian_13() });
    let kind = |kind: &str| told_of(Disk { kind: kind.to_owned(), ..disk() });
    assert_eq!([kind("ext4"), kind("xfs"), kind("btrfs")].concat(), [""; 0]);
    assert!(kind("overlay")[0].starts_with("Stops disk: the engine's folder is on overlay"));
    assert!(kind("tmpfs")[0].contains("gone when the machine restarts"));
    assert!(told_of(Disk { free: 4 << 30, ..disk() })[0].contains("4096 MiB are free"));
    let data = Disk { has_engine: false, kind: "nfs4".to_owned(), ..disk() };
    assert_eq!(told_of(data.clone()), [""; 0], "state and data may lie on a network's file system");
    assert!(told_of(Disk { free: 4 << 30, ..data })[0].contains("almost full"));
    assert!(told_of(Disk { free_inodes: 10, ..disk() })[0].contains("room for 10 files more"));
    assert_eq!(
        told_of(Disk { inodes: 0, free_inodes: 0, ..disk() }),
        [""; 0],
        "inodes that are made as needed"
    );
}

#[test]
fn memory_clock_and_name_are_judged() {
    tells(
        &HostFacts { memory: Some(512 << 20), ..debian_13() },
        &["Wrong memory: 512 MiB of memory and 1024 MiB of swap"],
    );
    let little = HostFacts { memory: Some(1536 << 20), swap: 0, ..debian_13() };
    tells(&little, &["Advice memory: 1536 MiB of memory and there is no swap"]);
    tells(&HostFacts { clock: Clock::Alone, ..debian_13() }, &["Wrong clock: no time server"]);
    let name = |records| {
        let name = Some(Name { name: "h.org".to_owned(), records });
        told(&HostFacts { name, ..debian_13() })
    };
    assert!(name(Ok(Vec::new()))[0].starts_with("Wrong DNS: h.org has no address"));
    assert!(name(Err("no answer".to_owned()))[0].ends_with("can't be had: no answer"));
    let records = vec![("192.0.2.1".parse().unwrap(), true), ("192.0.2.9".parse().unwrap(), false)];
    assert!(name(Ok(records))[0].contains("leads to 192.0.2.9"));
}

#[test]
fn versions_are_compared_by_their_numbers() {
    assert_eq!(version("2.6.2-5+deb12u1"), Some([2, 6, 2]));
    assert_eq!(version("v1.3"), Some([1, 3, 0]));
    assert_eq!(version::<2>("6.12.48+deb13-amd64"), Some([6, 12]));
    assert_eq!(version::<3>("unknown"), None);
    assert_eq!(version::<3>(""), None);
    assert!(version::<3>("2.11.0") < Some([2, 11, 1]) && version::<3>("2.11.1") == Some([2, 11, 1]));
}
