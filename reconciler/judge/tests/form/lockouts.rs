//! Changes that shut out whoever makes them: every form asks first, and the commit says that they knew.

use berth_judge::form::Author;
use berth_repo::Revision;
use berth_wire::web::{Approve, Change, Commit, Committed, Deed, Object, Revert, Standing};

use super::{FILES, House, author, fields, user};

const PANEL: &str = "[panel]\ndomain = \"panel.h.net\"\n";
const HASH: &str = "password_hash = \"$2b$12$odeciuvURMWYHyxaUSooeORUILdSujzA7pPBiCstyxNS992W1SqI.\"\n";
const TRAILER: &str = "Berth-Allow-Lockout: ann\n";

/// A house with a panel, and the admins ann and dan, who open it.
fn house() -> House {
    let house = House::new();
    let platform = format!("{}\n{PANEL}", FILES[0].1);
    let admin = format!("role = \"admin\"\n{HASH}");
    let files = ["users/ann.toml", "users/dan.toml"].map(|path| (path, Some(admin.as_str())));
    house.write("dan", &[files.as_slice(), &[("platform.toml", Some(platform.as_str()))]].concat());
    house
}

/// The settings with these networks for the panel.
fn networks(house: &House, networks: &str) -> Change {
    let text = format!("{}\n[access]\npanel = [{networks}]\n", house.text("platform.toml"));
    Change { of: Object::Platform, deed: Deed::Write { text, base: house.tip() } }
}

fn message(house: &House, revision: &Revision) -> String {
    house.repo().commit_info(revision).unwrap().message
}

#[test]
fn a_form_that_shuts_its_author_out_is_made_once_they_know() {
    let house = house();
    let (tip, ann) = (house.tip(), user("ann"));
    let at = |from: &str| Author { from: Some(from.parse().unwrap()), ..author(&ann) };
    let change = networks(&house, "\"10.0.0.0/8\"");
    for inside in [author(&ann), at("10.1.2.3")] {
        assert_eq!(house.forms.plan(inside, &change).unwrap().shuts_out, [""; 0]);
    }
    let planned = house.forms.plan(at("192.0.2.7"), &change).unwrap();
    assert_eq!(planned.standing, Standing::Allowed);
    assert_eq!(planned.shuts_out.len(), 1);
    assert!(planned.shuts_out[0].contains("`ann` can't open the panel any more: 192.0.2.7"), "{planned:?}");
    let commit = |author: Author<'_>, knows| {
        let (change, digest) = (change.clone(), planned.digest.clone());
        house.forms.commit(author, &Commit { change, digest, from: None, knows }).unwrap()
    };
    // Not without a word, and not from elsewhere, where something else was shown.
    for (author, knows) in [(at("192.0.2.7"), false), (at("198.51.100.7"), true), (at("10.1.2.3"), true)] {
        assert!(matches!(commit(author, knows), Committed::Changed { .. }));
    }
    assert_eq!(house.tip(), tip);
    let Committed::Made { revision } = commit(at("192.0.2.7"), true) else { panic!() };
    assert!(message(&house, &revision).contains(TRAILER));
}

#[test]
fn a_revert_and_an_approval_ask_the_same() {
    let house = house();
    let ann = user("ann");
    // Both ways out of the role: taking the change back that gave it, and agreeing to a proposal.
    house.write("dan", &[("users/ann.toml", Some(HASH))]);
    let admin = format!("role = \"admin\"\n{HASH}");
    let given = house.write("dan", &[("users/ann.toml", Some(&admin))]);
    let revert = |digest: Option<String>, knows| {
        let asked = Revert { revision: given, digest, from: None, knows };
        house.forms.revert(author(&ann), &asked).unwrap()
    };
    let Committed::Changed { planned } = revert(None, false) else { panic!() };
    assert_eq!(planned.shuts_out.len(), 1);
    assert!(planned.shuts_out[0].contains("`ann` isn't an admin any more"), "{planned:?}");
    let tip = house.tip();
    assert!(matches!(revert(Some(planned.digest.clone()), false), Committed::Changed { .. }));
    assert_eq!(house.tip(), tip);

    let deed = Deed::Edit { fields: fields(&[("role", "admin", "")]) };
    let change = Change { of: Object::User("ann".to_owned()), deed };
    let dan = user("dan");
    let made = house.forms.propose(author(&dan), &change).unwrap();
    let sheet = house.forms.proposal(author(&ann), &made.topic).unwrap();
    assert!(sheet.may_approve && sheet.shuts_out[0].contains("isn't an admin any more"), "{sheet:?}");
    // dan loses nothing by it.
    assert_eq!(house.forms.proposal(author(&dan), &made.topic).unwrap().shuts_out, [""; 0]);
    let approve = |knows| {
        let approval = Approve { topic: made.topic.clone(), at: made.revision, from: None, knows };
        house.forms.approve(author(&ann), &approval)
    };
    assert!(approve(false).unwrap_err().to_string().contains("shut you out"));
    assert_eq!(house.tip(), tip);
    let decided = approve(true).unwrap();
    assert!(message(&house, &decided.revision).contains(TRAILER));

    // Back, and by the revert this time.
    house.write("dan", &[("users/ann.toml", Some(&admin))]);
    let Committed::Changed { planned } = revert(None, false) else { panic!() };
    let Committed::Made { revision } = revert(Some(planned.digest.clone()), true) else {
        panic!("{planned:?}")
    };
    assert!(message(&house, &revision).contains(TRAILER));
}
