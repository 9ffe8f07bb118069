//! The forge is told what became of its commits.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use berth::control::{Control, Socket};
use berth::wakeup::Wakeups;
use berth::watch::EngineHealth;
use berth_fake_forge::token;
use berth_wire::standing::CommitState;
use berth_wire::{Event, Listener as _, PassRecord};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{Bench, until};

/// A request as the forge saw it.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

/// An answer of a forge's.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
}

/// Decides how a request is answered; 201 where it says nothing.
type Rule = Box<dyn Fn(&Seen) -> Option<Reply> + Send>;

/// A forge's API: remembers every request, and answers as it is told.
#[derive(Clone, Default)]
struct Api {
    seen: Arc<Mutex<Vec<Seen>>>,
    rule: Arc<Mutex<Option<Rule>>>,
}

impl Reply {
    pub(crate) fn new(status: u16, body: &str) -> Self {
        Self { status, headers: Vec::new(), body: body.to_owned() }
    }
}

/// A forge's API and a reconciler that does what it is told, on a runtime of their own.
pub(crate) struct World {
    runtime: Option<tokio::runtime::Runtime>,
    stop: CancellationToken,
    api: Api,
    pub(crate) url: String,
    control: Control,
    pub(crate) token: String,
}

impl World {
    pub(crate) fn new() -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let api = Api::default();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(answer).with_state(api.clone());
        runtime.spawn(async move { axum::serve(listener, router).await });
        let control = Control::new(Wakeups::default(), EngineHealth::default());
        Self { runtime: Some(runtime), stop: CancellationToken::new(), api, url, control, token: token() }
    }

    /// Lets the forge answer by a rule from now on.
    pub(crate) fn answering(&self, rule: impl Fn(&Seen) -> Option<Reply> + Send + 'static) {
        *self.api.rule.lock().unwrap() = Some(Box::new(rule));
    }

    /// Lets the forge give these answers, in this order.
    pub(crate) fn answers(&self, replies: Vec<Reply>) {
        let left = Mutex::new(std::collections::VecDeque::from(replies));
        self.answering(move |_| left.lock().unwrap().pop_front());
    }

    /// Requests so far.
    pub(crate) fn count(&self) -> usize {
        self.api.seen.lock().unwrap().len()
    }

    /// Lets the reconciler of this bench answer.
    pub(crate) fn reconcile(&self, bench: &Bench) {
        std::fs::create_dir_all(bench.data()).unwrap();
        let socket = Socket::open(&bench.data().join("control.sock")).unwrap();
        let (control, stop) = (self.control.clone(), self.stop.clone());
        self.runtime.as_ref().unwrap().spawn(stop.run_until_cancelled_owned(control.serve(socket, None)));
    }

    /// Tells, again and again, what a pass came to, until the forge has seen something of it: whoever listens begins when it
    /// likes.
    pub(crate) fn passes(&self, record: &PassRecord, until_seen: impl Fn(&[Seen]) -> bool) {
        until(
            || {
                self.control.events().hear(Event::PassEnded(record.clone()));
                until_seen(&self.api.seen.lock().unwrap())
            },
            || format!("{:#?}", self.api.seen.lock().unwrap()),
        );
    }

    pub(crate) fn seen(&self, wanted: usize) -> Vec<Seen> {
        until(
            || self.api.seen.lock().unwrap().len() >= wanted,
            || format!("{wanted} requests: {:#?}", self.api.seen.lock().unwrap()),
        );
        self.api.seen.lock().unwrap().clone()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(5));
        }
    }
}

async fn answer(
    State(api): State<Api>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: String,
) -> (StatusCode, HeaderMap, String) {
    let body = serde_json::from_str(&body).unwrap_or_default();
    let seen = Seen { method, path: uri.to_string(), headers, body };
    let reply = api.rule.lock().unwrap().as_ref().and_then(|rule| rule(&seen));
    api.seen.lock().unwrap().push(seen);
    let reply = reply.unwrap_or_else(|| Reply::new(201, "{}"));
    let headers =
        reply.headers.into_iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
    (StatusCode::from_u16(reply.status).unwrap(), headers.collect(), reply.body)
}

pub(crate) fn record(tip: &str, problems: &[&str]) -> PassRecord {
    PassRecord {
        at: jiff::Timestamp::UNIX_EPOCH,
        attempted: Some(tip.parse().unwrap()),
        revision: Some(tip.parse().unwrap()),
        reason: "ref change".to_owned(),
        outcomes: Vec::new(),
        problems: problems.iter().map(|&problem| problem.to_owned()).collect(),
        retry_millis: None,
    }
}

pub(crate) fn bench(world: &World, forge: &str, base: &str) -> Bench {
    let bench = Bench::new(&format!("poll = \"1s\"\nforge = \"{forge}\"\napi = \"{}{base}\"\n", world.url));
    bench.secret("forge-token", &format!("{}\n", world.token));
    bench
}

