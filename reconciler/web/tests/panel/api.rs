//! The API: who may ask for what, how it refuses, and what a write does.

use std::collections::BTreeSet;

use berth_web::routes::{Route, table};
use berth_wire::web::{Needs, Scope, Who};
use http::header::{AUTHORIZATION, CONTENT_TYPE, ORIGIN};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::browser::{Browser, Page};
use crate::door::PASSWORD;
use crate::panel::Panel;
use crate::platform::furnish;

/// Rows of the API.
fn rows() -> Vec<Route> {
    table().into_iter().filter(Route::is_api).collect()
}

/// A path of the route, with something in each place where anything may stand.
fn path(route: &Route) -> String {
    let parts = route.path.split('/').map(|part| match part {
        "{id}" => "3",
        "{fqdn}" => "shop.example.org",
        "{revision}" => "abababababababababababababababababababab",
        "{name}" => "shop",
        "{user}" => "bob",
        "{topic}" => "twice-the-memory",
        part => part,
    });
    parts.collect::<Vec<_>>().join("/")
}

/// Sends what a program sends.
pub(crate) async fn send(
    browser: &Browser,
    method: &Method,
    path: &str,
    token: Option<&str>,
    body: Option<&Value>,
) -> Page {
    send_with(browser, method, path, token, body, &[]).await
}

