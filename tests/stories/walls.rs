//! Attacks on the panel, at both of its addresses: its own port, and the web server before all domains. Everything is as it runs: the edge,
//! the panel's parent and child, the door, browsers' requests down to their bytes. While each attack goes on, a member works.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use berth_tests::panel::{HASH, PANEL, PASSWORD};
use berth_tests::process::{PATIENCE, built};
use berth_tests::web::{CLOUDFLARE, VISITOR};
use berth_tests::{GitDoor, Panel, Ran, Web, World, run};

crate::stories! { the_panel_stands_attacks_at_both_of_its_addresses }

/// Ports at which the panel is: its own, and the edge's.
const PORTS: [u16; 2] = [8443, 443];
/// Marks what only those may read who are signed in.
const INSIDE: &str = "My servers";
/// A site of a member's, below the same domain as the panel.
const SIBLING: &str = "shop.example.org";
/// Slow connections at once: more than one address may have at the panel.
const SLOW: usize = 150;
/// Wrong passwords.
const GUESSES: usize = 50;
/// Time in which a page comes, on a machine with other work.
const SOON: Duration = Duration::from_secs(15);

/// Everything that there is to attack. The fields are dropped in this order.
struct Scene {
    _panel: Panel,
    _door: GitDoor,
    web: Web,
}

/// An answer, as it came.
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn of(ran: &Ran) -> Self {
        // Of a request whose body was announced, the first head says only that it may come.
        let text = ran.stdout.replace("\r\n", "\n");
        let text = text.strip_prefix("HTTP/1.1 100 Continue\n\n").unwrap_or(&text);
        let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
        Self { status, head: head.to_owned(), body: body.to_owned() }
    }

    fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The session's cookie that it gives.
    fn cookie(&self) -> Option<String> {
        let value = self.header("set-cookie")?.split(';').next()?;
        value.strip_prefix("__Host-berth=").filter(|value| !value.is_empty()).map(str::to_owned)
    }

    fn tells(&self) -> String {
        format!("{}\n{}", self.head, self.body.chars().take(300).collect::<String>())
    }
}

impl Scene {
    fn new() -> Self {
        let web = Web::start();
        let settings = format!("domain = \"h.example.net\"\n[panel]\ndomain = \"{PANEL}\"\ntls = \"internal\"\n");
        web.state().write("platform.toml", &settings);
        for (user, role) in [("ann", "admin"), ("bob", "user")] {
            let text = format!("role = \"{role}\"\npassword_hash = \"{HASH}\"\n");
            web.state().write(&format!("users/{user}.toml"), &text);
        }
        web.state().write("servers/one.toml", "id = 1\nowner = \"bob\"\n").server("two", 2, "");
        web.load();
        let state = web.home().join("state.git");
        let mut init = Command::new(built("berth"));
        run(init.arg("init").arg(&state).arg("--from").arg(web.state().path()), PATIENCE).good();
        let door = GitDoor::with_gate(&state, &web.home().join("door-data"), web.run().join("door"), &["ann"]);
        let panel = Panel::behind(&web, &door.panel(), None);
        Self { _panel: panel, _door: door, web }
    }

    /// Asks for a path of the panel, exactly as it is written, from an address of this machine.
    fn ask(&self, from: &str, port: u16, path: &str, more: &[&str]) -> Answer {
        let mut command = self.web.namespace().command();
        command.args(["curl", "-sS", "-k", "-i", "--http1.1", "--noproxy", "*", "--max-time", "60", "--path-as-is"]);
        command.args(["--interface", from, "--connect-to", "::127.0.0.1:"]).args(more);
        Answer::of(&run(command.arg(format!("{}{path}", origin(port))), PATIENCE))
    }

    /// Sends a form, as a page of the panel does.
    fn send(&self, from: &str, port: u16, path: &str, form: &str, more: &[&str]) -> Answer {
        let own = format!("Origin: {}", origin(port));
        self.ask(from, port, path, &[&["-H", &own, "--data-raw", form], more].concat())
    }

