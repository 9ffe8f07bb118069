//! Changes of members here become pull requests at the forge.

mod found;
mod withdrawn;

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, Method, Uri};
use berth_fake_forge::{Answer, Api, Instead, Kind, Way, token};
use serde_json::Value;
use tokio::net::TcpListener;

use super::{Bench, Follower, until};

/// A forge with an API, and the state repo that follows it.
struct Scene {
    bench: Bench,
    fake: Arc<Api>,
    runtime: Option<tokio::runtime::Runtime>,
    token: String,
}

impl Scene {
    fn new(kind: Kind, pull_requests: &str) -> Self {
        Self::polling(kind, pull_requests, "1s")
    }

    fn polling(kind: Kind, pull_requests: &str, poll: &str) -> Self {
        let bench = Bench::new("poll = \"1s\"\n");
        let token = token();
        let fake = Arc::new(Api::new(kind, &bench.forge, &token));
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        let router = Router::new().fallback(answer).with_state(Arc::clone(&fake));
        runtime.spawn(async move { axum::serve(listener, router).await });
        let forge = bench.forge.to_str().unwrap().to_owned();
        let remote = format!(
            "poll = \"{poll}\"\nforge = \"{}\"\napi = \"http://{address}{}\"\npull_requests = \"{pull_requests}\"\n",
            fake.word(),
            fake.base()
        );
        bench.push(&[("users/bob.toml", "email = \"bob@example.org\"\n")]);
        bench.move_to(&forge, &remote);
        bench.secret("forge-token", &format!("{token}\n"));
        Self { bench, fake, runtime: Some(runtime), token }
    }

    /// Follower that has told the doors how the forge is reached.
    fn follow(&self) -> Follower {
        let follower = self.bench.follow();
        until(|| follower.log().contains("looked at the forge"), || follower.log());
        follower
    }

    /// A line in the lobby, in JSON.
    fn lobby(&self, user: &str, line: &str) -> Value {
        let mut berth = self.bench.berth();
        berth.args(["lobby", "--wait", "0", "--as", user, &format!("{line} --json")]);
        let output = crate::InTime::in_time(&mut berth);
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{line}: {}", super::said(&output)))
    }

    /// A change that goes to the forge; returns its topic.
    #[track_caller]
    fn sent(&self, user: &str, line: &str) -> String {
        let said = self.lobby(user, line);
        assert_eq!(said["change"]["result"], "sent", "{said:#}");
        assert!(said["change"]["forge"].as_str().unwrap().ends_with("forge.git"), "{said:#}");
        said["change"]["topic"].as_str().unwrap().to_owned()
    }

    /// A change as its author sees it.
    fn pull(&self, user: &str, topic: &str) -> Value {
        let said = self.lobby(user, "pulls");
        let rows = said["pulls"].as_array().unwrap_or_else(|| panic!("{said:#}"));
        rows.iter().find(|row| row["topic"] == topic).unwrap_or_else(|| panic!("{said:#}")).clone()
    }

    #[track_caller]
    fn until_pull(&self, user: &str, topic: &str, so: impl Fn(&Value) -> bool) -> Value {
        until(
            || {
                std::thread::sleep(Duration::from_millis(150));
                so(&self.pull(user, topic))
            },
            || {
                format!(
                    "{:#}; {:#?}; {:#?}",
                    self.pull(user, topic),
                    self.fake.seen.lock().unwrap(),
                    self.bench.standing()
                )
            },
        );
        self.pull(user, topic)
    }

    #[track_caller]
    fn until_state(&self, user: &str, topic: &str, state: &str) -> Value {
        self.until_pull(user, topic, |row| row["state"] == state)
    }

    fn instead(&self, instead: Instead) {
        self.fake.instead.lock().unwrap().push(instead);
    }

    fn posts(&self) -> usize {
        let path = format!("POST {}", self.fake.base());
        let seen = self.fake.seen.lock().unwrap();
        seen.iter().filter(|line| line.starts_with(&path) && !line.contains("/statuses/")).count()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(5));
        }
    }
}

