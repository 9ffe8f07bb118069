//! The wiki: pages that are written, pictures that come, files that move and go.

use berth_judge::Line;
use berth_judge::review::{Ask, Format, answer};
use berth_repo::{Edit, Revision, Signature, Words};
use berth_schema::policy::Actor;
use berth_wire::web::{Bytes, Change, Deed, Input, Object, ProposalSheet, Standing};

use super::{FILES, House, author, told, user};

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n and more";

fn of(path: &str, deed: Deed) -> Change {
    Change { of: Object::Doc(path.to_owned()), deed }
}

fn write(path: &str, text: &str, base: Revision) -> Change {
    of(path, Deed::Write { text: text.to_owned(), base })
}

fn put(path: &str, bytes: &[u8]) -> Change {
    of(path, Deed::Put { bytes: Bytes(bytes.to_vec()) })
}

fn rename(path: &str, to: &str) -> Change {
    of(path, Deed::Move { to: to.to_owned() })
}

/// The platform with these settings of the wiki.
fn house(settings: &str) -> House {
    let platform = format!("domain = \"h.example\"\n[docs]\n{settings}\n");
    let mut files = FILES.to_vec();
    files[0].1 = &platform;
    House::holding(&files)
}

#[test]
fn whom_the_settings_name_writes_without_asking() {
    let house = house("edit = [\"bob\"]");
    let change = write("guide/first.md", "# First\r\nline", house.tip());
    let planned = house.plan("bob", &change);
    assert_eq!((planned.standing, planned.summary.as_str()), (Standing::Allowed, "docs/guide/first.md: new"));
    house.make("bob", &change);
    assert_eq!(house.text("docs/guide/first.md"), "# First\nline\n");
    house.make("bob", &write("welcome.md", "# Welcome\n\nAll.\n", house.tip()));
    assert_eq!(house.text("docs/welcome.md"), "# Welcome\n\nAll.\n");
    house.make("bob", &put("guide/plan.png", PNG));
    house.make("bob", &rename("guide/first.md", "guide/start.md"));
    assert_eq!(house.text("docs/guide/start.md"), "# First\nline\n");
    house.make("bob", &of("guide/start.md", Deed::Remove));
    assert_eq!(house.text("docs/guide/start.md") + &house.text("docs/guide/first.md"), "");
}

#[test]
fn everybody_else_proposes() {
    let house = house("edit = [\"bob\"]");
    for change in [
        write("welcome.md", "# Hello\n", house.tip()),
        write("new.md", "# New\n", house.tip()),
        put("plan.png", PNG),
        rename("welcome.md", "start.md"),
        of("welcome.md", Deed::Remove),
    ] {
        let planned = house.plan("cyn", &change);
        assert!(matches!(planned.standing, Standing::NeedsReview { .. }), "{change:?}: {planned:?}");
        let before = house.tip();
        house.commit("cyn", &change, &planned.digest);
        assert_eq!(house.tip(), before, "{change:?}");
    }
    let change = write("welcome.md", "# Hello\n", house.tip());
    let proposed = house.forms.propose(author(&"cyn".parse().unwrap()), &change).unwrap();
    assert_eq!(proposed.topic, "page-welcome");
}

#[test]
fn where_only_admins_read_there_is_no_page_for_others() {
    let house = house("read = \"admins\"");
    assert!(house.try_plan("bob", &write("welcome.md", "# Hello\n", house.tip())).is_err());
    assert!(house.try_plan("bob", &of("welcome.md", Deed::Remove)).is_err());
    house.make("ann", &write("welcome.md", "# Hello\n", house.tip()));
}

