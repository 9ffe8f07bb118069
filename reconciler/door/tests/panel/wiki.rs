//! The wiki: who reads it, what is found in it, and how a change of it is judged.

use std::time::{Duration, Instant};

use berth_repo::{Edit, Revision};
use berth_wire::web::{
    Bytes, Change, Commit, CommitRead, Committed, Deed, DocEdit, DocFileRead, DocRead, Docs, DocsFound,
    DocsSearch, History, Object, Plan, Propose, Standing, Token, Why,
};

use crate::bench::Bench;

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

/// A bench with these settings of the wiki, and some pages.
fn wiki(settings: &str) -> Bench {
    let bench = Bench::organised();
    let platform = format!(
        "domain = \"hosting.example.org\"\n[panel]\ndomain = \"panel.example.net\"\n[docs]\n{settings}\n"
    );
    bench.commit(
        "pages",
        &[
            Edit::write("platform.toml", platform),
            Edit::write("docs/README.md", "# Our *platform*\n\nHow to get a server.\n"),
            Edit::write(
                "docs/guide/first.md",
                "Servers\n=======\n\n## A Server of your own\n\nA line about domains and ÄPFEL.\n",
            ),
            Edit::write("docs/guide/README.md", "# Guide\n"),
            Edit::write("docs/guide/plan.png", PNG),
            Edit::write("docs/guide/false.png", "<script>"),
            Edit::write("docs/guide/plan.drawio", "<mxfile/>"),
            Edit::write("docs/notes.txt", "a server"),
        ],
    );
    bench.open()
}

fn read(path: &str) -> DocRead {
    DocRead { path: path.to_owned(), revision: None }
}

fn file(path: &str) -> DocFileRead {
    DocFileRead { path: path.to_owned(), revision: None }
}

async fn search(bench: &Bench, token: Option<&Token>, words: &str) -> DocsFound {
    bench.ask(token, &DocsSearch { words: words.to_owned() }).await.unwrap()
}

fn paths(found: &DocsFound) -> Vec<&str> {
    found.rows.iter().map(|row| row.page.path.as_str()).collect()
}

#[tokio::test]
async fn members_read_and_nobody_else_does() {
    let bench = wiki("");
    let bob = bench.sign_in("bob").await;
    let card = bench.ask(Some(&bob), &Docs {}).await.unwrap();
    let pages: Vec<_> = card.pages.iter().map(|page| (page.path.as_str(), page.title.as_str())).collect();
    assert_eq!(
        pages,
        [("README.md", "Our platform"), ("guide/README.md", "Guide"), ("guide/first.md", "Servers")]
    );
    assert_eq!(card.files, ["guide/false.png", "guide/plan.drawio", "guide/plan.png"]);
    assert_eq!((card.edit, card.left_out), (DocEdit::WithReview, 0));
    for (asked, path) in [
        ("guide/first.md", "guide/first.md"),
        ("guide/first", "guide/first.md"),
        ("guide", "guide/README.md"),
        ("/", "README.md"),
        ("", "README.md"),
    ] {
        assert_eq!(bench.ask(Some(&bob), &read(asked)).await.unwrap().path, path, "{asked}");
    }
    let sheet = bench.ask(Some(&bob), &read("guide/first")).await.unwrap();
    assert_eq!(sheet.made_by.unwrap().summary, "pages");
    let plan = bench.ask(Some(&bob), &file("guide/plan.png")).await.unwrap();
    assert_eq!((plan.media_type.as_deref(), plan.bytes.0.as_slice()), (Some("image/png"), PNG));
    for other in ["guide/false.png", "guide/plan.drawio"] {
        assert_eq!(bench.ask(Some(&bob), &file(other)).await.unwrap().media_type, None, "{other}");
    }
    for path in [
        "nothing",
        "../platform.toml",
        "../users/bob",
        "a/../../users/bob.toml",
        ".git/config",
        "/etc/passwd",
        "notes.txt",
        "guide/plan.png",
        "%2e%2e/platform.toml",
    ] {
        assert_eq!(bench.refusal(Some(&bob), &read(path)).await, Why::NotFound, "{path}");
    }
    for path in ["../users/bob.toml", "guide/first.md", ".git/a.png", "/guide/plan.png", "guide//plan.png"] {
        assert_eq!(bench.refusal(Some(&bob), &file(path)).await, Why::NotFound, "{path}");
    }
    assert_eq!(bench.refusal(None, &Docs {}).await, Why::SignedOut);
    assert_eq!(bench.refusal(None, &read("README.md")).await, Why::SignedOut);
    assert_eq!(bench.refusal(None, &file("guide/plan.png")).await, Why::SignedOut);
    assert_eq!(bench.refusal(None, &DocsSearch { words: "server".to_owned() }).await, Why::SignedOut);
}

