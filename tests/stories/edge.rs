//! The way from the internet to an app in a server, and from a server to an image: each as a member would try it. And
//! what becomes of it when a configuration is bad: nothing.

mod traffic;

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use berth_tests::lab::{self, PUBLIC, REGISTRY, WEBSITE};
use berth_tests::folder::git;
use berth_tests::process::{PATIENCE, eventually, source_tree, within};
use berth_tests::{Lab, Platform, Ran, World, run};

crate::stories! {
    a_domain_is_a_commit,
    a_bad_configuration_leaves_everything_as_it_is,
    an_image_is_fetched_once_for_everybody,
}

const SIZE: &str = "memory = \"512 MiB\"\ncpus = 1\npids = 1024\n";
/// A server with Docker in it takes some seconds to come up, and longer on a busy machine.
const BOOT: Duration = Duration::from_secs(120);

fn a_domain_is_a_commit(world: &World) {
    let lab = world.lab();
    let platform = Platform::in_lab(lab, |first| {
        first.server("one", 1, SIZE).server("two", 2, SIZE);
        first.write("domains/one.stories.example.org.toml", "server = \"one\"\nport = 8080\ntls = \"off\"\n");
    });
    platform.apply();
    platform.serve_page(1, "app one");
    platform.serve_page(2, "app two");
    let daemon = platform.daemon();

    // A WebSocket on one domain, which says something before and after another domain comes.
    let mut socket = websocket(&platform, lab, "one.stories.example.org");
    assert_eq!(socket.echo("before"), "before");
    visited(lab, "one.stories.example.org").says("app one");
    let unknown = visited(lab, "two.stories.example.org");
    unknown.says("404 ");
    platform.commit("a domain for two", |state| {
        state.write("domains/two.stories.example.org.toml", "server = \"two\"\nport = 8080\ntls = \"off\"\n");
    });
    eventually("the new domain leads to the right server", || {
        visited(lab, "two.stories.example.org").stdout.contains("app two").then_some(())
    });
    visited(lab, "one.stories.example.org").says("app one");
    assert_eq!(socket.echo("after the domain came"), "after the domain came");

    platform.commit("no domain for two", |state| {
        state.remove("domains/two.stories.example.org.toml");
    });
    eventually("the domain is gone", || {
        visited(lab, "two.stories.example.org").stdout.starts_with("404 ").then_some(())
    });
    assert_eq!(socket.echo("after it went"), "after it went");

    // Its server is stopped: the visitor is told so.
    platform.commit("one rests", |state| {
        let file = state.read("servers/one.toml");
        state.write("servers/one.toml", &format!("{file}state = \"stopped\"\n"));
    });
    eventually("a visitor reads that the server is stopped", || {
        let page = visited(lab, "one.stories.example.org").stdout;
        (page.starts_with("503 ") && page.contains("The server is stopped")).then_some(())
    });
    daemon.end();
    platform.settled();
}

/// Fate of a bad template.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It never is in force, so nobody feels anything.
    Refused,
    /// It is in force for a moment, until a probe fails.
    TakenBack,
}

/// A bad template, its fate, and the words that must be in the report of it.
struct Trial {
    path: &'static str,
    text: String,
    fate: Fate,
    words: &'static str,
}

fn a_bad_configuration_leaves_everything_as_it_is(world: &World) {
    let lab = world.lab();
    let platform = Platform::in_lab(lab, |first| {
        first.server("one", 1, SIZE);
        first.write("domains/one.stories.example.org.toml", "server = \"one\"\nport = 8080\ntls = \"off\"\n");
        first.write("domains/safe.stories.example.org.toml", "server = \"one\"\nport = 8080\ntls = \"internal\"\n");
    });
    platform.apply();
    platform.serve_page(1, "app one");
    works(lab, &platform);
    for trial in trials() {
        attempt(lab, &platform, &trial);
    }
    // When no app is to be had over HTTP, one behind HTTPS is asked.
    platform.commit("one is for its owner", |state| {
        let file = state.read("domains/one.stories.example.org.toml");
        state.write("domains/one.stories.example.org.toml", &format!("{file}access = \"owner\"\n"));
    });
    platform.apply();
    let ran = try_template(&platform, &leads_nowhere());
    assert!(ran.words().contains("reaches the app of safe.stories.example.org"), "{ran}");
    platform.settled();
}

