//! The wildcard certificate from a real CA (pebble) by a real name server (BIND), and what becomes of it when either refuses.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says what it expects by unwrapping it")]

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use berth_acme::{AcmeSettings, ZonePace};
use berth_ca::Pace;
use berth_dns::{Kind, ask_for_all};
use berth_schema::State;
use berth_schema::secret::Form;
use berth_schema::state::Parsed;
use berth_secrets::Secrets;
use berth_tasks::Tasks;
use berth_testing::Pebble;
use berth_testing::named::{Named, Zone};
use berth_testing::pebble::Places;
use berth_testing::process::within;
use berth_wire::acme::AcmeStanding;
use berth_wire::certificate::{FailedOrder, OrderFailure};
use tempfile::TempDir;
use tokio::task::{JoinHandle, block_in_place};
use tokio_util::sync::CancellationToken;
use x509_parser::extensions::GeneralName;
use x509_parser::pem::parse_x509_pem;

const DOMAIN: &str = "hosting.example.org";
const PLACE: &str = "_acme-challenge.hosting.example.org";
/// A key in base64.
const KEY: &str = "c2VjcmV0IG9mIHRoZSBzdG9yaWVzLCBvZiAzMiBieXRlcw==";
/// The same, by whose name a CA knows an account.
const BINDING: (&str, &str) = ("kid-1", "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W");

/// Asking a CA takes some round trips between busy processes.
const ISSUING: Duration = Duration::from_secs(60);

/// Deadlines and waits that a test can wait for. No deadline that isn't meant can run out by chance.
const PACE: Pace = Pace {
    request: Duration::from_secs(60),
    order: Duration::from_secs(60),
    first: Duration::from_millis(200),
    longest: Duration::from_millis(400),
    limited: Duration::from_millis(400),
    near: Duration::from_millis(400),
    look: Duration::from_millis(50),
};

/// The same for what brings a proof into the zone.
const ZONE_PACE: ZonePace = ZonePace {
    update: Duration::from_secs(20),
    visible: Duration::from_secs(3),
    program: Duration::from_secs(30),
};

/// A CA, and a host that orders from it.
struct Scene {
    home: TempDir,
    pebble: Pebble,
    pace: Pace,
    stop: CancellationToken,
    running: Option<JoinHandle<()>>,
}

impl Scene {
    fn start(change: impl FnOnce(&mut Places)) -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut places = Places::free();
        change(&mut places);
        let pebble = Pebble::start(&home.path().join("ca"), places, |program| Command::new(program));
        for folder in ["edge/demo", "panel/demo", "data"] {
            fs::create_dir_all(home.path().join(folder)).unwrap();
        }
        Self { home, pebble, pace: PACE, stop: CancellationToken::new(), running: None }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.home.path().join(path)
    }

    fn secrets(&self) -> Secrets {
        Secrets::of(&self.at("data"))
    }

    fn store(&self, name: &str, value: &str) {
        self.secrets().set(&name.parse().unwrap(), value.as_bytes(), Some(Form::MacKey)).unwrap();
    }

    /// Runs with these tables of `platform.toml`, in place of what ran before.
    async fn run(&mut self, tables: &str) {
        self.end().await;
        let Self { pebble, .. } = self;
        let text = format!(
            "domain = \"{DOMAIN}\"\n[acme]\ndirectory = \"{}\"\nemail = \"ops@example.org\"\nca = '''\n{}'''\n{tables}",
            pebble.directory(),
            pebble.server_root()
        );
        let state = State::assemble(&[Parsed::parse("platform.toml", &text)]).unwrap();
        let settings = AcmeSettings {
            acme: state.platform.acme.clone(),
            domain: state.platform.domain.clone(),
            folder: self.at("data/acme"),
            programs: self.at("data/dns"),
            secrets: self.secrets(),
            edge: self.at("edge/demo"),
            panel: Some(self.at("panel/demo")),
            pace: self.pace,
            zone_pace: ZONE_PACE,
        };
        self.stop = CancellationToken::new();
        let tasks = Tasks::new(self.stop.clone());
        self.running = Some(tokio::spawn(async move { berth_acme::run(settings, &tasks).await.unwrap() }));
    }

    /// Does the same, with neither an account nor a certificate.
    async fn run_anew(&mut self, tables: &str) {
        self.end().await;
        fs::remove_dir_all(self.at("data/acme")).unwrap();
        self.run(tables).await;
    }

    async fn end(&mut self) {
        self.stop.cancel();
        if let Some(running) = self.running.take() {
            running.await.unwrap();
        }
    }

    fn standing(&self) -> Option<AcmeStanding> {
        AcmeStanding::read(&self.at("data/acme"))
    }

    /// Waits for a certificate in both places, other than `before`.
    fn certified(&self, before: &str) -> String {
        block_in_place(|| {
            within(ISSUING, "a certificate", || {
                let both = ["edge/demo/platform.pem", "panel/demo/certificate.pem"]
                    .map(|path| fs::read_to_string(self.at(path)).ok());
                let [Some(edge), Some(panel)] = both else { return None };
                (edge == panel && edge != before).then_some(edge)
            })
        })
    }

    /// Waits for a failure of this kind.
    fn failed(&self, kind: OrderFailure) -> FailedOrder {
        block_in_place(|| {
            within(ISSUING, "a failure", || self.standing()?.failed.filter(|failed| failed.kind == kind))
        })
    }
}

