//! Every question, as somebody who may not ask it. The table below has all of them, or the test fails.

use std::collections::BTreeSet;

use berth_judge::outgoing::{Outgoing, Record, put};
use berth_repo::{Edit, Revision, Signature, StateRepo};
use berth_wire::web::{Needs, Proposed, Scope};
use serde_json::{Value, json};

use crate::api_tokens::make;
use crate::bench::{Bench, HERE};

/// A question about what is cyn's, and whether it is answered to bob, who has nothing to do with it. Anybody may ask those
/// that carry a secret of their own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Bob {
    /// The answer is about bob, or about nobody.
    Own,
    /// Answered to anybody, and about nobody.
    Anybody,
    /// Refused as if it weren't there.
    NotFound,
    /// Refused, since bob is no admin.
    NoAdmin,
    /// Answered to every member, and to nobody else.
    Members,
    /// Open to anybody, and the secret in it is wrong.
    Secret,
    /// The secret in it is wrong, too, but one has to be signed in.
    OwnSecret,
}

/// A change of cyn's server.
fn change() -> Value {
    let fields = json!([{ "name": "memory", "was": "unset", "now": { "text": "2 GiB" } }]);
    json!({ "of": { "kind": "server", "name": "cyns" }, "deed": { "deed": "edit", "fields": fields } })
}

/// A wiki that every member reads.
fn pages(bench: &Bench) {
    let edits = [Edit::write("docs/welcome.md", "# Welcome\n"), Edit::write("docs/plan.png", "\u{89}PNG")];
    bench.commit("pages", &edits);
}

