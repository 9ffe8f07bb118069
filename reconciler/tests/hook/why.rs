//! `berth why`.

use super::Bench;

#[test]
fn why_explains_a_path() {
    let bench = Bench::new();
    let why = |user: &str, path: &str| bench.berth(&["why", user, path]);
    why("ann", "platform.toml").accepted(&["ann may change platform.toml: yes", "`ann` is an admin"]);
    why("bob", "servers/bobs.toml")
        .accepted(&["bob may change servers/bobs.toml: in part", "`bob` is the owner"]);
    why("bob", "servers/cyns.toml").accepted(&["servers/cyns.toml: no", "The server is `cyn`'s."]);
    why("bob", "docs/welcome.md").accepted(&["docs/welcome.md: with review", "`ann` has to agree"]);
    why("eve", "users/eve.toml").accepted(&["eve may change users/eve.toml: no", "There is no user `eve`"]);
    assert!(!why("No Name", "docs/welcome.md").good);
}

#[test]
fn why_judges_a_change() {
    let bench = Bench::new();
    let first = bench.tip();
    bench.push_change(None, &[("servers/bobs.toml", Some("id = 1\nowner = \"cyn\"\n"))]).accepted(&[]);
    let why = |user: &str| bench.berth(&["why", user, "--from", &first, "--to", "main"]);
    why("ann").accepted(&["ann may make the change from "]);
    let said = why("bob");
    assert!(!said.good);
    said.has(&[
        "--> servers/bobs.toml:2:9",
        "`bob` may not give server `bobs` to `cyn`",
        "bob may not make the change from ",
    ]);
    let second = bench.tip();
    bench.push_change(None, &[("docs/welcome.md", Some("# Hello\n"))]).accepted(&[]);
    let said = bench.berth(&["why", "bob", "--from", &second, "--to", "main"]);
    assert!(!said.good);
    said.has(&["if ann agrees"]);
}