async fn answer(
    State(fake): State<Arc<Api>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: String,
) -> Answer {
    let path = uri.to_string();
    tokio::task::spawn_blocking(move || fake.answer(&method, &path, &headers, &body)).await.unwrap()
}

#[test]
fn a_members_change_becomes_a_pull_request_in_their_name() {
    for (kind, way) in [(Kind::Github, Way::Merge), (Kind::Gitlab, Way::Squash), (Kind::Forgejo, Way::Rebase)]
    {
        let scene = Scene::new(kind, "propose");
        let follower = scene.follow();
        let before = scene.bench.main();
        let topic = scene.sent("bob", "new blog");
        assert_eq!(topic, "server-blog");
        let open = scene.until_state("bob", &topic, "open");
        assert_eq!((open["number"].as_u64(), &open["landed"]), (Some(12), &Value::Null), "{open:#}");
        assert!(open["url"].as_str().unwrap().ends_with("/pulls/12"), "{open:#}");
        assert_eq!(scene.bench.main(), before, "it waits for somebody at the forge");

        let pull = scene.fake.pull(12);
        assert_eq!(
            (pull.title.as_str(), pull.branch.as_str()),
            ("servers/blog: new", "berth/bob/server-blog")
        );
        assert!(
            pull.text.starts_with("**bob** asks for this over SSH of hosting\\.example\\.org."),
            "{}",
            pull.text
        );
        assert!(
            pull.text.contains("policy allows it") && pull.text.contains("server blog (id 2)"),
            "{}",
            pull.text
        );
        let commit = scene.fake.tip(&pull.branch).unwrap();
        assert_eq!(open["revision"].as_str(), Some(commit.as_str()));
        let shown = crate::git(&scene.bench.forge);
        let shown = crate::InTime::in_time(&mut {
            let mut git = shown;
            git.args(["log", "-1", "--format=%an%n%B", &commit]);
            git
        });
        let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
        assert!(shown.starts_with("bob\n") && shown.contains("Berth-Door: ssh"), "{shown}");

        let tip = scene.fake.merge(12, way);
        scene.bench.until_main_is(&tip);
        let merged = scene.until_pull("bob", &topic, |row| row["landed"] == tip.as_str());
        assert_eq!((merged["state"].as_str(), &merged["why"]), (Some("merged"), &Value::Null), "{kind:?}");
        assert!(scene.bench.has("main:servers/blog.toml"));
        // Nobody else sees it but admins.
        assert_eq!(scene.lobby("ann", "pulls")["pulls"][0]["topic"], "server-blog");
        assert!(scene.bench.standing().is_fine(), "{:#?}", scene.bench.standing());
        let log = follower.end();
        assert!(!log.contains(&scene.token), "{log}");
    }
}

#[test]
fn berth_merges_what_its_policy_allows_where_it_is_told_to() {
    for kind in [Kind::Github, Kind::Gitlab, Kind::Forgejo] {
        let scene = Scene::new(kind, "merge");
        *scene.fake.only_squash.lock().unwrap() = kind == Kind::Github;
        let _follower = scene.follow();
        // Two at once: each is judged on top of the other.
        let (blog, shop) = (scene.sent("bob", "new blog"), scene.sent("bob", "new wiki"));
        for topic in [&blog, &shop] {
            let merged = scene.until_pull("bob", topic, |row| row["landed"].is_string());
            assert_eq!(merged["state"], "merged", "{merged:#}");
        }
        assert!(scene.bench.has("main:servers/blog.toml") && scene.bench.has("main:servers/wiki.toml"));
        // What somebody would rather have looked at waits.
        let topic = scene.sent("bob", "set blog memory=1GiB --propose");
        scene.until_state("bob", &topic, "open");
        std::thread::sleep(Duration::from_secs(3));
        assert_eq!(scene.pull("bob", &topic)["state"], "open");
    }
}