/// `cyns` is a commit of cyn's; `topic` and `proposed` are her proposal and its tip.
fn table(cyns: &str, topic: &str, proposed: &str) -> Vec<(&'static str, Value, Bob)> {
    let change = change();
    let confirm = json!({ "proof": { "proof": "password", "password": "wrong", "code": "" }, "from": HERE });
    vec![
        ("/sign-in", json!({ "user": "cyn", "password": "wrong", "from": HERE }), Bob::Secret),
        ("/invitation", json!({ "invitation": "wrong", "from": HERE }), Bob::Secret),
        ("/redeem", json!({ "invitation": "wrong", "password": "x", "from": HERE }), Bob::Secret),
        ("/set-password", json!({ "old": "wrong", "new": "a new password", "from": HERE }), Bob::OwnSecret),
        ("/sign-in-code", json!({ "half": "wrong", "code": "000000", "from": HERE }), Bob::Secret),
        (
            "/sign-in-passkey",
            json!({ "host": "panel.example.net", "response": "{}", "from": HERE }),
            Bob::Secret,
        ),
        ("/challenge", json!({ "host": "panel.example.net", "from": HERE }), Bob::Anybody),
        ("/organisation", json!({}), Bob::Anybody),
        ("/sign-in-ways", json!({}), Bob::Anybody),
        ("/oidc-sign-in", json!({ "host": "panel.example.net", "from": HERE }), Bob::Secret),
        ("/oidc-back", json!({ "round": "x", "state": "x", "code": "x", "from": HERE }), Bob::Secret),
        ("/oidc-join", json!({ "half": "wrong", "name": "eve", "from": HERE }), Bob::Secret),
        ("/oidc-confirm", json!({ "host": "panel.example.net", "code": "", "from": HERE }), Bob::OwnSecret),
        ("/oidc-bind", json!({ "host": "panel.example.net", "from": HERE }), Bob::OwnSecret),
        (
            "/oidc-unbind",
            json!({ "user": "cyn", "account": "https://h.org 1", "knows": true }),
            Bob::NotFound,
        ),
        ("/confirm", confirm, Bob::OwnSecret),
        ("/factors", json!({ "name": "cyn" }), Bob::NotFound),
        ("/totp-begin", json!({}), Bob::Own),
        ("/totp-set", json!({ "code": "cyns", "from": HERE }), Bob::OwnSecret),
        ("/totp-remove", json!({ "password": "wrong", "code": "000000", "from": HERE }), Bob::OwnSecret),
        ("/recovery-new", json!({}), Bob::OwnSecret),
        ("/factor-lift", json!({ "user": "cyn" }), Bob::NoAdmin),
        ("/passkey-begin", json!({ "host": "panel.example.net" }), Bob::Own),
        (
            "/passkey-add",
            json!({ "host": "panel.example.net", "name": "x", "response": "{}" }),
            Bob::OwnSecret,
        ),
        ("/passkey-remove", json!({ "user": "cyn", "id": "x" }), Bob::NotFound),
        ("/sessions", json!({}), Bob::Own),
        ("/session-end", json!({ "id": "cyns" }), Bob::NotFound),
        ("/sessions-end", json!({ "user": "cyn" }), Bob::NoAdmin),
        ("/audit", json!({ "of": "cyn", "page": 1 }), Bob::NoAdmin),
        ("/me", json!({}), Bob::Own),
        ("/invite", json!({ "user": "cyn" }), Bob::NoAdmin),
        ("/users", json!({ "search": "", "page": 1 }), Bob::NoAdmin),
        ("/user", json!({ "name": "cyn" }), Bob::NotFound),
        ("/servers", json!({ "search": "", "everybody": true, "page": 1 }), Bob::NoAdmin),
        ("/server", json!({ "id": 2 }), Bob::NotFound),
        ("/domains", json!({ "search": "", "everybody": true, "page": 1 }), Bob::NoAdmin),
        ("/domain", json!({ "fqdn": "cyns.hosting.example.org" }), Bob::NotFound),
        ("/leads", json!({ "server": 2 }), Bob::NotFound),
        ("/blank", json!({ "of": { "kind": "server", "name": "" } }), Bob::Own),
        ("/history", json!({ "of": { "kind": "server", "name": "cyns" }, "page": 1 }), Bob::NotFound),
        ("/commit-read", json!({ "revision": cyns }), Bob::NotFound),
        ("/platform", json!({}), Bob::NoAdmin),
        ("/plan", json!({ "change": change }), Bob::NotFound),
        ("/commit", json!({ "change": change, "digest": "", "knows": false }), Bob::NotFound),
        ("/propose", json!({ "change": change }), Bob::NotFound),
        ("/revert", json!({ "revision": cyns, "digest": null, "knows": false }), Bob::NotFound),
        ("/propose-revert", json!({ "revision": cyns }), Bob::NotFound),
        ("/proposals", json!({}), Bob::Own),
        ("/proposal", json!({ "topic": topic }), Bob::NotFound),
        ("/approve", json!({ "topic": topic, "at": proposed, "knows": false }), Bob::NotFound),
        ("/reject", json!({ "topic": topic, "reason": "" }), Bob::NotFound),
        ("/pulls", json!({}), Bob::Own),
        ("/pull", json!({ "user": "cyn", "topic": "server-cyns" }), Bob::NotFound),
        ("/pull-withdraw", json!({ "user": "cyn", "topic": "server-cyns" }), Bob::NotFound),
        ("/power", json!({ "server": 2, "act": "restart" }), Bob::NotFound),
        (
            "/open",
            json!({ "host": "guarded.hosting.example.org", "challenge": "c".repeat(43) }),
            Bob::NotFound,
        ),
        ("/ticket", json!({ "server": 2, "act": "terminal", "from": HERE }), Bob::NotFound),
        ("/docs", json!({}), Bob::Members),
        ("/doc", json!({ "path": "welcome" }), Bob::Members),
        ("/doc-file", json!({ "path": "plan.png" }), Bob::Members),
        ("/docs-search", json!({ "words": "welcome" }), Bob::Members),
        ("/sync", json!({}), Bob::NoAdmin),
        ("/api-tokens", json!({}), Bob::Own),
        (
            "/api-token-make",
            json!({ "name": "x", "scopes": ["admin"], "days": 1, "from": HERE }),
            Bob::OwnSecret,
        ),
        ("/api-token-end", json!({ "id": "0000000000000000" }), Bob::NotFound),
        ("/state-tree", json!({ "at": "", "folder": "", "page": 1 }), Bob::NoAdmin),
        ("/state-file", json!({ "at": "", "path": "servers/bobs.toml", "page": 1 }), Bob::NoAdmin),
        ("/state-text", json!({ "path": "users/bob.toml" }), Bob::NoAdmin),
        ("/state-blame", json!({ "at": "", "path": "servers/bobs.toml", "page": 1 }), Bob::NoAdmin),
        ("/state-diff", json!({ "from": "", "to": "", "path": "", "page": 1 }), Bob::NoAdmin),
        ("/state-search", json!({ "at": "", "text": "bobs" }), Bob::NoAdmin),
        (
            "/state-table",
            json!({ "kind": "users", "search": "", "having": [], "sort": "", "is_falling": false, "page": 1 }),
            Bob::NoAdmin,
        ),
        // Last, since they end the token.
        ("/sign-out-everywhere", json!({}), Bob::Own),
        ("/sign-out", json!({}), Bob::Own),
    ]
}

