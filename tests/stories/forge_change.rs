//! Where a forge hosts the state repo: what a member asks for by a form, by the API and over SSH becomes a pull request there, is merged,
//! and comes back to a real container. The forge hears of it, and all doors say the same.

use std::process::Command;

use berth_fake_forge::{Forge, Kind, Told, Way};
use berth_tests::folder::git;
use berth_tests::ground::scratch;
use berth_tests::panel::{HASH, PANEL, PASSWORD, press};
use berth_tests::process::{PATIENCE, built, run};
use berth_tests::{Browser, Daemon, Platform, World, eventually};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::panel::Bench;

crate::stories! {
    a_members_changes_go_to_the_forge_and_come_back,
}

/// A platform whose state repo a forge hosts, and all that serves it.
struct Scene {
    // They end before what they stand on.
    _reconciler: Daemon,
    _remote: Daemon,
    bench: Bench,
    forge: Forge,
    _folder: TempDir,
}

impl Scene {
    fn new(world: &World) -> Self {
        let folder = scratch();
        let repository = folder.path().join("forge.git");
        run(git().args(["init", "--quiet", "--bare", "-b", "main"]).arg(&repository), PATIENCE).good();
        let forge = Forge::open(Kind::Forgejo, &repository);
        let platform = Platform::new(world.engine(), |state| {
            let remote = format!(
                "\n[remote]\nurl = \"{}\"\nforge = \"forgejo\"\npoll = \"1s\"\npull_requests = \"propose\"\n",
                forge.url()
            );
            state.append("platform.toml", &remote);
            state.write("users/bob.toml", &format!("password_hash = \"{HASH}\"\n"));
            state.write("servers/shop.toml", "id = 1\nowner = \"bob\"\n");
        });
        // As the page on forges has it: the forge begins with what is here.
        let mut push = git();
        push.arg("--git-dir").arg(platform.repo()).args(["push", "--quiet"]).arg(&repository).arg("main");
        run(&mut push, PATIENCE).good();
        let token = folder.path().join("token");
        std::fs::write(&token, forge.token()).expect("a file");
        let mut store = Command::new("sh");
        store.args(["-c", "exec \"$@\" < \"$0\""]).arg(&token).arg(built("berth"));
        store.args(["secret", "set", "forge-token", "--state"]).arg(platform.repo());
        run(store.arg("--data").arg(platform.data()), PATIENCE).good();

        let reconciler = platform.daemon();
        platform.running(1);
        let mut remote = platform.berth_command(&["remote"]);
        let remote = platform.stays(remote.envs(forge.trust()).env("BERTH_LOG", "debug"));
        remote.says("looked at the forge");
        Self { _reconciler: reconciler, _remote: remote, bench: Bench::of(platform), forge, _folder: folder }
    }

    /// Asks the panel's API as bob, with his token.
    #[track_caller]
    fn api(&self, token: Option<&str>, arguments: &[&str], path: &str) -> Value {
        let panel = &self.bench.panel;
        let ca = berth_web::tls::ca_path(&self.bench.platform.home().join("web"), PANEL);
        let authority = panel.at("").trim_start_matches("https://").trim_end_matches('/').to_owned();
        let mut curl = panel.namespace().command();
        curl.args(["curl", "-sS", "--fail-with-body", "--cacert"]).arg(ca);
        curl.args(["--resolve", &format!("{authority}:127.0.0.1"), "-H", "Content-Type: application/json"]);
        curl.args(token.map(|token| format!("-HAuthorization: Bearer {token}")));
        let ran = run(curl.args(arguments).arg(panel.at(path)), PATIENCE).good();
        serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{path}: {error}: {ran}"))
    }

    /// A line of bob's for the lobby, and its answer of this name.
    #[track_caller]
    fn lobby(&self, line: &str, name: &str) -> Value {
        let ran = self.bench.door.ask("bob", &format!("{line} --json")).good();
        let said: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran}"));
        said[name].clone()
    }

    /// Waits until the forge has this pull request of bob's.
    #[track_caller]
    fn opened(&self, number: u64, branch: &str) {
        let pulls = &self.forge.api().pulls;
        let pull = eventually("the forge has the pull request", || {
            pulls.lock().expect("a lock").iter().find(|pull| pull.number == number).cloned()
        });
        assert!(pull.branch.ends_with(branch) && pull.branch.starts_with("berth/bob/"), "{pull:?}");
        assert!(pull.text.contains("**bob** asks for this"), "{}", pull.text);
    }

    /// Waits until the forge has heard that this commit was applied.
    #[track_caller]
    fn is_told(&self, commit: &str) {
        let success = Told { commit: commit.to_owned(), state: "success".to_owned() };
        eventually("the forge hears that it is applied", || {
            self.forge.api().told.lock().expect("a lock").contains(&success).then_some(())
        });
    }

    fn memory(&self) -> u64 {
        self.bench.platform.server(1).memory
    }
}

