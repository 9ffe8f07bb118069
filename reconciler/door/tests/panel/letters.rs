//! Letters that the door leaves in the spool: links, and decisions on proposals.

use berth_repo::Edit;
use berth_wire::mail::{Content, Decision, Letter, Spool};
use berth_wire::web::{
    Approve, Change, Deed, FieldEdit, Input, Invite, Object, Propose, Proposed, Redeem, Reject, Secret,
    Token, Why,
};

use crate::bench::{Bench, HERE, ip};

/// An organisation that sends mails.
fn bench() -> Bench {
    let bench = Bench::new();
    let mail = "[mail]\nserver = \"mail.example.org\"\nfrom = \"hosting@example.org\"\n";
    let platform = format!("{}{mail}", bench.text("platform.toml"));
    bench.commit("mails", &[Edit::write("platform.toml", platform)]);
    bench
}

fn letters(bench: &Bench) -> Vec<Letter> {
    let all = Spool::of(&bench.home.path().join("data")).all().unwrap();
    all.into_iter().map(|kept| kept.letter).collect()
}

async fn propose(bench: &Bench, token: &Token, now: &str) -> Proposed {
    let text = |text: &str| Input::Text(text.to_owned());
    let field = FieldEdit { name: "memory".to_owned(), was: text("512 MiB"), now: text(now) };
    let change = Change { of: Object::Server("bobs".to_owned()), deed: Deed::Edit { fields: vec![field] } };
    bench.ask(Some(token), &Propose { change }).await.unwrap()
}

#[tokio::test]
async fn a_link_goes_to_whoever_has_an_address_and_the_newest_alone() {
    let bench = bench();
    let ann = bench.sign_in("ann").await;
    let invite =
        async |user: &str| bench.ask(Some(&ann), &Invite { user: user.parse().unwrap() }).await.unwrap();
    assert_eq!(invite("dan").await.mailed, None);
    let first = invite("bob").await;
    assert_eq!(first.mailed.as_deref(), Some("b…@example.org"));
    let second = invite("bob").await;
    let all = letters(&bench);
    let [letter] = all.as_slice() else { panic!("{all:?}") };
    let Content::Invitation { link, until } = &letter.content else { panic!("{letter:?}") };
    assert_eq!(link.0, format!("https://panel.example.net/invite/{}", second.invitation.0));
    assert_eq!((letter.to.as_str(), letter.whom(), *until), ("bob@example.org", "bob", second.until));
    // Nobody reads the link in the log.
    let log = std::fs::read_to_string(bench.kept("audit.log")).unwrap();
    assert!(!log.contains(&second.invitation.0) && !log.contains("bob@example.org"), "{log}");
    // It was shown, too. Once it is used, there is nothing left to tell.
    let password = Secret("a password that is new".to_owned());
    let (from, browser) = (ip(HERE), String::new());
    let redeem = Redeem { invitation: second.invitation, password, from, browser };
    bench.ask(None, &redeem).await.unwrap();
    assert_eq!(letters(&bench), []);
}

#[tokio::test]
async fn without_a_server_there_is_no_letter() {
    let bench = Bench::new();
    let ann = bench.sign_in("ann").await;
    let invited = bench.ask(Some(&ann), &Invite { user: "bob".parse().unwrap() }).await.unwrap();
    assert_eq!((invited.mailed, letters(&bench)), (None, Vec::new()));
}

#[tokio::test]
async fn an_author_hears_what_others_decide() {
    let bench = bench();
    let (ann, bob) = (bench.sign_in("ann").await, bench.sign_in("bob").await);
    let approve = |proposed: &Proposed| Approve {
        topic: proposed.topic.clone(),
        at: proposed.revision,
        from: None,
        knows: false,
    };
    let reject = |proposed: &Proposed| Reject { topic: proposed.topic.clone(), reason: "no".to_owned() };
    // Their own end is no news.
    let own = propose(&bench, &bob, "600 MiB").await;
    bench.ask(Some(&bob), &reject(&own)).await.unwrap();
    assert_eq!(letters(&bench), []);

    let no = propose(&bench, &bob, "700 MiB").await;
    bench.ask(Some(&ann), &reject(&no)).await.unwrap();
    let late = propose(&bench, &bob, "800 MiB").await;
    let yes = propose(&bench, &bob, "900 MiB").await;
    bench.ask(Some(&ann), &approve(&yes)).await.unwrap();
    assert_eq!(bench.refusal(Some(&ann), &approve(&late)).await, Why::Forbidden);
    let mut told: Vec<(Decision, String)> = letters(&bench)
        .into_iter()
        .map(|letter| match letter.content {
            Content::Decision { topic, decision, by, link } => {
                assert_eq!((letter.user.unwrap().as_str(), by.unwrap().as_str()), ("bob", "ann"));
                assert_eq!(link.is_some(), decision == Decision::Conflicts, "{link:?}");
                (decision, topic)
            }
            other => panic!("{other:?}"),
        })
        .collect();
    told.sort_by_key(|(decision, _)| format!("{decision:?}"));
    let wanted =
        [(Decision::Conflicts, late.topic), (Decision::Merged, yes.topic), (Decision::Rejected, no.topic)];
    assert_eq!(told, wanted);
}
