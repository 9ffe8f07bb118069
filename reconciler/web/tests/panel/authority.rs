//! Every route of the table, as somebody who may not open it.

use berth_web::routes::{Route, table};
use berth_wire::web::Who;
use http::{Method, StatusCode};

use crate::browser::{Browser, Page};
use crate::panel::Panel;

/// The rows of pages.
fn pages() -> Vec<Route> {
    table().into_iter().filter(|route| !route.is_api()).collect()
}

/// A path of the route, with something in each place where anything may stand.
fn path(route: &Route) -> String {
    let parts = route.path.split('/').map(|part| if part.starts_with('{') { "1" } else { part });
    parts.collect::<Vec<_>>().join("/")
}

async fn open(browser: &Browser, route: &Route) -> Page {
    match route.method == Method::GET {
        true => browser.get(&path(route)).await,
        false => browser.post(&path(route), &[]).await,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_led_to_the_sign_in() {
    let panel = Panel::start().await;
    for route in pages().iter().filter(|route| matches!(route.who, Who::Known | Who::Admin)) {
        let page = open(&panel.browser(), route).await;
        assert_eq!((page.status, page.header("location")), (StatusCode::SEE_OTHER, "/login"), "{route:?}");
    }
    assert_eq!(*panel.door.world.asked.lock(), [], "the door isn't asked anything");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_is_refused_what_is_for_admins() {
    let panel = Panel::start().await;
    let bob = panel.signed_in("bob").await;
    for route in pages().iter().filter(|route| route.who == Who::Admin) {
        let before = panel.door.world.asked.lock().len();
        open(&bob, route).await.says(StatusCode::FORBIDDEN, "for admins");
        let asked = panel.door.world.asked.lock()[before..].to_vec();
        assert_eq!(
            asked,
            [("/me".to_owned(), Some("bob".to_owned()))],
            "{route:?}: no code of the page has run"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_anybody_may_open_is_this_and_no_more() {
    let open = table().into_iter().filter(|route| route.who == Who::Anybody);
    let open: Vec<_> = open.map(|route| format!("{} {}", route.method, route.path)).collect();
    let known = [
        "GET /login",
        "POST /login",
        "GET /login/code",
        "POST /login/code",
        "POST /login/passkey/options",
        "POST /login/passkey",
        "GET /login/oidc",
        "GET /login/oidc/back",
        "GET /login/join",
        "POST /login/join",
        "POST /logout",
        "GET /invite/{secret}",
        "POST /invite/{secret}",
        "GET /assets/{name}",
        "GET /swagger",
        "GET /swagger/",
        "GET /swagger/{name}",
        "GET /api/openapi.json",
        "GET /api/problems",
        "POST /api/login",
    ];
    assert_eq!(open, known);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_paths_and_methods_are_pages_with_a_way_out() {
    let panel = Panel::start().await;
    let bob = panel.signed_in("bob").await;
    for path in ["/nothing", "/account/nothing", "/assets/style.css", "/assets/..%2flayout.html", "//account"]
    {
        let page = bob.get(path).await;
        page.says(StatusCode::NOT_FOUND, "There is no such page.");
        assert!(page.text.contains("href=\"/\""), "{}", page.text);
    }
    bob.post("/account", &[]).await.says(StatusCode::METHOD_NOT_ALLOWED, "first page");
    let delete = bob.request(Method::DELETE, "/account", "");
    bob.send(delete).await.says(StatusCode::METHOD_NOT_ALLOWED, "only shows pages");
}
