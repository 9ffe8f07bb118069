//! A platform behind a router that forwards ports, as many have one at home: what visitors outside are told leads to them, and the
//! panel knows who they are.
//!
//! ```text
//!   visitor ── the router: 80, 443, 22, 9443 ── the machine: 10080, 10443, 10022, 8443
//! ```

use std::fs;
use std::os::unix::fs::chown;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use berth_plan::system;
use berth_schema::{Parsed, State};
use berth_tests::ground::scratch;
use berth_tests::lab::PUBLIC;
use berth_tests::namespace::Namespace;
use berth_tests::process::{MARK, PATIENCE, build_folder, built, send, wait, within};
use berth_tests::{Lab, Platform, Ran, World, run};
use rustix::process::Signal;
use tempfile::TempDir;

crate::stories! { a_platform_behind_a_router_is_reached_as_it_says }

/// The router's address, as DNS has it.
const ROUTER: &str = "198.51.100.1";
/// A visitor who may open the panel, and one who may not.
const VISITOR: &str = "198.51.100.99";
const STRANGER: &str = "203.0.113.99";
/// Ports outside, and those of the machine that they lead to.
const FORWARDED: [(u16, u16); 4] = [(80, 10080), (443, 10443), (22, 10022), (9443, 8443)];
const PANEL: &str = "panel.example.org";
const SHOP: &str = "shop.stories.example.org";
const SETTINGS: &str = r#"
[access]
panel = ["198.51.100.0/24"]
[web]
http_port = 10080
https_port = 10443
[public]
addresses = ["198.51.100.1"]
http_port = 80
https_port = 443
panel_port = 9443
ssh_host = "ssh.example.org"
ssh_port = 22
[panel]
domain = "panel.example.org"
tls = "internal"
"#;
/// A server boots in it, on a machine that is busy.
const BOOT: Duration = Duration::from_secs(240);
/// A user who has nothing.
const NOBODY: u32 = 65_534;

fn a_platform_behind_a_router_is_reached_as_it_says(world: &World) {
    let lab = world.lab();
    let outside = Outside::beyond(lab);
    let key = outside.key();
    let platform = Platform::in_lab(lab, |first| {
        first.append("platform.toml", SETTINGS);
        first.append("users/ann.toml", &format!("ssh_keys = [\"{key}\"]\n"));
        first.server("shop", 1, "memory = \"512 MiB\"\ncpus = 1\npids = 1024\n");
        first.write(&format!("domains/{SHOP}.toml"), "server = \"shop\"\nport = 8080\ntls = \"internal\"\n");
    });
    platform.apply();
    let panel = Panel::of(lab, &platform);

    // The panel, at both of its addresses, and the way from plain text to it.
    within(PATIENCE, "the panel answers through the router", || {
        outside.visit(VISITOR, &[&format!("https://{PANEL}/login")]).stdout.contains("Sign in").then_some(())
    });
    outside.visit(VISITOR, &[&format!("https://{PANEL}:9443/login")]).says("Sign in");
    assert_eq!(outside.led(&format!("http://{PANEL}/login")), format!("https://{PANEL}/login"));
    // Whoever may not open it gets no answer, whatever they claim.
    let claims = [VISITOR, "127.0.0.1"].map(|address| {
        ["X-Forwarded-For", "X-Real-Ip", "Berth-Client"].map(|name| format!("{name}: {address}"))
    });
    let mut claimed = vec!["-H".to_owned(), format!("Forwarded: for={VISITOR}")];
    claimed.extend(claims.into_iter().flatten().flat_map(|line| ["-H".to_owned(), line]));
    for port in ["", ":9443"] {
        let url = format!("https://{PANEL}{port}/login");
        let claimed: Vec<&str> = claimed.iter().map(String::as_str).chain([url.as_str()]).collect();
        let refused = outside.visit(STRANGER, &claimed);
        assert!(!refused.is_good() && refused.stdout.is_empty(), "{url}: {refused}");
        // Who may is who they are, too.
        outside.visit(VISITOR, &claimed).good().says("Sign in");
    }

    // An app: plain text leads to the port that the world knows.
    platform.serve_page(1, "app of the shop");
    assert_eq!(outside.led(&format!("http://{SHOP}/a?b")), format!("https://{SHOP}/a?b"));
    outside.visit(VISITOR, &["--location", &format!("http://{SHOP}/")]).good().says("app of the shop");

    // The line that logs in, as the panel shows it.
    let settings = Parsed::parse("platform.toml", &fs::read_to_string(platform.home().join("checkout/platform.toml")).expect("settings"));
    let line = State::assemble([&settings]).expect("a platform").platform.ssh_line(&"shop");
    assert_eq!(line, "ssh shop@ssh.example.org");
    within(BOOT, "ann gets in by that line", || {
        let ran = outside.ssh(&line);
        ran.is_good().then(|| assert_eq!(ran.stdout.trim(), "shop"))
    });
    drop(panel);
}

/// The world beyond the router, with two visitors in one namespace.
struct Outside<'a> {
    lab: &'a Lab,
    visitors: Namespace,
    home: TempDir,
}

