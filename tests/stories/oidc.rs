//! Sign-in by a real OpenID provider in a browser: a member binds an account and comes back by it, and strangers are turned away, ask, and
//! join. A provider that lies, or goes away, signs nobody in.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use berth_tests::panel::{HASH, PANEL, press};
use berth_tests::process::{MARK, PATIENCE, build_folder, built, eventually, run, send, source_tree, wait};
use berth_tests::folder::git;
use berth_tests::{Browser, Fit, GitDoor, Panel, World};
use rustix::process::Signal;
use tempfile::TempDir;

crate::stories! {
    people_come_by_the_provider,
    a_provider_that_lies_signs_nobody_in,
}

/// The secret that the provider gave the panel.
const SECRET: &str = "the-stories-own-secret";

/// Shows the page that leads to the provider in place of the one that is there, without what leads on. Its value is the page's title.
const STAYS: &str = "return fetch('/login/oidc').then((answer) => answer.text()).then((text) => {
  const page = new DOMParser().parseFromString(text, 'text/html');
  document.title = page.title;
  document.body.replaceWith(document.adoptNode(page.body));
  return page.title;
});";

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
    provider: Option<Running>,
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
        Self { reach: None, provider: Some(provider), panel, door, issuer, home }
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
        self.reach("has told its keys");
    }

    /// Starts `berth oidc` anew, as `berth up` does when its settings change, and waits until it has logged this.
    fn reach(&mut self, words: &str) {
        self.reach = None;
        let mut reach = self.panel.namespace().command();
        reach.arg(built("berth")).arg("oidc").arg("--state").arg(self.door.state());
        reach.arg("--data").arg(self.door.data());
        let log = self.home.path().join("oidc.log");
        self.reach = Some(Running::start(&mut reach, &log));
        eventually(&format!("`berth oidc` logs `{words}`"), || {
            fs::read_to_string(&log).unwrap_or_default().contains(words).then_some(())
        });
    }

    fn file(&self, path: &str) -> String {
        run(git().arg("--git-dir").arg(self.door.state()).args(["show", &format!("main:{path}")]), PATIENCE).stdout
    }

    /// Checks that nobody is signed in here, and that nobody has been all along.
    fn let_nobody_in(&self, browser: &Browser) {
        browser.go(&self.panel.at("/account"));
        browser.find("#password");
        assert!(!browser.page().contains("Sign out"), "{}", browser.page());
        let audit = fs::read_to_string(self.door.data().join("door/audit.log")).expect("the audit log");
        let acts = audit.lines().filter(|line| line.contains("\"act\":\"sign-in\"")).count();
        assert_eq!(acts, 1, "ann, by her password: {audit}");
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
    let (mut scene, mut fit) = (Scene::new(), Fit::new());
    scene.says("");
    let panel = &scene.panel;

    // The page that leads to the provider goes on by itself, so it is shown without that.
    let guest = panel.browser();
    guest.go(&panel.at("/login"));
    let title = guest.script(STAYS);
    assert_eq!(title.as_str().map(|title| title.starts_with("On to 127.0.0.1")), Some(true), "{title}");
    fit.judge(&guest, "login-oidc");

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
    fit.judge(&eve, "login-join");
    eve.fill("#name", "ann");
    press(&eve, "Ask to join");
    eve.says("somebody else's name");
    fit.judge(&eve, "login-join-wrong");
    eve.fill("#name", "eve");
    press(&eve, "Ask to join");
    eve.says("You asked to join as eve");
    fit.judge(&eve, "login-joining");
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
    una.says("hasn't verified your address there");
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
    }    fit.end();
}

fn a_provider_that_lies_signs_nobody_in(_: &World) {
    let mut scene = Scene::new();
    scene.says("join = \"allowed\"\nemail_domains = [\"uni.example.org\"]\n");
    let ann = scene.panel.signed_in("ann");
    ann.go(&scene.panel.at("/account"));
    press(&ann, "Bind your account");
    at_the_provider(&ann, "ann");
    ann.says("The account is bound");
    let tip = scene.door.tip();

    // Words that would be ann's, if nobody looked whom they are for and when they were asked for.
    for (name, why) in [("otto", "audience"), ("rita", "nonce")] {
        let browser = scene.by_the_button();
        at_the_provider(&browser, name);
        browser.says("What 127.0.0.1 said about you doesn't hold, so you aren't signed in.");
        browser.says("Begin again.");
        scene.let_nobody_in(&browser);
        let log = scene.door.log();
        let said = log.lines().rfind(|line| line.contains("a word of the OpenID provider's was refused"));
        assert!(said.is_some_and(|line| line.to_lowercase().contains(why)), "{name}: {log}");
    }

    // An address that the provider hasn't verified is nobody's.
    let una = scene.by_the_button();
    at_the_provider(&una, "una");
    una.says("127.0.0.1 hasn't verified your address there, so it lets nobody in.");
    una.says("Verify it there and sign in again");
    scene.let_nobody_in(&una);

    // It goes away while it is asked.
    let dora = scene.by_the_button();
    at_the_provider(&dora, "dora");
    dora.says("127.0.0.1 can't be reached, so nobody can sign in by it now.");
    dora.says("Try again in a while, or sign in another way.");
    scene.let_nobody_in(&dora);

    // It is gone, and a restart finds nobody.
    scene.provider = None;
    scene.reach("can't be asked");
    let late = scene.panel.browser();
    late.go(&scene.panel.at("/login"));
    press(&late, "Sign in with your faculty account");
    late.says("127.0.0.1 can't be reached, so nobody can sign in by it now.");
    scene.let_nobody_in(&late);
    // Whoever is in stays in, and the other ways in stay.
    ann.go(&scene.panel.at("/account"));
    ann.says("Sign out");
    assert_eq!(scene.door.tip(), tip, "nothing was committed");
    scene.panel.signed_in("ann");
}
