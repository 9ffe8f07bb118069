//! Certificates of a CA that opens accounts only for whom it knows: one for the platform's domain and all names directly below it, by
//! a real name server, and one for each other name, all by the one account that Berth keeps.

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use berth_testing::git;
use berth_testing::named::{Named, Zone};
use berth_tests::acme::inside;
use berth_tests::ground::scratch;
use berth_tests::process::{MARK, PATIENCE, Ran, build_folder, built, run, send, wait, within};
use berth_tests::{Acme, Web, World};
use rustix::process::Signal;
use tempfile::TempDir;

crate::stories! { a_ca_that_wants_to_know_whom_it_certifies_gives_a_wildcard_and_more }

/// Time for the CA to look, and for everybody to notice.
const ISSUING: Duration = Duration::from_secs(120);
/// The platform's domain, and the panel's name below it.
const DOMAIN: &str = "h.example.org";
const PANEL: &str = "panel.h.example.org";
/// The key of the zone, in base64, and the binding of the account.
const KEY: &str = "c2VjcmV0IG9mIHRoZSBzdG9yaWVzLCBvZiAzMiBieXRlcw==";
const BINDING: (&str, &str) = ("kid-1", "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W");

/// A process that ends with the story, with its log.
struct Running {
    process: Child,
    log: PathBuf,
}

impl Running {
    fn start(mut command: Command, log: &Path) -> Self {
        let file = fs::File::create(log).expect("a log");
        let out = file.try_clone().expect("a log");
        command.env(MARK, build_folder()).env_remove("BERTH_LOG").stdin(Stdio::null()).stdout(out).stderr(file);
        Self { process: command.spawn().expect("start it"), log: log.to_owned() }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- {}\n{}", self.log.display(), fs::read_to_string(&self.log).unwrap_or_default());
        }
        send(self.process.id(), Signal::TERM);
        if wait(&mut self.process, PATIENCE).is_none() {
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
    }
}

/// The folder that the engine would make for the web server's container.
struct Handed(PathBuf);

impl Handed {
    fn make(prefix: &str) -> Self {
        let folder = Path::new("/run/berth/certificates").join(prefix);
        fs::create_dir_all(&folder).expect("a folder");
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).expect("a mode");
        Self(folder)
    }
}

impl Drop for Handed {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Names and issuer of the certificate at port 443 for a name, as a client sees it that knows the CA.
fn secure(web: &Web, domain: &str, port: u16, root: &Path) -> Ran {
    let mut command = web.namespace().command();
    command.args(["curl", "-sS", "-v", "--noproxy", "*", "--max-time", "10", "--resolve"]);
    command.arg(format!("{domain}:{port}:127.0.0.1")).arg("--cacert").arg(root);
    run(command.arg(format!("https://{domain}:{port}/")), PATIENCE)
}

fn berth(home: &TempDir, web: &Web, arguments: &[&str]) -> Command {
    let mut command = inside(web.namespace(), built("berth").to_str().expect("a path"));
    command.args(arguments).arg("--state").arg(web.state().path()).arg("--data").arg(home.path().join("data"));
    command.arg("--panel-folder").arg(home.path().join("panel"));
    command
}

fn a_ca_that_wants_to_know_whom_it_certifies_gives_a_wildcard_and_more(_: &World) {
    let web = Web::start();
    let home = scratch();
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).expect("a mode");
    let zones = [Zone { name: DOMAIN, records: "", may_change: "_acme-challenge.h.example.org" }, Zone {
        name: "example.com",
        records: "",
        may_change: "nothing.example.com",
    }];
    let named = Named::start(&home.path().join("zones"), &zones, ("berth", KEY), Ipv4Addr::LOCALHOST, |program| {
        inside(web.namespace(), program)
    });
    let ca = home.path().join("ca");
    let acme = Acme::at(web.namespace(), &ca, Ipv4Addr::LOCALHOST, |places| {
        (places.server, places.binding) = (Some(named.address()), Some(BINDING));
    });
    let prefix = format!("wc-{}", home.path().to_string_lossy().rsplit('-').next().unwrap_or_default().to_lowercase());
    let handed = Handed::make(&prefix);
    symlink(&handed.0, web.run().join("certificates")).expect("a link");

