//! Pushes that are accepted.

use std::sync::Arc;
use std::time::Duration;

use berth::control::{Control, Keys, Socket};
use berth::wakeup::Wakeups;
use berth::watch::EngineHealth;
use berth_engine::Identity;
use berth_schema::Origin;
use berth_wire::PassRecord;
use tokio_util::sync::CancellationToken;

use super::{Bench, InTime as _, git};

const NEW: (&str, Option<&str>) = ("servers/shop.toml", Some("id = 3\nowner = \"bob\"\n"));

#[test]
fn an_accepted_push_shows_its_plan() {
    let bench = Bench::new();
    let said = bench.push_change(None, &[NEW]);
    said.accepted(&[
        "remote: Planned from state to state; no reconciler runs, so nobody sees the engine.",
        "server shop (id 3)",
        "Plan: 1 to create, 1 to update, 0 to remove; ",
        "no reconciler runs: it is applied when one does.",
    ]);
    assert_eq!(bench.tip(), bench.git(&["rev-parse", "HEAD"]));
}

#[test]
fn members_push_what_is_theirs() {
    let bench = Bench::new();
    let said = bench.push_change(
        Some("bob"),
        &[NEW, ("domains/shop.hosting.example.org.toml", Some("server = \"shop\"\n"))],
    );
    said.accepted(&["server shop (id 3)"]);
    let stopped = "id = 1\nowner = \"bob\"\nstate = \"stopped\"\n";
    bench.push_change(Some("bob"), &[("servers/bobs.toml", Some(stopped))]).accepted(&["server bobs (id 1)"]);
    bench
        .push_change(Some("bob"), &[("users/bob.toml", Some("email = \"b@example.org\"\n"))])
        .accepted(&["No changes"]);
    bench
        .push_change(
            Some("bob"),
            &[("servers/shop.toml", None), ("domains/shop.hosting.example.org.toml", None)],
        )
        .accepted(&["tombstone"]);
    bench
        .push_change(Some("ann"), &[("servers/cyns.toml", None), ("docs/welcome.md", None)])
        .accepted(&["server cyns"]);
}

#[test]
fn the_first_push_of_all_is_judged_too() {
    let bench = Bench::new();
    let empty = bench.folder.path().join("empty.git");
    let made = git(bench.folder.path())
        .args(["init", "--quiet", "--bare", "-b", "main", "empty.git"])
        .status()
        .unwrap();
    assert!(made.success());
    assert!(bench.berth(&["hook", "install", empty.to_str().unwrap()]).good);
    let to = empty.to_str().unwrap();
    bench
        .push(Some("ann"), &[to, "HEAD:main"])
        .refused(&["error: main holds no good state, so nobody can tell what is whose"]);
    bench.push(None, &[to, "HEAD:main"]).accepted(&["server bobs (id 1)", "server cyns (id 2)"]);
}

#[test]
fn colours_reach_whoever_asks_for_them() {
    let bench = Bench::new();
    bench.commit(&[NEW]);
    let coloured = git(&bench.work).args(["push", "-o", "color", "origin", "HEAD:main"]).in_time();
    assert!(String::from_utf8_lossy(&coloured.stderr).contains("\u{1b}["));
    bench.commit(&[("servers/shop.toml", None)]);
    let plain = git(&bench.work).args(["push", "-o", "no-wiat", "origin", "HEAD:main"]).in_time();
    let plain = String::from_utf8_lossy(&plain.stderr).replace("\u{1b}[K", "");
    assert!(!plain.contains("\u{1b}["), "{plain:?}");
    assert!(
        plain.contains("The push option `no-wiat` means nothing here; there are color, no-color, no-wait."),
        "{plain}"
    );
}

#[test]
fn merges_bring_only_what_they_add() {
    let bench = Bench::new();
    bench.git(&["checkout", "--quiet", "-b", "topic"]);
    bench.commit(&[NEW]);
    bench.git(&["checkout", "--quiet", "main"]);
    bench
        .push_change(Some("cyn"), &[("users/cyn.toml", Some("email = \"cyn@example.org\"\n"))])
        .accepted(&[]);
    bench.git(&["merge", "--quiet", "--no-edit", "topic"]);
    // What cyn did is in main already, so bob's merge of it isn't bob's change.
    bench.push(Some("bob"), &["origin", "HEAD:main"]).accepted(&["server shop (id 3)"]);
}

#[test]
fn admins_may_keep_other_branches() {
    let bench = Bench::new();
    bench.commit(&[NEW]);
    bench.push(Some("ann"), &["origin", "HEAD:refs/heads/try"]).accepted(&[]);
    bench.push(Some("bob"), &["origin", "HEAD:refs/heads/try2"]).refused(&[
        "error: only main and review/<topic> take pushes, and this goes to `refs/heads/try2`",
        "help: `git push origin HEAD:main`, or `git push origin HEAD:review/<topic>`",
    ]);
}

