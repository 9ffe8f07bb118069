//! The pages that a server has of its own, Dockge and Files: real servers, the web server, the gate and the firewall of their
//! platform, the door and the panel, and a browser outside. The two images can't be had here, so programs stand in for them,
//! started by the server's own Compose file.

use std::net::Ipv4Addr;
use std::time::Duration;

use berth_tests::lab::PUBLIC;
use berth_tests::panel::{HASH, PANEL, PASSWORD};
use berth_tests::process::{PATIENCE, within};
use berth_tests::{Browser, Lab, Panel, Platform, Ran, World, eventually};
use serde_json::json;

crate::stories! { the_pages_of_a_server_open_for_its_people_alone }

const SIZE: &str = "memory = \"512 MiB\"\ncpus = 1\npids = 1024\n";
/// A server with Docker in it takes some seconds to come up, and longer on a busy machine.
const BOOT: Duration = Duration::from_secs(180);

const DOCKGE: &str = "dockge--one.stories.example.org";
const FILES: &str = "files--one.stories.example.org";

/// Program of the stand-ins: it says what it is and repeats the head of each request; a WebSocket stays open.
const STAND_IN: &str = r#"#!/usr/bin/perl
use IO::Socket::INET; use Digest::SHA qw(sha1_base64); $SIG{CHLD} = "IGNORE";
my ($port, $words) = @ARGV;
my $l = IO::Socket::INET->new(LocalPort => $port, Listen => 20, ReuseAddr => 1) or die;
while (1) { my $c = $l->accept or next; next if fork; $c->autoflush(1);
my $head = ""; while (<$c>) { last if /^\r?$/; $head .= $_ }
if ($head =~ /^Sec-WebSocket-Key: (\S+)/mi) {
my $accept = sha1_base64($1 . "258EAFA5-E914-47DA-95CA-C5AB0DC85B11") . "=";
print $c "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: $accept\r\n\r\n\x81\x05hello";
1 while read $c, my $byte, 1; exit }
my $body = "$words\n$head";
print $c "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length: " . length($body) . "\r\n\r\n$body"; exit }
"#;

/// FileBrowser's command line, as far as the Compose file uses it.
const FILEBROWSER: &str = r#"#!/bin/busybox sh
case "$1 $2" in
"config init") shift 2; [ "$1" = --database ] && echo "$3 $4" > "$2" ;;
*) exec /stand-in 80 "files, told by $(cat "$2")" ;;
esac
"#;

/// A neighbour's attempt, from a container beside them: `ask <address> <port> <host>`.
const ASK: &str = r#"#!/usr/bin/perl
use IO::Socket::INET; my ($at, $port, $host) = @ARGV;
my $s = IO::Socket::INET->new(PeerAddr => $at, PeerPort => $port, Timeout => 4) or die "no connection\n";
print $s "GET / HTTP/1.0\r\nHost: $host\r\nRemote-User: bob\r\n\r\n"; $s->flush; print while <$s>;
"#;

/// Makes the two images in a server of what is in it: Perl, its modules and libraries, a shell, and the programs.
const IMAGES: &str = r#"
uses='-MIO::Socket::INET -MIO::Select -MDigest::SHA -MDynaLoader'
modules=$(perl $uses -e 'print join "\n", values %INC, @DynaLoader::dl_shared_objects')
libraries=$( (ldd /usr/bin/perl; for so in $(perl $uses -e 'print "@DynaLoader::dl_shared_objects"'); do ldd $so; done) | grep -o '/[^ ]*' | sort -u)
rm -rf /tmp/root && mkdir -p /tmp/root/bin /tmp/root/tmp
for file in /usr/bin/perl $modules $libraries; do mkdir -p /tmp/root/$(dirname $file) && cp -L $file /tmp/root/$file; done
cp /bin/busybox /tmp/root/bin/busybox && ln -s busybox /tmp/root/bin/sh && ln -s busybox /tmp/root/bin/cat
cp /tmp/stand-in /tmp/filebrowser /tmp/ask /tmp/root/ && chmod 0755 /tmp/root/stand-in /tmp/root/filebrowser /tmp/root/ask
tar -C /tmp/root -c . | docker import --change 'CMD ["/stand-in","5001","dockge is here"]' - louislam/dockge:1
docker tag louislam/dockge:1 filebrowser/filebrowser:v2
"#;

