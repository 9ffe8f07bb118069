//! Mails through a real server (exim4): encryption, a wrong password, refusals, a server that is away for a while, and a process that
//! ended with a mail under way.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by unwrapping"
)]

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use berth_mail::{MailError, MailSettings, Pace, Reached};
use berth_schema::secret::Form;
use berth_schema::{Parsed, State};
use berth_secrets::Secrets;
use berth_tasks::Tasks;
use berth_testing::process::{until, within};
use berth_testing::skipped;
use berth_wire::mail::{Content, Decision, Kept, Letter, LostMail, MailStanding, Spool};
use berth_wire::web::Secret;
use jiff::Timestamp;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const EXIM: &str = "/usr/sbin/exim4";
const PASSWORD: &str = "a good password";
/// Time for a mail to come through, between busy processes.
const ARRIVING: Duration = Duration::from_secs(60);

/// Pace that a test can wait for.
const PACE: Pace = Pace {
    look: Duration::from_millis(50),
    answer: Duration::from_secs(20),
    recipient: Duration::from_secs(20),
    taking: Duration::from_secs(20),
    ending: Duration::from_secs(20),
    first: Duration::from_millis(200),
    longest: Duration::from_millis(400),
    give_up: Duration::from_secs(3600),
    window: Duration::from_secs(3600),
    each: 6,
    altogether: 100,
};

/// A mail server, and a host that sends by it.
struct Scene {
    home: TempDir,
    port: u16,
    ca: String,
    exim: Option<Child>,
    lost: Arc<Mutex<Vec<LostMail>>>,
    pace: Pace,
    running: Option<(CancellationToken, JoinHandle<()>)>,
}

impl Scene {
    /// A scene whose server doesn't run yet; `None` where there is no such server.
    fn new() -> Option<Self> {
        if !Path::new(EXIM).exists() || !is_root() {
            skipped("exim4 isn't installed (scripts/install.sh test), or this isn't root");
            return None;
        }
        let home = tempfile::tempdir().unwrap();
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let ca = certificates(home.path());
        let scene = Self { home, port, ca, exim: None, lost: Arc::default(), pace: PACE, running: None };
        scene.configure();
        let secrets = Secrets::of(&scene.data());
        fs::create_dir(scene.data()).unwrap();
        secrets.set(&"mail".parse().unwrap(), PASSWORD.as_bytes(), Some(Form::Password)).unwrap();
        Some(scene)
    }

    fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    fn spool(&self) -> Spool {
        Spool::of(&self.data())
    }

    fn configure(&self) {
        let home = self.home.path().display();
        let port = self.port;
        for folder in ["spool", "log"] {
            let path = self.home.path().join(folder);
            fs::create_dir(&path).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
        }
        let text = format!(
            "primary_hostname = mail.example.net
exim_path = {EXIM}
spool_directory = {home}/spool
log_file_path = {home}/log/%slog
pid_file_path = {home}/spool/exim.pid
daemon_smtp_ports = {port}
local_interfaces = 127.0.0.1
tls_advertise_hosts = *
tls_certificate = {home}/cert.pem
tls_privatekey = {home}/key.pem
acl_smtp_rcpt = rcpt
acl_smtp_data = accept
queue_only = true
keep_environment =
host_lookup =
rfc1413_query_timeout = 0s
begin acl
rcpt:
  deny !authenticated = *
       message = sign in first
  deny recipients = nobody@example.org
       message = no such person
  defer recipients = later@example.org
       condition = ${{if !exists{{{home}/open}}}}
       message = not just now
  accept
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${{if and{{{{eq{{$auth2}}{{berth}}}}{{eq{{$auth3}}{{{PASSWORD}}}}}}}}}
  server_set_id = $auth2
  server_advertise_condition = ${{if def:tls_in_cipher}}
"
        );
        fs::write(self.home.path().join("exim.conf"), text).unwrap();
    }

    fn exim(&self) -> Command {
        let mut command = Command::new(EXIM);
        command.arg("-C").arg(self.home.path().join("exim.conf"));
        command
    }

    /// Starts the server.
    fn serve(&mut self) {
        let log = fs::File::create(self.home.path().join("exim.out")).unwrap();
        let mut command = self.exim();
        command.args(["-bdf"]).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.exim = Some(command.spawn().unwrap());
        until("exim listens", || std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok());
    }

