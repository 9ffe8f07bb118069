//! The judge, case by case: what is seen, and what is wrong by that.

use std::time::Duration;

use berth_alarms::{Process, Sight, Waiting, judge};
use berth_schema::alarms::AlarmKind;
use berth_wire::facts::{Amount, CertificateFacts, Facts, FileSystemUse, Limited, ServerFacts};
use berth_wire::figures::OutOfMemory;
use berth_wire::trouble::Trouble;
use serde_json::json;

use super::{at, rules, sight};

const GIB: u64 = 1 << 30;

/// A sight, and everything that is wrong by it: `kind about (owner) after seconds: text`.
type Case = (&'static str, fn(&mut Sight), &'static [&'static str]);

fn of(sight: &mut Sight) -> &mut Facts {
    sight.facts.as_mut().unwrap()
}

fn server(id: u32) -> ServerFacts {
    ServerFacts { id, disk: None, out_of_memory: None, ended: Vec::new() }
}

fn file_system(used: u64, inodes_free: u64) -> FileSystemUse {
    FileSystemUse {
        device: "/dev/vda".to_owned(),
        bytes: 100 * GIB,
        used: used * GIB,
        inodes: 1000,
        inodes_free,
    }
}

fn certificate(domain: &str, days: Option<i64>, failed: Option<&str>) -> CertificateFacts {
    CertificateFacts {
        domain: domain.to_owned(),
        ends: days.map(|days| at(days * 86_400)),
        failed: failed.map(str::to_owned),
    }
}

fn change(sight: &mut Sight, change: impl FnOnce(&mut serde_json::Value)) {
    let status = of(sight).status.take();
    let mut value = serde_json::to_value(status).unwrap();
    change(&mut value);
    of(sight).status = serde_json::from_value(value).unwrap();
}

const CASES: &[Case] = &[
    ("nothing is wrong", |_| {}, &[]),
    (
        "the tip isn't applied, and why",
        |sight| {
            change(sight, |status| {
                status["last_pass"]["attempted"] = json!("0000000000000000000000000000000000000002");
                status["last_pass"]["problems"] = json!(["platform.toml:1:1: no"]);
            });
        },
        &["unapplied platform after 900: main isn't applied: platform.toml:1:1: no"],
    ),
    (
        "a change fails although the tip was applied before",
        |sight| {
            change(sight, |status| {
                status["last_pass"]["outcomes"] = json!([{
                    "subject": "server shop (id 1)", "action": "start", "result": {"ended": "failed", "error": "no room"},
                    "millis": 1, "steps_done": 0, "steps": 1,
                }]);
            });
        },
        &["unapplied platform after 900: main isn't applied: server shop (id 1): no room"],
    ),
    (
        "the first pass is still running",
        |sight| of(sight).status = None,
        &["unapplied platform after 900: the reconciler's first pass is still running"],
    ),
    (
        "the reconciler is gone, and so is the door; what it would have told isn't judged",
        |sight| {
            sight.facts = Err("it doesn't run".to_owned());
            sight.processes =
                vec![Process { name: "door", runs: false }, Process { name: "panel", runs: true }];
        },
        &[
            "process process/reconciler after 60: it doesn't answer: it doesn't run",
            "process process/door after 60: it doesn't run",
        ],
    ),
    (
        "the engine and a container are gone",
        |sight| {
            change(sight, |status| {
                status["engine_answers"] = json!(false);
                status["system"][0]["actual"] = json!("missing");
            });
        },
        &[
            "process process/engine after 60: Docker doesn't answer",
            "process process/hosting-users-caddy after 60: it is missing",
        ],
    ),
    ("a disk at 89 %", |sight| of(sight).file_systems = vec![file_system(89, 101)], &[]),
    (
        "a disk and its inodes at 90 %",
        |sight| of(sight).file_systems = vec![file_system(90, 100)],
        &[
            "disk host/dev/vda after 60: 90 % of its room is taken, and 10 GiB are left",
            "limit host/inodes/dev/vda after 60: 90 % of its inodes are taken, and 100 are left",
        ],
    ),
    (
        "limits of the host",
        |sight| {
            let amount = |of, used, most| Amount { of, used, most };
            of(sight).limits = vec![
                amount(Limited::Memory, 15 * GIB, 16 * GIB),
                amount(Limited::Processes, 950, 1000),
                amount(Limited::Files, 1, 1000),
                amount(Limited::Connections, 99, 100),
            ];
        },
        &[
            "limit host/memory after 60: 93 % of all memory are taken: 15 GiB of 16 GiB",
            "limit host/processes after 60: 95 % of all processes and threads are taken: 950 of 1000",
            "limit host/connections after 60: 99 % of all connections in the kernel's table are taken: 99 of 100",
        ],
    ),
    (
        "a server's own disk, and one that the state doesn't know",
        |sight| {
            of(sight).servers = vec![
                ServerFacts { disk: Some(9 * GIB), ..server(1) },
                ServerFacts { disk: Some(99 * GIB), ..server(2) },
            ];
        },
        &["disk server/shop (bob) after 0: 90 % of its disk is taken: 9 GiB of 10 GiB"],
    ),
    (
        "memory that was full a while ago",
        |sight| {
            let full = OutOfMemory { times: 1, last: at(-900) };
            of(sight).servers = vec![ServerFacts { out_of_memory: Some(full), ..server(1) }];
        },
        &[],
    ),
    (
        "memory that was full just now",
        |sight| {
            let full = OutOfMemory { times: 2, last: at(-899) };
            of(sight).servers = vec![ServerFacts { out_of_memory: Some(full), ..server(1) }];
        },
        &[
            "oom server/shop (bob) after 0: its memory was full and the kernel ended a program in it, 2 times so far, last at 2027-01-15 07:45 UTC",
        ],
    ),
    (
        "two ends, and a third that is long ago",
        |sight| {
            of(sight).servers = vec![ServerFacts { ended: vec![at(-901), at(-20), at(-10)], ..server(1) }];
        },
        &[],
    ),
    (
        "three ends in a row",
        |sight| of(sight).servers = vec![ServerFacts { ended: vec![at(-30), at(-20), at(-10)], ..server(1) }],
        &["restarts server/shop (bob) after 0: it ended by itself 3 times within 15m, and was started again"],
    ),
    (
        "certificates that are good, that no CA gives, or that nobody has asked for",
        |sight| {
            of(sight).certificates = vec![
                certificate("shop.example.org", Some(8), Some("a try that may succeed yet")),
                certificate("own.example.org", Some(0), None),
                certificate("panel.example.org", None, None),
            ];
        },
        &[],
    ),
    (
        "certificates that aren't renewed, and one that doesn't come",
        |sight| {
            of(sight).certificates = vec![
                certificate("shop.example.org", Some(6), Some("the CA refuses")),
                certificate("*.hosting.example.org", Some(-1), None),
                certificate("panel.example.org", None, Some("no DNS record")),
            ];
        },
        &[
            "certificate domain/shop.example.org (bob) after 60: its certificate ends at 2027-01-21 08:00 UTC, and there is no newer one: the CA refuses",
            "certificate domain/*.hosting.example.org after 60: its certificate ends at 2027-01-14 08:00 UTC, and there is no newer one",
            "certificate domain/panel.example.org after 600: it has no certificate: no DNS record",
        ],
    ),
    (
        "proposals, one of which has waited for long enough",
        |sight| {
            let waiting = |topic: &str, by: Option<&str>, days: i64| Waiting {
                topic: topic.to_owned(),
                by: by.map(|by| by.parse().unwrap()),
                since: at(-days * 86_400),
            };
            sight.proposals = Some(vec![waiting("more", Some("bob"), 2), waiting("new", None, 1)]);
        },
        &[
            "proposal proposal/more after 0: it has waited for a decision since 2027-01-13 08:00 UTC (bob's, `berth review list`)",
        ],
    ),
    (
        "a backup and a drill that others told of",
        |sight| {
            let trouble = |kind, about: &str| Trouble {
                kind,
                about: about.to_owned(),
                why: "no\nnetwork".to_owned(),
                since: at(-3600),
            };
            let troubles =
                vec![trouble(AlarmKind::Backup, "backup/server1"), trouble(AlarmKind::Drill, "backup/drill")];
            sight.troubles = Some(troubles);
        },
        &[
            "backup backup/server1 after 0: it has failed since 2027-01-15 07:00 UTC: no network",
            "drill backup/drill after 0: it has failed since 2027-01-15 07:00 UTC: no network",
        ],
    ),
    (
        "data that is about to expire, and data that isn't",
        |sight| {
            change(sight, |status| {
                status["tombstones"] = json!([
                    {"id": 7, "name": "old", "owner": "bob", "purge_after": at(3 * 86_400)},
                    {"id": 8, "name": "older", "owner": "bob", "purge_after": at(4 * 86_400)},
                ]);
            });
        },
        &[
            "expiry server/old (bob) after 0: it was removed, and its data will be gone for good at 2027-01-18 08:00 UTC",
        ],
    ),
];

#[test]
fn each_case_is_judged_as_it_says() {
    let rules = rules("");
    for (name, make, expected) in CASES {
        let mut sight = sight(0);
        make(&mut sight);
        let judged = judge(&sight, &rules);
        let shown: Vec<String> = judged
            .alarms
            .iter()
            .map(|alarm| {
                let owner = alarm.owner.as_ref().map(|owner| format!(" ({owner})")).unwrap_or_default();
                let (kind, hold) = (alarm.kind.word(), alarm.hold.as_secs());
                format!("{kind} {}{owner} after {hold}: {}", alarm.about, alarm.text)
            })
            .collect();
        assert_eq!(shown, *expected, "{name}");
        // Whatever is on can be silenced by its name.
        for alarm in &judged.alarms {
            let typed = format!("{} {}", alarm.kind.word(), alarm.about);
            let silenced = typed.parse::<berth_schema::alarms::Silenced>();
            assert!(silenced.is_ok_and(|of| of.has(alarm.kind, &alarm.about)), "{typed}");
        }
    }
}

#[test]
fn what_could_not_be_seen_is_no_news() {
    let rules = rules("");
    let mut blind = sight(0);
    blind.facts = Err("away".to_owned());
    blind.proposals = None;
    blind.troubles = None;
    blind.processes = vec![Process { name: "door", runs: true }];
    let judged = judge(&blind, &rules);
    for kind in AlarmKind::ALL {
        assert_eq!(judged.sees(kind, "process/door"), kind == AlarmKind::Process, "{kind:?}");
    }
    assert!(!judged.sees(AlarmKind::Process, "process/hosting-users-caddy"));
    let judged = judge(&sight(0), &rules);
    assert!(AlarmKind::ALL.into_iter().all(|kind| judged.sees(kind, "process/door")));
    let mut stateless = sight(0);
    stateless.state = None;
    assert!(!judge(&stateless, &rules).sees(AlarmKind::Disk, "server/shop"));
}

#[test]
fn rules_set_the_measure() {
    let mut sight = sight(0);
    of(&mut sight).file_systems = vec![file_system(60, 1000)];
    assert_eq!(judge(&sight, &rules("")).alarms.len(), 0);
    assert_eq!(judge(&sight, &rules("full = 60\n")).alarms.len(), 1);
    of(&mut sight).status = None;
    let judged = judge(&sight, &rules("unapplied = \"2h\"\n"));
    assert_eq!(judged.alarms[0].hold, Duration::from_secs(7200));
}
