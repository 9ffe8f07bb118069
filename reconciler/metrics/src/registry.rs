//! The registry: every metric with its name, its type, its labels and its meaning, and how it follows from a snapshot.
//!
//! Names that cAdvisor has mean what they mean there. docs/metrics.md shows this table, and a test compares the two.

use std::iter::once;

use berth_count::{Counted, Timed};
use berth_schema::server::PowerState;
use berth_wire::usage;
use berth_wire::{Outcome, PassRecord, Status};

use crate::snapshot::{
    Certificate, FileSystem, HostFigures, Network, ServerMetrics, Snapshot, Usage, Wanted,
};

/// Seconds of a day.
const DAY: f64 = 86_400.0;
/// Microseconds of the period in which a processor quota counts, as the engine sets it.
const PERIOD: u64 = 100_000;

/// A metric.
#[derive(Debug)]
pub struct Metric {
    /// Name, as scrapers see it: that of a counter ends in `_total`.
    pub name: &'static str,
    /// Type.
    pub kind: Kind,
    /// Names of its labels.
    pub labels: &'static [&'static str],
    /// Meaning, without a full stop.
    pub help: &'static str,
    /// Values at a moment.
    pub(crate) samples: fn(&Snapshot) -> Vec<Sample>,
}

/// Type of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It goes up and down.
    Gauge,
    /// It goes up, and begins anew when what counts does.
    Counter,
    /// Durations, in buckets.
    Histogram,
}

impl Kind {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Counter => "counter",
            Self::Histogram => "histogram",
        }
    }
}

/// A value with the values of its labels.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sample {
    pub(crate) labels: Vec<(&'static str, String)>,
    pub(crate) value: Value,
}

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Whole(u64),
    Real(f64),
    Times { buckets: Vec<u64>, seconds: f64 },
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Whole(number)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Real(number)
    }
}

const CONTAINER: &[&str] = &["id", "name", "image"];
const DEVICE: &[&str] = &["id", "name", "image", "device"];
const INTERFACE: &[&str] = &["id", "name", "image", "interface"];

macro_rules! metrics {
    ($($name:literal, $kind:ident, $labels:expr, $help:literal, $samples:expr;)*) => {
        /// Every metric.
        pub static METRICS: &[Metric] = &[$(
            Metric { name: $name, kind: Kind::$kind, labels: $labels, help: $help, samples: $samples },
        )*];
    };
}