/// A daemon without an engine: it hears of each push, and answers, or never does.
fn daemon(bench: &Bench, answers: bool) -> (tokio::runtime::Runtime, CancellationToken) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (wakeups, stop) = (Wakeups::default(), CancellationToken::new());
    let control = Control::new(wakeups.clone(), EngineHealth::default());
    std::fs::create_dir_all(bench.data()).unwrap();
    let socket = Socket::open(&bench.data().join("door.sock")).unwrap();
    let keys = Keys::of(Identity::open(&bench.data()).unwrap());
    runtime.spawn(stop.clone().run_until_cancelled_owned(control.serve_door(socket, keys, None)));
    let tip = Arc::new(bench.bare.clone());
    runtime.spawn(async move {
        loop {
            let pending = wakeups.next().await;
            if !answers {
                std::future::pending::<()>().await;
            }
            let output = git(&tip).args(["rev-parse", "main"]).in_time();
            let revision: Origin = String::from_utf8_lossy(&output.stdout).trim_end().parse().unwrap();
            for request in pending.requests {
                let _ = request.send(PassRecord {
                    at: jiff::Timestamp::UNIX_EPOCH,
                    attempted: Some(revision),
                    revision: Some(revision),
                    reason: "request".to_owned(),
                    outcomes: Vec::new(),
                    problems: Vec::new(),
                    retry_millis: None,
                });
            }
        }
    });
    (runtime, stop)
}

#[test]
fn whoever_pushes_sees_how_it_is_applied() {
    let bench = Bench::new();
    let (runtime, stop) = daemon(&bench, true);
    let tip = bench.commit(&[NEW]);
    let said = bench.push(Some("bob"), &["origin", "HEAD:main"]);
    said.accepted(&[&format!("remote: Nothing to do: the engine agrees with {}.", &tip[..10])]);
    bench.commit(&[("servers/shop.toml", None)]);
    let said = bench.push(Some("bob"), &["-o", "no-wait", "origin", "HEAD:main"]);
    said.accepted(&["is accepted; `berth status` shows how it is applied."]);
    stop.cancel();
    runtime.shutdown_timeout(Duration::from_secs(5));
}

#[test]
fn waiting_ends() {
    let bench = Bench::new();
    let (runtime, stop) = daemon(&bench, false);
    bench.commit(&[NEW]);
    let mut push = bench.pusher(None);
    let output = push.env("BERTH_WAIT", "1").args(["push", "origin", "HEAD:main"]).in_time();
    super::Said::of(&output).accepted(&["is accepted and still being applied after 1 s"]);
    stop.cancel();
    runtime.shutdown_timeout(Duration::from_secs(5));
}

#[test]
fn whoever_has_the_files_is_warned_where_nobody_would_be_an_admin() {
    let bench = Bench::new();
    let file = [("users/ann.toml", Some("email = \"ann@example.org\"\n"))];
    let words = "without `ann` nobody is an admin, so nobody c";
    bench.push_change(None, &file).accepted(&[
        "warning: ",
        words,
        "write `role = \"admin\"` in somebody's file",
    ]);
    // It is told once: what was so before is no news.
    let said = bench.push_change(None, &[("docs/welcome.md", Some("# Hello\n"))]);
    assert!(said.good && !said.text.contains(words), "{}", said.text);
    // Somebody who is one is refused instead.
    let bench = Bench::new();
    bench.push_change(Some("ann"), &file).refused(&["error: ", words]);
}

#[test]
fn a_push_tells_what_is_alike_once_and_keeps_the_host_from_members() {
    let platform = "domain = \"hosting.example.org\"\n[quota]\nservers = 100\nmemory = \"900 GiB\"\ncpus = 900\ndisk = \"9000 GiB\"\n";
    let bench = Bench::new();
    let names: Vec<String> = (10..40).map(|id| format!("servers/s{id}.toml")).collect();
    let texts: Vec<String> = (10..40).map(|id| format!("id = {id}\nowner = \"bob\"\n")).collect();
    let mut files: Vec<(&str, Option<&str>)> =
        names.iter().zip(&texts).map(|(name, text)| (name.as_str(), Some(text.as_str()))).collect();
    files.push(("platform.toml", Some(platform)));
    bench.push_change(None, &files).accepted(&["30 servers (s10, s11, s12, …) are created", "30 to create"]);
    let changed = format!("{platform}[defaults]\nmemory = \"2 GiB\"\n[firewall]\nconnections = 60000\n");
    bench.push_change(None, &[("platform.toml", Some(&changed))]).accepted(&[
        "memory 1 GiB → 2 GiB: 31 servers (",
        "`berth plan --from ",
        "the kernel's table of connections: 32 servers with 60000 connections each",
    ]);
    let said = bench.push_change(Some("bob"), &[("servers/more.toml", Some("id = 41\nowner = \"bob\"\n"))]);
    said.accepted(&["server more (id 41) is created"]);
    assert!(!said.text.contains("connections"), "{}", said.text);
}
