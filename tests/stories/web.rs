//! The web server before all domains, as its image runs it: what visitors get, what the app behind it sees, and what
//! becomes of open connections when something changes.

use std::fs;
use std::io::{BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use berth_plan::render::Kind;
use berth_tests::process::{PATIENCE, is_alive, send, source_tree, within};
use berth_tests::web::{self, CLOUDFLARE, VISITOR, WebSocket};
use berth_tests::{Acme, Web, World, eventually, run};
use rustix::process::Signal;

crate::stories! {
    a_web_socket_lives_through_another_domain,
    a_stream_of_events_goes_on_through_another_domain,
    every_refusal_says_why,
    a_removed_domain_is_gone_at_once,
    an_app_sees_the_visitor_and_not_what_they_claim,
    a_visitor_has_no_proxy_s_word,
    an_old_go_speaks_no_http_2,
    nothing_is_held_back,
    the_panel_s_name_is_carried,
    certificates_come_from_the_ca_and_are_renewed,
    certificates_of_the_platform_s_own_ca_are_there_at_once,
    a_configuration_that_is_refused_changes_nothing,
    it_starts_closed_and_ends_when_asked,
    ten_thousand_domains_are_added_under_load,
}

fn a_web_socket_lives_through_another_domain(_: &World) {
    let web = Web::start();
    web.domain("a.h.example.org", "tls = \"off\"\n").domain("b.h.example.org", "tls = \"internal\"\n");
    web.load();
    let mut plain = web.web_socket("a.h.example.org");
    let mut encrypted = secure_web_socket(&web, "b.h.example.org");
    assert!(plain.lives() && encrypted.lives());

    // Of every kind, and one goes.
    web.domain("c.h.example.org", "tls = \"off\"\n").domain("d.example.com", "").domain("*.e.h.example.org", "tls = \"internal\"\n");
    assert_eq!(web.load(), [Kind::Sites], "no domain is the edge's business");
    web.visit(&["http://c.h.example.org/"]).is(200, "Host: c.h.example.org");
    web.visit(&["https://x.e.h.example.org/"]).is(200, "Host: x.e.h.example.org");
    web.state().remove("domains/c.h.example.org.toml");
    web.load();
    web.visit(&["http://c.h.example.org/"]).is(404, "No such site");
    // The old configuration's end isn't waited for by a load: a second and more of an app's events go by.
    let mut events = web.events("a.h.example.org");
    for _ in 0..200 {
        events.next_number();
        assert!(plain.lives() && encrypted.lives());
    }

    assert_eq!(web.load(), [], "equal bytes");
}

fn a_stream_of_events_goes_on_through_another_domain(_: &World) {
    let web = Web::start();
    web.domain("a.h.example.org", "tls = \"off\"\n").load();
    let mut events = web.events("a.h.example.org");
    let first = events.next_number();
    web.domain("b.h.example.org", "tls = \"off\"\n");
    assert_eq!(web.load(), [Kind::Sites]);
    web.visit(&["http://b.h.example.org/"]).is(200, "Host: b.h.example.org");
    web.state().remove("domains/b.h.example.org.toml");
    assert_eq!(web.load(), [Kind::Sites]);
    // Those of a second and more after it, and none is missing.
    let many = first + 1..first + 200;
    assert!(many.clone().eq(many.map(|_| events.next_number())));

    // A reload of the edge cuts a WebSocket; this is a request like any other, which is finished.
    let mut socket = web.web_socket("a.h.example.org");
    let settings = web.state().read("platform.toml");
    web.state().write("platform.toml", &format!("{settings}[acme]\nemail = \"ops@example.org\"\n"));
    assert_eq!(web.load(), [Kind::Caddy]);
    eventually("the WebSocket is cut", || (!socket.lives()).then_some(()));
    let many = first + 200..first + 400;
    assert!(many.clone().eq(many.map(|_| events.next_number())));
}

fn the_panel_s_name_is_carried(_: &World) {
    let web = Web::start();
    let settings = |panel: &str, more: &str| {
        let panel = format!("[panel]\ndomain = \"panel.example.org\"\ntls = \"internal\"\n{panel}");
        web.state().write("platform.toml", &format!("domain = \"h.example.org\"\n{panel}{more}"));
    };
    settings("", "[access]\npanel = [\"203.0.113.0/24\", \"127.0.0.0/8\"]\n");
    web.load();
    // Nobody answers at the socket yet.
    web.visit(&["https://panel.example.org/"]).is(503, "The panel doesn't answer");
    web.serve_panel();

    // The panel is told who the visitor is, whatever the visitor claims.
    let spoof = ["-H", "Berth-Client: 192.0.2.9", "-H", "X-Forwarded-For: 192.0.2.9", "-H", "Forwarded: for=192.0.2.9"];
    let told = web.visit(&[&spoof[..], &["-H", "Berth-User: ann", "https://panel.example.org/a%20b?c"]].concat());
    told.is(200, "GET /a%20b?c HTTP/1.1");
    assert_eq!((told.seen("Berth-Client"), told.seen("Berth-Scheme")), (vec![VISITOR], vec!["https"]));
    for header in ["X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "Forwarded", "Berth-User"] {
        assert_eq!(told.seen(header), Vec::<&str>::new(), "{header}");
    }
    assert_eq!((told.version.as_str(), told.seen("Host")), (web::version(), vec!["panel.example.org"]));
    // Somebody else gets no answer, whatever they claim.
    let spoof = ["-H", "X-Forwarded-For: 203.0.113.5", "-H", "Berth-Client: 203.0.113.5"];
    let stranger = web.visit_from(CLOUDFLARE, &[&spoof[..], &["https://panel.example.org/"]].concat());
    assert_eq!((stranger.status, stranger.body.as_str()), (0, ""), "{stranger:?}");

    // In plain text there is a CA's question, and otherwise the way to HTTPS.
    let token = "a-token_of-the-ca-0123456789";
    let path = format!("/.well-known/acme-challenge/{token}");
    for asked in [path.clone(), format!("//.well-known//acme-challenge/{token}")] {
        let passed = web.visit_from(CLOUDFLARE, &["--path-as-is", &format!("http://panel.example.org{asked}")]);
        passed.is(200, &format!("GET {path} HTTP/1.1"));
        assert_eq!((passed.seen("Berth-Client"), passed.seen("Berth-Scheme")), (vec![CLOUDFLARE], vec!["http"]));
    }
    web.visit(&["--path-as-is", &format!("http://panel.example.org{path}/../x")]).is(308, "");
    for other in [format!("{path}/x"), path.to_uppercase(), "/login".to_owned()] {
        let led = web.visit(&["--path-as-is", &format!("http://panel.example.org{other}")]);
        assert_eq!(led.is(308, "").location, format!("https://panel.example.org{other}"));
    }
    web.visit(&[&format!("http://shop.h.example.org{path}")]).is(404, "No such site");

    // The platform's own domain leads to it.
    assert_eq!(web.visit(&["http://h.example.org/a?b"]).is(308, "").location, "https://h.example.org/a?b");
    assert_eq!(web.visit(&["https://h.example.org/a?b"]).is(302, "").location, "https://panel.example.org/");

    // An admin leads it to a server, and takes it back.
    web.domain("h.example.org", "tls = \"off\"\n").load();
    web.visit(&["http://h.example.org/x"]).is(200, "GET /x HTTP/1.1");
    web.state().remove("domains/h.example.org.toml");
    web.load();
    assert_eq!(web.visit(&["https://h.example.org/"]).is(302, "").location, "https://panel.example.org/");

    // What stays open lives through another domain.
    let mut socket = secure_web_socket(&web, "panel.example.org");
    web.domain("a.h.example.org", "tls = \"off\"\n");
    assert_eq!(web.load(), [Kind::Sites]);
    assert!(socket.lives());

    // Led to the panel's own port, as the world knows it; and not known at all.
    settings("edge = \"redirect\"\n", "[public]\npanel_port = 9443\n");
    web.load();
    for scheme in ["http", "https"] {
        let led = web.visit(&[&format!("{scheme}://panel.example.org/login")]);
        assert_eq!(led.is(308, "").location, "https://panel.example.org:9443/login");
    }
    web.visit(&[&format!("http://panel.example.org{path}")]).is(200, "GET /.well-known");
    assert_eq!(web.visit(&["https://h.example.org/"]).is(302, "").location, "https://panel.example.org:9443/");
    settings("edge = \"none\"\n", "");
    web.load();
    for name in ["panel.example.org", "h.example.org"] {
        web.visit(&[&format!("http://{name}/")]).is(404, "No such site");
    }
}

/// A WebSocket inside TLS, through `openssl`.
#[expect(clippy::zombie_processes, reason = "it ends when its pipes close, and the run's end collects it")]
fn secure_web_socket(web: &Web, host: &str) -> WebSocket<std::process::ChildStdout, std::process::ChildStdin> {
    let address = "127.0.0.1:443";
    let mut command = web.namespace().command();
    command.args(["openssl", "s_client", "-quiet", "-verify_quiet", "-connect", address, "-servername", host]);
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let mut child = child.expect("start openssl");
    WebSocket::open(child.stdout.take().expect("out"), child.stdin.take().expect("in"), host)
}

fn every_refusal_says_why(_: &World) {
    let web = Web::start();
    let off = "tls = \"off\"\n";
    web.domain("plain.h.example.org", off);
    web.domain("users.h.example.org", &format!("{off}access = \"users\"\n"));
    web.domain("owner.h.example.org", &format!("{off}access = \"owner\"\n"));
    web.domain("auto.h.example.org", "").domain("*.w.h.example.org", "");
    web.state().write("domains/dead.h.example.org.toml", "server = \"one\"\nport = 9\ntls = \"off\"\n");
    web.state().write("domains/stopped.h.example.org.toml", "server = \"two\"\ntls = \"off\"\n");
    web.load();

    web.visit(&["http://plain.h.example.org/x?y"]).is(200, "GET /x?y HTTP/1.1");
    web.visit(&["http://unknown.h.example.org/"]).is(404, "There is no site with this name here.");
    web.visit(&["http://127.0.0.1/"]).is(404, "There is no site");
    web.visit(&["http://below.plain.h.example.org/"]).is(404, "There is no site");
    web.visit(&["http://users.h.example.org/"]).is(403, "Only members of the platform");
    web.visit(&["http://owner.h.example.org/"]).is(403, "Only the owner and the members of the server");
    web.visit(&["http://stopped.h.example.org/"]).is(503, "is stopped");
    web.visit(&["http://dead.h.example.org/"]).is(502, "nothing in it answers").is(502, "listens at 127.0.0.1 alone");
    web.visit(&["http://x.w.h.example.org/"]).is(503, "no certificate can be had");
    // A name has no case, and a port is no part of it.
    web.visit(&["-H", "Host: PLAIN.H.Example.ORG:80", "http://plain.h.example.org/"]).is(200, "GET / HTTP/1.1");

    let redirected = web.visit(&["-X", "POST", "-d", "x", "http://auto.h.example.org/a%20b?c=d"]);
    assert_eq!(redirected.is(308, "").location, "https://auto.h.example.org/a%20b?c=d");
    // Without a certificate there is no page, only a refused handshake.
    for host in ["plain.h.example.org", "unknown.h.example.org", "x.w.h.example.org"] {
        assert_eq!(web.visit(&[&format!("https://{host}/")]).status, 0, "{host}");
    }

    web.state().write("platform.toml", "domain = \"h.example.org\"\n[web]\nhttps_port = 8443\n");
    assert_eq!(web.load(), [Kind::Sites]);
    assert_eq!(web.visit(&["http://auto.h.example.org/"]).location, "https://auto.h.example.org:8443/");
}

fn a_removed_domain_is_gone_at_once(_: &World) {
    let web = Web::start();
    web.domain("a.h.example.org", "tls = \"off\"\n").load();
    // One connection all the while.
    let mut stream = BufReader::new(web.connect());
    let mut ask = || {
        stream.get_mut().write_all(b"GET / HTTP/1.1\r\nHost: a.h.example.org\r\n\r\n").expect("ask");
        let head = web::head(&mut stream).expect("an answer");
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")?.parse().ok());
        let mut body = vec![0; length.expect("a length")];
        stream.read_exact(&mut body).expect("a body");
        head.lines().next().unwrap_or_default().to_owned()
    };
    assert_eq!(ask(), "HTTP/1.1 200 OK");
    web.state().remove("domains/a.h.example.org.toml");
    web.load();
    assert_eq!(ask(), "HTTP/1.1 404 Not Found");
    web.domain("a.h.example.org", "tls = \"off\"\n").load();
    assert_eq!(ask(), "HTTP/1.1 200 OK");
}

fn an_app_sees_the_visitor_and_not_what_they_claim(_: &World) {
    let web = Web::start();
    web.domain("a.h.example.org", "tls = \"off\"\n").domain("cf.h.example.org", "tls = \"off\"\ncloudflare = true\n");
    web.load();
    let lies = [
        "-H", "X-Forwarded-For: 198.51.100.1", "-H", "X-Real-IP: 198.51.100.1", "-H", "Forwarded: for=198.51.100.1",
        "-H", "X-Forwarded-Proto: https", "-H", "X-Forwarded-Host: evil.example.org",
        "-H", "CF-Connecting-IP: 198.51.100.1", "-H", "True-Client-IP: 198.51.100.1",
        "-H", "Berth-Upstream: 127.0.0.1:9080", "-H", "Berth-Host: cf.h.example.org", "-H", "Berth-Cloudflare: yes",
    ];
    let visit = |address, host: &str| web.visit_from(address, &[lies.as_slice(), &[&format!("http://{host}/")]].concat());
    let from = |headers: &[(&str, &[&str])], visit: &web::Visit| {
        visit.is(200, "");
        for (header, values) in headers {
            assert_eq!(visit.seen(header), *values, "{header}: {visit:#?}");
        }
    };
    // What Cloudflare says counts only from Cloudflare, and only where the domain says that it stands in front.
    for (address, host) in [(VISITOR, "a.h.example.org"), (VISITOR, "cf.h.example.org"), (CLOUDFLARE, "a.h.example.org")] {
        from(
            &[
                ("X-Forwarded-For", &[address]), ("X-Real-Ip", &[address]), ("X-Forwarded-Proto", &["http"]),
                ("X-Forwarded-Host", &[host]), ("Cf-Connecting-Ip", &[]), ("True-Client-Ip", &[]), ("Forwarded", &[]),
                ("Berth-Upstream", &[]), ("Berth-Host", &[]), ("Berth-Cloudflare", &[]), ("Host", &[host]),
            ],
            &visit(address, host),
        );
    }
    from(
        &[
            ("X-Forwarded-For", &["198.51.100.1"]), ("X-Real-Ip", &["198.51.100.1"]), ("X-Forwarded-Proto", &["https"]),
            ("X-Forwarded-Host", &["cf.h.example.org"]), ("Cf-Connecting-Ip", &["198.51.100.1"]), ("Forwarded", &[]),
            ("Berth-Upstream", &[]),
        ],
        &visit(CLOUDFLARE, "cf.h.example.org"),
    );
    // A server has no business here.
    assert_eq!(web.visit_from(web::APP.0, &["http://a.h.example.org/"]).status, 0);
}

fn a_visitor_has_no_proxy_s_word(_: &World) {
    let web = Web::start();
    web.domain("a.h.example.org", "tls = \"off\"\n").domain("cf.h.example.org", "tls = \"off\"\ncloudflare = true\n").load();
    let names = [
        "X_Forwarded_For", "X_Forwarded_Proto", "X_Real_Ip", "X-Forwarded-Port", "X-Forwarded-Server", "X-Forwarded-User",
        "X-Forwarded-Prefix", "X-Client-Ip", "X-Cluster-Client-Ip", "Client-Ip", "Fastly-Client-Ip", "Remote-User", "Remote-Addr",
        "X-Original-Url", "X-Rewrite-Url", "X-Url-Scheme", "Front-End-Https", "Proxy",
    ];
    let claims = names.map(|name| format!("{name}: 198.51.100.1"));
    let mut arguments: Vec<&str> = claims.iter().flat_map(|claim| ["-H", claim.as_str()]).collect();
    arguments.extend(["-H", "X-Mine: kept"]);
    for host in ["a.h.example.org", "cf.h.example.org"] {
        let url = format!("http://{host}/");
        let visit = web.visit_from(VISITOR, &[arguments.as_slice(), &[&url]].concat());
        visit.is(200, "");
        for name in names {
            assert_eq!(visit.seen(name), [""; 0], "{name} at {host}: {visit:#?}");
        }
        assert_eq!(visit.seen("X-Mine"), ["kept"]);
    }
    // The full form of a name leads to the usual one.
    let full = web.visit_from(VISITOR, &["-H", "Host: a.h.example.org.", "http://a.h.example.org/x?y=z"]);
    assert_eq!(full.is(308, "").location, "http://a.h.example.org/x?y=z");
}

/// Each Caddy says of which Go it was made. The first ones with mends for both floods are 1.21.9 and 1.22.2.
fn an_old_go_speaks_no_http_2(_: &World) {
    let folder = berth_tests::ground::scratch();
    let caddy = folder.path().join("caddy");
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap_or_default());
    for (go, spoken) in [
        ("1.19.8", "h1"), ("1.20.14", "h1"), ("1.21.8", "h1"), ("1.21.9", "h1 h2"), ("1.22", "h1"), ("1.22.1", "h1"), ("1.22.2", "h1 h2"),
        ("1.24.4", "h1 h2"), ("2.0", "h1 h2"), ("", "h1"),
    ] {
        fs::write(&caddy, format!("#!/bin/sh\nprintf 'go\\tgo{go}\\npath\\tcaddy\\n'\n")).expect("a program");
        fs::set_permissions(&caddy, fs::Permissions::from_mode(0o755)).expect("its mode");
        let mut script = Command::new(source_tree().join("templates/caddy/rootfs/usr/lib/berth/protocols"));
        assert_eq!(run(script.env("PATH", &path), PATIENCE).good().stdout.trim(), spoken, "{go}");
    }
}

