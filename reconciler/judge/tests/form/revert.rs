//! A revert by the panel: planned first, then a commit of the person's own.

use berth_repo::Revision;
use berth_wire::web::{Approve, Committed, Planned, Revert, Standing, Why};

use super::{House, author, server, user};

fn revert(house: &House, who: &str, revision: Revision, digest: Option<&str>) -> Committed {
    let asked = Revert { revision, digest: digest.map(str::to_owned), from: None, knows: false };
    house.forms.revert(author(&user(who)), &asked).unwrap()
}

fn planned(committed: Committed) -> Planned {
    match committed {
        Committed::Changed { planned } => *planned,
        made => panic!("{made:?}"),
    }
}

#[test]
fn what_was_seen_is_taken_back_in_ones_own_name() {
    let house = House::new();
    let before = house.text("servers/two.toml");
    let made = house.make("bob", &server("two", &[("memory", "1 GiB", "2 GiB")]));
    let shown = planned(revert(&house, "bob", made, None));
    assert_eq!(shown.standing, Standing::Allowed);
    assert_eq!(shown.summary, "Revert \"servers/two: memory 1 GiB → 2 GiB\"");
    assert!(shown.diffs[0].lines.contains(&"+memory = \"1 GiB\" # enough".to_owned()), "{:?}", shown.diffs);
    assert_eq!(house.tip(), made);
    let Committed::Made { revision } = revert(&house, "bob", made, Some(&shown.digest)) else { panic!() };
    assert_eq!((house.tip(), house.text("servers/two.toml")), (revision, before));
    let info = house.repo().commit_info(&revision).unwrap();
    assert_eq!(info.author.name, "bob");
    assert!(info.message.contains(&format!("This reverts commit {made}.")), "{}", info.message);
    assert_eq!(info.trailers, [("Berth-Door".to_owned(), "panel".to_owned())]);
    // Nothing of it is left to take back.
    assert_eq!(planned(revert(&house, "bob", made, None)).standing, Standing::Nothing);
}

#[test]
fn what_isnt_ones_own_stays() {
    let house = House::new();
    let made = house.make("bob", &server("two", &[("memory", "1 GiB", "2 GiB")]));
    let shown = planned(revert(&house, "cyn", made, None));
    assert_eq!(shown.standing, Standing::Refused);
    assert_eq!(shown.findings[0].message, "server `two` is `bob`'s: `cyn` may not change it");
    assert!(shown.findings[0].place.as_ref().unwrap().starts_with("servers/two.toml:"));
    planned(revert(&house, "cyn", made, Some(&shown.digest)));
    assert_eq!(house.tip(), made);
    // An admin may, and another's digest isn't what they saw.
    planned(revert(&house, "ann", made, Some(&shown.digest)));
    let shown = planned(revert(&house, "ann", made, None));
    assert!(matches!(revert(&house, "ann", made, Some(&shown.digest)), Committed::Made { .. }));
}

#[test]
fn what_needs_consent_is_proposed_and_agreed_to() {
    let house = House::new();
    // Nobody has proved the name, so an admin has to agree to it each time that a member takes it.
    let domain = "domains/shop.other.example.toml";
    house.write("ann", &[(domain, Some("server = \"one\"\n"))]);
    let removed = house.write("bob", &[(domain, None)]);
    let shown = planned(revert(&house, "bob", removed, None));
    assert_eq!(shown.standing, Standing::NeedsReview { approvers: vec![user("ann")] });
    planned(revert(&house, "bob", removed, Some(&shown.digest)));
    assert_eq!(house.tip(), removed, "it isn't committed");
    let propose = |who: &str, at| house.forms.propose_revert(author(&user(who)), &at);
    let made = propose("bob", removed).unwrap();
    assert_eq!((made.topic.clone(), house.tip()), (format!("revert-{}", removed.short()), removed));
    let sheet = house.forms.proposal(author(&user("bob")), &made.topic).unwrap();
    assert_eq!(sheet.card.author, Some(user("bob")));
    assert_eq!(sheet.diffs[0].lines, ["@@ -0,0 +1 @@", "+server = \"one\""]);
    assert_eq!(propose("bob", removed).unwrap().topic, format!("{}-2", made.topic));
    let approval = Approve { topic: made.topic, at: made.revision, from: None, knows: false };
    house.forms.approve(author(&user("ann")), &approval).unwrap();
    assert_eq!(house.text(domain), "server = \"one\"\n");
    // What is refused, or changes nothing, isn't proposed.
    assert_eq!(propose("bob", removed).unwrap_err().why(), Why::Forbidden);
    let made = house.make("bob", &server("two", &[("memory", "1 GiB", "2 GiB")]));
    assert_eq!(propose("cyn", made).unwrap_err().why(), Why::Forbidden);
}

#[test]
fn what_changed_since_is_a_conflict_and_what_is_first_stays() {
    let house = House::new();
    let first = house.tip();
    let made = house.make("bob", &server("two", &[("memory", "1 GiB", "2 GiB")]));
    house.make("bob", &server("two", &[("memory", "2 GiB", "3 GiB")]));
    let shown = planned(revert(&house, "bob", made, None));
    assert!(matches!(shown.standing, Standing::Conflict { .. }));
    assert!(shown.findings[0].message.contains("servers/two.toml"), "{:?}", shown.findings);
    assert_eq!(planned(revert(&house, "ann", first, None)).standing, Standing::Refused);
    let unknown =
        Revert { revision: "1".repeat(40).parse().unwrap(), digest: None, from: None, knows: false };
    assert!(house.forms.revert(author(&user("ann")), &unknown).is_err());
}

#[test]
fn a_hash_is_never_shown() {
    let house = House::new();
    let without = house.write("bob", &[("users/bob.toml", Some("email = \"bob@mail.example\"\n"))]);
    for who in ["ann", "bob", "cyn"] {
        let shown = planned(revert(&house, who, without, None));
        assert!(!format!("{shown:?}").contains("$2b$"), "{shown:?}");
        assert!(who != "cyn" || !format!("{shown:?}").contains("bob@mail"), "{shown:?}");
    }
}