    fn stop_serving(&mut self) {
        if let Some(mut exim) = self.exim.take() {
            exim.kill().unwrap();
            exim.wait().unwrap();
        }
    }

    /// Settings of the platform that sends.
    fn settings(&self, mail: &str) -> MailSettings {
        let ca = self.ca.trim();
        let platform = format!(
            "domain = \"hosting.example.org\"\n[organisation]\ntitle = \"Žalia & co\"\ncontact = \"help@example.org\"\n\
             [mail]\nserver = \"localhost\"\nport = {}\nfrom = \"hosting@example.org\"\nca = '''\n{ca}\n'''\n{mail}",
            self.port
        );
        let state = State::assemble([&Parsed::parse("platform.toml", &platform)]).unwrap();
        let lost = Arc::clone(&self.lost);
        MailSettings {
            mail: state.platform.mail.clone().unwrap(),
            organisation: state.platform.organisation.clone(),
            domain: state.platform.domain.clone(),
            spool: self.spool(),
            folder: self.data().join("mail"),
            secrets: Secrets::of(&self.data()),
            templates: None,
            pace: self.pace,
            on_lost: Arc::new(move |mail| lost.lock().unwrap().push(mail.clone())),
        }
    }

    fn run(&mut self) {
        let (settings, stop) = (self.settings("user = \"berth\"\n"), CancellationToken::new());
        let tasks = Tasks::new(stop.clone());
        let running = tokio::spawn(async move { berth_mail::run(settings, &tasks).await.unwrap() });
        self.running = Some((stop, running));
    }

    async fn end(&mut self) {
        let (stop, running) = self.running.take().unwrap();
        stop.cancel();
        running.await.unwrap();
    }

    fn put(&self, id: &str, to: &str) {
        self.spool().put(letter(id, to)).unwrap();
    }

    fn standing(&self) -> MailStanding {
        MailStanding::read(&self.data().join("mail")).unwrap_or_default()
    }

    /// Mails that the server has, whole.
    fn arrived(&self) -> Vec<String> {
        let listed = self.exim().arg("-bp").output().unwrap();
        let listed = String::from_utf8(listed.stdout).unwrap();
        // "0m  1.2K 1abc-0002-XY <hosting@example.org>"
        let ids = listed
            .lines()
            .filter_map(|line| line.contains('<').then(|| line.split_whitespace().nth(2)).flatten());
        ids.map(|id| {
            let shown = self.exim().args(["-Mvc", id]).output().unwrap();
            String::from_utf8(shown.stdout).unwrap()
        })
        .collect()
    }

    fn arrive(&self, number: usize) -> Vec<String> {
        within(ARRIVING, "the mails arrive", || Some(self.arrived()).filter(|mails| mails.len() == number))
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if let Some(exim) = &mut self.exim {
            let _ = exim.kill();
            let _ = exim.wait();
        }
    }
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|found| std::os::unix::fs::MetadataExt::uid(&found) == 0)
}

/// Makes a CA, and a certificate of localhost for the server. Returns the CA's root.
fn certificates(home: &Path) -> String {
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = ca.self_signed(&ca_key).unwrap().pem();
    let key = KeyPair::generate().unwrap();
    let issuer = Issuer::from_params(&ca, &ca_key);
    let own = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    fs::write(home.join("cert.pem"), own.pem()).unwrap();
    fs::write(home.join("key.pem"), key.serialize_pem()).unwrap();
    root
}

