//! `docs/api.md` is true: each command in it is run, in order, in one shell, and does what it says.
//!
//! A block `sh` must succeed; one that is `refused` must fail. Swagger UI shows the API, and tries it with the panel's own sign-in.

use std::fs;

use berth_tests::folder::git;
use berth_tests::ground::scratch;
use berth_tests::panel::{HASH, PANEL, PASSWORD};
use berth_tests::process::{PATIENCE, run, source_tree};
use berth_tests::{GitDoor, Panel, World};

crate::stories! {
    every_command_of_the_page_works,
    the_description_opens_in_a_browser,
}

/// The commands of the page as one script, with this panel in the example's place.
fn script(page: &str, panel: &Panel) -> (String, usize) {
    let mut script = String::new();
    let mut refused = 0;
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let Some(words) = line.strip_prefix("```sh") else { continue };
        let body: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        let body = body.join("\n").replace("https://panel.example.org", panel.at("").trim_end_matches('/'));
        match words.trim() {
            "refused" => {
                script += &format!("if ( {body} ); then echo 'that was not refused'; exit 9; fi\necho\n");
                refused += 1;
            }
            _ => script += &format!("{body}\necho\n"),
        }
    }
    (script, refused)
}

/// The door to a platform that ann is a member of.
fn door() -> GitDoor {
    let platform = format!("domain = \"hosting.example.org\"\n[panel]\ndomain = \"{PANEL}\"\n");
    let ann = format!("email = \"ann@example.org\"\npassword_hash = \"{HASH}\"\n");
    let files =
        [("platform.toml", &*platform), ("users/ann.toml", &*ann), ("users/root.toml", "role = \"admin\"\n")];
    GitDoor::alone(&["ann"], &files)
}

fn the_description_opens_in_a_browser(_: &World) {
    let (door, home) = (door(), scratch());
    let panel = Panel::open("hosting", &door.panel(), home.path());
    let ann = panel.signed_in("ann");
    ann.go(&panel.at("/swagger/"));
    ann.says("/api/servers/{id}/restart");
    ann.says("Berth");
    // Tried there, by the session's cookie alone.
    ann.click(&ann.find("#operations-Account-me .opblock-summary-control"));
    ann.click(&ann.find("#operations-Account-me .try-out__btn"));
    ann.click(&ann.find("#operations-Account-me .execute"));
    ann.find_with("#operations-Account-me .live-responses-table", "kept_days");
    // The panel's policy holds here, too. It keeps one inline style of Swagger UI's away, without which nothing looks different; no
    // script was refused, and no other host was asked.
    let complaints = ann.complaints();
    let bad: Vec<_> = complaints.iter().filter(|one| !one.contains("Applying inline style violates")).collect();
    assert!(bad.is_empty(), "{bad:?}");
}

fn every_command_of_the_page_works(_: &World) {
    let page = fs::read_to_string(source_tree().join("docs/api.md")).expect("the page");
    assert!(page.contains(PASSWORD), "the page's password is the one of this story");
    let (door, home) = (door(), scratch());
    let panel = Panel::open("hosting", &door.panel(), home.path());
    let (script, refused) = script(&page, &panel);
    assert!(refused >= 2 && script.matches("curl ").count() >= 15, "the page has lost its commands:\n{script}");

    let authority = panel.at("").trim_start_matches("https://").trim_end_matches('/').to_owned();
    let ca = berth_web::tls::ca_path(&home.path().join("web"), PANEL);
    let settings = format!("cacert = \"{}\"\nresolve = \"{authority}:127.0.0.1\"\n", ca.display());
    fs::write(home.path().join(".curlrc"), settings).expect("a file");
    let mut shell = panel.namespace().command();
    shell.args(["bash", "-euo", "pipefail", "-c", &script]).env("CURL_HOME", home.path());
    let said = run(&mut shell, PATIENCE * 2).good().stdout;
    for words in ["\"outcome\":\"planned\"", "\"outcome\":\"committed\"", "out-of-scope", "wrong-method", "/api/changes/"] {
        assert!(said.contains(words), "no {words} in {said}");
    }

    let state = |arguments: &[&str]| {
        run(git().arg("--git-dir").arg(door.state()).args(arguments), PATIENCE).good().stdout
    };
    let shop = state(&["show", "main:servers/shop.toml"]);
    assert!(shop.contains("owner = \"ann\"") && shop.contains("state = \"stopped\""), "{shop}");
    assert!(state(&["show", "main:domains/shop.hosting.example.org.toml"]).contains("port = 8080"));
    let file = state(&["show", "main:users/ann.toml"]);
    assert!(file.contains(" servers,domains ") && !file.contains("berth_"), "{file}");
    assert!(file.contains("ann@example.org"), "{file}");
    assert!(!state(&["ls-tree", "-r", "--name-only", "main"]).contains("wiki"));
    let authors = state(&["log", "--format=%an", "--", "servers", "domains"]);
    assert!(authors.lines().all(|author| author == "ann"), "{authors}");
}
