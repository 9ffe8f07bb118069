//! History: what became of things, and who may know.

use berth_repo::{Edit, StateRepo};
use berth_schema::name::ServerId;
use berth_wire::web::{CommitLine, CommitRead, History, Object, ServerRead, Token, Why};

use crate::bench::{Bench, organisation, user};

async fn lines(bench: &Bench, token: &Token, of: Option<Object>) -> Vec<CommitLine> {
    bench.ask(Some(token), &History { of, page: 1 }).await.unwrap().rows
}

fn summaries(lines: &[CommitLine]) -> Vec<&str> {
    lines.iter().map(|line| line.summary.as_str()).collect()
}

fn server(name: &str) -> Option<Object> {
    Some(Object::Server(name.to_owned()))
}

#[tokio::test]
async fn a_member_s_history_is_of_what_they_see() {
    let bench = Bench::new();
    let more = |owner: &str, id: u32| format!("id = {id}\nowner = \"{owner}\"\npids = 512\n");
    bench.commit_as("bob", "bobs: pids", &[Edit::write("servers/bobs.toml", more("bob", 1))]);
    bench.commit_as("cyn", "cyns: a secret plan", &[Edit::write("servers/cyns.toml", more("cyn", 2))]);
    let both = [
        Edit::write("servers/bobs.toml", more("bob", 1).replace("512", "1024")),
        Edit::write("servers/cyns.toml", more("cyn", 2).replace("512", "1024")),
    ];
    bench.commit_as("ann", "Everybody: pids", &both);
    let (bob, ann) = (bench.sign_in("bob").await, bench.sign_in("ann").await);
    let bobs = lines(&bench, &bob, None).await;
    assert_eq!(summaries(&bobs), ["Everybody: pids", "bobs: pids", "The organisation"]);
    assert_eq!(bobs[0].paths, ["servers/bobs.toml"]);
    let first: Vec<&str> = bobs[2].paths.iter().map(String::as_str).collect();
    assert_eq!(
        first,
        [
            "domains/bobs.hosting.example.org.toml",
            "servers/bobs.toml",
            "servers/cyns2.toml",
            "users/bob.toml"
        ]
    );
    let anns = lines(&bench, &ann, None).await;
    assert_eq!(anns.len(), 4);
    assert_eq!(anns[3].paths.len(), organisation().len());
    assert_eq!(summaries(&lines(&bench, &bob, server("bobs")).await).len(), 3);
    assert_eq!(summaries(&lines(&bench, &ann, server("cyns")).await).len(), 3);
    assert_eq!(bench.refusal(Some(&bob), &History { of: server("cyns"), page: 1 }).await, Why::NotFound);
    assert_eq!(bench.refusal(Some(&ann), &History { of: server("none"), page: 1 }).await, Why::NotFound);
}

#[tokio::test]
async fn a_commit_is_shown_as_far_as_one_sees() {
    let bench = Bench::new();
    let first = bench.commit("empty", &[Edit::write("notes.md", "a\n")]);
    let both = [
        Edit::write("servers/bobs.toml", "id = 1\nowner = \"bob\"\nmemory = \"1 GiB\"\n"),
        Edit::write("servers/cyns.toml", "id = 2\nowner = \"cyn\"\nmemory = \"1 GiB\"\n"),
    ];
    let both = bench.commit("memory", &both);
    let own = Edit::write("users/bob.toml", user("bob", ""));
    let own = bench.commit_as("bob", "bob: no address", &[own]);
    let (bob, ann) = (bench.sign_in("bob").await, bench.sign_in("ann").await);
    let read = async |token: &Token, revision| {
        bench.ask(Some(token), &CommitRead { revision, attempted: None }).await
    };
    let sheet = read(&bob, both).await.unwrap();
    assert_eq!(sheet.diffs.len(), 1, "{sheet:?}");
    assert!(sheet.diffs[0].lines.contains(&"-memory = \"512 MiB\"".to_owned()), "{sheet:?}");
    assert!(!sheet.may_revert, "cyn's is not bob's to take back");
    assert_eq!(read(&bob, first).await.unwrap_err().why, Why::NotFound);
    assert_eq!(read(&bob, berth_repo::Revision::from_bytes([7; 20])).await.unwrap_err().why, Why::NotFound);
    let sheet = read(&bob, own).await.unwrap();
    assert!(sheet.may_revert);
    assert!(!format!("{sheet:?}").contains("argon2"), "{sheet:?}");
    let sheet = read(&ann, both).await.unwrap();
    assert_eq!((sheet.diffs.len(), sheet.may_revert), (2, true));
    assert!(!format!("{:?}", read(&ann, own).await.unwrap()).contains("argon2"));
    // What was attempted holds a commit if it came later. One that nobody knows holds nothing.
    let unknown = berth_repo::Revision::from_bytes([7; 20]);
    for (revision, attempted, expected) in [
        (both, own, true),
        (both, both, false),
        (own, both, false),
        (own, first, false),
        (both, unknown, false),
    ] {
        let asked = CommitRead { revision, attempted: Some(attempted) };
        assert_eq!(bench.ask(Some(&bob), &asked).await.unwrap().is_overtaken, expected, "{asked:?}");
    }
}

