//! Repair of what somebody did by hand: the daemon listens to the engine, and undoes it at once.

use berth_tests::{Platform, World, eventually};

crate::stories! {
    a_container_removed_by_hand_is_made_again_with_its_data,
    limits_changed_by_hand_are_put_back,
    a_server_stopped_killed_or_paused_by_hand_runs_again,
    a_container_started_by_hand_is_stopped,
}

fn one_server(world: &World) -> Platform {
    Platform::new(world.engine(), |state| {
        state.server("shop", 1, "");
        state.server("off", 2, "state = \"stopped\"\n");
    })
}

fn a_container_removed_by_hand_is_made_again_with_its_data(world: &World) {
    let platform = one_server(world);
    let daemon = platform.daemon();
    let before = platform.running(1);
    platform.leave_mark(1, "kept");
    platform.docker().run(&["rm", "-f", &platform.name(1)]);
    let after = platform.running(1);
    assert_ne!(after.id, before.id);
    platform.has_mark(1, "kept");
    daemon.end();
    platform.settled();
}

fn limits_changed_by_hand_are_put_back(world: &World) {
    let platform = one_server(world);
    let daemon = platform.daemon();
    let before = platform.running(1);
    platform.docker().run(&["update", "--memory", "200m", "--memory-swap", "200m", "--pids-limit", "99", &platform.name(1)]);
    let after = eventually("the limits are as they should be", || {
        Some(platform.server(1)).filter(|now| now.memory == before.memory && now.pids == before.pids)
    });
    assert_eq!(after, before, "not restarted for it");
    daemon.end();
    platform.settled();
}

fn a_server_stopped_killed_or_paused_by_hand_runs_again(world: &World) {
    let platform = one_server(world);
    let daemon = platform.daemon();
    let before = platform.running(1);
    platform.leave_mark(1, "kept");
    for act in ["stop", "kill", "pause"] {
        platform.docker().run(&[act, &platform.name(1)]);
        let after = platform.running(1);
        assert_eq!(after.id, before.id, "after {act}");
    }
    platform.has_mark(1, "kept");
    daemon.end();
    platform.settled();
}

fn a_container_started_by_hand_is_stopped(world: &World) {
    let platform = one_server(world);
    let daemon = platform.daemon();
    platform.running(1);
    let id = platform.server(2).id;
    platform.docker().run(&["start", &platform.name(2)]);
    let stopped = eventually("the stopped server is stopped again", || Some(platform.server(2)).filter(|now| !now.runs()));
    assert_eq!(stopped.id, id);
    daemon.end();
}
