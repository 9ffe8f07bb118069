//! Passkeys: made, used, and refused in every way in which one may be wrong.

use std::time::Duration;

use berth_wire::web::{
    AddPasskey, BeginPasskey, Challenge, Confirm, Factors, Me, Proof, Refusal, RemovePasskey, Secret,
    SignInPasskey, SignedIn, Token, Why,
};

use crate::authenticator::{Authenticator, HOST};
use crate::bench::{Bench, HERE, ip};

pub(crate) async fn add(
    bench: &Bench,
    token: &Token,
    authenticator: &mut Authenticator,
) -> Result<(), Refusal> {
    let begun = bench.ask(Some(token), &BeginPasskey { host: HOST.to_owned() }).await.unwrap();
    let response = Secret(authenticator.make(&begun.options));
    let question = AddPasskey { host: HOST.to_owned(), name: "my phone".to_owned(), response };
    bench.ask(Some(token), &question).await.map(drop)
}

async fn challenge(bench: &Bench, host: &str) -> Result<String, Refusal> {
    let asked = Challenge { host: host.to_owned(), from: ip(HERE) };
    bench.ask(None, &asked).await.map(|ceremony| ceremony.options)
}

async fn enter(bench: &Bench, response: String) -> Result<SignedIn, Refusal> {
    let asked = SignInPasskey {
        host: HOST.to_owned(),
        response: Secret(response),
        from: ip(HERE),
        browser: "Firefox on Linux".to_owned(),
    };
    bench.ask(None, &asked).await
}

/// Signs in by a new challenge.
pub(crate) async fn sign_in(bench: &Bench, authenticator: &Authenticator) -> Result<SignedIn, Refusal> {
    let options = challenge(bench, HOST).await.unwrap();
    enter(bench, authenticator.sign(&options)).await
}

#[tokio::test]
async fn a_passkey_is_added_by_a_commit_and_gets_in_alone() {
    let bench = Bench::new();
    let bob = bench.sign_in("bob").await;
    let mut phone = Authenticator::new(1);
    add(&bench, &bob, &mut phone).await.unwrap();
    let text = bench.text("users/bob.toml");
    assert!(text.contains(&format!("\"{} ", phone.id())) && text.contains(" my phone\""), "{text}");
    let repo = berth_repo::StateRepo::open(&bench.repo()).unwrap();
    let commit = repo.commit_info(&repo.head().unwrap().unwrap()).unwrap();
    assert_eq!((commit.author.name.as_str(), commit.summary.as_str()), ("bob", "bob: new passkey"));
    // The token that added it stays.
    let name = "bob".parse().unwrap();
    let sheet = bench.ask(Some(&bob), &Factors { name }).await.unwrap();
    assert_eq!((sheet.passkeys.len(), sheet.passkeys[0].name.as_str()), (1, "my phone"));

    let bench = bench.reopened().await;
    phone.counter += 1;
    let signed_in = sign_in(&bench, &phone).await.unwrap();
    assert_eq!(bench.ask(Some(&signed_in.token), &Me {}).await.unwrap().name.as_str(), "bob");
    // By either origin: the edge's, and the one on this machine's own port.
    phone.counter += 1;
    phone.origin = "https://panel.example.net".to_owned();
    sign_in(&bench, &phone).await.unwrap();
    // Where the edge doesn't pass the panel on, it isn't the panel's.
    phone.counter += 1;
    let platform = format!("{}edge = \"none\"\n", bench.text("platform.toml"));
    bench.commit("no edge", &[berth_repo::Edit::write("platform.toml", platform)]);
    assert_eq!(sign_in(&bench, &phone).await.unwrap_err().why, Why::WrongPassword);
    let log = std::fs::read_to_string(bench.kept("audit.log")).unwrap();
    assert!(log.contains("\"act\":\"add-passkey\"") && log.contains("\"act\":\"sign-in-passkey\""), "{log}");
}