/// Sends a commit of cyn's to a forge.
fn outgoing(bench: &Bench, commit: Revision) {
    let by = Signature::now("cyn", "cyn@hosting.example.org");
    let (user, topic) = ("cyn".parse().unwrap(), "server-cyns".parse().unwrap());
    let record = Record { title: "cyns: what cyn did".to_owned(), ..Record::default() };
    let repo = StateRepo::open(&bench.repo()).unwrap();
    put(&repo, &Outgoing { user, topic, commit, by, record }).unwrap();
}

#[tokio::test]
async fn every_question_is_refused_to_whom_it_is_not_for() {
    let bench = Bench::new();
    let text = "id = 2\nowner = \"cyn\"\npids = 512\n";
    let cyns = bench.commit("what cyn did", &[Edit::write("servers/cyns.toml", text)]);
    pages(&bench);
    let cyn = bench.sign_in("cyn").await;
    let question = json!({ "change": change() }).to_string();
    let (status, body) = bench.raw("/propose", Some(cyn.as_str()), &question).await;
    assert_eq!(status, 200, "{body}");
    let proposed: Proposed = serde_json::from_str(&body).unwrap();
    outgoing(&bench, proposed.revision);
    let topic = proposed.topic;
    let table = table(&cyns.to_string(), &topic, &proposed.revision.to_string());
    let known: BTreeSet<&str> = table.iter().map(|(path, ..)| *path).collect();
    let routed: BTreeSet<&str> = berth_door::web::paths().into_iter().collect();
    assert_eq!(known, routed, "a question is missing in the table");
    let bob = bench.sign_in("bob").await;
    let tip = std::fs::read(bench.repo().join("refs/heads/main")).unwrap();
    for (path, question, expected) in &table {
        let question = question.to_string();
        let is_open = *expected == Bob::Secret;
        for token in [None, Some("wrong"), Some(&*"x".repeat(43))] {
            let (status, body) = bench.raw(path, token, &question).await;
            if *expected == Bob::Anybody {
                assert_eq!(status, 200, "{path} as nobody: {body}");
                continue;
            }
            let is_refused = if is_open { [401, 404].contains(&status) } else { status == 401 };
            assert!(is_refused, "{path} as nobody: {status} {body}");
            assert!(is_open || body.contains("signed-out"), "{path} as nobody: {body}");
        }
        let (status, body) = bench.raw(path, Some(bob.as_str()), &question).await;
        let wanted = match expected {
            Bob::Own | Bob::Anybody | Bob::Members => 200,
            Bob::NotFound => 404,
            Bob::NoAdmin => 403,
            Bob::Secret | Bob::OwnSecret => status,
        };
        assert_eq!(status, wanted, "{path} as bob: {body}");
        assert!(wanted == 200 || status >= 400, "{path} as bob: {body}");
        assert!(!body.contains("argon2") && !body.contains("cyns"), "{path} as bob: {body}");
    }
    assert_eq!(std::fs::read(bench.repo().join("refs/heads/main")).unwrap(), tip);
}

