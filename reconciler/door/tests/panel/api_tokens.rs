//! API tokens: what makes, bounds and ends them.

use std::time::Duration;

use berth_repo::Edit;
use berth_wire::web::{
    ApiTokenMade, ApiTokens, Change, Commit, Committed, Deed, EndApiToken, FieldEdit, Input, Invite,
    MakeApiToken, Me, Object, Plan, Redeem, Refusal, Scope, Secret, ServerRead, Servers, SignIn, Standing,
    Sync, Token, Users, UsersOf, Why,
};
use berth_wire::{Event, PassRecord};

use crate::bench::{Bench, HERE, PASSWORD, ip, sign_in};

fn asked(scopes: &[Scope], days: u32) -> MakeApiToken {
    MakeApiToken { name: "the build server".to_owned(), scopes: scopes.to_vec(), days, from: ip(HERE) }
}

/// Makes a token for ninety days.
pub(crate) async fn make(bench: &Bench, token: &Token, scopes: &[Scope]) -> (ApiTokenMade, Token) {
    let made = bench.ask(Some(token), &asked(scopes, 90)).await.unwrap();
    let text = made.token.0.clone();
    (made, Token::new(text))
}

fn edit(of: Object, name: &str, now: &str) -> Change {
    let field = FieldEdit { name: name.to_owned(), was: Input::Unset, now: Input::Text(now.to_owned()) };
    Change { of, deed: Deed::Edit { fields: vec![field] } }
}

async fn write(bench: &Bench, token: &Token, change: Change) -> Result<Committed, Refusal> {
    let planned = bench.ask(Some(token), &Plan { change: change.clone(), from: None }).await?;
    bench.ask(Some(token), &Commit { change, digest: planned.digest, from: None, knows: false }).await
}

fn server(name: &str) -> Object {
    Object::Server(name.to_owned())
}

#[tokio::test]
async fn a_token_is_made_by_a_commit_that_holds_its_digest_alone() {
    let bench = Bench::new();
    let bob = bench.sign_in("bob").await;
    let (made, token) = make(&bench, &bob, &[Scope::Servers, Scope::Read]).await;
    assert!(token.as_str().starts_with("berth_") && token.as_str().len() == 6 + 43, "{token:?}");
    let text = bench.text("users/bob.toml");
    assert!(
        text.contains(" read,servers 1970-01-01T00:00:00Z 1970-04-01T00:00:00Z the build server"),
        "{text}"
    );
    assert!(!text.contains(token.as_str()), "{text}");
    let repo = berth_repo::StateRepo::open(&bench.repo()).unwrap();
    let commit = repo.commit_info(&repo.head().unwrap().unwrap()).unwrap();
    assert_eq!((commit.author.name.as_str(), commit.summary.as_str()), ("bob", "bob: new API token"));
    let log = std::fs::read_to_string(bench.kept("audit.log")).unwrap();
    assert!(log.contains("\"act\":\"make-api-token\"") && !log.contains(token.as_str()), "{log}");
    // It needs nothing of the door's own records, so it outlives them.
    let bench = bench.reopened().await;
    let me = bench.ask(Some(&token), &Me {}).await.unwrap();
    assert_eq!((me.name.as_str(), me.scopes), ("bob", Some(vec![Scope::Read, Scope::Servers])));
    let list = bench.ask(Some(&token), &ApiTokens::default()).await.unwrap();
    assert_eq!(list, [made.card]);
}

#[tokio::test]
async fn one_is_made_only_by_whoever_has_just_proved_who_they_are_and_never_for_more_than_they_may() {
    let bench = Bench::new();
    let bob = bench.sign_in("bob").await;
    for (scopes, days) in
        [(&[][..], 9), (&[Scope::Admin][..], 9), (&[Scope::Read][..], 0), (&[Scope::Read][..], 367)]
    {
        assert_eq!(
            bench.refusal(Some(&bob), &asked(scopes, days)).await,
            Why::BadQuestion,
            "{scopes:?} {days}"
        );
    }
    let (_, token) = make(&bench, &bob, &[Scope::Account]).await;
    assert_eq!(bench.refusal(Some(&token), &asked(&[Scope::Read], 9)).await, Why::Stale, "by a token");
    bench.pass(Duration::from_secs(10 * 60));
    assert_eq!(bench.refusal(Some(&bob), &asked(&[Scope::Read], 9)).await, Why::Stale);
    let ann = bench.sign_in("ann").await;
    for _ in 0..20 {
        make(&bench, &ann, &[Scope::Admin]).await;
    }
    assert_eq!(bench.refusal(Some(&ann), &asked(&[Scope::Read], 9)).await, Why::BadQuestion, "too many");
}