fn a_members_changes_go_to_the_forge_and_come_back(world: &World) {
    let scene = Scene::new(world);
    let (panel, before) = (&scene.bench.panel, scene.bench.platform.server(1));
    let bob = panel.signed_in("bob");

    // By the form.
    bob.go(&panel.at("/vm/1/edit"));
    bob.fill("#f-memory", "96MiB");
    press(&bob, "See the plan");
    bob.says("This becomes a pull request");
    press(&bob, "Commit");
    bob.says("This became pull request #12 at 127.0.0.1");
    scene.opened(12, "/server-shop");
    assert_eq!(scene.memory(), before.memory, "it waits for somebody at the forge");
    let tip = scene.forge.api().merge(12, Way::Squash);
    bob.says("Pull request #12 was merged at 127.0.0.1, and the platform has it.");
    bob.find_with("a", "The change on main");
    eventually("the server has its memory", || (scene.memory() == 96 << 20).then_some(()));
    scene.is_told(&tip);
    assert_eq!(scene.bench.door.tip(), tip);

    // By the API.
    let credentials = json!({"username": "bob", "password": PASSWORD}).to_string();
    let session = scene.api(None, &["-d", &credentials], "/api/login");
    let token = session["token"].as_str().unwrap_or_else(|| panic!("{session}"));
    let patch = ["-X", "PATCH", "-d", r#"{"memory": "80MiB"}"#];
    let sent = scene.api(Some(token), &patch, "/api/servers/1");
    assert_eq!(sent["outcome"], "sent", "{sent}");
    let follow = sent["follow"].as_str().unwrap_or_else(|| panic!("{sent}")).to_owned();
    let until = |state: &str| {
        eventually(&format!("the API says {state}"), || {
            let pull = scene.api(Some(token), &[], &follow)["pull"].clone();
            (pull["state"] == state && (state != "merged" || !pull["landed"].is_null())).then_some(pull)
        })
    };
    assert_eq!(until("open")["number"], 13);
    scene.opened(13, follow.rsplit('/').next().expect("a topic"));
    let tip = scene.forge.api().merge(13, Way::Merge);
    assert_eq!(until("merged")["landed"], *tip);
    eventually("the server has its memory", || (scene.memory() == 80 << 20).then_some(()));
    scene.is_told(&tip);

    // Over SSH.
    let sent = scene.lobby("set shop cpus=0.25", "change");
    assert_eq!(sent["result"], "sent", "{sent}");
    let topic = sent["topic"].clone();
    let until = |state: &str| {
        eventually(&format!("the lobby says {state}"), || {
            let pulls = scene.lobby("pulls", "pulls");
            let pull = pulls.as_array()?.iter().find(|pull| pull["topic"] == topic)?.clone();
            (pull["state"] == state && (state != "merged" || !pull["landed"].is_null())).then_some(pull)
        })
    };
    assert_eq!(until("open")["number"], 14);
    scene.opened(14, topic.as_str().expect("a topic"));
    let tip = scene.forge.api().merge(14, Way::Rebase);
    assert_eq!(until("merged")["landed"], *tip);
    eventually("the server has its share", || {
        (scene.bench.platform.server(1).nano_cpus == 250_000_000).then_some(())
    });
    scene.is_told(&tip);

    // All doors know all three, and say the same of each.
    let in_lobby = rows(&scene.lobby("pulls", "pulls"));
    assert_eq!(in_lobby.len(), 3, "{in_lobby:?}");
    assert_eq!(rows(&scene.api(Some(token), &[], "/api/pulls")), in_lobby);
    bob.go(&panel.at("/reviews"));
    let page = bob.page();
    assert_eq!((page.matches("merged").count(), page.matches("#1").count()), (3, 3), "{page}");
    ends_well(&scene, &bob, &before.id);
}

/// Pull requests of an answer, each as its number, its state and the revision by which it came back.
fn rows(pulls: &Value) -> Vec<[Value; 3]> {
    let rows = pulls.as_array().unwrap_or_else(|| panic!("{pulls}")).iter();
    rows.map(|pull| ["number", "state", "landed"].map(|name| pull[name].clone())).collect()
}

/// Checks what holds whatever was asked for: the container is the one from the beginning, and no command line held the token.
fn ends_well(scene: &Scene, bob: &Browser, container: &str) {
    assert_eq!(scene.bench.platform.server(1).id, container);
    scene.bench.platform.settled();
    assert_eq!(scene.forge.leaks(), Vec::<String>::new());
    assert_eq!(bob.complaints(), Vec::<String>::new());
}
