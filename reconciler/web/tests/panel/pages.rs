//! Each page of the table: full, empty, with texts that would do harm, and what its links and forms lead to.

use berth_testing::country_file;
use berth_web::Settings;
use berth_web::routes::{Route, table};
use berth_wire::web::{CommitRead, Leads, ServerRead, Servers, Who, Why};
use http::{Method, StatusCode};

use crate::browser::Browser;
use crate::door::refusal;
use crate::html::{self, tags};
use crate::panel::Panel;
use crate::platform::{HOSTILE, empty, furnish, revision};

/// Most bytes of a page on its way.
const MOST: usize = 20 << 10;

/// Routes that give out something else than a page.
const NO_PAGES: [&str; 6] = [
    "/vm/{id}/terminal/socket",
    "/vm/{id}/log/file",
    "/admin/state/table.csv",
    "/docs",
    "/wiki/picture/{*path}",
    "/wiki/diagram/{digest}",
];

/// Pages of this module's: what somebody who is signed in may look at, with something that is there in each place.
fn paths() -> Vec<String> {
    let is_page = |route: &Route| {
        route.method == Method::GET
            && route.who != Who::Anybody
            && !route.is_api()
            && !route.path.ends_with("/events")
            && route.path != "/resume"
            // Bytes, and no pages.
            && !NO_PAGES.contains(&route.path)
            // They lead on.
            && !route.path.starts_with("/dbgate")
    };
    table().iter().filter(|route| is_page(route)).map(filled).collect()
}

fn filled(route: &Route) -> String {
    let path = if route.path.starts_with("/admin/state/") { "servers/shop.toml" } else { "guide/first" };
    route
        .path
        .replace("{id}", "3")
        .replace("{fqdn}", "shop.example.org")
        .replace("{revision}", &revision().to_string())
        .replace("{topic}", "twice-the-memory")
        .replace("{name}", "bob")
        .replace("{*path}", path)
        .replace("{user}", "bob")
}

/// Checks that a path with a method is one of the table's.
fn is_routed(method: &Method, path: &str) -> bool {
    let path = path.split(['?', '#']).next().unwrap();
    table().iter().any(|route| {
        if let Some(start) = route.path.strip_suffix("{*path}") {
            return route.method == *method && path.len() > start.len() && path.starts_with(start);
        }
        let (wanted, found): (Vec<_>, Vec<_>) = (route.path.split('/').collect(), path.split('/').collect());
        route.method == *method
            && wanted.len() == found.len()
            && wanted
                .iter()
                .zip(&found)
                .all(|(wanted, found)| wanted == found || (wanted.starts_with('{') && !found.is_empty()))
    })
}

