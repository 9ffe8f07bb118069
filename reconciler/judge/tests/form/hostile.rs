//! Text that somebody wrote to deceive or to break: in every field, in every name.

use berth_schema::testing::{harm, hostile_text};
use berth_wire::web::{Change, Deed, FieldEdit, Input, Object, Planned, Standing};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::{House, user};

/// Each goes through a repository of its own.
const CASES: u32 = 64;

fn config() -> Config {
    Config { cases: CASES, failure_persistence: None, max_shrink_iters: 32, ..Config::default() }
}

fn edit(of: Object, name: &str, was: Input, now: Input) -> Change {
    Change { of, deed: Deed::Edit { fields: vec![FieldEdit { name: name.to_owned(), was, now }] } }
}

/// Every text of an answer, which a page shows.
fn texts(planned: &Planned) -> Vec<String> {
    let findings = planned.findings.iter().flat_map(|finding| {
        [Some(&finding.message), finding.hint.as_ref(), finding.place.as_ref()].into_iter().flatten()
    });
    let lines = planned.diffs.iter().flat_map(|diff| std::iter::once(&diff.path).chain(&diff.lines));
    let others = planned.losses.iter().chain(&planned.merged_with).chain([&planned.plan, &planned.summary]);
    findings.chain(lines).chain(others).cloned().collect()
}

fn check(house: &House, who: &str, change: &Change) {
    let tip = house.tip();
    let Ok(planned) = house.try_plan(who, change) else { return };
    for text in texts(&planned) {
        assert_eq!(harm(&text), None, "{text:?} of {change:?}");
    }
    assert!(!planned.summary.contains('\n') && planned.summary.chars().count() <= 200, "{}", planned.summary);
    if planned.standing == Standing::Allowed {
        house.commit(who, change, &planned.digest);
        assert_ne!(house.tip(), tip);
        // Whoever pushes on top of it is told nothing about it.
        let repo = house.repo();
        let info = repo.commit_info(&house.tip()).unwrap();
        assert_eq!(harm(info.message.trim_end()), None, "{}", info.message);
        assert_eq!(info.trailers, [("Berth-Door".to_owned(), "panel".to_owned())]);
        assert_eq!((info.author.name.as_str(), info.parents), (who, vec![tip]));
    } else {
        assert_eq!(house.tip(), tip);
    }
}

#[test]
fn no_value_does_harm_in_any_field() {
    let house = House::new();
    let fields = ["owner", "members", "state", "cpus", "memory", "pids", "disk", "image", "reset", "allow"];
    let people = ["role", "email", "ssh_keys", "quota.servers", "quota.memory", "quota.custom_domains"];
    let domains = ["server", "port", "tls", "access", "cloudflare"];
    let of = move |name: &str| match name {
        _ if fields.contains(&name) => (Object::Server("two".to_owned()), "servers/two.toml"),
        _ if people.contains(&name) => (Object::User("bob".to_owned()), "users/bob.toml"),
        _ => (Object::Domain("one.h.example".to_owned()), "domains/one.h.example.toml"),
    };
    let names: Vec<&str> = [&fields[..], &people, &domains].concat();
    let input = prop_oneof![
        hostile_text().prop_map(Input::Text),
        prop::collection::vec(hostile_text(), 0..3).prop_map(Input::List),
    ];
    TestRunner::new(config())
        .run(&(prop::sample::select(names), input), |(name, now)| {
            let (object, path) = of(name);
            let kind = berth_schema::Kind::of(path).unwrap();
            let values = berth_schema::form::read(kind, &house.text(path));
            let was = values.into_iter().find(|(known, _)| *known == name).unwrap().1;
            check(&house, "bob", &edit(object.clone(), name, was.clone(), now.clone()));
            check(&house, "ann", &edit(object, name, was, now));
            Ok(())
        })
        .unwrap();
}

#[test]
fn no_name_leads_anywhere() {
    let house = House::new();
    let names = [
        "",
        ".",
        "..",
        "../x",
        "a/b",
        "/etc/passwd",
        "one.toml",
        ".git",
        "x\0",
        "x\ny",
        "x\u{202e}",
        "\u{1b}[2J",
        "one\\",
        "platform",
    ];
    let names = names.into_iter().map(str::to_owned).chain(["x".repeat(10_000)]);
    for name in names {
        for of in [Object::Server(name.clone()), Object::Domain(name.clone()), Object::User(name.clone())] {
            let create = Change { of: of.clone(), deed: Deed::Create { fields: Vec::new() } };
            if let Ok(planned) = house.try_plan("ann", &create) {
                assert!(
                    planned.standing != Standing::Allowed || name == "platform",
                    "{create:?}: {planned:?}"
                );
                for text in texts(&planned) {
                    assert_eq!(harm(&text), None, "{text:?}");
                }
            }
            for deed in [Deed::Remove, Deed::Edit { fields: Vec::new() }] {
                assert!(house.try_plan("ann", &Change { of: of.clone(), deed }).is_err(), "{name:?}");
            }
        }
    }
}

#[test]
fn too_much_is_a_finding() {
    let house = House::new();
    let much = "x".repeat(300 * 1024);
    let change = edit(
        Object::User("bob".to_owned()),
        "email",
        Input::Text("bob@mail.example".to_owned()),
        Input::Text(much),
    );
    let planned = house.plan("bob", &change);
    assert_eq!(planned.standing, Standing::Refused);
    assert!(planned.findings[0].message.contains("is the most that is read"), "{:?}", planned.findings[0]);
    let more = "# x\n".repeat(300_000);
    let change = Change { of: Object::Platform, deed: Deed::Write { text: more, base: house.tip() } };
    let planned = house.plan("ann", &change);
    assert_eq!(planned.standing, Standing::Refused);
    assert!(
        planned.findings.iter().any(|finding| finding.message.contains("more than the")),
        "{:?}",
        planned.findings
    );
}

#[test]
fn a_name_that_the_door_gives_is_taken_as_it_is() {
    let house = House::new();
    let change = Change { of: Object::User("dan".to_owned()), deed: Deed::Create { fields: Vec::new() } };
    house.make("ann", &change);
    assert_eq!(house.text("users/dan.toml"), "");
    assert_eq!(house.repo().commit_info(&house.tip()).unwrap().author.name, user("ann").as_str());
}
