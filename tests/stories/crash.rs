//! Berth is killed after each single call of a pass, one after the other. Started again, it reaches the same end, and
//! nobody's data is lost on the way.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use berth_tests::process::{send, wait};
use berth_tests::{Act, Platform, Proxy, World, eventually, image};
use rustix::process::Signal;

crate::stories! {
    killed_after_every_call_of_a_change,
    killed_after_every_call_of_a_first_pass,
    the_journal_is_lost,
}

/// Runs `berth apply` and kills it as soon as the engine has done the call of this number, before Berth learns of it.
/// Returns whether it came to that.
fn apply_killed_after(platform: &Platform, proxy: &Proxy, number: usize) -> bool {
    let pid = Arc::new(AtomicU32::new(0));
    proxy.calm();
    proxy.judge({
        let pid = Arc::clone(&pid);
        move |call| {
            if call.number != number {
                return Act::Pass;
            }
            let pid = Arc::clone(&pid);
            Act::AfterAnswer(Box::new(move || send(pid.load(Ordering::SeqCst), Signal::KILL)))
        }
    });
    let mut command = platform.berth_command(&["apply"]);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("berth");
    // Long before its first call: it has the state to read and the engine to look at first.
    pid.store(child.id(), Ordering::SeqCst);
    let status = wait(&mut child, berth_tests::process::PATIENCE).expect("it ends");
    proxy.calm();
    status.signal() == Some(Signal::KILL.as_raw())
}

/// Applies until it succeeds: what the engine was still doing for the killed process may be in the way at first.
fn converges(platform: &Platform) {
    eventually("it converges", || platform.berth(&["apply"]).is_good().then_some(()));
    platform.settled();
}

fn killed_after_every_call_of_a_first_pass(world: &World) {
    let mut calls = 0;
    loop {
        let mut platform = Platform::new(world.engine(), |state| {
            state.server("shop", 1, "");
        });
        let proxy = Proxy::before(platform.docker().socket());
        platform.through(&proxy);
        let killed = apply_killed_after(&platform, &proxy, calls + 1);
        converges(&platform);
        assert!(platform.server(1).runs());
        assert_eq!(platform.docker().networks_of(&platform.prefix).len(), 1);
        assert_eq!(platform.docker().volumes_of(&platform.prefix).len(), 5);
        if !killed {
            break;
        }
        calls += 1;
    }
    // The network, the holder, five volumes, the server; holder and server are made and started.
    assert_eq!(calls, 10);
}

fn killed_after_every_call_of_a_change(world: &World) {
    let mut platform = Platform::new(world.engine(), |state| {
        state.server("updated", 1, "");
        state.server("anew", 2, "");
        state.server("power", 3, "");
        state.server("comes-and-goes", 4, "");
        state.server("made-0", 10, "");
    });
    platform.apply();
    for id in [1, 2, 3, 4, 10] {
        platform.leave_mark(id, "kept");
    }
    let proxy = Proxy::before(platform.docker().socket());
    platform.through(&proxy);

    let mut round = 0;
    loop {
        round += 1;
        let odd = round % 2 == 1;
        // Each round asks for everything at once: a new server, limits, another image, power, a removal, and the return
        // of what was removed the round before.
        let (memory, power) = if odd { ("96 MiB", "stopped") } else { ("64 MiB", "running") };
        let image = if odd { image::TINY_TOO } else { image::TINY };
        platform.commit(&format!("round {round}"), |state| {
            state.server("updated", 1, &format!("memory = \"{memory}\"\n"));
            state.server("anew", 2, &format!("image = \"{image}\"\n"));
            state.server("power", 3, &format!("state = \"{power}\"\n"));
            match odd {
                true => state.without_server("comes-and-goes"),
                false => state.server("comes-and-goes", 4, ""),
            };
            state.without_server(&format!("made-{}", round - 1));
            state.server(&format!("made-{round}"), 10 + round, "");
        });
        let killed = apply_killed_after(&platform, &proxy, round as usize);
        converges(&platform);

        let updated = platform.server(1);
        assert!(updated.runs() && updated.memory == if odd { 96 << 20 } else { 64 << 20 }, "{updated:?}");
        let anew = platform.server(2);
        assert!(anew.runs() && anew.image == image, "{anew:?}");
        assert_eq!(platform.server(3).runs(), !odd);
        assert_eq!(platform.server(4).runs(), !odd);
        assert!(platform.server(10 + round).runs());
        assert!(!platform.server(10 + round - 1).runs(), "the server of the round before is kept, and stopped");
        for id in [1, 2] {
            platform.has_mark(id, "kept");
        }
        if !odd {
            for id in [3, 4] {
                platform.has_mark(id, "kept");
            }
        }
        if !killed {
            break;
        }
    }
    // One to update, four to make anew, one for power, seven to make, two to entomb one, and two for the other.
    assert_eq!(round - 1, 17);
}

fn the_journal_is_lost(world: &World) {
    let mut platform = Platform::new(world.engine(), |state| {
        state.server("shop", 1, "");
        state.server("gone", 2, "");
    });
    platform.apply();
    platform.leave_mark(1, "kept");
    let revision = platform.commit("gone goes", |state| {
        state.without_server("gone");
    });
    platform.apply();
    let before = platform.containers();
    let volumes = platform.docker().volumes_of(&platform.prefix);

    let identity = platform.data().join("identity");
    let kept = std::fs::read(&identity).expect("the platform's SSH identity");
    std::fs::remove_dir_all(platform.data()).expect("delete Berth's own data");
    // All of it can be lost but this.
    std::fs::create_dir(platform.data()).expect("the data folder");
    std::fs::write(&identity, kept).expect("put it back");
    std::fs::set_permissions(&identity, std::fs::Permissions::from_mode(0o600)).expect("for its owner alone");
    let proxy = Proxy::before(platform.docker().socket());
    platform.through(&proxy);
    let daemon = platform.daemon();
    platform.apply().says("Nothing to do");
    assert_eq!(proxy.calls(), [], "nothing changes, and nothing is made to look as before");
    assert_eq!(platform.containers(), before);
    assert_eq!(platform.docker().volumes_of(&platform.prefix), volumes);
    assert_eq!(platform.status().expect("a status")["last_applied"], revision.as_str());
    // The tombstone is known from its label.
    platform.berth(&["status"]).good().says("tombstone");
    daemon.end();

    // Without it servers get other keys where they are.
    std::fs::remove_file(&identity).expect("lose the identity");
    platform.apply().says("its SSH keys, or its name beside them, are not the platform's");
    assert_eq!(platform.containers(), before);
    platform.settled();
}