    /// Signs somebody in from an address, with a cookie that their browser has already. Returns the session's cookie.
    #[track_caller]
    fn signed_in(&self, from: &str, port: u16, name: &str, before: Option<&str>) -> String {
        let form = format!("user={name}&password={}", PASSWORD.replace(' ', "+"));
        let cookie = before.map(cookie);
        let more: Vec<&str> = cookie.iter().flat_map(|cookie| ["-H", cookie.as_str()]).collect();
        let entered = self.send(from, port, "/login", &form, &more);
        assert_eq!(entered.status, 303, "{name} signs in at {port}: {}", entered.tells());
        entered.cookie().unwrap_or_else(|| panic!("a new session: {}", entered.tells()))
    }

    /// Checks that a member's page comes, and soon, whatever others do.
    #[track_caller]
    fn serves(&self, from: &str, session: &str) {
        for port in PORTS {
            let asked = Instant::now();
            let page = self.ask(from, port, "/", &["-H", &cookie(session)]);
            assert!(page.status == 200 && page.body.contains(INSIDE), "at {port}: {}", page.tells());
            assert!(asked.elapsed() < SOON, "at {port} after {:?}", asked.elapsed());
        }
    }
}

fn origin(port: u16) -> String {
    if port == 443 { format!("https://{PANEL}") } else { format!("https://{PANEL}:{port}") }
}

fn cookie(session: &str) -> String {
    format!("Cookie: __Host-berth={session}")
}

fn the_panel_stands_attacks_at_both_of_its_addresses(_: &World) {
    let scene = Scene::new();
    let bob = scene.signed_in(CLOUDFLARE, 8443, "bob", None);
    scene.serves(CLOUDFLARE, &bob);
    nobody_is_led_away(&scene, &bob);
    nobody_walks_around_the_sign_in(&scene);
    a_session_that_was_planted_is_none(&scene);
    a_sibling_does_nothing(&scene, &bob);
    too_much_is_refused(&scene, &bob);
    slow_ones_hold_nobody_up(&scene, &bob);
    guesses_shut_nobody_out(&scene);
    scene.serves(CLOUDFLARE, &bob);
}

/// Paths that some browser or program reads as another site's address lead to pages of the panel, or nowhere.
fn nobody_is_led_away(scene: &Scene, bob: &str) {
    let bad = [
        "//evil.example",
        "//evil.example/%2f..",
        "/\\evil.example",
        "/%5cevil.example",
        "/%2f%2fevil.example",
        "/%09/evil.example",
        "/%0d%0aLocation:%20https://evil.example",
        "/.//evil.example",
        "/..//evil.example",
        "/login?next=https://evil.example",
        "/login/?next=//evil.example",
        "/open?host=evil.example&digest=x",
        "/resume?path=//evil.example",
        "/@evil.example",
        "///evil.example/..;/",
    ];
    for (port, path) in PORTS.iter().flat_map(|port| bad.map(|path| (*port, path))) {
        let stays = |answer: &Answer| {
            let leads = answer.header("location").unwrap_or("/");
            let own = leads.strip_prefix(&origin(port)).unwrap_or(leads);
            let is_own = own.starts_with('/') && !own.starts_with("//") && !own.contains('\\');
            assert!(is_own, "{path} at {port} leads to {leads}");
        };
        // As nobody, whose way is remembered for after the sign-in, and as somebody.
        let asked = scene.ask(CLOUDFLARE, port, path, &[]);
        stays(&asked);
        stays(&scene.ask(CLOUDFLARE, port, path, &["-H", &cookie(bob)]));
        if let Some(guest) = asked.cookie() {
            let form = format!("user=bob&password={}", PASSWORD.replace(' ', "+"));
            let entered = scene.send(CLOUDFLARE, port, "/login", &form, &["-H", &cookie(&guest)]);
            assert_eq!(entered.status, 303, "{path} at {port}: {}", entered.tells());
            stays(&entered);
        }
    }
}