fn nothing_is_held_back(_: &World) {
    let web = Web::start();
    web.domain("a.h.example.org", "tls = \"off\"\n").domain("b.h.example.org", "tls = \"internal\"\n").load();

    let mut stream = BufReader::new(web.connect());
    stream.get_mut().write_all(b"GET /events HTTP/1.1\r\nHost: a.h.example.org\r\n\r\n").expect("ask");
    assert!(web::head(&mut stream).expect("an answer").contains("text/event-stream"));
    let mut event = [0; 64];
    let length = stream.read(&mut event).expect("an event, with more to come");
    assert!(String::from_utf8_lossy(&event[..length]).contains("data: first"));

    let file = berth_tests::ground::scratch();
    let upload = file.path().join("upload");
    fs::write(&upload, vec![b'x'; 20 << 20]).expect("a file");
    let upload = format!("@{}", upload.display());
    for url in ["http://a.h.example.org/", "https://b.h.example.org/"] {
        for more in [&[][..], &["-H", "Transfer-Encoding: chunked"]] {
            web.visit(&[&["--data-binary", &upload, url][..], more].concat()).is(200, "body: 20971520");
        }
    }
    assert_eq!(web.visit(&["https://b.h.example.org/"]).version, web::version());
}

fn certificates_come_from_the_ca_and_are_renewed(_: &World) {
    let web = Web::start();
    let folder = berth_tests::ground::scratch();
    let acme = Acme::start(web.namespace(), folder.path(), 15);
    web.state().write("platform.toml", &format!("domain = \"h.example.org\"\n{}", acme.settings()));
    web.domain("a.h.example.org", "").domain("own.example.com", "").domain("plain.h.example.org", "tls = \"off\"\n");
    web.state().write("domains/stopped.h.example.org.toml", "server = \"two\"\n");
    web.load();

    let root = acme.root();
    let root = root.to_str().expect("a path");
    let trusting = |host: &str| {
        let url = format!("https://{host}/");
        let mut command = web.namespace().command();
        command.args(["curl", "-sSv", "--noproxy", "*", "--max-time", "20", "--connect-to", "::127.0.0.1:"]);
        run(command.args(["--cacert", root, &url]), PATIENCE)
    };
    for (host, words) in [("a.h.example.org", "Host: a.h.example.org"), ("own.example.com", "Host: own.example.com")] {
        trusting(host).good().says(words);
    }
    trusting("stopped.h.example.org").good().says("is stopped");
    // Nobody can make it ask for others.
    for host in ["plain.h.example.org", "unknown.h.example.org", "sub.a.h.example.org"] {
        assert!(!trusting(host).is_good(), "{host}");
    }
    let asked = |log: &str| fs::read_to_string(web.log()).expect("a log").matches(log).count();
    assert_eq!(asked("certificate obtained successfully"), 3);

    // In the last third of its life, the next visitor has it renewed.
    let expires = |host: &str| {
        let words = trusting(host).good().words();
        words.lines().find_map(|line| Some(line.split_once("expire date: ")?.1.to_owned())).expect("an end")
    };
    let first = expires("a.h.example.org");
    within(Duration::from_secs(25), "a new certificate", || (expires("a.h.example.org") != first).then_some(()));

    // The account and the certificates outlive the process.
    let mut web = web;
    web.restart();
    web.visit(&["https://own.example.com/"]).is(200, "");
}