/// Starts a name server for the domain, and for one that proofs may be in besides.
fn named(home: &Path) -> Named {
    let zones = [
        Zone { name: DOMAIN, records: "", may_change: PLACE },
        Zone {
            name: "alias.example.org",
            records: "_acme-challenge CNAME proof.acme.example.net.",
            may_change: "nothing.alias.example.org",
        },
        Zone { name: "acme.example.net", records: "", may_change: "proof.acme.example.net" },
    ];
    Named::start(home, &zones, ("berth", KEY), Ipv4Addr::LOCALHOST, |program| Command::new(program))
}

/// Names in the first certificate of a text in PEM.
fn names(pem: &str) -> Vec<String> {
    let chain = &pem[pem.find("-----BEGIN CERTIFICATE").unwrap()..];
    let (_, block) = parse_x509_pem(chain.as_bytes()).unwrap();
    let certificate = block.parse_x509().unwrap();
    let names = certificate.subject_alternative_name().unwrap().unwrap();
    let mut names: Vec<String> = names
        .value
        .general_names
        .iter()
        .map(|name| match name {
            GeneralName::DNSName(name) => (*name).to_owned(),
            name => format!("{name:?}"),
        })
        .collect();
    names.sort_unstable();
    names
}

fn texts(server: SocketAddr, name: &str) -> Vec<String> {
    ask_for_all(server, name, Kind::Text, Instant::now() + Duration::from_secs(20)).unwrap().texts
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bound_account_orders_by_updates_and_everything_is_handed_over() {
    let home = tempfile::tempdir().unwrap();
    let named = named(home.path());
    let mut scene = Scene::start(|places| {
        // Some good requests are refused, as a CA may that has forgotten a nonce.
        (places.server, places.binding, places.refused) = (Some(named.address()), Some(BINDING), 10);
        places.seconds = 20;
    });
    let tables = format!(
        "[acme.eab]\nkey_id = \"{}\"\n[acme.dns]\nserver = \"{}\"\nkey = \"berth\"\n",
        BINDING.0,
        named.address()
    );
    scene.run(&tables).await;
    // Whatever is missing is said, and mended while it runs.
    let failed = scene.failed(OrderFailure::Secret);
    assert!(failed.why.contains("`berth secret set acme-eab` stores it"), "{}", failed.why);
    scene.store("acme-eab", BINDING.1);
    let failed = block_in_place(|| {
        within(ISSUING, "the other secret", || {
            scene.standing()?.failed.filter(|failed| failed.why.contains("acme-dns"))
        })
    });
    assert_eq!(failed.kind, OrderFailure::Secret);
    assert!(scene.standing().unwrap().has_account);
    scene.store("acme-dns", KEY);
    let first = scene.certified("");
    assert_eq!(names(&first), [format!("*.{DOMAIN}"), DOMAIN.to_owned()]);
    // What the web server and the panel need of the account, and nothing of the binding.
    let account: serde_json::Value =
        serde_json::from_slice(&fs::read(scene.at("edge/demo/account.json")).unwrap()).unwrap();
    assert_eq!(
        (account["status"].as_str(), account["contact"][0].as_str()),
        (Some("valid"), Some("mailto:ops@example.org"))
    );
    assert!(account["location"].as_str().unwrap().starts_with("https://"));
    let key = fs::read_to_string(scene.at("edge/demo/account.key")).unwrap();
    assert!(key.starts_with(concat!("-----BEGIN ", "PRIVATE KEY-----\n")));
    assert!(scene.at("panel/demo/account.der").is_file());
    for file in ["edge/demo/account.key", "edge/demo/platform.pem", "data/acme/standing.json"] {
        let most = if file.ends_with("standing.json") { 0o644 } else { 0o600 };
        assert_eq!(mode(&scene.at(file)), most, "{file}");
    }
    assert_eq!(texts(named.address().into(), PLACE), Vec::<String>::new(), "no proof is left in the zone");
    // Two thirds of its twenty seconds later there is another one, by the same account.
    let second = scene.certified(&first);
    assert_ne!(first, second);
    assert_eq!(fs::read_to_string(scene.at("edge/demo/account.key")).unwrap(), key);
    // What somebody took away is put back.
    fs::remove_file(scene.at("panel/demo/certificate.pem")).unwrap();
    scene.certified("");
    scene.end().await;
    // One that is started again orders nothing that it has.
    let held = scene.certified("");
    scene.run(&tables).await;
    block_in_place(|| std::thread::sleep(Duration::from_millis(300)));
    assert_eq!(scene.certified(""), held);
    // Without the tables' DNS nothing is handed over but the account.
    scene.run(&format!("[acme.eab]\nkey_id = \"{}\"\n", BINDING.0)).await;
    block_in_place(|| {
        // One after the other.
        let handed = ["edge/demo/platform.pem", "panel/demo/certificate.pem"];
        within(ISSUING, "it is taken back", || {
            (!handed.iter().any(|file| scene.at(file).exists())).then_some(())
        });
    });
    assert!(scene.at("edge/demo/account.json").exists());
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_of_name_server_and_ca_are_told_as_what_they_are() {
    let home = tempfile::tempdir().unwrap();
    let named = named(home.path());
    let mut scene = Scene::start(|places| {
        (places.server, places.binding) = (Some(named.address()), Some(BINDING));
    });
    scene.store("acme-dns", KEY);
    scene.store("acme-eab", BINDING.1);
    let server = named.address();
    let dns = |more: &str| format!("[acme.dns]\nserver = \"{server}\"\nkey = \"berth\"\n{more}");
    scene.run(&dns("")).await;
    let failed = scene.failed(OrderFailure::Refused);
    assert!(failed.why.contains("write `[acme.eab]`"), "{}", failed.why);
    let bound = format!("[acme.eab]\nkey_id = \"{}\"\n", BINDING.0);
    for (tables, kind, why) in [
        (dns("zone = \"example.org\"\n"), OrderFailure::Zone, "the zone isn't its own (NOTAUTH)"),
        (
            dns("alias = \"elsewhere.hosting.example.org\"\n"),
            OrderFailure::Zone,
            "the key may not change this name (REFUSED)",
        ),
        (dns("alias = \"h.example.com\"\n"), OrderFailure::Zone, "has no zone for h.example.com"),
        (dns("").replace("\"berth\"", "\"other\""), OrderFailure::Zone, "doesn't take the key"),
        ("[acme.dns]\nprogram = \"missing\"\n".to_owned(), OrderFailure::Zone, "No such file or directory"),
        // The proof is put somewhere, and the CA doesn't look there.
        (dns("alias = \"proof.acme.example.net\"\n"), OrderFailure::Unproven, "the CA didn't find the proof"),
    ] {
        scene.run(&format!("{bound}{tables}")).await;
        let failed = block_in_place(|| {
            within(ISSUING, why, || {
                scene.standing()?.failed.filter(|failed| failed.kind == kind && failed.why.contains(why))
            })
        });
        assert!(failed.before < 1000);
    }
    // A secret that isn't the key.
    scene.store("acme-dns", "bm90IHRoZSBrZXkgb2YgdGhlIHN0b3JpZXMgYXQgYWxs");
    scene.run(&format!("{bound}{}", dns(""))).await;
    let failed = block_in_place(|| {
        within(ISSUING, "a wrong key", || {
            scene.standing()?.failed.filter(|failed| failed.kind == OrderFailure::Zone)
        })
    });
    assert!(failed.why.contains("doesn't take the key"), "{}", failed.why);
    scene.store("acme-dns", KEY);
    scene.certified("");
    assert_eq!(
        block_in_place(|| within(ISSUING, "good", || scene
            .standing()
            .filter(|standing| standing.failed.is_none())))
        .wildcard
        .unwrap()
        .domain,
        DOMAIN
    );
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_of_the_host_puts_the_proof_where_it_belongs() {
    let (mut management, mut names_of_ca) = (None, None);
    let mut scene = Scene::start(|places| {
        (management, names_of_ca) = (Some(places.names_management), Some(places.names));
    });
    let program = scene.at("data/dns/lab");
    fs::create_dir_all(scene.at("data/dns")).unwrap();
    let script = format!(
        "#!/bin/sh\n# What the CA's own DNS takes. It says nothing where nothing is wrong.\n\
         echo \"$1 $2 $3\" >> {log}\ncase $1 in present) act=set-txt ;; *) act=clear-txt ;; esac\n\
         exec curl -sS --fail --noproxy '*' --data \"{{\\\"host\\\": \\\"$2\\\", \\\"value\\\": \\\"$3\\\"}}\" http://{}/$act\n",
        management.unwrap(),
        log = scene.at("log").display(),
    );
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o777)).unwrap();
    scene.run("[acme.dns]\nprogram = \"lab\"\n").await;
    // It would run with our rights, so nobody else may have written it.
    let failed = scene.failed(OrderFailure::Zone);
    assert!(failed.why.contains("others may write to it"), "{}", failed.why);
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(names(&scene.certified("")), [format!("*.{DOMAIN}"), DOMAIN.to_owned()]);
    let log = fs::read_to_string(scene.at("log")).unwrap();
    let calls: Vec<&str> = log.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(calls, ["present", "present", "cleanup", "cleanup"], "{log}");
    assert!(log.lines().all(|line| line.split(' ').nth(1) == Some("_acme-challenge.hosting.example.org.")));
    // A name server that is named beside it is asked whether it serves the proof.
    let looks = format!(
        "[acme.dns]\nprogram = \"lab\"\nserver = \"{}\"\nzone = \"example.org\"\n",
        names_of_ca.unwrap()
    );
    let before = fs::read_to_string(scene.at("edge/demo/platform.pem")).unwrap();
    scene.run_anew(&looks).await;
    scene.certified(&before);
    fs::write(&program, "#!/bin/sh\n").unwrap();
    scene.run_anew(&looks).await;
    let failed = scene.failed(OrderFailure::Zone);
    assert!(
        failed.why.contains("doesn't serve the proof at _acme-challenge.hosting.example.org"),
        "{}",
        failed.why
    );
    // What a program says is told.
    fs::write(&program, "#!/bin/sh\necho 'the zone is locked' >&2\nexit 3\n").unwrap();
    let failed = block_in_place(|| {
        within(ISSUING, "its words", || {
            scene.standing()?.failed.filter(|failed| failed.why.contains("`present`"))
        })
    });
    assert!(
        failed.why.ends_with("`present` ended with exit status: 3: the zone is locked"),
        "{}",
        failed.why
    );
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_outlives_a_process_and_no_change_of_what_is_asked_for() {
    let home = tempfile::tempdir().unwrap();
    let named = named(home.path());
    let mut scene = Scene::start(|places| places.server = Some(named.address()));
    let hour = Duration::from_secs(3600);
    scene.pace = Pace { first: hour, longest: hour, limited: hour, near: hour, ..PACE };
    scene.store("acme-dns", KEY);
    let dns = |more: &str| format!("[acme.dns]\nserver = \"{}\"\nkey = \"berth\"\n{more}", named.address());
    // The CA looks elsewhere, and counts that.
    let wrong = dns("alias = \"proof.acme.example.net\"\n");
    scene.run(&wrong).await;
    let failed = scene.failed(OrderFailure::Unproven);
    assert_eq!(failed.before, 0);
    scene.run(&wrong).await;
    block_in_place(|| std::thread::sleep(Duration::from_millis(500)));
    assert_eq!(scene.standing().unwrap().failed, Some(failed), "it waits");
    scene.run(&dns("")).await;
    scene.certified("");
    scene.end().await;
}