#[test]
fn two_writers_are_merged_or_shown_both_texts() {
    let house = house("edit = \"users\"");
    house.write("ann", &[("docs/a.md", Some("one\n\ntwo\n\nthree\n\nfour\n"))]);
    let base = house.tip();
    house.make("cyn", &write("a.md", "ONE\n\ntwo\n\nthree\n\nfour\n", base));
    let planned = house.plan("bob", &write("a.md", "one\n\ntwo\n\nthree\n\nFOUR\n", base));
    assert_eq!(planned.standing, Standing::Allowed);
    assert!(planned.merged_with[0].starts_with("`cyn` changed docs/a.md"), "{planned:?}");
    house.make("bob", &write("a.md", "one\n\ntwo\n\nthree\n\nFOUR\n", base));
    assert_eq!(house.text("docs/a.md"), "ONE\n\ntwo\n\nthree\n\nFOUR\n");
    let planned = house.plan("bob", &write("a.md", "uno\n\ntwo\n\nthree\n\nfour\n", base));
    let Standing::Conflict { fields } = &planned.standing else { panic!("{planned:?}") };
    assert_eq!(fields[0].value, Input::Text("ONE\n\ntwo\n\nthree\n\nFOUR\n".to_owned()));
    assert!(told(&planned.findings)[0].1.contains("changed the same lines of docs/a.md"), "{planned:?}");
}

#[test]
fn a_page_that_came_or_went_meanwhile_is_a_conflict() {
    let house = house("edit = \"users\"");
    let base = house.tip();
    house.write("cyn", &[("docs/new.md", Some("theirs\n")), ("docs/welcome.md", None)]);
    let planned = house.plan("bob", &write("new.md", "mine\n", base));
    let Standing::Conflict { fields } = &planned.standing else { panic!("{planned:?}") };
    assert_eq!(fields[0].value, Input::Text("theirs\n".to_owned()));
    assert!(told(&planned.findings)[0].1.contains("`cyn`"), "{planned:?}");
    assert_eq!(house.plan("bob", &write("new.md", "theirs", base)).standing, Standing::Nothing);
    let planned = house.plan("bob", &write("welcome.md", "# Mine\n", base));
    let Standing::Conflict { fields } = &planned.standing else { panic!("{planned:?}") };
    assert_eq!(fields[0].value, Input::Unset);
    // Whoever has seen that sends it again, from the newest revision.
    house.make("bob", &write("welcome.md", "# Mine\n", house.tip()));
    assert_eq!(house.text("docs/welcome.md"), "# Mine\n");
}

#[test]
fn bad_input_is_told_where_it_is() {
    let house = house("edit = \"users\"");
    house.write(
        "ann",
        &[
            ("docs/pic.png", Some("x")),
            ("docs/hash.md", Some("$2b$12$odeciuvURMWYHyxaUSooeORUILdSujzA7pPBiCstyxNS992W1SqI.\n")),
        ],
    );
    let long = "word ".repeat(60_000);
    let svg = "<svg xmlns=\"http://www.w3.org/2000/svg\"/>";
    let tip = house.tip();
    for (change, field, says) in [
        (write("../platform.toml", "x\n", tip), "name", "not a name"),
        (write("a/../../users/bob.md", "x\n", tip), "name", "not a name"),
        (write(".git/config.md", "x\n", tip), "name", "not a name"),
        (write("a.toml", "x\n", tip), "name", "neither a page nor a picture"),
        (write("a b.md", "x\n", tip), "name", "not a name"),
        (write("pic.png", "x\n", tip), "name", "is no page"),
        (write("new.md", " \n", tip), "text", "without a text"),
        (write("new.md", &long, tip), "text", "more than the 262144"),
        (write("hash.md", "x\n", tip), "text", "password's hash"),
        (write("key.md", "-----BEGIN OPENSSH PRIVATE KEY-----\n", tip), "text", "private key"),
        (put("pic.png", PNG), "name", "is there already"),
        (put("a.md", PNG), "name", "another kind of file"),
        (put("a.png", b"<html>"), "file", "no picture"),
        (put("a.png", svg.as_bytes()), "file", "image/svg+xml"),
        (put("a.svg", PNG), "file", "image/png"),
        (put("a.png", &[PNG, &vec![0; 1 << 20]].concat()), "file", "more than the 1048576"),
        (rename("welcome.md", "pic.png"), "name", "another kind of file"),
        (rename("welcome.md", "hash.md"), "name", "is there already"),
        (rename("welcome.md", "../hash.md"), "name", "not a name"),
    ] {
        let planned = house.plan("bob", &change);
        assert_eq!(planned.standing, Standing::Refused, "{says}: {planned:?}");
        let found: Vec<_> = planned.findings.iter().filter(|finding| finding.is_error).collect();
        assert!(
            found.iter().any(|found| found.field.as_deref() == Some(field) && found.message.contains(says)),
            "{says}: {found:?}"
        );
    }
    for change in [
        of("../users/bob.md", Deed::Remove),
        of("nothing.md", Deed::Remove),
        rename("nothing.md", "a.md"),
        of("welcome.md", Deed::Create { fields: Vec::new() }),
    ] {
        assert!(house.try_plan("bob", &change).is_err(), "{change:?}");
    }
}

