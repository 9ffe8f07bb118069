//! Sign-in by an OpenID provider: whom its word lets in, and every word that lets nobody in.

use std::time::Duration;

use berth_repo::Edit;
use berth_wire::web::{
    Approve, BeginTotp, Confirm, Entered, Factors, Me, OidcBack, OidcBind, OidcConfirm, OidcJoin, OidcJoined,
    OidcOutcome, OidcRound, OidcSignIn, OidcStranger, OidcUnbind, Proof, ProposalRead, Refusal, RemoveTotp,
    Secret, Sessions, SetTotp, SignInCode, SignInWays, SignedIn, Token, Users, UsersOf, Why,
};
use serde_json::{Value, json};

use crate::app::code;
use crate::bench::{Bench, ELSEWHERE, HERE, ip, user};
use crate::provider::{CLIENT, ISSUER, Key, Provider};

const HOST: &str = "panel.example.net";
/// Ann's and bob's accounts, and one that nobody has bound.
const ANN: &str = "a-1";
const BOB: &str = "b-2";
const EVE: &str = "e-3";

struct Scene {
    bench: Bench,
    provider: Provider,
    key: Key,
}

fn secret(text: &str) -> Secret {
    Secret(text.to_owned())
}

fn line(subject: &str) -> String {
    format!("{ISSUER} {subject}")
}

/// Makes a word false.
type Forge = fn(&mut Value);
/// Signs claims, given the provider's key and somebody else's.
type Sign = fn(&Key, &Key, &Value) -> String;

/// A round that was begun, as the browser knows it.
struct Begun {
    round: Secret,
    url: String,
}

impl Begun {
    fn of(round: OidcRound) -> Self {
        Self { round: round.round, url: round.url }
    }

    /// A parameter of the address at the provider.
    fn get(&self, name: &str) -> Option<&str> {
        let (_, query) = self.url.split_once('?')?;
        query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }
}

impl Scene {
    /// A provider with these settings besides, whose account `b-2` bob has bound.
    fn new(more: &str) -> Self {
        let bench = Bench::organised();
        let platform = format!(
            "domain = \"hosting.example.org\"\n[panel]\ndomain = \"panel.example.net\"\n[panel.oidc]\n\
             issuer = \"{ISSUER}\"\nclient_id = \"{CLIENT}\"\n{more}"
        );
        let bob = user("bob", &format!("oidc = [\"{}\"]\n", line(BOB)));
        bench.commit(
            "the provider",
            &[Edit::write("platform.toml", platform), Edit::write("users/bob.toml", bob)],
        );
        let key = Key::new("one");
        let provider = Provider::serve(&bench.home.path().join("data"), &[&key]);
        Self { bench: bench.open(), provider, key }
    }

    async fn begin(&self) -> Begun {
        let asked = OidcSignIn { host: HOST.to_owned(), from: ip(HERE) };
        Begun::of(self.bench.ask(None, &asked).await.unwrap())
    }

    /// Claims of a word that holds, for a round.
    fn claims(&self, begun: &Begun, subject: &str) -> Value {
        let now = self.bench.date().as_second();
        json!({
            "iss": ISSUER, "aud": CLIENT, "sub": subject, "iat": now, "exp": now + 300, "auth_time": now,
            "nonce": begun.get("nonce").unwrap(),
        })
    }

    fn question(&self, begun: &Begun, code: &str) -> OidcBack {
        OidcBack {
            round: begun.round.clone(),
            state: secret(begun.get("state").unwrap()),
            code: Some(secret(code)),
            error: None,
            iss: None,
            from: ip(HERE),
            browser: "Firefox".to_owned(),
        }
    }

    /// Comes back with this token.
    async fn back(&self, begun: &Begun, token: String) -> Result<OidcOutcome, Refusal> {
        self.provider.give("the code", token);
        self.bench.ask(None, &self.question(begun, "the code")).await
    }

    /// A whole round of this account's.
    async fn round(&self, begun: &Begun, subject: &str) -> Result<OidcOutcome, Refusal> {
        self.back(begun, self.key.sign(&self.claims(begun, subject))).await
    }

    async fn sign_in(&self, subject: &str) -> SignedIn {
        match self.round(&self.begin().await, subject).await.unwrap() {
            OidcOutcome::Entered { entered: Entered::SignedIn(signed_in) } => *signed_in,
            outcome => panic!("{outcome:?}"),
        }
    }

    /// Comes as somebody whom nobody knows, with more claims.
    async fn stranger(&self, subject: &str, more: Value) -> Result<OidcStranger, Refusal> {
        let begun = self.begin().await;
        let mut claims = self.claims(&begun, subject);
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        match self.back(&begun, self.key.sign(&claims)).await? {
            OidcOutcome::Stranger { stranger } => Ok(stranger),
            outcome => panic!("{outcome:?}"),
        }
    }

