//! The state repo as admins see it: every question, with hashes, huge files, odd names and bad revisions in the repository.

use berth_repo::{Edit, Revision};
use berth_testing::git;
use berth_wire::web::{
    Change, Commit, Committed, Content, Deed, History, Is, Object, Plan, Planned, PlatformRead, Rows,
    Standing, StateBlame, StateDiff, StateFile, StateSearch, StateTable, StateText, StateTree, Token, Why,
};
use serde_json::json;

use crate::bench::Bench;

/// The digest of a token, as a member's file has it.
fn digest() -> String {
    "0a1b".repeat(16)
}

/// Hashes and a digest in places where people put them.
fn with_secrets(bench: &Bench) -> Revision {
    let line = format!("{} read 2026-11-30T18:00:00Z 2027-02-28T18:00:00Z laptop", digest());
    let bob = bench.text("users/bob.toml") + &format!("tokens = [\"{line}\"]\n");
    let hash = bench.text("users/bob.toml").lines().last().unwrap().to_owned();
    let page = format!("# Notes\n\nOnce it was {hash}\nand `{line}`.\n");
    bench.commit("bob has a token", &[Edit::write("users/bob.toml", bob), Edit::write("docs/notes.md", page)])
}

fn file(path: &str, at: &str) -> StateFile {
    StateFile { at: at.to_owned(), path: path.to_owned(), page: 1 }
}

