//! Text that acts on the terminal of whoever reads it: refused at the door, and harmless where it came in another way.

use berth_plan::Action;
use berth_schema::testing::harm;
use berth_wire::{Ended, Outcome};

use super::{Bench, InTime as _, Said, git};

/// It moves the cursor, recolours, turns text around, hides, and looks like a line of Berth's own.
const HOSTILE: &str = "\u{1b}[2J\u{1b}[31mok\u{202e}drow\u{200b}\u{e0041}\u{feff}\u{9b}0m\r@all <img src=x>";

/// A change of bob's own.
const CHANGE: (&str, Option<&str>) =
    ("servers/bobs.toml", Some("id = 1\nowner = \"bob\"\nmemory = \"768 MiB\"\n"));

impl Bench {
    /// Commits a change with this author and message.
    fn commit_as(&self, author: &str, message: &str, files: &[(&str, Option<&str>)]) -> String {
        self.commit(files);
        let author = format!("{author} <bob@example.org>");
        self.git(&["commit", "--quiet", "--amend", "--author", &author, "--message", message]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// Brings the clone's commit into a ref as root's own git does, which asks no hook.
    fn take_in(&self, reference: &str) {
        let work = self.work.to_str().unwrap();
        let taken = git(&self.bare).args(["fetch", "--quiet", work, &format!("+HEAD:{reference}")]).in_time();
        assert!(taken.status.success(), "{}", Said::of(&taken).text);
    }
}

#[track_caller]
fn harmless(what: &str, text: &str) {
    assert_eq!(harm(text), None, "{what}:\n{text}");
}

#[test]
fn what_people_write_comes_in() {
    let bench = Bench::new();
    for (at, (author, message)) in [
        ("Jürgen Ąžuolas", "größer\n\n\tfür alle"),
        ("山田太郎", "更大"),
        ("Bob", "👩\u{200d}💻 ♻\u{fe0f} می\u{200c}خواهم"),
    ]
    .into_iter()
    .enumerate()
    {
        let text = format!("id = 1\nowner = \"bob\"\nmemory = \"{} MiB\"\n", 600 + at);
        bench.commit_as(author, message, &[("servers/bobs.toml", Some(&text))]);
        bench.push(Some("bob"), &["origin", "HEAD:main"]).accepted(&[]);
    }
    bench.push_change(None, &[("docs/größer 更大.md", Some("x\n"))]).accepted(&[]);
}

#[test]
fn what_steers_a_terminal_stays_out() {
    let bench = Bench::new();
    let before = bench.tip();
    let hint = "git commit --amend --reset-author --no-edit";
    for (author, message, path, parts) in [
        ("Bo\u{202e}b", "x", "docs/a.md", ["the author of this commit has U+202E", hint]),
        ("Bo\u{1b}[31mb", "x", "docs/a.md", ["the author of this commit has U+001B", hint]),
        ("Bob", "x\u{9b}2J", "docs/a.md", ["the message of this commit has U+009B", "`reword`"]),
        ("Bob", "x\n\ny\rz", "docs/a.md", ["the message of this commit has U+000D", "`reword`"]),
        ("Bob", "x", "docs/\u{2067}.md", ["the name of this file has U+2067", "git mv"]),
    ] {
        bench.git(&["reset", "--quiet", "--hard", &before]);
        let bad = bench.commit_as(author, message, &[CHANGE, (path, Some("x\n"))]);
        // A later commit doesn't hide it.
        bench.commit(&[(path, None)]);
        let commit = &bad[..10];
        for (user, to) in [(None, "main"), (Some("bob"), "main"), (Some("bob"), "review/x")] {
            let said = bench.push(user, &["origin", &format!("HEAD:refs/heads/{to}")]);
            said.refused(&parts);
            said.has(&[commit]);
            harmless(to, &said.text.replace("\u{1b}[K", ""));
        }
        bench.push(None, &["origin", "HEAD:refs/heads/other"]).refused(&parts);
    }
    bench.git(&["reset", "--quiet", "--hard", &before]);
    bench.git(&["tag", "-a", "-m", "v\u{202e}1", "v1"]);
    bench.push(None, &["origin", "v1"]).refused(&["the message of this commit has U+202E"]);
    bench
        .push(None, &["origin", "HEAD:refs/heads/a\u{202e}b"])
        .refused(&["the name of this ref has U+202E", "push under another name"]);
    assert_eq!(bench.tip(), before);
}

#[test]
fn what_was_there_before_is_not_judged_again() {
    let bench = Bench::without_hooks();
    bench.commit_as("Bo\u{202e}b", "x", &[CHANGE]);
    bench.push(None, &["origin", "HEAD:main"]).accepted(&[]);
    let installed = bench.berth(&["hook", "install", bench.bare.to_str().unwrap()]);
    assert!(installed.good, "{}", installed.text);
    bench.push_change(Some("bob"), &[("servers/bobs.toml", Some("id = 1\nowner = \"bob\"\n"))]).accepted(&[]);
}

#[test]
fn what_came_in_around_the_door_harms_nobody() {
    let bench = Bench::new();
    let before = bench.tip();
    let value = format!("id = 1\nowner = \"bob\"\nmemory = \"{}\"\n", "1\u{202e} GiB\u{200b}");
    let raw = format!("email = \"{HOSTILE}\"\n");
    let files = [
        ("servers/bobs.toml", Some(value.as_str())),
        ("users/bob.toml", Some(raw.as_str())),
        ("docs/a\u{202e}\u{1b}[31m\u{200b}.md", Some("x\n")),
    ];
    bench.commit_as(HOSTILE, HOSTILE, &files);
    // As the answer to a push.
    let said = bench.push(Some("bob"), &["origin", "HEAD:main"]);
    said.refused(&["\\u{202e}"]);
    harmless("the answer to a push", &said.text.replace("\u{1b}[K", ""));
    // Past the door.
    bench.take_in("refs/heads/review/x");
    for arguments in [
        &["review", "list"][..],
        &["review", "show", "x"],
        &["review", "show", "x", "--format", "json"],
        &["review", "show", "x", "--format", "markdown"],
        &["review", "approve", "x"],
        &["check", "--at", "review/x"],
    ] {
        let said = bench.berth(arguments);
        harmless(&arguments.join(" "), &said.text);
    }
    let shown = bench.berth(&["review", "show", "x"]);
    shown.has(&["docs/a\\u{202e}\\u{1b}[31m\\u{200b}.md", "\\u{1b}[2J\\u{1b}[31mok\\u{202e}drow\\u{200b}"]);
    let comment = bench.berth(&["review", "show", "x", "--format", "markdown"]);
    assert!(!comment.text.contains("<img"), "{}", comment.text);
    // On main, with mistakes and without.
    bench.take_in("refs/heads/main");
    for arguments in [&["log"][..], &["log", "--json"], &["check"], &["revert", "main", "--dry-run"]] {
        harmless(&arguments.join(" "), &bench.berth(arguments).text);
    }
    bench.berth(&["log"]).has(&["\\u{1b}[2J\\u{1b}[31mok\\u{202e}drow\\u{200b}"]);
    bench.git(&["reset", "--quiet", "--hard", &before]);
    bench.commit_as(HOSTILE, HOSTILE, &[CHANGE]);
    bench.take_in("refs/heads/main");
    // The note of a pass.
    let failed = Ended::Failed { error: HOSTILE.to_owned(), retry: berth_wire::Retry::Terminal };
    let (subject, action) = ("server bobs (id 1)".parse().unwrap(), Action::Create);
    let outcome = Outcome { subject, action, result: failed, millis: 1, steps_done: 0, steps: 1 };
    bench.note(&bench.tip(), vec![outcome]);
    harmless("log", &bench.berth(&["log"]).text);
    let note = git(&bench.bare).args(["notes", "--ref", "berth", "show", "main"]).in_time();
    let note = String::from_utf8(note.stdout).unwrap();
    assert!(note.contains("u{202e}drow"), "{note}");
    harmless("a git note", &note);
}