metrics! {
    "berth_up", Gauge, &[], "1 if the reconciler answers", |now| one(u64::from(now.is_up));
    "berth_info", Gauge, &["version", "platform", "engine"], "1, with the versions of Berth and of the engine, and the platform's prefix", info;
    "berth_engine_answers", Gauge, &[], "1 if the Docker engine answered last", |now| of(now, |status| u64::from(status.engine_answers));
    "berth_converged", Gauge, &[], "1 if the tip of the state repo is applied", converged;
    "berth_servers", Gauge, &[], "Servers in the state repo", |now| of(now, |status| number(status.servers.len()));
    "berth_servers_as_wanted", Gauge, &[], "Servers that are as the state repo says", |now| of(now, as_wanted);
    "berth_tombstones", Gauge, &[], "Removed servers whose data is kept", |now| of(now, |status| number(status.tombstones.len()));
    "berth_last_pass_timestamp_seconds", Gauge, &[], "Moment when the last pass ended", last_pass;
    "berth_last_pass_changes", Gauge, &[], "Changes of the last pass", |now| pass(now, |pass| number(pass.outcomes.len()));
    "berth_last_pass_failures", Gauge, &[], "Changes of the last pass that failed", |now| pass(now, |pass| number(pass.outcomes.iter().filter(|outcome| !Outcome::is_done(outcome)).count()));
    "berth_last_pass_problems", Gauge, &[], "Findings, blocked and waiting changes of the last pass", |now| pass(now, |pass| number(pass.problems.len()));
    "berth_passes_total", Counter, &["result"], "Passes that ended clean, or unclean: with a failure or a problem", |now| counted(now, "berth_passes");
    "berth_pass_duration_seconds", Histogram, &[], "Duration of passes", |now| timed(now, "berth_pass_duration_seconds");
    "berth_changes_total", Counter, &["result"], "Changes that passes made, failed to make, or were interrupted at", |now| counted(now, "berth_changes");
    "berth_change_duration_seconds", Histogram, &[], "Duration of changes", |now| timed(now, "berth_change_duration_seconds");
    "berth_steps_total", Counter, &[], "Steps of changes that were done", |now| counted(now, "berth_steps");
    "berth_pushes_total", Counter, &["verdict"], "Pushes by the verdict on them", |now| counted(now, "berth_pushes");
    "berth_door_commands_total", Counter, &["command", "result"], "Commands over SSH at the git door: ended, failed, refused, or lost with their connection", |now| counted(now, "berth_door_commands");
    "berth_door_command_duration_seconds", Histogram, &["command"], "Duration of commands at the git door", |now| timed(now, "berth_door_command_duration_seconds");
    "berth_door_questions_total", Counter, &["result"], "Questions of the panel, the API and the gate to the door", |now| counted(now, "berth_door_questions");
    "berth_door_question_duration_seconds", Histogram, &[], "Duration of the door's answers", |now| timed(now, "berth_door_question_duration_seconds");
    "berth_logins_total", Counter, &["way", "result"], "Logins to the panel and over SSH. Keys that clients merely try aren't counted as refused", |now| counted(now, "berth_logins");
    "berth_ssh_connections_total", Counter, &["result"], "Connections to the SSH router: served, or refused for being too many", |now| counted(now, "berth_ssh_connections");
    "berth_web_requests_total", Counter, &["status"], "Requests to the panel and the API, by the class of their status", |now| counted(now, "berth_web_requests");
    "berth_web_request_duration_seconds", Histogram, &[], "Time from a request to the panel to the head of its answer", |now| timed(now, "berth_web_request_duration_seconds");
    "berth_gate_requests_total", Counter, &["status"], "Requests to guarded sites, by the class of their status", |now| counted(now, "berth_gate_requests");
    "berth_image_cache_bytes", Gauge, &[], "Bytes that the image cache stores", |now| cache(now, |usage| usage.bytes);
    "berth_image_cache_hits", Gauge, &[], "Requests that the image cache answered by itself since it started", |now| cache(now, |usage| usage.hits);
    "berth_image_cache_misses", Gauge, &[], "Requests for which the image cache asked its upstream", |now| cache(now, |usage| usage.misses);
    "berth_dockerhub_pulls_remaining", Gauge, &[], "Pulls that Docker Hub still allows in its window", pulls;
    "berth_last_backup_timestamp_seconds", Gauge, &[], "Moment when the last backup began that has everything", last_backup;
    "berth_last_drill_timestamp_seconds", Gauge, &[], "Moment when the last drill of a backup began that passed", last_drill;
    "berth_certificate_days_left", Gauge, &["domain", "of"], "Days until the certificate of a domain ends: of the panel, or of a server's site", certificates;
    "berth_server_info", Gauge, &["name", "server", "number", "owner", "wanted"], "1, with a server's container, name, number and owner, and the power state that the state repo wants", server_info;
    "berth_server_up", Gauge, &["name", "server"], "1 if the server runs, 0 if it doesn't and should", server_up;
    "berth_server_inodes", Gauge, &["name"], "Files and folders of a server, as they were counted last", |now| servers(now, |server| server.inodes);
    "container_last_seen", Gauge, CONTAINER, "Moment of the figures", |now| running(now, |_| Some(now_seconds(now)));
    "container_cpu_usage_seconds_total", Counter, &["id", "name", "image", "cpu"], "Seconds of processors that were used", |now| with(running(now, |usage| Some(seconds(usage.cpu_micros))), "cpu", "total");
    "container_memory_working_set_bytes", Gauge, CONTAINER, "Bytes of memory in use, without the page cache that the kernel takes back first", |now| running(now, |usage| Some(usage.working_set));
    "container_memory_usage_bytes", Gauge, CONTAINER, "Bytes of memory in use, with the page cache", |now| running(now, |usage| Some(usage.memory));
    "container_threads", Gauge, CONTAINER, "Processes and threads", |now| running(now, |usage| Some(usage.threads));
    "container_oom_events_total", Counter, CONTAINER, "Programs that the kernel ended for want of memory", oom;
    "container_network_receive_bytes_total", Counter, INTERFACE, "Bytes that came in over the network", |now| networks(now, |network| network.received);
    "container_network_transmit_bytes_total", Counter, INTERFACE, "Bytes that went out over the network", |now| networks(now, |network| network.sent);
    "container_fs_reads_bytes_total", Counter, DEVICE, "Bytes read from disks", |now| with(running(now, |usage| Some(usage.io?.read)), "device", "");
    "container_fs_writes_bytes_total", Counter, DEVICE, "Bytes written to disks. Not counted under cgroup v1", |now| with(running(now, |usage| usage.io?.written), "device", "");
    "container_fs_usage_bytes", Gauge, DEVICE, "Bytes of disk space in use: of a server as they were measured last, of the host by file system", fs_usage;
    "container_fs_limit_bytes", Gauge, DEVICE, "Bytes of a file system of the host", |now| file_systems(now, |found| found.bytes);
    "container_fs_inodes_total", Gauge, DEVICE, "Inodes of a file system of the host; 0 where it has no fixed number", |now| file_systems(now, |found| found.inodes);
    "container_fs_inodes_free", Gauge, DEVICE, "Inodes of a file system of the host that are free", |now| file_systems(now, |found| found.inodes_free);
    "container_spec_memory_limit_bytes", Gauge, CONTAINER, "Bytes of memory that a server may use", |now| spec(now, |_, memory| memory);
    "container_spec_cpu_quota", Gauge, CONTAINER, "Microseconds of processors that a server may use in a period", |now| spec(now, |nano_cpus, _| nano_cpus / (1_000_000_000 / PERIOD));
    "container_spec_cpu_period", Gauge, CONTAINER, "Microseconds of a period", |now| spec(now, |_, _| PERIOD);
    "machine_cpu_cores", Gauge, &[], "Processors of the host", |now| host(now, |host| host.processors.into());
    "machine_memory_bytes", Gauge, &[], "Bytes of the host's memory", |now| host(now, |host| host.memory);
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

fn plain(value: impl Into<Value>) -> Sample {
    Sample { labels: Vec::new(), value: value.into() }
}

fn one(value: impl Into<Value>) -> Vec<Sample> {
    vec![plain(value)]
}

fn seconds(micros: u64) -> f64 {
    std::time::Duration::from_micros(micros).as_secs_f64()
}

fn now_seconds(now: &Snapshot) -> u64 {
    now.at.as_second().cast_unsigned()
}

fn of(now: &Snapshot, value: impl Fn(&Status) -> u64) -> Vec<Sample> {
    now.status.iter().map(|status| plain(value(status))).collect()
}

fn as_wanted(status: &Status) -> u64 {
    number(status.servers.iter().filter(|row| row.is_as_wanted()).count())
}

fn info(now: &Snapshot) -> Vec<Sample> {
    let labels = |status: &Status| {
        let values = [&status.version, &status.platform, &status.engine];
        ["version", "platform", "engine"].into_iter().zip(values.map(Clone::clone)).collect()
    };
    now.status.iter().map(|status| Sample { labels: labels(status), value: Value::Whole(1) }).collect()
}

fn pass(now: &Snapshot, value: impl Fn(&PassRecord) -> u64) -> Vec<Sample> {
    let last = now.status.iter().filter_map(|status| status.last_pass.as_ref());
    last.map(|pass| plain(value(pass))).collect()
}

fn last_pass(now: &Snapshot) -> Vec<Sample> {
    pass(now, |pass| u64::try_from(pass.at.as_second()).unwrap_or_default())
}

fn last_backup(now: &Snapshot) -> Vec<Sample> {
    let began = now.last_backup.iter().map(|began| u64::try_from(began.as_second()).unwrap_or_default());
    began.map(plain).collect()
}

fn last_drill(now: &Snapshot) -> Vec<Sample> {
    let began = now.last_drill.iter().map(|began| u64::try_from(began.as_second()).unwrap_or_default());
    began.map(plain).collect()
}

fn converged(now: &Snapshot) -> Vec<Sample> {
    let is = |status: &Status, attempted| status.last_applied.is_some() && status.last_applied == attempted;
    let told = now.status.iter().filter_map(|status| Some((status, status.last_pass.as_ref()?.attempted)));
    told.map(|(status, attempted)| plain(u64::from(is(status, attempted)))).collect()
}

fn cache(now: &Snapshot, value: impl Fn(&usage::Usage) -> u64) -> Vec<Sample> {
    let usage = now.status.iter().filter_map(|status| status.cache.as_ref()?.usage.as_ref());
    usage.map(|usage| plain(value(usage))).collect()
}

fn pulls(now: &Snapshot) -> Vec<Sample> {
    let left = now.status.iter().filter_map(|status| status.cache.as_ref()?.rate_limit.as_ref()?.remaining);
    left.map(plain).collect()
}

fn counted(now: &Snapshot, metric: &str) -> Vec<Sample> {
    // Without the reconciler nobody gathers counts; zeros would be taken for a new beginning.
    let ours = Counted::ALL.iter().filter(|one| now.is_up && one.metric() == metric);
    let labels = |one: &Counted| one.labels().iter().map(|(name, value)| (*name, (*value).to_owned()));
    ours.map(|one| Sample { labels: labels(one).collect(), value: now.counts.of(*one).into() }).collect()
}

fn timed(now: &Snapshot, metric: &str) -> Vec<Sample> {
    let ours = Timed::ALL.iter().filter(|one| now.is_up && one.metric() == metric);
    let sample = |one: &Timed| {
        let (buckets, seconds) = now.counts.times(*one);
        Sample {
            labels: one.labels().iter().map(|(name, value)| (*name, (*value).to_owned())).collect(),
            value: Value::Times { buckets: buckets.to_vec(), seconds },
        }
    };
    ours.map(sample).collect()
}

fn certificates(now: &Snapshot) -> Vec<Sample> {
    let sample = |certificate: &Certificate| {
        let left = certificate.ends.duration_since(now.at).as_secs_f64() / DAY;
        let labels = vec![("domain", certificate.domain.clone()), ("of", certificate.of.to_owned())];
        Sample { labels, value: left.into() }
    };
    now.certificates.iter().map(sample).collect()
}

fn server_info(now: &Snapshot) -> Vec<Sample> {
    let sample = |(server, wanted): (&ServerMetrics, &Wanted)| {
        let state = match wanted.state {
            PowerState::Running => "running",
            PowerState::Stopped => "stopped",
        };
        let labels = vec![
            ("name", server.container.clone()),
            ("server", server.name.clone()),
            ("number", server.id.to_string()),
            ("owner", wanted.owner.clone()),
            ("wanted", state.to_owned()),
        ];
        Sample { labels, value: Value::Whole(1) }
    };
    wanted(now).map(sample).collect()
}

fn server_up(now: &Snapshot) -> Vec<Sample> {
    let running = wanted(now).filter(|(_, wanted)| wanted.state == PowerState::Running);
    let sample = |(server, _): (&ServerMetrics, &Wanted)| {
        let labels = vec![("name", server.container.clone()), ("server", server.name.clone())];
        Sample { labels, value: u64::from(server.usage.is_some()).into() }
    };
    running.map(sample).collect()
}

/// The servers of the state repo.
fn wanted(now: &Snapshot) -> impl Iterator<Item = (&ServerMetrics, &Wanted)> {
    now.servers.iter().filter_map(|server| Some((server, server.wanted.as_ref()?)))
}

fn host(now: &Snapshot, value: impl Fn(&HostFigures) -> u64) -> Vec<Sample> {
    now.host.iter().map(|host| plain(value(host))).collect()
}

/// Labels of a server's container, as cAdvisor has them.
fn labels(server: &ServerMetrics) -> Vec<(&'static str, String)> {
    let image = server.wanted.as_ref().map(|wanted| wanted.image.clone()).unwrap_or_default();
    vec![("id", server.cgroup.clone()), ("name", server.container.clone()), ("image", image)]
}

/// The same of the host as a whole, which cAdvisor calls `/`.
fn root() -> Vec<(&'static str, String)> {
    vec![("id", "/".to_owned()), ("name", String::new()), ("image", String::new())]
}

/// Values of the host and of the servers that run.
fn running<V: Into<Value>>(now: &Snapshot, value: impl Fn(&Usage) -> Option<V>) -> Vec<Sample> {
    let host = now.host.iter().filter_map(|host| Some((root(), value(&host.usage)?)));
    let servers = now.servers.iter().filter_map(|server| {
        let value = value(server.usage.as_ref()?)?;
        Some((labels(server), value))
    });
    host.chain(servers).map(|(labels, value)| Sample { labels, value: value.into() }).collect()
}

fn with(samples: Vec<Sample>, name: &'static str, value: &str) -> Vec<Sample> {
    let more = |mut sample: Sample| {
        sample.labels.push((name, value.to_owned()));
        sample
    };
    samples.into_iter().map(more).collect()
}

fn servers(now: &Snapshot, value: impl Fn(&ServerMetrics) -> Option<u64>) -> Vec<Sample> {
    let found = now.servers.iter().filter_map(|server| Some((server, value(server)?)));
    found
        .map(|(server, value)| Sample {
            labels: vec![("name", server.container.clone())],
            value: value.into(),
        })
        .collect()
}

fn oom(now: &Snapshot) -> Vec<Sample> {
    let host = now.host.iter().filter_map(|host| Some((root(), host.usage.oom_kills?)));
    let servers = now.servers.iter().map(|server| {
        let kernel = server.usage.and_then(|usage| usage.oom_kills).unwrap_or_default();
        // Under v1 the kernel counts those of the outermost cgroup alone, and the engine hears of all.
        (labels(server), kernel.max(server.out_of_memory.into()))
    });
    host.chain(servers).map(|(labels, value)| Sample { labels, value: value.into() }).collect()
}

fn networks(now: &Snapshot, value: impl Fn(&Network) -> u64) -> Vec<Sample> {
    let host = now
        .host
        .iter()
        .flat_map(|host| &host.networks)
        .map(|(name, network)| (root(), name.as_str(), network));
    let servers =
        now.servers.iter().filter_map(|server| Some((labels(server), "eth0", server.network.as_ref()?)));
    let sample = |(mut labels, interface, network): (Vec<_>, &str, &Network)| {
        labels.push(("interface", interface.to_owned()));
        Sample { labels, value: value(network).into() }
    };
    host.chain(servers).map(sample).collect()
}

fn file_systems(now: &Snapshot, value: impl Fn(&FileSystem) -> u64) -> Vec<Sample> {
    let found = now.host.iter().flat_map(|host| &host.file_systems);
    let sample = |found: &FileSystem| {
        let labels = root().into_iter().chain(once(("device", found.device.clone()))).collect();
        Sample { labels, value: value(found).into() }
    };
    found.map(sample).collect()
}

fn fs_usage(now: &Snapshot) -> Vec<Sample> {
    let mut samples = file_systems(now, |found| found.used);
    let measured = now.servers.iter().filter_map(|server| Some((labels(server), server.disk?)));
    let measured = measured.map(|(labels, bytes)| Sample { labels, value: bytes.into() });
    samples.extend(with(measured.collect(), "device", ""));
    samples
}

fn spec(now: &Snapshot, value: impl Fn(u64, u64) -> u64) -> Vec<Sample> {
    let sample = |(server, wanted): (&ServerMetrics, &Wanted)| Sample {
        labels: labels(server),
        value: value(wanted.nano_cpus, wanted.memory).into(),
    };
    wanted(now).map(sample).collect()
}