#[tokio::test]
async fn a_public_wiki_is_for_anybody() {
    let bench = wiki("read = \"public\"\nedit = \"users\"");
    let card = bench.ask(None, &Docs {}).await.unwrap();
    assert_eq!((card.pages.len(), card.edit), (3, DocEdit::Not));
    let sheet = bench.ask(None, &read("guide/first")).await.unwrap();
    assert_eq!((sheet.made_by, sheet.edit), (None, DocEdit::Not), "strangers don't learn who wrote it");
    assert_eq!(bench.ask(None, &file("guide/plan.png")).await.unwrap().bytes.0, PNG);
    assert_eq!(search(&bench, None, "domains").await.all, 1);
    // What it was once may have been for members alone.
    let past = DocRead { revision: Some(card.at), ..read("README.md") };
    assert_eq!(bench.refusal(None, &past).await, Why::SignedOut);
    // A token that is none doesn't make somebody nobody.
    assert_eq!(bench.refusal(Some(&Token::new("x".repeat(43))), &Docs {}).await, Why::SignedOut);
    let bob = bench.sign_in("bob").await;
    assert_eq!(bench.ask(Some(&bob), &Docs {}).await.unwrap().edit, DocEdit::Freely);
}

#[tokio::test]
async fn what_only_admins_read_is_nowhere_for_others() {
    let bench = wiki("read = \"admins\"");
    let (ann, bob) = (bench.sign_in("ann").await, bench.sign_in("bob").await);
    assert_eq!(bench.ask(Some(&ann), &read("README.md")).await.unwrap().edit, DocEdit::Freely);
    let made = bench.commit("secret words", &[Edit::write("docs/secret.md", "secret words\n")]);
    for question in [read("README.md"), read("secret")] {
        assert_eq!(bench.refusal(Some(&bob), &question).await, Why::Forbidden);
    }
    assert_eq!(bench.refusal(Some(&bob), &Docs {}).await, Why::Forbidden);
    assert_eq!(bench.refusal(Some(&bob), &file("guide/plan.png")).await, Why::Forbidden);
    assert_eq!(bench.refusal(Some(&bob), &DocsSearch { words: "secret".to_owned() }).await, Why::Forbidden);
    let of = |path: &str| History { of: Some(Object::Doc(path.to_owned())), page: 1 };
    assert_eq!(bench.refusal(Some(&bob), &of("secret.md")).await, Why::NotFound);
    assert_eq!(
        bench.refusal(Some(&bob), &CommitRead { revision: made, attempted: None }).await,
        Why::NotFound
    );
    let all = bench.ask(Some(&bob), &History { of: None, page: 1 }).await.unwrap();
    assert!(!serde_json::to_string(&all).unwrap().contains("secret"), "{all:?}");
    for path in ["secret.md", "nothing.md"] {
        let change = write(path, "x\n", made);
        assert_eq!(bench.refusal(Some(&bob), &Plan { change, from: None }).await, Why::NotFound, "{path}");
    }
    assert_eq!(bench.ask(Some(&ann), &of("secret.md")).await.unwrap().all, 1);
}

fn write(path: &str, text: &str, base: Revision) -> Change {
    Change { of: Object::Doc(path.to_owned()), deed: Deed::Write { text: text.to_owned(), base } }
}

