//! Sessions over restarts and thefts, and a door that is away.

use http::StatusCode;

use crate::panel::Panel;

#[tokio::test(flavor = "multi_thread")]
async fn a_session_outlives_the_process() {
    let mut panel = Panel::start().await;
    let bob = panel.signed_in("bob").await;
    panel.again().await;
    bob.get("/account").await.says(StatusCode::OK, "bob");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stolen_store_opens_nothing() {
    let mut panel = Panel::start().await;
    let bob = panel.signed_in("bob").await;
    let cookie = bob.cookie().unwrap();
    // The thief has everything on the disk, and so every session's number; never a secret.
    let (id, secret) = cookie.split_once('.').unwrap();
    panel.end().await;
    let token = panel.door.world.tokens.lock().keys().next().unwrap().clone();
    let mut folders = vec![panel.data()];
    let mut files = 0;
    while let Some(path) = folders.pop() {
        if path.is_dir() {
            folders.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        files += 1;
        let content = std::fs::read(&path).unwrap();
        for word in [token.as_bytes(), secret.as_bytes()] {
            assert!(!content.windows(word.len()).any(|window| window == word), "{}", path.display());
        }
    }
    assert!(files > 2);
    panel.again().await;
    bob.set_cookie(Some(format!("{id}.{}", "A".repeat(43))));
    assert_eq!(bob.get("/account").await.goes_to(), "/login");
    bob.set_cookie(Some(cookie));
    bob.get("/account").await.says(StatusCode::OK, "bob");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_door_that_is_away_is_a_page_that_says_so() {
    let mut panel = Panel::start().await;
    let bob = panel.signed_in("bob").await;
    let folder = panel.sockets().to_owned();
    panel.door.close(&folder);
    let page = bob.get("/account").await;
    page.says(StatusCode::SERVICE_UNAVAILABLE, "can&#x27;t reach Berth&#x27;s door");
    let page = bob.post("/login", &[("user", "bob"), ("password", "x")]).await;
    page.says(StatusCode::SERVICE_UNAVAILABLE, "Servers keep running");
    panel.door.open(&folder);
    bob.get("/account").await.says(StatusCode::OK, "bob");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_cookies_of_the_name_are_none() {
    let panel = Panel::start().await;
    let bob = panel.signed_in("bob").await;
    let mut request = bob.request(http::Method::GET, "/account", "");
    let own = bob.cookie().unwrap();
    let both = format!("__Host-berth=AAAA.AAAA; __Host-berth={own}");
    request.headers_mut().insert("cookie", both.parse().unwrap());
    assert_eq!(bob.send(request).await.goes_to(), "/login");
}
