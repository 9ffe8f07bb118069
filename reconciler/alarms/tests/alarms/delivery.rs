//! Messages on their way to a real receiver, a spool and a restart in between.

use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use berth_alarms::{AlarmSettings, Look, Pace, Process, Record, Sight, Silences, Target, Waiting, run, test};
use berth_schema::State;
use berth_schema::secret::Form;
use berth_secrets::Secrets;
use berth_tasks::Tasks;
use berth_testing::process::until;
use berth_wire::facts::ServerFacts;
use berth_wire::mail::{Content, Spool};
use jiff::Timestamp;
use serde_json::Value;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::receiver::{React, Receiver};
use super::{sight, state};

/// Pace that a test can wait for.
const PACE: Pace = Pace {
    look: Duration::from_millis(20),
    gather: Duration::ZERO,
    apart: Duration::from_secs(3600),
    rest: Duration::ZERO,
    answer: Duration::from_secs(30),
    first: Duration::from_millis(50),
    longest: Duration::from_millis(400),
    give_up: Duration::from_secs(3600),
    most: 5,
};

/// A platform whose alarms are told.
struct Scene {
    home: TempDir,
    settings: AlarmSettings,
    seen: Arc<Mutex<Sight>>,
    running: Option<(CancellationToken, JoinHandle<()>)>,
}

impl Scene {
    fn new(platform: &str, url: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        let data = home.path().join("data");
        std::fs::create_dir(&data).unwrap();
        let secrets = Secrets::of(&data);
        for name in ["alarms-webhook", "alarms-chat"] {
            secrets.set(&name.parse().unwrap(), url.as_bytes(), Some(Form::Url)).unwrap();
        }
        let state: Arc<State> = state(platform);
        let settings = AlarmSettings {
            rules: state.platform.alarms.clone().unwrap(),
            platform: "hosting".to_owned(),
            domain: "hosting.example.org".to_owned(),
            title: "A club".to_owned(),
            panel: None,
            sends_mail: state.platform.mail.is_some(),
            folder: data.join("alarms"),
            secrets,
            spool: Spool::of(&data),
            pace: PACE,
        };
        let seen = Arc::new(Mutex::new(Sight { state: Some(state), ..sight(0) }));
        Self { home, settings, seen, running: None }
    }

    fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    /// Changes what is seen from now on.
    fn see(&self, change: impl FnOnce(&mut Sight)) {
        change(&mut self.seen.lock().unwrap());
    }

    fn run(&mut self) {
        self.run_with(|| {});
    }

    /// Runs, and calls this at each look.
    fn run_with(&mut self, looks: impl Fn() + Send + Sync + 'static) {
        let (settings, stop, seen) =
            (self.settings.clone(), CancellationToken::new(), Arc::clone(&self.seen));
        let tasks = Tasks::new(stop.clone());
        let look: Look = AlarmSettings::look(move || {
            looks();
            let seen = seen.lock().unwrap().clone();
            async move { Sight { at: Timestamp::now(), ..seen } }
        });
        let running = tokio::spawn(async move { run(settings, look, &tasks).await.unwrap() });
        self.running = Some((stop, running));
    }

    async fn end(&mut self) {
        let (stop, running) = self.running.take().unwrap();
        stop.cancel();
        running.await.unwrap();
    }

    fn record(&self) -> Record {
        Record::read(&self.settings.folder).unwrap()
    }

    /// Waits until something is so.
    fn until(&self, what: &str, mut so: impl FnMut(&Record) -> bool) {
        tokio::task::block_in_place(|| until(what, || so(&self.record())));
    }
}

/// Bob's disk is full, and he owns that server.
fn full(sight: &mut Sight) {
    let server = ServerFacts { id: 1, disk: Some(11 << 30), out_of_memory: None, ended: Vec::new() };
    sight.facts.as_mut().unwrap().servers = vec![server];
}

fn mended(sight: &mut Sight) {
    sight.facts.as_mut().unwrap().servers = Vec::new();
}

fn names(message: &Value, of: &str) -> Vec<String> {
    let all = message[of].as_array().unwrap().iter();
    all.map(|one| format!("{} {}", one["kind"].as_str().unwrap(), one["about"].as_str().unwrap())).collect()
}

const WEBHOOK: &str = "[alarms.webhook]\n";