async fn lines(bench: &Bench, token: &Token, path: &str, at: &str) -> Vec<String> {
    match bench.ask(Some(token), &file(path, at)).await.unwrap().content {
        Content::Text { lines, .. } => lines.rows,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn no_answer_holds_a_secret() {
    let bench = Bench::new();
    let first = bench.commit("a first one", &[Edit::write("docs/first.md", "x\n")]);
    let at = with_secrets(&bench);
    let ann = bench.sign_in("ann").await;
    let (at, first) = (at.to_string(), first.to_string());
    let mut questions = Vec::new();
    for path in ["users/ann.toml", "users/bob.toml", "users/cyn.toml", "docs/notes.md", "platform.toml"] {
        questions.push(("/state-file", json!({ "at": "", "path": path, "page": 1 })));
        questions.push(("/state-file", json!({ "at": at, "path": path, "page": 1 })));
        questions.push(("/state-text", json!({ "path": path })));
        questions.push(("/state-blame", json!({ "at": "", "path": path, "page": 1 })));
        questions.push(("/state-diff", json!({ "from": first, "to": "", "path": path, "page": 1 })));
    }
    let digest = digest();
    for text in ["argon2id", "19456", &digest, &digest[..20], "a token", "password_hash", "tokens", "laptop"]
    {
        questions.push(("/state-search", json!({ "at": "", "text": text })));
    }
    let empty: [(String, String); 0] = [];
    for kind in ["servers", "users", "domains"] {
        let table = json!({ "kind": kind, "search": "", "having": empty, "sort": "", "is_falling": false, "page": null });
        questions.push(("/state-table", table));
    }
    questions.push(("/state-diff", json!({ "from": "", "to": at, "path": "", "page": 1 })));
    questions.push(("/state-tree", json!({ "at": "", "folder": "users", "page": 1 })));
    questions.push(("/platform", json!({})));
    questions.push(("/commit-read", json!({ "revision": at })));
    let (mut answered, mut marks) = (0, 0);
    for (path, question) in &questions {
        let (status, body) = bench.raw(path, Some(ann.as_str()), &question.to_string()).await;
        assert_eq!(status, 200, "{path} {question}: {body}");
        answered += 1;
        marks += usize::from(body.contains("‹hidden-"));
        for secret in ["$argon2id$", &digest, "m=19456,t=2"] {
            assert!(!body.contains(secret), "{path} {question}: {body}");
        }
    }
    assert!(answered == questions.len() && marks > 10, "the files are shown: {marks} of {answered}");
    for text in ["argon2id", "19456", &digest[..20]] {
        let found =
            bench.ask(Some(&ann), &StateSearch { at: String::new(), text: text.to_owned() }).await.unwrap();
        assert_eq!(found.lines, [], "{text}");
    }
    let found = StateSearch { at: String::new(), text: "PASSWORD_hash".to_owned() };
    let found = bench.ask(Some(&ann), &found).await.unwrap();
    assert!(found.lines.iter().any(|line| line.path == "users/bob.toml" && line.text.contains("‹hidden-")));
    let found = StateSearch { at: String::new(), text: "‹hidden-".to_owned() };
    let found = bench.ask(Some(&ann), &found).await.unwrap();
    assert!(
        found.lines.iter().any(|line| line.path == "users/bob.toml"),
        "marks are found as they are shown"
    );
}

#[tokio::test]
async fn a_file_that_isnt_shown_says_nothing_of_its_words() {
    let bench = Bench::new();
    bench.commit("a slip", &[Edit::write("users/bob.toml", "password = \"hunter2\nrole")]);
    let ann = bench.sign_in("ann").await;
    for text in ["hunter2", "hunter3"] {
        let found = StateSearch { at: String::new(), text: text.to_owned() };
        let found = bench.ask(Some(&ann), &found).await.unwrap();
        assert_eq!((found.lines.len(), found.unread), (0, 1), "{text}");
    }
}

#[tokio::test]
async fn folders_and_files_are_shown_at_any_revision_of_main() {
    let bench = Bench::new();
    let was = bench.commit("before", &[Edit::write("docs/a/b.md", "one\ntwo\n")]);
    let is = bench.commit("after", &[Edit::write("docs/a/b.md", "one\nthree\n")]);
    let ann = bench.sign_in("ann").await;
    let tree = |at: &str, folder: &str| StateTree { at: at.to_owned(), folder: folder.to_owned(), page: 1 };
    let root = bench.ask(Some(&ann), &tree("", "")).await.unwrap();
    let names: Vec<&str> = root.entries.rows.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(names, ["docs", "domains", "servers", "users", "platform.toml"]);
    assert!(root.at.is_tip && root.at.revision == is);
    let newest = |at: usize| root.entries.rows[at].newest.as_ref().unwrap().summary.as_str();
    assert_eq!((newest(0), newest(4)), ("after", "The organisation"));
    let inside = bench.ask(Some(&ann), &tree(&was.short(), "docs/a")).await.unwrap();
    assert!(!inside.at.is_tip && inside.made_by.unwrap().summary == "before");
    assert_eq!(
        (inside.entries.rows[0].path.as_deref(), inside.entries.rows[0].is),
        (Some("docs/a/b.md"), Is::File { size: 8 })
    );
    assert_eq!(lines(&bench, &ann, "docs/a/b.md", "").await, ["one", "three"]);
    assert_eq!(lines(&bench, &ann, "docs/a/b.md", &was.to_string()).await, ["one", "two"]);
    let blame = StateBlame { at: String::new(), path: "docs/a/b.md".to_owned(), page: 1 };
    for _ in 0..2 {
        let parts = bench.ask(Some(&ann), &blame).await.unwrap();
        let told: Vec<_> =
            parts.iter().map(|part| (part.first, part.lines, part.line.summary.as_str())).collect();
        assert_eq!(told, [(1, 1, "before"), (2, 1, "after")]);
    }
    let asked = StateDiff { from: String::new(), to: String::new(), path: String::new(), page: 1 };
    let sheet = bench.ask(Some(&ann), &asked).await.unwrap();
    assert_eq!(
        (sheet.from, sheet.diffs.rows[0].lines.as_slice()),
        (Some(was), ["@@ -1,2 +1,2 @@", " one", "-two", "+three"].map(str::to_owned).as_slice())
    );
    let all = History { of: Some(Object::File("docs/a/b.md".to_owned())), page: 1 };
    assert_eq!(bench.ask(Some(&ann), &all).await.unwrap().all, 2);
    // Pages are every member's to read; other files aren't.
    let bob = bench.sign_in("bob").await;
    assert_eq!(bench.ask(Some(&bob), &all).await.unwrap().all, 2);
    let settings = History { of: Some(Object::File("platform.toml".to_owned())), page: 1 };
    assert_eq!(bench.refusal(Some(&bob), &settings).await, Why::NotFound);
}

#[tokio::test]
async fn no_path_and_no_revision_leads_elsewhere() {
    let bench = Bench::new();
    let ann = bench.sign_in("ann").await;
    for path in [
        "../state.git/config",
        "/etc/passwd",
        "users/../platform.toml",
        ".git/config",
        "users",
        "",
        "users/",
        "./platform.toml",
        "nothing",
    ] {
        assert_eq!(bench.refusal(Some(&ann), &file(path, "")).await, Why::NotFound, "{path}");
        if !path.is_empty() {
            assert_eq!(
                bench.refusal(Some(&ann), &StateText { path: path.to_owned() }).await,
                Why::NotFound,
                "{path}"
            );
        }
    }
    for folder in ["..", "users/..", "nothing", "platform.toml", "users/ann.toml"] {
        let asked = StateTree { at: String::new(), folder: folder.to_owned(), page: 1 };
        assert_eq!(bench.refusal(Some(&ann), &asked).await, Why::NotFound, "{folder}");
    }
    // A commit that nothing but a proposal leads to.
    let bob = bench.sign_in("bob").await;
    let fields = json!([{ "name": "memory", "was": { "text": "512 MiB" }, "now": { "text": "1 GiB" } }]);
    let change = json!({ "change": { "of": { "kind": "server", "name": "bobs" }, "deed": { "deed": "edit", "fields": fields } } });
    let (status, body) = bench.raw("/propose", Some(bob.as_str()), &change.to_string()).await;
    assert_eq!(status, 200, "{body}");
    let proposed: berth_wire::web::Proposed = serde_json::from_str(&body).unwrap();
    for (at, why) in [
        (proposed.revision.to_string(), Why::NotFound),
        (proposed.revision.short(), Why::NotFound),
        ("0123456789".to_owned(), Why::NotFound),
        ("main".to_owned(), Why::BadQuestion),
        ("HEAD~1".to_owned(), Why::BadQuestion),
        ("abc".to_owned(), Why::BadQuestion),
        ("--help".to_owned(), Why::BadQuestion),
        ("a".repeat(41), Why::BadQuestion),
    ] {
        assert_eq!(bench.refusal(Some(&ann), &file("platform.toml", &at)).await, why, "{at}");
    }
}

#[tokio::test]
async fn files_that_are_no_page_of_text_are_told_as_what_they_are() {
    let bench = Bench::new();
    let long: String = (1..=20_000).map(|number| format!("line {number}\n")).collect();
    bench.commit(
        "odd files",
        &[
            Edit::write("docs/huge.md", vec![b'x'; 10 << 20]),
            Edit::write("docs/long.md", long),
            Edit::write("docs/picture.png", vec![0x89, b'P', 0, 0xff]),
            Edit::write("docs/empty.md", ""),
        ],
    );
    odd_names(&bench);
    let ann = bench.sign_in("ann").await;
    let of = |path: &str| file(path, "");
    let huge = bench.ask(Some(&ann), &of("docs/huge.md")).await.unwrap();
    assert_eq!((huge.content, huge.size, huge.may_edit), (Content::TooLarge, 10 << 20, false));
    let picture = bench.ask(Some(&ann), &of("docs/picture.png")).await.unwrap();
    assert_eq!((picture.content, picture.size), (Content::Binary, 4));
    for path in ["docs/huge.md", "docs/picture.png", "docs/long.md"] {
        let why = bench.refusal(Some(&ann), &StateText { path: path.to_owned() }).await;
        assert_eq!(why, Why::BadQuestion, "{path}");
    }
    let last = bench.ask(Some(&ann), &StateFile { page: 40, ..of("docs/long.md") }).await.unwrap();
    let Content::Text { lines, first, hidden } = last.content else { panic!() };
    assert_eq!((lines.pages, lines.all, first, hidden), (40, 20_000, 19_501, 0));
    assert_eq!(lines.rows[499], "line 20000");
    let blame = StateBlame { at: String::new(), path: "docs/long.md".to_owned(), page: 40 };
    let parts = bench.ask(Some(&ann), &blame).await.unwrap();
    assert_eq!((parts.len(), parts[0].first, parts[0].lines), (1, 19_501, 500));
    let empty = bench.ask(Some(&ann), &of("docs/empty.md")).await.unwrap();
    assert!(matches!(empty.content, Content::Text { lines, .. } if lines.rows.is_empty()));
    let tree = StateTree { at: String::new(), folder: "docs".to_owned(), page: 1 };
    let entries = bench.ask(Some(&ann), &tree).await.unwrap().entries.rows;
    assert!(
        entries.iter().any(|entry| entry.path.is_none() && entry.name.contains('\u{fffd}')),
        "{entries:?}"
    );
    assert!(entries.iter().any(|entry| entry.name == "link" && entry.is == Is::Link));
    assert_eq!(bench.refusal(Some(&ann), &of("docs/link")).await, Why::NotFound);
    let search = |text: &str| StateSearch { at: String::new(), text: text.to_owned() };
    let found = bench.ask(Some(&ann), &search("LINE 19999")).await.unwrap();
    assert_eq!((found.lines[0].number, found.lines[0].page, found.unread), (19_999, 40, 3));
    let found = bench.ask(Some(&ann), &search("line 1")).await.unwrap();
    assert!(found.is_cut && found.lines.len() == 20);
    assert_eq!(bench.refusal(Some(&ann), &search("x")).await, Why::BadQuestion);
}

/// Adds a file whose name isn't UTF-8, and a link.
fn odd_names(bench: &Bench) {
    use std::os::unix::ffi::OsStrExt as _;
    let clone = bench.home.path().join("clone");
    let run = |arguments: &[&std::ffi::OsStr], folder: &std::path::Path| {
        let done = git(folder).args(arguments).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    };
    let os = std::ffi::OsStr::new;
    run(&[os("clone"), os("--quiet"), bench.repo().as_os_str(), clone.as_os_str()], bench.home.path());
    std::fs::write(clone.join("docs").join(std::ffi::OsStr::from_bytes(b"caf\xe9.md")), "x\n").unwrap();
    std::os::unix::fs::symlink("/etc/passwd", clone.join("docs/link")).unwrap();
    run(&[os("add"), os("--all")], &clone);
    run(&[os("commit"), os("--quiet"), os("-m"), os("odd names")], &clone);
    // Fetched: a push would be refused.
    run(&[os("fetch"), os("--quiet"), clone.as_os_str(), os("HEAD:main")], &bench.repo());
}

fn write(bench: &Bench, path: &str, text: &str) -> Change {
    let repo = berth_repo::StateRepo::open(&bench.repo()).unwrap();
    let base = repo.head().unwrap().unwrap();
    Change { of: Object::File(path.to_owned()), deed: Deed::Write { text: text.to_owned(), base } }
}

async fn plan(bench: &Bench, token: &Token, change: &Change) -> Planned {
    bench.ask(Some(token), &Plan { change: change.clone(), from: None }).await.unwrap()
}

async fn commit(bench: &Bench, token: &Token, change: Change) {
    let planned = plan(bench, token, &change).await;
    assert_eq!(planned.standing, Standing::Allowed, "{planned:?}");
    let knows = !planned.shuts_out.is_empty();
    let commit = Commit { change, digest: planned.digest, from: None, knows };
    let made = bench.ask(Some(token), &commit).await.unwrap();
    assert!(matches!(made, Committed::Made { .. }), "{made:?}");
}

#[tokio::test]
async fn a_file_is_edited_as_text_and_its_secrets_stay() {
    let bench = Bench::new();
    with_secrets(&bench);
    let before = bench.text("users/bob.toml");
    let ann = bench.sign_in("ann").await;
    let sheet = bench.ask(Some(&ann), &StateText { path: "users/bob.toml".to_owned() }).await.unwrap();
    let text = sheet.text.replace("bob@example.org", "robert@example.org");
    let change = write(&bench, "users/bob.toml", &text.replace('\n', "\r\n"));
    let planned = plan(&bench, &ann, &change).await;
    assert!(!serde_json::to_string(&planned).unwrap().contains("argon2"), "{planned:?}");
    commit(&bench, &ann, change).await;
    assert_eq!(bench.text("users/bob.toml"), before.replace("bob@example.org", "robert@example.org"));
    // A mark that moved is a finding at its line, and no secret is told by it.
    let mark = text[text.find("‹hidden-").unwrap()..].split_inclusive('›').next().unwrap().to_owned();
    let moved = text.replace("robert@example.org", &mark);
    let planned = plan(&bench, &ann, &write(&bench, "users/bob.toml", &moved)).await;
    assert_eq!(planned.standing, Standing::Refused);
    assert_eq!(planned.findings[0].place.as_deref(), Some("users/bob.toml:1:10"), "{planned:?}");
    assert!(!serde_json::to_string(&planned).unwrap().contains("argon2"));
    // A hash that is taken out is gone, which the plan's difference shows.
    let without: String = text
        .lines()
        .filter(|line| !line.starts_with("password_hash"))
        .map(|line| format!("{line}\n"))
        .collect();
    let change = write(&bench, "users/bob.toml", &without);
    let planned = plan(&bench, &ann, &change).await;
    assert!(
        planned.diffs[0].lines.iter().any(|line| line.starts_with("-password_hash = \"‹hidden-")),
        "{planned:?}"
    );
    commit(&bench, &ann, change).await;
    assert!(!bench.text("users/bob.toml").contains("password_hash"));
}

#[tokio::test]
async fn files_come_and_go_by_their_paths() {
    let bench = Bench::new();
    let ann = bench.sign_in("ann").await;
    commit(&bench, &ann, write(&bench, "docs/how/to.md", "# How\n")).await;
    assert_eq!(bench.text("docs/how/to.md"), "# How\n");
    commit(&bench, &ann, write(&bench, "servers/anns.toml", "id = 9\nowner = \"ann\"\n")).await;
    for (path, text, place) in [
        ("servers/anns.toml", "id = 9\nowner = \"ann\"\nmemory = \"many\"\n", Some("servers/anns.toml:3:10")),
        ("servers/anns.toml", "id = 9\nowner = \"eve\"\n", Some("servers/anns.toml:2:9")),
        ("servers/A B.toml", "id = 10\nowner = \"ann\"\n", Some("servers/A B.toml")),
        ("stray.toml", "x = 1\n", Some("stray.toml")),
        ("../x", "x\n", None),
        (".git/hooks/x", "x\n", None),
        ("docs//x", "x\n", None),
        ("docs", "x\n", None),
        ("platform.toml/x", "x\n", None),
        (
            "docs/key",
            concat!("-----BEGIN ", "PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
            Some("docs/key:1:12"),
        ),
    ] {
        let planned = plan(&bench, &ann, &write(&bench, path, text)).await;
        assert_eq!(planned.standing, Standing::Refused, "{path}: {planned:?}");
        let error = planned.findings.iter().find(|finding| finding.is_error).unwrap();
        assert_eq!(error.place.as_deref(), place, "{path}: {planned:?}");
    }
    let remove = Change { of: Object::File("servers/bobs.toml".to_owned()), deed: Deed::Remove };
    let planned = plan(&bench, &ann, &remove).await;
    let hint = planned.findings[0].hint.as_deref().unwrap_or_default();
    assert!(
        planned.standing == Standing::Refused && hint.contains("remove that domain first"),
        "{planned:?}"
    );
    let remove = Change { of: Object::File("docs/how/to.md".to_owned()), deed: Deed::Remove };
    commit(&bench, &ann, remove.clone()).await;
    assert_eq!(bench.refusal(Some(&ann), &Plan { change: remove, from: None }).await, Why::NotFound);
    // A member changes no file that way, not even their own.
    let bob = bench.sign_in("bob").await;
    for path in ["servers/bobs.toml", "users/bob.toml", "docs/new.md", "platform.toml"] {
        let change = write(&bench, path, "x\n");
        assert_eq!(
            bench.refusal(Some(&bob), &Plan { change: change.clone(), from: None }).await,
            Why::Forbidden,
            "{path}"
        );
        let commit = Commit { change, digest: String::new(), from: None, knows: true };
        assert_eq!(bench.refusal(Some(&bob), &commit).await, Why::Forbidden, "{path}");
    }
    // The text of a member's file may hold a role: whoever writes it has just proved who they are.
    bench.pass(std::time::Duration::from_secs(3600));
    let change = write(&bench, "users/dan.toml", "role = \"admin\"\n");
    let planned = plan(&bench, &ann, &change).await;
    let stale = Commit { change, digest: planned.digest, from: None, knows: false };
    assert_eq!(bench.refusal(Some(&ann), &stale).await, Why::Stale);
}

#[tokio::test]
async fn two_who_write_the_same_lines_see_both() {
    let bench = Bench::new();
    let ann = bench.sign_in("ann").await;
    bench.commit("a page", &[Edit::write("docs/a.md", "one\n2\n3\n4\n5\n6\n7\nlast\n")]);
    let change = write(&bench, "docs/a.md", "ONE\n2\n3\n4\n5\n6\n7\nlast\n");
    bench.commit_as("bob", "the end", &[Edit::write("docs/a.md", "one\n2\n3\n4\n5\n6\n7\nLAST\n")]);
    let planned = plan(&bench, &ann, &change).await;
    assert!(planned.merged_with[0].starts_with("`bob` changed docs/a.md"), "{planned:?}");
    commit(&bench, &ann, change).await;
    assert_eq!(bench.text("docs/a.md"), "ONE\n2\n3\n4\n5\n6\n7\nLAST\n");
    let change = write(&bench, "docs/a.md", "1\n2\n3\n4\n5\n6\n7\nLAST\n");
    bench.commit_as("bob", "the start", &[Edit::write("docs/a.md", "first\n2\n3\n4\n5\n6\n7\nLAST\n")]);
    let planned = plan(&bench, &ann, &change).await;
    let Standing::Conflict { fields } = &planned.standing else { panic!("{planned:?}") };
    assert_eq!(fields[0].name, "text");
    let change = write(&bench, "docs/a.md", "x\n");
    bench.commit_as("bob", "gone", &[Edit::remove("docs/a.md")]);
    let planned = plan(&bench, &ann, &change).await;
    assert!(matches!(planned.standing, Standing::Conflict { .. }), "{planned:?}");
    assert!(planned.findings[0].message.contains("`bob` removed docs/a.md"), "{planned:?}");
}

#[tokio::test]
async fn marks_stand_for_the_same_after_a_restart() {
    let bench = Bench::new();
    let ann = bench.sign_in("ann").await;
    let asked = StateText { path: "users/bob.toml".to_owned() };
    let before = bench.ask(Some(&ann), &asked).await.unwrap();
    let bench = bench.reopened().await;
    assert_eq!(bench.ask(Some(&ann), &asked).await.unwrap(), before);
    let platform = bench.ask(Some(&ann), &PlatformRead {}).await.unwrap();
    assert!(platform.text.contains("hosting.example.org"));
}

#[tokio::test]
async fn tables_are_found_filtered_and_sorted() {
    let bench = Bench::new();
    let ann = bench.sign_in("ann").await;
    let asked = |kind, search: &str, having: &[(&str, &str)], sort: &str| StateTable {
        kind,
        search: search.to_owned(),
        having: having.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        sort: sort.to_owned(),
        is_falling: false,
        page: Some(1),
    };
    let names = async |asked: StateTable| -> Vec<String> {
        let sheet = bench.ask(Some(&ann), &asked).await.unwrap();
        sheet.rows.rows.into_iter().map(|row| row.cells[0].text.clone()).collect()
    };
    assert_eq!(names(asked(Rows::Servers, "", &[], "")).await, ["bobs", "cyns", "cyns2"]);
    assert_eq!(names(asked(Rows::Servers, "", &[], "memory")).await[0], "bobs", "512 MiB is the least");
    let falling = StateTable { is_falling: true, ..asked(Rows::Servers, "", &[], "id") };
    assert_eq!(names(falling).await, ["cyns2", "cyns", "bobs"]);
    assert_eq!(names(asked(Rows::Servers, "", &[("owner", "cyn"), ("members", "bob")], "")).await, ["cyns2"]);
    assert_eq!(names(asked(Rows::Users, "ann@EXAMPLE", &[], "")).await, ["ann"]);
    assert_eq!(
        names(asked(Rows::Users, "", &[("password_hash", "set")], "name")).await,
        ["ann", "bob", "cyn"]
    );
    let sheet = bench.ask(Some(&ann), &asked(Rows::Domains, "", &[("colour", "red")], "size")).await.unwrap();
    assert_eq!((sheet.unknown, sheet.rows.all), (vec!["colour".to_owned(), "size".to_owned()], 2));
    assert_eq!(sheet.rows.rows[0].path, "domains/bobs.hosting.example.org.toml");
}
