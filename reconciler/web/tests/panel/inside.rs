//! Acts inside a server by the panel: the terminal's WebSocket, the log, the clean-up.

use std::time::Duration;

use berth_schema::ticket::Size;
use berth_wire::web::{ServerRead, Ticket, Why};
use futures_util::{SinkExt as _, StreamExt as _};
use http::header::{COOKIE, HOST, ORIGIN};
use http::{HeaderValue, Method, Request, StatusCode};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::browser::Browser;
use crate::door::refusal;
use crate::panel::Panel;
use crate::platform::furnish;
use crate::router::Router;

/// Far beyond what anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);
const SOCKET: &str = "/vm/3/terminal/socket";

/// A terminal's connection.
struct Terminal(WebSocketStream<TlsStream<TcpStream>>);

/// An upgrade as the page's own script asks for it.
fn upgrade(panel: &Panel, browser: &Browser, path: &str) -> Request<()> {
    let mut request = format!("wss://{}{path}", panel.host()).into_client_request().unwrap();
    let headers = request.headers_mut();
    headers.insert(HOST, panel.host().parse().unwrap());
    headers.insert(ORIGIN, panel.origin().parse().unwrap());
    headers.insert("sec-fetch-mode", HeaderValue::from_static("websocket"));
    if let Some(cookie) = browser.cookie() {
        headers.insert(COOKIE, format!("__Host-berth={cookie}").parse().unwrap());
    }
    request
}

async fn try_open(browser: &Browser, request: Request<()>) -> Result<Terminal, StatusCode> {
    match client_async(request, browser.connect().await.unwrap()).await {
        Ok((socket, _)) => Ok(Terminal(socket)),
        Err(Error::Http(answer)) => Err(answer.status()),
        Err(other) => panic!("{other}"),
    }
}

async fn open(panel: &Panel, browser: &Browser, wish: &str) -> Terminal {
    let request = upgrade(panel, browser, &format!("{SOCKET}?{wish}"));
    try_open(browser, request).await.unwrap_or_else(|status| panic!("{status}"))
}

impl Terminal {
    async fn next(&mut self) -> Message {
        loop {
            let next = tokio::time::timeout(PATIENCE, self.0.next()).await.unwrap().unwrap().unwrap();
            if !matches!(next, Message::Ping(_)) {
                return next;
            }
        }
    }

