//! Guarded sites: who gets a way in, what becomes of it, and that what somebody has open ends with their right to it.

use std::fs;
use std::time::{Duration, Instant};

use berth_repo::Edit;
use berth_schema::name::ServerId;
use berth_wire::grant::{Endings, GRANT_LIFE, Grant, Shown};
use berth_wire::web::{
    Enter, GateCounted, Granted, Open, Refusal, Renew, Secret, ServerRead, SetPassword, SignOut, Token, Why,
};

use crate::bench::{Bench, HERE, PASSWORD, ip};

/// Digests of what two browsers have.
const BROWSER: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
const OTHER: &str = "BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB";

const USERS: &str = "users.hosting.example.org";
const OWNERS: &str = "owners.hosting.example.org";

fn bench() -> Bench {
    let bench = Bench::new();
    let domain = |access: &str| format!("server = \"cyns2\"\naccess = \"{access}\"\n");
    bench.commit(
        "sites",
        &[
            Edit::write(format!("domains/{USERS}.toml"), domain("users")),
            Edit::write(format!("domains/{OWNERS}.toml"), domain("owner")),
            Edit::write(
                "domains/_.owners.hosting.example.org.toml",
                domain("owner") + "tls = \"internal\"\n",
            ),
        ],
    );
    bench
}

fn open(host: &str) -> Open {
    Open { host: host.to_owned(), challenge: BROWSER.to_owned() }
}

/// The code in the address to which somebody is sent.
async fn code(bench: &Bench, token: &Token, host: &str) -> String {
    let url = bench.ask(Some(token), &open(host)).await.unwrap().url.0;
    let code = url.strip_prefix(&format!("https://{host}/.berth/enter?code="));
    code.unwrap_or_else(|| panic!("{url}")).to_owned()
}

fn enter(host: &str, code: &str, challenge: &str) -> Enter {
    Enter { host: host.parse().unwrap(), code: Secret(code.to_owned()), challenge: challenge.to_owned() }
}

async fn granted(bench: &Bench, token: &Token, host: &str) -> String {
    let code = code(bench, token, host).await;
    bench.ask_as_gate(&enter(host, &code, BROWSER)).await.unwrap().grant.0
}

async fn renewed(bench: &Bench, grant: &str) -> Result<String, Refusal> {
    let Granted { grant } = bench.ask_as_gate(&Renew { grant: Secret(grant.to_owned()) }).await?;
    Ok(grant.0)
}

fn read(grant: &str) -> Grant {
    Shown::read(grant).unwrap().grant
}