fn works(lab: &Lab, platform: &Platform) {
    visited(lab, "one.stories.example.org").says("app one");
    let safe = ["-k", "--connect-to", &format!("::{PUBLIC}:"), "https://safe.stories.example.org/"];
    lab.visit(&safe).good().says("app one");
    platform.docker().shell(&platform.name(1), &format!("curl -sS -m 5 http://{WEBSITE}/")).good();
    for name in ["gateway.berth.internal", lab::NAME] {
        platform.docker().shell(&platform.name(1), &format!("getent hosts {name}")).good();
    }
}

/// Every domain is known, and HTTP led to HTTPS; behind it there is nothing.
fn leads_nowhere() -> Trial {
    let path = "caddy/sites.Caddyfile";
    let text = replaced(path, "header Berth-Upstream {re.site.3}", "header Berth-Upstream 127.0.0.1:9");
    Trial { path, text, fate: Fate::TakenBack, words: "a visitor reaches the app of" }
}

fn trials() -> Vec<Trial> {
    let (sites, rules, names, host) =
        ("caddy/sites.Caddyfile", "firewall/rules.v4", "firewall/dnsmasq.conf", "host/host.v4");
    let refused = |path, text, words| Trial { path, text, fate: Fate::Refused, words };
    let taken_back = |path, from, to, words| Trial { path, text: replaced(path, from, to), fate: Fate::TakenBack, words };
    let from_servers = "-A FORWARD -i s+ -g SERVER";
    vec![
        // A template that can't be filled in.
        refused(sites, format!("{}\n{{{{ nonsense }}}}\n", template(sites)), "caddy/sites.Caddyfile"),
        // What the programs themselves refuse.
        refused(sites, format!("{}\nnonsense.example.org {{\n\tnonsense\n}}\n", template(sites)), "nonsense"),
        refused(rules, replaced(rules, "COMMIT\n*nat", "-A PREROUTING --nonsense\nCOMMIT\n*nat"), "nonsense"),
        refused(names, format!("{}\nnonsense=1\n", template(names)), "dnsmasq: bad option"),
        refused(host, replaced(host, "COMMIT", "-A INPUT --nonsense\nCOMMIT"), "nonsense"),
        // What they take, and what then doesn't do what it must: a server gets where it may not,
        taken_back(
            rules,
            from_servers,
            "-A FORWARD -i s+ -o caddy -j ACCEPT\n-A FORWARD -i caddy -o s+ -j ACCEPT\n-A FORWARD -i s+ -g SERVER",
            ".2:80: it got through",
        ),
        taken_back(
            rules,
            from_servers,
            "-A FORWARD -i s+ -o eth+ -j ACCEPT\n-A FORWARD -i eth+ -o s+ -j ACCEPT\n-A FORWARD -i s+ -g SERVER",
            ".1:80: it got through",
        ),
        // doesn't get where it may,
        taken_back(rules, "--dport 53 -g DNS", "--dport 53 -j DROP", "a server asks for the name gateway.berth.internal"),
        taken_back(rules, "-j MASQUERADE --random-fully", "-j RETURN", "a server connects to 8.8.8.8:53 or 1.1.1.1:53"),
        taken_back(rules, "-A SERVER -o eth+ -g EGRESS\n", "", "a server connects to 8.8.8.8:53 or 1.1.1.1:53"),
        taken_back(host, "\n# Through the host", "-A {{ forward }} -j DROP\n\n# Through the host", "a server connects to 8.8.8.8:53"),
        // can't ask for names,
        taken_back(names, "host-record=gateway", "host-record=gone", "a server asks for the name gateway.berth.internal"),
        taken_back(names, "server={{ address }}", "server=192.0.2.9", "a server asks for a name that the resolvers outside know"),
        // isn't reached by visitors,
        taken_back(
            rules,
            "-A FORWARD -i caddy -o s+ -p tcp -m conntrack --ctstate NEW,ESTABLISHED --ctdir ORIGINAL -j ACCEPT\n",
            "",
            "a visitor reaches the app of one.stories.example.org",
        ),
        leads_nowhere(),
        // or they are told something else than what is so.
        taken_back(sites, "import page 404", "import page 200", "a visitor opens http://probe.invalid"),
    ]
}

