//! The life of an invitation.

use std::time::Duration;

use berth_repo::Edit;
use berth_wire::web::{Entered, Invitation, Invite, Invited, Me, Redeem, Secret, Token, Why};

use crate::bench::{Bench, HERE, ip};

const NEW: &str = "a password of dan's";

async fn invite(bench: &Bench, admin: &Token, user: &str) -> Invited {
    bench.ask(Some(admin), &Invite { user: user.parse().unwrap() }).await.unwrap()
}

fn look(invited: &Invited) -> Invitation {
    Invitation { invitation: invited.invitation.clone(), from: ip(HERE) }
}

fn redeem(invited: &Invited, password: &str) -> Redeem {
    let password = Secret(password.to_owned());
    Redeem { invitation: invited.invitation.clone(), password, from: ip(HERE), browser: String::new() }
}

#[tokio::test]
async fn an_invitation_is_looked_at_as_often_as_one_likes_and_used_once() {
    let bench = Bench::new();
    let ann = bench.sign_in("ann").await;
    let invited = invite(&bench, &ann, "dan").await;
    for _ in 0..30 {
        assert_eq!(bench.ask(None, &look(&invited)).await.unwrap().name.as_str(), "dan");
    }
    // A password that can't be set doesn't use it up, nor does a restart.
    assert_eq!(bench.refusal(None, &redeem(&invited, "short")).await, Why::BadQuestion);
    let bench = bench.reopened().await;
    let Entered::SignedIn(signed_in) = bench.ask(None, &redeem(&invited, NEW)).await.unwrap() else {
        panic!("dan has no second factor")
    };
    assert_eq!(bench.ask(Some(&signed_in.token), &Me {}).await.unwrap().name.as_str(), "dan");
    for _ in 0..2 {
        assert_eq!(bench.refusal(None, &look(&invited)).await, Why::NotFound);
        assert_eq!(bench.refusal(None, &redeem(&invited, NEW)).await, Why::NotFound);
    }
    bench.try_sign_in("dan", NEW, HERE).await.unwrap();
    let log = std::fs::read_to_string(bench.kept("audit.log")).unwrap();
    assert!(
        log.contains("\"act\":\"invite\",\"user\":\"dan\"") && log.contains("\"act\":\"redeem\""),
        "{log}"
    );
    assert!(!log.contains(&invited.invitation.0));
}

#[tokio::test]
async fn a_newer_one_time_and_another_password_end_it() {
    let bench = Bench::new();
    let ann = bench.sign_in("ann").await;
    let first = invite(&bench, &ann, "dan").await;
    let bobs = invite(&bench, &ann, "bob").await;
    let second = invite(&bench, &ann, "dan").await;
    assert_eq!(bench.refusal(None, &redeem(&first, NEW)).await, Why::NotFound);
    bench.ask(None, &look(&second)).await.unwrap();
    let hash = berth_password::hash("another password", &[9; 16]).unwrap();
    let other = Edit::write("users/dan.toml", format!("password_hash = \"{hash}\"\n"));
    bench.commit("dan has a password already", &[other]);
    assert_eq!(bench.refusal(None, &redeem(&second, NEW)).await, Why::NotFound);
    bench.pass(Duration::from_secs(72 * 60 * 60 - 1));
    bench.ask(None, &look(&bobs)).await.unwrap();
    bench.pass(Duration::from_secs(1));
    assert_eq!(bench.refusal(None, &redeem(&bobs, NEW)).await, Why::NotFound);
}

#[tokio::test]
async fn two_who_use_it_at_once_are_one_too_many() {
    let bench = Bench::new();
    let ann = bench.sign_in("ann").await;
    let invited = invite(&bench, &ann, "dan").await;
    let asked = redeem(&invited, NEW);
    let (one, other) = tokio::join!(bench.ask(None, &asked), bench.ask(None, &asked));
    assert_eq!(u8::from(one.is_ok()) + u8::from(other.is_ok()), 1);
}

#[tokio::test]
async fn whoever_has_the_host_invites_without_the_door() {
    let bench = Bench::new();
    let (state, data) = (bench.repo(), bench.home.path().join("data"));
    let mut repo = berth_repo::StateRepo::open(&state).unwrap();
    let tip = repo.head().unwrap().unwrap();
    let state = repo.load(&tip).unwrap().state.unwrap();
    let dan = &state.users[&"dan".parse().unwrap()];
    // By the same clock as the door's.
    let then =
        || berth_door::web::Now { date: jiff::Timestamp::UNIX_EPOCH, steady: std::time::Instant::now() };
    let clock = berth_door::web::Clock::new(then);
    let invited = berth_door::web::invite(&data, &state, dan, &clock).unwrap();
    bench.ask(None, &redeem(&invited, NEW)).await.unwrap();
    let log = std::fs::read_to_string(bench.kept("audit.log")).unwrap();
    assert!(log.contains("\"who\":null,\"act\":\"invite\",\"user\":\"dan\""), "{log}");
}

#[tokio::test]
async fn where_a_forge_hosts_the_state_the_password_is_set_there() {
    let bench = Bench::new();
    let ann = bench.sign_in("ann").await;
    let invited = invite(&bench, &ann, "dan").await;
    let platform =
        "domain = \"hosting.example.org\"\n[remote]\nurl = \"https://git.example.org/org/state.git\"\n";
    bench.commit("a forge", &[Edit::write("platform.toml", platform)]);
    let refusal = bench.ask(None, &redeem(&invited, NEW)).await.unwrap_err();
    assert_eq!(refusal.why, Why::Forbidden);
    assert!(refusal.message.contains("git.example.org"), "{refusal}");
    assert!(refusal.hint.unwrap().contains("users/dan.toml"));
    // Nor does anybody get a link that would be good for nothing.
    assert_eq!(bench.refusal(Some(&ann), &Invite { user: "dan".parse().unwrap() }).await, Why::Forbidden);
}

#[tokio::test]
async fn guesses_at_links_wait() {
    let bench = Bench::new();
    let guess = |at: u32| Invitation { invitation: Secret(format!("guess {at}")), from: ip(HERE) };
    for at in 0..20 {
        assert_eq!(bench.refusal(None, &guess(at)).await, Why::NotFound);
    }
    assert_eq!(bench.refusal(None, &guess(20)).await, Why::TooMany { seconds: 1 });
}