/// Waits until the gate is told that a grant has ended.
async fn ended(bench: &Bench, grant: &str) {
    let until = Instant::now() + Duration::from_secs(20);
    while !has_ended(bench, grant) {
        assert!(Instant::now() < until, "the gate isn't told");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn has_ended(bench: &Bench, grant: &str) -> bool {
    let text = fs::read_to_string(bench.gate_file("ended")).unwrap_or_default();
    Endings::read(&text).has(&read(grant))
}

#[tokio::test]
async fn only_those_whom_a_site_is_for_get_in() {
    let bench = bench();
    let below = "a.owners.hosting.example.org";
    for name in ["ann", "bob", "cyn"] {
        let token = bench.sign_in(name).await;
        for host in [USERS, OWNERS, below] {
            let grant = read(&granted(&bench, &token, host).await);
            assert_eq!((grant.user.as_str(), grant.host.as_str()), (name, host));
        }
    }
    bench.commit("alone", &[Edit::write("servers/cyns2.toml", "id = 3\nowner = \"cyn\"\n")]);
    let bob = bench.sign_in("bob").await;
    granted(&bench, &bob, USERS).await;
    for host in [OWNERS, below] {
        let refusal = bench.ask(Some(&bob), &open(host)).await.unwrap_err();
        assert_eq!(refusal.why, Why::Forbidden);
        assert!(
            refusal.message.contains(host) && refusal.hint.unwrap().contains("`cyn`"),
            "{}",
            refusal.message
        );
    }
    // Open to everybody, nobody's, no name.
    for host in [
        "bobs.hosting.example.org",
        "none.hosting.example.org",
        "b.a.owners.hosting.example.org",
        "",
        "evil/x",
    ] {
        assert_eq!(bench.refusal(Some(&bob), &open(host)).await, Why::NotFound, "{host}");
    }
    let odd = Open { challenge: "x".to_owned(), ..open(USERS) };
    assert_eq!(bench.refusal(Some(&bob), &odd).await, Why::NotFound);
    assert_eq!(bench.refusal(None, &open(USERS)).await, Why::SignedOut);
}

#[tokio::test]
async fn the_pages_of_a_server_are_for_those_who_may_log_in() {
    let bench = bench();
    let pages = ["dockge--cyns2.hosting.example.org", "files--cyns2.hosting.example.org"];
    let bob = bench.sign_in("bob").await;
    // Without a panel nobody could sign in, and the names lead nowhere.
    let settings = bench.text("platform.toml");
    bench.commit("no panel", &[Edit::write("platform.toml", "domain = \"hosting.example.org\"\n")]);
    for host in pages {
        assert_eq!(bench.refusal(Some(&bob), &open(host)).await, Why::NotFound, "{host}");
    }
    bench.commit("a panel", &[Edit::write("platform.toml", settings)]);
    for name in ["ann", "bob", "cyn"] {
        let token = bench.sign_in(name).await;
        for host in pages {
            let grant = read(&granted(&bench, &token, host).await);
            assert_eq!((grant.user.as_str(), grant.host.as_str()), (name, host));
        }
    }
    // The page of the server in the panel leads there.
    let sheet = bench.ask(Some(&bob), &ServerRead { id: ServerId(3.try_into().unwrap()) }).await.unwrap();
    let urls: Vec<_> = sheet.tools.iter().map(|card| card.url.as_str()).collect();
    assert_eq!(urls, pages.map(|host| format!("https://{host}")));

    // Whoever may not log in any more is out, and hears whom to ask; others' servers were never theirs.
    let held = granted(&bench, &bob, pages[0]).await;
    bench.commit("alone", &[Edit::write("servers/cyns2.toml", "id = 3\nowner = \"cyn\"\n")]);
    ended(&bench, &held).await;
    assert_eq!(renewed(&bench, &held).await.unwrap_err().why, Why::Forbidden);
    for host in pages {
        let refusal = bench.ask(Some(&bob), &open(host)).await.unwrap_err();
        assert_eq!(refusal.why, Why::Forbidden);
        assert!(refusal.hint.unwrap().contains("`cyn`"));
    }
    for host in [
        "dockge--none.hosting.example.org",
        "dockge--.hosting.example.org",
        "a.dockge--cyns2.hosting.example.org",
        "dockge--cyns2.example.org",
        "other--cyns2.hosting.example.org",
        "dockge-cyns2.hosting.example.org",
    ] {
        assert_eq!(bench.refusal(Some(&bob), &open(host)).await, Why::NotFound, "{host}");
    }
}

#[tokio::test]
async fn a_way_in_is_for_one_site_and_browser_once() {
    let bench = bench();
    let bob = bench.sign_in("bob").await;
    let refused = async |question: Enter| bench.ask_as_gate(&question).await.unwrap_err().why;
    let first = code(&bench, &bob, USERS).await;
    bench.ask_as_gate(&enter(USERS, &first, BROWSER)).await.unwrap();
    assert_eq!(refused(enter(USERS, &first, BROWSER)).await, Why::NotFound, "used");
    for (host, challenge) in [(OWNERS, BROWSER), (USERS, OTHER)] {
        let code = code(&bench, &bob, USERS).await;
        assert_eq!(refused(enter(host, &code, challenge)).await, Why::NotFound);
        assert_eq!(refused(enter(USERS, &code, BROWSER)).await, Why::NotFound, "a wrong try uses it up");
    }
    let late = code(&bench, &bob, USERS).await;
    bench.pass(Duration::from_secs(30));
    assert_eq!(refused(enter(USERS, &late, BROWSER)).await, Why::NotFound);
    let signed_out = code(&bench, &bob, USERS).await;
    bench.ask(Some(&bob), &SignOut {}).await.unwrap();
    assert_eq!(refused(enter(USERS, &signed_out, BROWSER)).await, Why::SignedOut);
}

#[tokio::test]
async fn a_grant_lives_for_minutes_and_is_renewed_while_its_person_is_signed_in() {
    let bench = bench();
    let bob = bench.sign_in("bob").await;
    let first = granted(&bench, &bob, OWNERS).await;
    assert!(!first.contains(bob.as_str()));
    bench.pass(Duration::from_secs(3600));
    let second = renewed(&bench, &first).await.unwrap();
    let (old, new) = (read(&first), read(&second));
    assert_eq!(new.until.duration_since(old.until).as_secs(), 3600);
    assert_eq!(GRANT_LIFE.as_secs(), 300);
    assert_eq!(Grant { until: old.until, ..new }, old);
    // What this door hasn't signed is nobody's grant.
    for forged in [old.with_signature(&[7; 64]), second.replace("~bob~", "~ann~"), "x".to_owned()] {
        assert_eq!(renewed(&bench, &forged).await.unwrap_err().why, Why::SignedOut, "{forged}");
    }
    // A renewal is no visit: the session ends when nobody comes to the panel.
    for hours in 0..12 {
        bench.pass(Duration::from_secs(3600));
        assert_eq!(renewed(&bench, &second).await.is_ok(), hours < 10, "{hours}");
    }
}

#[tokio::test]
async fn signing_out_ends_what_was_open_and_nothing_of_other_sessions() {
    let bench = bench();
    let (here, there) = (bench.sign_in("bob").await, bench.sign_in("bob").await);
    let (first, other) = (granted(&bench, &here, USERS).await, granted(&bench, &there, USERS).await);
    assert_ne!(read(&first).session, read(&other).session);
    bench.ask(Some(&here), &SignOut {}).await.unwrap();
    ended(&bench, &first).await;
    assert!(!has_ended(&bench, &other));
    assert_eq!(renewed(&bench, &first).await.unwrap_err().why, Why::SignedOut);
    // The list outlives the door, and so does the key.
    let bench = bench.reopened().await;
    fs::remove_file(bench.gate_file("ended")).unwrap();
    ended(&bench, &first).await;
    let other = renewed(&bench, &other).await.unwrap();
    let set = SetPassword {
        old: Secret(format!("bob{PASSWORD}")),
        new: Secret("another good password".to_owned()),
        from: ip(HERE),
        browser: String::new(),
    };
    bench.ask(Some(&there), &set).await.unwrap();
    ended(&bench, &other).await;
}

#[tokio::test]
async fn a_commit_ends_what_its_people_may_not_open_any_more() {
    let bench = bench();
    let bob = bench.sign_in("bob").await;
    let (owners, users) = (granted(&bench, &bob, OWNERS).await, granted(&bench, &bob, USERS).await);
    let cyn = granted(&bench, &bench.sign_in("cyn").await, OWNERS).await;
    bench.commit("no member any more", &[Edit::write("servers/cyns2.toml", "id = 3\nowner = \"cyn\"\n")]);
    ended(&bench, &owners).await;
    assert!(!has_ended(&bench, &users) && !has_ended(&bench, &cyn));
    assert_eq!(renewed(&bench, &owners).await.unwrap_err().why, Why::Forbidden);
    // Who comes back gets one that is good.
    bench.pass(Duration::from_secs(2));
    bench.commit(
        "again",
        &[Edit::write("servers/cyns2.toml", "id = 3\nowner = \"cyn\"\nmembers = [\"bob\"]\n")],
    );
    let again = granted(&bench, &bob, OWNERS).await;
    assert!(!has_ended(&bench, &again));
    // Who leaves the platform loses everything.
    let member = Edit::write("servers/cyns2.toml", "id = 3\nowner = \"cyn\"\n");
    let servers =
        ["servers/bobs.toml", "domains/bobs.hosting.example.org.toml", "users/bob.toml"].map(Edit::remove);
    bench.commit("bob leaves", &[&[member][..], &servers].concat());
    ended(&bench, &again).await;
    ended(&bench, &users).await;
    assert!(!has_ended(&bench, &cyn));
}

#[tokio::test]
async fn the_gate_tells_its_own_counts_and_nobody_else_s() {
    let bench = bench();
    let counts = r#"{"counted":{"Gate2xx":5,"PanelLogin":9},"timed":{}}"#.to_owned();
    bench.ask_as_gate(&GateCounted { counts }).await.unwrap();
    let left = fs::read_to_string(bench.kept("gate-counts.json")).unwrap();
    assert_eq!(left, r#"{"counted":{"Gate2xx":5},"timed":{}}"#);
    bench.ask_as_gate(&GateCounted { counts: "nonsense".to_owned() }).await.unwrap();
    assert_eq!(fs::read_to_string(bench.kept("gate-counts.json")).unwrap(), r#"{"counted":{},"timed":{}}"#);
    // The panel has no such question.
    let counts = "{}".to_owned();
    assert_eq!(bench.refusal(None, &GateCounted { counts }).await, Why::BadQuestion);
}

#[tokio::test]
async fn sign_ins_are_counted_by_what_became_of_them() {
    use berth_count::Counted::{PanelLogin, PanelLoginRefused, QuestionAnswered, QuestionRefused};
    let bench = bench();
    let all = || {
        [PanelLogin, PanelLoginRefused, QuestionAnswered, QuestionRefused]
            .map(|one| berth_count::now().of(one))
    };
    let before = all();
    bench.sign_in("ann").await;
    assert!(bench.try_sign_in("ann", "wrong", HERE).await.is_err());
    // Other tests of this process sign people in, too.
    assert!(all().iter().zip(before).all(|(after, before)| *after > before), "{before:?} {:?}", all());
}