    async fn join(&self, stranger: &OidcStranger, name: &str) -> Result<OidcJoined, Refusal> {
        let asked = OidcJoin {
            half: stranger.half.clone(),
            name: name.to_owned(),
            from: ip(HERE),
            browser: String::new(),
        };
        self.bench.ask(None, &asked).await
    }

    async fn bind(&self, token: &Token, subject: &str) -> Result<OidcOutcome, Refusal> {
        let asked = OidcBind { host: HOST.to_owned(), from: ip(HERE) };
        let begun = Begun::of(self.bench.ask(Some(token), &asked).await?);
        self.round(&begun, subject).await
    }

    async fn confirm(&self, token: &Token, code: &str) -> Result<Begun, Refusal> {
        let asked = OidcConfirm { host: HOST.to_owned(), code: secret(code), from: ip(HERE) };
        Ok(Begun::of(self.bench.ask(Some(token), &asked).await?))
    }

    async fn is_in(&self, token: &Token) -> bool {
        self.bench.ask(Some(token), &Me {}).await.is_ok()
    }
}

fn unbind(user: &str, subject: &str, knows: bool) -> OidcUnbind {
    OidcUnbind { user: user.parse().unwrap(), account: line(subject).parse().unwrap(), knows }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_round_of_a_session_that_has_ended_with_its_standing_binds_nothing() {
    let scene = Scene::new("");
    let ann = scene.bench.sign_in("ann").await;
    let asked = OidcBind { host: HOST.to_owned(), from: ip(HERE) };
    let begun = Begun::of(scene.bench.ask(Some(&ann), &asked).await.unwrap());
    let hash = berth_password::hash("another password", &[9; 16]).unwrap();
    let text = format!("role = \"admin\"\npassword_hash = \"{hash}\"\n");
    scene.bench.commit("ann has another password", &[Edit::write("users/ann.toml", text)]);
    assert_eq!(scene.round(&begun, ANN).await.unwrap_err().why, Why::SignedOut);
    assert!(!scene.bench.text("users/ann.toml").contains("oidc"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_binds_their_account_and_signs_in_by_it_until_it_is_taken_out() {
    let scene = Scene::new("");
    let bench = &scene.bench;
    let ways = bench.ask(None, &SignInWays {}).await.unwrap().unwrap();
    assert_eq!(ways.host, "login.example.org");
    let ann = bench.sign_in("ann").await;
    assert!(matches!(scene.bind(&ann, ANN).await.unwrap(), OidcOutcome::Bound));
    assert!(bench.text("users/ann.toml").contains(&format!("\"{}\"", line(ANN))));
    assert!(scene.is_in(&ann).await, "binding signs nobody out");
    // Somebody else's account stays theirs, and so does one's own that is bound already.
    let refused = scene.bind(&ann, BOB).await.unwrap_err();
    assert!(refused.message.contains("somebody else's"), "{refused:?}");
    assert!(matches!(scene.bind(&ann, ANN).await.unwrap(), OidcOutcome::Bound));

    let [by_provider, bob] = [scene.sign_in(ANN).await.token, scene.sign_in(BOB).await.token];
    let list = bench.ask(Some(&by_provider), &Sessions {}).await.unwrap();
    let here = list.iter().find(|one| one.is_here).unwrap();
    assert_eq!(here.provider.as_deref(), Some("login.example.org"));
    assert!(list.iter().any(|one| one.provider.is_none()), "the other came by the password");
    // It ends with the binding, and nothing else does.
    bench.ask(Some(&ann), &unbind("ann", ANN, false)).await.unwrap();
    assert!(!scene.is_in(&by_provider).await && scene.is_in(&ann).await && scene.is_in(&bob).await);
    assert!(!bench.text("users/ann.toml").contains("oidc"));
    let turned_away = scene.round(&scene.begin().await, ANN).await.unwrap_err();
    assert_eq!(turned_away.why, Why::Forbidden);
    assert!(turned_away.message.contains("nobody here has bound"), "{turned_away:?}");
    // So it does with a commit of an admin's, and where the provider is another by now.
    bench.commit("bob's goes", &[Edit::write("users/bob.toml", user("bob", ""))]);
    assert!(!scene.is_in(&bob).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_ends_with_the_provider_and_with_the_member() {
    let scene = Scene::new("");
    let bob = scene.sign_in(BOB).await.token;
    let other = "domain = \"hosting.example.org\"\n[panel]\ndomain = \"panel.example.net\"\n[panel.oidc]\n\
                 issuer = \"https://another.example.org\"\nclient_id = \"berth\"\n";
    let begun = scene.begin().await;
    scene.bench.commit("another provider", &[Edit::write("platform.toml", other)]);
    assert!(!scene.is_in(&bob).await);
    // A round that was begun at the provider before comes to nothing.
    assert_eq!(scene.round(&begun, BOB).await.unwrap_err().why, Why::BadQuestion);

    let scene = Scene::new("");
    let bob = scene.sign_in(BOB).await.token;
    scene.bench.commit(
        "bob goes",
        &[
            "users/bob.toml",
            "servers/bobs.toml",
            "domains/bobs.hosting.example.org.toml",
            "servers/cyns2.toml",
        ]
        .map(Edit::remove),
    );
    assert!(!scene.is_in(&bob).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_word_that_does_not_hold_lets_nobody_in() {
    let scene = Scene::new("");
    let other = Key::new("one");
    let forged: [(&str, Forge); 11] = [
        ("for another client", |claims| claims["aud"] = json!("another")),
        ("for another client, too", |claims| claims["aud"] = json!([CLIENT, "another"])),
        ("asked for by another client", |claims| claims["azp"] = json!("another")),
        ("of another provider", |claims| claims["iss"] = json!("https://login.example.com")),
        ("of nearly this provider", |claims| claims["iss"] = json!(format!("{ISSUER}/"))),
        ("for another round", |claims| claims["nonce"] = json!("another")),
        ("for no round", |claims| _ = claims.as_object_mut().unwrap().remove("nonce")),
        ("that is over", |claims| claims["exp"] = claims["iat"].clone()),
        ("from before", |claims| claims["iat"] = json!(claims["iat"].as_i64().unwrap() - 3600)),
        ("from tomorrow", |claims| claims["iat"] = json!(claims["iat"].as_i64().unwrap() + 3600)),
        ("about nobody", |claims| claims["sub"] = json!("")),
    ];
    let refused = async |what: &str, begun: &Begun, token: String| {
        let refused = scene.back(begun, token).await.unwrap_err();
        assert_eq!(
            (refused.why, refused.message.contains("doesn't hold")),
            (Why::Forbidden, true),
            "{what}: {refused:?}"
        );
    };
    for (what, forge) in forged {
        let begun = scene.begin().await;
        let mut claims = scene.claims(&begun, BOB);
        forge(&mut claims);
        refused(what, &begun, scene.key.sign(&claims)).await;
        scene.bench.pass(Duration::from_secs(3600));
    }
    let signed: [(&str, Sign); 4] = [
        ("that nobody signed", |key, _, claims| key.unsigned(claims)),
        ("signed with the public key", |key, _, claims| key.sign_with_public(claims)),
        ("signed by somebody else", |_, other, claims| other.sign(claims)),
        ("that was changed", |key, _, claims| {
            let (good, mut changed) = (key.sign(claims), claims.clone());
            changed["sub"] = json!(ANN);
            let (head, body) = (good.split('.').next().unwrap(), key.sign(&changed));
            let parts: Vec<&str> = body.split('.').collect();
            format!("{head}.{}.{}", parts[1], good.split('.').nth(2).unwrap())
        }),
    ];
    for (what, sign) in signed {
        let begun = scene.begin().await;
        let token = sign(&scene.key, &other, &scene.claims(&begun, BOB));
        refused(what, &begun, token).await;
        scene.bench.pass(Duration::from_secs(3600));
    }
    refused("that is none", &scene.begin().await, "a.b.c".to_owned()).await;
    assert_eq!(scene.provider.renewals(), 0, "none of them has the provider asked anew");
    scene.sign_in(BOB).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn new_keys_of_the_provider_are_found_and_unknown_ones_are_not_taken() {
    let scene = Scene::new("");
    let (next, unknown) = (Key::new("two"), Key::new("three"));
    scene.provider.rotate(&[&next]);
    let begun = scene.begin().await;
    let outcome = scene.back(&begun, next.sign(&scene.claims(&begun, BOB))).await.unwrap();
    assert!(matches!(outcome, OidcOutcome::Entered { .. }), "{outcome:?}");
    assert_eq!(scene.provider.renewals(), 1);
    for key in [&scene.key, &unknown] {
        let begun = scene.begin().await;
        let refused = scene.back(&begun, key.sign(&scene.claims(&begun, BOB))).await.unwrap_err();
        assert_eq!(refused.why, Why::Forbidden, "{refused:?}");
    }
    assert_eq!(scene.provider.renewals(), 3, "each asks once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_round_is_one_browser_s_once_and_for_ten_minutes() {
    let scene = Scene::new("");
    let dead = async |begun: &Begun, question: OidcBack| {
        scene.provider.give("the code", scene.key.sign(&scene.claims(begun, BOB)));
        let refused = scene.bench.ask(None, &question).await.unwrap_err();
        assert_eq!(refused.why, Why::BadQuestion, "{refused:?}");
        assert!(refused.message.contains("another browser"), "{refused:?}");
    };
    let (begun, theirs) = (scene.begin().await, scene.begin().await);
    let question = |begun: &Begun| scene.question(begun, "the code");
    dead(&begun, OidcBack { round: theirs.round.clone(), ..question(&begun) }).await;
    dead(&begun, OidcBack { state: secret(""), ..question(&begun) }).await;
    assert!(scene.round(&begun, BOB).await.is_ok(), "another browser has used nothing up");
    dead(&begun, question(&begun)).await;
    let late = scene.begin().await;
    scene.bench.pass(Duration::from_secs(600));
    dead(&late, question(&late)).await;
    // Nothing is left of them with a door that has begun anew.
    let begun = scene.begin().await;
    let scene = Scene { bench: scene.bench.reopened().await, ..scene };
    assert_eq!(scene.round(&begun, BOB).await.unwrap_err().why, Why::BadQuestion);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_from_another_provider_or_without_a_code_is_told() {
    let scene = Scene::new("");
    let begun = scene.begin().await;
    let mixed =
        OidcBack { iss: Some("https://evil.example".to_owned()), ..scene.question(&begun, "the code") };
    scene.provider.give("the code", scene.key.sign(&scene.claims(&begun, BOB)));
    assert!(scene.bench.ask(None, &mixed).await.unwrap_err().message.contains("doesn't hold"));
    scene.provider.name_itself();
    let begun = scene.begin().await;
    assert!(
        scene.round(&begun, BOB).await.unwrap_err().message.contains("doesn't hold"),
        "it has to name itself"
    );
    let begun = scene.begin().await;
    let named = OidcBack { iss: Some(ISSUER.to_owned()), ..scene.question(&begun, "the code") };
    scene.provider.give("the code", scene.key.sign(&scene.claims(&begun, BOB)));
    assert!(scene.bench.ask(None, &named).await.is_ok());

    for (error, says) in
        [("access_denied", "didn't let you through"), ("server_error\u{1b}[2J", "without signing you in")]
    {
        let begun = scene.begin().await;
        let asked = OidcBack {
            code: None,
            error: Some(error.to_owned()),
            iss: Some(ISSUER.to_owned()),
            ..scene.question(&begun, "")
        };
        let refused = scene.bench.ask(None, &asked).await.unwrap_err();
        assert!(refused.message.contains(says) && !refused.message.contains('\u{1b}'), "{refused:?}");
    }
    let begun = scene.begin().await;
    let used = OidcBack { iss: Some(ISSUER.to_owned()), ..scene.question(&begun, "used") };
    assert!(scene.bench.ask(None, &used).await.unwrap_err().message.contains("any more"));
    // At another address than the panel's own no round begins.
    let elsewhere = OidcSignIn { host: "evil.example".to_owned(), from: ip(HERE) };
    assert_eq!(scene.bench.refusal(None, &elsewhere).await, Why::BadQuestion);
    scene.provider.go_down();
    let asked = OidcSignIn { host: HOST.to_owned(), from: ip(HERE) };
    let down = scene.bench.ask(None, &asked).await.unwrap_err();
    assert_eq!(down.why, Why::Unavailable);
    assert!(down.message.contains("login.example.org can't be reached"), "{down:?}");
    assert!(scene.bench.ask(None, &SignInWays {}).await.unwrap().is_some(), "the other ways in stay");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_for_a_silent_provider_leaves_room_for_others() {
    let scene = Scene::new("");
    let bench = &scene.bench;
    let silence = scene.provider.fall_silent();
    let asked = OidcSignIn { host: HOST.to_owned(), from: ip(HERE) };
    let wait = || bench.ask(None, &asked);
    let others = async {
        while scene.provider.asked() < 8 {
            tokio::task::yield_now().await;
        }
        let refused = bench.ask(None, &asked).await.unwrap_err();
        silence.cancel();
        refused
    };
    let (refused, a, b, c, d, e, f, g, h) =
        tokio::join!(others, wait(), wait(), wait(), wait(), wait(), wait(), wait(), wait());
    assert_eq!(refused.why, Why::TooMany { seconds: 1 }, "{refused:?}");
    assert!(refused.message.contains("wait for login.example.org"), "{refused:?}");
    for waited in [a, b, c, d, e, f, g, h] {
        assert_eq!(waited.unwrap_err().why, Why::Unavailable);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_factor_is_asked_for_after_the_provider_too() {
    let scene = Scene::new("");
    let bench = &scene.bench;
    let bob = scene.sign_in(BOB).await.token;
    let begun = bench.ask(Some(&bob), &BeginTotp {}).await.unwrap();
    let set = SetTotp {
        code: secret(&code(&begun.secret.0, bench.date())),
        from: ip(HERE),
        browser: String::new(),
    };
    let bob = bench.ask(Some(&bob), &set).await.unwrap().signed_in.token;
    let list = bench.ask(Some(&bob), &Sessions {}).await.unwrap();
    assert!(
        list.iter().all(|one| one.is_here && one.provider.is_some()),
        "it ends with the binding: {list:?}"
    );
    bench.pass(Duration::from_secs(60));
    let outcome = scene.round(&scene.begin().await, BOB).await.unwrap();
    let OidcOutcome::Entered { entered: Entered::CodeWanted(half) } = outcome else { panic!("{outcome:?}") };
    let asked = |typed: &str| SignInCode {
        half: half.half.clone(),
        code: secret(typed),
        from: ip(HERE),
        browser: String::new(),
        is_short: false,
    };
    assert_eq!(bench.refusal(None, &asked("000000")).await, Why::WrongCode);
    let token = bench.ask(None, &asked(&code(&begun.secret.0, bench.date()))).await.unwrap().token;
    // It is still a sign-in by the provider.
    let list = bench.ask(Some(&token), &Sessions {}).await.unwrap();
    assert!(list.iter().any(|one| one.is_here && one.provider.is_some()), "{list:?}");
    // Neither does the provider alone confirm who it is.
    bench.pass(Duration::from_secs(900));
    let old = scene.begin().await;
    let mut claims = scene.claims(&old, BOB);
    claims["auth_time"] = json!(bench.date().as_second() - 3600);
    let outcome = scene.back(&old, scene.key.sign(&claims)).await.unwrap();
    let OidcOutcome::Entered { entered: Entered::CodeWanted(half) } = outcome else { panic!("{outcome:?}") };
    let late = SignInCode { half: half.half, ..asked(&code(&begun.secret.0, bench.date())) };
    let late = bench.ask(None, &late).await.unwrap().token;
    let sheet = bench.ask(Some(&late), &Factors { name: "bob".parse().unwrap() }).await.unwrap();
    assert!(!sheet.is_fresh, "a code makes no old proof a new one");
    bench.pass(Duration::from_secs(60));
    assert_eq!(scene.confirm(&token, "").await.err().unwrap().why, Why::WrongCode);
    let begun = scene.confirm(&token, &code(&begun.secret.0, bench.date())).await.unwrap();
    assert!(matches!(scene.round(&begun, BOB).await.unwrap(), OidcOutcome::Confirmed));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_it_is_is_confirmed_by_a_provider_that_has_asked_anew() {
    let scene = Scene::new("");
    let bench = &scene.bench;
    let token = scene.sign_in(BOB).await.token;
    let is_fresh =
        async || bench.ask(Some(&token), &Factors { name: "bob".parse().unwrap() }).await.unwrap().is_fresh;
    assert!(is_fresh().await, "a sign-in is one");
    bench.pass(Duration::from_secs(900));
    assert!(!is_fresh().await);
    let old: [(&str, Option<i64>); 2] = [("without asking", Some(-600)), ("doesn't say when", None)];
    for (says, at) in old {
        let begun = scene.confirm(&token, "").await.unwrap();
        assert_eq!((begun.get("prompt"), begun.get("max_age")), (Some("login"), Some("0")), "{}", begun.url);
        let mut claims = scene.claims(&begun, BOB);
        match at {
            Some(at) => claims["auth_time"] = json!(bench.date().as_second() + at),
            None => _ = claims.as_object_mut().unwrap().remove("auth_time"),
        }
        let refused = scene.back(&begun, scene.key.sign(&claims)).await.unwrap_err();
        assert!(refused.message.contains(says), "{refused:?}");
        assert!(!is_fresh().await);
    }
    let begun = scene.confirm(&token, "").await.unwrap();
    assert!(scene.round(&begun, EVE).await.unwrap_err().message.contains("another account"));
    let begun = scene.confirm(&token, "").await.unwrap();
    assert!(matches!(scene.round(&begun, BOB).await.unwrap(), OidcOutcome::Confirmed));
    assert!(is_fresh().await);
    // A round of somebody who has signed out meanwhile confirms nobody.
    bench.pass(Duration::from_secs(900));
    let begun = scene.confirm(&token, "").await.unwrap();
    bench.ask(Some(&token), &berth_wire::web::SignOut {}).await.unwrap();
    assert_eq!(scene.round(&begun, BOB).await.unwrap_err().why, Why::SignedOut);
    // A sign-in whose person the provider has asked long ago isn't fresh.
    let begun = scene.begin().await;
    let mut claims = scene.claims(&begun, BOB);
    claims["auth_time"] = json!(bench.date().as_second() - 3600);
    let outcome = scene.back(&begun, scene.key.sign(&claims)).await.unwrap();
    let OidcOutcome::Entered { entered: Entered::SignedIn(signed_in) } = outcome else {
        panic!("{outcome:?}")
    };
    let sheet = bench.ask(Some(&signed_in.token), &Factors { name: "bob".parse().unwrap() }).await.unwrap();
    assert!(!sheet.is_fresh);
    let bind = OidcBind { host: HOST.to_owned(), from: ip(HERE) };
    assert_eq!(bench.refusal(Some(&signed_in.token), &bind).await, Why::Stale);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_round_that_confirms_forgives_no_guess_at_the_password() {
    let scene = Scene::new("");
    let bob = scene.sign_in(BOB).await.token;
    let proof = Proof::Password { password: secret("a guess"), code: secret("") };
    let guess = Confirm { proof, from: ip(HERE) };
    for _ in 0..5 {
        assert_eq!(scene.bench.refusal(Some(&bob), &guess).await, Why::WrongPassword);
        // The last one may have to wait already.
        let _ = scene.confirm(&bob, "").await;
    }
    assert!(matches!(scene.bench.refusal(Some(&bob), &guess).await, Why::TooMany { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_takes_their_only_way_in_out_unawares() {
    let scene = Scene::new("");
    let alone = format!("oidc = [\"{}\"]\n", line(BOB));
    scene.bench.commit("no password", &[Edit::write("users/bob.toml", alone)]);
    let bob = scene.sign_in(BOB).await.token;
    let refused = scene.bench.ask(Some(&bob), &unbind("bob", BOB, false)).await.unwrap_err();
    assert!(refused.message.contains("only way into the panel"), "{refused:?}");
    // It isn't another member's to take out, and what isn't there isn't.
    let cyn = scene.bench.sign_in("cyn").await;
    assert_eq!(scene.bench.refusal(Some(&cyn), &unbind("bob", BOB, true)).await, Why::NotFound);
    assert_eq!(scene.bench.refusal(Some(&bob), &unbind("bob", EVE, true)).await, Why::NotFound);
    // An account at a former provider lets nobody in.
    let former = format!("oidc = [\"{}\", \"https://former.example.org 7\"]\n", line(BOB));
    scene.bench.commit("a former one", &[Edit::write("users/bob.toml", former)]);
    let ann = scene.bench.sign_in("ann").await;
    let has_account = async || {
        let asked = Factors { name: "bob".parse().unwrap() };
        scene.bench.ask(Some(&ann), &asked).await.unwrap().has_account
    };
    assert!(has_account().await);
    assert_eq!(scene.bench.refusal(Some(&bob), &unbind("bob", BOB, false)).await, Why::BadQuestion);
    // Without a password a second factor goes with its code, by a fresh token.
    let begun = scene.bench.ask(Some(&bob), &BeginTotp {}).await.unwrap();
    let now = || secret(&code(&begun.secret.0, scene.bench.date()));
    let set = SetTotp { code: now(), from: ip(HERE), browser: String::new() };
    let bob = scene.bench.ask(Some(&bob), &set).await.unwrap().signed_in.token;
    scene.bench.pass(Duration::from_secs(900));
    let remove = |code| RemoveTotp { password: secret(""), code, from: ip(HERE), browser: String::new() };
    assert_eq!(scene.bench.refusal(Some(&bob), &remove(now())).await, Why::Stale);
    let round = scene.confirm(&bob, &now().0).await.unwrap();
    scene.round(&round, BOB).await.unwrap();
    assert_eq!(scene.bench.refusal(Some(&bob), &remove(now())).await, Why::WrongCode, "it is used");
    scene.bench.pass(Duration::from_secs(60));
    let bob = scene.bench.ask(Some(&bob), &remove(now())).await.unwrap().token;
    assert!(!scene.bench.text("users/bob.toml").contains("second_factor"));
    scene.bench.ask(Some(&bob), &unbind("bob", BOB, true)).await.unwrap();
    assert!(!scene.is_in(&bob).await && !scene.bench.text("users/bob.toml").contains(&line(BOB)));
    assert!(!has_account().await, "the former one is none here");
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_unknown_is_turned_away_or_asks_to_join() {
    let scene = Scene::new("");
    let refused =
        scene.stranger(EVE, json!({"email": "ann@example.org", "email_verified": true})).await.unwrap_err();
    assert!(
        refused.hint.as_deref().unwrap().contains("ask an admin"),
        "no address makes anybody ann: {refused:?}"
    );

    let scene = Scene::new("join = \"propose\"\n");
    let bench = &scene.bench;
    let eve = scene
        .stranger(EVE, json!({"preferred_username": "Eve.Adams", "email": "eve@example.org"}))
        .await
        .unwrap();
    assert_eq!((eve.name.as_str(), eve.at_once), ("eve-adams", false));
    for (name, says) in [("Eve Adams", "name"), ("bob", "somebody else's")] {
        let refused = scene.join(&eve, name).await.unwrap_err();
        assert!(refused.why == Why::BadQuestion && refused.message.contains(says), "{refused:?}");
    }
    let joined = scene.join(&eve, "eve").await.unwrap();
    assert!(matches!(&joined, OidcJoined::Proposed { topic } if topic == "join-eve"), "{joined:?}");
    assert_eq!(scene.join(&eve, "eve").await.unwrap_err().why, Why::BadQuestion, "a secret asks once");
    assert!(scene.round(&scene.begin().await, EVE).await.is_ok(), "nobody is in yet");
    let again = scene.stranger(EVE, json!({})).await.unwrap();
    let refused = scene.join(&again, "eve2").await.unwrap_err();
    assert!(refused.message.contains("asked already, under the name `eve`"), "{refused:?}");
    let other = scene.stranger("f-4", json!({})).await.unwrap();
    assert!(scene.join(&other, "eve").await.unwrap_err().message.contains("Somebody has asked for"));

    // An admin reads it and agrees; then the provider opens.
    let ann = bench.sign_in("ann").await;
    let sheet =
        bench.ask(Some(&ann), &ProposalRead { topic: "join-eve".to_owned(), from: None }).await.unwrap();
    assert!(sheet.may_approve, "{sheet:?}");
    let approve = Approve { topic: "join-eve".to_owned(), at: sheet.card.tip, from: None, knows: false };
    let bob = bench.sign_in("bob").await;
    assert_eq!(bench.refusal(Some(&bob), &approve).await, Why::NotFound);
    bench.ask(Some(&ann), &approve).await.unwrap();
    let file = bench.text("users/eve.toml");
    assert!(file.contains(&line(EVE)) && !file.contains("email") && !file.contains("admin"), "{file}");
    assert_eq!(scene.sign_in(EVE).await.person.name.as_str(), "eve");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_of_a_domain_or_a_group_is_in_at_once() {
    let scene =
        Scene::new("join = \"allowed\"\nemail_domains = [\"uni.example.org\"]\ngroups = [\"staff\"]\n");
    let (unverified, nobody) = ("hasn't verified your address", "may join by themselves");
    for (claims, says) in [
        (json!({"email": "eve@uni.example.org"}), unverified),
        (json!({"email": "eve@uni.example.org", "email_verified": false}), unverified),
        (json!({"email": "eve@example.org", "email_verified": true}), nobody),
        (json!({"groups": ["students"]}), nobody),
        (json!({"groups": {"staff": true}}), nobody),
    ] {
        let refused = scene.stranger(EVE, claims.clone()).await.unwrap_err();
        assert!(refused.message.contains(says), "{claims}: {refused:?}");
    }
    let eve =
        scene.stranger(EVE, json!({"email": "eve@uni.example.org", "email_verified": true})).await.unwrap();
    assert!(eve.at_once);
    let OidcJoined::SignedIn(signed_in) = scene.join(&eve, "eve").await.unwrap() else { panic!() };
    assert!(scene.is_in(&signed_in.token).await);
    let file = scene.bench.text("users/eve.toml");
    assert!(file.contains("email = \"eve@uni.example.org\"") && file.contains(&line(EVE)), "{file}");
    let long_ago = scene.bench.date().as_second() - 3600;
    let dan = json!({"groups": ["x", "staff"], "auth_time": long_ago});
    let dan = scene.stranger("d-5", dan).await.unwrap();
    let OidcJoined::SignedIn(dana) = scene.join(&dan, "dana").await.unwrap() else { panic!() };
    let sheet = Factors { name: "dana".parse().unwrap() };
    assert!(!scene.bench.ask(Some(&dana.token), &sheet).await.unwrap().is_fresh, "that proof is old");
    // Their account joins once, whatever they do with the binding.
    scene.bench.ask(Some(&signed_in.token), &unbind("eve", EVE, true)).await.unwrap();
    let scene = Scene { bench: scene.bench.reopened().await, ..scene };
    let again = scene.stranger(EVE, json!({"groups": "staff"})).await.unwrap();
    let refused = scene.join(&again, "eve2").await.unwrap_err();
    assert!(refused.message.contains("here already, as `eve`"), "{refused:?}");
    scene.bench.commit("eve goes", &[Edit::remove("users/eve.toml")]);
    scene.join(&again, "eve2").await.unwrap();
    // An address that the state doesn't take isn't theirs to mend.
    let bare = json!({"groups": "staff", "email": "h@localhost", "email_verified": true});
    scene.join(&scene.stranger("h-7", bare).await.unwrap(), "hal").await.unwrap();
    assert!(!scene.bench.text("users/hal.toml").contains("email"));
    // Names that are taken cost nothing; those who join are counted.
    let late = scene.stranger("l-9", json!({"groups": "staff"})).await.unwrap();
    for _ in 0..25 {
        assert_eq!(scene.join(&late, "bob").await.unwrap_err().why, Why::BadQuestion);
    }
    for number in 2..20 {
        let one = scene.stranger(&format!("n-{number}"), json!({"groups": "staff"})).await.unwrap();
        scene.join(&one, &format!("n{number}")).await.unwrap();
    }
    assert!(matches!(scene.join(&late, "late").await.unwrap_err().why, Why::TooMany { .. }));
    // Settings that change while somebody chooses a name hold.
    scene.bench.pass(Duration::from_secs(3600));
    let late = scene.stranger("g-6", json!({"groups": "staff"})).await.unwrap();
    let closed = format!(
        "domain = \"hosting.example.org\"\n[panel]\ndomain = \"panel.example.net\"\n[panel.oidc]\n\
         issuer = \"{ISSUER}\"\nclient_id = \"{CLIENT}\"\n"
    );
    scene.bench.commit("closed", &[Edit::write("platform.toml", closed)]);
    assert_eq!(scene.join(&late, "gus").await.unwrap_err().why, Why::Forbidden);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_was_a_member_s_joins_as_no_other() {
    let scene = Scene::new("join = \"allowed\"\ngroups = [\"staff\"]\n");
    let bench = &scene.bench;
    // Bound here, and brought in by an admin's commit.
    let bob = scene.sign_in(BOB).await.token;
    assert!(matches!(scene.bind(&bob, EVE).await.unwrap(), OidcOutcome::Bound));
    bench.ask(Some(&bob), &unbind("bob", EVE, false)).await.unwrap();
    bench.commit("bob takes the other out", &[Edit::write("users/bob.toml", user("bob", ""))]);
    let scene = Scene { bench: scene.bench.reopened().await, ..scene };
    for account in [BOB, EVE] {
        let again = scene.stranger(account, json!({"groups": "staff"})).await.unwrap();
        let refused = scene.join(&again, "bob2").await.unwrap_err();
        assert!(refused.message.contains("here already, as `bob`"), "{account}: {refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_gets_a_name_later_doesnt_keep_an_account_out() {
    let scene = Scene::new("join = \"allowed\"\ngroups = [\"staff\"]\n");
    let bench = &scene.bench;
    let other = || [Edit::write("users/eve.toml", user("eve", ""))];
    // The commit fails, and the name becomes somebody else's.
    let eve = scene.stranger(EVE, json!({"groups": "staff"})).await.unwrap();
    let lock = bench.repo().join("refs/heads/main.lock");
    std::fs::write(&lock, "").unwrap();
    assert_eq!(scene.join(&eve, "eve").await.unwrap_err().why, Why::Unavailable);
    std::fs::remove_file(&lock).unwrap();
    bench.commit("another eve", &other());
    scene.join(&eve, "eve2").await.unwrap();
    // Somebody joins and is removed, and then their name is somebody else's.
    bench.commit("the other goes", &[Edit::remove("users/eve.toml")]);
    let fay = scene.stranger("f-4", json!({"groups": "staff"})).await.unwrap();
    let OidcJoined::SignedIn(fay) = scene.join(&fay, "eve").await.unwrap() else { panic!() };
    bench.commit("fay goes", &[Edit::remove("users/eve.toml")]);
    assert!(!scene.is_in(&fay.token).await);
    bench.commit("another eve", &other());
    let fay = scene.stranger("f-4", json!({"groups": "staff"})).await.unwrap();
    scene.join(&fay, "fay").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn admins_see_who_has_not_come_by_the_provider_for_long() {
    let scene = Scene::new("away = 2\n");
    let bench = &scene.bench;
    let names = async |of: UsersOf| {
        let ann = bench.sign_in("ann").await;
        let list = bench.ask(Some(&ann), &Users { search: String::new(), page: 1, of }).await.unwrap();
        list.rows.iter().map(|row| row.name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names(UsersOf::Away).await, ["bob"], "nobody has seen him yet");
    assert_eq!(names(UsersOf::Unbound).await, ["ann", "cyn", "dan"]);
    scene.sign_in(BOB).await;
    assert_eq!(names(UsersOf::Away).await, [""; 0]);
    bench.pass(Duration::from_secs(2 * 24 * 3600));
    assert_eq!(names(UsersOf::Away).await, ["bob"]);
    let outcome = scene.round(&scene.begin().await, BOB).await;
    assert!(outcome.is_ok());
    // It outlives the door.
    let scene = Scene { bench: scene.bench.reopened().await, ..scene };
    let ann =
        scene.bench.try_sign_in("ann", &format!("ann{}", crate::bench::PASSWORD), ELSEWHERE).await.unwrap();
    let away = Users { search: String::new(), page: 1, of: UsersOf::Away };
    assert_eq!(scene.bench.ask(Some(&ann.token), &away).await.unwrap().all, 0);
}
