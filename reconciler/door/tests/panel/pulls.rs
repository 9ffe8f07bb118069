//! Changes where a forge hosts the state repo: what members change is kept for the forge, and `main` stays where it is.

use berth_judge::outgoing::{Way, all, find, put, tell_way};
use berth_repo::{Edit, StateRepo};
use berth_wire::web::{
    Change, Commit, Committed, Deed, FieldEdit, Input, Me, Object, Plan, Planned, PullRead, PullState,
    PullWithdraw, Pulls, Revert, Standing, Token, Why,
};

use crate::bench::Bench;

const FORGE: &str = "domain = \"hosting.example.org\"\n\n[panel]\ndomain = \"panel.example.net\"\n\n[remote]\n\
                     url = \"https://git.example.org/org/state.git\"\nforge = \"forgejo\"\n";

fn text(text: &str) -> Input {
    Input::Text(text.to_owned())
}

fn edit(server: &str, name: &str, was: &str, now: &str) -> Change {
    let field = FieldEdit { name: name.to_owned(), was: text(was), now: text(now) };
    Change { of: Object::Server(server.to_owned()), deed: Deed::Edit { fields: vec![field] } }
}

async fn plan(bench: &Bench, token: &Token, change: &Change) -> Planned {
    bench.ask(Some(token), &Plan { change: change.clone(), from: None }).await.unwrap()
}

async fn commit(bench: &Bench, token: &Token, change: &Change) -> Committed {
    let planned = plan(bench, token, change).await;
    assert_eq!(planned.standing, Standing::Allowed, "{planned:?}");
    let asked = Commit { change: change.clone(), digest: planned.digest, from: None, knows: false };
    bench.ask(Some(token), &asked).await.unwrap()
}

fn tip(bench: &Bench) -> String {
    StateRepo::open(&bench.repo()).unwrap().head().unwrap().unwrap().to_string()
}

#[tokio::test]
async fn a_change_is_kept_for_the_forge_and_seen_by_its_author_and_admins() {
    let bench = Bench::new();
    bench.commit("a forge", &[Edit::write("platform.toml", FORGE)]);
    let (bob, cyn, ann) =
        (bench.sign_in("bob").await, bench.sign_in("cyn").await, bench.sign_in("ann").await);
    assert!(bench.ask(Some(&bob), &Me {}).await.unwrap().platform.opens_pulls);
    let before = tip(&bench);
    let change = edit("bobs", "memory", "512 MiB", "1 GiB");
    let Committed::Sent { topic, revision } = commit(&bench, &bob, &change).await else { panic!() };
    assert_eq!((topic.as_str(), tip(&bench)), ("server-bobs", before));

    let asked = PullRead { user: "bob".parse().unwrap(), topic };
    for token in [&bob, &ann] {
        let sheet = bench.ask(Some(token), &asked).await.unwrap();
        assert_eq!((sheet.card.revision, sheet.card.state), (revision, PullState::Waiting));
        assert_eq!((sheet.card.is_allowed, sheet.branch.as_str()), (true, "berth/bob/server-bobs"));
        assert!(sheet.diffs[0].lines.iter().any(|line| line.contains("1 GiB")), "{sheet:?}");
        assert_eq!(bench.ask(Some(token), &Pulls {}).await.unwrap().len(), 1);
    }
    assert_eq!(bench.refusal(Some(&cyn), &asked).await, Why::NotFound);
    assert!(bench.ask(Some(&cyn), &Pulls {}).await.unwrap().is_empty());
    // What isn't theirs isn't theirs, wherever it is decided.
    let other = edit("cyns", "memory", "512 MiB", "1 GiB");
    assert_eq!(bench.refusal(Some(&bob), &Plan { change: other, from: None }).await, Why::NotFound);
    let info = StateRepo::open(&bench.repo()).unwrap().commit_info(&revision).unwrap();
    assert_eq!((info.author.name.as_str(), info.parents.len()), ("bob", 1));
    assert!(info.message.contains("Berth-Door: panel"), "{}", info.message);
}

#[tokio::test]
async fn so_many_wait_and_no_more() {
    let bench = Bench::new();
    bench.commit("a forge", &[Edit::write("platform.toml", FORGE)]);
    let bob = bench.sign_in("bob").await;
    let change = edit("bobs", "memory", "512 MiB", "1 GiB");
    for number in 1..=10 {
        let Committed::Sent { topic, .. } = commit(&bench, &bob, &change).await else { panic!() };
        let wanted = if number == 1 { "server-bobs".to_owned() } else { format!("server-bobs-{number}") };
        assert_eq!(topic, wanted);
    }
    let digest = plan(&bench, &bob, &change).await.digest;
    let asked = Commit { change: change.clone(), digest, from: None, knows: false };
    let refusal = bench.ask(Some(&bob), &asked).await.unwrap_err();
    assert!(refusal.message.contains("10 changes"), "{refusal}");
    // Those that are over make room, and only some of them are kept.
    let repo = StateRepo::open(&bench.repo()).unwrap();
    for _ in 0..30 {
        for mut outgoing in all(&repo).unwrap() {
            outgoing.record.state = PullState::Closed;
            put(&repo, &outgoing).unwrap();
        }
        assert!(matches!(commit(&bench, &bob, &change).await, Committed::Sent { .. }));
    }
    assert_eq!(all(&repo).unwrap().len(), 20);
}

