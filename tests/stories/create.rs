//! A commit becomes running servers, and applying it again changes nothing.

use berth_tests::{Platform, Proxy, World};

crate::stories! { a_commit_becomes_servers, applying_again_changes_nothing, a_push_is_applied_by_the_daemon }

fn a_commit_becomes_servers(world: &World) {
    let platform = Platform::new(world.engine(), |state| {
        state.server("shop", 1, "cpus = 0.25\nmemory = \"96 MiB\"\npids = 100\n");
        state.server("blog", 2, "");
        state.server("archive", 3, "state = \"stopped\"\n");
    });
    platform.berth(&["plan"]).coded(2).says("shop");
    platform.apply();

    let shop = platform.server(1);
    assert!(shop.runs());
    assert_eq!((shop.nano_cpus, shop.memory, shop.pids), (250_000_000, 96 << 20, 100));
    assert!(platform.server(2).runs());
    assert!(platform.find(3).is_none_or(|archive| !archive.runs()), "a stopped server doesn't run");

    // What it is made of is said in labels, so that nothing has to be remembered.
    let labels = platform.docker().inspect(&platform.name(1))["Config"]["Labels"].clone();
    for (label, value) in
        [("platform", platform.prefix.as_str()), ("kind", "server"), ("server", "1"), ("name", "shop"), ("owner", "ann")]
    {
        assert_eq!(labels[format!("berth.{label}")], value, "{labels}");
    }
    // Data lives in volumes of the server's own, as the layout has it.
    let volumes = platform.docker().volumes_of(&platform.prefix);
    for end in ["apps", "home", "docker"] {
        assert!(volumes.contains(&format!("{}-{end}", platform.name(1))), "{volumes:?}");
    }
    assert_eq!(platform.docker().networks_of(&platform.prefix).len(), 1);
    platform.berth(&["status"]).good().says("shop").says("running");
}

fn applying_again_changes_nothing(world: &World) {
    let mut platform = Platform::new(world.engine(), |state| {
        state.server("shop", 1, "");
        state.server("archive", 2, "state = \"stopped\"\n");
    });
    platform.apply();
    let before = platform.containers();

    let proxy = Proxy::before(world.engine().docker().socket());
    platform.through(&proxy);
    platform.berth(&["plan"]).coded(0);
    platform.apply().says("Nothing to do");
    assert_eq!(platform.containers(), before);
    // Not one call that changes anything went to the engine.
    assert_eq!(proxy.calls(), []);
}

fn a_push_is_applied_by_the_daemon(world: &World) {
    let platform = Platform::new(world.engine(), |state| {
        state.server("shop", 1, "");
    });
    let daemon = platform.daemon();
    platform.running(1);
    let revision = platform.commit("a second server", |state| {
        state.server("blog", 2, "");
    });
    platform.running(2);
    berth_tests::eventually("the revision is applied", || {
        (platform.status()?["last_applied"] == revision.as_str()).then_some(())
    });
    daemon.end();
    // Servers don't need the daemon.
    assert!(platform.server(1).runs() && platform.server(2).runs());
}
