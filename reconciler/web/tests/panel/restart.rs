//! A parent with the port, children that come and go under visitors.

use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use http::StatusCode;
use rustix::process::{Signal, geteuid, kill_process};

use crate::door::PASSWORD;
use crate::program::{NOBODY, Program};

/// Visitors that come one after the other, each on a connection of their own, until they are told to stop. Returns how many came.
fn visitors(program: &Program) -> (Arc<AtomicBool>, Arc<AtomicUsize>, Vec<tokio::task::JoinHandle<()>>) {
    let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let visit = |_| {
        let (browser, stop, count) = (program.browser(), Arc::clone(&stop), Arc::clone(&count));
        tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                browser.get("/login").await.says(StatusCode::OK, "Sign in");
                count.fetch_add(1, Ordering::Relaxed);
            }
        })
    };
    let tasks = (0..4).map(visit).collect();
    (stop, count, tasks)
}

/// Waits until more visitors have been answered.
async fn more(count: &AtomicUsize) {
    let before = count.load(Ordering::Relaxed);
    while count.load(Ordering::Relaxed) < before + 8 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_visitor_notices_that_it_is_started_anew() {
    let mut program = Program::start();
    let bob = program.browser();
    bob.post("/login", &[("user", "bob"), ("password", PASSWORD)]).await;
    let (stop, count, visitors) = visitors(&program);
    for _ in 0..2 {
        more(&count).await;
        let before = program.server();
        program.signal(Signal::HUP);
        tokio::task::block_in_place(|| program.hear("the panel listens"));
        more(&count).await;
        assert_ne!(program.server(), before);
    }
    stop.store(true, Ordering::Relaxed);
    for visitor in visitors {
        visitor.await.unwrap();
    }
    bob.get("/account").await.says(StatusCode::OK, "bob");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_that_dies_is_followed_by_another() {
    let mut program = Program::start();
    kill_process(program.server(), Signal::KILL).unwrap();
    // The connection waits in the port that the parent holds.
    program.browser().get("/login").await.says(StatusCode::OK, "Sign in");
    program.hear("it is started again");
}

#[tokio::test(flavor = "multi_thread")]
async fn both_end_together_and_the_child_has_nothing_of_ours() {
    let mut program = Program::start();
    let server = program.server();
    let environment = std::fs::read(format!("/proc/{}/environ", server.as_raw_nonzero()));
    // Root may look; nobody else may, not even this user.
    if let Ok(environment) = environment {
        assert_eq!(String::from_utf8_lossy(&environment), "");
    }
    program.signal(Signal::TERM);
    let ended = tokio::task::block_in_place(|| program.child.wait()).unwrap();
    assert!(ended.success(), "{ended}");
    assert!(kill_process(server, Signal::TERM).is_err(), "the child has ended too");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_root_starts_serves_without_a_privilege() {
    if !geteuid().is_root() {
        berth_testing::skipped("only root can start it as somebody else");
        return;
    }
    let program = Program::start_with(|command| command.args(["--user", "nobody"]));
    program.browser().get("/login").await.says(StatusCode::OK, "Sign in");
    let status =
        std::fs::read_to_string(format!("/proc/{}/status", program.server().as_raw_nonzero())).unwrap();
    let line = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        (line("Uid:"), line("Groups:")),
        (format!("{NOBODY} {NOBODY} {NOBODY} {NOBODY}"), String::new())
    );
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"] {
        assert_eq!(line(set), "0000000000000000", "{set}");
    }
    assert_eq!(line("NoNewPrivs:"), "1");
    let data = std::fs::metadata(program.home.path().join("data")).unwrap();
    assert_eq!((data.uid(), data.mode() & 0o777), (NOBODY, 0o700));
}