fn certificates_of_the_platform_s_own_ca_are_there_at_once(_: &World) {
    let web = Web::start();
    web.domain("a.h.example.org", "tls = \"internal\"\n").domain("*.w.h.example.org", "tls = \"internal\"\n");
    web.load();
    let expected = [("a.h.example.org", "DNS:a.h.example.org"), ("x.w.h.example.org", "DNS:*.w.h.example.org")];
    for (host, name) in expected {
        let show = format!(
            "openssl s_client -connect 127.0.0.1:443 -servername {host} </dev/null 2>/dev/null | \
             openssl x509 -noout -issuer -ext subjectAltName"
        );
        // The table makes it when it is told of the name; that takes a few milliseconds more.
        let seen = eventually("a certificate", || Some(web.namespace().shell(&show)).filter(|ran| ran.is_good()));
        seen.says(name).says("Caddy Local Authority");
    }
    // One label, like any certificate for a wildcard.
    assert_eq!(web.visit(&["https://y.x.w.h.example.org/"]).status, 0);
    assert_eq!(web.visit(&["http://a.h.example.org/"]).is(308, "").location, "https://a.h.example.org/");
}

fn a_configuration_that_is_refused_changes_nothing(_: &World) {
    let web = Web::start();
    web.domain("a.h.example.org", "tls = \"off\"\n").load();
    let mut socket = web.web_socket("a.h.example.org");
    for kind in [Kind::Caddy, Kind::Sites] {
        let good = web.render(kind);
        for (bad, words) in [
            (good.replace("route {", "rout {"), "unrecognized directive: rout"),
            (good.replace("admin unix", "#admin unix"), "is missing"),
            (String::new(), "EOF"),
            ("# Nothing.\n{\n}\n".to_owned(), "is missing"),
            (good.replace("protocols {$BERTH_PROTOCOLS:h1}", "protocols h1").replace("protocols h1", "protocols h9"), "h9"),
        ] {
            let ran = web.try_load(kind, &bad).coded(1).says(words);
            assert_eq!(ran.stdout, "");
        }
        web.visit(&["http://a.h.example.org/"]).is(200, "");
        // The same twice is fine.
        web.try_load(kind, &good).good();
        web.try_load(kind, &good).good();
    }
    assert!(socket.lives());
    let other = run(web.command().arg(web.program("check")).args(["dns", "/dev/null"]), PATIENCE);
    other.coded(2).says("there are caddy and sites");
}

