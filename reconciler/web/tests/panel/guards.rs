//! Requests that aren't for the panel, that other sites' pages make, that are too large or too slow.

use std::io::ErrorKind;

use http::header::{CONTENT_LENGTH, HOST, ORIGIN};
use http::{Method, StatusCode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::door::PASSWORD;
use crate::panel::Panel;

#[tokio::test(flavor = "multi_thread")]
async fn a_form_comes_from_a_page_of_the_panel_or_does_nothing() {
    let panel = Panel::start().await;
    let bob = panel.signed_in("bob").await;
    let own = panel.origin();
    let sibling = format!("https://shop.example.org:{}", panel.address.port());
    // Sec-Fetch-Site, Origin, and whether it gets through.
    let cases = [
        (Some("same-origin"), Some(&*own), true),
        (Some("none"), None, true),
        (None, Some(&*own), true),
        (Some("same-site"), Some(&*sibling), false),
        (Some("same-site"), Some(&*own), false),
        (Some("cross-site"), Some("https://evil.example"), false),
        (None, Some(&*sibling), false),
        (None, Some("https://panel.example.org"), false),
        (None, Some("http://panel.example.org:8443"), false),
        (None, Some("null"), false),
        (None, None, false),
    ];
    for (site, origin, passes) in cases {
        for path in ["/account/sign-out-everywhere", "/login", "/logout", "/invite/a-secret"] {
            if passes && path == "/logout" {
                continue;
            }
            let mut request = bob.form(path, &[("user", "bob"), ("password", "wrong")]);
            request.headers_mut().remove("sec-fetch-site");
            request.headers_mut().remove(ORIGIN);
            if let Some(site) = site {
                request.headers_mut().insert("sec-fetch-site", site.parse().unwrap());
            }
            if let Some(origin) = origin {
                request.headers_mut().insert(ORIGIN, origin.parse().unwrap());
            }
            let before = panel.door.world.asked.lock().len();
            let page = bob.send(request).await;
            let was_asked = panel.door.world.asked.lock().len() > before;
            assert_eq!(was_asked, passes, "{site:?} {origin:?} {path}: {}", page.text);
            if !passes {
                page.says(StatusCode::FORBIDDEN, "nothing was done");
                assert!(page.text.contains(&panel.host()), "{}", page.text);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_panel_goes_by_one_name() {
    let panel = Panel::start().await;
    let browser = panel.browser();
    let port = panel.address.port();
    let call = async |host: &str| {
        let mut request = browser.request(Method::GET, "/login", "");
        request.headers_mut().insert(HOST, host.parse().unwrap());
        browser.send(request).await
    };
    for host in
        [panel.host(), format!("localhost:{port}"), format!("127.0.0.1:{port}"), panel.host().to_uppercase()]
    {
        call(&host).await.says(StatusCode::OK, "Sign in");
    }
    for host in [
        "panel.example.org",
        "evil.example",
        &format!("shop.example.org:{port}"),
        &format!("x@panel.example.org:{port}"),
    ] {
        let page = call(host).await;
        page.says(StatusCode::MISDIRECTED_REQUEST, &panel.host());
        assert_eq!(page.header("set-cookie"), "");
    }
    let mut twice = browser.request(Method::GET, "/login", "");
    twice.headers_mut().append(HOST, "evil.example".parse().unwrap());
    assert!(
        [StatusCode::MISDIRECTED_REQUEST, StatusCode::BAD_REQUEST]
            .contains(&browser.send(twice).await.status)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_tells_the_browser_how_little_it_may_do() {
    let panel = Panel::start().await;
    let bob = panel.signed_in("bob").await;
    for path in ["/account", "/login", "/nothing", "/assets/nothing"] {
        let page = bob.get(path).await;
        let policy = page.header("content-security-policy");
        for rule in [
            "default-src 'none'",
            "script-src 'self'",
            "form-action 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        ] {
            assert!(policy.contains(rule), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(
            (page.header("x-content-type-options"), page.header("referrer-policy")),
            ("nosniff", "same-origin")
        );
        // The certificate is one of its own.
        assert_eq!(page.header("strict-transport-security"), "");
    }
    assert_eq!(bob.get("/account").await.header("cache-control"), "private, no-cache");
    assert_eq!(panel.browser().get("/login").await.header("cache-control"), "no-store");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_pages_are_kept_for_good_and_pages_are_compressed() {
    let panel = Panel::start().await;
    let bob = panel.signed_in("bob").await;
    let page = bob.get("/account").await;
    let style = page.text.split('"').find(|part| part.starts_with("/assets/style.")).unwrap().to_owned();
    let file = panel.browser().get(&style).await;
    assert_eq!((file.status, file.header("content-type")), (StatusCode::OK, "text/css; charset=utf-8"));
    assert_eq!(file.header("cache-control"), "public, max-age=31536000, immutable");
    for path in ["/account", &style] {
        let mut request = bob.request(Method::GET, path, "");
        request.headers_mut().insert("accept-encoding", "gzip, br".parse().unwrap());
        let answer = bob.send(request).await;
        assert_eq!(answer.header("content-encoding"), "gzip", "{path}");
        assert_eq!(answer.header("vary"), "accept-encoding", "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_much_is_refused() {
    let panel = Panel::start().await;
    let bob = panel.signed_in("bob").await;
    let mut announced = bob.form("/account/password", &[]);
    announced.headers_mut().insert(CONTENT_LENGTH, "300000".parse().unwrap());
    let mut raw = bob.connect().await.unwrap();
    let head = format!(
        "POST /login HTTP/1.1\r\nhost: {}\r\nsec-fetch-site: same-origin\r\ncontent-length: 300000\r\n\r\n",
        panel.host()
    );
    raw.write_all(head.as_bytes()).await.unwrap();
    assert!(answer(&mut raw).await.starts_with("HTTP/1.1 413"));

    // One that doesn't say how long it is.
    let mut raw = bob.connect().await.unwrap();
    let head = head.replace("content-length: 300000", "transfer-encoding: chunked");
    raw.write_all(head.as_bytes()).await.unwrap();
    let chunk = format!("10000\r\n{}\r\n", "a".repeat(0x10000)).repeat(5);
    // It may close before it has everything.
    let _ = raw.write_all(chunk.as_bytes()).await;
    assert!(answer(&mut raw).await.starts_with("HTTP/1.1 413"));

    // A head that is too long, and one with too many lines.
    for line in [format!("x: {}\r\n", "a".repeat(64 << 10)), "x: y\r\n".repeat(200)] {
        let mut raw = bob.connect().await.unwrap();
        let head = format!("GET /login HTTP/1.1\r\nhost: {}\r\n{line}\r\n", panel.host());
        let _ = raw.write_all(head.as_bytes()).await;
        let answer = answer(&mut raw).await;
        assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    }
}

/// The first bytes of an answer.
async fn answer(raw: &mut (impl tokio::io::AsyncRead + Unpin)) -> String {
    let mut bytes = [0; 64];
    let mut length = 0;
    while length < bytes.len() {
        match raw.read(&mut bytes[length..]).await {
            Ok(0) => break,
            Ok(more) => length += more,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
            Err(error) => panic!("{error}"),
        }
    }
    String::from_utf8_lossy(&bytes[..length]).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_head_keeps_nobody_out() {
    let panel = Panel::start().await;
    let browser = panel.browser();
    let mut slow = Vec::new();
    for _ in 0..64 {
        let mut raw = browser.connect().await.unwrap();
        raw.write_all(b"GET /login HTTP/1.1\r\nx: ").await.unwrap();
        slow.push(raw);
    }
    browser.get("/login").await.says(StatusCode::OK, "Sign in");
}

/// The rule for others is tested where it stands: nobody else can connect in a test.
#[tokio::test(flavor = "multi_thread")]
async fn this_machine_may_open_it_whatever_the_networks_are() {
    let panel = Panel::start_with(|settings| settings.networks = vec!["192.0.2.0/24".parse().unwrap()]).await;
    panel.browser().get("/login").await.says(StatusCode::OK, "Sign in");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_address_is_the_connection_s_whatever_a_header_says() {
    use std::sync::Arc;

    use berth_wire::web::{SignIn, Why};
    use parking_lot::Mutex;

    let panel = Panel::start().await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&seen);
    panel.door.answer(move |_, _, asked: SignIn| {
        noted.lock().push(asked.from.to_string());
        Err(crate::door::refusal(Why::WrongPassword, "no"))
    });
    let browser = panel.browser();
    let mut request = browser.form("/login", &[("user", "bob"), ("password", PASSWORD)]);
    for name in ["x-forwarded-for", "forwarded", "x-real-ip", "berth-client"] {
        request.headers_mut().insert(name, "192.0.2.7".parse().unwrap());
    }
    browser.send(request).await;
    assert_eq!(*seen.lock(), ["127.0.0.1"]);
}
