//! Sites that aren't for everybody, in browsers: the web server as its image runs it, the gate, the panel and the door, an app that
//! repeats what it is asked, and people who may open it or not.

use std::process::Command;

use berth_plan::render::Kind;
use berth_tests::process::{PATIENCE, built, within};
use berth_tests::{Browser, GitDoor, Panel, Web, World, eventually, run};

crate::stories! {
    members_open_what_is_for_them_until_they_sign_out,
    a_site_closes_with_the_commit_and_stays_shut_without_the_door,
}

/// A password, and its hash.
const PASSWORD: &str = "correct horse battery";
const HASH: &str = "$2b$10$xiLPz6BtYbmkWds4bglkEeWbOOTxeYDAMqX4NbHh0NcDa/JnJVZ8.";

const OWNERS: &str = "owners.h.example.org";
const USERS: &str = "users.h.example.org";
const PUBLIC: &str = "public.h.example.org";

/// A web server with a gate, and everybody whom it asks. The fields are dropped in this order.
struct Scene {
    panel: Panel,
    door: GitDoor,
    web: Web,
}

impl Scene {
    /// The server `one` is ann's, and bob its member; cyn is a member of the platform.
    fn new() -> Self {
        let web = Web::start();
        let settings = "domain = \"h.example.org\"\n[panel]\ndomain = \"panel.example.org\"\nedge = \"none\"\n";
        web.state().write("platform.toml", settings);
        for (user, role) in [("ann", "admin"), ("bob", "user"), ("cyn", "user")] {
            let text = format!("role = \"{role}\"\npassword_hash = \"{HASH}\"\n[quota]\ndomains = 9\n");
            web.state().write(&format!("users/{user}.toml"), &text);
        }
        web.state().server("one", 1, "members = [\"bob\"]\n");
        for (name, access) in [(OWNERS, "owner"), (USERS, "users"), (PUBLIC, "public")] {
            web.domain(name, &format!("tls = \"internal\"\naccess = \"{access}\"\n"));
        }
        web.load();
        let state = web.home().join("state.git");
        let mut init = Command::new(built("berth"));
        run(init.arg("init").arg(&state).arg("--from").arg(web.state().path()), PATIENCE).good();
        let (data, gate) = (web.home().join("door-data"), web.run().join("door"));
        let door = GitDoor::with_gate(&state, &data, gate, &["ann"]);
        let panel = Panel::beside(web.namespace(), &door.panel(), web.home());
        Self { panel, door, web }
    }

    fn browser(&self) -> Browser {
        self.panel.browser_for(&[OWNERS, USERS, PUBLIC])
    }

    /// Goes to a site, signs in where it leads, and returns the browser wherever it is then.
    #[track_caller]
    fn signed_in(&self, name: &str, site: &str) -> Browser {
        let browser = self.browser();
        browser.go(site);
        browser.fill("#user", name);
        browser.fill("#password", PASSWORD);
        browser.click(&browser.find_with("button", "Sign in"));
        browser
    }
}

