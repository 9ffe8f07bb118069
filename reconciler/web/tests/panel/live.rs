//! Live parts: how servers are, and what comes of a change, as the reconciler tells it.

use berth_plan::observed::RunState;
use berth_plan::{Action, Subject};
use berth_schema::Origin;
use berth_wire::web::{Act, CommitLine, CommitRead, CommitSheet, Servers, Why};
use berth_wire::{Ended, Event, Outcome, PassRecord, PowerRecord, Retry};
use http::StatusCode;
use jiff::Timestamp;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};

use crate::browser::Browser;
use crate::door::refusal;
use crate::panel::Panel;
use crate::platform::{furnish, id, revision};
use crate::reconciler::Reconciler;

fn shop() -> Subject {
    Subject::Server { id: id(3), name: "shop".to_owned() }
}

fn outcome(result: Ended) -> Outcome {
    Outcome { subject: shop(), action: Action::Start, result, millis: 1, steps_done: 1, steps: 1 }
}

fn record(outcomes: Vec<Outcome>) -> PassRecord {
    let ours = Some(Origin::Revision(revision()));
    let at = Timestamp::now();
    PassRecord {
        at,
        attempted: ours,
        revision: ours,
        reason: String::new(),
        outcomes,
        problems: Vec::new(),
        retry_millis: None,
    }
}

/// Events of a page, as its script hears them.
struct Events(Box<dyn tokio::io::AsyncBufRead + Unpin>);

impl Events {
    async fn of(browser: &Browser, path: &str) -> Self {
        let mut stream = browser.connect().await.unwrap();
        let request = browser.request(http::Method::GET, path, "");
        let mut head = format!("GET {path} HTTP/1.1\r\n");
        for (name, value) in request.headers() {
            head += &format!("{name}: {}\r\n", value.to_str().unwrap());
        }
        stream.write_all(format!("{head}accept: text/event-stream\r\n\r\n").as_bytes()).await.unwrap();
        let mut events = Self(Box::new(BufReader::new(stream)));
        assert_eq!(events.line().await, "HTTP/1.1 200 OK");
        events
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        assert_ne!(self.0.read_line(&mut line).await.unwrap(), 0, "the stream has ended");
        line.trim_end().to_owned()
    }

    /// Data of the next event of this name with these words.
    async fn hear(&mut self, name: &str, words: &str) -> String {
        loop {
            while self.line().await != format!("event: {name}") {}
            let line = self.line().await;
            assert!(line.starts_with("data: "), "browsers drop an event without data: {name} {line:?}");
            if line.contains(words) {
                return line;
            }
        }
    }
}