    async fn told(&mut self) -> Value {
        match self.next().await {
            Message::Text(text) => serde_json::from_str(text.as_str()).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    /// Reads output until all of these bytes are there, and nothing else.
    async fn shows(&mut self, words: &str) {
        let mut seen = String::new();
        while seen.len() < words.len() {
            match self.next().await {
                Message::Binary(bytes) => seen.push_str(std::str::from_utf8(&bytes).unwrap()),
                other => panic!("{other:?} after {seen}"),
            }
        }
        assert_eq!(seen, words);
    }

    async fn types(&mut self, text: &str) {
        self.0.send(Message::binary(text.as_bytes().to_vec())).await.unwrap();
    }
}

async fn bench(log: &'static [u8]) -> (Panel, Router) {
    let panel = Panel::start().await;
    furnish(&panel.door, "quite ordinary");
    let router = Router::serve(panel.sockets(), &panel.door, log);
    (panel, router)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shell_outlives_its_page_and_goes_on_where_it_was_seen_last() {
    let (panel, router) = bench(b"").await;
    let bob = panel.signed_in("bob").await;
    let mut first = open(&panel, &bob, "columns=100&rows=30").await;
    let told = first.told().await["shell"].clone();
    let number = told["number"].as_str().unwrap().to_owned();
    assert_eq!((told["seen"].as_u64(), told["anew"].as_bool()), (Some(0), Some(false)));
    let greeting = "shell of bob 3 terminal\r\n";
    first.shows(greeting).await;
    first.types("one").await;
    first.shows("[one]").await;
    let size = Message::text("{\"size\":{\"columns\":120,\"rows\":40}}");
    first.0.send(size).await.unwrap();
    first.types("two").await;
    first.shows("[two]").await;
    let sizes = [(100, 30), (120, 40)].map(|(columns, rows)| Size { columns, rows });
    assert_eq!(*router.sizes.lock(), sizes);
    // Nobody says goodbye when a network goes.
    drop(first);

    let seen = greeting.len() + "[one]".len();
    let mut second = open(&panel, &bob, &format!("columns=80&rows=24&shell={number}&seen={seen}")).await;
    assert_eq!(second.told().await["shell"]["number"], number);
    second.shows("[two]").await;
    second.types("three").await;
    second.shows("[three]").await;

    // From another page of the same session it goes on there, from the beginning, and the first page says so.
    let mut third = open(&panel, &bob, &format!("shell={number}")).await;
    assert_eq!(third.told().await["shell"]["number"], number);
    third.shows(&format!("{greeting}[one][two][three]")).await;
    assert!(second.told().await["elsewhere"].as_str().unwrap().contains("another page"));

    // The end stays to be read.
    third.types("exit").await;
    let end = "It was closed: this login is no longer allowed.";
    assert_eq!(third.told().await["end"], end);
    let mut fourth = open(&panel, &bob, &format!("shell={number}&seen=12")).await;
    fourth.told().await;
    fourth.shows(" 3 terminal\r\n[one][two][three]").await;
    assert_eq!(fourth.told().await["end"], end);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_finds_a_shell() {
    let (panel, _router) = bench(b"").await;
    let (bob, cleo) = (panel.signed_in("bob").await, panel.signed_in("cleo").await);
    let mut bobs = open(&panel, &bob, "").await;
    let number = bobs.told().await["shell"]["number"].as_str().unwrap().to_owned();
    // Not another member, not the same one who has signed in again, and not for another server.
    let again = panel.signed_in("bob").await;
    for (browser, path) in [(&cleo, SOCKET), (&again, SOCKET), (&bob, "/vm/4/terminal/socket")] {
        let request = upgrade(&panel, browser, &format!("{path}?shell={number}&seen=0"));
        let mut other = try_open(browser, request).await.unwrap_or_else(|status| panic!("{status}"));
        assert_ne!(other.told().await["shell"]["number"], number, "{path}");
    }
    bobs.shows("shell of bob 3 terminal\r\n").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_comes_from_a_page_of_the_panel_by_somebody_who_may() {
    let (panel, _router) = bench(b"").await;
    let bob = panel.signed_in("bob").await;
    for origin in [None, Some("https://evil.example"), Some("null"), Some("https://panel.example.org")] {
        let mut request = upgrade(&panel, &bob, SOCKET);
        request.headers_mut().remove(ORIGIN);
        if let Some(origin) = origin {
            request.headers_mut().insert(ORIGIN, origin.parse().unwrap());
        }
        assert_eq!(try_open(&bob, request).await.err(), Some(StatusCode::FORBIDDEN), "{origin:?}");
    }
    assert_eq!(panel.door.times("/ticket"), 0);
    let nobody = panel.browser();
    let request = upgrade(&panel, &nobody, SOCKET);
    assert_eq!(try_open(&nobody, request).await.err(), Some(StatusCode::UNAUTHORIZED));
    let request = upgrade(&panel, &bob, "/vm/99/terminal/socket");
    assert_eq!(try_open(&bob, request).await.err(), Some(StatusCode::NOT_FOUND));
    // No upgrade at all.
    let mut plain = bob.request(Method::GET, SOCKET, "");
    plain.headers_mut().insert(ORIGIN, panel.origin().parse().unwrap());
    bob.send(plain).await.says(StatusCode::BAD_REQUEST, "terminal");
    // What the door says no to is said where a script can read it.
    panel.door.answer(|_, _, _: Ticket| Err(refusal(Why::BadQuestion, "`shop` is stopped.")));
    let mut refused = open(&panel, &bob, "").await;
    assert_eq!(refused.told().await["end"], "`shop` is stopped.");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_terminal_s_page_alone_may_make_styles() {
    let (panel, _router) = bench(b"").await;
    let bob = panel.signed_in("bob").await;
    let page = bob.get("/vm/3/terminal").await;
    page.says(StatusCode::OK, "Terminal of shop");
    let policy = page.header("content-security-policy").to_owned();
    let nonce = policy.split("'nonce-").nth(1).unwrap().split('\'').next().unwrap().to_owned();
    assert!(nonce.len() >= 16 && policy.contains("style-src-attr 'unsafe-inline'"), "{policy}");
    assert!(policy.contains("script-src 'self';"), "{policy}");
    let again = bob.get("/vm/3/terminal").await;
    assert!(!again.header("content-security-policy").contains(&nonce), "it is another each time");
    let has_scripts = page.text.contains("/assets/xterm.");
    assert_eq!(has_scripts, page.text.contains(&format!("data-nonce=\"{nonce}\"")));
    // With or without them, there is the line for everybody's own client.
    page.says(StatusCode::OK, "ssh -p 10022 shop@hosting.example.org");
    assert!(!bob.get("/vm/3/log").await.header("content-security-policy").contains("unsafe"));
}

/// Most bytes of the terminal's page on its way, with everything that it loads.
const MOST: usize = 115 << 10;

#[tokio::test(flavor = "multi_thread")]
async fn the_terminal_s_page_is_no_larger_than_it_has_to_be() {
    let (panel, _router) = bench(b"").await;
    let bob = panel.signed_in("bob").await;
    let page = bob.get("/vm/3/terminal").await;
    let files = page.text.split('"').filter(|part| part.starts_with("/assets/"));
    let mut all = 0;
    for path in std::iter::once("/vm/3/terminal").chain(files) {
        let mut request = bob.request(Method::GET, path, "");
        request.headers_mut().insert("accept-encoding", "gzip".parse().unwrap());
        let file = bob.send(request).await;
        assert_eq!(file.status, StatusCode::OK, "{path}");
        all += file.size;
    }
    assert!(all <= MOST, "{all} bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_shown_word_for_word_and_given_out_byte_for_byte() {
    const LOG: &[u8] = b"10:00 app: <script>alert(1)</script>\n10:01 app: \x1b[31mred\x1b[0m & done\n";
    let (panel, _router) = bench(LOG).await;
    let bob = panel.signed_in("bob").await;
    let page = bob.get("/vm/3/log").await;
    page.says(StatusCode::OK, "<div>10:00 app: &lt;script&gt;alert(1)&lt;&#x2f;script&gt;</div>");
    page.says(StatusCode::OK, "<div>10:01 app: red &amp; done</div>");
    let file = bob.get("/vm/3/log/file").await;
    assert_eq!(file.text.as_bytes(), LOG);
    assert_eq!(file.header("content-disposition"), "attachment; filename=\"shop.log\"");
    assert_eq!(file.header("content-type"), "text/plain; charset=utf-8");
    for path in ["/vm/99/log", "/vm/99/log/file"] {
        bob.get(path).await.says(StatusCode::NOT_FOUND, "there is no such server");
    }
    // A server that can't be read is said to be so, and its page stays.
    panel.door.answer(|_, _, _: Ticket| Err(refusal(Why::BadQuestion, "`shop` is stopped.")));
    bob.get("/vm/3/log").await.says(StatusCode::OK, "<code>shop</code> is stopped.");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clean_up_says_before_what_goes_and_shows_what_went() {
    let (panel, _router) = bench(b"Total reclaimed space: 12MB <b>\n").await;
    let bob = panel.signed_in("bob").await;
    let page = bob.get("/vm/3/clean-up").await;
    page.says(StatusCode::OK, "volumes, containers (running or stopped), networks");
    assert!(!page.text.contains("Total reclaimed"));
    assert_eq!(bob.post("/vm/3/clean-up", &[]).await.goes_to(), "/vm/3/clean-up");
    let begun = tokio::time::Instant::now();
    let done = loop {
        let page = bob.get("/vm/3/clean-up").await;
        if page.text.contains("It is cleaned up") {
            break page;
        }
        page.says(StatusCode::OK, "http-equiv=\"refresh\"");
        assert!(begun.elapsed() < PATIENCE);
    };
    done.says(StatusCode::OK, "Total reclaimed space: 12MB &lt;b&gt;");
    assert!(!done.text.contains("http-equiv=\"refresh\""));
    // It is nobody else's to see.
    let cleo = panel.signed_in("cleo").await;
    assert!(!cleo.get("/vm/3/clean-up").await.text.contains("Total reclaimed"));
    panel.door.answer(|_, _, _: Ticket| Err(refusal(Why::Forbidden, "Only `bob` may.")));
    assert_eq!(cleo.post("/vm/3/clean-up", &[]).await.goes_to(), "/vm/3/clean-up");
    cleo.get("/vm/3/clean-up").await.says(StatusCode::OK, "Nothing was removed. Only <code>bob</code> may.");
    panel.door.answer(|_, _, _: ServerRead| Err(refusal(Why::NotFound, "there is no such server")));
    bob.post("/vm/99/clean-up", &[]).await.says(StatusCode::NOT_FOUND, "there is no such server");
}
