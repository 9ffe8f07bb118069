//! The state as pages: links that keep what was asked for, texts that become changes, and tables as files.

use std::sync::Arc;

use berth_wire::web::{
    Change, Deed, Object, Plan, Rows, Standing, StateBlame, StateFile, StateSearch, StateTable, StateTree,
    Why,
};
use http::StatusCode;
use parking_lot::Mutex;

use crate::browser::Page;
use crate::door::refusal;
use crate::html::{tags, values};
use crate::panel::Panel;
use crate::platform::{furnish, planned, revision};

const FILE: &str = "/admin/state/file/servers/shop.toml";

/// Asserts that a page has a link to this address.
#[track_caller]
fn leads(page: &Page, to: &str) {
    let tags = tags(&page.text);
    let links: Vec<&str> = tags.iter().filter_map(|tag| tag.get("href")).collect();
    assert!(links.contains(&to), "{to} in {links:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_a_file_and_its_lines_are_linked() {
    let panel = Panel::start().await;
    furnish(&panel.door, "quite ordinary");
    let ann = panel.signed_in("ann").await;
    let page = ann.get("/admin/state").await;
    for link in ["/admin/state?folder=docs", "/admin/state/file/platform.toml", "/admin/state?page=2"] {
        leads(&page, link);
    }
    page.says(StatusCode::OK, "its name isn’t UTF-8");
    // Another revision goes on in every link, and the page says that it is another.
    let old = ann.get("/admin/state?rev=abab").await;
    old.says(StatusCode::OK, "This is how things stood at");
    leads(&old, &format!("/admin/state/file/platform.toml?rev={}", revision()));
    let file = ann.get(FILE).await;
    file.says(StatusCode::OK, "id=\"L501\"");
    file.says(StatusCode::OK, "1 secret is hidden");
    assert!(!file.text.contains("class=\"from\""));
    let blamed = ann.get(&format!("{FILE}?blame=1&page=2")).await;
    blamed.says(StatusCode::OK, "class=\"begins\"");
    assert_eq!(panel.door.times("/state-blame"), 1);
    // Without blame the file is there to read all the same.
    panel.door.answer(|_, _, _: StateBlame| Err(refusal(Why::Unavailable, "git took too long.")));
    ann.get(&format!("{FILE}?blame=1")).await.says(StatusCode::OK, "git took too long.");
    let found = ann.get("/admin/state?search=memory").await;
    leads(&found, &format!("{FILE}?page=2#L502"));
    found.says(StatusCode::OK, "There may be more");
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_in_an_address_reaches_the_door_as_it_was_meant() {
    let panel = Panel::start().await;
    furnish(&panel.door, "x");
    let asked = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&asked);
    panel.door.answer(move |_, _, question: StateFile| {
        noted.lock().push((question.path, question.at, question.page));
        Err(refusal(Why::NotFound, "there is no such file"))
    });
    let ann = panel.signed_in("ann").await;
    for (path, wanted) in [
        ("docs/a%20b%3f.md", "docs/a b?.md"),
        ("docs/%2e%2e/%2e%2e/etc/passwd", "docs/../../etc/passwd"),
        ("servers%2fshop.toml", "servers/shop.toml"),
        ("docs//x", "docs//x"),
    ] {
        ann.get(&format!("/admin/state/file/{path}?rev=abc&page=many"))
            .await
            .says(StatusCode::NOT_FOUND, "no such file");
        let (path, at, page) = asked.lock().pop().unwrap();
        assert!(path == wanted && page == 1, "{path} {at} {page}");
    }
    ann.get("/admin/state/file/%ff").await.says(StatusCode::NOT_FOUND, "There is no such page.");
    panel.door.answer(|_, _, _: StateTree| Err(refusal(Why::BadQuestion, "That is no revision.")));
    ann.get("/admin/state?rev=..").await.says(StatusCode::BAD_REQUEST, "That is no revision.");
    panel.door.answer(|_, _, _: StateSearch| Err(refusal(Why::BadQuestion, "That text is too short.")));
    ann.get("/admin/state?search=x").await.says(StatusCode::BAD_REQUEST, "That text is too short.");
    for path in ["/dbgate", "/dbgate/"] {
        let page = ann.get(path).await;
        assert_eq!((page.status, page.header("location")), (StatusCode::PERMANENT_REDIRECT, "/admin/state"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_becomes_a_change_of_its_file() {
    let panel = Panel::start().await;
    furnish(&panel.door, "x");
    let seen = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&seen);
    panel.door.answer(move |_, _, asked: Plan| {
        noted.lock().push(asked.change);
        Ok(planned(Standing::Allowed, "written"))
    });
    let ann = panel.signed_in("ann").await;
    let edit = "/admin/state/edit/servers/shop.toml";
    let form = ann.get(edit).await;
    let mut sent = values(&form.text, edit);
    assert_eq!(sent.iter().find(|(name, _)| name == "base").unwrap().1, revision().to_string());
    sent.retain(|(name, _)| name != "text");
    sent.extend(
        [("text", "id = 3\r\nmemory = \"2GiB\"\r\n"), ("step", "plan")]
            .map(|(a, b)| (a.to_owned(), b.to_owned())),
    );
    let pairs: Vec<(&str, &str)> = sent.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    ann.post(edit, &pairs).await.says(StatusCode::OK, "the plan");
    let new = [
        ("name", " docs/new.md "),
        ("text", "# New\n"),
        ("base", &*revision().to_string()),
        ("step", "plan"),
    ];
    let plan = ann.post("/admin/state/new", &new).await;
    plan.says(StatusCode::OK, "the plan");
    assert!(
        values(&plan.text, "/admin/state/new").contains(&("name".to_owned(), " docs/new.md ".to_owned()))
    );
    let remove = "/admin/state/remove/servers/shop.toml";
    ann.post(remove, &[("confirm", "shop"), ("step", "plan")])
        .await
        .says(StatusCode::OK, "Nothing is removed");
    ann.post(remove, &[("confirm", "servers/shop.toml"), ("step", "plan")])
        .await
        .says(StatusCode::OK, "the plan");
    let write = |text: &str| Deed::Write { text: text.to_owned(), base: revision() };
    let file = |path: &str| Object::File(path.to_owned());
    assert_eq!(
        *seen.lock(),
        [
            Change { of: file("servers/shop.toml"), deed: write("id = 3\nmemory = \"2GiB\"\n") },
            Change { of: file("docs/new.md"), deed: write("# New\n") },
            Change { of: file("servers/shop.toml"), deed: Deed::Remove },
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_all_in_its_address_and_goes_out_as_a_file() {
    let panel = Panel::start().await;
    furnish(&panel.door, "quite ordinary");
    let ann = panel.signed_in("ann").await;
    let table = "/admin/state/table?kind=servers&q=shop&owner=ann&sort=memory";
    let page = ann.get(table).await;
    page.says(StatusCode::OK, "aria-sort=\"ascending\"");
    for link in [
        "/admin/state/table?kind=servers&q=shop&sort=-memory&owner=ann",
        "/admin/state/table?kind=servers&q=shop&sort=memory",
        "/admin/state/table.csv?kind=servers&q=shop&sort=memory&owner=ann",
        "/admin/state/table?kind=servers&q=shop&sort=memory&owner=ann&page=2",
        "/admin/state/file/servers/shop.toml",
    ] {
        leads(&page, link);
    }
    ann.get("/admin/state/table?colour=red").await.says(StatusCode::OK, "There is no field");
    let file = ann.get("/admin/state/table.csv?kind=servers").await;
    assert_eq!(file.status, StatusCode::OK);
    assert_eq!(file.header("content-type"), "text/csv; charset=utf-8");
    assert_eq!(file.header("content-disposition"), "attachment; filename=\"servers.csv\"");
    assert_eq!(file.text, "name,owner,memory\nshop,quite ordinary,'=1+1\n");
    ann.get("/admin/state/table.csv?colour=red")
        .await
        .says(StatusCode::BAD_REQUEST, "can’t be filtered or sorted");
    let asked = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&asked);
    panel.door.answer(move |_, _, question: StateTable| {
        noted.lock().push((question.kind, question.page, question.is_falling, question.having.len()));
        Err(refusal(Why::Unavailable, "not now"))
    });
    ann.get("/admin/state/table?kind=users&sort=-name&page=4&role=admin")
        .await
        .says(StatusCode::SERVICE_UNAVAILABLE, "not now");
    ann.get("/admin/state/table.csv?kind=domains").await.says(StatusCode::SERVICE_UNAVAILABLE, "not now");
    assert_eq!(*asked.lock(), [(Rows::Users, Some(4), true, 1), (Rows::Domains, None, false, 0)]);
}
