//! Servers while they run: what they use is told, and one is started again without a commit.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use berth_schema::name::ServerId;
use berth_tests::{Platform, World, eventually};
use berth_wire::client::{ClientError, Daemon};
use berth_wire::figures::{Extent, Sample, Span};
use berth_wire::web::Act;
use berth_wire::{PowerOrder, PowerRecord};
use serde_json::json;

crate::stories! {
    the_panel_is_told_what_servers_use,
    disk_space_is_measured_while_servers_work,
    a_restart_needs_no_commit,
}

/// Waits for what a daemon answers.
fn wait<T>(answer: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(answer)
}

fn id(number: u32) -> ServerId {
    ServerId(number.try_into().expect("an id"))
}

/// Newest sample of a server, as a socket tells it.
fn sample(socket: &Path, server: u32) -> Option<Sample> {
    wait(async {
        let mut daemon = Daemon::find(socket).await.expect("a socket").expect("a daemon");
        let figures = daemon.figures([id(server)], Span::Hour).await.expect("figures")?;
        figures.servers.first()?.newest()
    })
}

fn the_panel_is_told_what_servers_use(world: &World) {
    let platform = Platform::new(world.engine(), |state| {
        state.server("busy", 1, "").server("idle", 2, "").server("off", 3, "state = \"stopped\"\n");
    });
    platform.apply();
    let _daemon = platform.daemon();
    let panel = platform.panel().join("panel.sock");
    // Its maker's alone, unless this machine has the panel's group.
    let group = fs::read_to_string("/etc/group").expect("groups").lines().any(|line| line.starts_with("berth-web:"));
    let modes = [platform.panel(), panel.clone()].map(|path| fs::metadata(path).expect("a file").permissions().mode() & 0o777);
    assert_eq!(modes, if group { [0o750, 0o660] } else { [0o700, 0o600] });

    // Half a processor is its limit.
    platform.docker().shell(&platform.name(1), "while :; do :; done &").good();
    let busy = eventually("the busy server is seen to be", || {
        sample(&panel, 1).filter(|sample| sample.cpu_millis > 100 && sample.processes > 1)
    });
    assert!(busy.cpu_millis < 700, "{busy:?}");
    assert!(busy.memory > 0 && busy.memory <= 64 << 20, "{busy:?}");
    assert!(busy.network.is_some(), "{busy:?}");
    // More memory than it has: the kernel ends the program, and the server goes on.
    assert!(!platform.docker().shell(&platform.name(1), "awk 'BEGIN { for (x = \"x\"; ; x = x x) {} }'").is_good());
    let full = || wait(async {
        let mut daemon = Daemon::find(&panel).await.expect("a socket")?;
        let figures = daemon.figures([id(1), id(2)], Span::Hour).await.expect("figures")?;
        Some(figures.servers.iter().map(|server| server.out_of_memory.map_or(0, |full| full.times)).collect::<Vec<_>>())
    });
    eventually("that is told of this server alone", || full().filter(|times| times[0] > 0 && times[1] == 0));
    let idle = sample(&panel, 2).expect("the idle one runs as well");
    assert!(idle.cpu_millis < 100, "{idle:?}");
    assert_eq!(sample(&panel, 3), None);
    // What comes and goes, comes and goes there.
    platform.commit("off is on, idle is gone", |state| {
        state.server("off", 3, "").remove("servers/idle.toml");
    });
    eventually("the started one is seen", || sample(&panel, 3));
    eventually("the removed one isn't any more", || sample(&panel, 2).is_none().then_some(()));
}

/// Bytes of disk space that a server takes, as a socket tells it, if all of it was counted.
fn disk(socket: &Path, server: u32) -> Option<u64> {
    wait(async {
        let mut daemon = Daemon::find(socket).await.expect("a socket")?;
        let figures = daemon.figures([id(server)], Span::Hour).await.expect("figures")?;
        figures.servers.first()?.disk.filter(|disk| disk.extent == Extent::Whole).map(|disk| disk.bytes)
    })
}

