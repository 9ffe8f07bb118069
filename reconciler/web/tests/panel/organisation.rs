//! The organisation's face: on every page, at the sign-in, in refusals and in the description of the API.

use berth_wire::web::{ContactLink, Face, FaceRead, Servers, Why};
use http::StatusCode;

use crate::browser::Page;
use crate::door::refusal;
use crate::html::{plain, tags};
use crate::panel::Panel;

fn face(title: &str, contact: (&str, &str)) -> Face {
    let (text, href) = contact;
    Face {
        title: Some(title.to_owned()),
        contact: Some(ContactLink { text: text.to_owned(), href: href.to_owned() }),
        terms: Some("https://example.org/terms".to_owned()),
        language: "lt".to_owned(),
        notice: Some("Down on <b>Sunday</b>.".to_owned()),
    }
}

fn shows(page: &Page, status: StatusCode) {
    page.says(status, "· Žalia &amp; co</title>");
    assert!(
        page.text.contains("<html lang=\"lt\">") && page.text.contains("<body lang=\"en\">"),
        "{}",
        page.text
    );
    assert!(
        plain(&page.text).contains("Down on <b>Sunday</b>.") && !page.text.contains("<b>"),
        "{}",
        page.text
    );
    let links: Vec<String> =
        tags(&page.text).iter().filter_map(|tag| Some(tag.get("href")?.to_owned())).collect();
    for wanted in ["mailto:help@example.org", "https://example.org/terms"] {
        assert!(links.iter().any(|link| link == wanted), "{wanted} in {links:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_shows_it_and_refusals_name_whom_to_ask() {
    let mut panel = Panel::start().await;
    let before = panel.browser().get("/login").await;
    before.says(StatusCode::OK, "· Berth</title>");
    assert!(!before.text.contains("<footer") && before.text.contains("An admin can send"), "{}", before.text);

    panel
        .door
        .answer(|_, _, _: FaceRead| Ok(face("Žalia & co", ("help@example.org", "mailto:help@example.org"))));
    panel.door.answer(|_, _, _: Servers| Err(refusal(Why::Unavailable, "not now")));
    // A page asks anew only after a while, and what was told goes with the process.
    panel.again().await;
    let login = panel.browser().get("/login").await;
    shows(&login, StatusCode::OK);
    assert!(login.text.contains("help@example.org</a> can send you a link"), "{}", login.text);
    let link = panel.browser().get("/invite/none").await;
    shows(&link, StatusCode::NOT_FOUND);
    assert!(plain(&link.text).contains("Ask help@example.org for a new one"), "{}", link.text);
    let bob = panel.signed_in("bob").await;
    let refused = bob.get("/admin/").await;
    shows(&refused, StatusCode::FORBIDDEN);
    assert!(plain(&refused.text).contains("Ask help@example.org for what you need"), "{}", refused.text);
    shows(&bob.get("/nothing-here").await, StatusCode::NOT_FOUND);

    let described = panel.browser().get("/api/openapi.json").await;
    let described: serde_json::Value = serde_json::from_str(&described.text).unwrap();
    assert_eq!(
        described["info"]["contact"],
        serde_json::json!({ "name": "Žalia & co", "email": "help@example.org" })
    );

    // Without the door, it stays as it was told.
    let sockets = panel.sockets().to_owned();
    panel.door.close(&sockets);
    shows(&panel.browser().get("/login").await, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_may_be_whom_to_ask() {
    let panel = Panel::start().await;
    let page = "https://example.org/help";
    panel.door.answer(move |_, _, _: FaceRead| Ok(face("x", (page, page))));
    let described = panel.browser().get("/api/openapi.json").await;
    let described: serde_json::Value = serde_json::from_str(&described.text).unwrap();
    assert_eq!(described["info"]["contact"], serde_json::json!({ "name": "x", "url": page }));
}
