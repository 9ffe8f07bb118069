//! Metrics in the Prometheus text format (version 0.0.4): a few gauges that follow from the status.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use berth_schema::name::ServerId;
use berth_wire::figures::{DiskUse, OutOfMemory};
use berth_wire::{Outcome, Status};

use crate::figures::Reading;
use crate::servers::Seen;

/// The metrics; before the first pass only that the daemon is up.
pub fn text(status: Option<&Status>) -> String {
    let mut out = String::new();
    let mut gauge = |name: &str, help: &str, value: i64| {
        // Writing to a String can't fail.
        let _ = write!(out, "# HELP berth_{name} {help}\n# TYPE berth_{name} gauge\nberth_{name} {value}\n");
    };
    gauge("up", "The reconciler runs.", 1);
    let Some(status) = status else { return out };
    let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    let as_wanted = status.servers.iter().filter(|row| row.is_as_wanted()).count();
    gauge("engine_answers", "The Docker engine answered last.", i64::from(status.engine_answers));
    gauge("servers", "Servers in the state repo.", count(status.servers.len()));
    gauge("servers_as_wanted", "Servers that are as the state repo says.", count(as_wanted));
    gauge("tombstones", "Removed servers whose data is kept.", count(status.tombstones.len()));
    if let Some(usage) = status.cache.as_ref().and_then(|cache| cache.usage.as_ref()) {
        let figure = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        gauge("image_cache_bytes", "Bytes that the image cache stores.", figure(usage.bytes));
        gauge(
            "image_cache_hits",
            "Requests that it answered by itself since it started.",
            figure(usage.hits),
        );
        gauge("image_cache_misses", "Requests for which it asked its upstream.", figure(usage.misses));
    }
    let pulls = status.cache.as_ref().and_then(|cache| cache.rate_limit.as_ref()?.remaining);
    if let Some(pulls) = pulls.and_then(|pulls| i64::try_from(pulls).ok()) {
        gauge("dockerhub_pulls_remaining", "Pulls that Docker Hub still allows in its window.", pulls);
    }
    if let Some(pass) = &status.last_pass {
        let failed = pass.outcomes.iter().filter(|outcome| !Outcome::is_done(outcome)).count();
        gauge("last_pass_timestamp_seconds", "When the last pass ended.", pass.at.as_second());
        gauge("last_pass_changes", "Changes of the last pass.", count(pass.outcomes.len()));
        gauge("last_pass_failures", "Changes of the last pass that failed.", count(failed));
        gauge("last_pass_problems", "Findings, blocked and waiting changes.", count(pass.problems.len()));
        let converged = i64::from(status.last_applied.is_some() && status.last_applied == pass.attempted);
        gauge("converged", "The tip of the state repo is applied.", converged);
    }
    out
}