#[tokio::test]
async fn a_passkey_that_is_wrong_in_any_way_is_refused_in_one_sentence() {
    let bench = Bench::new();
    let bob = bench.sign_in("bob").await;
    let mut phone = Authenticator::new(1);
    add(&bench, &bob, &mut phone).await.unwrap();
    phone.counter = 7;
    sign_in(&bench, &phone).await.unwrap();
    let mut told = Vec::new();
    // A counter that stands still or goes back is a copy's.
    for counter in [7, 3] {
        phone.counter = counter;
        told.push(sign_in(&bench, &phone).await.unwrap_err());
    }
    phone.counter = 20;
    for origin in ["https://panel.example.net:9443", "http://panel.example.net:8443", "https://evil.example"]
    {
        phone.origin = origin.to_owned();
        told.push(sign_in(&bench, &phone).await.unwrap_err());
    }
    phone.origin = crate::authenticator::ORIGIN.to_owned();
    phone.rp = Some("evil.example".to_owned());
    told.push(sign_in(&bench, &phone).await.unwrap_err());
    phone.rp = None;
    phone.verifies = false;
    told.push(sign_in(&bench, &phone).await.unwrap_err());
    phone.verifies = true;
    // A challenge is good once, and for five minutes.
    let options = challenge(&bench, HOST).await.unwrap();
    let response = phone.sign(&options);
    enter(&bench, response.clone()).await.unwrap();
    phone.counter += 1;
    told.push(enter(&bench, response).await.unwrap_err());
    told.push(enter(&bench, phone.sign(&options)).await.unwrap_err());
    let options = challenge(&bench, HOST).await.unwrap();
    bench.pass(Duration::from_secs(5 * 60));
    told.push(enter(&bench, phone.sign(&options)).await.unwrap_err());
    // One that nobody has, with the id of one that somebody has, and nonsense.
    let mut stranger = Authenticator::new(2);
    let begun = bench.sign_in("cyn").await;
    let begun = bench.ask(Some(&begun), &BeginPasskey { host: HOST.to_owned() }).await.unwrap();
    stranger.make(&begun.options);
    told.push(sign_in(&bench, &stranger).await.unwrap_err());
    let mut forged = Authenticator::new(1);
    forged.make(&begun.options);
    forged.counter = 99;
    told.push(sign_in(&bench, &forged).await.unwrap_err());
    told.push(enter(&bench, "{}".to_owned()).await.unwrap_err());
    assert!(told.iter().all(|refusal| *refusal == told[0] && refusal.why == Why::WrongPassword), "{told:?}");
    // After all of that, the person gets in.
    sign_in(&bench, &phone).await.unwrap();
    let log = std::fs::read_to_string(bench.kept("audit.log")).unwrap();
    assert!(log.contains("\"who\":\"bob\",\"from\":\"192.0.2.7\",\"act\":\"passkey-refused\""), "{log}");
}

#[tokio::test]
async fn one_is_made_only_here_by_whoever_asked_and_verified() {
    let bench = Bench::new();
    let (bob, cyn) = (bench.sign_in("bob").await, bench.sign_in("cyn").await);
    let begin = async |token| bench.ask(Some(token), &BeginPasskey { host: HOST.to_owned() }).await.unwrap();
    let add = async |token, response| {
        let name = "x".to_owned();
        bench.ask(Some(token), &AddPasskey { host: HOST.to_owned(), name, response: Secret(response) }).await
    };
    let refused = async |token, response| add(token, response).await.unwrap_err().why;
    // By a challenge of one's own.
    let mut phone = Authenticator::new(1);
    let theirs = phone.make(&begin(&cyn).await.options);
    assert_eq!(refused(&bob, theirs).await, Why::WrongPassword);
    let mut wrong = Authenticator::new(1);
    wrong.origin = "https://evil.example".to_owned();
    assert_eq!(refused(&bob, wrong.make(&begin(&bob).await.options)).await, Why::WrongPassword);
    let mut unverified = Authenticator::new(1);
    unverified.verifies = false;
    assert_eq!(refused(&bob, unverified.make(&begin(&bob).await.options)).await, Why::WrongPassword);
    let mut other = Authenticator::new(1);
    other.rp = Some("evil.example".to_owned());
    assert_eq!(refused(&bob, other.make(&begin(&bob).await.options)).await, Why::WrongPassword);
    for host in ["evil.example:8443", "bobs.hosting.example.org", ""] {
        let asked = BeginPasskey { host: host.to_owned() };
        assert_eq!(bench.refusal(Some(&bob), &asked).await, Why::BadQuestion, "{host}");
        assert_eq!(challenge(&bench, host).await.unwrap_err().why, Why::BadQuestion, "{host}");
    }
    assert!(!bench.text("users/bob.toml").contains("passkeys"));
    // Somebody else's passkey isn't added twice.
    add(&cyn, phone.make(&begin(&cyn).await.options)).await.unwrap();
    let copy = phone.make(&begin(&bob).await.options);
    assert!(add(&bob, copy).await.is_err());
    assert!(!bench.text("users/bob.toml").contains("passkeys"));
}

