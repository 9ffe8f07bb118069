//! A change that needs consent: proposed by a form, shown, agreed to at a revision, or closed.

use berth_judge::Line;
use berth_judge::form::FormError;
use berth_judge::review::{Approval, Ask, Format, answer};
use berth_schema::policy::Actor;
use berth_wire::web::{Approve, Change, Proposed, Reject, Why};

use super::{House, author, new_domain, server, user};

fn propose(house: &House, who: &str, change: &Change) -> Result<Proposed, FormError> {
    house.forms.propose(author(&user(who)), change)
}

#[test]
fn what_needs_consent_is_proposed_and_agreed_to_at_its_revision() {
    let house = House::new();
    let tip = house.tip();
    let change = new_domain("shop.other.example", "one");
    let made = propose(&house, "bob", &change).unwrap();
    assert_eq!(made.topic, "domain-shop-other-example");
    assert_eq!(house.tip(), tip);
    // Another of the same has another topic.
    assert_eq!(propose(&house, "bob", &change).unwrap().topic, "domain-shop-other-example-2");
    let cards = house.forms.proposals(author(&user("bob"))).unwrap();
    assert_eq!(cards.len(), 2);
    let card = &cards[0];
    assert_eq!((card.author.clone(), card.tip), (Some(user("bob")), made.revision));
    assert_eq!((card.need.as_str(), card.fit.as_str()), ("needs review", "clean"));
    assert_eq!(card.summary, "domains/shop.other.example: new");
    let sheet = house.forms.proposal(author(&user("bob")), &made.topic).unwrap();
    assert_eq!((sheet.may_approve, sheet.may_reject), (false, true));
    assert_eq!(sheet.approvers, [user("ann")]);
    assert_eq!(sheet.diffs[0].path, "domains/shop.other.example.toml");
    assert_eq!(sheet.diffs[0].lines, ["@@ -0,0 +1 @@", "+server = \"one\""]);
    assert_eq!((sheet.commits.len(), sheet.commits[0].door.as_deref()), (1, Some("panel")));
    assert!(sheet.findings.iter().any(|finding| finding.message.contains("nobody has proved yet")));
    assert!(sheet.plan.contains("Planned from state to state"), "{}", sheet.plan);
    assert!(house.forms.proposal(author(&user("ann")), &made.topic).unwrap().may_approve);
    // Its author doesn't agree to it, and nobody to another revision than that.
    let approve = |who: &str, at| {
        house
            .forms
            .approve(author(&user(who)), &Approve { topic: made.topic.clone(), at, from: None, knows: false })
    };
    assert_eq!(approve("bob", made.revision).unwrap_err().why(), Why::Forbidden);
    assert_eq!(approve("ann", tip).unwrap_err().why(), Why::Forbidden);
    assert_eq!(house.tip(), tip);
    let decided = approve("ann", made.revision).unwrap();
    assert_eq!(house.tip(), decided.revision);
    assert_eq!(house.text("domains/shop.other.example.toml"), "server = \"one\"\n");
    let info = house.repo().commit_info(&decided.revision).unwrap();
    assert!(info.message.contains("Proposed-by: bob\n"), "{}", info.message);
    assert_eq!(approve("ann", made.revision).unwrap_err().why(), Why::NotFound);
}

#[test]
fn somebody_elses_proposal_isnt_there() {
    let house = House::new();
    let made = propose(&house, "bob", &server("two", &[("cpus", "", "2")])).unwrap();
    assert_eq!(made.topic, "server-two");
    assert!(house.forms.proposals(author(&user("cyn"))).unwrap().is_empty());
    assert_eq!(house.forms.proposals(author(&user("ann"))).unwrap().len(), 1);
    let of_cyn = |topic: &str| {
        let reject = Reject { topic: topic.to_owned(), reason: String::new() };
        [
            house.forms.proposal(author(&user("cyn")), topic).unwrap_err(),
            house
                .forms
                .approve(
                    author(&user("cyn")),
                    &Approve { topic: topic.to_owned(), at: made.revision, from: None, knows: false },
                )
                .unwrap_err(),
            house.forms.reject(author(&user("cyn")), &reject).unwrap_err(),
        ]
    };
    // As if there were none: neither its words nor its kind tell.
    for (there, nowhere) in of_cyn("server-two").into_iter().zip(of_cyn("nothing")) {
        assert_eq!((there.why(), there.to_string()), (Why::NotFound, nowhere.to_string()));
    }
    for topic in ["", "..", "a/b", "A", "x\n"] {
        assert_eq!(house.forms.proposal(author(&user("ann")), topic).unwrap_err().why(), Why::NotFound);
    }
}

#[test]
fn an_author_takes_a_proposal_back_and_an_admin_says_why() {
    let house = House::new();
    for who in ["bob", "ann"] {
        let made = propose(&house, "bob", &server("two", &[("cpus", "", "2")])).unwrap();
        let reject = Reject { topic: made.topic.clone(), reason: "too\nlarge\u{1b}[2J".to_owned() };
        house.forms.reject(author(&user(who)), &reject).unwrap();
        assert!(house.forms.proposals(author(&user("ann"))).unwrap().is_empty());
        let closed = house.repo().references("refs/berth/closed/").unwrap();
        let mark = house
            .repo()
            .read_mark(&format!("refs/berth/closed/{}", closed.last().unwrap().0))
            .unwrap()
            .unwrap();
        assert_eq!((mark.on, mark.by.name.as_str()), (made.revision, who));
        assert_eq!(mark.message, "too large\\u{1b}[2J\n");
    }
}

#[test]
fn what_is_refused_is_not_proposed() {
    let house = House::new();
    for change in [
        server("two", &[("memory", "1 GiB", "lots")]),
        server("cyns", &[("cpus", "", "1")]),
        server("two", &[("memory", "2 GiB", "3 GiB")]),
        server("two", &[]),
    ] {
        let error = propose(&house, "bob", &change).unwrap_err();
        assert_eq!(error.why(), Why::Forbidden, "{error}");
    }
    assert!(house.forms.proposals(author(&user("ann"))).unwrap().is_empty());
}

#[test]
fn nobody_lifts_the_removal_budget_for_their_own_proposal() {
    let house = House::new();
    let made = propose(&house, "bob", &server("two", &[("cpus", "", "2")])).unwrap();
    let (tip, repo, bob) = (house.tip(), house.repo(), user("bob"));
    let approve = |allowance: Option<&str>| {
        let (topic, allowance) = (made.topic.parse().unwrap(), allowance.map(str::to_owned));
        let approval = Approval { topic, at: Some(made.revision), allowance, from: None, knows: false };
        answer(&repo, Actor::Member(&bob), &Ask::Approve(approval), Format::Json, None, Line::silent())
            .unwrap()
    };
    let refused = approve(Some("0123456789abcdef"));
    assert!(!refused.good && refused.text.contains("isn't its author's to lift"), "{}", refused.text);
    assert_eq!(house.tip(), tip);
    assert!(approve(None).good);
    assert_ne!(house.tip(), tip);
}