#[tokio::test(flavor = "multi_thread")]
async fn an_alarm_arrives_once_and_so_does_its_end_over_restarts() {
    let receiver = Receiver::start();
    let mut scene = Scene::new(WEBHOOK, &receiver.url());
    scene.see(full);
    scene.run();
    scene.until("it is told", |record| record.sent.len() == 1);
    scene.end().await;
    scene.run();
    scene.see(mended);
    scene.until("its end is told", |record| record.sent.len() == 2);
    scene.end().await;
    let got = receiver.got();
    assert_eq!(got.len(), 2, "{got:?}");
    assert_eq!(names(&got[0], "began"), ["disk server/shop"]);
    assert_eq!(names(&got[0], "over"), [""; 0]);
    assert_eq!(names(&got[1], "over"), ["disk server/shop"]);
    assert_eq!((got[0]["platform"].as_str(), got[0]["version"].as_i64()), (Some("hosting"), Some(1)));
    assert_eq!(
        got[0]["text"].as_str().unwrap(),
        "A club (hosting.example.org): something is wrong\n- disk server/shop: 110 % of its disk is taken: 11 GiB of 10 GiB"
    );
    assert_ne!(got[0]["id"], got[1]["id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_away_or_refuses_gets_it_later_over_a_restart() {
    let at = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut scene = Scene::new(WEBHOOK, &format!("http://{at}/hook/secret"));
    scene.see(full);
    scene.run();
    scene.until("it was tried", |record| record.outbox.first().is_some_and(|one| one.tries >= 2));
    scene.end().await;
    let why = scene.record().outbox[0].why.clone().unwrap();
    assert!(why.contains("can't be reached") && !why.contains("secret"), "{why}");
    let receiver = Receiver::start_at(at);
    receiver.will([React::Answer(503), React::Answer(404)]);
    scene.run();
    scene.until("it arrives", |record| record.sent.len() == 1);
    scene.end().await;
    let got = receiver.got();
    assert_eq!(got.len(), 3, "two refusals, and then it was taken");
    assert!(got.iter().all(|message| message == &got[0]));
    assert_eq!((scene.record().outbox.len(), scene.record().lost.len()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_have_arrived_is_not_sent_again() {
    let receiver = Receiver::start();
    receiver.will([React::CutOff]);
    let mut scene = Scene::new(WEBHOOK, &receiver.url());
    scene.see(full);
    scene.run();
    scene.until("it is given up", |record| record.lost.len() == 1);
    // Nor is what was under way when the process ended.
    receiver.will([React::Nothing]);
    scene.see(mended);
    scene.until("its end is under way", |record| record.outbox.iter().any(|one| one.is_under_way));
    tokio::task::block_in_place(|| until("the receiver has it", || receiver.got().len() == 2));
    scene.end().await;
    scene.run();
    scene.until("that is given up, too", |record| record.lost.len() == 2);
    scene.end().await;
    let lost = scene.record().lost;
    assert!(lost.iter().all(|one| one.why.contains("nobody knows whether it has arrived")), "{lost:?}");
    assert_eq!(receiver.got().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silence_keeps_it_back_and_a_chat_reads_the_field_of_its_own() {
    let receiver = Receiver::start();
    let mut scene = Scene::new("[alarms.chat]\nfield = \"content\"\n", &receiver.url());
    let silences = Silences::of(&scene.settings.folder);
    let (of, now) = ("disk".parse().unwrap(), Timestamp::now());
    let until = now + jiff::SignedDuration::from_hours(1);
    silences.begin(&of, until, now).unwrap();
    scene.see(full);
    scene.run();
    scene.until("it is on", |record| record.on.iter().any(|entry| entry.is_on()));
    assert_eq!(receiver.got(), [] as [Value; 0]);
    assert!(silences.end(&of, now).unwrap() && !silences.end(&of, now).unwrap());
    scene.until("it is told", |record| record.sent.len() == 1);
    scene.end().await;
    let got = receiver.got();
    let content = got[0]["content"].as_str().unwrap();
    assert!(content.contains("disk server/shop") && got[0].as_object().unwrap().len() == 1, "{got:?}");
    let answer = test(&scene.settings, &Target::Chat).await.unwrap();
    assert_eq!(answer.said, "200 OK: said");
    receiver.will([React::Answer(404)]);
    let refused = test(&scene.settings, &Target::Chat).await.unwrap_err();
    assert_eq!(refused.to_string(), "it answered 404 Not Found: said");
    assert!(test(&scene.settings, &Target::Webhook).await.is_err(), "there is none");
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_go_to_whoever_hears_of_everything_and_to_each_member_of_their_own() {
    let mail = "[mail]\nserver = \"localhost\"\ntls = \"off\"\nfrom = \"hosting@example.org\"\n";
    let mut scene =
        Scene::new(&format!("{mail}[alarms]\nmail = [\"ops@example.org\"]\n"), "https://unused.example.org");
    scene.see(|sight| {
        full(sight);
        sight.processes = vec![Process { name: "door", runs: false }];
        let status = sight.facts.as_mut().unwrap().status.as_mut().unwrap();
        let stone =
            serde_json::json!({"id": 7, "name": "old", "owner": "bob", "purge_after": Timestamp::now()});
        status.tombstones = vec![serde_json::from_value(stone).unwrap()];
    });
    scene.run();
    scene.until("the letters are in the spool", |record| record.sent.len() == 2);
    scene.end().await;
    let letters = Spool::of(&scene.data()).all().unwrap();
    let mut told: Vec<(String, Option<String>, usize, bool)> = letters
        .into_iter()
        .map(|kept| {
            let Content::Alarms { began, .. } = kept.letter.content else { panic!("another letter") };
            let is_expiring = began.iter().any(|line| line.starts_with("expiry server/old"));
            (kept.letter.to, kept.letter.user.map(|user| user.to_string()), began.len(), is_expiring)
        })
        .collect();
    told.sort();
    assert_eq!(
        told,
        [
            ("bob@example.org".to_owned(), Some("bob".to_owned()), 2, true),
            ("ops@example.org".to_owned(), None, 1, false),
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_nobody_takes_are_bounded() {
    let at = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut scene = Scene::new(WEBHOOK, &format!("http://{at}/x"));
    scene.settings.pace.apart = Duration::ZERO;
    scene.run();
    let mut number = 0;
    while scene.record().lost.is_empty() {
        number += 1;
        let before = scene.record().number;
        scene.see(if number % 2 == 1 { full } else { mended });
        scene.until("it is told", |record| record.number > before);
    }
    scene.end().await;
    let record = scene.record();
    assert_eq!(record.outbox.len(), PACE.most);
    assert!(record.lost[0].why.contains("messages wait"), "{:?}", record.lost);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_never_sent_is_tried_again_though_nobody_answers() {
    // The kernel takes the connection, and nobody speaks TLS.
    let hangs = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut scene = Scene::new(WEBHOOK, &format!("https://{}/hook/secret", hangs.local_addr().unwrap()));
    scene.settings.pace.answer = Duration::from_millis(300);
    scene.see(full);
    scene.run();
    scene.until("it was tried, or is given up", |record| {
        !record.lost.is_empty() || record.outbox.first().is_some_and(|one| one.tries >= 2)
    });
    scene.end().await;
    let record = scene.record();
    assert_eq!(record.lost, []);
    let why = record.outbox[0].why.clone().unwrap();
    assert!(why.contains("can't be reached") && why.contains("no connection within 0.15 s"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_says_nothing_is_asked_once_a_round() {
    let at = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut scene = Scene::new(WEBHOOK, &format!("http://{at}/x"));
    scene.settings.pace.apart = Duration::ZERO;
    scene.run();
    for number in 1..=3 {
        scene.see(if number % 2 == 1 { full } else { mended });
        scene.until("it waits", |record| record.outbox.len() == number);
    }
    scene.end().await;
    // All three are due when the first is given up.
    scene.settings.pace.answer = PACE.longest * 3;
    let receiver = Receiver::start_at(at);
    receiver.will([React::Nothing; 3]);
    let asked: Arc<Mutex<Vec<usize>>> = Arc::default();
    scene.run_with({
        let (asked, receiver) = (Arc::clone(&asked), receiver.clone());
        move || asked.lock().unwrap().push(receiver.got().len())
    });
    let mut questions = 0;
    scene.until("all are given up", |record| {
        // One that was under way when the first process ended is asked of nobody again.
        questions = record.lost.iter().filter(|lost| !lost.why.contains("when Berth ended")).count();
        record.lost.len() == 3
    });
    scene.end().await;
    let mut asked = asked.lock().unwrap().clone();
    asked.push(receiver.got().len());
    asked.dedup();
    assert!(questions > 1, "{questions}");
    assert_eq!(asked, (0..=questions).collect::<Vec<_>>(), "the number of questions at each look");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_ends_before_a_chat_and_the_spool_refuse_it() {
    let receiver = Receiver::start();
    let platform = "[mail]\nserver = \"localhost\"\ntls = \"off\"\nfrom = \"hosting@example.org\"\n\
        [alarms]\nmail = [\"ops@example.org\"]\n[alarms.chat]\nfield = \"content\"\n";
    let mut scene = Scene::new(platform, &receiver.url());
    let since = Timestamp::UNIX_EPOCH;
    let waiting = |number| Waiting { topic: format!("change-{number:03}"), by: None, since };
    scene.see(|sight| sight.proposals = Some((0..500).map(waiting).collect()));
    scene.run();
    scene.until("the chat and the spool have it", |record| record.sent.len() == 2);
    scene.end().await;
    let got = receiver.got();
    let text = got[0]["content"].as_str().unwrap();
    let shown = text.lines().filter(|line| line.starts_with("- proposal proposal/change-")).count();
    assert!(text.encode_utf16().count() <= 1800 && shown > 10, "{text}");
    assert!(text.ends_with(&format!("\n… and {} more: berth alarms", 500 - shown)), "{text}");
    let letters = Spool::of(&scene.data()).all().unwrap();
    let Content::Alarms { began, .. } = &letters[0].letter.content else { panic!("another letter") };
    assert_eq!((letters.len(), began.len()), (1, 201));
    assert_eq!(began[200], "… and 300 more: berth alarms");
}