#[tokio::test]
async fn a_page_is_changed_by_whom_the_settings_name() {
    let bench = wiki("edit = [\"bob\"]");
    let (bob, cyn) = (bench.sign_in("bob").await, bench.sign_in("cyn").await);
    let base = bench.ask(Some(&bob), &Docs {}).await.unwrap().at;
    let change = write("guide/new.md", "# New\n", base);
    let planned = bench.ask(Some(&bob), &Plan { change: change.clone(), from: None }).await.unwrap();
    assert_eq!(planned.standing, Standing::Allowed);
    let commit = Commit { change, digest: planned.digest, from: None, knows: false };
    let Committed::Made { revision } = bench.ask(Some(&bob), &commit).await.unwrap() else { panic!() };
    assert_eq!(bench.text("docs/guide/new.md"), "# New\n");
    let sheet = bench.ask(Some(&cyn), &read("guide/new")).await.unwrap();
    let line = sheet.made_by.unwrap();
    assert_eq!((line.revision, line.author.as_str(), line.door.as_deref()), (revision, "bob", Some("panel")));
    assert_eq!(
        bench.ask(Some(&cyn), &CommitRead { revision, attempted: None }).await.unwrap().diffs.len(),
        1
    );
    // Somebody else proposes, and can't take bob's change back.
    let change = write("guide/new.md", "# Newer\n", revision);
    let planned = bench.ask(Some(&cyn), &Plan { change: change.clone(), from: None }).await.unwrap();
    assert!(matches!(planned.standing, Standing::NeedsReview { .. }), "{planned:?}");
    assert_eq!(bench.ask(Some(&cyn), &Propose { change }).await.unwrap().topic, "page-new");
    assert!(!bench.ask(Some(&cyn), &CommitRead { revision, attempted: None }).await.unwrap().may_revert);
    assert!(bench.ask(Some(&bob), &CommitRead { revision, attempted: None }).await.unwrap().may_revert);
    // The page as it was, and its history.
    bench.commit("a change", &[Edit::write("docs/guide/new.md", "# Newest\n")]);
    let was = DocRead { revision: Some(revision), ..read("guide/new.md") };
    let was = bench.ask(Some(&cyn), &was).await.unwrap();
    assert_eq!((was.text.as_str(), was.is_past), ("# New\n", true));
    let history = History { of: Some(Object::Doc("guide/new.md".to_owned())), page: 1 };
    assert_eq!(bench.ask(Some(&cyn), &history).await.unwrap().all, 2);
    let elsewhere = DocRead { revision: Some(Revision::from_bytes([7; 20])), ..read("README.md") };
    assert_eq!(bench.refusal(Some(&cyn), &elsewhere).await, Why::NotFound);
}

#[tokio::test]
async fn a_picture_of_a_megabyte_passes() {
    let bench = wiki("edit = \"users\"");
    let bob = bench.sign_in("bob").await;
    let bytes = [PNG, &vec![7; (1 << 20) - PNG.len()]].concat();
    let put = |bytes: &[u8]| Change {
        of: Object::Doc("large.png".to_owned()),
        deed: Deed::Put { bytes: Bytes(bytes.to_vec()) },
    };
    let planned = bench.ask(Some(&bob), &Plan { change: put(&bytes), from: None }).await.unwrap();
    assert_eq!(planned.standing, Standing::Allowed);
    assert!(
        planned.diffs[0].lines.iter().any(|line| line.contains("1048576 bytes that aren't text")),
        "{:?}",
        planned.diffs
    );
    let commit = Commit { change: put(&bytes), digest: planned.digest, from: None, knows: false };
    bench.ask(Some(&bob), &commit).await.unwrap();
    assert_eq!(bench.ask(Some(&bob), &file("large.png")).await.unwrap().bytes.0, bytes);
    let planned = bench
        .ask(
            Some(&bob),
            &Plan {
                change: Change {
                    of: Object::Doc("larger.png".to_owned()),
                    ..put(&[&bytes[..], b"x"].concat())
                },
                from: None,
            },
        )
        .await
        .unwrap();
    assert_eq!(planned.standing, Standing::Refused);
}