async fn size(browser: &Browser, path: &str) -> usize {
    let mut request = browser.request(Method::GET, path, "");
    request.headers_mut().insert("accept-encoding", "gzip".parse().unwrap());
    let page = browser.send(request).await;
    page.header("content-length").parse().unwrap_or(page.text.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_page_is_whole_small_and_leads_somewhere() {
    let panel = Panel::start().await;
    furnish(&panel.door, "quite ordinary");
    let ann = panel.signed_in("ann").await;
    for path in paths() {
        let page = ann.get(&path).await;
        page.says(StatusCode::OK, "<h1>");
        assert_eq!(page.text.matches("<h1").count(), 1, "{path}: one heading of the page");
        assert!(page.text.contains("class=\"skip\"") && page.text.contains("<html lang=\"en\">"), "{path}");
        let tags = tags(&page.text);
        for tag in &tags {
            assert!(
                !tag.attributes.iter().any(|(name, _)| name.starts_with("on") || name == "style"),
                "{path}: {tag:?}"
            );
            match tag.name.as_str() {
                "a" => {
                    let to = tag.get("href").unwrap();
                    let stays = to.starts_with('#') || to.starts_with("https://");
                    assert!(stays || is_routed(&Method::GET, to), "{path} leads to {to}");
                }
                "form" => {
                    let method = if tag.get("method") == Some("post") { Method::POST } else { Method::GET };
                    let to = tag.get("action").unwrap_or(&path);
                    assert!(is_routed(&method, to), "{path} sends to {method} {to}");
                }
                "script" => assert!(tag.get("src").is_some_and(|src| src.starts_with("/assets/")), "{path}"),
                "label" => {
                    let of = tag.get("for");
                    let is_there = of.is_none_or(|of| tags.iter().any(|tag| tag.get("id") == Some(of)));
                    assert!(is_there, "{path}: a label of nothing, {of:?}");
                }
                "div" if tag.get("data-events").is_some() => {
                    let to = tag.get("data-events").unwrap();
                    assert!(is_routed(&Method::GET, to), "{path} listens to {to}");
                }
                _ => {}
            }
            if tag.get("data-live").is_some() {
                assert!(tag.get("id").is_some_and(|id| id.starts_with("live-")), "{path}: {tag:?}");
            }
        }
        let ids: Vec<_> = tags.iter().filter_map(|tag| tag.get("id")).collect();
        let mut once = ids.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), ids.len(), "{path}: an id twice in {ids:?}");
        let size = size(&ann, &path).await;
        assert!(size <= MOST, "{path} has {size} bytes");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_text_becomes_markup() {
    let panel = Panel::start().await;
    furnish(&panel.door, HOSTILE);
    let ann = panel.signed_in("ann").await;
    let mut pages = Vec::new();
    for path in paths() {
        pages.push((path.clone(), ann.get(&path).await.text));
    }
    for (path, values) in [
        ("/vm/3/edit", vec![("step", "plan"), ("memory", HOSTILE), ("was.memory", HOSTILE)]),
        ("/vm/3/edit", vec![("step", "form"), ("memory", HOSTILE), ("was.memory", HOSTILE)]),
        ("/vm/new", vec![("step", "plan"), ("name", HOSTILE), (HOSTILE, HOSTILE)]),
        ("/vm/3/remove", vec![("step", "plan"), ("confirm", HOSTILE)]),
        (&format!("/changes/{}/revert", revision()), vec![]),
        ("/admin/users/bob/invite", vec![]),
        ("/admin/settings", vec![("step", "form"), ("text", HOSTILE), ("base", HOSTILE)]),
        ("/admin/state/edit/servers/shop.toml", vec![("step", "form"), ("text", HOSTILE), ("base", HOSTILE)]),
        ("/admin/state/new", vec![("step", "form"), ("text", HOSTILE), ("name", HOSTILE)]),
    ] {
        pages.push((path.to_owned(), ann.post(path, &values).await.text));
    }
    for path in
        ["/admin/state?search=xx", "/admin/state/file/servers/shop.toml?blame=1", "/admin/state?rev=abcd"]
    {
        pages.push((path.to_owned(), ann.get(path).await.text));
    }
    panel.door.answer(|_, _, _: ServerRead| Err(refusal(Why::NotFound, HOSTILE)));
    pages.push(("a refusal".to_owned(), ann.get("/vm/3").await.text));
    let mut escaped = 0;
    for (path, text) in &pages {
        for markup in ["<script>alert", "<img src=x", "onerror=alert(2)>"] {
            assert!(!text.contains(markup), "{path}: {text}");
        }
        for tag in html::tags(text) {
            assert!(tag.name != "img" && tag.get("onerror").is_none(), "{path}: {tag:?}");
        }
        escaped += usize::from(text.contains("&lt;script&gt;alert"));
    }
    assert!(escaped > pages.len() / 2, "the text is on the pages: {escaped} of {}", pages.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_domain_says_where_its_name_leads() {
    let panel = Panel::start().await;
    furnish(&panel.door, "x");
    let bob = panel.signed_in("bob").await;
    let page = bob.get("/vm/3").await;
    page.says(StatusCode::OK, "DNS leads to 203.0.113.9; the platform is at 192.0.2.1.");
    panel.door.answer(|_, _, _: Leads| Err(refusal(Why::Unavailable, "not now")));
    let page = bob.get("/vm/3").await;
    page.says(StatusCode::OK, "shop.example.org");
    assert!(!page.text.contains("DNS leads"), "{}", page.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_without_anything_says_what_to_do() {
    let panel = Panel::start().await;
    furnish(&panel.door, "x");
    empty(&panel.door);
    let ann = panel.signed_in("ann").await;
    for (path, words) in [
        ("/", "No server yet"),
        ("/changes", "No change yet"),
        ("/reviews", "Nothing waits"),
        ("/admin/servers", "No server yet"),
        ("/admin/servers?search=x", "No server is called that"),
        ("/admin/users?search=x", "Nobody is called that"),
        ("/admin/", "Nothing waits"),
    ] {
        ann.get(path).await.says(StatusCode::OK, words);
    }
    let home = ann.get("/").await.text;
    assert!(
        tags(&home).iter().any(|tag| tag.get("href") == Some("/vm/new") && tag.text == "Make one"),
        "{home}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn admins_see_whether_countries_are_let_in() {
    let mut panel = Panel::start().await;
    furnish(&panel.door, "x");
    let lets_in = |settings: &mut Settings| settings.countries = vec!["LT".parse().unwrap()];
    let ann = panel.signed_in("ann").await;
    assert!(!ann.get("/admin/").await.text.contains("Countries"), "there are none");
    panel.again_with(lets_in).await;
    let page = ann.get("/admin/").await;
    page.says(StatusCode::OK, "Nobody in LT is let in");
    page.says(StatusCode::OK, "GeoLite2-Country.mmdb");
    let file = country_file(&[("5.20.0.0/16", "LT")], 1_764_000_000);
    std::fs::write(panel.data().join("countries.mmdb"), file).unwrap();
    panel.again_with(lets_in).await;
    let page = ann.get("/admin/").await;
    page.says(StatusCode::OK, "Whoever is in LT may open the panel.");
    page.says(StatusCode::OK, "datetime=\"2025-11-24T16:00:00Z\"");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_door_refuses_is_a_page_that_says_why() {
    let panel = Panel::start().await;
    furnish(&panel.door, "x");
    let ann = panel.signed_in("ann").await;
    panel.door.answer(|_, _, _: Servers| Err(refusal(Why::Unavailable, "the state repo can't be read")));
    panel.door.answer(|_, _, _: CommitRead| Err(refusal(Why::NotFound, "there is no such change")));
    ann.get("/").await.says(StatusCode::SERVICE_UNAVAILABLE, "the state repo can&#x27;t be read");
    ann.get(&format!("/changes/{}", revision())).await.says(StatusCode::NOT_FOUND, "there is no such change");
    ann.get("/vm/99").await.says(StatusCode::NOT_FOUND, "there is no such server");
    ann.get("/changes?page=many&kind=nothing").await.says(StatusCode::OK, "<h1>");
    for nonsense in ["/vm/0", "/vm/x", "/changes/x", "/domains/a..b/edit", "/admin/users/A!"] {
        ann.get(nonsense).await.says(StatusCode::NOT_FOUND, "There is no such page.");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_to_set_a_password_is_shown_once_and_kept_by_nobody() {
    let panel = Panel::start().await;
    furnish(&panel.door, "x");
    let ann = panel.signed_in("ann").await;
    let page = ann.post("/admin/users/bob/invite", &[]).await;
    page.says(
        StatusCode::OK,
        &format!("{}/invite/the-secret-of-a-link", panel.origin()).replace('/', "&#x2f;"),
    );
    assert_eq!(page.header("cache-control"), "no-store");
    assert!(!ann.get("/admin/users/bob").await.text.contains("the-secret-of-a-link"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_isn_t_shown_the_way_to_what_is_for_admins() {
    let panel = Panel::start().await;
    furnish(&panel.door, "x");
    let bob = panel.signed_in("bob").await;
    for path in ["/", "/vm/3", "/vm/3/edit", "/vm/new", "/changes", "/reviews", "/reviews/twice-the-memory"] {
        let page = bob.get(path).await;
        page.says(StatusCode::OK, "<h1>");
        assert!(!page.text.contains("href=\"/admin"), "{path}");
    }
    let form = bob.get("/vm/3/edit").await.text;
    assert!(!form.contains("name=\"owner\"") && !form.contains("name=\"allow\""), "{form}");
    assert!(!bob.get("/reviews/twice-the-memory").await.text.contains("/approve"));
}