#[tokio::test]
async fn it_ends_by_itself_by_a_commit_and_with_its_person() {
    let bench = Bench::new();
    let bob = bench.sign_in("bob").await;
    let (one, first) = make(&bench, &bob, &[Scope::Account]).await;
    let (_, second) = make(&bench, &bob, &[Scope::Read]).await;
    let short = bench.ask(Some(&bob), &asked(&[Scope::Read], 1)).await.unwrap();
    let short = Token::new(short.token.0);
    bench.ask(Some(&short), &Me {}).await.unwrap();
    assert_eq!(
        bench.refusal(Some(&second), &EndApiToken { user: None, id: one.card.id.clone() }).await,
        Why::OutOfScope { scope: Scope::Account }
    );
    bench.ask(Some(&first), &EndApiToken { user: None, id: one.card.id.clone() }).await.unwrap();
    assert_eq!(bench.refusal(Some(&first), &Me {}).await, Why::SignedOut);
    assert_eq!(bench.refusal(Some(&bob), &EndApiToken { user: None, id: one.card.id }).await, Why::NotFound);
    bench.pass(Duration::from_secs(24 * 60 * 60));
    assert_eq!(bench.refusal(Some(&short), &Me {}).await, Why::SignedOut);
    bench.ask(Some(&second), &Me {}).await.unwrap();
    let text = bench.text("users/bob.toml");
    let without: String =
        text.lines().filter(|line| !line.contains(" read ")).map(|line| format!("{line}\n")).collect();
    bench.commit("revoked by a push", &[Edit::write("users/bob.toml", without)]);
    assert_eq!(bench.refusal(Some(&second), &Me {}).await, Why::SignedOut);

    let cyn = bench.sign_in("cyn").await;
    let (_, of_cyn) = make(&bench, &cyn, &[Scope::Read]).await;
    bench.ask(Some(&of_cyn), &Me {}).await.unwrap();
    let gone: Vec<Edit> = [
        "users/cyn.toml",
        "servers/cyns.toml",
        "servers/cyns2.toml",
        "domains/cyns.hosting.example.org.toml",
    ]
    .map(Edit::remove)
    .into();
    bench.commit("cyn leaves", &gone);
    assert_eq!(bench.refusal(Some(&of_cyn), &Me {}).await, Why::SignedOut);
    for wrong in ["berth_", "berth_wrong", &format!("berth_{}", "x".repeat(43))] {
        assert_eq!(bench.refusal(Some(&Token::new(wrong)), &Me {}).await, Why::SignedOut);
    }
}

#[tokio::test]
async fn its_scopes_bound_what_it_changes() {
    let bench = Bench::new();
    let bob = bench.sign_in("bob").await;
    let (_, servers) = make(&bench, &bob, &[Scope::Servers]).await;
    let (_, account) = make(&bench, &bob, &[Scope::Account]).await;
    let memory = || edit(server("bobs"), "pids", "256");
    let email = || edit(Object::User("bob".to_owned()), "email", "b@example.org");
    let lacks = |result: Result<Committed, Refusal>| result.unwrap_err().why;
    assert_eq!(lacks(write(&bench, &account, memory()).await), Why::OutOfScope { scope: Scope::Servers });
    assert_eq!(lacks(write(&bench, &servers, email()).await), Why::OutOfScope { scope: Scope::Account });
    assert!(matches!(write(&bench, &servers, memory()).await.unwrap(), Committed::Made { .. }));
    assert!(bench.text("servers/bobs.toml").contains("pids = 256"));
    // What isn't bob's, no scope gives him.
    let theirs = edit(server("cyns"), "pids", "256");
    assert_eq!(lacks(write(&bench, &servers, theirs).await), Why::NotFound);
}

