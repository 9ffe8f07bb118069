//! Snapshots, and the text that becomes of them.

use std::collections::BTreeMap;
use std::fs;

use berth_backup::{Part, PartRecord, PartResult, RunRecord};
use berth_count::Counted;
use berth_metrics::{Format, text};
use berth_schema::name::ServerId;
use serde_json::json;

use super::*;
use crate::figures::{Passed, Reading};

fn id(number: u32) -> ServerId {
    ServerId(number.try_into().unwrap())
}

/// A server that is as wanted and one that isn't, a tombstone, a cache that was asked, and a pass with a failure.
fn status() -> Status {
    let revision = "0123456789abcdef0123456789abcdef01234567";
    let server = |id: u32, actual: &str| {
        json!({
            "id": id, "name": format!("s{id}"), "owner": "ann", "wanted": "running", "actual": actual,
            "nano_cpus": 500_000_000, "memory": 1 << 30, "image": "server",
        })
    };
    let outcome = |result: serde_json::Value| {
        json!({
            "subject": "server s1 (id 1)", "action": "create", "result": result,
            "millis": 5, "steps_done": 1, "steps": 1,
        })
    };
    let status = json!({
        "version": "0", "pid": 1, "engine": "29", "engine_answers": true, "platform": "hosting",
        "last_applied": revision,
        "last_pass": {
            "at": "2026-01-02T03:04:05Z", "attempted": revision, "revision": revision, "reason": "a request",
            "outcomes": [
                outcome(json!({"ended": "done"})),
                outcome(json!({"ended": "failed", "error": "no", "retry": "on-change"})),
            ],
            "problems": ["one", "two", "three"],
        },
        "servers": [server(1, "running"), server(2, "missing")],
        "tombstones": [{"id": 3, "name": "old", "owner": "ann", "purge_after": "2026-02-02T00:00:00Z"}],
        "system": [],
        "cache": {
            "usage": {"bytes": 7, "hits": 8, "misses": 9},
            "rate_limit": {"limit": 100, "remaining": 42, "window_seconds": 21600, "at": "2026-01-02T03:00:00Z"},
            "trouble": null,
        },
    });
    serde_json::from_value(status).unwrap()
}

/// The samples of a text, by name and labels.
fn samples(text: &str) -> BTreeMap<&str, &str> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.rsplit_once(' ').unwrap()).collect()
}

fn seen() -> Seen {
    let known = |number: u32| Known {
        name: format!("s{number}"),
        container: format!("hosting-users-dind-{number}"),
        id: None,
        wanted: None,
    };
    Seen { servers: [(id(1), known(1)), (id(2), known(2))].into(), ..Seen::default() }
}

fn told(folders: &Folders, used: &Use, status: Option<Status>) -> String {
    let sources = Sources {
        folders,
        told: Some(Told::default()),
        status,
        seen: &seen(),
        used,
        sites: &Sites::default(),
    };
    text(&sources.snapshot(), Format::Prometheus)
}

#[test]
fn every_metric_of_the_platform_follows_from_the_status() {
    let text = told(&Folders::default(), &Use::default(), Some(status()));
    let found = samples(&text);
    for (name, value) in [
        ("berth_up", "1"),
        ("berth_engine_answers", "1"),
        ("berth_servers", "2"),
        ("berth_servers_as_wanted", "1"),
        ("berth_tombstones", "1"),
        ("berth_image_cache_bytes", "7"),
        ("berth_image_cache_hits", "8"),
        ("berth_image_cache_misses", "9"),
        ("berth_dockerhub_pulls_remaining", "42"),
        ("berth_last_pass_timestamp_seconds", "1767323045"),
        ("berth_last_pass_changes", "2"),
        ("berth_last_pass_failures", "1"),
        ("berth_last_pass_problems", "3"),
        ("berth_converged", "1"),
        ("berth_info{version=\"0\",platform=\"hosting\",engine=\"29\"}", "1"),
        ("berth_server_up{name=\"hosting-users-dind-1\",server=\"s1\"}", "0"),
        ("container_spec_cpu_quota{id=\"\",name=\"hosting-users-dind-1\",image=\"server\"}", "50000"),
    ] {
        assert_eq!(found.get(name), Some(&value), "{name} in {text}");
    }
    let text = told(&Folders::default(), &Use::default(), None);
    assert_eq!(samples(&text).get("berth_up"), Some(&"1"));
    assert!(!text.contains("berth_servers "), "before the first pass nothing is known of servers");
}