#[tokio::test]
async fn a_passkey_on_this_machine_is_for_localhost() {
    let bench = Bench::new();
    let bob = bench.sign_in("bob").await;
    let here = "localhost:8443";
    let begun = bench.ask(Some(&bob), &BeginPasskey { host: here.to_owned() }).await.unwrap();
    let mut laptop = Authenticator::new(3);
    laptop.origin = format!("https://{here}");
    let response = Secret(laptop.make(&begun.options));
    let question = AddPasskey { host: here.to_owned(), name: "laptop".to_owned(), response };
    bench.ask(Some(&bob), &question).await.unwrap();
    laptop.counter += 1;
    let response = laptop.sign(&challenge(&bench, here).await.unwrap());
    let asked = |host: &str, response: &str| SignInPasskey {
        host: host.to_owned(),
        response: Secret(response.to_owned()),
        from: ip(HERE),
        browser: String::new(),
    };
    bench.ask(None, &asked(here, &response)).await.unwrap();
    laptop.counter += 1;
    let response = laptop.sign(&challenge(&bench, HOST).await.unwrap());
    assert_eq!(bench.refusal(None, &asked(HOST, &response)).await, Why::WrongPassword);
}

#[tokio::test]
async fn only_oneself_and_admins_remove_one_and_that_signs_out_whoever_is_in_by_it() {
    let bench = Bench::new();
    let (bob, cyn, ann) =
        (bench.sign_in("bob").await, bench.sign_in("cyn").await, bench.sign_in("ann").await);
    let (mut phone, mut ring) = (Authenticator::new(1), Authenticator::new(2));
    add(&bench, &bob, &mut phone).await.unwrap();
    add(&bench, &bob, &mut ring).await.unwrap();
    phone.counter += 1;
    ring.counter += 1;
    let by_phone = sign_in(&bench, &phone).await.unwrap().token;
    let by_ring = sign_in(&bench, &ring).await.unwrap().token;
    let remove = |id: String| RemovePasskey { user: "bob".parse().unwrap(), id };
    assert_eq!(bench.refusal(Some(&cyn), &remove(phone.id())).await, Why::NotFound);
    bench.ask(Some(&bob), &remove(phone.id())).await.unwrap();
    assert_eq!(bench.refusal(Some(&bob), &remove(phone.id())).await, Why::NotFound);
    assert_eq!(bench.refusal(Some(&by_phone), &Me {}).await, Why::SignedOut);
    for good in [&bob, &by_ring] {
        bench.ask(Some(good), &Me {}).await.unwrap();
    }
    assert_eq!(sign_in(&bench, &phone).await.unwrap_err().why, Why::WrongPassword);
    bench.ask(Some(&ann), &remove(ring.id())).await.unwrap();
    assert_eq!(bench.refusal(Some(&by_ring), &Me {}).await, Why::SignedOut);
    assert!(!bench.kept("factors/bob.json").exists() && !bench.text("users/bob.toml").contains("passkeys"));
    // A push that takes one out does the same.
    add(&bench, &bob, &mut ring).await.unwrap();
    ring.counter += 1;
    let by_ring = sign_in(&bench, &ring).await.unwrap().token;
    let text = bench.text("users/bob.toml").replace(&ring.id(), &Authenticator::new(9).id());
    bench.commit("another key", &[berth_repo::Edit::write("users/bob.toml", text)]);
    assert_eq!(bench.refusal(Some(&by_ring), &Me {}).await, Why::SignedOut);
}

#[tokio::test]
async fn a_passkey_proves_once_more_who_its_owner_is_and_nobody_else() {
    let bench = Bench::new();
    let (bob, cyn) = (bench.sign_in("bob").await, bench.sign_in("cyn").await);
    let mut phone = Authenticator::new(1);
    add(&bench, &bob, &mut phone).await.unwrap();
    bench.pass(Duration::from_secs(10 * 60));
    let begin = BeginPasskey { host: HOST.to_owned() };
    assert_eq!(bench.refusal(Some(&bob), &begin).await, Why::Stale);
    phone.counter += 1;
    let confirm = async |token| {
        let response = Secret(phone.sign(&challenge(&bench, HOST).await.unwrap()));
        let proof = Proof::Passkey { host: HOST.to_owned(), response };
        bench.ask(Some(token), &Confirm { proof, from: ip(HERE) }).await
    };
    assert_eq!(confirm(&cyn).await.unwrap_err().why, Why::WrongPassword);
    confirm(&bob).await.unwrap();
    bench.ask(Some(&bob), &begin).await.unwrap();
}

#[tokio::test]
async fn a_host_that_has_lost_the_counters_takes_passkeys_as_before() {
    let bench = Bench::new();
    let bob = bench.sign_in("bob").await;
    let mut phone = Authenticator::new(1);
    add(&bench, &bob, &mut phone).await.unwrap();
    std::fs::remove_file(bench.kept("factors/bob.json")).unwrap();
    phone.counter = 40;
    sign_in(&bench, &phone).await.unwrap();
    assert_eq!(
        sign_in(&bench, &phone).await.unwrap_err().why,
        Why::WrongPassword,
        "the counter is known again"
    );
}