/// Tries a bad template, with traffic all the while.
fn attempt(lab: &Lab, platform: &Platform, trial: &Trial) {
    let Trial { path, fate, words, .. } = trial;
    let began = Instant::now();
    let (ran, traffic) =
        traffic::during(lab, platform, "one.stories.example.org", "app one", || try_template(platform, trial));
    let took = began.elapsed();
    assert!(ran.words().contains(words), "{path} should say `{words}`:\n{ran}");
    let note = run(git().arg("-C").arg(platform.repo()).args(["notes", "--ref=berth", "show", "main"]), PATIENCE).good();
    assert!(note.stdout.contains(words), "the note of {path} should say `{words}`:\n{note}");
    let gap = traffic.visits.longest_gap().max(traffic.connections.longest_gap());
    eprintln!("{words}: {:.1} s, traffic cut for {:.1} s at most", took.as_secs_f64(), gap.as_secs_f64());
    match fate {
        Fate::Refused => {
            assert!(traffic.visits.was_never_cut(), "{words}: {:?}", traffic.visits);
            assert!(traffic.connections.was_never_cut(), "{words}: {:?}", traffic.connections);
        }
        Fate::TakenBack => {
            assert!(ran.words().contains("The last one is in force again"), "{path}: {ran}");
        }
    }
    // What a template opens is open for as long as it takes to see that.
    if !words.ends_with("it got through") {
        assert_eq!(traffic.reached, [], "{words}");
    }
    works(lab, platform);
    let denied = platform.docker().shell(&platform.name(1), "curl -sS -m 2 http://172.31.9.9/");
    assert!(!denied.is_good(), "{path}: {denied}");
    // Without it, nothing has to be mended.
    platform.settled();
}

/// Applies with a template in the place of the built-in one, which must fail.
fn try_template(platform: &Platform, Trial { path, text, .. }: &Trial) -> Ran {
    let folder = platform.home().join("templates");
    let _ = fs::remove_dir_all(&folder);
    let file = folder.join(path);
    fs::create_dir_all(file.parent().expect("a folder")).expect("the templates' folder");
    fs::write(&file, text).expect("a template");
    let folder = folder.to_string_lossy().into_owned();
    run(&mut platform.berth_command(&["--templates", &folder, "apply"]), Duration::from_secs(120)).coded(1)
}


fn an_image_is_fetched_once_for_everybody(world: &World) {
    let lab = world.lab();
    offer_image(lab, &platform_image(lab));
    let platform = Platform::in_lab(lab, |first| {
        first.server("one", 1, SIZE).server("two", 2, SIZE);
    });
    platform.apply();
    let pull = |id: u32| platform.docker().shell(&platform.name(id), "docker pull -q hello:1 2>&1");
    let up = |id: u32| {
        within(BOOT, "Docker runs in the server", || {
            platform.docker().shell(&platform.name(id), "docker info").is_good().then_some(())
        });
    };
    up(1);
    within(Duration::from_secs(60), "the first server pulls", || pull(1).is_good().then_some(()));
    platform.docker().shell(&platform.name(1), "docker run --rm hello:1 /bin/busybox echo hello").good().says("hello");

    // The registry goes, and what was fetched is there for the next one.
    let refuse = |act: &str| {
        let rule = "INPUT -p tcp --dport 5000 -j REJECT --reject-with tcp-reset";
        lab.internet().namespace().shell(&format!("iptables {act} {rule}")).good();
    };
    refuse("-I");
    up(2);
    let second = pull(2);
    // A cache that has to start again meanwhile serves what it has as well.
    platform.docker().run(&["restart", &format!("{}-users-dockerhub-cache", platform.prefix)]);
    platform.docker().shell(&platform.name(2), "docker rmi hello:1").good();
    let third = within(Duration::from_secs(60), "the cache serves without its upstream", || {
        let ran = pull(2);
        ran.is_good().then_some(ran)
    });
    refuse("-D");
    second.good();
    third.good();
}

/// Visits a domain. The output is the status and the page.
fn visited(lab: &Lab, domain: &str) -> Ran {
    let host = format!("Host: {domain}");
    let url = format!("http://{PUBLIC}/");
    let mut ran = lab.visit(&["-H", &host, "-w", "\n%{http_code}", &url]);
    if let Some((page, status)) = ran.stdout.rsplit_once('\n') {
        ran.stdout = format!("{status} {page}");
    }
    ran
}

/// A template with something else in one place of it at least.
fn replaced(path: &str, from: &str, to: &str) -> String {
    let text = template(path);
    assert!(text.contains(from), "{path} has no `{from}`");
    text.replace(from, to)
}

fn template(path: &str) -> String {
    fs::read_to_string(source_tree().join("templates").join(path)).expect(path)
}