/// A token that only reads is refused everything else, and told which scope it lacks.
#[tokio::test]
async fn a_narrow_token_does_what_it_is_for_and_nothing_else() {
    let bench = Bench::new();
    let text = "id = 2\nowner = \"cyn\"\npids = 512\n";
    let cyns = bench.commit("what cyn did", &[Edit::write("servers/cyns.toml", text)]);
    pages(&bench);
    let cyn = bench.sign_in("cyn").await;
    let question = json!({ "change": change() }).to_string();
    let (_, body) = bench.raw("/propose", Some(cyn.as_str()), &question).await;
    let proposed: Proposed = serde_json::from_str(&body).unwrap();
    outgoing(&bench, proposed.revision);
    let table = table(&cyns.to_string(), &proposed.topic, &proposed.revision.to_string());
    // Ann is an admin, and cyn has everything that the questions are about.
    let (_, of_cyn) = make(&bench, &cyn, &[Scope::Read]).await;
    let ann = bench.sign_in("ann").await;
    let (_, of_ann) = make(&bench, &ann, &[Scope::Read]).await;
    let tip = std::fs::read(bench.repo().join("refs/heads/main")).unwrap();
    let needs = berth_door::web::needs();
    assert!(needs.len() > 30, "{needs:?}");
    for (path, needs) in needs {
        let (_, question, as_bob) = table.iter().find(|(known, ..)| *known == path).unwrap();
        let question = question.to_string();
        for token in [&of_cyn, &of_ann] {
            let (status, body) = bench.raw(path, Some(token.as_str()), &question).await;
            match needs {
                Needs::Session => {
                    let is_of_admins = body.contains("Only admins") || body.contains("\"scope\":\"admin\"");
                    assert!(status == 428 || status == 403 && is_of_admins, "{path}: {status} {body}");
                }
                Needs::Nothing => assert_eq!(status, 200, "{path}: {body}"),
                // An admin's token that lacks the scope `admin` sees of others what bob sees of them.
                Needs::Scope(Scope::Read) => {
                    let wanted = match (as_bob, token == &of_cyn) {
                        (Bob::NoAdmin, _) => 403,
                        (Bob::NotFound, false) => 404,
                        (Bob::NotFound | Bob::Own | Bob::Members, _) => 200,
                        (other, _) => panic!("{path} reads, and is {other:?} to bob"),
                    };
                    assert_eq!(status, wanted, "{path}: {body}");
                    assert!(token == &of_cyn || !body.contains("cyn"), "{path}: {body}");
                }
                Needs::Scope(_) | Needs::Depends => {
                    assert!([403, 404, 428].contains(&status), "{path}: {status} {body}");
                    let is_of_admins = token == &of_cyn && body.contains("Only admins");
                    let is_not_anns = token == &of_ann && status == 404;
                    let names = body.contains("out-of-scope") && body.contains("\"scope\":");
                    let is_terminal = path == "/ticket" && status == 428;
                    assert!(names || is_of_admins || is_not_anns || is_terminal, "{path}: {body}");
                }
            }
            assert!(!body.contains("argon2"), "{path}: {body}");
        }
    }
    assert_eq!(std::fs::read(bench.repo().join("refs/heads/main")).unwrap(), tip);
    // Questions that the table asks in another way.
    for (path, question) in [
        ("/history", json!({ "of": null, "page": 1 })),
        ("/servers", json!({ "search": "", "everybody": false, "page": 1 })),
        ("/domains", json!({ "search": "cyn", "everybody": false, "page": 1 })),
        ("/proposals", json!({})),
    ] {
        let (status, body) = bench.raw(path, Some(of_ann.as_str()), &question.to_string()).await;
        assert!(status == 200 && !body.contains("cyn"), "{path}: {status} {body}");
        let (_, body) = bench.raw(path, Some(of_cyn.as_str()), &question.to_string()).await;
        assert!(body.contains("cyn"), "{path}: what isn't there can't be hidden: {body}");
    }
    let clean_up = json!({ "server": 2, "act": "clean-up", "from": HERE }).to_string();
    let (status, body) = bench.raw("/ticket", Some(of_cyn.as_str()), &clean_up).await;
    assert!(status == 403 && body.contains("\"scope\":\"servers\""), "{status} {body}");
}

