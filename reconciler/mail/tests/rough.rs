//! Mails through a server that doesn't keep to the rules: it breaks off, or is slow when the sender has to end.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says what it expects by unwrapping")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use berth_fault::Fault as _;
use berth_mail::{MailSettings, Pace, Reached};
use berth_schema::{Parsed, State};
use berth_secrets::Secrets;
use berth_tasks::Tasks;
use berth_testing::process::until;
use berth_wire::mail::{Content, Decision, Letter, LostMail, MailStanding, Spool};
use jiff::Timestamp;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A server that takes mails, hangs up when it hears of `breaks@…`, and says nothing more once it has a mail for `slow@…`.
struct Rough {
    port: u16,
    taken: Arc<Mutex<Vec<String>>>,
}

impl Rough {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let taken = Arc::<Mutex<Vec<String>>>::default();
        let all = Arc::clone(&taken);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let all = Arc::clone(&all);
                thread::spawn(move || talk(stream, &all));
            }
        });
        Self { port, taken }
    }
}

/// One connection, until it ends.
fn talk(mut stream: TcpStream, taken: &Mutex<Vec<String>>) -> Option<()> {
    let mut lines = BufReader::new(stream.try_clone().ok()?).lines();
    let (mut to, mut is_data) = (String::new(), false);
    stream.write_all(b"220 rough\r\n").ok()?;
    loop {
        let line = lines.next()?.ok()?;
        if is_data {
            if line == "." {
                taken.lock().unwrap().push(to.clone());
                is_data = false;
                if !to.contains("slow@") {
                    stream.write_all(b"250 taken\r\n").ok()?;
                }
            }
            continue;
        }
        let answer = match line.split([' ', ':']).next()? {
            "EHLO" => "250 rough",
            "RCPT" if line.contains("breaks@") => return None,
            "RCPT" => {
                to = line;
                "250 well"
            }
            "DATA" => {
                is_data = true;
                "354 go on"
            }
            "QUIT" => return None,
            _ => "250 well",
        };
        stream.write_all(format!("{answer}\r\n").as_bytes()).ok()?;
    }
}

fn letter(id: &str, to: &str, made: Timestamp) -> Letter {
    let content =
        Content::Decision { topic: "more".to_owned(), decision: Decision::Merged, by: None, link: None };
    Letter { id: id.to_owned(), user: "bob".parse().ok(), to: to.to_owned(), made, content }
}

/// Sender with these letters in its spool.
struct Sender {
    home: TempDir,
    from: &'static str,
    lost: Arc<Mutex<Vec<LostMail>>>,
    stop: CancellationToken,
    running: Option<JoinHandle<()>>,
}

impl Sender {
    fn with(letters: &[(&str, &str)]) -> Self {
        let home = tempfile::tempdir().unwrap();
        let spool = Spool::of(home.path());
        for (seconds, (id, to)) in (1..).zip(letters) {
            let made = Timestamp::now() - Duration::from_secs(60) + Duration::from_secs(seconds);
            spool.put(letter(id, to, made)).unwrap();
        }
        Self {
            home,
            from: "hosting@h.org",
            lost: Arc::default(),
            stop: CancellationToken::new(),
            running: None,
        }
    }

    fn spool(&self) -> Spool {
        Spool::of(self.home.path())
    }

    fn run(&mut self, port: u16, pace: Pace) {
        let settings = settings(self.home.path(), self.from, port, pace, &self.lost);
        self.stop = CancellationToken::new();
        let tasks = Tasks::new(self.stop.clone());
        self.running = Some(tokio::spawn(async move { berth_mail::run(settings, &tasks).await.unwrap() }));
    }

    async fn end(&mut self) {
        self.stop.cancel();
        self.running.take().unwrap().await.unwrap();
    }
}

fn settings(
    data: &Path,
    from: &str,
    port: u16,
    pace: Pace,
    lost: &Arc<Mutex<Vec<LostMail>>>,
) -> MailSettings {
    let platform = format!(
        "domain = \"h.org\"\n[mail]\nserver = \"localhost\"\nport = {port}\ntls = \"off\"\nfrom = \"{from}\"\n"
    );
    let state = State::assemble([&Parsed::parse("platform.toml", &platform)]).unwrap();
    let lost = Arc::clone(lost);
    MailSettings {
        mail: state.platform.mail.clone().unwrap(),
        organisation: state.platform.organisation.clone(),
        domain: state.platform.domain.clone(),
        spool: Spool::of(data),
        folder: data.join("mail"),
        secrets: Secrets::of(data),
        templates: None,
        pace,
        on_lost: Arc::new(move |mail| lost.lock().unwrap().push(mail.clone())),
    }
}