impl<'a> Outside<'a> {
    /// Makes the lab's internet a router of the machine's, and lays a line to the visitors.
    fn beyond(lab: &'a Lab) -> Self {
        let visitors = Namespace::make("visitors");
        let router = lab.internet().namespace();
        router.ip(&["link", "add", "out0", "type", "veth", "peer", "name", "vis0", "netns", visitors.name()]);
        for (here, there) in [(ROUTER, VISITOR), ("203.0.113.1", STRANGER)] {
            router.ip(&["address", "add", &format!("{here}/24"), "dev", "out0"]);
            visitors.ip(&["address", "add", &format!("{there}/24"), "dev", "vis0"]);
        }
        router.ip(&["link", "set", "out0", "up"]);
        visitors.ip(&["link", "set", "vis0", "up"]);
        router.shell("echo 1 > /proc/sys/net/ipv4/ip_forward").good();
        let outside = Self { lab, visitors, home: scratch() };
        outside.forward("-A").into_iter().for_each(|ran| drop(ran.good()));
        outside
    }

    /// Adds or takes away the router's rules.
    fn forward(&self, act: &str) -> Vec<Ran> {
        let rule = |(outer, inner): (u16, u16)| {
            let to = format!("-d {ROUTER} -p tcp --dport {outer} -j DNAT --to-destination {PUBLIC}:{inner}");
            self.lab.internet().namespace().shell(&format!("iptables -w -t nat {act} PREROUTING {to}"))
        };
        FORWARDED.into_iter().map(rule).collect()
    }

    /// Visits from one of the visitors' addresses; every name leads to the router.
    fn visit(&self, from: &str, arguments: &[&str]) -> Ran {
        let mut command = self.visitors.command();
        let connect = format!("::{ROUTER}:");
        command.args(["curl", "-sS", "-k", "--noproxy", "*", "--max-time", "20", "--interface", from]);
        run(command.args(["--connect-to", &connect]).args(arguments), Duration::from_secs(30))
    }

    /// Address that a visitor is led to.
    fn led(&self, url: &str) -> String {
        let ran = self.visit(VISITOR, &["-o", "/dev/null", "-w", "%{http_code} %{redirect_url}", url]).good();
        ran.stdout.strip_prefix("308 ").unwrap_or(&ran.stdout).to_owned()
    }

    /// A new key of ann's: its public half.
    fn key(&self) -> String {
        let private = self.home.path().join("ann");
        let mut keygen = Command::new("ssh-keygen");
        run(keygen.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&private), PATIENCE).good();
        fs::read_to_string(private.with_extension("pub")).expect("a key").trim().to_owned()
    }

    /// Logs in by a line, whose host leads to the router, and asks for the server's name.
    fn ssh(&self, line: &str) -> Ran {
        let mut words = line.split(' ');
        let mut command = self.visitors.command();
        command.args(words.next()).args(["-F", "none", "-i"]).arg(self.home.path().join("ann"));
        let known = format!("UserKnownHostsFile={}", self.home.path().join("known").display());
        for option in [
            "BatchMode=yes",
            "IdentitiesOnly=yes",
            "StrictHostKeyChecking=accept-new",
            &known,
            &format!("HostName={ROUTER}"),
        ] {
            command.args(["-o", option]);
        }
        run(command.args(words).arg("hostname"), PATIENCE)
    }
}

impl Drop for Outside<'_> {
    fn drop(&mut self) {
        self.forward("-D");
        let router = self.lab.internet().namespace();
        router.shell("echo 0 > /proc/sys/net/ipv4/ip_forward; ip link del out0");
        self.visitors.end();
    }
}

/// The panel on the machine, started by root as `berth up` starts it.
struct Panel {
    parent: Child,
    _home: TempDir,
}

impl Panel {
    fn of(lab: &Lab, platform: &Platform) -> Self {
        let home = scratch();
        // Where its user gets through; ours is closed.
        let program = home.path().join("berth-web");
        fs::copy(built("berth-web"), &program).expect("a copy");
        chown(home.path(), Some(NOBODY), Some(NOBODY)).expect("its user's");
        let edge = system::edge(&platform.prefix.parse().expect("a prefix"));
        assert!(Path::new(&edge).is_dir(), "the engine has made the edge's folder");
        let mut command = lab.host().command();
        command
            .arg(&program)
            .args(["--user", "nobody", "--listen", "[::]:8443", "--domain", PANEL])
            .args(["--public-port", "9443", "--edge-port", "443", "--edge-port", "10443", "--edge", &edge])
            .args(["--allow", "198.51.100.0/24", "--sockets"])
            .arg(home.path())
            .arg("--data")
            .arg(home.path().join("data"));
        let log = fs::File::create(platform.home().join("panel.log")).expect("a log");
        let parent = command
            .env(MARK, build_folder())
            .env_remove("BERTH_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("start the panel");
        Self { parent, _home: home }
    }
}

impl Drop for Panel {
    fn drop(&mut self) {
        send(self.parent.id(), Signal::TERM);
        if wait(&mut self.parent, PATIENCE).is_none() {
            let _ = self.parent.kill();
            let _ = self.parent.wait();
        }
    }
}