#[test]
fn nothing_is_merged_onto_what_wasnt_judged() {
    let merges = "pull_requests = \"merge\"";
    for is_off in [false, true] {
        let scene = Scene::polling(Kind::Forgejo, "merge", "10m");
        let _follower = scene.follow();
        // Nobody has looked at the forge since.
        let platform = fs::read_to_string(scene.bench.work.join("platform.toml")).unwrap();
        assert!(platform.contains(merges), "{platform}");
        let tip = match is_off {
            true => {
                let off = platform.replace(merges, "pull_requests = \"propose\"");
                scene.bench.push(&[("platform.toml", &off)])
            }
            false => {
                let bob = "email = \"bob@example.org\"\n[quota]\nservers = 0\n";
                scene.bench.push(&[("users/bob.toml", bob)])
            }
        };
        let topic = scene.sent("bob", "new blog");
        scene.bench.until_main_is(&tip);
        if is_off {
            std::thread::sleep(Duration::from_secs(4));
            assert_eq!(scene.pull("bob", &topic)["state"], "open");
        } else {
            let row = scene.until_pull("bob", &topic, |row| row["why"].is_string());
            assert!(row["why"].as_str().unwrap().contains("doesn't merge it by itself"), "{row:#}");
        }
        assert!(scene.fake.pull(12).is_open);
    }
}

#[test]
fn two_new_servers_of_one_member_get_different_ids() {
    let scene = Scene::new(Kind::Forgejo, "propose");
    let _follower = scene.follow();
    let (one, other) = (scene.sent("bob", "new blog"), scene.sent("bob", "new wiki"));
    scene.until_state("bob", &one, "open");
    scene.until_state("bob", &other, "open");
    scene.fake.merge(scene.pull("bob", &one)["number"].as_u64().unwrap(), Way::Merge);
    let tip = scene.fake.merge(scene.pull("bob", &other)["number"].as_u64().unwrap(), Way::Squash);
    scene.bench.until_main_is(&tip);
    assert!(scene.until_pull("bob", &other, |row| row["landed"].is_string())["state"] == "merged");
    assert_eq!(scene.until_pull("bob", &one, |row| row["landed"].is_string())["state"], "merged");
    let text = |name: &str| {
        let mut git = crate::git(&scene.bench.state);
        let shown = crate::InTime::in_time(git.args(["show", &format!("main:servers/{name}.toml")]));
        String::from_utf8_lossy(&shown.stdout).into_owned()
    };
    assert!(text("blog").contains("id = 2\n") && text("wiki").contains("id = 3\n"));
}

#[test]
fn a_right_that_is_missing_is_said_and_mended_by_another_token() {
    let scene = Scene::new(Kind::Github, "propose");
    scene.instead(Instead {
        method: Method::POST,
        path: "/pulls",
        status: 403,
        headers: Vec::new(),
        body: "{\"message\": \"Resource not accessible by personal access token\"}",
    });
    let _follower = scene.follow();
    let topic = scene.sent("bob", "new blog");
    let failed = scene.until_state("bob", &topic, "failed");
    let why = failed["why"].as_str().unwrap();
    assert!(why.contains("Resource not accessible") && why.contains("pull requests: write"), "{why}");
    let posts = scene.posts();
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(scene.posts(), posts, "it isn't asked again and again");
    let another = token();
    scene.fake.token.lock().unwrap().clone_from(&another);
    scene.bench.secret("forge-token", &another);
    assert_eq!(scene.until_state("bob", &topic, "open")["why"], Value::Null);
}

#[test]
fn a_limit_holds_everything_up_for_as_long_as_it_says() {
    let scene = Scene::new(Kind::Github, "propose");
    scene.instead(Instead {
        method: Method::POST,
        path: "/pulls",
        status: 403,
        headers: vec![("retry-after", "4".to_owned()), ("x-ratelimit-remaining", "0".to_owned())],
        body: "{\"message\": \"You have exceeded a secondary rate limit\"}",
    });
    let _follower = scene.follow();
    let topic = scene.sent("bob", "new blog");
    let waits = scene.until_pull("bob", &topic, |row| row["why"].is_string());
    let since = std::time::Instant::now();
    assert_eq!(waits["state"], "waiting", "{waits:#}");
    let other = scene.sent("bob", "new wiki");
    assert_eq!(scene.pull("bob", &other)["state"], "waiting");
    scene.until_state("bob", &topic, "open");
    scene.until_state("bob", &other, "open");
    assert!(since.elapsed() > Duration::from_secs(2), "{:?}", since.elapsed());
    assert_eq!(scene.posts(), 3);
}