#[tokio::test]
async fn an_admins_token_is_an_admins_only_with_the_scope_and_while_they_are_one() {
    let bench = Bench::new();
    bench.commit("ann's own", &[Edit::write("servers/anns.toml", "id = 9\nowner = \"ann\"\n")]);
    let ann = bench.sign_in("ann").await;
    let (_, narrow) = make(&bench, &ann, &[Scope::Servers, Scope::Domains, Scope::Account]).await;
    let (_, wide) = make(&bench, &ann, &[Scope::Admin, Scope::Servers]).await;
    let cyns = ServerRead { id: serde_json::from_str("2").unwrap() };
    bench.ask(Some(&wide), &cyns).await.unwrap();
    assert_eq!(bench.refusal(Some(&narrow), &cyns).await, Why::NotFound);
    let everybody = Servers { search: String::new(), everybody: true, page: 1 };
    assert_eq!(bench.refusal(Some(&narrow), &everybody).await, Why::OutOfScope { scope: Scope::Admin });
    let users = Users { search: String::new(), page: 1, of: UsersOf::All };
    assert_eq!(bench.refusal(Some(&narrow), &users).await, Why::OutOfScope { scope: Scope::Admin });
    bench.ask(Some(&wide), &users).await.unwrap();
    let domain = |server: &str| Change {
        of: Object::Domain("new.hosting.example.org".to_owned()),
        deed: Deed::Create {
            fields: vec![FieldEdit {
                name: "server".to_owned(),
                was: Input::Unset,
                now: Input::Text(server.to_owned()),
            }],
        },
    };
    let quota = edit(Object::User("ann".to_owned()), "quota.servers", "99");
    for change in [quota, domain("cyns")] {
        match write(&bench, &narrow, change.clone()).await.unwrap() {
            Committed::Changed { planned } => assert_eq!(planned.standing, Standing::Refused, "{change:?}"),
            Committed::Made { .. } | Committed::Sent { .. } => panic!("{change:?} was made"),
        }
    }
    assert!(matches!(write(&bench, &narrow, domain("anns")).await.unwrap(), Committed::Made { .. }));
    bench.commit("eve is an admin", &[Edit::write("users/eve.toml", "role = \"admin\"\n")]);
    let demoted = bench.text("users/ann.toml").replace("role = \"admin\"\n", "");
    bench.commit("ann is none", &[Edit::write("users/ann.toml", demoted)]);
    assert_eq!(bench.refusal(Some(&wide), &users).await, Why::Forbidden);
    assert_eq!(bench.refusal(Some(&wide), &cyns).await, Why::NotFound);
}

#[tokio::test]
async fn a_programs_commits_say_that_they_came_by_the_api() {
    let bench = Bench::new();
    let bob = bench.sign_in("bob").await;
    let (_, narrow) = make(&bench, &bob, &[Scope::Servers]).await;
    let ann = bench.sign_in("ann").await;
    let (_, wide) = make(&bench, &ann, &[Scope::Servers, Scope::Admin]).await;
    let short = SignIn { is_short: true, ..sign_in("bob", &format!("bob{PASSWORD}"), HERE) };
    let berth_wire::web::Entered::SignedIn(short) = bench.ask(None, &short).await.unwrap() else {
        panic!("bob has no second factor")
    };
    let mut was = Input::Unset;
    for (token, pids, door) in
        [(&narrow, "251", "api"), (&wide, "252", "api"), (&short.token, "253", "api"), (&bob, "254", "panel")]
    {
        let now = Input::Text(pids.to_owned());
        let fields = vec![FieldEdit { name: "pids".to_owned(), was, now: now.clone() }];
        was = now;
        let change = Change { of: server("bobs"), deed: Deed::Edit { fields } };
        assert!(matches!(write(&bench, token, change).await.unwrap(), Committed::Made { .. }), "{pids}");
        let repo = berth_repo::StateRepo::open(&bench.repo()).unwrap();
        let commit = repo.commit_info(&repo.head().unwrap().unwrap()).unwrap();
        assert_eq!(commit.trailers, [("Berth-Door".to_owned(), door.to_owned())], "{pids}");
    }
}

#[tokio::test]
async fn a_programs_sign_in_lasts_an_hour_and_ends_no_browsers() {
    let bench = Bench::new();
    let bob = bench.sign_in("bob").await;
    let program = || SignIn { is_short: true, ..sign_in("bob", &format!("bob{PASSWORD}"), HERE) };
    let mut last = None;
    for _ in 0..25 {
        let berth_wire::web::Entered::SignedIn(signed_in) = bench.ask(None, &program()).await.unwrap() else {
            panic!("bob has no second factor")
        };
        last = Some(signed_in);
    }
    let last = last.unwrap();
    assert_eq!(last.until, jiff::Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_hours(1));
    bench.ask(Some(&bob), &Me {}).await.unwrap();
    bench.pass(Duration::from_secs(60 * 60 - 1));
    bench.ask(Some(&last.token), &Me {}).await.unwrap();
    bench.pass(Duration::from_secs(1));
    assert_eq!(bench.refusal(Some(&last.token), &Me {}).await, Why::SignedOut);
    bench.ask(Some(&bob), &Me {}).await.unwrap();
}