fn it_starts_closed_and_ends_when_asked(_: &World) {
    let mut web = Web::start();
    web.visit(&["http://a.h.example.org/"]).is(503, "not configured yet");
    web.domain("a.h.example.org", "tls = \"off\"\n").load();
    web.restart();
    web.visit(&["http://a.h.example.org/"]).is(200, "");

    // One that was confirmed and can't be used any more.
    fs::write(web.confirmed(Kind::Sites), "{").expect("a file");
    web.restart();
    web.visit(&["http://a.h.example.org/"]).is(503, "its sites yet");
    web.load();
    web.visit(&["http://a.h.example.org/"]).is(200, "");

    // No app is said to be at fault that was never asked.
    web.restart();
    fs::remove_file(web.run().join("table.sock")).expect("a socket");
    web.visit(&["http://a.h.example.org/"]).is(503, "its sites yet");

    // Neither lives without the other.
    for process in ["edge", "table"] {
        let other = web.process(if process == "edge" { "table" } else { "edge" });
        send(web.process(process), Signal::KILL);
        assert_eq!(web.ended(), "exit code 1");
        eventually("the other ends too", || (!is_alive(other)).then_some(()));
        web.restart();
        web.visit(&["http://a.h.example.org/"]).is(200, "");
    }
}

fn ten_thousand_domains_are_added_under_load(_: &World) {
    let web = Web::start();
    web.domain("a.h.example.org", "tls = \"off\"\n").load();
    for number in 0..10_000 {
        web.domain(&format!("d{number:04}.h.example.org"), "tls = \"off\"\n");
    }
    let text = web.render(Kind::Sites);
    let (stop, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let visitor = scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let mut stream = BufReader::new(web.connect());
                let request = b"GET / HTTP/1.1\r\nHost: a.h.example.org\r\nConnection: close\r\n\r\n";
                stream.get_mut().write_all(request).expect("ask");
                let head = web::head(&mut stream).expect("an answer");
                assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
                answered.fetch_add(1, Ordering::Relaxed);
            }
        });
        let _stop = Stop(&stop);
        let load = |text: &str| {
            web.try_load(Kind::Sites, text).good();
            let so_far = answered.load(Ordering::Relaxed);
            eventually("the visitor is answered again", || {
                (visitor.is_finished() || answered.load(Ordering::Relaxed) > so_far).then_some(())
            });
        };
        load(&text);
        // Back and forth, so that there is something to be interrupted by.
        for round in 0..4 {
            load(&text.replace("d9999.", &format!("d9999-{round}.")));
        }
        load(&text);
        stop.store(true, Ordering::Relaxed);
        visitor.join().expect("a visitor who is always answered");
    });
    for host in ["d0000.h.example.org", "d9999.h.example.org"] {
        web.visit(&[&format!("http://{host}/")]).is(200, host);
    }
    web.visit(&["http://d10000.h.example.org/"]).is(404, "No such site");
}

/// Ends what goes on beside a story, also when the story fails meanwhile.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
