//! The panel's certificate, from a real CA: for a panel that has port 443 of an address of its own and lets almost nobody in, and for
//! one behind the web server, which orders another certificate for the same name. The latter is open to one country.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use berth_tests::ground::scratch;
use berth_tests::namespace::Namespace;
use berth_tests::panel::PANEL;
use berth_tests::process::{MARK, PATIENCE, Ran, build_folder, built, eventually, run, send, wait, within};
use berth_tests::web::{CLOUDFLARE, VISITOR};
use berth_tests::{Acme, Web, World};
use berth_testing::country_file;
use rustix::process::Signal;

crate::stories! {
    a_ca_may_look_at_a_panel_that_is_closed_to_it,
    the_edge_and_the_panel_both_get_a_certificate_and_let_in_one_country,
}

/// Addresses of the panel's machine and of the world.
const OWN: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
const WORLD: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 2);
/// Addresses of visitors over IPv6: one in the country that may open the panel, and one in another.
const AT_HOME: &str = "2001:db8:1::7";
const ABROAD: &str = "2001:db8:2::7";
/// Time for the CA to look, and for the panel to notice.
const ISSUING: Duration = Duration::from_secs(120);

/// A panel's process.
struct Panel {
    process: Child,
    folder: PathBuf,
}

impl Panel {
    /// Serves in a namespace, with its data in `folder`.
    fn serve(namespace: &Namespace, folder: &Path, input: Stdio, arguments: &[&str]) -> Self {
        let log = fs::File::create(folder.join("panel.log")).expect("a log");
        // Where its user gets to; the folder that it was built in may be closed.
        let program = folder.join("berth-web");
        fs::copy(built("berth-web"), &program).expect("a copy");
        let mut command = namespace.command();
        command
            .arg(&program)
            .args(["--domain", PANEL, "--sockets"])
            .arg(folder)
            .arg("--data")
            .arg(folder.join("web"))
            .args(arguments)
            .env(MARK, build_folder())
            .env_remove("BERTH_LOG")
            .stdin(input)
            .stdout(Stdio::null())
            .stderr(log);
        Self { process: command.spawn().expect("start the panel"), folder: folder.to_owned() }
    }

    /// Waits for a certificate of the CA.
    #[track_caller]
    fn is_certified(&self) {
        let told = self.folder.join("web/certificate.json");
        within(ISSUING, "a certificate of the CA", || {
            fs::read_to_string(&told).ok().filter(|told| told.contains(r#""source":"acme""#)).map(drop)
        });
    }
}

impl Drop for Panel {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- panel\n{}", fs::read_to_string(self.folder.join("panel.log")).unwrap_or_default());
        }
        send(self.process.id(), Signal::TERM);
        if wait(&mut self.process, PATIENCE).is_none() {
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
    }
}

/// Arguments that lead to a CA.
fn led_to<'a>(directory: &'a str, root: &'a str, proof: &'a str) -> [&'a str; 6] {
    ["--acme-directory", directory, "--acme-ca", root, "--acme-proof", proof]
}

/// A visit to the panel at a port of an address, by somebody who knows the CA alone.
fn visit(from: &Namespace, to: Ipv4Addr, port: u16, root: &Path) -> Ran {
    let mut command = from.command();
    command.args(["curl", "-sS", "--noproxy", "*", "--max-time", "20", "--resolve"]);
    command.arg(format!("{PANEL}:{port}:{to}")).arg("--cacert").arg(root);
    run(command.arg(format!("https://{PANEL}:{port}/login")), PATIENCE)
}

/// Returns whether the panel's page opens to a visitor at this address. To whom it doesn't, nothing answers.
fn opens(web: &Web, from: &str, to: &str, port: u16) -> bool {
    let mut command = web.namespace().command();
    command.args(["curl", "-sk", "--noproxy", "*", "--max-time", "20", "-w", "\n%{http_code}", "--interface", from]);
    command.arg("--resolve").arg(format!("{PANEL}:{port}:{to}"));
    let ran = run(command.arg(format!("https://{PANEL}:{port}/login")), PATIENCE);
    match ran.is_good() {
        true => assert!(ran.stdout.to_lowercase().contains("<!doctype html>") && ran.stdout.ends_with("200"), "{ran:?}"),
        false => assert_eq!(ran.stdout, "\n000", "{ran:?}"),
    }
    ran.is_good()
}

/// Two machines with a line between them.
struct Line(Namespace, Namespace);

impl Line {
    fn lay() -> Self {
        let (own, world) = (Namespace::make("panelown"), Namespace::make("panelworld"));
        own.ip(&["link", "add", "line0", "type", "veth", "peer", "name", "line0", "netns", world.name()]);
        for (namespace, address) in [(&own, OWN), (&world, WORLD)] {
            namespace.ip(&["address", "add", &format!("{address}/24"), "dev", "line0"]);
            namespace.ip(&["link", "set", "line0", "up"]);
        }
        Self(own, world)
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.0.end();
        self.1.end();
    }
}