fn members_open_what_is_for_them_until_they_sign_out(_: &World) {
    let scene = Scene::new();
    scene.web.visit(&[&format!("https://{PUBLIC}/")]).is(200, "GET / HTTP/1.1");
    // Programs are refused, and learn nothing of what lies behind.
    scene.web.visit(&[&format!("https://{OWNERS}/")]).is(401, "Sign in first");
    scene.web.visit(&["-H", "Berth-User: ann", "-H", "Berth-Gate: 127.0.0.1:80", &format!("https://{USERS}/")]).is(401, "");

    // Whoever signs in comes to where they were going, and the app hears who they are.
    let address = format!("https://{OWNERS}/some/page?and=more");
    let bob = scene.signed_in("bob", &address);
    bob.says("GET /some/page?and=more HTTP/1.1");
    let said = bob.page();
    assert_eq!(bob.url(), address);
    assert!(said.contains("berth-user: bob") && said.contains("remote-user: bob"), "{said}");
    assert!(!said.contains("__Host-berth"), "an app sees no cookie of the platform's: {said}");
    // Another site asks nothing more of somebody who is signed in.
    bob.go(&format!("https://{USERS}/"));
    bob.says("berth-user: bob");

    // Others are told whom to ask.
    let cyn = scene.signed_in("cyn", &format!("https://{OWNERS}/"));
    cyn.says("for the owner and the members of its server");
    cyn.says("Ask ann, who owns the server");
    cyn.go(&format!("https://{USERS}/"));
    cyn.says("berth-user: cyn");

    // A WebSocket and a stream of events are open, and end with the sign-out, in another tab of the same browser.
    bob.script(
        "window.heard = []; window.ended = [];
         const socket = new WebSocket('wss://' + location.host + '/socket');
         socket.onopen = () => window.heard.push('open');
         socket.onclose = (event) => window.ended.push(event.code);
         const ticks = new EventSource('/ticks');
         ticks.onmessage = () => window.ticked = (window.ticked || 0) + 1;
         ticks.onerror = () => { window.ended.push('events'); ticks.close(); };",
    );
    eventually("both are open", || {
        let heard = bob.script("return [window.heard.length, window.ticked > 2]");
        (heard == serde_json::json!([1, true])).then_some(())
    });
    // Another gate takes over, as in an upgrade: both go on, and whoever comes is let in by it.
    let mut load = scene.web.command();
    run(load.arg(scene.web.program("load")).args(["program", "berth-gate"]), PATIENCE).good();
    let ticked = bob.script("return window.ticked");
    eventually("events come still", || (bob.script("return window.ticked") != ticked).then_some(()));
    cyn.go(&format!("https://{USERS}/after"));
    cyn.says("GET /after HTTP/1.1");
    assert_eq!(bob.script("return window.ended.length"), 0);
    let tab = bob.tab();
    bob.go(&scene.panel.at("/account"));
    bob.click(&bob.find_with("button", "Sign out"));
    bob.says("You are signed out");
    bob.back_to(&tab);
    eventually("both have ended", || {
        let closed = bob.script("return window.ended.map(String).sort()");
        (closed == serde_json::json!(["1008", "events"])).then_some(())
    });
    bob.go(&format!("https://{USERS}/"));
    bob.find("#password");
    // Nobody else is out.
    cyn.go(&format!("https://{USERS}/again"));
    cyn.says("GET /again HTTP/1.1");
}

fn a_site_closes_with_the_commit_and_stays_shut_without_the_door(_: &World) {
    let mut scene = Scene::new();
    let bob = scene.signed_in("bob", &format!("https://{OWNERS}/"));
    bob.says("berth-user: bob");
    let ann = scene.signed_in("ann", &format!("https://{OWNERS}/"));
    ann.says("berth-user: ann");
    // Ann takes bob out of the server's members, and his page is closed to him before anything else has happened.
    let push = scene.door.clone_as("ann");
    push.push_change(|state| {
        state.server("one", 1, "");
    })
    .good();
    within(PATIENCE, "bob is out", || {
        bob.go(&format!("https://{OWNERS}/"));
        bob.page().contains("Ask ann, who owns the server").then_some(())
    });
    ann.go(&format!("https://{OWNERS}/more"));
    ann.says("GET /more HTTP/1.1");

    // A domain comes and goes without the edge; a stopped server is told of to those who may know.
    scene.web.state().server("one", 1, "state = \"stopped\"\n");
    assert_eq!(scene.web.load(), [Kind::Sites]);
    scene.web.visit(&[&format!("https://{OWNERS}/")]).is(401, "Sign in first");
    ann.go(&format!("https://{OWNERS}/"));
    ann.says("is stopped");
    scene.web.state().server("one", 1, "");
    scene.web.load();

    // Without the door, what is good goes on, and nobody else gets in.
    scene.door.kill_door();
    ann.go(&format!("https://{OWNERS}/still"));
    ann.says("GET /still HTTP/1.1");
    let cyn = scene.browser();
    cyn.go(&format!("https://{USERS}/"));
    cyn.find("#password");
    cyn.fill("#user", "cyn");
    cyn.fill("#password", PASSWORD);
    cyn.click(&cyn.find_with("button", "Sign in"));
    cyn.says("can't reach Berth's door");
}
