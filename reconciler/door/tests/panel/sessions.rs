//! Places where somebody is signed in.

use std::time::Duration;

use berth_wire::web::{EndSession, EndSessions, Entered, Me, Sessions, SignIn, Token, Why};

use crate::bench::{Bench, ELSEWHERE, PASSWORD, sign_in};

async fn sign_in_with(bench: &Bench, browser: &str, from: &str) -> Token {
    let asked = SignIn { browser: browser.to_owned(), ..sign_in("bob", &format!("bob{PASSWORD}"), from) };
    match bench.ask(None, &asked).await.unwrap() {
        Entered::SignedIn(signed_in) => signed_in.token,
        Entered::CodeWanted(_) => panic!("no code is wanted"),
    }
}

#[tokio::test]
async fn one_sees_where_one_is_signed_in_and_ends_one() {
    let bench = Bench::new();
    let phone = sign_in_with(&bench, "Safari on\n an iPhone", "2001:db8::7").await;
    bench.pass(Duration::from_secs(60));
    let laptop = sign_in_with(&bench, &"Firefox ".repeat(50), ELSEWHERE).await;
    let list = bench.ask(Some(&laptop), &Sessions {}).await.unwrap();
    let told: Vec<_> =
        list.iter().map(|one| (one.from.as_str(), one.is_here, one.made == one.used)).collect();
    assert_eq!(told, [("198.51.100.0/24", true, true), ("2001:db8::/64", false, true)]);
    assert!(list[0].browser.chars().count() <= 41 && !list[1].browser.contains('\n'), "{list:?}");
    assert!(list.iter().all(|one| one.id.len() == 16 && one.passkey.is_none()));
    // Somebody else's is not found, nor is one that there isn't.
    let cyn = bench.sign_in("cyn").await;
    let end = EndSession { id: list[1].id.clone() };
    assert_eq!(bench.refusal(Some(&cyn), &end).await, Why::NotFound);
    bench.ask(Some(&laptop), &end).await.unwrap();
    assert_eq!(bench.refusal(Some(&phone), &Me {}).await, Why::SignedOut);
    assert_eq!(bench.refusal(Some(&laptop), &end).await, Why::NotFound);
    // It outlives the door.
    let bench = bench.reopened().await;
    let list = bench.ask(Some(&laptop), &Sessions {}).await.unwrap();
    assert_eq!((list.len(), list[0].from.as_str()), (1, "198.51.100.0/24"));
}

#[tokio::test]
async fn an_admin_ends_all_of_somebody_s() {
    let bench = Bench::new();
    let (bob, ann, other) =
        (bench.sign_in("bob").await, bench.sign_in("ann").await, bench.sign_in("ann").await);
    bench.ask(Some(&ann), &EndSessions { user: "bob".parse().unwrap() }).await.unwrap();
    assert_eq!(bench.refusal(Some(&bob), &Me {}).await, Why::SignedOut);
    // One's own but for this one.
    bench.ask(Some(&ann), &EndSessions { user: "ann".parse().unwrap() }).await.unwrap();
    bench.ask(Some(&ann), &Me {}).await.unwrap();
    assert_eq!(bench.refusal(Some(&other), &Me {}).await, Why::SignedOut);
    let nobody = EndSessions { user: "nobody".parse().unwrap() };
    assert_eq!(bench.refusal(Some(&ann), &nobody).await, Why::NotFound);
    let log = std::fs::read_to_string(bench.kept("audit.log")).unwrap();
    assert!(log.contains("\"act\":\"end-sessions\",\"user\":\"bob\""), "{log}");
}
