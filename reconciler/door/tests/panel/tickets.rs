//! Tickets: who gets one, that it is good once, and what ends the lease that it becomes.

use std::time::Duration;

use berth_repo::Edit;
use berth_schema::name::ServerId;
use berth_schema::ticket::{Act, Errand, GOOD, Lease, Redeem};
use berth_wire::web::{RemovePasskey, SignOut, Ticket, Token, Why};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;

use crate::authenticator::Authenticator;
use crate::bench::{Bench, HERE, ip, user};
use crate::passkeys;

/// Far beyond what a lease takes to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// The router's end of a lease.
struct Router(BufReader<UnixStream>);

impl Router {
    async fn redeem(bench: &Bench, ticket: &str) -> Self {
        // The git door opens beside the panel's.
        let mut stream = loop {
            match UnixStream::connect(bench.git_socket()).await {
                Ok(stream) => break stream,
                Err(_) => tokio::task::yield_now().await,
            }
        };
        let line = serde_json::to_string(&Redeem { redeem: ticket.to_owned() }).unwrap() + "\n";
        stream.write_all(line.as_bytes()).await.unwrap();
        Self(BufReader::new(stream))
    }

    async fn hears(&mut self) -> Lease {
        let mut line = String::new();
        tokio::time::timeout(PATIENCE, self.0.read_line(&mut line)).await.unwrap().unwrap();
        serde_json::from_str(&line).unwrap()
    }

    async fn over(&mut self) -> String {
        match self.hears().await {
            Lease::Over(why) => why,
            granted => panic!("{granted:?}"),
        }
    }
}

fn asked(server: u32, act: Act) -> Ticket {
    Ticket { server: ServerId(server.try_into().unwrap()), act, from: ip(HERE) }
}

async fn given(bench: &Bench, token: &Token, server: u32, act: Act) -> String {
    bench.ask(Some(token), &asked(server, act)).await.unwrap().ticket
}

/// A lease of a terminal, granted.
async fn leased(bench: &Bench, token: &Token, server: u32) -> Router {
    let ticket = given(bench, token, server, Act::Terminal).await;
    let mut router = Router::redeem(bench, &ticket).await;
    assert!(matches!(router.hears().await, Lease::Granted(_)));
    router
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_is_good_once_and_for_a_moment() {
    let bench = Bench::new();
    let bob = bench.sign_in("bob").await;
    let ticket = given(&bench, &bob, 3, Act::LogFollow).await;
    assert_eq!(ticket.len(), 43);
    let mut router = Router::redeem(&bench, &ticket).await;
    let errand = Errand {
        user: "bob".parse().unwrap(),
        server: ServerId(3.try_into().unwrap()),
        act: Act::LogFollow,
        from: ip(HERE),
    };
    assert_eq!(router.hears().await, Lease::Granted(errand));
    let refused = "the panel's ticket is used or too old; open the page again";
    assert_eq!(Router::redeem(&bench, &ticket).await.over().await, refused);
    let late = given(&bench, &bob, 1, Act::Terminal).await;
    bench.pass(GOOD);
    for wrong in [&late, "", &"x".repeat(43)] {
        assert_eq!(Router::redeem(&bench, wrong).await.over().await, refused);
    }
    let audit = std::fs::read_to_string(bench.kept("audit.log")).unwrap();
    assert!(audit.contains("\"act\":\"terminal\",\"server\":1"), "{audit}");
    assert!(!audit.contains(&ticket) && !audit.contains(&late), "a ticket is a secret");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_is_for_whoever_may_log_in_and_a_clean_up_for_whoever_may_restart() {
    let bench = Bench::new();
    let (ann, bob) = (bench.sign_in("ann").await, bench.sign_in("bob").await);
    for act in [Act::Terminal, Act::LogTail, Act::LogFollow, Act::LogFile, Act::CleanUp] {
        // cyn's own.
        assert_eq!(bench.refusal(Some(&bob), &asked(2, act)).await, Why::NotFound);
        assert_eq!(bench.refusal(Some(&bob), &asked(99, act)).await, Why::NotFound);
        assert_eq!(bench.refusal(None, &asked(1, act)).await, Why::SignedOut);
    }
    // He is a member there, an admin may log in anywhere.
    given(&bench, &bob, 3, Act::Terminal).await;
    given(&bench, &ann, 2, Act::Terminal).await;
    assert_eq!(bench.refusal(Some(&bob), &asked(3, Act::CleanUp)).await, Why::Forbidden);
    given(&bench, &bob, 1, Act::CleanUp).await;
    // Not again at once, whoever asks.
    let again = bench.refusal(Some(&ann), &asked(1, Act::CleanUp)).await;
    assert!(matches!(again, Why::TooMany { .. }), "{again:?}");
    let stopped = Edit::write("servers/bobs.toml", "id = 1\nowner = \"bob\"\nstate = \"stopped\"\n");
    bench.commit("stopped", &[stopped]);
    assert_eq!(bench.refusal(Some(&bob), &asked(1, Act::Terminal)).await, Why::BadQuestion);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_ends_with_its_session_its_person_and_its_right_and_says_why() {
    let bench = Bench::new();
    let (bob, other, cyn) =
        (bench.sign_in("bob").await, bench.sign_in("bob").await, bench.sign_in("cyn").await);
    let (mut first, mut second, mut cyns) =
        (leased(&bench, &bob, 1).await, leased(&bench, &other, 3).await, leased(&bench, &cyn, 2).await);
    bench.ask(Some(&bob), &SignOut {}).await.unwrap();
    assert_eq!(first.over().await, "you signed out, or the session ended");
    // A ticket that waits ends with its session too.
    let waits = given(&bench, &other, 3, Act::Terminal).await;

    let alone = Edit::write("servers/cyns2.toml", "id = 3\nowner = \"cyn\"\n");
    bench.commit("bob is no member any more", &[alone]);
    let why = "you may no longer log in to this server; ask its owner";
    assert_eq!(second.over().await, why);
    assert_eq!(Router::redeem(&bench, &waits).await.over().await, why);

    bench.commit("another password", &[Edit::write("users/cyn.toml", user("cyn", "role = \"admin\"\n"))]);
    assert_eq!(cyns.over().await, "your password, role or second factor was changed; sign in again");

    let mut last = leased(&bench, &other, 1).await;
    let gone = ["users/bob.toml", "servers/bobs.toml", "domains/bobs.hosting.example.org.toml"];
    bench.commit("bob is gone", &gone.map(Edit::remove));
    assert_eq!(last.over().await, "your account is gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_by_a_passkey_ends_with_the_passkey_and_says_so() {
    let bench = Bench::new();
    let bob = bench.sign_in("bob").await;
    let mut ring = Authenticator::new(1);
    passkeys::add(&bench, &bob, &mut ring).await.unwrap();
    ring.counter += 1;
    let by_ring = passkeys::sign_in(&bench, &ring).await.unwrap().token;
    let (mut by_password, mut terminal) = (leased(&bench, &bob, 1).await, leased(&bench, &by_ring, 1).await);
    let waits = given(&bench, &by_ring, 1, Act::Terminal).await;
    let question = RemovePasskey { user: "bob".parse().unwrap(), id: ring.id() };
    bench.ask(Some(&bob), &question).await.unwrap();
    let why = "the passkey that you signed in by was removed; sign in again";
    assert_eq!(terminal.over().await, why);
    assert_eq!(Router::redeem(&bench, &waits).await.over().await, why);
    // Whoever came by a password stays, until they leave.
    bench.ask(Some(&bob), &SignOut {}).await.unwrap();
    assert_eq!(by_password.over().await, "you signed out, or the session ended");
}