pub(crate) async fn send_with(
    browser: &Browser,
    method: &Method,
    path: &str,
    token: Option<&str>,
    body: Option<&Value>,
    more: &[(&'static str, &str)],
) -> Page {
    let text = body.map(ToString::to_string).unwrap_or_default();
    let mut request = browser.request(method.clone(), path, &text);
    let headers = request.headers_mut();
    if let Some(token) = token {
        headers.insert(AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
    }
    if body.is_some() {
        headers.insert(CONTENT_TYPE, "application/json".parse().unwrap());
    }
    for (name, value) in more {
        headers.insert(*name, value.parse().unwrap());
    }
    browser.send(request).await
}

/// The problem that an answer is.
#[track_caller]
pub(crate) fn problem(page: &Page, status: StatusCode, kind: &str) -> Value {
    assert_eq!(
        (page.status, page.header("content-type")),
        (status, "application/problem+json"),
        "{}",
        page.text
    );
    let problem: Value = serde_json::from_str(&page.text).unwrap();
    assert_eq!(problem["type"], format!("/api/problems#{kind}"), "{problem}");
    assert_eq!(problem["status"], status.as_u16(), "{problem}");
    for part in ["title", "detail", "rule"] {
        assert!(problem[part].as_str().is_some_and(|text| !text.is_empty()), "{part}: {problem}");
    }
    problem
}

pub(crate) fn json_of(page: &Page) -> Value {
    assert_eq!(page.header("content-type"), "application/json", "{}", page.text);
    serde_json::from_str(&page.text).unwrap()
}

/// A platform, and a token with every scope that bob has.
pub(crate) async fn furnished() -> (Panel, String) {
    let panel = Panel::start().await;
    furnish(&panel.door, "word");
    let scopes = [Scope::Servers, Scope::Domains, Scope::Account, Scope::Reviews];
    let bob = panel.door.world.api_token("bob", &scopes);
    (panel, bob)
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_told_to_sign_in_and_nothing_else() {
    let panel = Panel::start().await;
    for route in rows().iter().filter(|route| route.who != Who::Anybody) {
        for token in [None, Some("wrong"), Some("berth_wrong")] {
            let page = send(&panel.browser(), &route.method, &path(route), token, None).await;
            problem(&page, StatusCode::UNAUTHORIZED, "signed-out");
            assert!(page.header("www-authenticate").starts_with("Bearer"), "{route:?}");
        }
    }
    let asked: BTreeSet<String> =
        panel.door.world.asked.lock().iter().map(|(path, _)| path.clone()).collect();
    assert_eq!(asked, ["/me".to_owned()].into(), "the door is asked who it is, and nothing else");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_is_refused_what_is_for_admins_and_a_narrow_token_what_it_lacks() {
    let panel = Panel::start().await;
    let all = panel.door.world.api_token("bob", &Scope::ALL);
    let narrow = panel.door.world.api_token("ann", &[Scope::Read]);
    let mut refused = 0;
    for route in rows().iter().filter(|route| route.who != Who::Anybody) {
        let before = panel.door.world.asked.lock().len();
        if route.who == Who::Admin {
            let page = send(&panel.browser(), &route.method, &path(route), Some(&all), None).await;
            problem(&page, StatusCode::FORBIDDEN, "admins-only");
        }
        if let Needs::Scope(scope) = route.needs
            && scope != Scope::Read
        {
            let page = send(&panel.browser(), &route.method, &path(route), Some(&narrow), None).await;
            let problem = problem(&page, StatusCode::FORBIDDEN, "out-of-scope");
            assert_eq!(problem["scope"], scope.word(), "{route:?}");
            refused += 1;
        }
        let asked = panel.door.world.asked.lock()[before..].to_vec();
        assert!(asked.iter().all(|(path, _)| path == "/me"), "{route:?}: no code of it has run: {asked:?}");
    }
    assert!(refused > 20, "{refused}");
}

/// Bodies of requests, which are strict.
const BODIES: [&str; 12] = [
    "NewServer",
    "ServerEdit",
    "NewDomain",
    "DomainEdit",
    "NewUser",
    "UserEdit",
    "Login",
    "NewToken",
    "Consent",
    "No",
    "Control",
    "Dns",
];

#[tokio::test(flavor = "multi_thread")]
async fn the_description_and_the_table_agree_both_ways() {
    let panel = Panel::start().await;
    let page = panel.browser().get("/api/openapi.json").await;
    assert_eq!(page.status, StatusCode::OK);
    let description = json_of(&page);
    let mut described = BTreeSet::new();
    for (path, item) in description["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            described.insert(format!("{} {path}", method.to_uppercase()));
            assert!(operation["responses"]["default"].is_object(), "{method} {path} tells of no problem");
            let has_body = operation["requestBody"].is_object();
            assert!(!has_body || ["post", "patch"].contains(&method.as_str()), "{method} {path}");
        }
    }
    let known: BTreeSet<String> =
        rows().iter().map(|route| format!("{} {}", route.method, route.path)).collect();
    assert_eq!(described, known);
    for route in rows() {
        let operation = &description["paths"][route.path][route.method.as_str().to_lowercase()];
        let is_open = operation["security"].as_array().unwrap().is_empty();
        assert_eq!(is_open, route.who == Who::Anybody, "{route:?}");
        let parameters = operation["parameters"].as_array();
        let names_itself =
            parameters.is_some_and(|all| all.iter().any(|one| one["name"] == "idempotency-key"));
        assert_eq!(names_itself, !is_open && route.method != Method::GET, "{route:?}");
    }
    // What is strict says so, and no number is bounded by 31 bits.
    let text = description.to_string();
    let at = text.find("int32").map(|at| &text[at.saturating_sub(200)..at]);
    assert_eq!(at, None);
    for body in BODIES {
        let schema = &description["components"]["schemas"][body];
        assert_eq!(schema["additionalProperties"], false, "{body}: {schema}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_problem_is_told() {
    let panel = Panel::start().await;
    let kinds = json_of(&panel.browser().get("/api/problems").await);
    let kinds: Vec<&str> =
        kinds.as_array().unwrap().iter().map(|kind| kind["name"].as_str().unwrap()).collect();
    assert!(kinds.contains(&"out-of-scope") && kinds.contains(&"needs-review"), "{kinds:?}");
    let distinct: BTreeSet<&&str> = kinds.iter().collect();
    assert_eq!(distinct.len(), kinds.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_reads_answers_with_json_that_nobody_keeps() {
    let (panel, bob) = furnished().await;
    let ann = panel.door.world.api_token("ann", &Scope::ALL);
    // Nobody has begun a clean-up.
    let reads = |route: &&Route| route.method == Method::GET && !route.path.ends_with("/cleanup");
    for route in rows().iter().filter(reads) {
        let token = if route.who == Who::Admin { &ann } else { &bob };
        let page = send(&panel.browser(), &route.method, &path(route), Some(token), None).await;
        assert_eq!(page.status, StatusCode::OK, "{route:?}: {}", page.text);
        json_of(&page);
        assert_eq!(page.header("cache-control"), "no-store", "{route:?}");
        let cors = page.headers.keys().any(|name| name.as_str().starts_with("access-control"));
        assert!(!cors, "{route:?}");
    }
    let none = send(&panel.browser(), &Method::GET, "/api/servers/3/cleanup", Some(&bob), None).await;
    problem(&none, StatusCode::NOT_FOUND, "not-found");
    let me = json_of(&send(&panel.browser(), &Method::GET, "/api/me", Some(&bob), None).await);
    assert_eq!((&me["name"], &me["scopes"][0]), (&json!("bob"), &json!("servers")));
    let list = json_of(&send(&panel.browser(), &Method::GET, "/api/servers", Some(&bob), None).await);
    let first = &list["rows"][0];
    assert_eq!((&first["cpus"], &first["id"], &list["pages"]), (&json!(1.5), &json!(3), &json!(3)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_no_sense_is_told_by_its_name_and_never_an_error_of_ours() {
    let (panel, bob) = furnished().await;
    let browser = panel.browser();
    let ask = async |method: Method, path: &str, body: Option<Value>| {
        send(&browser, &method, path, Some(&bob), body.as_ref()).await
    };
    let invalid = async |method, path: &str, body| {
        problem(&ask(method, path, Some(body)).await, StatusCode::UNPROCESSABLE_ENTITY, "invalid")
    };
    let unknown = invalid(Method::PATCH, "/api/servers/3", json!({ "privileged": true })).await;
    assert_eq!(unknown["findings"][0]["field"], "privileged", "{unknown}");
    let wrong = invalid(Method::PATCH, "/api/servers/3", json!({ "pids": -1 })).await;
    assert!(wrong["detail"].as_str().unwrap().contains("-1"), "{wrong}");
    let missing = invalid(Method::POST, "/api/servers", json!({})).await;
    assert_eq!(missing["findings"][0]["field"], "name", "{missing}");
    for (method, path) in [
        (Method::POST, "/api/stop/shop"),
        (Method::DELETE, "/api/servers/3"),
        (Method::POST, "/api/servers/3/restart"),
    ] {
        let more = invalid(method, path, json!({ "force": true })).await;
        assert_eq!(more["findings"][0]["field"], "force", "{path}: {more}");
    }
    for (method, path) in [
        (Method::GET, "/api/servers?pages=1"),
        (Method::GET, "/api/servers?page=x"),
        (Method::GET, "/api/servers?page=0"),
        (Method::DELETE, "/api/servers/3?plan=maybe"),
    ] {
        problem(&ask(method, path, None).await, StatusCode::BAD_REQUEST, "bad-request");
    }
    for nothing in [
        "/api/servers/0",
        "/api/servers/shop",
        "/api/servers/4294967296",
        "/api/changes/abc",
        "/api/users/No",
        "/api/nothing",
        "/api/domains/%00",
    ] {
        problem(&ask(Method::GET, nothing, None).await, StatusCode::NOT_FOUND, "not-found");
    }
    for (kind, status, name) in [
        ("text/plain", StatusCode::UNSUPPORTED_MEDIA_TYPE, "not-json"),
        ("application/json; charset=utf-8", StatusCode::BAD_REQUEST, "bad-request"),
    ] {
        let mut request = browser.request(Method::POST, "/api/servers", "{\"name\":");
        request.headers_mut().insert(AUTHORIZATION, format!("Bearer {bob}").parse().unwrap());
        request.headers_mut().insert(CONTENT_TYPE, kind.parse().unwrap());
        problem(&browser.send(request).await, status, name);
    }
    let long = json!({ "name": "x".repeat(300 << 10) });
    problem(&ask(Method::POST, "/api/servers", Some(long)).await, StatusCode::PAYLOAD_TOO_LARGE, "too-large");
    assert_eq!(panel.door.times("/plan"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_get_of_what_changes_something_says_why_not() {
    let (panel, bob) = furnished().await;
    for act in ["create", "start", "stop", "delete", "cleanup"] {
        let page = send(&panel.browser(), &Method::GET, &format!("/api/{act}/shop"), Some(&bob), None).await;
        let problem = problem(&page, StatusCode::METHOD_NOT_ALLOWED, "wrong-method");
        assert!(problem["detail"].as_str().unwrap().contains("so it takes none"), "{problem}");
        assert_eq!(page.header("allow"), "POST", "{act}");
    }
    let put = send(&panel.browser(), &Method::PUT, "/api/servers/3", Some(&bob), Some(&json!({}))).await;
    problem(&put, StatusCode::METHOD_NOT_ALLOWED, "wrong-method");
    let allowed: BTreeSet<&str> = put.header("allow").split(',').collect();
    assert_eq!(allowed, ["DELETE", "GET", "HEAD", "PATCH"].into());
    let token = send(&panel.browser(), &Method::GET, "/api/tokens/0", Some(&bob), None).await;
    problem(&token, StatusCode::METHOD_NOT_ALLOWED, "wrong-method");
    assert_eq!((token.header("allow"), token.text.contains("POST")), ("DELETE", false), "{}", token.text);
    assert_eq!(panel.door.times("/plan"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn everybodys_are_for_admins_and_what_can_be_no_token_is_asked_of_nobody() {
    let (panel, bob) = furnished().await;
    for list in ["servers", "domains"] {
        let path = format!("/api/{list}?all=true");
        let page = send(&panel.browser(), &Method::GET, &path, Some(&bob), None).await;
        problem(&page, StatusCode::FORBIDDEN, "admins-only");
        assert_eq!(panel.door.times(&format!("/{list}")), 0);
    }
    let asked = panel.door.times("/me");
    for none in ["", "two words", &"x".repeat(129)] {
        let page = send(&panel.browser(), &Method::GET, "/api/me", Some(none), None).await;
        problem(&page, StatusCode::UNAUTHORIZED, "signed-out");
    }
    assert_eq!(panel.door.times("/me"), asked);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cookie_counts_for_the_panels_own_pages_alone() {
    let (panel, bob) = furnished().await;
    let browser = panel.signed_in("bob").await;
    assert_eq!(browser.get("/api/servers").await.status, StatusCode::OK);
    let body = json!({ "memory": "4GiB" });
    let patch = async |token, more: &[(&'static str, &str)]| {
        send_with(&browser, &Method::PATCH, "/api/servers/3", token, Some(&body), more).await
    };
    problem(&patch(None, &[]).await, StatusCode::FORBIDDEN, "cross-site");
    problem(&patch(None, &[("origin", "https://evil.example")]).await, StatusCode::FORBIDDEN, "cross-site");
    problem(&patch(None, &[("sec-fetch-site", "same-site")]).await, StatusCode::FORBIDDEN, "cross-site");
    assert_eq!(panel.door.times("/commit"), 0);
    let own = panel.origin();
    assert_eq!(patch(None, &[(ORIGIN.as_str(), &own)]).await.status, StatusCode::OK);
    assert_eq!(patch(Some(&*bob), &[]).await.status, StatusCode::OK, "a program that has the cookie as well");
    // A token that is none isn't helped by the cookie.
    problem(&patch(Some("wrong"), &[(ORIGIN.as_str(), &own)]).await, StatusCode::UNAUTHORIZED, "signed-out");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_signs_in_by_name_password_and_code() {
    let panel = Panel::start().await;
    let login =
        async |body: Value| send(&panel.browser(), &Method::POST, "/api/login", None, Some(&body)).await;
    let good = login(json!({ "username": "bob", "password": PASSWORD })).await;
    assert_eq!(good.status, StatusCode::OK, "{}", good.text);
    assert!(good.header("set-cookie").is_empty());
    let token = json_of(&good)["token"].as_str().unwrap().to_owned();
    let me = json_of(&send(&panel.browser(), &Method::GET, "/api/me", Some(&token), None).await);
    assert_eq!((&me["name"], &me["scopes"]), (&json!("bob"), &Value::Null));
    let wrong = login(json!({ "username": "bob", "password": "wrong" })).await;
    let told = problem(&wrong, StatusCode::UNAUTHORIZED, "wrong-credentials");
    assert!(told.get("findings").is_none() && told["hint"].is_null(), "{told}");
    panel.door.world.people.lock().get_mut("cleo").unwrap().code = Some("123456".to_owned());
    let half = login(json!({ "username": "cleo", "password": PASSWORD })).await;
    problem(&half, StatusCode::UNAUTHORIZED, "code-wanted");
    let wrong = login(json!({ "username": "cleo", "password": PASSWORD, "code": "000000" })).await;
    problem(&wrong, StatusCode::UNAUTHORIZED, "wrong-credentials");
    let good = login(json!({ "username": "cleo", "password": PASSWORD, "code": "123456" })).await;
    assert_eq!(good.status, StatusCode::OK, "{}", good.text);
    let out = send(&panel.browser(), &Method::POST, "/api/logout", Some(&token), None).await;
    assert_eq!(out.status, StatusCode::OK, "{}", out.text);
    let after = send(&panel.browser(), &Method::GET, "/api/me", Some(&token), None).await;
    problem(&after, StatusCode::UNAUTHORIZED, "signed-out");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_about_the_api_are_in_the_program() {
    let panel = Panel::start().await;
    let browser = panel.browser();
    assert_eq!(browser.get("/swagger").await.header("location"), "/swagger/");
    let page = browser.get("/swagger/").await;
    page.says(StatusCode::OK, "swagger-ui");
    // The policy of every page holds: no script and no style in the page itself, and no other host.
    assert!(page.header("content-security-policy").contains("default-src 'none'"));
    assert!(
        !page.text.contains("<style") && !page.text.contains("http://") && !page.text.contains("https://"),
        "{}",
        page.text
    );
    for part in page.text.split("<script").skip(1) {
        assert!(part.trim_start().starts_with("src="), "{part}");
    }
    browser.get("/swagger/swagger-initializer.js").await.says(StatusCode::OK, "/api/openapi.json");
    assert_eq!(browser.get("/swagger/swagger-ui-bundle.js").await.header("content-type"), "text/javascript");
    browser.get("/swagger/nothing.js").await.says(StatusCode::NOT_FOUND, "There is no such page.");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_panel_makes_tokens_shows_each_once_and_revokes_them() {
    let (panel, _) = furnished().await;
    let bob = panel.signed_in("bob").await;
    let page = bob.get("/account/tokens").await;
    page.says(StatusCode::OK, "New token");
    assert!(
        page.text.contains("value=\"servers\"") && !page.text.contains("value=\"admin\""),
        "{}",
        page.text
    );
    let ann = panel.signed_in("ann").await;
    ann.get("/account/tokens").await.says(StatusCode::OK, "value=\"admin\"");
    let form = [("name", "build"), ("scope", "read"), ("scope", "servers"), ("days", "30")];
    let made = bob.post("/account/tokens", &form).await;
    made.says(StatusCode::OK, "berth_the-new-one");
    assert_eq!(made.header("cache-control"), "no-store");
    assert!(!bob.get("/account/tokens").await.text.contains("berth_the-new-one"));
    let wrong =
        bob.post("/account/tokens", &[("name", "a name"), ("scope", "domains"), ("days", "soon")]).await;
    wrong.says(StatusCode::UNPROCESSABLE_ENTITY, "1 to 366 days");
    assert!(
        wrong.text.contains("value=\"a name\"") && wrong.text.contains("value=\"domains\" checked"),
        "{}",
        wrong.text
    );
    let revoked = bob.post("/account/tokens/revoke", &[("id", "0a0a0a0a0a0a0a0a")]).await;
    assert_eq!(revoked.goes_to(), "/account/tokens");
    bob.get("/account/tokens").await.says(StatusCode::OK, "opens nothing any more");
}
