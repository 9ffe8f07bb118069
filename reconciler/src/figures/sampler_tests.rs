//! The sampler, over trees of files in which servers come and go.

use std::path::Path;

use tempfile::TempDir;

use super::*;

/// Time from one sample to the next.
const EVERY: Duration = Duration::from_secs(10);

fn id(number: u32) -> ServerId {
    ServerId(number.try_into().unwrap())
}

/// An engine's cgroups, as files.
struct Cgroups(TempDir);

impl Cgroups {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn tree(&self) -> Option<Tree> {
        Some(Tree::Unified(self.0.path().to_owned()))
    }

    fn put(&self, container: &str, cpu_micros: u64) {
        put(&self.0.path().join("docker").join(container), cpu_micros);
    }

    fn end(&self, container: &str) {
        fs::remove_dir_all(self.0.path().join("docker").join(container)).unwrap();
    }
}

fn put(folder: &Path, cpu_micros: u64) {
    fs::create_dir_all(folder).unwrap();
    let files = [
        ("cpu.stat", format!("usage_usec {cpu_micros}\nuser_usec 1\n")),
        ("memory.current", "5000\n".to_owned()),
        ("memory.stat", "anon 1\ninactive_file 904\n".to_owned()),
        ("pids.current", "3\n".to_owned()),
    ];
    for (file, text) in files {
        fs::write(folder.join(file), text).unwrap();
    }
}

fn passed(received: u64, sent: u64) -> HashMap<ServerId, Passed> {
    HashMap::from([(id(1), Passed { received, sent })])
}

#[test]
fn a_sample_is_what_was_used_since_the_last() {
    let cgroups = Cgroups::new();
    cgroups.put("a", 1_000_000);
    cgroups.put("b", 0);
    let mut sampler = Sampler::new(cgroups.tree(), None);
    let servers = [(id(1), "a"), (id(2), "b"), (id(3), "c")];
    let begin = Instant::now();
    assert_eq!(sampler.sample(&servers, &passed(0, 100), begin), HashMap::new());
    cgroups.put("a", 4_500_000);
    let samples = sampler.sample(&servers, &passed(20_000, 100), begin + EVERY);
    let idle = Sample { cpu_millis: 0, memory: 4096, processes: 3, network: None, io: None, disk: None };
    let network = Some(Traffic { received: 2000, sent: 0 });
    let busy = Sample { cpu_millis: 350, network, ..idle };
    assert_eq!(samples, HashMap::from([(id(1), busy), (id(2), idle)]));
    // Two samples were missed; the average is over all that time.
    cgroups.put("a", 34_500_000);
    let samples = sampler.sample(&servers, &passed(20_000, 100), begin + 4 * EVERY);
    assert_eq!(samples[&id(1)].cpu_millis, 1000);
}

#[test]
fn a_server_may_start_again_or_be_another() {
    let cgroups = Cgroups::new();
    cgroups.put("a", 9_000_000);
    let mut sampler = Sampler::new(cgroups.tree(), None);
    let mut now = Instant::now();
    let mut sample = |servers: &[(ServerId, &str)], counters: &HashMap<ServerId, Passed>| {
        now += EVERY;
        sampler.sample(servers, counters, now).remove(&id(1))
    };
    assert_eq!(sample(&[(id(1), "a")], &passed(5, 5)), None);
    assert!(sample(&[(id(1), "a")], &passed(5, 5)).is_some());
    // The same container, with counters from zero on: of the link's alone, the rest is known.
    assert_eq!(sample(&[(id(1), "a")], &passed(0, 0)).unwrap().network, None);
    cgroups.put("a", 10);
    assert_eq!(sample(&[(id(1), "a")], &passed(0, 0)), None);
    assert!(sample(&[(id(1), "a")], &passed(0, 0)).is_some());
    // Another container.
    cgroups.put("b", 20_000_000);
    assert_eq!(sample(&[(id(1), "b")], &passed(0, 0)), None);
    assert!(sample(&[(id(1), "b")], &passed(0, 0)).is_some());
    cgroups.end("b");
    assert_eq!(sample(&[(id(1), "b")], &passed(0, 0)), None);
}

