//! Sign-in by a real OpenID provider in a browser: a member binds an account and comes back by it, and strangers are turned away, ask, and
//! join.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use berth_tests::panel::{HASH, PANEL, press};
use berth_tests::process::{MARK, PATIENCE, build_folder, built, eventually, run, send, source_tree, wait};
use berth_tests::folder::git;
use berth_tests::{Browser, GitDoor, Panel, World};
use rustix::process::Signal;
use tempfile::TempDir;

crate::stories! {
    people_come_by_the_provider,
}

/// The secret that the provider gave the panel.
const SECRET: &str = "the-stories-own-secret";

/// A process that ends with the story.
struct Running(Child);

impl Running {
    fn start(command: &mut Command, log: &Path) -> Self {
        let file = fs::File::create(log).expect("a log");
        let out = file.try_clone().expect("a log");
        command.env(MARK, build_folder()).env_remove("BERTH_LOG").stdin(Stdio::null()).stdout(out).stderr(file);
        Self(command.spawn().expect("start it"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        send(self.0.id(), Signal::TERM);
        if wait(&mut self.0, PATIENCE).is_none() {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

/// A door, a panel and a provider, in one network.
struct Scene {
    reach: Option<Running>,
    _provider: Running,
    panel: Panel,
    door: GitDoor,
    issuer: String,
    home: TempDir,
}

impl Scene {
    fn new() -> Self {
        let home = tempfile::tempdir().expect("a folder");
        let door = GitDoor::alone(&["ann"], &[
            ("platform.toml", "domain = \"h.example.org\"\n"),
            ("users/ann.toml", &format!("role = \"admin\"\npassword_hash = \"{HASH}\"\n")),
        ]);
        let panel = Panel::open("oidc", &door.panel(), home.path());
        let free = || TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
        let port = panel.namespace().enter(free).expect("a port").port();
        let mut node = panel.namespace().command();
        node.arg("node").arg(source_tree().join("tests/oidc/provider.mjs")).arg(port.to_string());
        node.args(["berth", SECRET]).arg(panel.at("/login/oidc/back"));
        let log = home.path().join("provider.log");
        let provider = Running::start(&mut node, &log);
        eventually("the provider listens", || {
            fs::read_to_string(&log).unwrap_or_default().contains("the provider listens").then_some(())
        });
        let issuer = format!("http://127.0.0.1:{port}");
        let file = home.path().join("secret");
        fs::write(&file, SECRET).expect("a file");
        let mut store = Command::new("sh");
        store.args(["-c", "exec \"$@\" < \"$0\""]).arg(&file).arg(built("berth"));
        store.args(["secret", "set", "oidc", "--state"]).arg(door.state()).arg("--data").arg(door.data());
        run(&mut store, PATIENCE).good();
        Self { reach: None, _provider: provider, panel, door, issuer, home }
    }

    /// Has the state say this of the provider, and `berth oidc` follow it, as `berth up` would.
    fn says(&mut self, more: &str) {
        let port = self.panel.at("/").trim_end_matches('/').rsplit(':').next().expect("a port").to_owned();
        let text = format!(
            "domain = \"h.example.org\"\n[panel]\ndomain = \"{PANEL}\"\nport = {port}\n[panel.oidc]\nissuer = \"{}\"\nclient_id = \"berth\"\n\
             label = \"Sign in with your faculty account\"\n{more}",
            self.issuer
        );
        let ann = self.door.clone_as("ann");
        ann.push_change(|state| {
            state.write("platform.toml", &text);
        })
        .good();
        self.reach = None;
        let mut reach = self.panel.namespace().command();
        reach.arg(built("berth")).arg("oidc").arg("--state").arg(self.door.state());
        reach.arg("--data").arg(self.door.data());
        let log = self.home.path().join("oidc.log");
        self.reach = Some(Running::start(&mut reach, &log));
        eventually("the provider's keys are there", || {
            fs::read_to_string(&log).unwrap_or_default().contains("has told its keys").then_some(())
        });
    }

    fn file(&self, path: &str) -> String {
        run(git().arg("--git-dir").arg(self.door.state()).args(["show", &format!("main:{path}")]), PATIENCE).stdout
    }

    /// Opens a browser, and comes to the provider's own page by the button.
    fn by_the_button(&self) -> Browser {
        let browser = self.panel.browser();
        browser.go(&self.panel.at("/login"));
        press(&browser, "Sign in with your faculty account");
        browser
    }
}

/// Signs in on the provider's own page, and lets it tell who one is.
fn at_the_provider(browser: &Browser, name: &str) {
    browser.fill("[name=login]", name);
    browser.fill("[name=password]", "whatever");
    browser.click(&browser.find("[type=submit]"));
    browser.click(&browser.find_with("[type=submit]", "Continue"));
}

fn people_come_by_the_provider(_: &World) {
    let mut scene = Scene::new();
    scene.says("");
    let panel = &scene.panel;

    // Ann binds her account, and comes back by it.
    let ann = panel.signed_in("ann");
    ann.go(&panel.at("/account"));
    press(&ann, "Bind your account");
    at_the_provider(&ann, "ann");
    ann.says("The account is bound");
    assert!(scene.file("users/ann.toml").contains(&format!("\"{} subject of ann\"", scene.issuer)), "{}", scene.file("users/ann.toml"));
    press(&ann, "Sign out");
    ann.says("You are signed out.");
    press(&ann, "Sign in with your faculty account");
    // The provider knows her still, and asks nothing.
    ann.says("My servers");
    ann.go(&panel.at("/account"));
    ann.says("by 127.0.0.1");

    // What wants to know that it is her has the provider ask anew.
    ann.go(&panel.at("/confirm"));
    press(&ann, "Confirm at 127.0.0.1");
    ann.fill("[name=login]", "ann");
    ann.fill("[name=password]", "whatever");
    ann.click(&ann.find("[type=submit]"));
    ann.find("#provider");

    // Nobody else is let in by it, whatever their address is.
    let eve = scene.by_the_button();
    at_the_provider(&eve, "eve");
    eve.says("nobody here has bound that account");

    // They ask, and an admin agrees.
    scene.says("join = \"propose\"\n");
    let panel = &scene.panel;
    let eve = scene.by_the_button();
    at_the_provider(&eve, "eve");
    eve.says("an admin has to agree");
    press(&eve, "Ask to join");
    eve.says("You asked to join as eve");
    ann.go(&panel.at("/reviews/join-eve"));
    press(&ann, "Approve");
    eventually("eve has a file", || scene.file("users/eve.toml").contains("subject of eve").then_some(()));
    press(&eve, "To the sign-in");
    press(&eve, "Sign in with your faculty account");
    eve.says("My servers");

    // Whoever has a verified address of the domain, or is in the group, is in at once.
    scene.says("join = \"allowed\"\nemail_domains = [\"uni.example.org\"]\ngroups = [\"staff\"]\n");
    let una = scene.by_the_button();
    at_the_provider(&una, "una");
    una.says("none of those whose people may join by themselves");
    let fay = scene.by_the_button();
    at_the_provider(&fay, "fay");
    fay.fill("#name", "fay-2");
    press(&fay, "Join");
    fay.says("My servers");
    let file = scene.file("users/fay-2.toml");
    assert!(file.contains("email = \"fay@uni.example.org\"") && !file.contains("admin"), "{file}");

    // Taken out, it opens nothing any more.
    ann.go(&scene.panel.at("/admin/users/fay-2"));
    press(&ann, "Take out");
    ann.says("is taken out of the file");
    fay.go(&scene.panel.at("/"));
    fay.says("Password");

    // The provider goes, and the other ways in stay.
    scene.reach = None;
    let late = scene.panel.browser();
    late.go(&scene.panel.at("/login"));
    press(&late, "Sign in with your faculty account");
    late.says("can't be reached");
    scene.panel.signed_in("ann");
    for browser in [&ann, &fay] {
        assert_eq!(browser.offences(), [""; 0]);
    }
}
