//! Writing in the wiki: a page is looked at, planned, committed or proposed; a picture comes.

use std::sync::Arc;

use berth_wire::web::{
    Change, Commit, Committed, Deed, DocEdit, DocRead, DocSheet, Docs, DocsCard, Object, Plan, Propose,
    Proposed, Standing, Why,
};
use bytes::Bytes;
use http::StatusCode;
use http_body_util::Full;
use parking_lot::Mutex;

use crate::browser::{Browser, Page};
use crate::door::refusal;
use crate::panel::Panel;
use crate::platform::{doc, docs, field, finding, furnish, planned, revision, text};
use crate::wiki::leads_below;

const BASE: &str = "abababababababababababababababababababab";

/// A panel, and the changes that its door is asked about.
async fn wiki(standing: Standing) -> (Panel, Arc<Mutex<Vec<(&'static str, Change)>>>) {
    let panel = Panel::start().await;
    furnish(&panel.door, "x");
    panel.door.answer(|_, _, _: DocRead| Ok(doc("# First\n\nold\n")));
    let asked: Arc<Mutex<Vec<(&'static str, Change)>>> = Arc::default();
    let log = Arc::clone(&asked);
    panel.door.answer(move |_, _, plan: Plan| {
        log.lock().push(("plan", plan.change));
        Ok(planned(standing.clone(), "y"))
    });
    let log = Arc::clone(&asked);
    panel.door.answer(move |_, _, commit: Commit| {
        assert_eq!(commit.digest, "the-digest");
        log.lock().push(("commit", commit.change));
        Ok(Committed::Made { revision: revision() })
    });
    let log = Arc::clone(&asked);
    panel.door.answer(move |_, _, propose: Propose| {
        log.lock().push(("propose", propose.change));
        Ok(Proposed { is_sent: false, topic: "page-first".to_owned(), revision: revision() })
    });
    (panel, asked)
}

fn written(path: &str, text: &str) -> Change {
    Change { of: Object::Doc(path.to_owned()), deed: Deed::Write { text: text.to_owned(), base: revision() } }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_saves_nothing() {
    let (panel, asked) = wiki(Standing::Allowed).await;
    let bob = panel.signed_in("bob").await;
    bob.get("/wiki/edit/guide/first.md").await.says(StatusCode::OK, "# First\n\nold\n</textarea>");
    let sent = [("step", "preview"), ("text", "# First\r\n\r\n**new**\r\n"), ("base", BASE)];
    let page = bob.post("/wiki/edit/guide/first.md", &sent).await;
    page.says(StatusCode::OK, "<strong>new</strong>");
    page.says(StatusCode::OK, "**new**\n</textarea>");
    page.says(StatusCode::OK, "Nothing is saved yet");
    let page = bob
        .post(
            "/wiki/new",
            &[("step", "preview"), ("path", "a/b.md"), ("text", "![x](c.png)"), ("base", BASE)],
        )
        .await;
    page.says(StatusCode::OK, "src=\"/wiki/picture/a/c.png\"");
    assert_eq!(*asked.lock(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_is_planned_and_then_committed() {
    let (panel, asked) = wiki(Standing::Allowed).await;
    let bob = panel.signed_in("bob").await;
    let form = [("text", "new\r\nline"), ("base", BASE)];
    let plan = bob.post("/wiki/edit/guide/first.md", &[&[("step", "plan")], &form[..]].concat()).await;
    plan.says(StatusCode::OK, "What is written");
    assert!(
        plan.text.contains("value=\"commit\"") && !plan.text.contains("value=\"propose\""),
        "{}",
        plan.text
    );
    let page = bob
        .post(
            "/wiki/edit/guide/first.md",
            &[&[("step", "commit"), ("digest", "the-digest")], &form[..]].concat(),
        )
        .await;
    assert_eq!(page.goes_to(), "/docs/guide/first");
    bob.get("/docs/guide/first").await.says(StatusCode::OK, "Saved, as ");
    // A new page gets its ending, and leads to itself.
    let form = [
        ("step", "commit"),
        ("digest", "the-digest"),
        ("path", " guide/second "),
        ("text", "x"),
        ("base", BASE),
    ];
    assert_eq!(bob.post("/wiki/new", &form).await.goes_to(), "/docs/guide/second");
    let change = written("guide/first.md", "new\nline");
    assert_eq!(
        *asked.lock(),
        [("plan", change.clone()), ("commit", change), ("commit", written("guide/second.md", "x"))]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_needs_consent_is_proposed() {
    let (panel, asked) = wiki(Standing::NeedsReview { approvers: vec!["ann".parse().unwrap()] }).await;
    panel.door.answer(|_, _, _: DocRead| Ok(DocSheet { edit: DocEdit::WithReview, ..doc("old\n") }));
    let bob = panel.signed_in("bob").await;
    bob.get("/wiki/edit/guide/first.md").await.says(StatusCode::OK, "an admin agrees to it");
    let form = [("text", "new\n"), ("base", BASE)];
    let plan = bob.post("/wiki/edit/guide/first.md", &[&[("step", "plan")], &form[..]].concat()).await;
    assert!(
        plan.text.contains("value=\"propose\"") && !plan.text.contains("value=\"commit\""),
        "{}",
        plan.text
    );
    let page = bob.post("/wiki/edit/guide/first.md", &[&[("step", "propose")], &form[..]].concat()).await;
    assert_eq!(page.goes_to(), "/reviews/page-first");
    assert_eq!(asked.lock().last(), Some(&("propose", written("guide/first.md", "new\n"))));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_was_typed_is_lost() {
    let theirs = vec![field("text", text("# Theirs\n"), "")];
    let (panel, _) = wiki(Standing::Conflict { fields: theirs }).await;
    let bob = panel.signed_in("bob").await;
    let other = "1212121212121212121212121212121212121212";
    let form = [("step", "plan"), ("text", "# Mine\n"), ("base", other)];
    let page = bob.post("/wiki/edit/guide/first.md", &form).await;
    page.says(StatusCode::OK, "somebody else has changed the same");
    page.says(StatusCode::OK, "# Theirs\n</pre>");
    page.says(StatusCode::OK, "# Mine\n</textarea>");
    page.says(StatusCode::OK, &format!("name=\"base\" value=\"{BASE}\""));
    // A mistake stands at its field, and what the door can't do now takes nothing away.
    panel.door.answer(|_, _, _: Plan| {
        let findings =
            vec![finding(Some("text"), "the text is too long"), finding(Some("name"), "the path is odd")];
        Ok(berth_wire::web::Planned { findings, ..planned(Standing::Refused, "y") })
    });
    let page = bob
        .post("/wiki/new", &[("step", "plan"), ("path", "a?b"), ("text", "# Mine\n"), ("base", BASE)])
        .await;
    for words in ["The text is too long.", "The path is odd.", "# Mine\n</textarea>", "value=\"a?b\""] {
        page.says(StatusCode::OK, words);
    }
    panel.door.answer(|_, _, _: Plan| Err(refusal(Why::Unavailable, "not now")));
    let page = bob.post("/wiki/edit/guide/first.md", &form).await;
    page.says(StatusCode::SERVICE_UNAVAILABLE, "# Mine\n</textarea>");
    panel.door.answer(|_, _, _: DocRead| Err(refusal(Why::NotFound, "gone")));
    bob.post("/wiki/edit/guide/first.md", &form)
        .await
        .says(StatusCode::SERVICE_UNAVAILABLE, "# Mine\n</textarea>");
    bob.get("/wiki/edit/guide/first.md").await.says(StatusCode::NOT_FOUND, "gone");
    // Whoever has to sign in first finds it again.
    panel.door.forget_everybody();
    assert_eq!(bob.post("/wiki/edit/guide/first.md", &form).await.goes_to(), "/login");
    let page = bob.post("/login", &[("user", "bob"), ("password", crate::door::PASSWORD)]).await;
    assert_eq!(page.goes_to(), "/resume");
    bob.get("/resume").await.says(StatusCode::OK, "# Mine");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_is_not_shown_whole_is_not_changed_here() {
    let (panel, asked) = wiki(Standing::Allowed).await;
    let bob = panel.signed_in("bob").await;
    for (is_masked, is_text, why) in
        [(true, true, "holds a password’s hash"), (false, false, "isn’t UTF-8 text")]
    {
        panel.door.answer(move |_, _, _: DocRead| Ok(DocSheet { is_masked, is_text, ..doc("some bytes\n") }));
        let path = "/wiki/edit/guide/first.md";
        bob.get(path).await.says(StatusCode::FORBIDDEN, why);
        bob.post(path, &[("step", "commit"), ("text", "x"), ("digest", "the-digest")])
            .await
            .says(StatusCode::FORBIDDEN, "by a push");
        let page = bob.get("/docs/guide/first").await;
        assert!(page.text.contains("by a push") && !leads_below(&page, "/wiki/edit/"), "{}", page.text);
        // It moves and goes as it is.
        for way in ["/wiki/rename/", "/wiki/remove/"] {
            assert!(leads_below(&page, way), "{}", page.text);
            bob.get(&format!("{way}guide/first.md")).await.says(StatusCode::OK, "first");
        }
    }
    assert_eq!(*asked.lock(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_moves_and_goes_by_forms_like_others() {
    let (panel, asked) = wiki(Standing::Allowed).await;
    let bob = panel.signed_in("bob").await;
    bob.get("/wiki/rename/guide/first.md").await.says(StatusCode::OK, "value=\"guide&#x2f;first.md\"");
    bob.post("/wiki/rename/guide/first.md", &[("step", "plan"), ("name", " guide/start.md ")])
        .await
        .says(StatusCode::OK, "What is written");
    bob.post("/wiki/remove/guide/first.md", &[("step", "plan"), ("confirm", "first")])
        .await
        .says(StatusCode::OK, "Nothing is removed");
    bob.post("/wiki/remove/guide/first.md", &[("step", "plan"), ("confirm", "guide/first.md")])
        .await
        .says(StatusCode::OK, "What is written");
    let of = Object::Doc("guide/first.md".to_owned());
    let moved = Change { of: of.clone(), deed: Deed::Move { to: "guide/start.md".to_owned() } };
    assert_eq!(*asked.lock(), [("plan", moved), ("plan", Change { of, deed: Deed::Remove })]);
}

/// Sends a picture as browsers do.
async fn upload(browser: &Browser, path: &str, name: &str, bytes: &[u8]) -> Page {
    let head = format!(
        "--edge\r\ncontent-disposition: form-data; name=\"path\"\r\n\r\n{path}\r\n--edge\r\ncontent-disposition: form-data; name=\"file\"; filename=\"{name}\"\r\ncontent-type: image/png\r\n\r\n"
    );
    let body = [head.as_bytes(), bytes, b"\r\n--edge--\r\n"].concat();
    let mut request = browser.form("/wiki/upload", &[]);
    request.headers_mut().insert("content-type", "multipart/form-data; boundary=edge".parse().unwrap());
    *request.body_mut() = Full::new(Bytes::from(body));
    browser.send(request).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_comes_in_one_step() {
    let (panel, asked) = wiki(Standing::Allowed).await;
    let bob = panel.signed_in("bob").await;
    let put = |path: &str, bytes: &[u8]| {
        let bytes = berth_wire::web::Bytes(bytes.to_vec());
        Change { of: Object::Doc(path.to_owned()), deed: Deed::Put { bytes } }
    };
    for (typed, path) in
        [("", "plan.png"), ("guide/", "guide/plan.png"), ("guide/other.png", "guide/other.png")]
    {
        let page = upload(&bob, typed, "C:\\pictures\\plan.png", b"\x89PNG").await;
        assert_eq!(page.goes_to(), format!("/wiki/upload?done={}", path.replace('/', "%2F")));
        let all = asked.lock().drain(..).collect::<Vec<_>>();
        assert_eq!(all, [("plan", put(path, b"\x89PNG")), ("commit", put(path, b"\x89PNG"))]);
    }
    bob.get("/wiki/upload?done=guide%2Fplan.png").await.says(StatusCode::OK, "It is there");
    assert!(!bob.get("/wiki/upload?done=nothing.png").await.text.contains("It is there"));
    // A megabyte passes, and more doesn't.
    upload(&bob, "", "a.png", &vec![b'x'; 1 << 20]).await.goes_to();
    upload(&bob, "", "a.png", &vec![b'x'; (1 << 20) + (80 << 10)])
        .await
        .says(StatusCode::PAYLOAD_TOO_LARGE, "1088 KiB");
    upload(&bob, "", "a.png", b"").await.says(StatusCode::OK, "No picture was sent");
    asked.lock().clear();
    panel.door.answer(|_, _, _: Plan| {
        let findings = vec![finding(Some("file"), "the bytes are no picture")];
        Ok(berth_wire::web::Planned { findings, ..planned(Standing::Refused, "y") })
    });
    upload(&bob, "", "a.png", b"<html>").await.says(StatusCode::OK, "The bytes are no picture.");
    assert_eq!(*asked.lock(), []);
    bob.post("/wiki/upload", &[("path", "x")]).await.says(StatusCode::BAD_REQUEST, "");
    // A form that was sent as a file isn't kept for after the sign-in.
    panel.door.forget_everybody();
    assert_eq!(upload(&bob, "", "a.png", b"x").await.goes_to(), "/login");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_that_needs_consent_is_proposed() {
    let (panel, asked) = wiki(Standing::NeedsReview { approvers: vec!["ann".parse().unwrap()] }).await;
    panel.door.answer(|_, _, _: Docs| Ok(DocsCard { edit: DocEdit::WithReview, ..docs("x") }));
    let bob = panel.signed_in("bob").await;
    bob.get("/wiki/upload").await.says(StatusCode::OK, ">Propose</button>");
    assert_eq!(upload(&bob, "", "a.png", b"x").await.goes_to(), "/reviews/page-first");
    assert_eq!(asked.lock().last().map(|(act, _)| *act), Some("propose"));
}
