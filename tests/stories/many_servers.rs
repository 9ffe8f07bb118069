//! Thirty idle servers run side by side, on a host whose kernel has the settings that it came with: each has an account of its own. With
//! ids of their own they do so beside one that takes all that it can get.

use std::collections::BTreeMap;
use std::time::Duration;

use berth_tests::engine::OWN_RANGES;
use berth_tests::process::{run, within};
use berth_tests::{Ceiling, Docker, Platform, World, image};
use serde_json::json;

use crate::hostile_root::hog::{Hog, OF_THE_MAKER, OF_THE_USER};

crate::stories! { thirty_idle_servers_run, thirty_idle_servers_run_beside_a_hog }

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
    let platform = idle_servers(world, "stopped", SERVERS + 1);
    let _stock = Ceiling::at("fs/inotify/max_user_instances", "128");
    let _watches = Ceiling::at("fs/epoll/max_user_watches", "200000");
    run(&mut platform.berth_command(&["apply"]), BOOT).good();
    let docker = platform.docker();
    let start = |id: u32| {
        docker.make_again(&platform.name(id), |body| body["HostConfig"]["Runtime"] = json!(OWN_RANGES));
    };
    let attacker = platform.name(SERVERS + 1);
    start(SERVERS + 1);
    within(BOOT, "the attacker has started", || is_up(&state(docker, &attacker)).then_some(()));
    let kinds = [OF_THE_MAKER, OF_THE_USER].concat();
    let hogs: Vec<Hog> = kinds.iter().map(|kind| Hog::start(docker, &attacker, kind)).collect();
    for (kind, hog) in kinds.iter().zip(&hogs) {
        assert!(hog.is_full(), "{kind}: {}", hog.got);
    }
    (1..=SERVERS).for_each(start);
    all_run(&platform);
    // Logins go on: an entry is what one comes to.
    for id in [1, SERVERS] {
        assert_eq!(docker.run(&["exec", &platform.name(id), "su", "-", "-c", "echo in"]), "in");
    }
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