#[test]
fn a_forge_that_is_behind_or_away_gets_it_later() {
    let scene = Scene::new(Kind::Forgejo, "propose");
    for (status, body) in [(422, "{\"message\":\"no such branch\"}"), (502, "<html>"), (404, "{}")] {
        let headers = Vec::new();
        scene.instead(Instead { method: Method::POST, path: "/pulls", status, headers, body });
    }
    let _follower = scene.follow();
    let away = scene.bench.folder.path().join("away.git");
    fs::rename(&scene.bench.forge, &away).unwrap();
    let topic = scene.sent("bob", "new blog");
    let waits = scene.until_pull("bob", &topic, |row| row["why"].is_string());
    assert_eq!(waits["state"], "waiting", "{waits:#}");
    fs::rename(&away, &scene.bench.forge).unwrap();
    scene.until_state("bob", &topic, "open");
    assert_eq!((scene.posts(), scene.fake.pulls.lock().unwrap().len()), (4, 1));
}

#[test]
fn a_branch_that_is_somebody_elses_is_left_alone() {
    let scene = Scene::new(Kind::Gitlab, "propose");
    scene.bench.git(&["push", "--quiet", "origin", "HEAD:refs/heads/berth/bob/server-blog"]);
    let theirs = scene.fake.tip("berth/bob/server-blog");
    let _follower = scene.follow();
    let topic = scene.sent("bob", "new blog");
    scene.until_state("bob", &topic, "open");
    let branch = scene.fake.pull(12).branch;
    assert!(branch.starts_with("berth/bob/server-blog-"), "{branch}");
    assert_eq!(scene.fake.tip("berth/bob/server-blog"), theirs);
}

#[test]
fn a_no_at_the_forge_is_told_here_and_changes_nothing() {
    let scene = Scene::new(Kind::Forgejo, "propose");
    let _follower = scene.follow();
    let before = scene.bench.main();
    let topic = scene.sent("bob", "new blog");
    scene.until_state("bob", &topic, "open");
    scene.fake.close(12);
    let closed = scene.until_state("bob", &topic, "closed");
    assert!(closed["why"].as_str().unwrap().contains("closed at the forge"), "{closed:#}");
    assert_eq!(scene.bench.main(), before);
    // The same can be asked for again, by another name.
    assert_eq!(scene.sent("bob", "new blog"), "server-blog-2");
}

#[test]
fn what_main_has_already_is_brought_nowhere() {
    let scene = Scene::new(Kind::Github, "propose");
    // Nobody brings it there yet.
    let topic = scene.sent("bob", "new blog");
    let mut git = crate::git(&scene.bench.state);
    let shown = crate::InTime::in_time(
        git.args(["show", "refs/berth/outgoing/bob/server-blog^{commit}:servers/blog.toml"]),
    );
    let tip = scene.bench.push(&[("servers/blog.toml", &String::from_utf8_lossy(&shown.stdout))]);
    let mut git = crate::git(&scene.bench.state);
    let fetched = crate::InTime::in_time(git.args([
        "fetch",
        "--quiet",
        scene.bench.forge.to_str().unwrap(),
        "main:main",
    ]));
    assert!(fetched.status.success());
    let _follower = scene.follow();
    let over = scene.until_state("bob", &topic, "superseded");
    assert_eq!((over["landed"].as_str(), scene.posts()), (Some(tip.as_str()), 0), "{over:#}");
}