/// Counters of the servers that run, and the disk space of all, by the names that cAdvisor gives them, so that its dashboards show
/// them.
pub fn servers(
    seen: &Seen,
    counters: &BTreeMap<ServerId, Reading>,
    disks: &BTreeMap<ServerId, DiskUse>,
    full: &BTreeMap<ServerId, OutOfMemory>,
) -> String {
    let mut out = String::new();
    let mut metric = |name: &str, kind: &str, help: &str, values: Vec<(&ServerId, String)>| {
        if values.is_empty() {
            return;
        }
        let _ = write!(out, "# HELP container_{name} {help}\n# TYPE container_{name} {kind}\n");
        for (id, value) in values {
            let Some(server) = seen.servers.get(id) else { continue };
            let _ = writeln!(out, "container_{name}{{name=\"{}\"}} {value}", server.container);
        }
    };
    let counted = |value: &dyn Fn(&Reading) -> String| {
        counters.iter().map(|(id, reading)| (id, value(reading))).collect::<Vec<_>>()
    };
    let seconds = counted(&|reading| {
        format!("{}.{:06}", reading.cpu_micros / 1_000_000, reading.cpu_micros % 1_000_000)
    });
    metric("cpu_usage_seconds_total", "counter", "Seconds of processors that were used.", seconds);
    let memory = counted(&|reading| reading.memory.to_string());
    metric("memory_working_set_bytes", "gauge", "Bytes of memory in use.", memory);
    let disk = disks.iter().map(|(id, disk)| (id, disk.bytes.to_string())).collect();
    let full = full.iter().map(|(id, full)| (id, full.times.to_string())).collect();
    metric("oom_events_total", "counter", "Times that the memory was full.", full);
    metric("fs_usage_bytes", "gauge", "Bytes of disk space, as they were measured last.", disk);
    out
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use berth_schema::server::PowerState;
    use serde_json::json;

    use berth_schema::name::ServerId;
    use berth_wire::Status;
    use berth_wire::figures::{DiskUse, Extent, OutOfMemory};

    use crate::figures::Reading;
    use crate::servers::{Known, Seen};

    #[test]
    fn servers_have_the_metrics_of_containers() {
        let id = |number: u32| ServerId(number.try_into().unwrap());
        let known = Known {
            name: "shop".to_owned(),
            container: "hosting-users-dind-1".to_owned(),
            id: None,
            wanted: Some(PowerState::Running),
        };
        let seen = Seen { servers: BTreeMap::from([(id(1), known)]), ..Seen::default() };
        let reading = Reading { cpu_micros: 12_000_345, memory: 4096, processes: 3, moved: None };
        let disk = DiskUse { bytes: 7, at: jiff::Timestamp::UNIX_EPOCH, extent: Extent::Part };
        let text = super::servers(
            &seen,
            &BTreeMap::from([(id(1), reading), (id(2), reading)]),
            &[(id(1), disk)].into(),
            &[(id(1), OutOfMemory { times: 2, last: jiff::Timestamp::UNIX_EPOCH })].into(),
        );
        let expected = "\
# HELP container_cpu_usage_seconds_total Seconds of processors that were used.
# TYPE container_cpu_usage_seconds_total counter
container_cpu_usage_seconds_total{name=\"hosting-users-dind-1\"} 12.000345
# HELP container_memory_working_set_bytes Bytes of memory in use.
# TYPE container_memory_working_set_bytes gauge
container_memory_working_set_bytes{name=\"hosting-users-dind-1\"} 4096
# HELP container_oom_events_total Times that the memory was full.
# TYPE container_oom_events_total counter
container_oom_events_total{name=\"hosting-users-dind-1\"} 2
# HELP container_fs_usage_bytes Bytes of disk space, as they were measured last.
# TYPE container_fs_usage_bytes gauge
container_fs_usage_bytes{name=\"hosting-users-dind-1\"} 7
";
        assert_eq!(text, expected);
        let nothing = super::servers(&seen, &BTreeMap::new(), &BTreeMap::new(), &BTreeMap::new());
        assert_eq!(nothing, "");
    }

    /// A server that is as wanted and one that isn't, a tombstone, a cache that was asked, and a pass with a failure.
    fn status() -> Status {
        let revision = "0123456789abcdef0123456789abcdef01234567";
        let server = |id: u32, actual: &str| {
            json!({
                "id": id, "name": format!("s{id}"), "owner": "ann", "wanted": "running", "actual": actual,
                "nano_cpus": 1, "memory": 1, "image": "server",
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

    /// Every metric with its value, and in front of each its help and its type.
    fn read(text: &str) -> Vec<(&str, &str)> {
        let lines: Vec<&str> = text.lines().collect();
        let metric = |lines: &[&'_ str]| {
            let name = lines[2].split(' ').next().unwrap();
            assert!(lines[0].starts_with(&format!("# HELP {name} ")), "{lines:?}");
            assert_eq!(lines[1], format!("# TYPE {name} gauge"));
        };
        lines.chunks(3).for_each(metric);
        lines.chunks(3).map(|lines| lines[2].split_once(' ').unwrap()).collect()
    }

    #[test]
    fn every_metric_follows_from_the_status() {
        let expected = [
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
        ];
        assert_eq!(read(&super::text(Some(&status()))), expected);
    }

    #[test]
    fn before_the_first_pass_only_the_daemon_is_told_of() {
        assert_eq!(read(&super::text(None)), [("berth_up", "1")]);
    }
}