#[tokio::test]
async fn what_the_forge_doesnt_have_is_taken_back_for_good() {
    let bench = Bench::new();
    bench.commit("a forge", &[Edit::write("platform.toml", FORGE)]);
    let (bob, cyn) = (bench.sign_in("bob").await, bench.sign_in("cyn").await);
    let change = edit("bobs", "memory", "512 MiB", "1 GiB");
    let Committed::Sent { topic, .. } = commit(&bench, &bob, &change).await else { panic!() };
    let repo = StateRepo::open(&bench.repo()).unwrap();
    let known = || find(&repo, &"bob".parse().unwrap(), &topic.parse().unwrap()).unwrap().unwrap();
    // As `berth remote` has it in hand.
    let before = known();
    let asked = PullWithdraw { user: "bob".parse().unwrap(), topic: topic.clone() };
    assert_eq!(bench.refusal(Some(&cyn), &asked).await, Why::NotFound);
    bench.ask(Some(&bob), &asked).await.unwrap();
    let row = bench.ask(Some(&bob), &Pulls {}).await.unwrap().remove(0);
    assert_eq!((row.state, row.may_withdraw), (PullState::Closed, false));
    let refusal = bench.ask(Some(&bob), &asked).await.unwrap_err();
    assert!(refusal.message.contains("Nothing more happens to it"), "{refusal}");

    // Whatever is written down by whoever didn't know of it doesn't bring it back.
    put(&repo, &before).unwrap();
    assert_eq!((known().record.state, known().record.withdrawn), (PullState::Closed, true));
    let mut late = before.clone();
    (late.record.state, late.record.number) = (PullState::Open, Some(12));
    put(&repo, &late).unwrap();
    assert_eq!((known().record.state, known().record.withdrawn), (PullState::Open, true));
    assert!(known().record.why.unwrap().contains("close it there"));
    let refusal = bench.ask(Some(&bob), &asked).await.unwrap_err();
    assert!(refusal.message.contains("It is at the forge already"), "{refusal}");
}

#[tokio::test]
async fn a_revert_goes_to_the_forge_too() {
    let bench = Bench::new();
    let bob = bench.sign_in("bob").await;
    let change = edit("bobs", "memory", "512 MiB", "1 GiB");
    let Committed::Made { revision } = commit(&bench, &bob, &change).await else { panic!() };
    bench.commit("a forge", &[Edit::write("platform.toml", FORGE)]);
    let asked = Revert { revision, digest: None, from: None, knows: false };
    let Committed::Changed { planned } = bench.ask(Some(&bob), &asked).await.unwrap() else { panic!() };
    assert_eq!(planned.standing, Standing::Allowed, "{planned:?}");
    let asked = Revert { digest: Some(planned.digest), ..asked };
    let before = tip(&bench);
    let made = bench.ask(Some(&bob), &asked).await.unwrap();
    let Committed::Sent { topic, .. } = made else { panic!("{made:?}") };
    assert_eq!((topic, tip(&bench)), (format!("revert-{}", revision.short()), before));
}

#[tokio::test]
async fn a_way_that_is_blocked_is_said_before_anything_is_kept() {
    let bench = Bench::new();
    bench.commit("a forge", &[Edit::write("platform.toml", FORGE)]);
    let bob = bench.sign_in("bob").await;
    let repo = StateRepo::open(&bench.repo()).unwrap();
    tell_way(&repo, &Way { trouble: Some("the host has no secret `forge-token`".to_owned()) }).unwrap();
    let change = edit("bobs", "memory", "512 MiB", "1 GiB");
    let planned = plan(&bench, &bob, &change).await;
    assert_eq!(planned.standing, Standing::Refused);
    assert!(planned.findings[0].message.contains("no secret `forge-token`"), "{planned:?}");
    assert!(
        planned.findings[0].hint.as_ref().unwrap().contains("ask whoever runs the platform"),
        "{planned:?}"
    );
    tell_way(&repo, &Way::default()).unwrap();
    assert!(matches!(commit(&bench, &bob, &change).await, Committed::Sent { .. }));
    assert!(find(&repo, &"bob".parse().unwrap(), &"server-bobs".parse().unwrap()).unwrap().is_some());
}