    let tables = format!(
        "[acme.eab]\nkey_id = \"{}\"\n[acme.dns]\nserver = \"{}\"\nkey = \"berth\"\n[panel]\ndomain = \"{PANEL}\"\n",
        BINDING.0,
        named.address()
    );
    web.state().write("platform.toml", &format!("domain = \"{DOMAIN}\"\nprefix = \"{prefix}\"\n{}{tables}", acme.settings()));
    web.domain("shop.h.example.org", "").domain("blog.h.example.org", "").domain("a.shop.h.example.org", "");
    web.domain("shop.example.com", "").domain("inner.h.example.org", "tls = \"internal\"\n");
    web.load();
    let state = web.state().path();
    for arguments in [&["init", "-q", "-b", "main"][..], &["add", "."], &["commit", "-q", "-m", "platform"]] {
        run(git(state).args(arguments), PATIENCE).good();
    }
    let root = acme.root();
    // Without an account nobody gets anything, and the status says who has to do what.
    assert!(!secure(&web, "shop.h.example.org", 443, &root).is_good());
    for (name, key) in [("acme-eab", BINDING.1), ("acme-dns", KEY)] {
        let file = home.path().join("secret");
        fs::write(&file, key).expect("a file");
        let store = berth(&home, &web, &["secret", "set", name]);
        let mut from_file = Command::new("sh");
        from_file.args(["-c", "exec \"$@\" < \"$0\""]).arg(&file).arg(store.get_program()).args(store.get_args());
        run(&mut from_file, PATIENCE).good();
    }
    let panel = home.path().join("panel");
    fs::create_dir(&panel).expect("a folder");
    fs::set_permissions(&panel, fs::Permissions::from_mode(0o755)).expect("a mode");
    let keeper = Running::start(berth(&home, &web, &["acme"]), &home.path().join("acme.log"));
    within(ISSUING, "the wildcard certificate", || handed.0.join("platform.pem").exists().then_some(()));

    // One certificate for the names directly below the domain, and one for each other.
    for (domain, name) in [
        ("shop.h.example.org", "*.h.example.org"),
        ("blog.h.example.org", "*.h.example.org"),
        ("a.shop.h.example.org", "a.shop.h.example.org"),
        ("shop.example.com", "shop.example.com"),
    ] {
        let seen = within(ISSUING, domain, || Some(secure(&web, domain, 443, &root)).filter(Ran::is_good));
        assert!(seen.words().contains(&format!("matched cert's \"{name}\"")), "{domain}: {}", seen.words());
        assert!(seen.words().contains("< HTTP/1.1 200") || seen.words().contains("< HTTP/2 200"), "{}", seen.words());
    }
    let inner = secure(&web, "inner.h.example.org", 443, &root);
    assert!(!inner.is_good(), "the platform's own CA is another");
    // Nobody can have it order others.
    assert!(!secure(&web, "other.h.example.org", 443, &root).is_good());
    // All of them by one account: the binding was used once.
    let log = fs::read_to_string(ca.join("pebble.log")).expect("a log");
    let accounts: Vec<&str> = log.lines().filter(|line| line.contains("There are now ") && line.contains("account")).collect();
    assert_eq!(accounts.len(), 1, "{accounts:?}");
    let orders = log.lines().filter(|line| line.contains("Issued certificate serial")).count();
    assert_eq!(orders, 3, "{log}");

    // The panel has it too, at its own port.
    let program = home.path().join("berth-web");
    fs::copy(built("berth-web"), &program).expect("a copy");
    fs::create_dir(home.path().join("web")).expect("a folder");
    let mut command = inside(web.namespace(), program.to_str().expect("a path"));
    command.args(["--domain", PANEL, "--listen", "127.0.0.1:8443", "--user", "nobody", "--acme-proof", "dns-01"]);
    command.args(["--acme-directory", &acme.pebble().directory(), "--acme-ca", &acme.pebble().server_root()]);
    command.arg("--sockets").arg(&panel).arg("--data").arg(home.path().join("web"));
    // As the panel's group may, where there is one.
    fs::set_permissions(panel.join("certificate.pem"), fs::Permissions::from_mode(0o644)).expect("a mode");
    let own = Running::start(command, &home.path().join("panel.log"));
    let seen = within(ISSUING, "the panel's certificate", || {
        Some(secure(&web, PANEL, 8443, &root)).filter(|ran| ran.words().contains("matched cert's \"*.h.example.org\""))
    });
    assert!(seen.words().contains("HTTP/"), "{}", seen.words());
    drop((own, keeper));
}