#[test]
fn a_page_that_isnt_utf_8_moves_and_goes_as_it_is() {
    let house = house("edit = \"users\"");
    let by = Signature::at("ann", "ann@h.example", 1_700_000_000);
    let words = Words { author: &by, committer: &by, message: "by hand\n" };
    let bytes = b"caf\xe9\n";
    let edits = [Edit::write("docs/latin.md", &bytes[..])];
    house.repo().commit(Some(&house.tip()), &edits, &words).unwrap();
    let planned = house.plan("bob", &write("latin.md", "café\n", house.tip()));
    assert_eq!(planned.standing, Standing::Refused);
    assert!(told(&planned.findings)[0].1.contains("isn't UTF-8 text"), "{planned:?}");
    house.make("bob", &rename("latin.md", "old.md"));
    assert_eq!(house.repo().read(&house.tip(), "docs/old.md").unwrap().unwrap(), bytes);
    house.make("bob", &of("old.md", Deed::Remove));
    assert_eq!(house.repo().read(&house.tip(), "docs/old.md").unwrap(), None);
}

#[test]
fn a_page_that_became_hidden_is_in_no_proposal_of_a_members() {
    let house = house("");
    let change = write("welcome.md", "# Welcome\n\nAll of you.\n", house.tip());
    let made = house.forms.propose(author(&user("bob")), &change).unwrap();
    let sheet = |who: &str| house.forms.proposal(author(&user(who)), &made.topic).unwrap();
    let place = |sheet: &ProposalSheet| sheet.findings[0].place.clone().unwrap_or_default();
    assert_eq!((sheet("bob").diffs.len(), place(&sheet("bob")).as_str()), (1, "docs/welcome.md:2:1"));
    let hidden = "domain = \"h.example\"\n[docs]\nread = \"admins\"\n";
    house.write("ann", &[("platform.toml", Some(hidden))]);
    let shown = |who: &str| {
        let (repo, ask) = (house.repo(), Ask::Show(made.topic.parse().unwrap()));
        answer(&repo, Actor::Member(&user(who)), &ask, Format::Markdown, None, Line::silent()).unwrap().text
            + &answer(&repo, Actor::Member(&user(who)), &ask, Format::Json, None, Line::silent())
                .unwrap()
                .text
    };
    assert_eq!((sheet("bob").diffs.len(), place(&sheet("bob")).as_str()), (0, "docs/welcome.md"));
    assert!(!shown("bob").contains("added"), "{}", shown("bob"));
    assert_eq!(sheet("ann").diffs.len(), 1);
    assert!(shown("ann").contains("added"), "{}", shown("ann"));
    // Somebody else's words at the same lines: that they are in the way is told, and not what they are.
    house.write("ann", &[("docs/welcome.md", Some("# Secret\n\nplans\n"))]);
    let told = format!("{:?}{}", sheet("bob"), shown("bob"));
    assert!(!told.contains("plans") && told.contains("conflicts"), "{told}");
}