#[test]
fn the_place_of_containers_is_searched_now_and_then() {
    let cgroups = Cgroups::new();
    let mut sampler = Sampler::new(cgroups.tree(), None);
    let begin = Instant::now();
    let none = HashMap::new();
    sampler.sample(&[], &none, begin);
    assert_eq!(sampler.searched, None, "there is nobody to look for");
    sampler.sample(&[(id(1), "a")], &none, begin);
    // It starts, in a place of its own, and is found when the next search is due.
    put(&cgroups.0.path().join("machine.slice/a"), 0);
    sampler.sample(&[(id(1), "a")], &none, begin + EVERY);
    assert_eq!(sampler.last.len(), 0);
    sampler.sample(&[(id(1), "a")], &none, begin + SEARCH_EVERY);
    assert_eq!(sampler.last.len(), 1);
    sampler.sample(&[(id(1), "a"), (id(2), "b")], &none, begin + 2 * SEARCH_EVERY);
    assert_eq!(sampler.searched, Some(begin + SEARCH_EVERY), "one that runs is enough");
}

#[test]
fn a_host_without_cgroups_has_no_figures() {
    let mut sampler = Sampler::new(None, None);
    let now = Instant::now();
    assert_eq!(sampler.sample(&[(id(1), "a")], &HashMap::new(), now), HashMap::new());
    assert_eq!(sampler.searched, None);
}

#[test]
fn samples_come_in_the_middle_of_their_places() {
    for (millis, expected) in [(0, 2500), (2500, 5000), (2499, 1), (2501, 4999), (4999, 2501), (7500, 5000)] {
        let now = Timestamp::from_millisecond(1_800_000_000_000 + millis).unwrap();
        assert_eq!(rest(now), Duration::from_millis(expected), "{millis}");
    }
}

#[test]
fn the_past_of_servers_outlives_the_sampler_and_not_the_servers() {
    let (cgroups, home) = (Cgroups::new(), tempfile::tempdir().unwrap());
    cgroups.put("a", 0);
    let known = |container: &str| crate::servers::Known {
        name: "shop".to_owned(),
        container: "hosting-users-dind-1".to_owned(),
        id: Some(container.to_owned()),
        wanted: None,
    };
    let seen = Seen {
        platform: Some("hosting".parse().unwrap()),
        servers: [(id(1), known("a")), (id(2), known("b"))].into(),
        ..Seen::default()
    };
    let used = Use::default();
    let mut sampler = Sampler::new(cgroups.tree(), Some(home.path().to_owned()));
    sampler.work(&Seen::default(), &used);
    assert_eq!(used.newest(), None, "no pass has seen anything yet");
    sampler.work(&seen, &used);
    sampler.work(&seen, &used);
    let running = |used: &Use| -> Vec<ServerId> {
        let servers = used.newest().unwrap().servers.into_iter();
        servers.filter(|server| server.newest().is_some()).map(|server| server.id).collect()
    };
    assert_eq!(running(&used), [id(1)]);
    assert!(used.newest().unwrap().host.is_some());
    assert_eq!(used.counters()[&id(1)].cgroup, "/docker/a");
    used.keep();
    let next = Use::default();
    Sampler::new(cgroups.tree(), Some(home.path().to_owned())).work(&seen, &next);
    let past = next.past(&[id(1), id(2)], Span::Hour).unwrap().read();
    assert_eq!(past.servers.len(), 1);
    assert!(past.servers[0].samples.iter().flatten().count() >= 1);
    assert_eq!(past.servers[0].newest(), None, "nothing was sampled since");
    // It goes.
    let without = Seen { servers: [(id(2), known("b"))].into(), ..seen };
    Sampler::new(cgroups.tree(), Some(home.path().to_owned())).work(&without, &Use::default());
    let files =
        fs::read_dir(home.path()).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    assert_eq!(files.collect::<Vec<_>>(), ["host.ring"]);
}