fn letter(id: &str, to: &str) -> Letter {
    let content = Content::Decision {
        topic: "more-memory".to_owned(),
        decision: Decision::Merged,
        by: None,
        link: None,
    };
    Letter { id: id.to_owned(), user: "bob".parse().ok(), to: to.to_owned(), made: Timestamp::now(), content }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_arrives_encrypted_whole_and_once() {
    let Some(mut scene) = Scene::new() else { return };
    scene.serve();
    let invitation = Content::Invitation {
        link: Secret("https://panel.example.org/invite/the-secret".to_owned()),
        until: "2126-12-03T10:00:00Z".parse().unwrap(),
    };
    scene.spool().put(Letter { content: invitation, ..letter("first", "bob@example.org") }).unwrap();
    scene.run();
    let mails = scene.arrive(1);
    let mail = &mails[0];
    for line in [
        "To: bob@example.org",
        "Message-ID: <first@hosting.example.org>",
        "Auto-Submitted: auto-generated",
        "Content-Type: text/plain; charset=utf-8",
        "From: =?utf-8?b?",
        "<hosting@example.org>",
        "https://panel.example.org/invite/the-secret",
        "esmtpsa",
    ] {
        assert!(mail.contains(line), "{line}\n{mail}");
    }
    until("nothing waits", || scene.spool().all().unwrap().is_empty() && scene.standing().sent.is_some());
    assert_eq!(scene.standing().failed, None);
    // Started again, it sends nothing twice.
    scene.end().await;
    scene.run();
    scene.put("second", "bob@example.org");
    assert_eq!(scene.arrive(2).len(), 2);
    scene.end().await;
    assert!(scene.lost.lock().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn alarms_are_mailed_to_members_and_to_addresses_of_nobody() {
    let Some(mut scene) = Scene::new() else { return };
    scene.serve();
    let lines = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect();
    let began = Content::Alarms {
        began: lines(&[
            "oom server/shop: its memory was full",
            "disk server/shop: 95 %\r\nBcc: eve@example.org",
        ]),
        over: lines(&["restarts server/shop, which began at 2026-12-01 10:00 UTC"]),
        link: Some("https://panel.example.org".to_owned()),
    };
    let over = Content::Alarms {
        began: Vec::new(),
        over: lines(&["oom server/shop, which began at noon"]),
        link: None,
    };
    scene.spool().put(Letter { content: began, ..letter("began", "bob@example.org") }).unwrap();
    scene.spool().put(Letter { content: over, user: None, ..letter("over", "ops@example.org") }).unwrap();
    scene.run();
    let mails = scene.arrive(2);
    scene.end().await;
    let to = |address: &str| mails.iter().find(|mail| mail.contains(&format!("To: {address}"))).unwrap();
    let text = to("bob@example.org").replace("\r\n", "\n");
    for line in [
        "Hello bob,",
        "- oom server/shop: its memory was full\n- disk server/shop: 95 %",
        "- restarts server/shop, which began at 2026-12-01 10:00 UTC",
        "https://panel.example.org",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    assert!(!text.lines().any(|line| line.starts_with("Bcc")), "{text}");
    let text = to("ops@example.org");
    assert!(!text.contains("Hello") && text.contains("- oom server/shop, which began at noon"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_or_says_no_gets_its_time() {
    let Some(mut scene) = Scene::new() else { return };
    scene.put("a", "bob@example.org");
    scene.run();
    let failed = within(ARRIVING, "it is told", || scene.standing().failed);
    assert!(failed.why.contains("can't be reached") && failed.again > failed.at, "{failed:?}");
    scene.serve();
    scene.arrive(1);
    until("the failure is over", || scene.standing().failed.is_none());

    // One that nobody has is given up, one that is put off waits, and neither holds the others up.
    for (id, to) in [("b", "nobody@example.org"), ("c", "later@example.org"), ("d", "cyn@example.org")] {
        scene.put(id, to);
    }
    scene.arrive(2);
    until("one is given up", || scene.lost.lock().unwrap().len() == 1);
    let lost = scene.lost.lock().unwrap()[0].clone();
    assert!(lost.to == "n…@example.org" && lost.why.contains("no such person"), "{lost:?}");
    let kept = within(ARRIVING, "the other waits", || {
        scene.spool().all().unwrap().pop().filter(|kept| kept.tries > 1)
    });
    assert!(kept.letter.id == "c" && kept.why.as_ref().unwrap().contains("not just now"), "{kept:?}");
    fs::write(scene.home.path().join("open"), "").unwrap();
    scene.arrive(3);

    // It goes away while mails come, and comes back.
    scene.stop_serving();
    scene.put("e", "dan@example.org");
    until("it is told again", || scene.standing().failed.is_some());
    scene.serve();
    scene.arrive(4);
    scene.end().await;
    assert_eq!(scene.standing().lost.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_password_or_the_server_s_own_certificate_nothing_is_sent() {
    let Some(mut scene) = Scene::new() else { return };
    scene.serve();
    let send = async |mail: &str| berth_mail::test(&scene.settings(mail), "bob@example.org").await;
    let delivered = send("user = \"berth\"\n").await.unwrap();
    assert!(delivered.answer.starts_with("250"), "{delivered:?}");
    assert!(matches!(send("user = \"eve\"\n").await, Err(MailError::Login { .. })));
    let refused = send("").await.unwrap_err();
    assert!(
        refused.to_string().contains("sign in first") && refused.reached() == Reached::Never,
        "{refused}"
    );
    // From the first byte it speaks no TLS there.
    assert!(send("tls = \"tls\"\nuser = \"berth\"\n").await.is_err());
    let mut stranger = scene.settings("user = \"berth\"\n");
    stranger.mail.ca = None;
    let refused = berth_mail::test(&stranger, "bob@example.org").await.unwrap_err();
    assert!(matches!(refused, MailError::Tls { .. }), "{refused}");
    Secrets::of(&scene.data()).remove(&"mail".parse().unwrap()).unwrap();
    assert!(matches!(send("user = \"berth\"\n").await, Err(MailError::Secret(_))));
    assert_eq!(scene.arrived().len(), 1);
    assert!(matches!(
        berth_mail::test(&scene.settings("user = \"berth\"\n"), "x@example.org\r\nBcc: all@example.org")
            .await,
        Err(MailError::Address { .. })
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_password_is_tried_at_once() {
    let Some(mut scene) = Scene::new() else { return };
    let hours = Duration::from_secs(3 * 3600);
    scene.pace = Pace { first: hours, longest: hours, ..PACE };
    let secrets = Secrets::of(&scene.data());
    let set = |password: &str| {
        secrets.set(&"mail".parse().unwrap(), password.as_bytes(), Some(Form::Password)).unwrap();
    };
    set("a wrong password");
    scene.serve();
    scene.put("a", "bob@example.org");
    scene.run();
    let failed = within(ARRIVING, "it is told", || scene.standing().failed);
    assert!(failed.why.contains("doesn't let Berth in"), "{failed:?}");
    set(PASSWORD);
    scene.arrive(1);
    until("the failure is over", || scene.standing().failed.is_none());
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_under_way_is_told_and_not_sent_again_and_so_is_what_is_too_old() {
    let Some(mut scene) = Scene::new() else { return };
    scene.serve();
    let now = Timestamp::now();
    let cut = Kept {
        letter: letter("cut", "bob@example.org"),
        tries: 0,
        again: now,
        is_under_way: true,
        why: None,
    };
    scene.put("good", "cyn@example.org");
    scene.put("cut", "bob@example.org");
    assert!(scene.spool().keep(&cut).unwrap());
    scene.run();
    scene.arrive(1);
    until("it is told", || scene.lost.lock().unwrap().len() == 1);
    assert!(scene.lost.lock().unwrap()[0].why.contains("nobody knows"), "{:?}", scene.lost);
    scene.end().await;

    scene.pace.give_up = Duration::from_secs(60);
    let made = now - Duration::from_secs(120);
    scene.spool().put(Letter { made, ..letter("old", "bob@example.org") }).unwrap();
    scene.run();
    until("it is given up", || scene.lost.lock().unwrap().len() == 2);
    assert!(scene.lost.lock().unwrap()[1].why.contains("couldn't be sent for a day"), "{:?}", scene.lost);
    assert!(scene.spool().all().unwrap().is_empty());
    scene.end().await;
    assert_eq!(scene.arrived().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_more_than_the_bound() {
    let Some(mut scene) = Scene::new() else { return };
    scene.pace.each = 2;
    scene.serve();
    for id in ["a", "b", "c", "d"] {
        scene.put(id, "bob@example.org");
    }
    scene.put("e", "cyn@example.org");
    scene.run();
    scene.arrive(3);
    until("two wait", || scene.standing().waiting == 2);
    scene.end().await;
    let waiting: Vec<String> = scene.spool().all().unwrap().into_iter().map(|kept| kept.letter.id).collect();
    assert_eq!(waiting, ["c", "d"]);
}