/// Fetches a page until it says something: what the reconciler tells takes a moment.
async fn until(browser: &Browser, path: &str, words: &str) -> String {
    loop {
        let page = browser.get(path).await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.text);
        if page.text.contains(words) {
            return page.text;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_green_while_nobody_tells() {
    let panel = Panel::start().await;
    furnish(&panel.door, "x");
    let bob = panel.signed_in("bob").await;
    let page = bob.get("/").await;
    page.says(StatusCode::OK, "hasn’t told how the servers are yet");
    assert!(page.text.contains("unknown") && !page.text.contains("pill good"), "{}", page.text);
    let reconciler = Reconciler::serve(panel.sockets());
    until(&bob, "/", "pill good").await;
    drop(reconciler);
    let page = until(&bob, "/", "Last heard").await;
    assert!(page.contains("last heard: running") && !page.contains("pill good"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stops_is_seen_by_whoever_looks() {
    let panel = Panel::start().await;
    furnish(&panel.door, "x");
    let reconciler = Reconciler::serve(panel.sockets());
    reconciler.is_heard().await;
    let bob = panel.signed_in("bob").await;
    until(&bob, "/", "pill good").await;
    let (mut home, mut one) = (Events::of(&bob, "/events").await, Events::of(&bob, "/vm/3/events").await);
    home.hear("parts", "running").await;
    one.hear("parts", "It runs, as it should.").await;
    reconciler.now(
        Some(RunState::Exited),
        &record(vec![outcome(Ended::Failed { error: "no <space>".to_owned(), retry: Retry::SOON })]),
    );
    let parts = home.hear("parts", "failed").await;
    assert!(parts.contains("live-state-3"), "{parts}");
    let parts = one.hear("parts", "be started").await;
    assert!(parts.contains("no &lt;space&gt;"), "{parts}");
    // The other one isn't in the status: it is new.
    until(&bob, "/", "not made yet").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_told_object_by_object_until_it_is_over() {
    let panel = Panel::start().await;
    furnish(&panel.door, "x");
    panel.door.answer(|_, _, _: CommitRead| {
        let line = CommitLine {
            revision: revision(),
            author: "bob".to_owned(),
            at: Timestamp::now(),
            summary: "server shop".to_owned(),
            door: None,
            paths: Vec::new(),
            outcome: None,
        };
        Ok(CommitSheet { line, diffs: Vec::new(), may_revert: false, is_overtaken: false })
    });
    let reconciler = Reconciler::serve(panel.sockets());
    reconciler.is_heard().await;
    let bob = panel.signed_in("bob").await;
    let path = format!("/changes/{}", revision());
    let page = until(&bob, &path, "has it next").await;
    assert!(page.contains("http-equiv=\"refresh\""), "without a script, the page looks again: {page}");
    let mut events = Events::of(&bob, &format!("{path}/events")).await;
    events.hear("parts", "Not applied yet").await;
    let ours = Origin::Revision(revision());
    reconciler.tell(&Event::Planned {
        revision: ours,
        changes: 2,
        text: "~ others".to_owned(),
        digest: String::new(),
    });
    reconciler.tell(&Event::Begun { subject: shop(), action: Action::Start });
    let parts = events.hear("parts", "Server shop").await;
    assert!(parts.contains("starting") && parts.contains("0 of 2 done"), "{parts}");
    reconciler.tell(&Event::Ended(outcome(Ended::Done)));
    events.hear("parts", "1 of 2 done").await;
    reconciler.now(Some(RunState::Running), &record(vec![outcome(Ended::Done)]));
    events.hear("end", "").await;
    let page = bob.get(&path).await;
    page.says(StatusCode::OK, "All of it is done.");
    assert!(!page.text.contains("http-equiv"), "{}", page.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_sees_first_what_is_wrong() {
    let panel = Panel::start().await;
    furnish(&panel.door, "x");
    let ann = panel.signed_in("ann").await;
    ann.get("/admin/").await.says(StatusCode::OK, "Not known while the reconciler doesn’t answer.");
    let reconciler = Reconciler::serve(panel.sockets());
    reconciler.is_heard().await;
    let page = until(&ann, "/admin/", "All is as written.").await;
    assert!(page.contains("hosting-users-caddy"), "{page}");
    let mut events = Events::of(&ann, "/admin/events").await;
    events.hear("parts", "All is as written.").await;
    let failed = Ended::Failed { error: "no <space>".to_owned(), retry: Retry::SOON };
    let problems = vec!["a removal is <held> back".to_owned()];
    reconciler.now(Some(RunState::Exited), &PassRecord { problems, ..record(vec![outcome(failed)]) });
    let parts = events.hear("parts", "no &lt;space&gt;").await;
    assert!(
        parts.contains("&lt;held&gt;")
            && parts.contains("server shop")
            && !parts.contains("All is as written"),
        "{parts}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_is_told_with_whom_it_was_for() {
    let panel = Panel::start().await;
    furnish(&panel.door, "x");
    let reconciler = Reconciler::serve(panel.sockets());
    reconciler.is_heard().await;
    let bob = panel.signed_in("bob").await;
    let restart = |result| PowerRecord {
        at: Timestamp::UNIX_EPOCH,
        subject: shop(),
        act: Act::Restart,
        by: "cleo".parse().unwrap(),
        result,
        millis: 1,
    };
    reconciler.restarted(restart(Ended::Done));
    until(&bob, "/vm/3", "Last restarted by cleo").await;
    reconciler.restarted(restart(Ended::Failed { error: "no <space>".to_owned(), retry: Retry::SOON }));
    let page = until(&bob, "/vm/3", "The last restart failed").await;
    assert!(page.contains("No &lt;space&gt;."), "{page}");
    assert!(!bob.get("/vm/4").await.text.contains("restart failed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_may_not_look_hears_nothing() {
    let panel = Panel::start().await;
    furnish(&panel.door, "x");
    let bob = panel.signed_in("bob").await;
    panel.door.answer(|_, _, _: Servers| Err(refusal(Why::Forbidden, "not yours")));
    bob.get("/events").await.says(StatusCode::FORBIDDEN, "not yours");
    panel.browser().get("/events").await.goes_to();
}
