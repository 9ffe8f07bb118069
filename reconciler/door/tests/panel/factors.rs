//! Second factors: from the set-up to the sign-in, and every way in which one isn't got round.

use std::time::Duration;

use berth_repo::Edit;
use berth_wire::web::{
    BeginTotp, Confirm, Entered, FactorSheet, Factors, Half, Invite, LiftFactor, Me, NewRecovery, Proof,
    Redeem, Refusal, RemoveTotp, Secret, SetTotp, SignInCode, SignedIn, Token, Totp, Why,
};

use crate::app::code;
use crate::bench::{Bench, ELSEWHERE, HERE, PASSWORD, ip, sign_in};

/// A person with a second factor.
struct Set {
    token: Token,
    secret: String,
    recovery: Vec<String>,
}

fn secret(text: &str) -> Secret {
    Secret(text.to_owned())
}

fn password(user: &str) -> String {
    format!("{user}{PASSWORD}")
}

fn set_totp(code: &str) -> SetTotp {
    SetTotp { code: secret(code), from: ip(HERE), browser: String::new() }
}

async fn set_up(bench: &Bench, user: &str) -> Set {
    let token = bench.sign_in(user).await;
    let begun = bench.ask(Some(&token), &BeginTotp {}).await.unwrap();
    let first = code(&begun.secret.0, bench.date());
    let set = bench.ask(Some(&token), &set_totp(&first)).await.unwrap();
    bench.pass(Duration::from_secs(60));
    let recovery = set.recovery.into_iter().map(|code| code.0).collect();
    Set { token: set.signed_in.token, secret: begun.secret.0, recovery }
}

/// Signs in as far as the password goes.
async fn half(bench: &Bench, user: &str) -> Half {
    match bench.ask(None, &sign_in(user, &password(user), HERE)).await.unwrap() {
        Entered::CodeWanted(half) => half,
        Entered::SignedIn(_) => panic!("{user} is in without a code"),
    }
}

async fn try_code(bench: &Bench, half: &Half, typed: &str, from: &str) -> Result<SignedIn, Refusal> {
    let asked = SignInCode {
        half: half.half.clone(),
        code: secret(typed),
        from: ip(from),
        browser: String::new(),
        is_short: false,
    };
    bench.ask(None, &asked).await
}

async fn sheet(bench: &Bench, token: &Token, name: &str) -> FactorSheet {
    bench.ask(Some(token), &Factors { name: name.parse().unwrap() }).await.unwrap()
}

#[tokio::test]
async fn a_second_factor_is_set_up_with_a_code_and_asked_for_from_then_on() {
    let bench = Bench::new();
    let (token, other) = (bench.sign_in("bob").await, bench.sign_in("bob").await);
    let begun = bench.ask(Some(&token), &BeginTotp {}).await.unwrap();
    let again = bench.ask(Some(&token), &BeginTotp {}).await.unwrap();
    assert_eq!((begun.secret.0.len(), &again.secret.0), (32, &begun.secret.0), "a page may be loaded again");
    let uri = format!("otpauth://totp/hosting.example.org:bob?secret={}&", begun.secret.0);
    assert!(begun.uri.0.starts_with(&uri), "{}", begun.uri.0);
    // Nothing is asked for until a code has come, and another sign-in's secret isn't this one's.
    assert_eq!(bench.refusal(Some(&token), &set_totp("000000")).await, Why::WrongCode);
    assert_eq!(bench.refusal(Some(&other), &set_totp("000000")).await, Why::BadQuestion);
    bench.sign_in("bob").await;
    let first = code(&begun.secret.0, bench.date());
    let set = bench.ask(Some(&token), &set_totp(&first)).await.unwrap();
    assert_eq!(set.recovery.len(), 10);
    for dead in [&token, &other] {
        assert_eq!(bench.refusal(Some(dead), &Me {}).await, Why::SignedOut);
    }
    let token = set.signed_in.token;
    assert_eq!(sheet(&bench, &token, "bob").await.totp, Totp::On { recovery: 10 });
    // The state says that there is one, and no more.
    let text = bench.text("users/bob.toml");
    assert!(text.contains("second_factor = \"totp\"\n") && !text.contains(&begun.secret.0), "{text}");
    assert_eq!(bench.refusal(Some(&token), &BeginTotp {}).await, Why::BadQuestion, "it is shown once");

    let bench = bench.reopened().await;
    // The code of the set-up is used up, also for a door that has started anew.
    let waits = half(&bench, "bob").await;
    assert_eq!(try_code(&bench, &waits, &first, HERE).await.unwrap_err().why, Why::WrongCode);
    bench.pass(Duration::from_secs(30));
    let next = code(&begun.secret.0, bench.date());
    let signed_in = try_code(&bench, &waits, &next, HERE).await.unwrap();
    assert_eq!(bench.ask(Some(&signed_in.token), &Me {}).await.unwrap().name.as_str(), "bob");
    let log = std::fs::read_to_string(bench.kept("audit.log")).unwrap();
    for act in ["set-factor", "code-refused", "sign-in"] {
        assert!(log.contains(&format!("\"act\":\"{act}\"")), "{act}: {log}");
    }
    assert!(!log.contains(&begun.secret.0) && !log.contains(&next), "{log}");
}

