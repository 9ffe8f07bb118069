//! Acts that want to know once more who somebody is.

use std::time::Duration;

use berth_repo::Edit;
use berth_wire::web::{
    BeginPasskey, BeginTotp, Change, Commit, Committed, Confirm, Deed, Factors, FieldEdit, Input, LiftFactor,
    NewRecovery, Object, Plan, Proof, Question, Revert, Secret, Token, Why,
};

use crate::authenticator::HOST;
use crate::bench::{Bench, HERE, PASSWORD, ip};

fn confirm(password: &str) -> Confirm {
    let proof = Proof::Password { password: Secret(password.to_owned()), code: Secret(String::new()) };
    Confirm { proof, from: ip(HERE) }
}

fn role(was: &str, now: &str) -> Change {
    let text = |text: &str| if text.is_empty() { Input::Unset } else { Input::Text(text.to_owned()) };
    let field = FieldEdit { name: "role".to_owned(), was: text(was), now: text(now) };
    Change { of: Object::User("cyn".to_owned()), deed: Deed::Edit { fields: vec![field] } }
}

async fn committed(bench: &Bench, token: &Token, change: Change) -> Result<Committed, Why> {
    let digest = bench.ask(Some(token), &Plan { change: change.clone(), from: None }).await.unwrap().digest;
    bench
        .ask(Some(token), &Commit { change, digest, from: None, knows: false })
        .await
        .map_err(|refusal| refusal.why)
}

#[tokio::test]
async fn factors_want_a_proof_of_the_last_ten_minutes() {
    async fn is_stale<Q: Question>(bench: &Bench, token: &Token, question: &Q) -> bool {
        bench.ask(Some(token), question).await.is_err_and(|refusal| refusal.why == Why::Stale)
    }
    let bench = Bench::new();
    let ann = bench.sign_in("ann").await;
    let passkey = BeginPasskey { host: HOST.to_owned() };
    let lift = LiftFactor { user: "bob".parse().unwrap() };
    let all = async |bench: &Bench| {
        [
            is_stale(bench, &ann, &BeginTotp {}).await,
            is_stale(bench, &ann, &NewRecovery {}).await,
            is_stale(bench, &ann, &passkey).await,
            is_stale(bench, &ann, &lift).await,
        ]
    };
    bench.pass(Duration::from_secs(10 * 60 - 1));
    assert_eq!(all(&bench).await, [false; 4]);
    bench.pass(Duration::from_secs(1));
    assert_eq!(all(&bench).await, [true; 4]);
    let name = "ann".parse().unwrap();
    assert!(!bench.ask(Some(&ann), &Factors { name }).await.unwrap().is_fresh);
    // Nor does a door that starts anew forget it.
    let bench = bench.reopened().await;
    assert_eq!(all(&bench).await, [true; 4]);
    assert_eq!(bench.refusal(Some(&ann), &confirm("wrong")).await, Why::WrongPassword);
    assert_eq!(all(&bench).await, [true; 4]);
    bench.ask(Some(&ann), &confirm(&format!("ann{PASSWORD}"))).await.unwrap();
    assert_eq!(all(&bench).await, [false; 4]);
    let log = std::fs::read_to_string(bench.kept("audit.log")).unwrap();
    assert!(log.contains("\"act\":\"confirm\""), "{log}");
}

#[tokio::test]
async fn roles_and_removals_want_it_and_the_rest_does_not() {
    let bench = Bench::new();
    bench.commit("dan has been here", &[Edit::write("users/dan.toml", "email = \"dan@example.org\"\n")]);
    let ann = bench.sign_in("ann").await;
    bench.pass(Duration::from_secs(10 * 60));
    let removal = Change { of: Object::User("dan".to_owned()), deed: Deed::Remove };
    for change in [role("", "admin"), removal.clone()] {
        assert_eq!(committed(&bench, &ann, change).await, Err(Why::Stale));
    }
    let email = FieldEdit {
        name: "email".to_owned(),
        was: Input::Unset,
        now: Input::Text("cyn@example.org".to_owned()),
    };
    let email = Change { of: Object::User("cyn".to_owned()), deed: Deed::Edit { fields: vec![email] } };
    assert!(matches!(committed(&bench, &ann, email).await, Ok(Committed::Made { .. })));

    bench.ask(Some(&ann), &confirm(&format!("ann{PASSWORD}"))).await.unwrap();
    assert!(matches!(committed(&bench, &ann, role("", "admin")).await, Ok(Committed::Made { .. })));
    let Ok(Committed::Made { revision }) = committed(&bench, &ann, removal).await else {
        panic!("not removed")
    };
    // To take such a change back is one, too.
    bench.pass(Duration::from_secs(10 * 60));
    let Committed::Changed { planned } =
        bench.ask(Some(&ann), &Revert { revision, digest: None, from: None, knows: false }).await.unwrap()
    else {
        panic!("a plan was asked for")
    };
    let revert = Revert { revision, digest: Some(planned.digest), from: None, knows: false };
    assert_eq!(bench.refusal(Some(&ann), &revert).await, Why::Stale);
}

#[tokio::test]
async fn guesses_at_the_proof_wait() {
    let bench = Bench::new();
    let bob = bench.sign_in("bob").await;
    for _ in 0..5 {
        assert_eq!(bench.refusal(Some(&bob), &confirm("wrong")).await, Why::WrongPassword);
    }
    let right = confirm(&format!("bob{PASSWORD}"));
    assert_eq!(bench.refusal(Some(&bob), &right).await, Why::TooMany { seconds: 1 });
    bench.pass(Duration::from_secs(1));
    bench.ask(Some(&bob), &right).await.unwrap();
}