fn pace() -> Pace {
    let (short, soon) = (Duration::from_millis(50), Duration::from_millis(200));
    Pace { look: short, first: soon, longest: soon, ..Pace::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_at_which_the_server_breaks_off_holds_up_no_other() {
    let server = Rough::start();
    let mut sender = Sender::with(&[("a", "breaks@h.org"), ("b", "bob@h.org"), ("c", "žilė@h.org")]);
    sender.run(server.port, pace());
    until("the other goes", || server.taken.lock().unwrap().iter().any(|to| to.contains("bob@")));
    until("letters that it has no word for are given up", || sender.lost.lock().unwrap().len() == 1);
    assert!(sender.lost.lock().unwrap()[0].why.contains("SMTPUTF8"), "{:?}", sender.lost);
    sender.end().await;
    let waiting = sender.spool().all().unwrap();
    assert!(waiting.len() == 1 && waiting[0].letter.id == "a" && waiting[0].tries > 0, "{waiting:?}");
}

/// Waits that a test can't wait for: whatever goes has waited for nothing.
fn long_pace() -> Pace {
    Pace { first: Duration::from_secs(600), longest: Duration::from_secs(3600), ..pace() }
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_at_which_the_server_breaks_off_make_no_other_wait() {
    let server = Rough::start();
    let names: Vec<_> = (0..30).map(|n| (format!("a{n}"), format!("breaks@{n}.h.org"))).collect();
    let mut letters: Vec<(&str, &str)> = names.iter().map(|(id, to)| (&**id, &**to)).collect();
    letters.push(("b", "bob@h.org"));
    let mut sender = Sender::with(&letters);
    let taken = |words: &str| server.taken.lock().unwrap().iter().any(|to| to.contains(words));
    sender.run(server.port, long_pace());
    until("the one behind them goes", || taken("bob@"));
    sender.spool().put(letter("c", "breaks@new.h.org", Timestamp::now())).unwrap();
    let failure = || MailStanding::read(&sender.home.path().join("mail"))?.failed;
    until("a failure without any success is told", || failure().is_some());
    sender.spool().put(letter("d", "ann@h.org", Timestamp::now())).unwrap();
    until("one that comes after it goes", || taken("ann@"));
    until("the failure is over", || failure().is_none());
    sender.end().await;
    let waiting = sender.spool().all().unwrap();
    assert!(waiting.len() == 31 && waiting.iter().all(|kept| kept.tries == 1), "{waiting:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_that_the_server_has_no_letters_for_costs_no_mail() {
    let server = Rough::start();
    let mut sender = Sender::with(&[("a", "bob@h.org"), ("b", "žilė@h.org")]);
    sender.from = "žilė@h.org";
    sender.run(server.port, pace());
    let failure = || MailStanding::read(&sender.home.path().join("mail"))?.failed;
    until("it is told", || failure().is_some());
    let why = failure().unwrap().why;
    sender.end().await;
    assert!(why.contains("SMTPUTF8") && why.contains("žilė@h.org"), "{why}");
    assert_eq!((sender.spool().all().unwrap().len(), sender.lost.lock().unwrap().len()), (2, 0));
    let settings = settings(sender.home.path(), sender.from, server.port, pace(), &sender.lost);
    let error = berth_mail::test(&settings, "bob@h.org").await.unwrap_err();
    assert_eq!(error.reached(), Reached::Server);
    assert!(error.hint().unwrap().contains("`mail.from`"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_slow_at_the_end_holds_it_up_for_a_while_only_and_the_mail_is_told() {
    let server = Rough::start();
    let mut sender = Sender::with(&[("a", "slow@h.org")]);
    let pace = Pace { ending: Duration::from_millis(100), ..pace() };
    sender.run(server.port, pace);
    until("the server has it", || !server.taken.lock().unwrap().is_empty());
    sender.end().await;
    assert!(sender.spool().all().unwrap()[0].is_under_way);
    sender.run(server.port, pace);
    until("it is told", || sender.lost.lock().unwrap().len() == 1);
    sender.end().await;
    assert!(sender.lost.lock().unwrap()[0].why.contains("nobody knows"), "{:?}", sender.lost);
    assert_eq!(server.taken.lock().unwrap().len(), 1);
}
