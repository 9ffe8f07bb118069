//! A server's file changes: limits in place, power on and off, and a new image, which alone makes a server anew.

use berth_tests::{Platform, Proxy, World, image};

crate::stories! {
    limits_change_in_place_without_a_restart,
    a_server_is_stopped_and_started,
    a_new_image_makes_a_server_anew_and_keeps_its_data,
    another_default_image_leaves_servers_as_they_are,
}

fn limits_change_in_place_without_a_restart(world: &World) {
    let mut platform = Platform::new(world.engine(), |state| {
        state.server("shop", 1, "");
    });
    platform.apply();
    let before = platform.server(1);

    platform.commit("shop: more of everything", |state| {
        state.server("shop", 1, "cpus = 0.75\nmemory = \"128 MiB\"\npids = 200\n");
    });
    platform.berth(&["plan"]).coded(2).says("64 MiB").says("128 MiB");
    let proxy = Proxy::before(platform.docker().socket());
    platform.through(&proxy);
    platform.apply();

    let after = platform.server(1);
    assert_eq!((&after.id, &after.started_at), (&before.id, &before.started_at), "the same, never restarted");
    assert_eq!((after.nano_cpus, after.memory, after.pids), (750_000_000, 128 << 20, 200));
    // Not only written down: the kernel has them.
    assert_eq!(limit_in_kernel(&platform, 1, "memory", "memory.limit_in_bytes", "memory.max"), (128 << 20).to_string());
    assert_eq!(limit_in_kernel(&platform, 1, "pids", "pids.max", "pids.max"), "200");
    assert_eq!(proxy.calls().len(), 1, "{:?}", proxy.calls());

    // And down again, below what it was made with.
    platform.commit("shop: less", |state| {
        state.server("shop", 1, "cpus = 0.1\nmemory = \"64 MiB\"\npids = 64\n");
    });
    platform.apply();
    let after = platform.server(1);
    assert_eq!((&after.id, &after.started_at), (&before.id, &before.started_at));
    assert_eq!(limit_in_kernel(&platform, 1, "memory", "memory.limit_in_bytes", "memory.max"), (64 << 20).to_string());
    platform.settled();
}

/// A limit as the server itself reads it, under either version of cgroups.
fn limit_in_kernel(platform: &Platform, id: u32, controller: &str, first: &str, second: &str) -> String {
    let script = format!("cat /sys/fs/cgroup/{controller}/{first} 2>/dev/null || cat /sys/fs/cgroup/{second}");
    platform.docker().shell(&platform.name(id), &script).good().stdout.trim().to_owned()
}

fn a_server_is_stopped_and_started(world: &World) {
    let platform = Platform::new(world.engine(), |state| {
        state.server("shop", 1, "");
        state.server("blog", 2, "");
    });
    platform.apply();
    platform.leave_mark(1, "kept");
    let (shop, blog) = (platform.server(1), platform.server(2));

    platform.commit("shop: off", |state| {
        state.server("shop", 1, "state = \"stopped\"\n");
    });
    platform.apply();
    let stopped = platform.server(1);
    assert_eq!((stopped.id.as_str(), stopped.status.as_str()), (shop.id.as_str(), "exited"));
    platform.berth(&["status"]).good().says("stopped");
    platform.settled();

    platform.commit("shop: on", |state| {
        state.server("shop", 1, "");
    });
    platform.apply();
    let started = platform.server(1);
    assert!(started.runs());
    assert_eq!(started.id, shop.id);
    platform.has_mark(1, "kept");
    assert_eq!(platform.server(2), blog, "the other server isn't touched");
    platform.settled();
}

fn a_new_image_makes_a_server_anew_and_keeps_its_data(world: &World) {
    let platform = Platform::new(world.engine(), |state| {
        state.server("shop", 1, "");
        state.server("blog", 2, "");
    });
    platform.apply();
    platform.leave_mark(1, "kept");
    platform.docker().shell(&platform.name(1), "echo lost > /mark").good();
    let (shop, blog) = (platform.server(1), platform.server(2));

    platform.commit("shop: another image", |state| {
        state.server("shop", 1, &format!("image = \"{}\"\n", image::TINY_TOO));
    });
    // The plan is loud about it, before anything happens.
    let plan = platform.berth(&["plan"]).coded(2);
    plan.says("-/+").says("LOST: everything outside /apps, /home and /var/lib/docker");
    platform.apply();

    let anew = platform.server(1);
    assert_ne!(anew.id, shop.id);
    assert_eq!(anew.image, image::TINY_TOO);
    platform.has_mark(1, "kept");
    assert!(!platform.docker().shell(&platform.name(1), "cat /mark").is_good());
    assert_eq!(platform.server(2), blog, "the other server isn't touched");
    platform.settled();
}

fn another_default_image_leaves_servers_as_they_are(world: &World) {
    let platform = Platform::new(world.engine(), |state| {
        state.server("shop", 1, "");
    });
    platform.apply();
    let before = platform.server(1);

    platform.commit("another default image", |state| {
        let settings = state.read("platform.toml").replace(image::TINY, image::TINY_TOO);
        state.write("platform.toml", &settings);
        state.server("blog", 2, "");
    });
    platform.apply();
    assert_eq!(platform.server(1), before);
    assert_eq!(platform.server(2).image, image::TINY_TOO, "what is made from now on has it");
    platform.settled();
}