/// The platform, and those who serve it; the fields are dropped in this order.
struct Scene<'l> {
    panel: Panel,
    _door: berth_tests::Daemon,
    platform: Platform,
    lab: &'l Lab,
}

impl<'l> Scene<'l> {
    /// Server `one` is ann's, who is an admin, and bob its member; `two` is cyn's.
    fn new(lab: &'l Lab) -> Self {
        let platform = Platform::in_lab(lab, |first| {
            first.append("platform.toml", &format!("\n[panel]\ndomain = \"{PANEL}\"\nedge = \"none\"\ntls = \"internal\"\n"));
            for (user, role) in [("ann", "admin"), ("bob", "user"), ("cyn", "user")] {
                first.write(&format!("users/{user}.toml"), &format!("role = \"{role}\"\npassword_hash = \"{HASH}\"\n"));
            }
            first.server("one", 1, &format!("members = [\"bob\"]\n{SIZE}"));
            first.write("servers/two.toml", &format!("id = 2\nowner = \"cyn\"\n{SIZE}"));
        });
        platform.apply();
        let door = platform.stays(&mut platform.berth_command(&["git"]));
        eventually("the door is open", || platform.panel().join("web.sock").exists().then_some(()));
        let panel = Panel::beside(lab.internet().namespace(), &platform.panel(), platform.home());
        let scene = Self { panel, _door: door, platform, lab };
        scene.start_tools();
        scene
    }

    fn inside(&self, id: u32, script: &str) -> Ran {
        self.platform.docker().shell(&self.platform.name(id), script)
    }

    /// Has both stand-ins started by server `one` itself, from the Compose file of its image.
    fn start_tools(&self) {
        let up = || self.inside(1, "docker info && systemctl is-active caddy && test -e /apps/sistema/docker-compose.yml").is_good();
        within(BOOT, "the server is up", || up().then_some(()));
        for (path, text) in [("/tmp/stand-in", STAND_IN), ("/tmp/filebrowser", FILEBROWSER), ("/tmp/ask", ASK)] {
            self.inside(1, &format!("cat > {path} <<'END'\n{text}END")).good();
        }
        self.inside(1, &format!("set -e{IMAGES}")).good();
        self.inside(1, "systemctl stop berth-stack; systemctl start berth-stack; journalctl -u berth-stack -n 20 --no-pager").good();
        let answers = "curl -sS -m 2 http://127.0.0.1:5001/ && curl -sS -m 2 http://127.0.0.1:8082/";
        within(BOOT, "both answer in the server", || self.inside(1, answers).is_good().then_some(()));
    }

    fn browser(&self) -> Browser {
        let here = [(PANEL, Ipv4Addr::LOCALHOST), (DOCKGE, PUBLIC), (FILES, PUBLIC)];
        Browser::open_with(self.lab.internet().namespace(), &here)
    }

    /// Visits from the internet, without having signed in.
    fn visit(&self, more: &[&str]) -> Ran {
        let way = format!("::{PUBLIC}:");
        self.lab.visit(&[&["-k", "--connect-to", &way, "-w", "\n%{http_code}"], more].concat())
    }
}

#[track_caller]
fn sign_in(browser: &Browser, name: &str) {
    browser.fill("#user", name);
    browser.fill("#password", PASSWORD);
    browser.click(&browser.find_with("button", "Sign in"));
}

