//! The words of a form's findings are those of a push of the same commit.

use std::collections::BTreeSet;

use berth_judge::hook::{Acts, Asker, judge};
use berth_judge::{Unseen, Update};
use berth_repo::{Edit, MAIN, Signature, Words};
use berth_schema::report::Look;
use berth_schema::{Kind, form};
use berth_wire::web::{Change, Deed, Input, Object, Standing};

use super::{House, fields, new_domain, server, text, user};

/// Words that a push of a file to main gets: each message with its hint.
fn pushed(house: &House, who: &str, path: &str, content: &str) -> (bool, BTreeSet<String>) {
    let mut repo = house.repo();
    let by = Signature::now(who, "x@h.example");
    let words = Words { author: &by, committer: &by, message: "change\n" };
    let old = house.tip();
    let new = repo.write(Some(&old), &[Edit::write(path, content)], &words).unwrap();
    let update = Update { old: Some(old), new: Some(new), reference: MAIN.to_owned() };
    let user = user(who);
    let resolver = Some(([127, 0, 0, 1], 1).into());
    let asker = Asker {
        user: Some(user.as_str()),
        look: Look::Plain,
        engine: &Unseen,
        resolver,
        from: None,
        acts: Acts::AsThemselves,
    };
    let judgement = judge(&mut repo, &[update], asker).unwrap();
    let said = |line: &str| {
        let message = line.strip_prefix("error: ").or_else(|| line.strip_prefix("warning: "));
        let hint = line.trim_start().strip_prefix("= help: ");
        message.or(hint).map(str::to_owned)
    };
    (judgement.accepted, judgement.text.lines().filter_map(said).collect())
}

fn of_form(house: &House, who: &str, change: &Change) -> (bool, BTreeSet<String>, Vec<Option<String>>) {
    let planned = house.plan(who, change);
    let mut said = BTreeSet::new();
    let mut at = Vec::new();
    for finding in planned.findings.into_iter().filter(|finding| !finding.message.starts_with("DNS could")) {
        said.insert(finding.message);
        said.extend(finding.hint);
        at.push(finding.field);
    }
    (planned.standing == Standing::Allowed, said, at)
}

#[test]
fn a_mistake_in_a_server_is_told_at_its_field_as_a_push_tells_it() {
    let house = House::new();
    let before = house.text("servers/two.toml");
    for (field, was, now) in [
        ("memory", "1 GiB", "lots"),
        ("memory", "1 GiB", "1 MiB"),
        ("memory", "1 GiB", "17 GiB"),
        ("memory", "1 GiB", "1024"),
        ("cpus", "", "many"),
        ("cpus", "", "0"),
        ("cpus", "", "9"),
        ("pids", "", "1"),
        ("pids", "", "1.5"),
        ("disk", "", "2 Gib "),
        ("state", "", "runing"),
        ("owner", "bob", ""),
        ("owner", "bob", "nobody"),
        ("owner", "bob", "No One"),
        ("owner", "bob", "cyn"),
        ("members", "", "cyn"),
        ("image", "", "no image"),
        ("allow", "", "10.0.0.0/8"),
    ] {
        let change = server("two", &[(field, was, now)]);
        let after = form::write(Kind::Server, &before, &[(field, text(now))]).unwrap();
        let (accepted, told) = pushed(&house, "bob", "servers/two.toml", &after);
        let (allowed, said, at) = of_form(&house, "bob", &change);
        assert_eq!((allowed, &said), (accepted, &told), "{field} = {now}");
        assert!(at.iter().all(|at| at.as_deref() == Some(field)), "{field} = {now}: {at:?}");
        assert!(!allowed || at.is_empty());
    }
}

#[test]
fn lists_are_told_like_that_too() {
    let house = House::new();
    let before = house.text("servers/two.toml");
    for (field, now) in [
        ("members", vec!["cyn", "nobody"]),
        ("members", vec!["cyn", "cyn"]),
        ("members", vec!["bob"]),
        ("members", vec!["Bad Name"]),
        ("allow", vec!["10.1.2.3/32:5432/tcp"]),
        ("allow", vec!["everywhere"]),
        ("cpus", vec!["1", "2"]),
    ] {
        let now = Input::List(now.into_iter().map(str::to_owned).collect());
        let mut edits = fields(&[(field, "", "")]);
        edits[0].now = now.clone();
        let change = Change { of: Object::Server("two".to_owned()), deed: Deed::Edit { fields: edits } };
        let after = form::write(Kind::Server, &before, &[(field, now)]).unwrap();
        let (accepted, told) = pushed(&house, "bob", "servers/two.toml", &after);
        let (allowed, said, at) = of_form(&house, "bob", &change);
        assert_eq!((allowed, &said), (accepted, &told), "{after}");
        assert!(at.iter().all(|at| at.as_deref() == Some(field)), "{after}: {at:?}");
    }
}

#[test]
fn domains_and_people_are_told_like_that_too() {
    let house = House::new();
    for (name, to) in [
        ("x.h.example", "nowhere"),
        ("x.h.example", "cyns"),
        ("admin.h.example", "one"),
        ("x.one.h.example", "one"),
        ("h.example", "one"),
        ("x.other.example", "one"),
    ] {
        let text = form::create(Kind::Domain, None, &[("server", text(to))]).unwrap();
        let (accepted, told) = pushed(&house, "bob", &format!("domains/{name}.toml"), &text);
        let (allowed, said, _) = of_form(&house, "bob", &new_domain(name, to));
        assert_eq!((allowed, said), (accepted, told), "{name} to {to}");
    }
    let before = house.text("users/bob.toml");
    for (field, now) in [
        ("email", "nobody"),
        ("role", "admin"),
        ("role", "king"),
        ("ssh_keys", "ssh-rsa x"),
        ("quota.cpus", "64"),
        ("quota.memory", "much"),
    ] {
        let change = Change {
            of: Object::User("bob".to_owned()),
            deed: Deed::Edit {
                fields: fields(&[(field, if field == "email" { "bob@mail.example" } else { "" }, now)]),
            },
        };
        let after = form::write(Kind::User, &before, &[(field, text(now))]).unwrap();
        let (accepted, told) = pushed(&house, "bob", "users/bob.toml", &after);
        let (allowed, said, at) = of_form(&house, "bob", &change);
        assert_eq!((allowed, said), (accepted, told), "{field} = {now}");
        assert!(at.iter().all(|at| at.as_deref() == Some(field)), "{field} = {now}: {at:?}");
    }
}

/// A secret that would stay in history is refused, as it is in a push.
#[test]
fn a_private_key_is_refused_where_it_was_typed() {
    let house = House::new();
    let key = "-----BEGIN OPENSSH PRIVATE KEY-----b3BlbnNzaC1rZXktdjE";
    let change = Change {
        of: Object::User("bob".to_owned()),
        deed: Deed::Edit { fields: fields(&[("email", "bob@mail.example", key)]) },
    };
    let planned = house.plan("bob", &change);
    assert_eq!(planned.standing, Standing::Refused);
    assert!(planned.findings.iter().all(|finding| finding.field.as_deref() == Some("email")), "{planned:?}");
    // A page isn't parsed, so only the search of history finds it there.
    let platform = Change {
        of: Object::Platform,
        deed: Deed::Write { text: format!("{}# {key}\n", house.text("platform.toml")), base: house.tip() },
    };
    let planned = house.plan("ann", &platform);
    assert_eq!(planned.standing, Standing::Refused);
    assert!(planned.findings[0].message.starts_with("this is a private key"), "{:?}", planned.findings);
    assert_eq!(planned.findings[0].place.as_deref(), Some("platform.toml:13:22"));
}
