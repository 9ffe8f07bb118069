//! The engine dies, isn't there, says 500 or cuts the line. Berth says so, changes nothing that it can't see, and goes on
//! when the engine does.

use berth_tests::{Act, Platform, Proxy, World, eventually};

crate::stories! {
    the_engine_is_killed_in_mid_apply,
    asked_to_end_it_finishes_the_step_in_hand,
    no_engine_is_a_clear_error,
    an_engine_that_says_500_is_tried_again,
    an_error_is_never_an_empty_world,
    a_cut_connection_is_survived,
}

fn the_engine_is_killed_in_mid_apply(world: &World) {
    let engine = world.own_engine("killed");
    let mut platform = Platform::new(&engine, |state| {
        state.server("shop", 1, "");
        state.server("blog", 2, "");
    });
    let proxy = Proxy::before(engine.docker().socket());
    platform.through(&proxy);
    let daemon = platform.daemon();
    platform.running(1);
    platform.running(2);
    platform.apply();
    platform.leave_mark(1, "kept");
    let shop = platform.server(1);

    // At several calls of a change: before the engine hears of it.
    for (round, number) in [1, 4, 5].into_iter().enumerate() {
        proxy.calm();
        let gate = proxy.hold(number);
        let id = 10 + u32::try_from(round).expect("a small number");
        let revision = platform.commit("one more server", |state| {
            state.server(&format!("new-{id}"), id, "");
        });
        gate.reached();
        engine.kill();
        gate.open();
        engine.restart();
        platform.running(id);
        eventually("the daemon has applied it", || {
            (platform.status()?["last_applied"] == revision.as_str()).then_some(())
        });
    }
    assert!(daemon.is_alive());
    assert_eq!(platform.running(1).id, shop.id, "the engine started it again; nobody made it anew");
    platform.has_mark(1, "kept");
    daemon.end();
    platform.settled();
    drop(platform);
}

fn asked_to_end_it_finishes_the_step_in_hand(world: &World) {
    let mut platform = Platform::new(world.engine(), |_| {});
    platform.apply();
    let proxy = Proxy::before(platform.docker().socket());
    platform.through(&proxy);
    let mut daemon = platform.daemon();
    // Five volumes, then the container, then its start.
    let gate = proxy.hold(6);
    platform.commit("a server", |state| {
        state.server("shop", 1, "");
    });
    assert!(gate.reached().path.starts_with("/containers/create"));
    daemon.ask_to_end();
    daemon.says("asked to end");
    assert!(daemon.is_alive(), "it waits for the step");
    gate.open();
    let status = daemon.ended();
    assert!(status.success(), "{}", daemon.log());
    assert_eq!(proxy.calls().len(), 6, "no further step was begun");
    let made = platform.server(1);
    assert_eq!(made.status, "created");

    // The next one goes on where this one ended.
    let daemon = platform.daemon();
    assert_eq!(platform.running(1).id, made.id);
    daemon.end();
    platform.settled();
}

fn no_engine_is_a_clear_error(world: &World) {
    let platform = Platform::new(world.engine(), |state| {
        state.server("shop", 1, "");
    });
    let nowhere = format!("unix://{}/nowhere.sock", platform.home().display());
    for command in ["plan", "apply", "status", "reconcile", "up"] {
        let ran = platform.berth(&[command, "--docker", &nowhere]).coded(1);
        ran.says("no Docker engine answers at").says("nowhere.sock").says("hint: start the engine");
    }
    // What needs no engine works without one.
    platform.berth(&["check", "--docker", &nowhere]).good();
}

fn an_engine_that_says_500_is_tried_again(world: &World) {
    let mut platform = Platform::new(world.engine(), |_| {});
    platform.apply();
    let proxy = Proxy::before(platform.docker().socket());
    platform.through(&proxy);
    let daemon = platform.daemon();
    proxy.judge(|call| if call.number <= 2 { Act::Answer(500) } else { Act::Pass });
    platform.commit("a server", |state| {
        state.server("shop", 1, "");
    });
    daemon.says("the story says no");
    // Nobody asks for it; it tries by itself, a little later each time.
    platform.running(1);
    eventually("all is well again", || platform.berth(&["status"]).is_good().then_some(()));
    daemon.end();
    platform.settled();
}

fn an_error_is_never_an_empty_world(world: &World) {
    let mut platform = Platform::new(world.engine(), |state| {
        state.server("shop", 1, "");
    });
    platform.apply();
    let before = platform.containers();
    let proxy = Proxy::before(platform.docker().socket());
    platform.through(&proxy);
    let daemon = platform.daemon();
    platform.apply();
    proxy.refuse_lists(500);
    // Were the failed list an empty one, everything would be made a second time.
    platform.berth(&["apply"]).coded(1).says("the story says no");
    platform.commit("one more", |state| {
        state.server("blog", 2, "");
    });
    daemon.says("the pass could not run");
    assert_eq!(platform.containers(), before);
    assert_eq!(proxy.calls(), []);
    proxy.calm();
    platform.running(2);
    assert_eq!(platform.server(1), before[&platform.name(1)]);
    daemon.end();
    platform.settled();
}

fn a_cut_connection_is_survived(world: &World) {
    let mut platform = Platform::new(world.engine(), |_| {});
    platform.apply();
    let proxy = Proxy::before(platform.docker().socket());
    platform.through(&proxy);
    let daemon = platform.daemon();
    // The first is cut before the engine hears of it, the third after it has done it.
    proxy.judge(|call| match call.number {
        1 => Act::Cut,
        3 => Act::AfterAnswer(Box::new(|| ())),
        _ => Act::Pass,
    });
    platform.commit("a server", |state| {
        state.server("shop", 1, "");
    });
    platform.running(1);
    eventually("all is well again", || platform.berth(&["status"]).is_good().then_some(()));
    daemon.end();
    platform.settled();
}