fn a_ca_may_look_at_a_panel_that_is_closed_to_it(_: &World) {
    let line = Line::lay();
    let Line(own, world) = &line;
    let folder = scratch();
    let ca = folder.path().join("ca");
    let acme = Acme::between(world, &ca, 3600, WORLD, OWN);
    // The CA has to wait before it can look.
    acme.pebble().hush_names();
    let (directory, root) = (acme.pebble().directory(), acme.pebble().server_root());
    fs::create_dir(folder.path().join("web")).expect("a folder");
    let listener = own.enter(|| TcpListener::bind((OWN, 443))).expect("port 443");
    let arguments = [&["--child", "--allow", "10.0.0.0/8"][..], &led_to(&directory, &root, "tls-alpn-01")].concat();
    let panel = Panel::serve(own, folder.path(), Stdio::from(OwnedFd::from(listener)), &arguments);

    // Whoever asks for the proof sees it, from anywhere, and nothing comes after it.
    let handshake = |from: &Namespace, name: &str, protocol: &str| {
        let script = format!(
            "openssl s_client -connect {OWN}:443 -servername {name} -alpn {protocol} </dev/null 2>&1 | \
             openssl x509 -noout -text"
        );
        from.shell(&script)
    };
    let proof = eventually("the proof is shown", || Some(handshake(world, PANEL, "acme-tls/1")).filter(Ran::is_good));
    // The extension that holds it (RFC 8737).
    proof.says("1.3.6.1.5.5.7.1.31: critical").says(&format!("DNS:{PANEL}"));
    // Anything else of a stranger's is cut off, and the machine itself is served.
    assert!(!handshake(world, "other.example.org", "acme-tls/1").is_good());
    assert!(!handshake(world, PANEL, "h2").is_good());
    assert!(!handshake(world, PANEL, "acme-tls/1,h2").is_good());
    assert!(handshake(world, PANEL, "acme-tls/1").is_good(), "the CA has not looked yet");
    handshake(own, PANEL, "h2").good().says(&format!("Berth panel at {PANEL}"));

    acme.pebble().answer_names();
    panel.is_certified();
    let root = acme.root();
    visit(own, OWN, 443, &root).good().says("<!doctype html>");
    assert!(!visit(world, OWN, 443, &root).is_good());
    assert!(!handshake(world, PANEL, "acme-tls/1").is_good(), "the proof is over");
}

fn the_edge_and_the_panel_both_get_a_certificate_and_let_in_one_country(_: &World) {
    let web = Web::start();
    let folder = scratch();
    // The panel's user has to get to its data.
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("a mode");
    let acme = Acme::start(web.namespace(), &folder.path().join("ca"), 3600);
    let access = "[access]\npanel = [\"127.0.0.0/8\"]\npanel_countries = [\"LT\"]\n";
    let panel = format!("[panel]\ndomain = \"{PANEL}\"\n{access}");
    let platform = format!("domain = \"h.example.org\"\n{}{panel}", acme.settings());
    web.state().write("platform.toml", &platform);
    web.load();
    let edge = web.run().join("panel");
    fs::create_dir_all(&edge).expect("a folder");

    let (directory, root) = (acme.pebble().directory(), acme.pebble().server_root());
    let edge = edge.to_str().expect("a path");
    let own = ["--user", "nobody", "--edge", edge, "--edge-port", "443", "--allow", "127.0.0.0/8", "--allow-country", "LT"];
    let data = folder.path().join("web");
    fs::create_dir(&data).expect("a folder");
    let countries = [("203.0.113.0/24", "LT"), ("173.245.48.0/20", "US"), ("2001:db8:1::/48", "LT"), ("2001:db8:2::/48", "US")];
    fs::write(data.join("countries.mmdb"), country_file(&countries, 1_764_000_000)).expect("a file");
    let arguments = [&own[..], &led_to(&directory, &root, "http-01")].concat();
    let panel = Panel::serve(web.namespace(), folder.path(), Stdio::null(), &arguments);
    // The edge orders when somebody comes, so both order at once.
    let trusted = acme.root();
    let through_the_edge = || visit(web.namespace(), Ipv4Addr::LOCALHOST, 443, &trusted);
    within(ISSUING, "the edge's certificate", || Some(through_the_edge()).filter(Ran::is_good));
    panel.is_certified();
    visit(web.namespace(), Ipv4Addr::LOCALHOST, 8443, &trusted).good().says("<!doctype html>");
    eventually("the panel's page through the edge", || {
        through_the_edge().stdout.to_lowercase().contains("<!doctype html>").then_some(())
    });
    // At both addresses the panel is open to one country and to nobody else.
    for address in [AT_HOME, ABROAD] {
        web.namespace().ip(&["address", "add", &format!("{address}/128"), "dev", "lo", "nodad"]);
    }
    for (from, to, port, may) in [
        (VISITOR, "127.0.0.1", 443, true),
        (CLOUDFLARE, "127.0.0.1", 443, false),
        (VISITOR, "127.0.0.1", 8443, true),
        (CLOUDFLARE, "127.0.0.1", 8443, false),
        (AT_HOME, "[::1]", 8443, true),
        (ABROAD, "[::1]", 8443, false),
    ] {
        assert_eq!(opens(&web, from, to, port), may, "from {from} at {port}");
    }
    // Over plain HTTP the edge passes on nothing but such questions.
    let plain = web.visit(&[&format!("http://{PANEL}/login")]);
    assert_eq!((plain.status, plain.location.as_str()), (308, "https://panel.example.org/login"));
    web.visit(&[&format!("http://{PANEL}/.well-known/acme-challenge/0123456789abcdef")]).is(404, "");
}
