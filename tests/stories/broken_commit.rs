//! A commit with a mistake changes nothing: the last good state keeps running, and is still repaired.

use berth_tests::{Platform, World, eventually};

crate::stories! { the_last_good_state_keeps_running }

fn the_last_good_state_keeps_running(world: &World) {
    let platform = Platform::new(world.engine(), |state| {
        state.server("shop", 1, "");
    });
    let daemon = platform.daemon();
    let before = platform.running(1);
    platform.apply();

    let broken = platform.commit("a slip, and a new server", |state| {
        state.server("shop", 1, "memory = 64\n");
        state.server("blog", 2, "");
    });
    // The file, the line and the column, wherever somebody looks.
    let place = "servers/shop.toml:3:10";
    eventually("the status says where the mistake is", || {
        platform.berth(&["status"]).words().contains(place).then_some(())
    });
    daemon.says("mistakes");
    platform.berth(&["check"]).coded(1).says(place);
    platform.berth(&["plan"]).coded(1).says(place);
    platform.berth(&["apply"]).coded(1).says(place);
    assert_eq!(platform.server(1), before);
    assert!(platform.find(2).is_none(), "nothing of a broken commit is done");
    assert_ne!(platform.status().expect("a status")["last_applied"], broken.as_str());

    // Meanwhile the good state is kept up, by a daemon that was started anew, too.
    platform.docker().run(&["rm", "-f", &platform.name(1)]);
    let repaired = platform.running(1);
    assert_ne!(repaired.id, before.id);
    daemon.end();
    let daemon = platform.daemon();
    platform.docker().run(&["stop", &platform.name(1)]);
    platform.running(1);

    let mended = platform.commit("the slip is mended", |state| {
        state.server("shop", 1, "memory = \"96 MiB\"\n");
    });
    platform.running(2);
    eventually("the mended commit is applied", || {
        (platform.status()?["last_applied"] == mended.as_str()).then_some(())
    });
    assert_eq!(platform.server(1).memory, 96 << 20);
    assert_eq!(platform.server(1).id, repaired.id);
    daemon.end();
    platform.settled();
}
