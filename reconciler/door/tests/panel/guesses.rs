//! Guesses at passwords.

use std::time::Duration;

use berth_wire::web::Why;

use crate::bench::{Bench, ELSEWHERE, HERE, PASSWORD};

#[tokio::test]
async fn one_sentence_for_every_failure() {
    let bench = Bench::new();
    let mut told = Vec::new();
    for (at, user) in ["bob", "dan", "nobody", "", "Bob", "../bob", "bob "].into_iter().enumerate() {
        told.push(bench.try_sign_in(user, "wrong", &format!("203.0.{at}.1")).await.unwrap_err());
    }
    assert!(told.iter().all(|refusal| *refusal == told[0] && refusal.why == Why::WrongPassword), "{told:?}");
    let long = "x".repeat(100_000);
    assert_eq!(bench.try_sign_in("bob", &long, HERE).await.unwrap_err(), told[0]);
    let log = std::fs::read_to_string(bench.kept("audit.log")).unwrap();
    // Somebody's password may stand where the name belongs.
    assert!(log.contains("\"who\":\"bob\"") && !log.contains("nobody") && !log.contains("Bob"), "{log}");
}

#[tokio::test]
async fn fifty_bad_passwords_keep_ann_out_nowhere_else() {
    let bench = Bench::new();
    let (mut refused, mut waits) = (0, Vec::new());
    for at in 0..50 {
        match bench.try_sign_in("ann", &format!("guess {at}"), HERE).await.unwrap_err().why {
            Why::WrongPassword => refused += 1,
            Why::TooMany { seconds } => waits.push(seconds),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((refused, waits.len()), (5, 45));
    // From there not even the right one is tried, until the wait is over.
    let right = format!("ann{PASSWORD}");
    assert_eq!(bench.try_sign_in("ann", &right, HERE).await.unwrap_err().why, Why::TooMany { seconds: 1 });
    bench.try_sign_in("ann", &right, ELSEWHERE).await.unwrap();
    bench.pass(Duration::from_secs(1));
    assert_eq!(bench.try_sign_in("ann", "guess", HERE).await.unwrap_err().why, Why::WrongPassword);
    assert_eq!(bench.try_sign_in("ann", &right, HERE).await.unwrap_err().why, Why::TooMany { seconds: 2 });
    bench.pass(Duration::from_secs(2));
    bench.try_sign_in("ann", &right, HERE).await.unwrap();
}