fn disk_space_is_measured_while_servers_work(world: &World) {
    const MIB: u64 = 1 << 20;
    let platform = Platform::new(world.engine(), |state| {
        state.server("full", 1, "").server("spare", 2, "");
    });
    platform.apply();
    let inside = |script: &str| platform.docker().shell(&platform.name(1), script).good();
    let write = |path: &str, mib: u32| inside(&format!("dd if=/dev/urandom of={path} bs=1M count={mib} 2>/dev/null && sync"));
    // In a volume, in the container's own layer, and beside both: a file that the engine keeps.
    write("/apps/kept", 50);
    write("/var/more", 10);
    write("/etc/hosts", 5);
    // What leads out isn't followed, and a second name takes nothing.
    inside("ln -s / /apps/all; ln -s /proc /apps/proc; ln /apps/kept /apps/again; mkfifo /apps/pipe");
    let _daemon = platform.daemon();
    let panel = platform.panel().join("panel.sock");
    let full = eventually("the full server is measured", || disk(&panel, 1));
    let spare = eventually("so is the other", || disk(&panel, 2));
    let more = full.saturating_sub(spare);
    assert!((64 * MIB..70 * MIB).contains(&more), "{full} and {spare}");
    // Both of its names have to go before its bytes do.
    inside("rm /apps/kept /apps/again && sync");
    eventually("what is removed is counted no more", || disk(&panel, 1).filter(|bytes| bytes + 45 * MIB < full));
    // One that is turned off keeps what it has.
    platform.commit("off", |state| {
        state.server("full", 1, "state = \"stopped\"\n");
    });
    eventually("it stops", || (!platform.server(1).runs()).then_some(()));
    let kept = eventually("and is known still", || disk(&panel, 1));
    assert!(kept.saturating_sub(spare) >= 14 * MIB, "{kept} and {spare}");
}

/// Gives an order at the door's socket.
fn order(platform: &Platform, server: u32) -> Result<PowerRecord, String> {
    let order = PowerOrder { server: id(server), act: Act::Restart, by: "ann".parse().expect("a name") };
    wait(async {
        let socket = platform.data().join("door.sock");
        let mut daemon = Daemon::find(&socket).await.expect("a socket").expect("a daemon");
        match daemon.power(&order).await {
            Ok(record) => Ok(record),
            Err(ClientError::Refused { status, message, .. }) => Err(format!("{}: {message}", status.as_u16())),
            Err(error) => panic!("{error}"),
        }
    })
}

fn a_restart_needs_no_commit(world: &World) {
    let platform = Platform::new(world.engine(), |state| {
        state.server("shop", 1, "").server("off", 2, "state = \"stopped\"\n").server("twin", 3, "");
    });
    platform.apply();
    platform.leave_mark(1, "kept");
    let daemon = platform.daemon();
    platform.settled();
    let before = platform.server(1);

    let done = order(&platform, 1).expect("a restart");
    assert_eq!((done.subject.to_string().as_str(), done.by.as_str()), ("server shop (id 1)", "ann"));
    let after = platform.running(1);
    assert_eq!(after.id, before.id);
    assert_ne!(after.started_at, before.started_at);
    platform.has_mark(1, "kept");
    platform.settled();
    // Whoever asks how things are, sees it; no pass took it for a server that had stopped by itself.
    let status = platform.status().expect("a status");
    assert_eq!(status["power"][0]["by"], "ann");
    assert_eq!(status["last_pass"]["outcomes"], json!([]), "{status:#}");

    // What isn't to run, isn't started this way.
    let refused = |server, words: &str| {
        let said = order(&platform, server).expect_err("a refusal");
        assert!(said.contains(words), "{said}");
    };
    refused(2, "409: server off (id 2) is stopped, as its file says");
    refused(7, "404: there is no server with the id 7");
    assert!(!platform.server(2).runs());
    // Nor is one restarted again within a minute, and of two who ask at once one is told so.
    refused(1, "server shop (id 1) was restarted less than a minute ago");
    let asked = std::thread::scope(|scope| {
        [0, 1].map(|_| scope.spawn(|| order(&platform, 3))).map(|asked| asked.join().expect("an order"))
    });
    let told: Vec<&String> = asked.iter().filter_map(|asked| asked.as_ref().err()).collect();
    assert!(told.len() == 1 && told[0].contains("less than a minute ago"), "{asked:?}");
    platform.running(3);
    platform.settled();

    // It is in the journal.
    daemon.end();
    let _daemon = platform.daemon();
    assert_eq!(platform.status().expect("a status")["power"].as_array().map(Vec::len), Some(2));
}
