//! `berth why`.

use std::fs;

use super::{Bench, InTime as _, git};

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

/// A file as it is on `main`.
fn text(bench: &Bench, path: &str) -> String {
    fs::read_to_string(bench.work.join(path)).unwrap()
}

/// A commit of somebody's on top of another one, in the state repo on no branch.
fn commit_on(bench: &Bench, base: &str, author: &str, files: &[(&str, Option<&str>)]) -> String {
    bench.git(&["checkout", "--quiet", "--detach", base]);
    bench.commit(files);
    bench.git(&[
        "commit",
        "--quiet",
        "--amend",
        "--no-edit",
        "--author",
        &format!("{author} <{author}@example.org>"),
    ]);
    let tip = bench.git(&["rev-parse", "HEAD"]);
    let fetched = git(&bench.bare).args(["fetch", "--quiet", bench.work.to_str().unwrap(), "HEAD"]).in_time();
    assert!(fetched.status.success());
    bench.git(&["checkout", "--quiet", "main"]);
    tip
}

/// Answers for an account at the forge: exit code and words.
fn by_account(bench: &Bench, account: &str, from: &str, to: &str) -> (Option<i32>, String) {
    let mut berth = bench.command(&["why", "--forge-account", account, "--from", from, "--to", to]);
    let output = berth.in_time();
    let said = [&output.stdout[..], &output.stderr[..]].concat();
    (output.status.code(), String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn why_judges_an_account_at_the_forge() {
    let bench = Bench::new();
    let account = |name: &str| format!("forge_accounts = [\"github.com/{name}\"]\n");
    let bob = format!("{}{}", text(&bench, "users/bob.toml"), account("Bob-Builder"));
    let ann = format!("{}{}", text(&bench, "users/ann.toml"), account("ann"));
    bench.push_change(None, &[("users/bob.toml", Some(&bob)), ("users/ann.toml", Some(&ann))]).accepted(&[]);
    let main = bench.tip();
    let judged = |account: &str, files: &[(&str, Option<&str>)]| {
        let tip = commit_on(&bench, &main, "Somebody Else", files);
        by_account(&bench, account, "main", &tip)
    };
    let own: &[_] = &[("servers/bobs.toml", Some("id = 1\nowner = \"bob\"\nmemory = \"1 GiB\"\n"))];
    let others: &[_] = &[("servers/cyns.toml", Some("id = 2\nowner = \"bob\"\n"))];
    let everybodys: &[_] = &[("README.md", Some("hello\n"))];

    let (code, said) = judged("github.com/bob-builder", own);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("github.com/bob-builder is bob's") && said.contains("bob may make"), "{said}");
    let (code, said) = judged("github.com/bob-builder", others);
    assert!(code == Some(1) && said.contains("bob may not make"), "{said}");
    let (code, said) = judged("github.com/bob-builder", everybodys);
    assert!(code == Some(2) && said.contains("if ann agrees"), "{said}");
    for files in [own, others, everybodys] {
        assert_eq!(judged("GitHub.com/Ann", files).0, Some(0));
        let (code, said) = judged("github.com/mallory", files);
        assert!(code == Some(1) && said.contains("no member has the account github.com/mallory"), "{said}");
        // The same name at another forge is somebody else.
        assert_eq!(judged("git.example.org/bob-builder", files).0, Some(1));
    }
    // A change can't give itself an account.
    let mine: &[_] = &[("users/bob.toml", Some("forge_accounts = [\"github.com/mallory\"]\n"))];
    assert_eq!(judged("github.com/mallory", mine).0, Some(1));
    let (code, said) = judged("github.com/bob-builder", mine);
    assert!(code == Some(1) && said.contains("may not add an account at the forge"), "{said}");
    let (code, said) = by_account(&bench, "bob", "main", "main");
    assert!(code == Some(1) && said.contains("`bob` is not an account at a forge"), "{said}");
}

#[test]
fn an_old_base_has_no_rules_of_its_own() {
    let bench = Bench::new();
    let bob = format!("{}forge_accounts = [\"github.com/bob\"]\n", text(&bench, "users/bob.toml"));
    bench.push_change(None, &[("users/bob.toml", Some(&bob))]).accepted(&[]);
    let old = bench.tip();
    let theirs = commit_on(
        &bench,
        &old,
        "bob",
        &[("servers/bobs.toml", Some("id = 1\nowner = \"bob\"\nmemory = \"1 GiB\"\n"))],
    );
    assert_eq!(by_account(&bench, "github.com/bob", "main", &theirs).0, Some(0));
    // By now the server is somebody else's, on another line of the file.
    let given = "id = 1\nowner = \"cyn\"\n# One.\n# Two.\n# Three.\n";
    bench.push_change(None, &[("servers/bobs.toml", Some(given))]).accepted(&[]);
    let (code, said) = by_account(&bench, "github.com/bob", "main", &theirs);
    assert_eq!(code, Some(1), "{said}");
}

#[test]
fn what_berths_own_account_pushes_is_its_authors() {
    let bench = Bench::new();
    let remote = "\n[remote]\nurl = \"https://github.com/org/state\"\nforge = \"github\"\naccount = \"github.com/berth[bot]\"\n";
    let platform = format!("{}{remote}", text(&bench, "platform.toml"));
    bench.push_change(None, &[("platform.toml", Some(&platform))]).accepted(&[]);
    let main = bench.tip();
    let own: &[_] = &[("servers/bobs.toml", Some("id = 1\nowner = \"bob\"\nmemory = \"1 GiB\"\n"))];
    let by = |author: &str| {
        let tip = commit_on(&bench, &main, author, own);
        by_account(&bench, "github.com/berth[bot]", "main", &tip)
    };
    assert_eq!(by("bob").0, Some(0));
    assert_eq!(by("ann").0, Some(0));
    assert_eq!(by("cyn").0, Some(1));
    let (code, said) = by("Somebody");
    assert!(code == Some(1) && said.contains("isn't of one member"), "{said}");
}