/// A connection that speaks back, over a protocol of its own (RFC 6455, the handshake without its frames: the web server
/// looks no further).
struct Socket(BufReader<TcpStream>);

impl Socket {
    fn echo(&mut self, words: &str) -> String {
        writeln!(self.0.get_mut(), "{words}").expect("send");
        let mut line = String::new();
        self.0.read_line(&mut line).expect("the WebSocket lives");
        line.trim_end().to_owned()
    }
}

/// Program that answers it in the server: it agrees to the upgrade and echoes what it hears.
const ECHO: &str = r#"use IO::Socket::INET; $SIG{CHLD} = "IGNORE";
my $l = IO::Socket::INET->new(LocalPort => 9000, Listen => 5, ReuseAddr => 1) or die;
while (my $c = $l->accept) { next if fork; $c->autoflush(1);
while (<$c>) { last if /^\r?$/ }
print $c "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
print $c $_ while <$c>; exit }"#;

fn websocket(platform: &Platform, lab: &Lab, domain: &str) -> Socket {
    let name = platform.name(1);
    platform.docker().run(&["exec", "-d", &name, "perl", "-e", ECHO]);
    // The domain's port is the app's; the socket's server takes its place behind a name of its own.
    let socket_domain = format!("socket-{domain}");
    platform.commit("a domain for the socket", |state| {
        let text = "server = \"one\"\nport = 9000\ntls = \"off\"\n";
        state.write(&format!("domains/{socket_domain}.toml"), text);
    });
    let attempt = || {
        let stream = lab.internet().namespace().enter(|| TcpStream::connect((PUBLIC, 80))).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
        let mut socket = BufReader::new(stream);
        write!(
            socket.get_mut(),
            "GET / HTTP/1.1\r\nHost: {socket_domain}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        .ok()?;
        let mut line = String::new();
        socket.read_line(&mut line).ok()?;
        line.contains(" 101 ").then_some(())?;
        while line.trim_end() != "" {
            line.clear();
            socket.read_line(&mut line).ok()?;
        }
        Some(Socket(socket))
    };
    eventually("the WebSocket opens", attempt)
}

/// The smallest image of the platform's own, saved into a folder.
fn platform_image(lab: &Lab) -> tempfile::TempDir {
    let folder = berth_tests::ground::scratch();
    let archive = folder.path().join("image.tar").to_string_lossy().into_owned();
    lab.engine().docker().run(&["save", "--output", &archive, berth_tests::image::HOLDER]);
    folder
}

/// Offers the image as `library/hello:1` in the registry outside, in the way that the registry's API describes.
fn offer_image(lab: &Lab, folder: &tempfile::TempDir) {
    let script = r#"
cd "$1"; tar -xf image.tar
config=$(sed 's/.*"Config":"\([^"]*\)".*/\1/' manifest.json)
layer=$(sed 's/.*"Layers":\["\([^"]*\)".*/\1/' manifest.json)
gzip -nc "$layer" > layer.gz
url=http://$2:5000/v2/library/hello
push() {
    digest=sha256:$(sha256sum "$1" | cut -d' ' -f1)
    place=$(curl -fsS -X POST -D - -o /dev/null "$url/blobs/uploads/" | tr -d '\r' | sed -n 's/^[Ll]ocation: //p')
    case $place in *\?*) place="$place&digest=$digest" ;; *) place="$place?digest=$digest" ;; esac
    curl -fsS -X PUT -H 'Content-Type: application/octet-stream' --data-binary "@$1" "$place"
    echo "{\"size\":$(stat -c %s "$1"),\"digest\":\"$digest\",\"mediaType\":\"application/vnd.docker.$2\"}"
}
config=$(push "$config" container.image.v1+json)
layer=$(push layer.gz image.rootfs.diff.tar.gzip)
kind=application/vnd.docker.distribution.manifest.v2+json
printf '{"schemaVersion":2,"mediaType":"%s","config":%s,"layers":[%s]}' "$kind" "$config" "$layer" > pushed.json
curl -fsS -X PUT -H "Content-Type: $kind" --data-binary @pushed.json "$url/manifests/1"
"#;
    let path: &Path = folder.path();
    let mut command = lab.internet().namespace().command();
    command.args(["sh", "-euc", script, "offer"]).arg(path).arg(REGISTRY.to_string());
    run(&mut command, Duration::from_secs(30)).good();
}