/// No header speaks for somebody, and no spelling of a path is another one than the table of routes has.
fn nobody_walks_around_the_sign_in(scene: &Scene) {
    let headers = [
        "Berth-User: ann",
        "Remote-User: ann",
        "X-Forwarded-User: ann",
        "X-Remote-User: ann",
        "X-Forwarded-Preferred-Username: ann",
        "Authorization: Bearer ann",
        "Authorization: Basic YW5uOmNvcnJlY3QgaG9yc2UgYmF0dGVyeQ==",
        "X-Original-URL: /admin/",
        "X-Rewrite-URL: /admin/",
        "X-Forwarded-Uri: /assets/style.css",
        "X-Forwarded-Host: localhost",
        "X-HTTP-Method-Override: GET",
        "Berth-Client: 127.0.0.1",
        "Berth-Scheme: https",
        "Berth-Gate: 127.0.0.1:80",
        "X-Forwarded-For: 127.0.0.1",
        "Forwarded: for=127.0.0.1;host=localhost",
        "Cookie: __Host-berth=",
        "Cookie: __Host-berth=AAAAAAAAAAAAAAAAAAAAAA.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "Cookie: __Host-berth-app=1~9999999999~panel.example.org~ann~x~x",
    ];
    let paths = [
        "/admin/",
        "/admin",
        "//admin/",
        "/./admin/",
        "/login/../admin/",
        "/login/..%2fadmin/",
        "/assets/../admin/",
        "/assets/%2e%2e/admin/",
        "/login;/../admin/",
        "/%61dmin/",
        "/admin/%00",
        "/login%2f..%2f..%2fadmin%2f",
        "/.berth/enter",
        "/vm/1",
        "/vm/1/terminal/socket",
        "/vm/1/log/file",
    ];
    let all: Vec<&str> = headers.iter().flat_map(|header| ["-H", *header]).collect();
    for port in PORTS {
        for path in paths {
            for more in [&[][..], &all] {
                let answer = scene.ask(VISITOR, port, path, more);
                let is_closed = matches!(answer.status, 303 | 308 | 400 | 401 | 403 | 404 | 421);
                assert!(is_closed && !answer.body.contains(INSIDE), "{path} at {port}: {}", answer.tells());
            }
        }
        // One by one, so that none takes the others' effect away.
        for header in headers {
            let answer = scene.ask(VISITOR, port, "/admin/", &["-H", header]);
            assert!([303, 421].contains(&answer.status), "{header} at {port}: {}", answer.tells());
            assert_eq!(answer.header("location").unwrap_or("/login"), "/login", "{header} at {port}");
        }
    }
}

/// A cookie that somebody else knows is worth nothing after the sign-in, whether the panel made it or not.
fn a_session_that_was_planted_is_none(scene: &Scene) {
    let opens = |port, session: &str| {
        let page = scene.ask(VISITOR, port, "/account", &["-H", &cookie(session)]);
        (page.status, page.header("location").map(str::to_owned))
    };
    let closed = (303, Some("/login".to_owned()));
    for port in PORTS {
        let guest = scene.ask(VISITOR, port, "/account", &[]).cookie().expect("a guest's session");
        let made_up = format!("{}.{}", "A".repeat(22), "A".repeat(43));
        for planted in [&guest, &made_up] {
            let session = scene.signed_in(CLOUDFLARE, port, "bob", Some(planted));
            assert_ne!(session, *planted, "the session is a new one");
            assert_eq!(opens(port, &session).0, 200);
            assert_eq!(opens(port, planted), closed, "the planted one at {port}");
            // Beside the true one, it is none either: nobody can tell which of two the browser was given.
            let both = format!("Cookie: __Host-berth={planted}; __Host-berth={session}");
            assert_eq!(scene.ask(VISITOR, port, "/account", &["-H", &both]).status, 303);
            let own = format!("Origin: {}", origin(port));
            let left = scene.ask(VISITOR, port, "/logout", &["-X", "POST", "-H", &own, "-H", &cookie(&session)]);
            assert_eq!(left.status, 303, "{}", left.tells());
            assert_eq!(opens(port, &session), closed, "a session that has ended");
        }
    }
}

