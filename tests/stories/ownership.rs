//! Only what carries the platform's own label is ever touched. A name proves nothing.

use berth_tests::{Docker, Platform, World, eventually, image};

crate::stories! {
    a_foreign_container_with_our_name_is_never_touched,
    a_foreign_volume_with_our_name_is_never_used,
    another_platforms_label_is_foreign,
    two_platforms_side_by_side_leave_each_other_alone,
}

/// A container that somebody else made.
fn foreign(docker: &Docker, name: &str, more: &[&str]) {
    let arguments = [&["run", "-d", "--network", "none", "--name", name], more, &[image::TINY]].concat();
    docker.run(&arguments);
}

fn a_foreign_container_with_our_name_is_never_touched(world: &World) {
    let platform = Platform::new(world.engine(), |state| {
        state.server("shop", 1, "");
        state.server("blog", 2, "");
    });
    let name = platform.name(1);
    foreign(platform.docker(), &name, &[]);
    let before = platform.docker().container(&name);

    platform.berth(&["plan"]).coded(2).says(&name).says("isn't this platform's");
    let daemon = platform.daemon();
    // What isn't in the way is done all the same.
    platform.running(2);
    eventually("the status says what is in the way", || {
        let status = platform.berth(&["status"]);
        status.words().contains("isn't this platform's").then_some(())
    });
    assert!(!platform.berth(&["apply"]).is_good());

    // Wanted no more: still not ours to remove.
    platform.commit("shop: gone", |state| {
        state.without_server("shop");
    });
    platform.apply();
    assert_eq!(platform.docker().container(&name), before);

    // Out of the way, the name is free.
    platform.commit("shop: back", |state| {
        state.server("shop", 1, "");
    });
    platform.docker().run(&["rm", "-f", &name]);
    platform.apply();
    assert!(platform.running(1).id != before.id);
    daemon.end();
}

fn a_foreign_volume_with_our_name_is_never_used(world: &World) {
    let platform = Platform::new(world.engine(), |state| {
        state.server("shop", 1, "");
    });
    let volume = format!("{}-home", platform.name(1));
    platform.docker().run(&["volume", "create", &volume]);
    platform.berth(&["plan"]).coded(2).says(&volume).says("isn't this platform's");
    assert!(!platform.berth(&["apply"]).is_good());
    assert!(platform.find(1).is_none(), "the server isn't made with somebody else's data");
    platform.docker().run(&["volume", "rm", &volume]);
    platform.apply();
    assert!(platform.server(1).runs());
}

fn another_platforms_label_is_foreign(world: &World) {
    let platform = Platform::new(world.engine(), |state| {
        state.server("shop", 1, "");
    });
    let name = platform.name(1);
    let other = format!("berth.platform={}x", platform.prefix);
    foreign(platform.docker(), &name, &["--label", &other, "--label", "berth.kind=server", "--label", "berth.server=1"]);
    let before = platform.docker().container(&name);
    assert!(!platform.berth(&["apply"]).is_good());
    platform.commit("nothing is wanted", |state| {
        state.without_server("shop");
    });
    platform.apply();
    assert_eq!(platform.docker().container(&name), before);
    platform.docker().run(&["rm", "-f", &name]);
}

fn two_platforms_side_by_side_leave_each_other_alone(world: &World) {
    let make = || {
        Platform::new(world.engine(), |state| {
            state.server("shop", 1, "");
            state.server("blog", 2, "");
        })
    };
    let (ours, theirs) = (make(), make());
    let (our_daemon, their_daemon) = (ours.daemon(), theirs.daemon());
    ours.running(2);
    theirs.running(2);
    theirs.apply();
    let volumes = theirs.docker().volumes_of(&theirs.prefix);
    let networks = theirs.docker().networks_of(&theirs.prefix);
    let before = theirs.containers();

    // The same names and numbers, all gone from one of the two.
    ours.commit("everything goes", |state| {
        state.append("platform.toml", "\n[retention]\nservers = \"1s\"\n");
        state.without_server("shop").without_server("blog");
    });
    eventually("everything of ours is purged", || {
        ours.berth(&["apply"]).good();
        (ours.find(1).is_none() && ours.find(2).is_none()).then_some(())
    });
    assert_eq!(theirs.containers(), before);
    assert_eq!(theirs.docker().volumes_of(&theirs.prefix), volumes);
    assert_eq!(theirs.docker().networks_of(&theirs.prefix), networks);
    our_daemon.end();
    their_daemon.end();
    theirs.settled();
}