#[tokio::test]
async fn a_sheet_tells_who_made_it_so_and_what_became_of_it() {
    let bench = Bench::new();
    let bob = bench.sign_in("bob").await;
    let asked = ServerRead { id: ServerId(1.try_into().unwrap()) };
    let made_by = async || bench.ask(Some(&bob), &asked).await.unwrap().made_by.unwrap();
    assert_eq!(made_by().await.summary, "The organisation");
    let text = "id = 1\nowner = \"bob\"\n";
    let made = bench.commit_as(
        "bob",
        "bobs: the usual memory\n\nBerth-Door: panel",
        &[Edit::write("servers/bobs.toml", text)],
    );
    let told = "result = \"held-back\"\nat = \"2026-01-01T00:00:00Z\"\n";
    let repo = StateRepo::open(&bench.repo()).unwrap();
    let by = berth_repo::Signature::now("Berth", "berth@localhost");
    repo.write_note(&made, &by, told).unwrap();
    bench.commit("cyns", &[Edit::write("servers/cyns.toml", "id = 2\nowner = \"cyn\"\npids = 512\n")]);
    let line = made_by().await;
    assert_eq!((line.revision, line.author.as_str()), (made, "bob"));
    assert_eq!((line.door.as_deref(), line.outcome.as_deref()), (Some("panel"), Some("held back")));
    repo.write_note(&made, &by, &told.replace("held-back", "applied")).unwrap();
    assert_eq!(made_by().await.outcome.as_deref(), Some("applied"), "another note was written since");
    // A tip with mistakes made nothing what it is.
    bench.commit("a mistake", &[Edit::write("servers/bobs.toml", "nonsense = 1\n")]);
    assert_eq!(made_by().await.revision, made);
    assert_eq!(lines(&bench, &bob, server("bobs")).await[0].summary, "a mistake");
}

#[tokio::test]
async fn a_merge_that_puts_main_second_is_another_past() {
    let bench = Bench::new();
    let ann = bench.sign_in("ann").await;
    let repo = StateRepo::open(&bench.repo()).unwrap();
    let first = repo.head().unwrap().unwrap();
    let by = berth_repo::Signature::now("ann", "ann@example.org");
    let words = |message| berth_repo::Words { author: &by, committer: &by, message };
    let side = repo.write(Some(&first), &[Edit::write("docs/side.md", "x")], &words("side\n")).unwrap();
    let main = bench.commit("main", &[Edit::write("docs/main.md", "x")]);
    assert_eq!(summaries(&lines(&bench, &ann, None).await), ["main", "The organisation"]);
    let berth_repo::Combined::Clean(merge) = repo.merge(&side, &main, &words("merge\n")).unwrap() else {
        panic!("it conflicts")
    };
    repo.advance(&main, &merge, "test").unwrap();
    assert_eq!(summaries(&lines(&bench, &ann, None).await), ["merge", "side", "The organisation"]);
}

#[tokio::test]
async fn others_text_steers_nothing() {
    let bench = Bench::new();
    bench.commit_as("e\u{301}ve", "x\u{202e}y\u{1b}[31m", &[Edit::write("notes.md", "x")]);
    let ann = bench.sign_in("ann").await;
    let line = lines(&bench, &ann, None).await.remove(0);
    assert_eq!(line.summary, "x\\u{202e}y\\u{1b}[31m");
}