/// A page of another site below the same domain, whose requests carry the member's cookie.
fn a_sibling_does_nothing(scene: &Scene, bob: &str) {
    let session = cookie(bob);
    for port in PORTS {
        let sibling = format!("Origin: https://{SIBLING}");
        let other_port = format!("Origin: https://{PANEL}:9999");
        for origin in [sibling.as_str(), other_port.as_str(), "Origin: null", "Origin: https://panel.example.org.evil.example"] {
            for path in ["/account/sign-out-everywhere", "/vm/1/restart", "/logout", "/login"] {
                let answer = scene.ask(VISITOR, port, path, &["-X", "POST", "-H", origin, "-H", &session]);
                assert!(answer.status == 403 && answer.body.contains("nothing was done"), "{origin} {path}: {}", answer.tells());
                assert!(answer.cookie().is_none(), "{origin} {path}: {}", answer.tells());
            }
            let upgrade = [
                "-H", "Connection: Upgrade", "-H", "Upgrade: websocket", "-H", "Sec-WebSocket-Version: 13",
                "-H", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "-H", origin, "-H", &session,
            ];
            let socket = scene.ask(VISITOR, port, "/vm/1/terminal/socket", &upgrade);
            assert_eq!(socket.status, 403, "a WebSocket, {origin} at {port}: {}", socket.tells());
        }
        let read = scene.ask(VISITOR, port, "/", &["-H", &sibling, "-H", &session]);
        for header in ["access-control-allow-origin", "access-control-allow-credentials"] {
            assert_eq!(read.header(header), None, "{}", read.tells());
        }
    }
}

/// Heads and bodies that are too long, announced or not.
fn too_much_is_refused(scene: &Scene, bob: &str) {
    let session = cookie(bob);
    let large = scene.web.home().join("large");
    std::fs::write(&large, vec![b'a'; 300 << 10]).expect("a file");
    let large = format!("@{}", large.display());
    for port in PORTS {
        let own = format!("Origin: {}", origin(port));
        let post = ["-X", "POST", "-H", own.as_str(), "-H", session.as_str(), "-H", "Expect:"];
        for more in [&["--data-binary", &large][..], &["-H", "Transfer-Encoding: chunked", "--data-binary", &large]] {
            let answer = scene.ask(VISITOR, port, "/account/edit", &[&post[..], more].concat());
            assert_eq!(answer.status, 413, "at {port}: {}", answer.tells());
        }
        let long = format!("X-Long: {}", "a".repeat(64 << 10));
        let many: Vec<String> = (0..300).map(|at| format!("X-{at}: y")).collect();
        let many: Vec<&str> = many.iter().flat_map(|line| ["-H", line.as_str()]).collect();
        for more in [&["-H", long.as_str()][..], &many] {
            // Nobody reads the rest of such a head, so the answer may be lost with the connection.
            let mut answers = (0..5).map(|_| scene.ask(VISITOR, port, "/", more));
            let answer = answers.find(|answer| answer.status != 0).expect("an answer to a head");
            assert_eq!(answer.status, 431, "a head at {port}: {}", answer.tells());
        }
        let path = format!("/{}", "a".repeat(48 << 10));
        let answer = scene.ask(VISITOR, port, &path, &[]);
        assert!([414, 431].contains(&answer.status), "a path at {port}: {}", answer.tells());
        scene.serves(CLOUDFLARE, bob);
    }
}

