//! Writes of the API: what they come to, by which names, and that each is done once.

use std::sync::Arc;

use berth_wire::web::{
    Change, Commit, Committed, Deed, Done, EndApiToken, Input, Object, Plan, Planned, Scope, ServerRead,
    Servers, Standing, Sync, Synced, Why,
};
use http::{Method, StatusCode};
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::api::{furnished, json_of, problem, send, send_with};
use crate::browser::Page;
use crate::door::refusal;
use crate::panel::Panel;
use crate::platform::{edit, finding, page, planned, revision, server, text};

/// The changes that the door is asked to make.
fn record(panel: &Panel) -> Arc<Mutex<Vec<Change>>> {
    let changes = Arc::new(Mutex::new(Vec::new()));
    let made = Arc::clone(&changes);
    panel.door.answer(move |_, _, asked: Commit| {
        assert_eq!(asked.digest, "the-digest");
        made.lock().push(asked.change);
        Ok(Committed::Made { revision: revision() })
    });
    changes
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_is_planned_and_committed_and_tells_where_to_follow_it() {
    let (panel, bob) = furnished().await;
    let changes = record(&panel);
    let browser = panel.browser();
    let body = json!({ "memory": "4GiB", "cpus": null, "members": ["cleo", "dan"] });
    let shown = send(&browser, &Method::PATCH, "/api/servers/3?plan", Some(&bob), Some(&body)).await;
    let shown = json_of(&shown);
    assert_eq!((&shown["outcome"], &shown["plan"]["standing"]), (&json!("planned"), &json!("allowed")));
    assert!(shown["plan"]["plan"].as_str().unwrap().contains("~ server shop"), "{shown}");
    assert_eq!(*changes.lock(), []);
    let made = json_of(&send(&browser, &Method::PATCH, "/api/servers/3", Some(&bob), Some(&body)).await);
    assert_eq!(made["outcome"], "committed");
    assert_eq!(made["follow"], format!("/api/changes/{}", revision()));
    let change = changes.lock().pop().unwrap();
    assert_eq!(change.of, Object::Server("shop".to_owned()));
    let cpus = edit(&change.deed, "cpus").unwrap();
    assert_eq!((&cpus.was, &cpus.now), (&text("1.5"), &Input::Unset), "the value that it has is named");
    assert!(edit(&change.deed, "disk").is_none());

    send(&browser, &Method::DELETE, "/api/domains/shop.example.org", Some(&bob), None).await;
    let change = changes.lock().pop().unwrap();
    assert_eq!((change.of, change.deed), (Object::Domain("shop.example.org".to_owned()), Deed::Remove));
    send(&browser, &Method::POST, "/api/servers", Some(&bob), Some(&json!({ "name": "new" }))).await;
    let change = changes.lock().pop().unwrap();
    assert_eq!(edit(&change.deed, "owner").unwrap().now, text("bob"), "one's own, where nothing is said");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_be_committed_says_why_and_what_to_do() {
    let (panel, bob) = furnished().await;
    let changes = record(&panel);
    let browser = panel.browser();
    let standing = Arc::new(Mutex::new(planned(Standing::Allowed, "x")));
    let told = Arc::clone(&standing);
    panel.door.answer(move |_, _, _: Plan| Ok(told.lock().clone()));
    let body = json!({ "memory": "4GiB" });
    let patch = async |wishes: &str| {
        send(&browser, &Method::PATCH, &format!("/api/servers/3{wishes}"), Some(&bob), Some(&body)).await
    };
    let set = |planned: Planned| *standing.lock() = planned;
    set(Planned { findings: vec![finding(Some("memory"), "too much")], ..planned(Standing::Refused, "x") });
    let refused = problem(&patch("").await, StatusCode::UNPROCESSABLE_ENTITY, "invalid");
    assert_eq!(
        (&refused["findings"][0]["field"], &refused["hint"]),
        (&json!("memory"), &json!("mend too much"))
    );
    set(planned(Standing::NeedsReview { approvers: vec!["ann".parse().unwrap()] }, "x"));
    let review = problem(&patch("").await, StatusCode::FORBIDDEN, "needs-review");
    assert_eq!(review["approvers"], json!(["ann"]));
    let proposed = patch("?propose=true").await;
    assert_eq!(proposed.status, StatusCode::ACCEPTED);
    let proposed = json_of(&proposed);
    assert_eq!(proposed["follow"], "/api/reviews/twice-the-memory");
    set(planned(Standing::Conflict { fields: Vec::new() }, "x"));
    problem(&patch("").await, StatusCode::CONFLICT, "conflict");
    set(planned(Standing::Nothing, "x"));
    assert_eq!(json_of(&patch("").await)["outcome"], "unchanged");
    set(Planned { shuts_out: vec!["You lose your key.".to_owned()], ..planned(Standing::Allowed, "x") });
    let lockout = problem(&patch("").await, StatusCode::CONFLICT, "lockout");
    assert!(lockout["detail"].as_str().unwrap().contains("You lose your key."), "{lockout}");
    assert_eq!(changes.lock().len(), 0);
    assert_eq!(json_of(&patch("?knows=true").await)["outcome"], "committed");
    // Whoever names a plan gets that or nothing.
    set(planned(Standing::Allowed, "x"));
    panel.door.answer(|_, _, asked: Commit| match asked.digest.as_str() {
        "the-digest" => Ok(Committed::Made { revision: revision() }),
        _ => Ok(Committed::Changed { planned: Box::new(planned(Standing::Allowed, "other")) }),
    });
    let changed = problem(&patch("?digest=another").await, StatusCode::CONFLICT, "conflict");
    assert_eq!(changed["plan"]["digest"], "the-digest");
    assert_eq!(json_of(&patch("?digest=the-digest").await)["outcome"], "committed");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_names_do_what_the_newer_ones_do() {
    let (panel, bob) = furnished().await;
    let changes = record(&panel);
    let browser = panel.browser();
    let post = async |path: &str, body: Option<Value>| {
        let page = send(&browser, &Method::POST, path, Some(&bob), body.as_ref()).await;
        assert!(page.status.is_success(), "{path}: {}", page.text);
        json_of(&page)
    };
    let state = |change: &Change| edit(&change.deed, "state").map(|edit| edit.now.clone());
    for (path, body) in
        [("/api/stop/shop", None), ("/api/vm/control", Some(json!({ "action": "stop", "name": "shop" })))]
    {
        post(path, body).await;
        assert_eq!(state(&changes.lock().pop().unwrap()), Some(text("stopped")), "{path}");
    }
    post("/api/start/3", None).await;
    assert_eq!(state(&changes.lock().pop().unwrap()), Some(text("running")), "by its number");
    post("/api/delete/shop", None).await;
    assert_eq!(changes.lock().pop().unwrap().deed, Deed::Remove);
    post("/api/create/new", Some(json!({ "memory": "1GiB" }))).await;
    let change = changes.lock().pop().unwrap();
    assert_eq!(change.of, Object::Server("new".to_owned()));
    assert_eq!(edit(&change.deed, "memory").unwrap().now, text("1GiB"));
    post("/api/vm/dns/3", Some(json!({ "domainname": "app.example.com", "port": 8080 }))).await;
    let change = changes.lock().pop().unwrap();
    assert_eq!(change.of, Object::Domain("app.example.com".to_owned()));
    assert_eq!(edit(&change.deed, "server").unwrap().now, text("shop"));
    assert_eq!(edit(&change.deed, "port").unwrap().now, text("8080"));
    post("/api/vm/control", Some(json!({ "action": "restart", "name": "shop" }))).await;
    assert_eq!((panel.door.times("/power"), changes.lock().len()), (1, 0));
    let status = json_of(&send(&browser, &Method::GET, "/api/status/shop", Some(&bob), None).await);
    assert_eq!(
        (&status["id"], &status["wanted"], &status["state"]),
        (&json!(3), &json!("running"), &json!("unknown"))
    );
    let none = send(&browser, &Method::GET, "/api/status/none", Some(&bob), None).await;
    problem(&none, StatusCode::NOT_FOUND, "not-found");
    let ann = panel.door.world.api_token("ann", &Scope::ALL);
    panel
        .door
        .answer(|_, _, _: Sync| Ok(Synced { is_over: true, is_clean: true, done: 2, problems: Vec::new() }));
    let synced = send(&browser, &Method::POST, "/api/updatecaddyconfig", Some(&ann), None).await;
    assert_eq!(json_of(&synced), json!({ "is_over": true, "is_clean": true, "done": 2, "problems": [] }));
}

/// Sends a write that names itself.
async fn patch(panel: &Panel, token: &str, key: &str, body: &Value) -> Page {
    let more = [("idempotency-key", key)];
    send_with(&panel.browser(), &Method::PATCH, "/api/servers/3", Some(token), Some(body), &more).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_names_itself_is_done_once_even_across_a_restart() {
    let (mut panel, bob) = furnished().await;
    let changes = record(&panel);
    let body = json!({ "memory": "4GiB" });
    let first = patch(&panel, &bob, "one", &body).await;
    assert_eq!((first.status, first.header("idempotency-replayed")), (StatusCode::OK, ""));
    let again = patch(&panel, &bob, "one", &body).await;
    assert_eq!((again.status, &again.text), (first.status, &first.text));
    assert_eq!(
        (again.header("idempotency-replayed"), again.header("content-type")),
        ("true", "application/json")
    );
    assert_eq!(changes.lock().len(), 1);
    panel.again().await;
    assert_eq!(patch(&panel, &bob, "one", &body).await.text, first.text);
    assert_eq!(changes.lock().len(), 1);
    let other = json!({ "memory": "8GiB" });
    problem(&patch(&panel, &bob, "one", &other).await, StatusCode::UNPROCESSABLE_ENTITY, "key-reused");
    let second = panel.door.world.api_token("bob", &[Scope::Servers]);
    problem(&patch(&panel, &second, "one", &body).await, StatusCode::UNPROCESSABLE_ENTITY, "key-reused");
    // Somebody else's keys are their own.
    let cleo = panel.door.world.api_token("cleo", &[Scope::Servers]);
    assert_eq!(patch(&panel, &cleo, "one", &body).await.header("idempotency-replayed"), "");
    assert_eq!(patch(&panel, &bob, "two", &body).await.header("idempotency-replayed"), "");
    assert_eq!(changes.lock().len(), 3);
    for wrong in [&*"x".repeat(256), "two words"] {
        problem(&patch(&panel, &bob, wrong, &body).await, StatusCode::BAD_REQUEST, "bad-request");
    }
    // One person has so many, and the oldest goes.
    for number in 0..100 {
        patch(&panel, &bob, &format!("more-{number}"), &body).await;
    }
    let before = changes.lock().len();
    assert_eq!(patch(&panel, &bob, "one", &body).await.header("idempotency-replayed"), "");
    assert_eq!(changes.lock().len(), before + 1);
    // The store tells nobody what was answered.
    panel.end().await;
    let mut files = vec![panel.data()];
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let content = std::fs::read(&path).unwrap();
        let needle = revision().to_string();
        assert!(
            !content.windows(needle.len()).any(|window| window == needle.as_bytes()),
            "{}",
            path.display()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_refused_is_not_kept_and_pushes_out_nothing() {
    let (panel, bob) = furnished().await;
    let changes = record(&panel);
    let body = json!({ "memory": "4GiB" });
    let done = patch(&panel, &bob, "done", &body).await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.text);
    let reads = panel.door.world.api_token("bob", &[Scope::Read]);
    panel.door.answer(|_, _, _: Plan| Ok(planned(Standing::Refused, "x")));
    for number in 0..100 {
        let key = format!("refused-{number}");
        problem(&patch(&panel, &reads, &key, &body).await, StatusCode::FORBIDDEN, "out-of-scope");
        problem(&patch(&panel, &bob, &key, &body).await, StatusCode::UNPROCESSABLE_ENTITY, "invalid");
    }
    let again = patch(&panel, &bob, "done", &body).await;
    assert_eq!((again.header("idempotency-replayed"), &again.text), ("true", &done.text));
    // It did nothing, so the same key does it once nothing is in the way.
    panel.door.answer(|_, _, _: Plan| Ok(planned(Standing::Allowed, "x")));
    let tried = patch(&panel, &bob, "refused-1", &body).await;
    assert_eq!((tried.status, tried.header("idempotency-replayed")), (StatusCode::OK, ""));
    assert_eq!(changes.lock().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_text_of_a_token_is_not_kept_to_be_told_again() {
    let (panel, _) = furnished().await;
    let login = json!({ "username": "bob", "password": crate::door::PASSWORD });
    let login = json_of(&send(&panel.browser(), &Method::POST, "/api/login", None, Some(&login)).await);
    let session = login["token"].as_str().unwrap();
    let body = json!({ "name": "build", "scopes": ["read"] });
    let make = async || {
        let more = [("idempotency-key", "one")];
        send_with(&panel.browser(), &Method::POST, "/api/tokens", Some(session), Some(&body), &more).await
    };
    let made = make().await;
    assert!(made.status == StatusCode::CREATED && made.text.contains("berth_the-new-one"), "{}", made.text);
    problem(&make().await, StatusCode::CONFLICT, "answer-gone");
    assert_eq!(panel.door.times("/api-token-make"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_anothers_number_means_neither() {
    let (panel, bob) = furnished().await;
    let changes = record(&panel);
    let post = async |path: &str| send(&panel.browser(), &Method::POST, path, Some(&bob), None).await;
    panel.door.answer(|_, _, _: Servers| Ok(page(vec![server(3, "shop"), server(4, "3")])));
    let both = problem(&post("/api/delete/3").await, StatusCode::CONFLICT, "ambiguous");
    assert!(both["hint"].as_str().unwrap().contains("/api/servers/3 or /api/servers/4"), "{both}");
    // What can't be told is no reason to look for it elsewhere.
    panel.door.answer(|_, _, _: Servers| Ok(page(vec![server(4, "7")])));
    panel.door.answer(|_, _, _: ServerRead| Err(refusal(Why::Unavailable, "not now")));
    problem(&post("/api/delete/7").await, StatusCode::SERVICE_UNAVAILABLE, "unavailable");
    assert_eq!(*changes.lock(), []);
    panel.door.answer(|_, _, _: ServerRead| Err(refusal(Why::NotFound, "none")));
    assert_eq!(post("/api/delete/7").await.status, StatusCode::OK, "nothing has this number");
    assert_eq!(changes.lock().pop().unwrap().of, Object::Server("7".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_revokes_a_members_token_on_a_page_and_by_a_path() {
    let (panel, _) = furnished().await;
    let ended = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&ended);
    panel.door.answer(move |_, _, asked: EndApiToken| {
        told.lock().push((asked.user.map(|user| user.to_string()), asked.id));
        Ok(Done)
    });
    let ann = panel.signed_in("ann").await;
    ann.get("/admin/users/bob").await.says(StatusCode::OK, "/admin/users/bob/tokens/revoke");
    let revoked = ann.post("/admin/users/bob/tokens/revoke", &[("id", "0a0a0a0a0a0a0a0a")]).await;
    assert_eq!(revoked.goes_to(), "/admin/users/bob");
    let login = json!({ "username": "ann", "password": crate::door::PASSWORD });
    let login = json_of(&send(&panel.browser(), &Method::POST, "/api/login", None, Some(&login)).await);
    let path = "/api/users/bob/tokens/0b0b0b0b0b0b0b0b";
    let done = send(&panel.browser(), &Method::DELETE, path, login["token"].as_str(), None).await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.text);
    let of_bob = |id: &str| (Some("bob".to_owned()), id.to_owned());
    assert_eq!(*ended.lock(), [of_bob("0a0a0a0a0a0a0a0a"), of_bob("0b0b0b0b0b0b0b0b")]);
}
