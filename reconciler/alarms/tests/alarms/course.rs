//! The course of alarms over time: held, told together and once, silenced, over.

use berth_alarms::{Message, Pace, Process, Record, Sight, advance, judge};
use berth_schema::alarms::{AlarmKind, Silenced};
use berth_wire::facts::ServerFacts;
use berth_wire::figures::OutOfMemory;

use super::{at, rules, sight};

/// A platform over time.
#[derive(Default)]
struct Scene {
    record: Record,
    silenced: Option<Silenced>,
}

impl Scene {
    /// Sees these at that second, and returns what is told: `+` began, `-` over.
    fn see(&mut self, second: i64, change: impl FnOnce(&mut Sight)) -> Vec<String> {
        let mut seen = sight(second);
        change(&mut seen);
        let judged = judge(&seen, &rules(""));
        let silenced = self.silenced.clone();
        let is_silenced =
            |kind: AlarmKind, about: &str| silenced.as_ref().is_some_and(|of| of.has(kind, about));
        let told = advance(&mut self.record, &judged, seen.at, &is_silenced, &Pace::default());
        told.iter().flat_map(shown).collect()
    }
}

fn shown(message: &Message) -> Vec<String> {
    let name =
        |sign: char| move |news: &berth_alarms::News| format!("{sign}{} {}", news.kind.word(), news.about);
    message.began.iter().map(name('+')).chain(message.over.iter().map(name('-'))).collect()
}

fn oom(sight: &mut Sight, since: i64) {
    let full = OutOfMemory { times: 1, last: at(since) };
    let server = ServerFacts { id: 1, disk: None, out_of_memory: Some(full), ended: Vec::new() };
    sight.facts.as_mut().unwrap().servers = vec![server];
}

fn gone(sight: &mut Sight) {
    sight.processes = vec![Process { name: "door", runs: false }];
}

const NONE: &[&str] = &[];

#[test]
fn what_begins_together_is_told_together_and_once() {
    let mut scene = Scene::default();
    assert_eq!(scene.see(0, gone), NONE, "it may be back in a moment");
    assert_eq!(scene.see(60, gone), NONE, "others may begin with it");
    let both = |sight: &mut Sight| {
        gone(sight);
        oom(sight, 65);
    };
    assert_eq!(scene.see(65, both), NONE);
    assert_eq!(scene.see(75, both), ["+process process/door", "+oom server/shop"]);
    for second in [80, 500, 7200] {
        assert_eq!(
            scene.see(second, gone),
            if second == 7200 { &["-oom server/shop"][..] } else { NONE },
            "{second}"
        );
    }
}

#[test]
fn an_end_is_told_once_it_lasts_and_only_to_whoever_heard_of_the_beginning() {
    let mut scene = Scene::default();
    scene.see(0, gone);
    assert_eq!(scene.see(30, |_| {}), NONE, "it never lasted");
    assert_eq!(scene.record.on, []);
    scene.see(100, gone);
    scene.see(160, gone);
    assert_eq!(scene.see(175, gone), ["+process process/door"]);
    assert_eq!(scene.see(180, |_| {}), NONE, "it may be gone again in a moment");
    assert_eq!(scene.see(200, gone), NONE, "and it is");
    assert_eq!(scene.see(300, |_| {}), NONE);
    assert_eq!(scene.see(360, |_| {}), NONE, "others may end with it");
    assert_eq!(scene.see(375, |_| {}), ["-process process/door"]);
    assert_eq!(scene.see(400, |_| {}), NONE);
}

#[test]
fn the_same_is_told_once_an_hour() {
    let mut scene = Scene::default();
    scene.see(0, gone);
    scene.see(60, gone);
    assert_eq!(scene.see(75, gone), ["+process process/door"]);
    scene.see(100, |_| {});
    scene.see(160, |_| {});
    assert_eq!(scene.see(175, |_| {}), ["-process process/door"]);
    scene.see(200, gone);
    assert_eq!(scene.see(300, gone), NONE, "it was told within the hour");
    let other = |sight: &mut Sight| {
        gone(sight);
        oom(sight, 350);
    };
    scene.see(350, other);
    assert_eq!(scene.see(365, other), ["+oom server/shop"], "others aren't held up");
    assert_eq!(scene.see(75 + 3599, gone), NONE, "and the other's end comes with it");
    assert_eq!(scene.see(75 + 3660, gone), ["+process process/door", "-oom server/shop"]);
}

#[test]
fn what_is_silenced_is_told_when_that_ends_if_it_is_still_on() {
    let mut scene = Scene { silenced: "process/door".parse().ok(), ..Scene::default() };
    scene.see(0, gone);
    scene.see(60, gone);
    assert_eq!(scene.see(100, gone), NONE);
    assert!(scene.record.on[0].is_on(), "it is on all the same");
    scene.silenced = None;
    assert_eq!(scene.see(200, gone), ["+process process/door"]);
    scene.silenced = "process".parse().ok();
    scene.see(300, |_| {});
    scene.see(400, |_| {});
    assert_eq!(scene.see(500, |_| {}), NONE, "nor is its end told");
    assert_eq!(scene.record.on, []);
}

#[test]
fn nothing_is_over_because_nobody_could_look() {
    let mut scene = Scene::default();
    let full = |sight: &mut Sight| oom(sight, 0);
    scene.see(0, full);
    assert_eq!(scene.see(15, full), ["+oom server/shop"]);
    let away = |sight: &mut Sight| sight.facts = Err("away".to_owned());
    for second in [20, 60, 2000] {
        scene.see(second, away);
    }
    assert!(scene.record.on.iter().any(|entry| entry.news.kind == AlarmKind::Oom && entry.is_on()));
    scene.see(2010, |_| {});
    scene.see(2070, |_| {});
    let told = scene.see(2090, |_| {});
    assert!(told.contains(&"-oom server/shop".to_owned()), "{told:?}");
}

#[test]
fn a_clock_that_jumps_back_holds_nothing_up() {
    let mut scene = Scene::default();
    scene.see(10_000, gone);
    scene.see(0, gone);
    scene.see(60, gone);
    assert_eq!(scene.see(80, gone), ["+process process/door"]);
}