#[test]
fn doors_say_what_is_missing_and_what_isnt_allowed() {
    let refused = |scene: &Scene, user: &str, line: &str| {
        let said = scene.lobby(user, line);
        let error = said["error"].clone();
        assert!(error.is_object(), "{said:#}");
        (error["message"].as_str().unwrap().to_owned(), error["hint"].as_str().unwrap_or_default().to_owned())
    };
    let scene = Scene::new(Kind::Github, "propose");
    let follower = scene.follow();
    // The policy's "no" is one at the door.
    let (message, _) = refused(&scene, "bob", "set shop memory=1GiB");
    assert!(message.contains("no server `shop`"), "{message}");
    let (message, _) = refused(&scene, "bob", "new api owner=ann --owner ann");
    assert!(!message.is_empty());
    let (message, _) = refused(&scene, "bob", "new api --owner ann");
    assert!(message.contains("ann"), "{message}");
    follower.end();

    fs::remove_file(scene.bench.data().join("secrets/forge-token")).unwrap();
    let follower = scene.bench.follow();
    scene.bench.until(|standing| standing.pulls_trouble.is_some());
    until(
        || scene.lobby("bob", "new blog")["error"].is_object(),
        || format!("{:#?}", scene.bench.standing()),
    );
    let (message, hint) = refused(&scene, "bob", "new blog");
    assert!(message.contains("no secret `forge-token`"), "{message}");
    assert!(hint.contains("ask whoever runs the platform") && hint.contains("git push "), "{hint}");
    follower.end();

    let off = Scene::new(Kind::Github, "off");
    let (message, hint) = refused(&off, "bob", "new blog");
    assert!(message.contains("main follows ") && hint.contains("git push "), "{message} {hint}");
    let kindless = Bench::new("");
    kindless.push(&[("users/bob.toml", "email = \"bob@example.org\"\n")]);
    let fetched = crate::InTime::in_time(crate::git(&kindless.state).args([
        "fetch",
        "--quiet",
        kindless.forge.to_str().unwrap(),
        "main:main",
    ]));
    assert!(fetched.status.success());
    let mut berth = kindless.berth();
    let output = crate::InTime::in_time(berth.args(["lobby", "--wait", "0", "--as", "bob", "new blog"]));
    let words = super::said(&output);
    assert!(words.contains("what kind of forge") && words.contains("`forge`"), "{words}");
}

#[test]
fn a_change_moves_with_the_state_repo_to_another_forge() {
    let scene = Scene::new(Kind::Forgejo, "propose");
    let _follower = scene.follow();
    let topic = scene.sent("bob", "new blog");
    scene.until_state("bob", &topic, "open");
    // The repository is renamed: what was open there is open still, and is found again by its branch.
    let second = scene.bench.folder.path().join("second.git");
    std::os::unix::fs::symlink(&scene.bench.forge, &second).unwrap();
    let platform = fs::read_to_string(scene.bench.work.join("platform.toml")).unwrap();
    let renamed = platform.replace(scene.bench.forge.to_str().unwrap(), second.to_str().unwrap());
    let tip = scene.bench.push(&[("platform.toml", &renamed)]);
    scene.bench.until_main_is(&tip);
    let posts = scene.posts();
    until(|| scene.posts() > posts, || format!("{:#?}", scene.fake.seen.lock().unwrap()));
    assert_eq!(scene.until_state("bob", &topic, "open")["number"], 12);
    assert_eq!(scene.fake.pulls.lock().unwrap().len(), 1);
}

#[test]
fn a_forge_that_fails_at_one_change_holds_no_other_up() {
    let scene = Scene::new(Kind::Github, "propose");
    let _follower = scene.follow();
    let broken = scene.sent("bob", "new blog");
    scene.until_state("bob", &broken, "open");
    for _ in 0..200 {
        let (status, headers, body) = (500, Vec::new(), "{\"message\": \"Server Error\"}");
        scene.instead(Instead { method: Method::GET, path: "/pulls/12", status, headers, body });
    }
    scene.until_pull("bob", &broken, |row| row["why"].is_string());
    let good = scene.sent("bob", "new wiki");
    scene.until_state("bob", &good, "open");
    scene.fake.close(13);
    scene.until_state("bob", &good, "closed");
    let row = scene.pull("bob", &broken);
    assert!(row["state"] == "open" && row["why"].as_str().unwrap().contains("500"), "{row:#}");
    assert!(scene.fake.instead.lock().unwrap().len() > 150, "it is asked longer and longer apart");
}