#[test]
fn servers_have_the_metrics_of_containers() {
    let used = Use::default();
    let reading = Reading {
        cpu_micros: 12_000_345,
        memory: 4096,
        usage: 8192,
        processes: 3,
        moved: None,
        oom_kills: Some(2),
    };
    let passed = Some(Passed { received: 70, sent: 80 });
    used.pretend(id(1), Counters { cgroup: "/docker/abc".to_owned(), reading, passed });
    let text = told(&Folders::default(), &used, Some(status()));
    let found = samples(&text);
    let labels = "id=\"/docker/abc\",name=\"hosting-users-dind-1\",image=\"server\"";
    for (name, value) in [
        (format!("container_cpu_usage_seconds_total{{{labels},cpu=\"total\"}}"), "12.000345"),
        (format!("container_memory_working_set_bytes{{{labels}}}"), "4096"),
        (format!("container_memory_usage_bytes{{{labels}}}"), "8192"),
        (format!("container_threads{{{labels}}}"), "3"),
        (format!("container_oom_events_total{{{labels}}}"), "2"),
        (format!("container_network_receive_bytes_total{{{labels},interface=\"eth0\"}}"), "70"),
        (format!("container_network_transmit_bytes_total{{{labels},interface=\"eth0\"}}"), "80"),
        ("berth_server_up{name=\"hosting-users-dind-1\",server=\"s1\"}".to_owned(), "1"),
        ("berth_server_up{name=\"hosting-users-dind-2\",server=\"s2\"}".to_owned(), "0"),
    ] {
        assert_eq!(found.get(name.as_str()), Some(&value), "{name} in {text}");
    }
    assert!(!text.contains("container_fs_reads_bytes_total"), "the kernel doesn't count them here");
}

#[test]
fn every_process_tells_its_own_counts_and_no_others() {
    let home = tempfile::tempdir().unwrap();
    let folders = Folders {
        door: home.path().join("door"),
        panel: home.path().join("panel"),
        backup: home.path().join("backup"),
        ..Folders::default()
    };
    for folder in [&folders.door, &folders.panel] {
        fs::create_dir(folder).unwrap();
    }
    let counts = r#"{"counted":{"PanelLogin":3,"Request2xx":5,"Gate4xx":7,"PassClean":9}}"#;
    fs::write(folders.door.join(COUNTS_FILE), counts).unwrap();
    fs::write(folders.door.join(GATE_COUNTS), counts).unwrap();
    fs::write(folders.panel.join(COUNTS_FILE), counts).unwrap();
    let found = folders.counts(None);
    let own = berth_count::now().of(Counted::PassClean);
    let all = [Counted::PanelLogin, Counted::Request2xx, Counted::Gate4xx].map(|one| found.of(one));
    assert_eq!((all, found.of(Counted::PassClean)), ([3, 5, 7], own));
    // One that was taken over leaves something else.
    fs::remove_file(folders.panel.join(COUNTS_FILE)).unwrap();
    std::os::unix::fs::symlink(folders.door.join(COUNTS_FILE), folders.panel.join(COUNTS_FILE)).unwrap();
    assert_eq!(folders.counts(None).of(Counted::Request2xx), 0);
}

#[test]
fn a_pass_is_counted_with_its_changes_and_steps() {
    let before = berth_count::now();
    let record = status().last_pass.unwrap();
    count_pass(&record, std::time::Duration::from_millis(3));
    let after = berth_count::now();
    let more = |one| after.of(one) - before.of(one);
    assert_eq!(more(Counted::PassUnclean), 1);
    assert_eq!((more(Counted::ChangeDone), more(Counted::ChangeFailed), more(Counted::Steps)), (1, 1, 2));
}

#[test]
fn certificates_of_the_state_s_names_count() {
    let told = Told { domains: ["shop.example.org".to_owned()].into(), ..Told::default() };
    assert!(told.has("shop.example.org") && told.has("*.example.org") && !told.has("gone.example.org"));
}

#[test]
fn the_last_backup_is_the_last_of_everything_in_which_nothing_failed() {
    let home = tempfile::tempdir().unwrap();
    let folders = Folders { backup: home.path().to_owned(), ..Folders::default() };
    let last = |folders| {
        let text = told(folders, &Use::default(), None);
        samples(&text).get("berth_last_backup_timestamp_seconds").map(|value| (*value).to_owned())
    };
    assert_eq!(last(&folders), None);
    let runs = Runs::of(home.path());
    for (second, whole, result) in [
        (100, true, PartResult::Off),
        (200, true, PartResult::Tidied),
        (300, false, PartResult::Off),
        (400, true, PartResult::Failed { error: "the disk is full".to_owned() }),
    ] {
        let began = Timestamp::from_second(second).unwrap();
        let parts = vec![PartRecord { part: Part::Platform, result, millis: 1 }];
        runs.add(&RunRecord { began, ended: began, whole, parts }).unwrap();
    }
    assert_eq!(last(&folders).as_deref(), Some("200"));
}
