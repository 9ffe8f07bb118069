//! The text, line by line, and the registry behind it.

use std::collections::{BTreeMap, BTreeSet};

use berth_count::{Counted, Counts, Timed};

use super::*;
use crate::snapshot::{Certificate, FileSystem, HostFigures, Io, Network, ServerMetrics, Usage, Wanted};

/// A snapshot in which every metric has a value.
fn everything() -> Arc<Snapshot> {
    let status = serde_json::json!({
        "version": "1", "pid": 1, "engine": "29", "engine_answers": true, "platform": "hosting",
        "last_applied": null,
        "last_pass": {
            "at": "2026-01-02T03:04:05Z", "attempted": "0000000000000000000000000000000000000001", "revision": null, "reason": "a request",
            "outcomes": [], "problems": [],
        },
        "servers": [], "tombstones": [], "system": [],
        "cache": {
            "usage": {"bytes": 7, "hits": 8, "misses": 9},
            "rate_limit": {"limit": 100, "remaining": 42, "window_seconds": 1, "at": "2026-01-02T03:00:00Z"},
            "trouble": null,
        },
    });
    let usage = Usage {
        cpu_micros: 1_500_000,
        working_set: 10,
        memory: 20,
        threads: 3,
        io: Some(Io { read: 4, written: Some(5) }),
        oom_kills: Some(6),
    };
    let wanted = Wanted {
        owner: "ann".to_owned(),
        state: berth_schema::server::PowerState::Running,
        image: "server".to_owned(),
        nano_cpus: 2_000_000_000,
        memory: 30,
    };
    let server = ServerMetrics {
        id: 1,
        name: "shop".to_owned(),
        wanted: Some(wanted),
        container: "c-1".to_owned(),
        cgroup: "/docker/abc".to_owned(),
        usage: Some(usage),
        network: Some(Network { received: 1, sent: 2 }),
        out_of_memory: 9,
        disk: Some(40),
        inodes: Some(50),
    };
    let file_system =
        FileSystem { device: "/dev/vda".to_owned(), bytes: 100, used: 60, inodes: 10, inodes_free: 4 };
    let host = HostFigures {
        processors: 2,
        memory: 1000,
        usage: Usage { oom_kills: Some(1), ..usage },
        networks: vec![("eth0".to_owned(), Network { received: 7, sent: 8 })],
        file_systems: vec![file_system],
    };
    let ends = Timestamp::from_second(1_800_129_600).unwrap();
    Arc::new(Snapshot {
        is_up: true,
        status: Some(serde_json::from_value(status).unwrap()),
        host: Some(host),
        servers: vec![server],
        certificates: vec![Certificate { domain: "shop.example.org".to_owned(), of: "site", ends }],
        last_backup: Some(Timestamp::from_second(1_799_996_400).unwrap()),
        last_drill: Some(Timestamp::from_second(1_799_910_000).unwrap()),
        counts: Counts::of_text(
            r#"{"counted":{"PassClean":2},"timed":{"Pass":{"buckets":[1,0,0,0,2,0,0,0,0,0,1],"micros":2500000}}}"#,
        )
        .unwrap(),
        at: Timestamp::from_second(1_800_000_000).unwrap(),
    })
}

use jiff::Timestamp;

/// Names of labels in the samples of a text, by metric, without those that a histogram adds.
fn labels(text: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut metric = String::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            metric = rest.split(' ').next().unwrap().to_owned();
            found.entry(metric.clone()).or_default();
            continue;
        }
        if line.starts_with('#') {
            continue;
        }
        assert!(line.starts_with(&metric), "{line} after {metric}");
        let inside =
            line.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map(|(inside, _)| inside);
        let names =
            inside.into_iter().flat_map(|inside| inside.split(',')).filter_map(|one| one.split_once('='));
        let names = names.map(|(name, _)| name.to_owned()).filter(|name| name != "le");
        found.get_mut(&metric).unwrap().extend(names);
    }
    found
}

