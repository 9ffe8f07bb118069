//! Thirty idle servers run side by side, on a host whose kernel has the settings that it came with: each has an account of its own.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use berth_tests::process::{run, within};
use berth_tests::{Docker, Platform, World, image};

crate::stories! { thirty_idle_servers_run }

const SERVERS: u32 = 30;
/// Thirty times systemd, on a busy machine with two cores.
const BOOT: Duration = Duration::from_secs(900);
const INSTANCES: &str = "/proc/sys/fs/inotify/max_user_instances";

fn thirty_idle_servers_run(world: &World) {
    let platform = Platform::new(world.engine_with_servers(), |state| {
        let settings = state.read("platform.toml");
        let settings =
            settings.replace(image::TINY, image::SERVER).replace(image::HOLDER, image::SERVER_HOLDER);
        state.write("platform.toml", &settings);
        for id in 1..=SERVERS {
            state.server(&format!("idle-{id}"), id, "memory = \"512 MiB\"\npids = 1024\ncpus = 1\n");
        }
    });
    let _stock = Ceiling::at("128");
    run(&mut platform.berth_command(&["apply"]), BOOT).good();
    let state = |id: u32| {
        let ran = platform.docker().attempt(&["exec", &platform.name(id), "systemctl", "is-system-running"]);
        ran.stdout.trim().to_owned()
    };
    let is_up = |state: &String| ["running", "degraded"].contains(&state.as_str());
    let states: BTreeMap<u32, String> = (1..=SERVERS)
        .map(|id| (id, within(BOOT, &format!("server {id} has started"), || Some(state(id)).filter(is_up))))
        .collect();
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

/// The kernel's ceiling on inotify instances, until it is dropped.
struct Ceiling(String);

impl Ceiling {
    fn at(value: &str) -> Self {
        let before = fs::read_to_string(INSTANCES).expect("the ceiling");
        fs::write(INSTANCES, value).expect("another ceiling");
        Self(before)
    }
}

impl Drop for Ceiling {
    fn drop(&mut self) {
        let _ = fs::write(INSTANCES, &self.0);
    }
}