fn the_pages_of_a_server_open_for_its_people_alone(world: &World) {
    let scene = Scene::new(world.lab());
    nobody_comes_in_who_has_not_signed_in(&scene);
    nothing_in_another_server_reaches_them(&scene);
    nothing_else_in_the_server_reaches_them(&scene);

    // From the server's page, without a second password.
    let bob = scene.browser();
    bob.go(&scene.panel.at("/vm/1"));
    sign_in(&bob, "bob");
    bob.click(&bob.find_with("a", "Dockge"));
    bob.says("dockge is here");
    assert_eq!(bob.url(), format!("https://{DOCKGE}/"));
    bob.go(&scene.panel.at("/vm/1"));
    bob.click(&bob.find_with("a", "Files"));
    bob.says("files, told by --auth.method=proxy --auth.header=Remote-User");
    let page = bob.page().to_ascii_lowercase();
    assert!(page.contains("remote-user: bob") && page.contains(&format!("host: {FILES}")), "{page}");
    assert!(!page.contains("__host-berth"), "a page of a server's sees no cookie of the platform's: {page}");
    nobody_says_who_they_are(&bob);
    a_page_of_another_site_reaches_nothing(&bob);

    // Others are told whom to ask.
    let cyn = scene.browser();
    cyn.go(&format!("https://{FILES}/"));
    sign_in(&cyn, "cyn");
    cyn.says("for the owner and the members of its server");
    cyn.go(&format!("https://{DOCKGE}/"));
    cyn.says("Ask ann, who owns the server");
    cyn.go(&scene.panel.at("/vm/1"));
    assert!(!cyn.page().contains("Dockge"), "{}", cyn.page());

    // A page that nobody started says so, to whoever may know.
    // At once: the stand-in, as the first process of its container, doesn't hear that it should end.
    scene.inside(1, "docker stop --time 0 filebrowser").good();
    bob.go(&format!("https://{FILES}/"));
    bob.says("Files doesn't answer");
    bob.says("journalctl -u berth-stack");

    a_sign_out_ends_what_is_open(&scene, &bob);
}

fn nobody_comes_in_who_has_not_signed_in(scene: &Scene<'_>) {
    for host in [DOCKGE, FILES] {
        let url = format!("https://{host}/");
        for lies in [&[][..], &["-H", "Remote-User: bob"], &["-H", "Berth-User: bob", "-H", "Berth-Gate: 127.0.0.1:80"]] {
            let ran = scene.visit(&[lies, &[&url]].concat());
            assert!(ran.stdout.contains("Sign in first") && ran.stdout.ends_with("401"), "{host}: {ran}");
        }
        // By the way of a site that is there for everybody's questions: the name is what leads to the app.
        let ran = scene.visit(&["-H", &format!("Host: {host}"), &format!("https://none.{host}/")]);
        assert!(!ran.stdout.contains("is here") && !ran.stdout.contains("files, told by"), "{ran}");
    }
}

/// From server `two`, whose root is cyn: not at the pages' ports, not at their programs', not by the platform's public address.
fn nothing_in_another_server_reaches_them(scene: &Scene<'_>) {
    let address = address(scene);
    within(BOOT, "the other server is up", || scene.inside(2, "systemctl is-active caddy").is_good().then_some(()));
    for (port, host) in [(15001, DOCKGE), (15002, FILES), (5001, DOCKGE), (8082, FILES), (80, DOCKGE)] {
        let ran = scene.inside(2, &format!("curl -sSv -m 4 -H 'Host: {host}' -H 'Remote-User: bob' http://{address}:{port}/"));
        // The firewall's word, not that nobody listens.
        let refused = ran.stderr.contains("No route to host");
        assert!(refused && ran.stdout.is_empty(), "port {port} from another server: {ran}");
    }
    for host in [DOCKGE, FILES] {
        let way = format!("-k --connect-to ::{PUBLIC}: -H 'Remote-User: bob' https://{host}/");
        let ran = scene.inside(2, &format!("curl -sS -m 4 {way}"));
        assert!(!ran.stdout.contains("is here") && !ran.stdout.contains("files, told by"), "{ran}");
    }
}