#[tokio::test]
async fn a_hash_in_a_page_is_shown_to_nobody_and_told_of() {
    let bench = wiki("read = \"public\"");
    let hash = berth_password::hash("x", &[7; 16]).unwrap();
    let (page, drawing) = (format!("the hash {hash}\n"), format!("<mxfile>{hash}</mxfile>"));
    let latin = |text: &str| [b"<mxfile>caf\xe9 ", text.as_bytes(), b"</mxfile>"].concat();
    bench.commit(
        "a slip",
        &[
            Edit::write("docs/slip.md", page),
            Edit::write("docs/slip.drawio", drawing),
            Edit::write("docs/latin.drawio", latin(&hash)),
        ],
    );
    let ann = bench.sign_in("ann").await;
    for token in [None, Some(&ann)] {
        let sheet = bench.ask(token, &read("slip")).await.unwrap();
        assert!(sheet.is_masked && !sheet.text.contains("argon2"), "{}", sheet.text);
        assert_eq!(search(&bench, token, "argon2").await.all, 0);
        let drawing = bench.ask(token, &file("slip.drawio")).await.unwrap().bytes.0;
        assert_eq!(drawing, format!("<mxfile>{}</mxfile>", "*".repeat(hash.len())).into_bytes());
        let drawing = bench.ask(token, &file("latin.drawio")).await.unwrap().bytes.0;
        assert_eq!(drawing, latin(&"*".repeat(hash.len())));
    }
}

#[tokio::test]
async fn a_page_that_isnt_utf_8_is_told_as_that() {
    let bench = wiki("");
    bench.commit("latin", &[Edit::write("docs/latin.md", &b"caf\xe9\n"[..])]);
    let ann = bench.sign_in("ann").await;
    let sheet = bench.ask(Some(&ann), &read("latin")).await.unwrap();
    assert_eq!((sheet.is_text, sheet.is_masked), (false, false));
    assert_eq!(sheet.text, "(5 bytes that aren't text)\n");
}

#[tokio::test]
async fn the_best_pages_come_first() {
    let bench = wiki("read = \"public\"");
    bench.commit(
        "more",
        &[
            Edit::write("docs/a.md", "# Other\n\nThe word kitchen, once.\n"),
            Edit::write("docs/b.md", "# Other\n\n## Kitchen things\n\nText.\n"),
            Edit::write("docs/c.md", "# The Kitchen\n\nText of a KITCHEN in the kitchen.\n"),
            Edit::write("docs/d.md", "# Other\n\nNothing.\n"),
        ],
    );
    let found = search(&bench, None, " KitCHen ").await;
    assert_eq!(paths(&found), ["c.md", "b.md", "a.md"]);
    assert_eq!((found.all, found.searched, found.left_out), (3, 7, 0));
    assert_eq!(found.rows[1].heading.as_deref(), Some("Kitchen things"));
    let marked: String = found.rows[2]
        .excerpt
        .iter()
        .map(|part| if part.is_hit { part.text.to_uppercase() } else { part.text.clone() })
        .collect();
    assert_eq!(marked, "The word KITCHEN, once.");
    assert_eq!(paths(&search(&bench, None, "kitchen once").await), ["a.md"], "all words");
    assert_eq!(paths(&search(&bench, None, "äpfel").await), ["guide/first.md"]);
    assert_eq!(paths(&search(&bench, None, "kitchen nowhere").await), [""; 0]);
    assert_eq!(paths(&search(&bench, None, "  ").await), [""; 0]);
    // What is gone isn't found any more, and what changed is found as it is.
    bench.commit("fewer", &[Edit::remove("docs/c.md"), Edit::write("docs/d.md", "# A kitchen\n")]);
    assert_eq!(paths(&search(&bench, None, "kitchen").await), ["d.md", "b.md", "a.md"]);
}

#[tokio::test]
async fn a_thousand_pages_are_searched_at_once() {
    let bench = wiki("read = \"public\"");
    let text = |n: u32| {
        format!("# Page {n}\n\n{}\nneedle{n}\n", "Some words of a usual page, again and again.\n".repeat(100))
    };
    let edits: Vec<Edit> = (0..1000).map(|n| Edit::write(format!("docs/many/p{n}.md"), text(n))).collect();
    bench.commit("many pages", &edits);
    search(&bench, None, "first").await;
    let begun = Instant::now();
    let found = search(&bench, None, "needle777").await;
    assert_eq!(paths(&found), ["many/p777.md"]);
    assert_eq!((found.searched, search(&bench, None, "usual").await.all), (1003, 1000));
    // A bound that a busy machine keeps as well; the benchmark measures.
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}
