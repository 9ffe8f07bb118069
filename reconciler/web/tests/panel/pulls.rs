//! Where a forge hosts the state repo: a form becomes a pull request, and a page says what becomes of that.

use std::sync::Arc;

use berth_wire::web::{
    Commit, Committed, Done, Me, Person, PlatformCard, Propose, Proposed, PullCard, PullRead, PullSheet,
    PullState, PullWithdraw, Pulls, Scope, Why,
};
use http::{Method, StatusCode};
use jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::json;

use crate::api::{json_of, send};
use crate::door::refusal;
use crate::html::tags;
use crate::panel::Panel;
use crate::platform::{diff, furnish, revision};

pub(crate) fn card(word: &str, state: PullState) -> PullCard {
    PullCard {
        user: "bob".parse().unwrap(),
        topic: "server-shop".to_owned(),
        summary: word.to_owned(),
        revision: revision(),
        asked: Timestamp::UNIX_EPOCH,
        state,
        why: None,
        forge: "https://git.example.org/org/state.git".to_owned(),
        number: Some(12),
        url: Some("https://git.example.org/org/state/pulls/12".to_owned()),
        is_allowed: true,
        is_merged_here: false,
        approvers: Vec::new(),
        landed: None,
        may_withdraw: false,
    }
}

pub(crate) fn sheet(word: &str, card: PullCard) -> PullSheet {
    PullSheet {
        card,
        branch: "berth/bob/server-shop".to_owned(),
        plan: word.to_owned(),
        losses: vec![word.to_owned()],
        diffs: vec![diff(word)],
    }
}

