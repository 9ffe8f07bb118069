//! Signing in and out, invitations, and what somebody was about to do.

use berth_wire::web::{SignIn, Why};
use http::{Method, StatusCode};

use crate::door::{PASSWORD, refusal};
use crate::panel::Panel;

#[tokio::test(flavor = "multi_thread")]
async fn the_cookie_is_for_this_host_alone() {
    let panel = Panel::start().await;
    let browser = panel.browser();
    let page = browser.post("/login", &[("user", "bob"), ("password", PASSWORD)]).await;
    let cookie = page.header("set-cookie");
    assert!(cookie.starts_with("__Host-berth="), "{cookie}");
    let attributes: Vec<&str> = cookie.split("; ").skip(1).collect();
    assert_eq!(attributes, ["Path=/", "Secure", "HttpOnly", "SameSite=Lax"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_failure_is_one_sentence_and_the_name_stays() {
    let panel = Panel::start().await;
    let browser = panel.browser();
    let mut pages = Vec::new();
    for user in ["bob", "nobody", "../x", "<b>"] {
        let page = browser.post("/login", &[("user", user), ("password", "wrong")]).await;
        page.says(StatusCode::FORBIDDEN, "That name and password don&#x27;t go together.");
        let escaped = user.replace('<', "&lt;").replace('>', "&gt;").replace('/', "&#x2f;");
        assert!(page.text.contains(&format!("value=\"{escaped}\"")), "{}", page.text);
        pages.push(page.text.replace(&escaped, "…"));
    }
    assert!(pages.iter().all(|page| *page == pages[0]));

    panel.door.answer(|_, _, _: SignIn| Err(refusal(Why::TooMany { seconds: 40 }, "too many")));
    let page = browser.post("/login", &[("user", "bob"), ("password", PASSWORD)]).await;
    page.says(StatusCode::TOO_MANY_REQUESTS, "Wait 40 seconds");
    assert_eq!(page.header("retry-after"), "40");
    assert!(page.text.contains("value=\"bob\""), "{}", page.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_in_begins_another_session() {
    let panel = Panel::start().await;
    let browser = panel.browser();
    browser.get("/account").await;
    // Whoever planted this cookie knows it.
    let planted = browser.cookie().unwrap();
    browser.post("/login", &[("user", "bob"), ("password", PASSWORD)]).await;
    let own = browser.cookie().unwrap();
    assert_ne!(own.split('.').collect::<Vec<_>>()[0], planted.split('.').collect::<Vec<_>>()[0]);
    let attacker = panel.browser();
    attacker.set_cookie(Some(planted));
    assert_eq!(attacker.get("/account").await.goes_to(), "/login");
    browser.get("/account").await.says(StatusCode::OK, "bob");

    // The same for somebody who is signed in already.
    browser.post("/login", &[("user", "cleo"), ("password", PASSWORD)]).await;
    attacker.set_cookie(Some(own));
    assert_eq!(attacker.get("/account").await.goes_to(), "/login");
    browser.get("/account").await.says(StatusCode::OK, "cleo");
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_out_ends_the_session_and_the_token() {
    let panel = Panel::start().await;
    let bob = panel.signed_in("bob").await;
    let cookie = bob.cookie();
    let page = bob.post("/logout", &[]).await;
    assert_eq!((page.goes_to(), page.header("clear-site-data")), ("/login", "\"cache\""));
    assert!(panel.door.world.tokens.lock().is_empty());
    bob.get("/login").await.says(StatusCode::OK, "You are signed out.");
    bob.set_cookie(cookie);
    assert_eq!(bob.get("/account").await.goes_to(), "/login");

    // It works without a door, and for nobody.
    let mut panel = panel;
    let cleo = panel.signed_in("cleo").await;
    let folder = panel.sockets().to_owned();
    panel.door.close(&folder);
    assert_eq!(cleo.post("/logout", &[]).await.goes_to(), "/login");
    assert_eq!(panel.browser().post("/logout", &[]).await.goes_to(), "/login");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_that_somebody_wanted_comes_after_the_sign_in() {
    let panel = Panel::start().await;
    let browser = panel.browser();
    assert_eq!(browser.get("/account?of=bob").await.goes_to(), "/login");
    browser.get("/login").await.says(StatusCode::OK, "you go on where you were");
    let page = browser.post("/login", &[("user", "bob"), ("password", PASSWORD)]).await;
    assert_eq!(page.goes_to(), "/account?of=bob");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_led_away_from_the_panel() {
    let panel = Panel::start().await;
    for path in
        ["//evil.example/account", "/%2f/evil.example", "/%5cevil.example", "/login?next=//evil.example"]
    {
        let browser = panel.browser();
        browser.get(path).await;
        let form = [
            ("user", "bob"),
            ("password", PASSWORD),
            ("next", "//evil.example"),
            ("return", "https://evil.example"),
        ];
        let page = browser.post("/login?next=https://evil.example", &form).await;
        assert_eq!(page.goes_to(), "/", "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_typed_outlives_the_end_of_their_session() {
    let panel = Panel::start().await;
    let bob = panel.signed_in("bob").await;
    panel.door.forget_everybody();
    let typed = [("words", "a <b> \"c\" ü"), ("words", "second"), ("step", "commit")];
    assert_eq!(bob.post("/account/sign-out-everywhere", &typed).await.goes_to(), "/login");
    bob.get("/login").await.says(StatusCode::OK, "value=\"bob\"");
    let page = bob.post("/login", &[("user", "bob"), ("password", PASSWORD)]).await;
    assert_eq!(page.goes_to(), "/resume");
    let page = bob.get("/resume").await;
    page.says(StatusCode::OK, "action=\"&#x2f;account&#x2f;sign-out-everywhere\"");
    page.says(StatusCode::OK, "name=\"words\">\na &lt;b&gt; &quot;c&quot; ü</textarea>");
    page.says(StatusCode::OK, "name=\"words\">\nsecond</textarea>");
    page.says(StatusCode::OK, "name=\"step\">\nplan</textarea>");
    // Nothing was done meanwhile.
    assert_eq!(panel.door.times("/sign-out-everywhere"), 0);

    // A password is typed again.
    panel.door.forget_everybody();
    assert_eq!(
        bob.post("/account/password", &[("old_password", "x"), ("words", "y")]).await.goes_to(),
        "/login"
    );
    let page = bob.post("/login", &[("user", "bob"), ("password", PASSWORD)]).await;
    assert_eq!(page.goes_to(), "/");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_typed_is_nobody_else_s() {
    let panel = Panel::start().await;
    let browser = panel.signed_in("bob").await;
    panel.door.forget_everybody();
    browser.post("/account/sign-out-everywhere", &[("words", "of bob")]).await;
    let page = browser.post("/login", &[("user", "cleo"), ("password", PASSWORD)]).await;
    assert_eq!(page.goes_to(), "/");
    assert_eq!(browser.get("/resume").await.goes_to(), "/");

    // A stranger's form isn't kept at all.
    let stranger = panel.browser();
    assert_eq!(stranger.post("/account/sign-out-everywhere", &[("words", "many")]).await.goes_to(), "/login");
    assert_eq!(stranger.cookie(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_learns_that_nobody_is_signed_in() {
    let panel = Panel::start().await;
    let browser = panel.browser();
    let mut request = browser.request(Method::GET, "/account", "");
    request.headers_mut().insert("sec-fetch-mode", "cors".parse().unwrap());
    browser.send(request).await.says(StatusCode::UNAUTHORIZED, "not signed in");
    assert_eq!(browser.cookie(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn looking_at_an_invitation_never_uses_it_up() {
    let panel = Panel::start().await;
    panel.door.world.invitations.lock().insert("s3cret".to_owned(), "cleo".to_owned());
    let browser = panel.browser();
    for _ in 0..2 {
        let page = browser.get("/invite/s3cret").await;
        page.says(StatusCode::OK, "Welcome, cleo");
        assert_eq!(
            (page.header("referrer-policy"), page.header("cache-control")),
            ("same-origin", "no-store")
        );
        assert!(!page.text.contains("s3cret"), "{}", page.text);
    }
    let set = async |one: &str, other: &str| {
        browser.post("/invite/s3cret", &[("password", one), ("password_again", other)]).await
    };
    set("long enough for it", "long enough for that")
        .await
        .says(StatusCode::UNPROCESSABLE_ENTITY, "not the same");
    set("short", "short").await.says(StatusCode::UNPROCESSABLE_ENTITY, "12 characters");
    assert_eq!(set("long enough for it", "long enough for it").await.goes_to(), "/");
    browser.get("/account").await.says(StatusCode::OK, "cleo");
    for page in [set("long enough for it", "long enough for it").await, browser.get("/invite/s3cret").await] {
        page.says(StatusCode::NOT_FOUND, "not good any more");
    }
}