/// From server `one` itself: a container of its Docker that is no root of it, and a process of it, are no web server.
fn nothing_else_in_the_server_reaches_them(scene: &Scene<'_>) {
    let address = address(scene);
    let ask = |at: &str, port: u16, host: &str| {
        let run = "docker run --rm --entrypoint /ask louislam/dockge:1";
        scene.inside(1, &format!("{run} {at} {port} {host} 2>&1"))
    };
    for at in [address.as_str(), "10.200.0.1"] {
        ask(at, 80, "one.example.org").says("HTTP/1.");
        for (port, host) in [(15001, DOCKGE), (15002, FILES)] {
            ask(at, port, host).says(" 403 Forbidden");
        }
        for port in [5001, 8082] {
            ask(at, port, DOCKGE).says("no connection");
        }
    }
    let inner = "docker inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' dockge";
    let inner = scene.inside(1, inner).good().stdout.trim().to_owned();
    ask(&inner, 5001, DOCKGE).says("no connection");
    for at in ["127.0.0.1", &address] {
        let ran = scene.inside(1, &format!("curl -sS -m 4 -H 'Host: {DOCKGE}' -w ' %{{http_code}}' http://{at}:15001/"));
        assert!(ran.stdout.ends_with(" 403"), "from the server: {ran}");
    }
}

/// A page of the site can say anything about who somebody is, and the program hears the platform's word alone.
fn nobody_says_who_they_are(bob: &Browser) {
    let heard = bob.script(
        "return fetch('/echo', { headers: { 'Remote-User': 'ann', 'Remote_User': 'ann', 'Berth-User': 'ann',
           'X-Forwarded-User': 'ann', 'X-Remote-User': 'ann', 'X-WebAuth-User': 'ann' } }).then((answer) => answer.text())",
    );
    let heard = heard.as_str().unwrap_or_default().to_ascii_lowercase();
    assert!(heard.contains("get /echo") && heard.contains("remote-user: bob"), "{heard}");
    assert!(!heard.contains(": ann"), "{heard}");
}

/// Bob is signed in, and a page of the same site that isn't Dockge's tries what a hostile neighbour's would.
fn a_page_of_another_site_reaches_nothing(bob: &Browser) {
    bob.go(&format!("https://{DOCKGE}/"));
    bob.says("dockge is here");
    let open = |host: &str| {
        bob.script(&format!(
            "return new Promise((over) => {{ const socket = new WebSocket('wss://{host}/socket');
               socket.onmessage = () => over('open'); socket.onerror = () => over('refused'); }})"
        ))
    };
    assert_eq!(open(DOCKGE), "open");
    bob.go(&format!("https://{FILES}/"));
    bob.says("files, told by");
    assert_eq!(open(DOCKGE), "refused");
    assert_eq!(open(FILES), "open");
}

fn a_sign_out_ends_what_is_open(scene: &Scene<'_>, bob: &Browser) {
    bob.go(&format!("https://{DOCKGE}/"));
    bob.says("dockge is here");
    bob.script(
        "window.heard = []; window.ended = [];
         const socket = new WebSocket('wss://' + location.host + '/socket');
         socket.onmessage = (event) => window.heard.push(event.data);
         socket.onclose = (event) => window.ended.push(event.code);",
    );
    eventually("a WebSocket is open", || {
        (bob.script("return window.heard") == json!(["hello"])).then_some(())
    });
    assert_eq!(bob.script("return window.ended"), json!([]));
    let tab = bob.tab();
    bob.go(&scene.panel.at("/account"));
    bob.click(&bob.find_with("button", "Sign out"));
    bob.says("You are signed out");
    bob.back_to(&tab);
    within(PATIENCE, "it has ended", || (bob.script("return window.ended") == json!([1008])).then_some(()));
    bob.go(&format!("https://{DOCKGE}/"));
    bob.find("#password");
}

/// The address of server `one`.
fn address(scene: &Scene<'_>) -> String {
    scene.inside(1, "echo $BERTH_ADDRESS").good().stdout.trim().to_owned()
}