/// Somebody else's things are told of in the very words for what isn't there.
#[tokio::test]
async fn nobody_learns_what_is_there() {
    let bench = Bench::new();
    let bob = bench.sign_in("bob").await;
    let pairs = [
        ("/server", json!({ "id": 2 }), json!({ "id": 999 })),
        ("/domain", json!({ "fqdn": "cyns.hosting.example.org" }), json!({ "fqdn": "none.example.org" })),
        ("/user", json!({ "name": "cyn" }), json!({ "name": "nobody" })),
        (
            "/history",
            json!({ "of": { "kind": "user", "name": "cyn" }, "page": 1 }),
            json!({ "of": { "kind": "user", "name": "nobody" }, "page": 1 }),
        ),
        (
            "/history",
            json!({ "of": { "kind": "platform" }, "page": 1 }),
            json!({ "of": { "kind": "domain", "name": "no name" }, "page": 1 }),
        ),
    ];
    for (path, theirs, nobodys) in pairs {
        let theirs = bench.raw(path, Some(bob.as_str()), &theirs.to_string()).await;
        let nobodys = bench.raw(path, Some(bob.as_str()), &nobodys.to_string()).await;
        assert_eq!(theirs, nobodys, "{path}");
        assert_eq!(theirs.0, 404, "{path}: {}", theirs.1);
    }
}

#[tokio::test]
async fn what_is_no_question_gets_no_answer() {
    let bench = Bench::new();
    let bob = bench.sign_in("bob").await;
    for (path, body) in [("/nowhere", "{}"), ("/server", "{"), ("/server", "{\"id\":0}"), ("/me", "null")] {
        let (status, answer) = bench.raw(path, Some(bob.as_str()), body).await;
        assert_eq!(status, 400, "{path} {body}: {answer}");
        assert!(answer.contains("bad-question"), "{answer}");
    }
    let (status, _) = bench.say(b"GET /me HTTP/1.1\r\nhost: door\r\n\r\n").await;
    assert_eq!(status, 400);
    let secret = "a password that somebody typed";
    let (_, answer) = bench.raw("/sign-in", None, &format!("{{\"user\": {{\"{secret}\"")).await;
    assert!(!answer.contains(secret), "{answer}");
    // More than a question may be isn't even read.
    let head = format!("POST /me HTTP/1.1\r\nhost: door\r\ncontent-length: {}\r\n\r\n", 4 << 20);
    let body = " ".repeat((2 << 20) + 1);
    let (status, _) = bench.say((head + &body).as_bytes()).await;
    assert_eq!(status, 400);
}

/// Whoever makes something that is there already learns that the name is taken, and nothing of what has it.
#[tokio::test]
async fn a_taken_name_shows_nothing_of_what_has_it() {
    let bench = Bench::new();
    let text = "# a note of cyn's\nid = 2\nowner = \"cyn\"\npids = 512\n";
    bench.commit("cyns", &[Edit::write("servers/cyns.toml", text)]);
    let bob = bench.sign_in("bob").await;
    let fields = json!([{ "name": "memory", "was": "unset", "now": { "text": "2 GiB" } }]);
    for of in [
        json!({ "kind": "server", "name": "cyns" }),
        json!({ "kind": "domain", "name": "cyns.hosting.example.org" }),
        json!({ "kind": "user", "name": "cyn" }),
    ] {
        let change = json!({ "of": of, "deed": { "deed": "create", "fields": fields } });
        for (path, question) in [
            ("/plan", json!({ "change": change })),
            ("/propose", json!({ "change": change })),
            ("/commit", json!({ "change": change, "digest": "", "knows": false })),
        ] {
            let (_, body) = bench.raw(path, Some(bob.as_str()), &question.to_string()).await;
            for secret in ["a note", "512", "argon2", "made"] {
                assert!(!body.contains(secret), "{path} of {of}: {body}");
            }
        }
    }
    assert_eq!(bench.text("servers/cyns.toml"), text);
}
