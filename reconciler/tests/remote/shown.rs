//! Output that an operator sees.

use std::time::Duration;

use berth::control::{Control, Socket};
use berth::wakeup::Wakeups;
use berth::watch::EngineHealth;
use berth_wire::Status;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{Bench, InTime as _, said};

/// A reconciler that has nothing to say, for `berth status` to ask.
pub(crate) fn reconciler(bench: &Bench) -> (tokio::runtime::Runtime, CancellationToken) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let control = Control::new(Wakeups::default(), EngineHealth::default());
    let status: Status = serde_json::from_value(json!({
        "version": "0", "pid": 1, "engine": "0", "engine_answers": true, "platform": "hosting",
        "last_applied": null, "last_pass": null, "servers": [], "tombstones": [], "system": [],
    }))
    .unwrap();
    control.publish(status);
    let stop = CancellationToken::new();
    std::fs::create_dir_all(bench.data()).unwrap();
    let socket = Socket::open(&bench.data().join("control.sock")).unwrap();
    runtime.spawn(stop.clone().run_until_cancelled_owned(control.serve(socket, None)));
    (runtime, stop)
}

#[test]
fn status_shows_the_forge() {
    let bench = Bench::new("poll = \"1s\"\n");
    let (runtime, stop) = reconciler(&bench);
    let status = || bench.berth().arg("status").in_time();
    let before = status();
    assert_eq!(before.status.code(), Some(1));
    assert!(said(&before).contains("nothing follows it"), "{}", said(&before));

    let follower = bench.follow();
    let tip = bench.main();
    bench.until(|standing| standing.tip.is_some());
    let fine = status();
    let line = format!("forge {}, branch main: last looked at ", bench.forge.display());
    assert!(said(&fine).contains(&line) && said(&fine).contains(&tip[..10]), "{}", said(&fine));
    assert!(fine.status.success(), "{}", said(&fine));

    bench.push(&[("platform.toml", "domain = \"x\"\n")]);
    bench.until(|standing| standing.refused.is_some());
    let refused = status();
    assert_eq!(refused.status.code(), Some(1));
    for part in
        ["main doesn't follow ", "platform.toml:1:10: `x` is not a domain name", "hint: write it in full"]
    {
        assert!(said(&refused).contains(part), "{}", said(&refused));
    }
    let json = bench.berth().args(["status", "--json"]).in_time();
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["remote"]["runs"], true);
    assert_eq!(json["remote"]["standing"]["refused"]["main"], tip.as_str());
    drop(follower);
    stop.cancel();
    runtime.shutdown_timeout(Duration::from_secs(5));
}

#[test]
fn up_ends_what_it_started() {
    let bench = Bench::new("poll = \"1s\"\n");
    // Without an engine the reconciler can't begin, and `up` says so; what follows the forge ends with it.
    let up = bench.berth().arg("up").in_time();
    assert!(!up.status.success());
    assert!(said(&up).contains("the reconciler could not begin"), "{}", said(&up));
    assert!(!berth_wire::Standing::is_kept(&bench.data().join("remote")));
}