#[tokio::test]
async fn half_a_sign_in_is_good_for_a_code_alone_and_once() {
    let bench = Bench::new();
    let set = set_up(&bench, "bob").await;
    let waits = half(&bench, "bob").await;
    // It is no token.
    assert_eq!(bench.refusal(Some(&Token::new(waits.half.0.clone())), &Me {}).await, Why::SignedOut);
    let now = code(&set.secret, bench.date());
    try_code(&bench, &waits, &now, HERE).await.unwrap();
    bench.pass(Duration::from_secs(30));
    let next = code(&set.secret, bench.date());
    assert_eq!(try_code(&bench, &waits, &next, HERE).await.unwrap_err().why, Why::SignedOut, "it is used up");
    // The same code opens no second sign-in.
    let waits = half(&bench, "bob").await;
    assert_eq!(try_code(&bench, &waits, &now, HERE).await.unwrap_err().why, Why::WrongCode);
    // It ends by itself, and with the password.
    bench.pass(Duration::from_secs(5 * 60));
    let late = code(&set.secret, bench.date());
    assert_eq!(try_code(&bench, &waits, &late, HERE).await.unwrap_err().why, Why::SignedOut);
    let waits = half(&bench, "bob").await;
    let hash = berth_password::hash("another password", &[9; 16]).unwrap();
    let text = format!("password_hash = \"{hash}\"\nsecond_factor = \"totp\"\n");
    bench.commit("bob has another password", &[Edit::write("users/bob.toml", text)]);
    assert_eq!(try_code(&bench, &waits, &late, HERE).await.unwrap_err().why, Why::SignedOut);
}

#[tokio::test]
async fn guesses_at_codes_wait_and_the_password_forgives_none() {
    let bench = Bench::new();
    let set = set_up(&bench, "bob").await;
    let mut refused = 0;
    for at in 0..10 {
        let waits = match bench.ask(None, &sign_in("bob", &password("bob"), HERE)).await {
            Ok(Entered::CodeWanted(half)) => half,
            Ok(Entered::SignedIn(_)) => panic!("in without a code"),
            Err(refusal) => {
                assert!(matches!(refusal.why, Why::TooMany { .. }), "{refusal:?}");
                break;
            }
        };
        assert_eq!(
            try_code(&bench, &waits, &format!("abc{at}"), HERE).await.unwrap_err().why,
            Why::WrongCode
        );
        refused += 1;
    }
    assert_eq!(refused, 5);
    // One half takes five codes, from wherever they come, and locks nobody out.
    bench.pass(Duration::from_secs(1));
    let waits = half(&bench, "bob").await;
    for network in 0..5 {
        let from = format!("203.0.{network}.1");
        assert_eq!(try_code(&bench, &waits, "abc", &from).await.unwrap_err().why, Why::WrongCode);
    }
    assert_eq!(try_code(&bench, &waits, "abc", "203.0.9.1").await.unwrap_err().why, Why::SignedOut);
    let elsewhere = bench.ask(None, &sign_in("bob", &password("bob"), ELSEWHERE)).await.unwrap();
    let Entered::CodeWanted(waits) = elsewhere else { panic!("in without a code") };
    try_code(&bench, &waits, &code(&set.secret, bench.date()), ELSEWHERE).await.unwrap();
}

#[tokio::test]
async fn a_recovery_code_gets_in_once() {
    let bench = Bench::new();
    let set = set_up(&bench, "bob").await;
    let (first, second) = (&set.recovery[0], &set.recovery[1]);
    let waits = half(&bench, "bob").await;
    let signed_in = try_code(&bench, &waits, &first.to_uppercase(), HERE).await.unwrap();
    let waits = half(&bench, "bob").await;
    assert_eq!(try_code(&bench, &waits, first, HERE).await.unwrap_err().why, Why::WrongCode);
    assert_eq!(sheet(&bench, &signed_in.token, "bob").await.totp, Totp::On { recovery: 9 });
    // New ones end the old.
    let fresh = bench.ask(Some(&signed_in.token), &NewRecovery {}).await.unwrap();
    assert_eq!(try_code(&bench, &waits, second, HERE).await.unwrap_err().why, Why::WrongCode);
    try_code(&bench, &waits, &fresh[0].0, HERE).await.unwrap();
    let log = std::fs::read_to_string(bench.kept("audit.log")).unwrap();
    assert!(
        log.contains("sign-in-recovery") && log.contains("new-recovery") && !log.contains(&**first),
        "{log}"
    );
}