/// A panel whose state a forge hosts, and what its door says of bob's change.
async fn hosted() -> (Panel, Arc<Mutex<PullCard>>) {
    let panel = Panel::start().await;
    furnish(&panel.door, "x");
    panel.door.answer(|world, me, _: Me| {
        let person = world.person(me);
        let forge = Some("https://git.example.org/org/state.git".to_owned());
        let platform = PlatformCard { forge, opens_pulls: true, ..person.platform };
        Ok(Person { platform, ..person })
    });
    panel.door.answer(|_, _, _: Commit| {
        Ok(Committed::Sent { topic: "server-shop".to_owned(), revision: revision() })
    });
    panel.door.answer(|_, _, _: Propose| {
        Ok(Proposed { topic: "server-shop".to_owned(), revision: revision(), is_sent: true })
    });
    let told = Arc::new(Mutex::new(card("more memory", PullState::Waiting)));
    let known = Arc::clone(&told);
    panel.door.answer(move |_, _, _: Pulls| Ok(vec![known.lock().clone()]));
    let known = Arc::clone(&told);
    panel.door.answer(move |_, me, asked: PullRead| match (me, asked.topic.as_str()) {
        ("bob" | "ann", "server-shop") => Ok(sheet("more memory", known.lock().clone())),
        _ => Err(refusal(Why::NotFound, "There is nothing of that name.")),
    });
    (panel, told)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_becomes_a_pull_request_whose_page_tells_what_becomes_of_it() {
    let (panel, told) = hosted().await;
    let bob = panel.signed_in("bob").await;
    bob.get("/vm/3/edit").await.says(StatusCode::OK, "A change becomes a pull request");
    let plan = bob.post("/vm/3/edit", &[("step", "plan"), ("memory", "4GiB")]).await;
    plan.says(StatusCode::OK, "This becomes a pull request at");
    let buttons: Vec<_> =
        tags(&plan.text).into_iter().filter(|tag| tag.name == "button").map(|tag| tag.text).collect();
    assert!(buttons.contains(&"Commit".to_owned()), "{buttons:?}");
    for step in ["commit", "propose"] {
        let done = bob.post("/vm/3/edit", &[("step", step), ("memory", "4GiB"), ("digest", "x")]).await;
        assert_eq!(done.goes_to(), "/pulls/bob/server-shop", "{step}");
    }
    let page = bob.get("/pulls/bob/server-shop").await;
    page.says(StatusCode::OK, "It is on its way to git.example.org");
    assert!(page.text.contains("http-equiv=\"refresh\""), "{}", page.text);

    *told.lock() = PullCard { approvers: vec!["ann".parse().unwrap()], ..card("x", PullState::Open) };
    let page = bob.get("/pulls/bob/server-shop").await;
    page.says(StatusCode::OK, "This became pull request #12 at git.example.org: it waits there for ann.");
    let links: Vec<_> = tags(&page.text).into_iter().filter(|tag| tag.name == "a").collect();
    let is_link = |href: &str| links.iter().any(|link| link.get("href") == Some(href));
    assert!(is_link("https://git.example.org/org/state/pulls/12"), "{}", page.text);
    *told.lock() = PullCard { landed: Some(revision()), ..card("x", PullState::Merged) };
    let page = bob.get("/pulls/bob/server-shop").await;
    page.says(StatusCode::OK, "Pull request #12 was merged at git.example.org, and the platform has it.");
    assert!(page.text.contains(&format!("href=\"/changes/{}\"", revision())), "{}", page.text);
    assert!(
        !page.text.contains("http-equiv=\"refresh\"") && !page.text.contains("data-events"),
        "{}",
        page.text
    );
    let why = Some("https://git.example.org/api answered 403: `no`".to_owned());
    *told.lock() = PullCard { why, number: None, url: None, ..card("x", PullState::Failed) };
    bob.get("/pulls/bob/server-shop").await.says(StatusCode::OK, "answered 403");
    *told.lock() = card("x", PullState::Closed);
    bob.get("/pulls/bob/server-shop")
        .await
        .says(StatusCode::OK, "closed at git.example.org without being merged");

    let list = bob.get("/reviews").await;
    list.says(StatusCode::OK, "Pull requests at git.example.org");
    assert!(list.text.contains("href=\"/pulls/bob/server-shop\""), "{}", list.text);
    let cleo = panel.signed_in("cleo").await;
    cleo.get("/pulls/bob/server-shop").await.says(StatusCode::NOT_FOUND, "nothing of that name");
    bob.get("/pulls/No!/server-shop").await.says(StatusCode::NOT_FOUND, "There is no such page");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_of_the_api_is_accepted_and_says_where_its_pull_request_is() {
    let (panel, told) = hosted().await;
    let bob = panel.door.world.api_token("bob", &[Scope::Servers]);
    let browser = panel.browser();
    let body = json!({ "memory": "4GiB" });
    for path in ["/api/servers/3", "/api/servers/3?propose=true"] {
        let sent = send(&browser, &Method::PATCH, path, Some(&bob), Some(&body)).await;
        assert_eq!(
            (sent.status, sent.header("location")),
            (StatusCode::ACCEPTED, "/api/pulls/bob/server-shop"),
            "{path}"
        );
        let sent = json_of(&sent);
        assert_eq!((&sent["outcome"], &sent["topic"]), (&json!("sent"), &json!("server-shop")));
        assert_eq!(sent["follow"], "/api/pulls/bob/server-shop");
    }
    *told.lock() = PullCard { landed: Some(revision()), ..card("x", PullState::Merged) };
    let pull = json_of(&send(&browser, &Method::GET, "/api/pulls/bob/server-shop", Some(&bob), None).await);
    assert_eq!((&pull["pull"]["state"], &pull["pull"]["number"]), (&json!("merged"), &json!(12)));
    assert_eq!(pull["pull"]["landed"], revision().to_string());
    let list = json_of(&send(&browser, &Method::GET, "/api/pulls", Some(&bob), None).await);
    assert_eq!(list[0]["topic"], "server-shop");
    let me = json_of(&send(&browser, &Method::GET, "/api/me", Some(&bob), None).await);
    assert_eq!(me["platform"]["opens_pulls"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_forge_doesnt_have_is_taken_back() {
    let (panel, told) = hosted().await;
    let known = Arc::clone(&told);
    panel.door.answer(move |_, _, asked: PullWithdraw| {
        assert_eq!((asked.user.as_str(), asked.topic.as_str()), ("bob", "server-shop"));
        *known.lock() = PullCard { number: None, url: None, ..card("x", PullState::Closed) };
        Ok(Done)
    });
    let waiting =
        || PullCard { number: None, url: None, may_withdraw: true, ..card("x", PullState::Waiting) };
    let bob = panel.signed_in("bob").await;
    let open = bob.get("/pulls/bob/server-shop").await;
    assert!(!open.text.contains("Take it back"), "it can't be: {}", open.text);
    *told.lock() = waiting();
    bob.get("/pulls/bob/server-shop").await.says(StatusCode::OK, "Take it back");
    let done = bob.post("/pulls/bob/server-shop/withdraw", &[]).await;
    assert_eq!(done.goes_to(), "/pulls/bob/server-shop");
    let page = bob.get("/pulls/bob/server-shop").await;
    page.says(StatusCode::OK, "It is taken back.");
    page.says(StatusCode::OK, "Nothing went to the forge, and nothing was changed.");

    *told.lock() = waiting();
    let token = panel.door.world.api_token("bob", &[Scope::Reviews]);
    let path = "/api/pulls/bob/server-shop";
    let gone = json_of(&send(&panel.browser(), &Method::DELETE, path, Some(&token), None).await);
    assert_eq!((&gone["outcome"], &gone["follow"]), (&json!("done"), &json!(path)));
}