/// Connections that say nothing, half a handshake, half a head or half a form, from one address; somebody else works meanwhile.
fn slow_ones_hold_nobody_up(scene: &Scene, bob: &str) {
    let half = |port: u16, sent: &[u8]| {
        // To the visitor's own address, and so from it.
        let stream = scene.web.namespace().enter(|| TcpStream::connect((VISITOR, port)));
        stream.and_then(|mut stream| stream.write_all(sent).map(|()| stream)).ok()
    };
    // The beginning of a record of TLS.
    let hello = [0x16, 3, 1, 2, 0, 1, 0, 1];
    let mut open: Vec<TcpStream> = Vec::new();
    for port in PORTS {
        open.extend((0..SLOW).filter_map(|at| half(port, if at % 2 == 0 { &[] } else { &hello })));
    }
    assert!(open.len() >= SLOW, "they are open: {}", open.len());
    scene.serves(CLOUDFLARE, bob);
    // Within TLS: heads and forms that never end.
    let heads = [
        format!("GET / HTTP/1.1\r\nHost: {PANEL}\r\nX-Slow: "),
        format!(
            "POST /login HTTP/1.1\r\nHost: {PANEL}\r\nOrigin: https://{PANEL}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
             Content-Length: 100\r\n\r\nuser="
        ),
    ];
    let mut slow = Vec::new();
    for (port, head) in PORTS.iter().flat_map(|port| heads.iter().map(move |head| (*port, head))) {
        let mut client = scene.web.namespace().command();
        client.args(["timeout", "120", "openssl", "s_client", "-quiet", "-ign_eof", "-servername", PANEL]);
        client.args(["-connect", &format!("{VISITOR}:{port}")]);
        for _ in 0..8 {
            let mut one = Slow(client.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::null())
                .stderr(std::process::Stdio::null()).spawn().expect("openssl"));
            one.0.stdin.as_mut().expect("its input").write_all(head.as_bytes()).expect("half a request");
            slow.push(one);
        }
    }
    scene.serves(CLOUDFLARE, bob);
    // Whoever has too many open is cut off at the panel's own port, and they are let go after a while everywhere.
    let cut = |stream: &mut TcpStream| {
        stream.set_read_timeout(Some(Duration::from_millis(1))).expect("a deadline");
        let read = stream.read(&mut [0; 16]);
        !matches!(&read, Err(error) if [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&error.kind()))
    };
    let mut ended = open.iter_mut().filter(|stream| stream.peer_addr().is_ok_and(|peer| peer.port() == 8443));
    assert!(ended.any(cut), "one address has so many connections and no more");
}

/// A client that is ended with the story.
struct Slow(std::process::Child);

impl Drop for Slow {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whoever guesses waits, whatever address they claim; the person gets in from elsewhere.
fn guesses_shut_nobody_out(scene: &Scene) {
    for port in PORTS {
        let mut told = Vec::new();
        let form = format!("user=ann&password={}", PASSWORD.replace(' ', "+"));
        let waits = loop {
            let at = told.len();
            let claims = ["X-Forwarded-For", "X-Real-Ip", "Berth-Client", "Cf-Connecting-Ip"]
                .map(|name| format!("{name}: 10.{port}.0.{at}", port = port % 250));
            let claims: Vec<&str> = claims.iter().flat_map(|claim| ["-H", claim.as_str()]).collect();
            let guess = scene.send(VISITOR, port, "/login", &format!("user=ann&password=guess+number+{at}"), &claims);
            assert!([403, 429].contains(&guess.status), "{}", guess.tells());
            told.push(guess.status);
            assert!(at < 4 * GUESSES, "whoever guesses waits: {told:?}");
            if at + 1 < GUESSES / PORTS.len() || guess.status != 429 {
                continue;
            }
            // Even with the right password, and at either address. On a slow machine, the wait may be over by then.
            let waits = scene.send(VISITOR, port, "/login", &form, &[]);
            if waits.status == 429 {
                break waits;
            }
        };
        assert!(waits.header("retry-after").is_some(), "{}", waits.tells());
    }
    for port in PORTS {
        let ann = scene.signed_in(CLOUDFLARE, port, "ann", None);
        scene.serves(CLOUDFLARE, &ann);
    }
}
