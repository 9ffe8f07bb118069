//! Tokens: what ends them.

use std::time::Duration;

use berth_repo::Edit;
use berth_wire::web::{Me, Secret, SetPassword, SignOut, SignOutEverywhere, Token, UserRead, Why};

use crate::bench::{Bench, HERE, PASSWORD, ip, user};

async fn is_good(bench: &Bench, token: &Token) -> bool {
    match bench.ask(Some(token), &Me {}).await {
        Ok(_) => true,
        Err(refusal) => {
            assert_eq!(refusal.why, Why::SignedOut);
            false
        }
    }
}

#[tokio::test]
async fn somebody_signs_in_and_out() {
    let bench = Bench::new();
    let signed_in = bench.try_sign_in("bob", &format!("bob{PASSWORD}"), HERE).await.unwrap();
    assert_eq!(signed_in.person.name.as_str(), "bob");
    assert!(!signed_in.person.is_admin());
    let other = bench.sign_in("bob").await;
    let person = bench.ask(Some(&signed_in.token), &Me {}).await.unwrap();
    assert_eq!(person, signed_in.person);
    bench.ask(Some(&signed_in.token), &SignOut {}).await.unwrap();
    assert!(!is_good(&bench, &signed_in.token).await);
    assert!(is_good(&bench, &other).await);
    for wrong in [None, Some(Token::new("")), Some(Token::new("x".repeat(43)))] {
        assert_eq!(bench.refusal(wrong.as_ref(), &Me {}).await, Why::SignedOut);
    }
}

#[tokio::test]
async fn signing_out_everywhere_spares_the_token_that_asks() {
    let bench = Bench::new();
    let (one, two, anns) =
        (bench.sign_in("bob").await, bench.sign_in("bob").await, bench.sign_in("ann").await);
    let sheet = bench.ask(Some(&one), &UserRead { name: "bob".parse().unwrap() }).await.unwrap();
    assert_eq!(sheet.sessions, 2);
    bench.ask(Some(&one), &SignOutEverywhere {}).await.unwrap();
    assert_eq!([is_good(&bench, &one).await, is_good(&bench, &two).await], [true, false]);
    assert!(is_good(&bench, &anns).await);
}

#[tokio::test]
async fn a_token_outlives_the_door_and_ends_when_nobody_uses_it() {
    let bench = Bench::new();
    let token = bench.sign_in("bob").await;
    let bench = bench.reopened().await;
    assert!(is_good(&bench, &token).await);
    bench.pass(Duration::from_secs(12 * 60 * 60));
    assert!(!is_good(&bench, &token).await);
}

#[tokio::test]
async fn a_token_dies_with_the_person_their_role_and_their_password() {
    let bench = Bench::new();
    let (anns, bobs, cyns) =
        (bench.sign_in("ann").await, bench.sign_in("bob").await, bench.sign_in("cyn").await);
    let text = bench.text("users/bob.toml");
    bench.commit("bob is an admin", &[Edit::write("users/bob.toml", format!("role = \"admin\"\n{text}"))]);
    assert!(!is_good(&bench, &bobs).await);
    assert!(is_good(&bench, &cyns).await);
    // It doesn't come back with the role.
    bench.commit("bob is no admin", &[Edit::write("users/bob.toml", text)]);
    assert!(!is_good(&bench, &bobs).await);

    let hash = berth_password::hash("another password", &[9; 16]).unwrap();
    let other = Edit::write("users/cyn.toml", format!("password_hash = \"{hash}\"\n"));
    bench.commit("cyn has another password", &[other]);
    assert!(!is_good(&bench, &cyns).await);

    // What a commit says besides ends nothing.
    let again = Edit::write("users/ann.toml", user("ann", "role = \"admin\"\nemail = \"a@example.org\"\n"));
    bench.commit("ann has another address", &[again]);
    assert!(is_good(&bench, &anns).await);
    bench.commit("eve is an admin", &[Edit::write("users/eve.toml", "role = \"admin\"\n")]);
    bench.commit("ann leaves", &[Edit::remove("users/ann.toml")]);
    assert!(!is_good(&bench, &anns).await);
    // Nor does the door remember it then.
    let bench = bench.reopened().await;
    assert!(!is_good(&bench, &anns).await);
    assert!(!bench.kept("tokens/ann.json").exists());
}

#[tokio::test]
async fn a_mistake_on_main_signs_nobody_out() {
    let bench = Bench::new();
    let token = bench.sign_in("bob").await;
    bench.commit("a mistake", &[Edit::write("users/bob.toml", "nonsense = 1\n")]);
    assert!(is_good(&bench, &token).await);
}

#[tokio::test]
async fn a_new_password_ends_every_token_and_is_a_commit_of_the_persons_own() {
    let bench = Bench::new();
    let (one, two) = (bench.sign_in("bob").await, bench.sign_in("bob").await);
    let question = |old: &str, new: &str| SetPassword {
        old: Secret(old.to_owned()),
        new: Secret(new.to_owned()),
        from: ip(HERE),
        browser: String::new(),
    };
    let old = format!("bob{PASSWORD}");
    let before = bench.text("users/bob.toml");
    assert_eq!(
        bench.refusal(Some(&one), &question("wrong", "a good new password")).await,
        Why::WrongPassword
    );
    for unfit in ["short", "bob", &"x".repeat(1025)] {
        assert_eq!(bench.refusal(Some(&one), &question(&old, unfit)).await, Why::BadQuestion);
    }
    assert_eq!(bench.text("users/bob.toml"), before);
    let signed_in = bench.ask(Some(&one), &question(&old, "a good new password")).await.unwrap();
    assert_eq!(
        [is_good(&bench, &one).await, is_good(&bench, &two).await, is_good(&bench, &signed_in.token).await],
        [false, false, true]
    );
    bench.try_sign_in("bob", "a good new password", HERE).await.unwrap();
    assert_eq!(bench.try_sign_in("bob", &old, HERE).await.unwrap_err().why, Why::WrongPassword);
    let text = bench.text("users/bob.toml");
    assert!(text.starts_with("email = \"bob@example.org\"\n"), "the rest of the file stays: {text}");
    assert!(text.contains("$argon2id$v=19$m=19456,t=2,p=1$"), "{text}");
    let repo = berth_repo::StateRepo::open(&bench.repo()).unwrap();
    let commit = repo.commit_info(&repo.head().unwrap().unwrap()).unwrap();
    assert_eq!(
        (commit.author.name.as_str(), commit.author.email.as_str()),
        ("bob", "bob@hosting.example.org")
    );
    assert_eq!(commit.trailers, [("Berth-Door".to_owned(), "panel".to_owned())]);
    let log = std::fs::read_to_string(bench.kept("audit.log")).unwrap();
    assert!(log.contains("\"act\":\"set-password\""), "{log}");
    for secret in [old.as_str(), "a good new password", signed_in.token.as_str(), "argon2"] {
        assert!(!log.contains(secret), "{log}");
    }
}
