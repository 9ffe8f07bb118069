//! Thirty idle servers run side by side, on a host whose kernel has the settings that it came with: each has an account of its own. So
//! they do beside one that takes all that it can get; what accounts leave to all servers together is named.

use std::collections::BTreeMap;
use std::time::Duration;

use berth_tests::engine::{OWN_RANGES, USUAL};
use berth_tests::process::{run, within};
use berth_tests::{Ceiling, Docker, Platform, World, image};
use serde_json::json;

use crate::hostile_root::hog::{ENOUGH, Hog, OF_THE_MAKER, OF_THE_USER, few, few_of_host};

crate::stories! {
    thirty_idle_servers_run, thirty_idle_servers_run_beside_a_hog, thirty_idle_servers_with_accounts_run_beside_a_hog
}

const SERVERS: u32 = 30;
/// Thirty times systemd, on a busy machine with two cores.
const BOOT: Duration = Duration::from_secs(900);

fn thirty_idle_servers_run(world: &World) {
    let platform = idle_servers(world, "running", SERVERS);
    let _stock = Ceiling::at("fs/inotify/max_user_instances", "128");
    run(&mut platform.berth_command(&["apply"]), BOOT).good();
    all_run(&platform);
}

/// With ids of their own, and beside a server whose root takes all that it can get of everything.
fn thirty_idle_servers_run_beside_a_hog(world: &World) {
    let _watches = Ceiling::at("fs/epoll/max_user_watches", "200000");
    let kinds = [OF_THE_MAKER, OF_THE_USER].concat();
    beside_a_hog(world, OWN_RANGES, &kinds, &[]);
}

/// With an account of its own each, and the limits on epoll and pipes as `berth engine setup` leaves them.
fn thirty_idle_servers_with_accounts_run_beside_a_hog(world: &World) {
    let _watches = Ceiling::at("fs/epoll/max_user_watches", "2147483647");
    let _pages = Ceiling::at("fs/pipe-user-pages-soft", "0");
    let platform = beside_a_hog(world, USUAL, OF_THE_MAKER, &[("epoll", "300000"), ("pipes", "1500")]);
    // What one server can still take from others is this alone, as docs/isolation.md says.
    let (docker, attacker) = (platform.docker(), platform.name(SERVERS + 1));
    let _hog = full(docker, &attacker, "descriptors");
    let beside = few(docker, &platform.name(1), "descriptors");
    assert_ne!(beside, ENOUGH, "descriptors under way are each server's own by now: docs/isolation.md says otherwise");
    assert_eq!(few_of_host("descriptors"), ENOUGH, "the host's root has its own");
}

/// Starts thirty servers by a runtime beside one that has all of some kinds, and much of others, which have no limit: none of them
/// fails, people get in, and the host's root has enough.
fn beside_a_hog(world: &World, runtime: &str, all: &[&str], much: &[(&str, &str)]) -> Platform {
    let platform = idle_servers(world, "stopped", SERVERS + 1);
    let _stock = Ceiling::at("fs/inotify/max_user_instances", "128");
    run(&mut platform.berth_command(&["apply"]), BOOT).good();
    let docker = platform.docker();
    let start = |id: u32| {
        docker.make_again(&platform.name(id), |body| body["HostConfig"]["Runtime"] = json!(runtime));
    };
    let attacker = platform.name(SERVERS + 1);
    start(SERVERS + 1);
    within(BOOT, "the attacker has started", || is_up(&state(docker, &attacker)).then_some(()));
    let mut hogs: Vec<Hog> = all.iter().map(|kind| full(docker, &attacker, kind)).collect();
    for (kind, number) in much {
        let hog = Hog::of_size(docker, &attacker, kind, number);
        assert!(!hog.is_full(), "{kind}: {}", hog.got);
        hogs.push(hog);
    }
    (1..=SERVERS).for_each(start);
    all_run(&platform);
    for kind in all.iter().chain(much.iter().map(|(kind, _)| kind)) {
        assert_eq!(few_of_host(kind), ENOUGH, "{kind} of the host's root");
    }
    // Logins go on: an entry is what one comes to.
    for id in [1, SERVERS] {
        assert_eq!(docker.run(&["exec", &platform.name(id), "su", "-", "-c", "echo in"]), "in");
    }
    drop(hogs);
    platform
}

fn full(docker: &Docker, server: &str, kind: &str) -> Hog {
    let hog = Hog::start(docker, server, kind);
    assert!(hog.is_full(), "{kind}: {}", hog.got);
    hog
}

fn idle_servers(world: &World, power: &str, servers: u32) -> Platform {
    Platform::new(world.engine_with_servers(), |first| {
        let settings = first.read("platform.toml");
        let settings =
            settings.replace(image::TINY, image::SERVER).replace(image::HOLDER, image::SERVER_HOLDER);
        first.write("platform.toml", &settings);
        for id in 1..=servers {
            let more = format!("state = \"{power}\"\nmemory = \"512 MiB\"\npids = 1024\ncpus = 1\n");
            first.server(&format!("idle-{id}"), id, &more);
        }
    })
}

fn state(docker: &Docker, server: &str) -> String {
    docker.attempt(&["exec", server, "systemctl", "is-system-running"]).stdout.trim().to_owned()
}

fn is_up(state: &str) -> bool {
    ["running", "degraded"].contains(&state)
}

fn all_run(platform: &Platform) {
    let state = |id: u32| state(platform.docker(), &platform.name(id));
    let started = |id: u32| {
        let up = || Some(state(id)).filter(|state| is_up(state));
        (id, within(BOOT, &format!("server {id} has started"), up))
    };
    let states: BTreeMap<u32, String> = (1..=SERVERS).map(started).collect();
    // None of them is up at the cost of another.
    let failed: BTreeMap<u32, String> = (1..=SERVERS)
        .filter(|id| states.get(id).is_none_or(|state| state != "running") || state(*id) != "running")
        .map(|id| (id, failed_units(platform.docker(), &platform.name(id))))
        .collect();
    assert!(failed.is_empty(), "not running, for these units: {failed:#?}");
}

fn failed_units(docker: &Docker, server: &str) -> String {
    let units = "systemctl list-units --failed --plain --no-legend; journalctl --boot --priority warning --no-pager | tail -20";
    docker.attempt(&["exec", server, "sh", "-c", units]).words()
}