#[tokio::test]
async fn an_admin_asks_for_a_pass_and_hears_what_it_came_to() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let bench = Bench::new();
    let (ann, bob) = (bench.sign_in("ann").await, bench.sign_in("bob").await);
    assert_eq!(bench.refusal(Some(&bob), &Sync {}).await, Why::Forbidden);
    assert_eq!(bench.refusal(Some(&ann), &Sync {}).await, Why::Unavailable, "no reconciler runs");
    // A reconciler that has found the image of the web server away.
    let socket = bench.home.path().join("data/door.sock");
    let listener = tokio::net::UnixListener::bind(&socket).unwrap();
    let record = PassRecord {
        at: jiff::Timestamp::UNIX_EPOCH,
        attempted: None,
        revision: None,
        reason: "a request".to_owned(),
        outcomes: Vec::new(),
        problems: vec!["the image is away".to_owned()],
        retry_millis: None,
    };
    let line = serde_json::to_string(&Event::Answer { record: Some(record) }).unwrap() + "\n";
    let reconciler = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = [0; 11];
        stream.read_exact(&mut head).await.unwrap();
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{line}", line.len());
        stream.write_all(answer.as_bytes()).await.unwrap();
        // The connection stays until whoever asked has read all of it.
        let _ = stream.read_to_end(&mut Vec::new()).await;
        String::from_utf8(head.to_vec()).unwrap()
    });
    let synced = bench.ask(Some(&ann), &Sync {}).await.unwrap();
    assert_eq!((synced.is_over, synced.is_clean, synced.done), (true, false, 0));
    assert_eq!(synced.problems, ["the image is away"]);
    assert_eq!(reconciler.await.unwrap(), "POST /sync ");
    let log = std::fs::read_to_string(bench.kept("audit.log")).unwrap();
    assert!(log.contains("\"who\":\"ann\",\"act\":\"sync\""), "{log}");
}

#[tokio::test]
async fn an_admin_ends_others_tokens_and_so_does_a_redeemed_invitation() {
    let bench = Bench::new();
    let (ann, bob, cyn) =
        (bench.sign_in("ann").await, bench.sign_in("bob").await, bench.sign_in("cyn").await);
    let (one, first) = make(&bench, &bob, &[Scope::Read]).await;
    let (_, second) = make(&bench, &bob, &[Scope::Account]).await;
    let (_, wide) = make(&bench, &ann, &[Scope::Account, Scope::Admin]).await;
    let of = |name: &str| Some(name.parse().unwrap());
    let (list, end) =
        (ApiTokens { user: of("bob") }, EndApiToken { user: of("bob"), id: one.card.id.clone() });
    // What is bob's isn't there for cyn, nor for a token of ann's that acts as a member's.
    let (_, narrow) = make(&bench, &ann, &[Scope::Account]).await;
    for token in [&cyn, &narrow] {
        assert_eq!(bench.refusal(Some(token), &list).await, Why::NotFound);
        assert_eq!(bench.refusal(Some(token), &end).await, Why::NotFound);
    }
    assert_eq!(bench.ask(Some(&wide), &list).await.unwrap().len(), 2);
    assert_eq!(bench.refusal(Some(&wide), &end).await, Why::Stale);
    bench.pass(Duration::from_secs(10 * 60));
    assert_eq!(bench.refusal(Some(&ann), &end).await, Why::Stale);
    let ann = bench.sign_in("ann").await;
    bench.ask(Some(&ann), &end).await.unwrap();
    assert_eq!(bench.refusal(Some(&ann), &end).await, Why::NotFound);
    assert_eq!(bench.refusal(Some(&first), &Me {}).await, Why::SignedOut);
    let log = std::fs::read_to_string(bench.kept("audit.log")).unwrap();
    assert!(log.contains("\"who\":\"ann\",\"act\":\"end-api-token\",\"user\":\"bob\""), "{log}");
    bench.ask(Some(&second), &Me {}).await.unwrap();
    let invited = bench.ask(Some(&ann), &Invite { user: "bob".parse().unwrap() }).await.unwrap();
    bench.ask(Some(&second), &Me {}).await.unwrap();
    let redeem = Redeem {
        invitation: invited.invitation,
        password: Secret("a password that is new".to_owned()),
        from: ip(HERE),
        browser: String::new(),
    };
    bench.ask(None, &redeem).await.unwrap();
    assert_eq!(bench.refusal(Some(&second), &Me {}).await, Why::SignedOut);
    assert!(!bench.text("users/bob.toml").contains("tokens"));
    bench.ask(Some(&wide), &Me {}).await.unwrap();
}

#[tokio::test]
async fn a_line_that_says_it_is_good_for_longer_than_a_year_opens_nothing() {
    let bench = Bench::new();
    let bob = bench.sign_in("bob").await;
    let made = bench.ask(Some(&bob), &asked(&[Scope::Read], 366)).await.unwrap();
    let token = Token::new(made.token.0);
    bench.ask(Some(&token), &Me {}).await.unwrap();
    let text = bench.text("users/bob.toml");
    let until = "1971-01-02T00:00:00Z";
    assert!(text.contains(until), "{text}");
    let longer = text.replace(until, "1971-01-02T00:00:01Z");
    bench.commit("longer", &[Edit::write("users/bob.toml", longer)]);
    assert_eq!(bench.refusal(Some(&token), &Me {}).await, Why::SignedOut);
}