#[tokio::test]
async fn it_is_removed_with_the_password_and_a_code() {
    let bench = Bench::new();
    let set = set_up(&bench, "bob").await;
    let remove = |word: &str, typed: &str| RemoveTotp {
        password: secret(word),
        code: secret(typed),
        from: ip(HERE),
        browser: String::new(),
    };
    let now = code(&set.secret, bench.date());
    assert_eq!(bench.refusal(Some(&set.token), &remove("wrong", &now)).await, Why::WrongPassword);
    assert_eq!(bench.refusal(Some(&set.token), &remove(&password("bob"), "000000")).await, Why::WrongCode);
    let signed_in = bench.ask(Some(&set.token), &remove(&password("bob"), &now)).await.unwrap();
    assert_eq!(bench.refusal(Some(&set.token), &Me {}).await, Why::SignedOut);
    assert_eq!(sheet(&bench, &signed_in.token, "bob").await.totp, Totp::Off);
    assert!(!bench.text("users/bob.toml").contains("second_factor"));
    assert!(!bench.kept("factors/bob.json").exists());
    bench.sign_in("bob").await;
    let again = remove(&password("bob"), &now);
    assert_eq!(bench.refusal(Some(&signed_in.token), &again).await, Why::BadQuestion);
}

#[tokio::test]
async fn an_admin_takes_it_away_and_ends_every_session() {
    let bench = Bench::new();
    let set = set_up(&bench, "bob").await;
    let ann = bench.sign_in("ann").await;
    let lift = LiftFactor { user: "bob".parse().unwrap() };
    assert_eq!(bench.refusal(Some(&set.token), &lift).await, Why::Forbidden);
    bench.ask(Some(&ann), &lift).await.unwrap();
    assert_eq!(bench.refusal(Some(&set.token), &Me {}).await, Why::SignedOut);
    assert!(!bench.kept("factors/bob.json").exists());
    bench.sign_in("bob").await;
    assert_eq!(bench.refusal(Some(&ann), &lift).await, Why::BadQuestion);
    let repo = berth_repo::StateRepo::open(&bench.repo()).unwrap();
    assert_eq!(repo.commit_info(&repo.head().unwrap().unwrap()).unwrap().author.name, "ann");
    let log = std::fs::read_to_string(bench.kept("audit.log")).unwrap();
    assert!(log.contains("\"who\":\"ann\",\"act\":\"lift-factor\",\"user\":\"bob\""), "{log}");
}

#[tokio::test]
async fn a_host_that_has_lost_the_secret_takes_no_password_alone() {
    let bench = Bench::new();
    let set = set_up(&bench, "bob").await;
    std::fs::remove_file(bench.kept("factors/bob.json")).unwrap();
    let refusal = bench.ask(None, &sign_in("bob", &password("bob"), HERE)).await.unwrap_err();
    assert_eq!(refusal.why, Why::Forbidden);
    assert!(refusal.hint.unwrap().contains("invite you anew"));
    let proof = Proof::Password { password: secret(&password("bob")), code: secret(&set.recovery[0]) };
    let confirm = Confirm { proof, from: ip(HERE) };
    assert_eq!(bench.refusal(Some(&set.token), &confirm).await, Why::Forbidden);
    // Who has the file's line taken out by a push has to be an admin: the policy says so, and its own test.
    let ann = bench.sign_in("ann").await;
    assert_eq!(sheet(&bench, &ann, "bob").await.totp, Totp::Lost);
    let invited = bench.ask(Some(&ann), &Invite { user: "bob".parse().unwrap() }).await.unwrap();
    let redeem = Redeem {
        invitation: invited.invitation,
        password: secret("a new password of bob's"),
        from: ip(HERE),
        browser: String::new(),
    };
    let entered = bench.ask(None, &redeem).await.unwrap();
    assert!(matches!(entered, Entered::SignedIn(_)), "{entered:?}");
    assert!(!bench.text("users/bob.toml").contains("second_factor"));
}

#[tokio::test]
async fn a_link_for_a_new_password_is_no_way_round_a_factor_that_works() {
    let bench = Bench::new();
    let set = set_up(&bench, "bob").await;
    let ann = bench.sign_in("ann").await;
    let invited = bench.ask(Some(&ann), &Invite { user: "bob".parse().unwrap() }).await.unwrap();
    let redeem = Redeem {
        invitation: invited.invitation,
        password: secret("a new password of bob's"),
        from: ip(HERE),
        browser: String::new(),
    };
    let Entered::CodeWanted(waits) = bench.ask(None, &redeem).await.unwrap() else {
        panic!("in without a code")
    };
    assert_eq!(bench.refusal(Some(&set.token), &Me {}).await, Why::SignedOut);
    try_code(&bench, &waits, &code(&set.secret, bench.date()), HERE).await.unwrap();
    assert!(bench.text("users/bob.toml").contains("second_factor = \"totp\""));
}
