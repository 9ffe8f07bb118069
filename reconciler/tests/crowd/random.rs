//! Members who push, propose, clone and review at random, beside a model of what has to come of it.
//!
//! `BERTH_CROWD_SECONDS` and `BERTH_CROWD_SEED` choose how long, and which way.

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use berth_schema::door::Command;
use berth_testing::within;

use super::combined::approval;
use super::house::{House, LONG, Person, Ran, domain, objects, server};

const MEMBERS: usize = 40;

/// Words that say that somebody had to wait.
const WAITING: &str = "Waiting: ";

/// Everything that has to be true in the end.
#[derive(Default)]
struct Model {
    /// First lines of the commits that were accepted.
    accepted: Mutex<HashSet<String>>,
    /// First lines of those that were refused.
    refused: Mutex<HashSet<String>>,
    /// Proposals that wait for an admin, with the first line of their commit.
    waiting: Mutex<Vec<(String, String)>>,
    /// Answers that told somebody their place in line.
    told: AtomicUsize,
    over: AtomicBool,
}

/// Numbers that look random, the same for the same seed (SplitMix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % sides as u64).unwrap()
    }
}

/// One of them, at work.
struct At<'h> {
    person: Person<'h>,
    number: usize,
    model: &'h Model,
    /// Number of changes so far.
    made: usize,
    /// First lines of their own that are on `main`.
    own: Vec<String>,
}

impl Model {
    fn hear(&self, text: &str) {
        self.told.fetch_add(usize::from(text.contains(WAITING)), Ordering::Relaxed);
    }
}

impl At<'_> {
    /// A new first line, which nobody else has.
    fn subject(&mut self, what: &str) -> String {
        self.made += 1;
        format!("{what} {} of {}", self.made, self.person.name)
    }

    fn push(&self, to: &str) -> Ran {
        let ran = self.person.push(to);
        self.model.hear(&ran.text);
        ran
    }

    fn accept(&mut self, ran: &Ran, subject: String) {
        assert!(ran.good, "`{subject}` was refused:\n{}", ran.text);
        assert!(self.model.accepted.lock().unwrap().insert(subject.clone()));
        self.own.push(subject);
    }

    /// Takes a commit back that was refused for this reason.
    #[track_caller]
    fn refuse(&self, ran: &Ran, subject: String, reason: &str) {
        ran.refused(&[reason]);
        self.model.refused.lock().unwrap().insert(subject);
        self.person.git(&["reset", "--quiet", "--hard", "HEAD~1"]);
    }

    fn new_domain(&mut self, to: impl Fn(usize) -> String) {
        let subject = self.subject("domain");
        let (number, made) = (self.number, self.made);
        let path = format!("domains/d{made}-{number}.apps.example.org.toml");
        self.person.commit(&path, &domain(number), &subject);
        let ran = self.push(&to(made));
        if to(made) != "main" {
            ran.has(&["is merged: main is at"]);
        }
        self.accept(&ran, subject);
    }

    /// Changes a server. Nobody is refused unless somebody else has changed it since.
    fn change_server(&mut self, of: usize) {
        let subject = self.subject("memory");
        let path = format!("servers/u{of}.toml");
        let known = std::fs::read_to_string(self.person.clone.join(&path)).unwrap();
        // Each is another one.
        let memory = format!("{} MiB", 64 + self.made % 50 * 40 + self.number);
        self.person.commit(&path, &server(of, &memory), &subject);
        let ran = self.push("main");
        if ran.good {
            self.accept(&ran, subject);
            return;
        }
        if ran.text.contains("fetch first") {
            // An admin's clone shows `main` as it is, and git lets nothing through that is behind.
            assert_eq!(self.number, 0, "{}", ran.text);
            self.refuse(&ran, subject, "fetch first");
            return;
        }
        ran.has(&[&path]);
        assert_ne!(self.person.house.read(&path), known.trim_end(), "nobody has changed it:\n{}", ran.text);
        self.refuse(&ran, subject, "main has changed this as well since you fetched it");
        self.pull();
    }

    fn propose_page(&mut self) {
        // Nobody may have more open than a few.
        let theirs = format!("page-{}-", self.number);
        let waiting = self.model.waiting.lock().unwrap();
        if waiting.iter().filter(|(topic, _)| topic.starts_with(&theirs)).count() > 7 {
            return;
        }
        drop(waiting);
        let subject = self.subject("page");
        let topic = format!("page-{}-{}", self.number, self.made);
        self.person.commit(&format!("docs/{topic}.md"), "# A page\n", &subject);
        let ran = self.push(&format!("review/{topic}"));
        ran.accepted(&["needs review", "waits: `review show"]);
        self.person.git(&["reset", "--quiet", "--hard", "HEAD~1"]);
        self.model.waiting.lock().unwrap().push((topic, subject));
    }

    fn make_mistakes(&mut self, is_slip: bool) {
        let subject = self.subject("mistake");
        let other = self.number % MEMBERS + 1;
        let (path, text, reason) = match is_slip {
            true => (
                format!("servers/u{}.toml", self.number),
                "id = 1\nownr = \"x\"\n".to_owned(),
                "`ownr` is not a field",
            ),
            false => {
                (format!("servers/u{other}.toml"), server(other, "7 MiB"), "Refused; nothing was changed.")
            }
        };
        self.person.commit(&path, &text, &subject);
        let ran = self.push("main");
        ran.has(&[&path]);
        self.refuse(&ran, subject, reason);
    }

    /// Pulls, which is always a fast-forward, and finds everything of one's own.
    fn pull(&self) {
        self.person.git(&["pull", "--quiet", "--ff-only", "origin", "main"]);
        let log = self.person.git(&["log", "--format=%s"]);
        for subject in &self.own {
            assert!(
                log.lines().any(|line| line == subject),
                "`{subject}` is not in the clone of {}",
                self.person.name
            );
        }
    }

    fn look(&self) {
        let said = self.person.house.bridge.ask(&self.person.name, Command::ReviewList);
        assert_eq!(said.code, Some(0), "{said:?}");
        self.model.hear(&said.error);
    }

    fn step(&mut self, dice: &mut Dice) {
        match dice.below(12) {
            0..4 => self.new_domain(|_| "main".to_owned()),
            4..6 => self.change_server(self.number),
            6..8 => {
                let number = self.number;
                self.new_domain(|made| format!("review/own-{number}-{made}"));
                self.pull();
            }
            8 => self.propose_page(),
            9 => self.make_mistakes(dice.below(2) == 0),
            10 => self.look(),
            _ => self.pull(),
        }
    }

    /// Acts as an admin: changes others' servers, and agrees to what waits.
    fn step_as_admin(&mut self, dice: &mut Dice) {
        let waiting = self.model.waiting.lock().unwrap().pop();
        match waiting {
            Some(proposal) => self.agree(proposal),
            None => {
                self.pull();
                self.change_server(dice.below(MEMBERS) + 1);
            }
        }
    }

    fn agree(&self, (topic, subject): (String, String)) {
        let tip = self.person.house.git(&["rev-parse", &format!("review/{topic}")]);
        let said = self.person.house.bridge.ask("ann", approval(&topic, tip.parse().unwrap()));
        assert_eq!(said.code, Some(0), "{said:?}");
        self.model.hear(&said.error);
        assert!(self.model.accepted.lock().unwrap().insert(subject));
    }
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

