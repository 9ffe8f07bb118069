//! Changes through the panel's door. The judge's own tests hold its rules; here one of each comes through.

use berth_repo::Edit;
use berth_schema::name::ServerId;
use berth_wire::web::{
    Act, Change, Commit, CommitRead, Committed, Deed, FieldEdit, History, Input, Me, Object, Plan, Planned,
    Power, ProposalRead, Proposals, Propose, Revert, ServerRead, Standing, Token, Why,
};

use crate::bench::Bench;

fn id(number: u32) -> ServerId {
    ServerId(number.try_into().unwrap())
}

fn edit(server: &str, name: &str, was: &str, now: &str) -> Change {
    let text = |text: &str| Input::Text(text.to_owned());
    let field = FieldEdit { name: name.to_owned(), was: text(was), now: text(now) };
    Change { of: Object::Server(server.to_owned()), deed: Deed::Edit { fields: vec![field] } }
}

async fn plan(bench: &Bench, token: &Token, change: &Change) -> Planned {
    bench.ask(Some(token), &Plan { change: change.clone(), from: None }).await.unwrap()
}

#[tokio::test]
async fn what_was_shown_is_committed_and_taken_back() {
    let bench = Bench::new();
    let bob = bench.sign_in("bob").await;
    let change = edit("bobs", "memory", "512 MiB", "1 GiB");
    let planned = plan(&bench, &bob, &change).await;
    assert_eq!(planned.standing, Standing::Allowed, "{planned:?}");
    let commit = Commit { change, digest: planned.digest, from: None, knows: false };
    let Committed::Made { revision } = bench.ask(Some(&bob), &commit).await.unwrap() else { panic!() };
    assert!(bench.text("servers/bobs.toml").contains("1 GiB"));
    // The next question sees it, with who did it.
    let sheet = bench.ask(Some(&bob), &ServerRead { id: id(1) }).await.unwrap();
    let made_by = sheet.made_by.unwrap();
    assert_eq!(
        (made_by.revision, made_by.author.as_str(), made_by.door.as_deref()),
        (revision, "bob", Some("panel"))
    );
    let memory = |person: berth_wire::web::Person| person.quota[2].used;
    assert_eq!(memory(bench.ask(Some(&bob), &Me {}).await.unwrap()), 1 << 30);

    let asked = Revert { revision, digest: None, from: None, knows: false };
    let Committed::Changed { planned } = bench.ask(Some(&bob), &asked).await.unwrap() else { panic!() };
    let asked = Revert { digest: Some(planned.digest), ..asked };
    assert!(matches!(bench.ask(Some(&bob), &asked).await.unwrap(), Committed::Made { .. }));
    assert!(bench.text("servers/bobs.toml").contains("512 MiB"));
    let all = bench.ask(Some(&bob), &History { of: None, page: 1 }).await.unwrap();
    assert_eq!(all.all, 3);
}

/// A removal is in the history of whoever made it, who takes it back, and in nobody else's.
#[tokio::test]
async fn a_removal_is_taken_back_by_whose_it_was() {
    let bench = Bench::new();
    let (bob, cyn) = (bench.sign_in("bob").await, bench.sign_in("cyn").await);
    let of = Object::Domain("bobs.hosting.example.org".to_owned());
    for of in [of, Object::Server("bobs".to_owned())] {
        let change = Change { of, deed: Deed::Remove };
        let digest = plan(&bench, &bob, &change).await.digest;
        let made = bench.ask(Some(&bob), &Commit { change, digest, from: None, knows: false }).await.unwrap();
        let Committed::Made { revision } = made else { panic!("{made:?}") };
        let history = bench.ask(Some(&bob), &History { of: None, page: 1 }).await.unwrap();
        assert_eq!((history.rows[0].revision, history.rows[0].paths.len()), (revision, 1));
        let sheet = bench.ask(Some(&bob), &CommitRead { revision, attempted: None }).await.unwrap();
        assert!(sheet.may_revert && sheet.diffs.len() == 1, "{sheet:?}");
        assert_eq!(bench.refusal(Some(&cyn), &CommitRead { revision, attempted: None }).await, Why::NotFound);
        let asked = Revert { revision, digest: None, from: None, knows: false };
        assert_eq!(bench.refusal(Some(&cyn), &asked).await, Why::NotFound);
        let Committed::Changed { planned } = bench.ask(Some(&bob), &asked).await.unwrap() else { panic!() };
        let asked = Revert { digest: Some(planned.digest), ..asked };
        assert!(matches!(bench.ask(Some(&bob), &asked).await.unwrap(), Committed::Made { .. }));
        // A server can't go while a domain leads to it.
        let elsewhere = Edit::write("domains/bobs.hosting.example.org.toml", "server = \"cyns\"\n");
        bench.commit("the domain leads elsewhere", &[elsewhere]);
    }
    bench.ask(Some(&bob), &ServerRead { id: id(1) }).await.unwrap();
}

#[tokio::test]
async fn a_proposal_is_seen_by_its_author_and_the_admins() {
    let bench = Bench::new();
    let (ann, bob, cyn) =
        (bench.sign_in("ann").await, bench.sign_in("bob").await, bench.sign_in("cyn").await);
    let change = edit("bobs", "memory", "512 MiB", "1 GiB");
    let proposed = bench.ask(Some(&bob), &Propose { change }).await.unwrap();
    let read = ProposalRead { topic: proposed.topic, from: None };
    for (token, seen) in [(&ann, 1), (&bob, 1), (&cyn, 0)] {
        assert_eq!(bench.ask(Some(token), &Proposals {}).await.unwrap().len(), seen);
        assert_eq!(bench.ask(Some(token), &read).await.is_ok(), seen == 1);
    }
}

#[tokio::test]
async fn only_its_owner_and_admins_restart_a_server() {
    let bench = Bench::new();
    let (ann, bob) = (bench.sign_in("ann").await, bench.sign_in("bob").await);
    let restart = |server| Power { server: id(server), act: Act::Restart };
    // A member of it may log in, and not restart it.
    assert_eq!(bench.refusal(Some(&bob), &restart(3)).await, Why::Forbidden);
    // They may, and nobody is there to do it; so the next attempt needn't wait.
    for (token, server) in [(&bob, 1), (&ann, 1), (&ann, 2)] {
        assert_eq!(bench.refusal(Some(token), &restart(server)).await, Why::Unavailable);
    }
    let stopped = "id = 1\nowner = \"bob\"\nstate = \"stopped\"\n";
    bench.commit("bobs stops", &[Edit::write("servers/bobs.toml", stopped)]);
    assert_eq!(bench.refusal(Some(&bob), &restart(1)).await, Why::BadQuestion);
}