#[test]
fn the_registry_lists_what_is_told_with_its_labels() {
    let text = text(&everything(), Format::Prometheus);
    let told = labels(&text);
    let listed: BTreeMap<String, BTreeSet<String>> = METRICS
        .iter()
        .map(|metric| (metric.name.to_owned(), metric.labels.iter().map(|name| (*name).to_owned()).collect()))
        .collect();
    assert_eq!(told, listed);
    assert_eq!(METRICS.len(), listed.len(), "each is listed once");
}

#[test]
fn every_series_that_is_counted_is_told() {
    let text = text(&everything(), Format::Prometheus);
    let counted = Counted::ALL.iter().map(|one| (format!("{}_total", one.metric()), one.labels()));
    let timed = Timed::ALL.iter().map(|one| (format!("{}_count", one.metric()), one.labels()));
    for (name, labels) in counted.chain(timed) {
        let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
        let series = match labels.is_empty() {
            true => format!("{name} "),
            false => format!("{name}{{{}}} ", labels.join(",")),
        };
        assert_eq!(text.lines().filter(|line| line.starts_with(&series)).count(), 1, "{series}");
    }
}

#[test]
fn values_are_what_they_are_called() {
    let text = text(&everything(), Format::Prometheus);
    let root = "id=\"/\",name=\"\",image=\"\"";
    let server = "id=\"/docker/abc\",name=\"c-1\",image=\"server\"";
    for line in [
        "berth_up 1".to_owned(),
        "berth_last_backup_timestamp_seconds 1799996400".to_owned(),
        "berth_last_drill_timestamp_seconds 1799910000".to_owned(),
        "berth_certificate_days_left{domain=\"shop.example.org\",of=\"site\"} 1.5".to_owned(),
        format!("container_cpu_usage_seconds_total{{{server},cpu=\"total\"}} 1.5"),
        format!("container_cpu_usage_seconds_total{{{root},cpu=\"total\"}} 1.5"),
        format!("container_spec_cpu_quota{{{server}}} 200000"),
        format!("container_oom_events_total{{{server}}} 9"),
        format!("container_oom_events_total{{{root}}} 1"),
        format!("container_fs_usage_bytes{{{root},device=\"/dev/vda\"}} 60"),
        format!("container_fs_usage_bytes{{{server},device=\"\"}} 40"),
        format!("container_network_receive_bytes_total{{{root},interface=\"eth0\"}} 7"),
        format!("container_last_seen{{{server}}} 1800000000"),
        "machine_cpu_cores 2".to_owned(),
        "berth_passes_total{result=\"clean\"} 2".to_owned(),
        "berth_pass_duration_seconds_count 4".to_owned(),
        "berth_pass_duration_seconds_sum 2.5".to_owned(),
        "berth_pass_duration_seconds_bucket{le=\"0.005\"} 1".to_owned(),
        "berth_pass_duration_seconds_bucket{le=\"1\"} 3".to_owned(),
        "berth_pass_duration_seconds_bucket{le=\"+Inf\"} 4".to_owned(),
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in {text}");
    }
}

#[test]
fn both_formats_are_whole_and_a_missing_reconciler_is_all_that_is_told() {
    let openmetrics = text(&everything(), Format::OpenMetrics);
    assert!(openmetrics.ends_with("# EOF\n"));
    assert!(
        openmetrics.contains("# TYPE berth_passes counter\n"),
        "a family has the name without its ending"
    );
    assert!(!text(&everything(), Format::Prometheus).contains("# EOF"));
    let away = text(&Arc::new(Snapshot::default()), Format::Prometheus);
    let samples: Vec<&str> = away.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(samples, ["berth_up 0"], "zeros would be taken for a new beginning");
}

#[test]
fn scrapers_get_the_format_that_they_ask_for() {
    let prometheus =
        "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1";
    assert_eq!(Format::accepted(Some(prometheus)), Format::OpenMetrics);
    for accept in [None, Some("*/*"), Some("text/plain")] {
        assert_eq!(Format::accepted(accept), Format::Prometheus);
    }
}