#[test]
fn whatever_a_crowd_does_is_done_once_or_refused_for_a_true_reason() {
    let (seconds, seed) = (setting("BERTH_CROWD_SECONDS", 20), setting("BERTH_CROWD_SEED", 18));
    eprintln!("BERTH_CROWD_SEED={seed}");
    let house = House::of(MEMBERS, &[]);
    let model = Model::default();
    let end = Instant::now() + Duration::from_secs(seconds);
    let holds = thread::scope(|scope| {
        let mut crowd = Vec::new();
        for number in 0..=MEMBERS {
            let (house, model) = (&house, &model);
            crowd.push(scope.spawn(move || {
                let name = if number == 0 { "ann".to_owned() } else { format!("u{number}") };
                let person = house.person(&name);
                let mut dice = Dice(seed.wrapping_mul(1000).wrapping_add(number as u64));
                let mut at = At { person, number, model, made: 0, own: Vec::new() };
                // Everybody does something, however slow the machine is.
                loop {
                    if number == 0 {
                        at.step_as_admin(&mut dice);
                    } else {
                        at.step(&mut dice);
                    }
                    if Instant::now() > end {
                        return;
                    }
                }
            }));
        }
        // Somebody takes a turn and sees others wait.
        let holder = scope.spawn(|| {
            let mut holds = 0;
            while !model.over.load(Ordering::Relaxed) {
                let turn = house.turn();
                within(LONG, "somebody waits", || {
                    (house.in_line() > 1 || model.over.load(Ordering::Relaxed)).then_some(())
                });
                holds += usize::from(house.in_line() > 1);
                drop(turn);
            }
            holds
        });
        let ended: Vec<_> = crowd.into_iter().map(|one| one.join()).collect();
        model.over.store(true, Ordering::Relaxed);
        let holds = holder.join().unwrap();
        ended.into_iter().for_each(|one| one.unwrap());
        holds
    });
    is_as_the_model_says(&house, &model);
    let told = model.told.load(Ordering::Relaxed);
    assert!(told > 0 && holds > 0, "{told} answers told of a place in line, in {holds} turns of ours");
    eprintln!(
        "{} accepted, {} refused, {} wait; {told} were told their place, {holds} turns of ours",
        model.accepted.lock().unwrap().len(),
        model.refused.lock().unwrap().len(),
        model.waiting.lock().unwrap().len(),
    );
}

fn is_as_the_model_says(house: &House, model: &Model) {
    let subjects = house.subjects();
    for subject in model.accepted.lock().unwrap().iter() {
        assert_eq!(subjects.get(subject), Some(&1), "`{subject}`");
    }
    for subject in model.refused.lock().unwrap().iter() {
        assert_eq!(subjects.get(subject), None, "`{subject}` was refused");
    }
    for (topic, subject) in model.waiting.lock().unwrap().iter() {
        assert_eq!(subjects.get(subject), None, "`{subject}` waits");
        house.git(&["rev-parse", "--verify", "--quiet", &format!("review/{topic}")]);
    }
    house.git(&["fsck", "--strict"]);
    let (_, strange) = objects(&house.repo());
    assert!(strange.is_empty(), "{strange:?}");
    assert_eq!(house.in_line(), 0);
    let checked = house.berth().arg("check").arg(house.repo()).output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
}