#[test]
fn each_forge_is_told_in_its_own_words() {
    for (forge, base, header, scheme) in [
        ("github", "/repos/org/state", "authorization", "Bearer "),
        ("forgejo", "/api/v1/repos/org/state", "authorization", "token "),
        ("gitlab", "/api/v4/projects/org%2Fstate", "private-token", ""),
    ] {
        let world = World::new();
        let value = format!("{scheme}{}", world.token);
        let bench = bench(&world, forge, base);
        world.reconcile(&bench);
        let follower = bench.follow();
        let first = bench.main();
        assert_eq!(world.seen(1)[0].body["state"], "pending", "{forge}");
        world.passes(&record(&first, &[]), |seen| seen.len() > 1);

        let broken = bench.push(&[("servers/shop.toml", "id = 0\nowner = \"ann\"\n")]);
        let seen = world.seen(3);
        let failure = if forge == "gitlab" { "failed" } else { "failure" };
        let states: Vec<_> = seen.iter().map(|seen| seen.body["state"].as_str().unwrap()).collect();
        assert_eq!(states, ["pending", "success", failure], "{forge}");
        for (seen, sha) in seen.iter().zip([&first, &first, &broken]) {
            assert_eq!(seen.method, Method::POST);
            assert_eq!(seen.path, format!("{base}/statuses/{sha}"));
            assert_eq!(seen.headers[header], value.as_str(), "{forge}");
            assert_eq!(seen.headers["content-type"], "application/json");
            assert!(seen.headers["user-agent"].to_str().unwrap().starts_with("berth/"));
        }
        let name = if forge == "gitlab" { "name" } else { "context" };
        let mut wanted =
            json!({"state": "success", "description": "applied: nothing had to change", name: "berth"});
        if forge == "gitlab" {
            // Else GitLab chooses a branch by itself.
            wanted["ref"] = json!("main");
        }
        assert_eq!(seen[1].body, wanted);
        let described = seen[2].body["description"].as_str().unwrap();
        assert!(described.starts_with("refused: servers/shop.toml:1:6: "), "{described}");
        if forge == "github" {
            assert_eq!(seen[0].headers["accept"], "application/vnd.github+json");
            assert_eq!(seen[0].headers["x-github-api-version"], "2022-11-28");
        }
        let log = follower.end();
        assert!(!log.contains(&world.token), "{log}");
        assert!(!format!("{:?}", bench.standing()).contains(&world.token));
    }
}

#[test]
fn a_failure_is_told_and_taken_back_when_it_is_over() {
    let world = World::new();
    let bench = bench(&world, "forgejo", "/api/v1/repos/org/state");
    world.reconcile(&bench);
    let _follower = bench.follow();
    let tip = bench.main();
    world.seen(1);
    let held = record(&tip, &["server shop (id 1): no image `berth-server:latest`"]);
    world.passes(&held, |seen| seen.len() > 1);
    world.passes(&record(&tip, &[]), |seen| seen.len() > 2);
    let seen = world.seen(3);
    assert_eq!(seen[1].body["state"], "failure");
    assert_eq!(seen[1].body["description"], "server shop (id 1): no image `berth-server:latest`");
    assert_eq!(seen[2].body["state"], "success");
    let told =
        bench.until(|standing| standing.told.as_ref().is_some_and(|told| told.state == CommitState::Success));
    assert_eq!(told.told.unwrap().revision.to_string(), tip);
}

#[test]
fn a_forge_that_doesnt_take_it_is_told_again_and_delays_nothing() {
    let world = World::new();
    world.answers(vec![Reply::new(503, "come back later"); 3]);
    let bench = bench(&world, "github", "/repos/org/state");
    let _follower = bench.follow();
    world.seen(1);
    let trouble = bench.until(|standing| standing.telling_trouble.is_some()).telling_trouble.unwrap();
    assert!(trouble.contains("503") && trouble.contains("come back later"), "{trouble}");
    let tip = bench.push(&[("docs/a.md", "a\n")]);
    bench.until_main_is(&tip);
    let standing =
        bench.until(|standing| standing.told.as_ref().is_some_and(|told| told.revision.to_string() == tip));
    assert_eq!(standing.trouble, None);
    // Nothing is left to tell, of either commit.
    bench.until(|standing| standing.telling_trouble.is_none());
    assert!(world.seen(5).iter().all(|seen| seen.body["state"] == "pending"));
}

#[test]
fn no_secret_is_on_a_command_line() {
    let world = World::new();
    let bench = bench(&world, "github", "/repos/org/state");
    let follower = bench.follow();
    // Every command line of the process and its children, for some looks.
    until(
        || {
            for entry in std::fs::read_dir("/proc").unwrap().flatten() {
                if let Ok(line) = std::fs::read(entry.path().join("cmdline")) {
                    let line = String::from_utf8_lossy(&line).into_owned();
                    assert!(!line.contains(&world.token), "{line}");
                }
            }
            follower.log().matches("looked at the forge").count() >= 3
        },
        || follower.log(),
    );
}
