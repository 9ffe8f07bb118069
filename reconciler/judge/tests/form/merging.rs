//! Two people change one file: field by field where they don't meet, and a conflict with names where they do.

use berth_wire::web::{Change, Deed, Input, Object, Planned, Standing};

use super::{House, server, told};

fn with(house: &House, text: &str) {
    house.write("cyn", &[("servers/two.toml", Some(text))]);
}

#[test]
fn other_fields_are_kept_and_told() {
    let house = House::new();
    with(&house, "# The shop.\nid = 2\nowner = \"bob\"\nmemory = \"3 GiB\" # more\npids = 500\n");
    let change = server("two", &[("memory", "1 GiB", "1 GiB"), ("pids", "", ""), ("cpus", "", "2")]);
    let planned = house.plan("bob", &change);
    assert_eq!(planned.standing, Standing::Allowed);
    assert_eq!(planned.merged_with, ["`cyn` changed `memory`, `pids`, at 2023-11-14 22:13 UTC"]);
    assert_eq!(planned.summary, "servers/two: cpus default → 2");
    house.make("bob", &change);
    assert_eq!(
        house.text("servers/two.toml"),
        "# The shop.\nid = 2\nowner = \"bob\"\nmemory = \"3 GiB\" # more\npids = 500\ncpus = 2\n"
    );
}

#[test]
fn the_same_field_is_a_conflict_at_that_field() {
    let house = House::new();
    with(&house, "id = 2\nowner = \"bob\"\nmemory = \"3 GiB\"\n");
    let change = server("two", &[("memory", "1 GiB", "2 GiB"), ("cpus", "", "2")]);
    let planned = house.plan("bob", &change);
    let Standing::Conflict { fields } = &planned.standing else { panic!("{planned:?}") };
    assert_eq!((fields.len(), fields[0].name.as_str()), (1, "memory"));
    assert_eq!(fields[0].value, Input::Text("3 GiB".to_owned()));
    assert_eq!(
        told(&planned.findings),
        [(Some("memory"), "`cyn` changed this meanwhile, at 2023-11-14 22:13 UTC")]
    );
    assert!(planned.plan.is_empty() && planned.diffs.is_empty());
    let tip = house.tip();
    house.commit("bob", &change, &planned.digest);
    assert_eq!(house.tip(), tip);
}

#[test]
fn the_same_value_from_two_people_is_no_conflict() {
    let house = House::new();
    with(&house, "id = 2\nowner = \"bob\"\nmemory = \"2 GiB\"\n");
    let planned = house.plan("bob", &server("two", &[("memory", "1 GiB", " 2 GiB ")]));
    assert_eq!((planned.standing, planned.findings.len()), (Standing::Nothing, 0));
}

#[test]
fn a_field_that_is_gone_meanwhile_counts_as_changed() {
    let house = House::new();
    with(&house, "id = 2\nowner = \"bob\"\n");
    let planned = house.plan("bob", &server("two", &[("memory", "1 GiB", "2 GiB")]));
    assert!(matches!(planned.standing, Standing::Conflict { .. }));
    // And a file that is gone is nothing to edit.
    house.write("cyn", &[("servers/two.toml", None)]);
    assert!(house.try_plan("bob", &server("two", &[("memory", "1 GiB", "2 GiB")])).is_err());
}

#[test]
fn every_field_is_told_with_the_one_who_changed_it() {
    let house = House::new();
    with(&house, "id = 2\nowner = \"bob\"\nmemory = \"3 GiB\"\n");
    house.write(
        "ann",
        &[("servers/two.toml", Some("id = 2\nowner = \"bob\"\nmemory = \"3 GiB\"\npids = 100\n"))],
    );
    house.write("ann", &[("docs/other.md", Some("# Other\n"))]);
    let planned = house.plan("bob", &server("two", &[("memory", "1 GiB", "2 GiB"), ("pids", "", "200")]));
    let who: Vec<(Option<&str>, bool)> = told(&planned.findings)
        .into_iter()
        .map(|(field, message)| (field, message.starts_with("`ann`")))
        .collect();
    assert_eq!(who, [(Some("pids"), true), (Some("memory"), false)]);
}

fn platform(house: &House, from: &str, to: &str) -> Change {
    let text = house.text("platform.toml").replace(from, to);
    Change { of: Object::Platform, deed: Deed::Write { text, base: house.tip() } }
}

#[test]
fn the_settings_are_a_text_that_git_merges() {
    let house = House::new();
    let change = platform(&house, "servers = 3", "servers = 4");
    let others = house.text("platform.toml").replace("\"30d\"", "\"60d\"");
    house.write("cyn", &[("platform.toml", Some(&others))]);
    let planned = house.plan("ann", &change);
    assert_eq!(planned.standing, Standing::Allowed, "{:?}", planned.findings);
    assert_eq!(planned.merged_with, ["`cyn` changed platform.toml, at 2023-11-14 22:13 UTC"]);
    house.make("ann", &change);
    let text = house.text("platform.toml");
    assert!(
        text.contains("servers = 4") && text.contains("\"60d\"") && text.contains("# A month."),
        "{text}"
    );
    assert_eq!(house.repo().commit_info(&house.tip()).unwrap().parents.len(), 1);
    // It is the admins'.
    let planned = house.plan("bob", &platform(&house, "servers = 4", "servers = 9"));
    assert_eq!(told(&planned.findings), [(None, "the platform's settings are the admins'")]);
}

#[test]
fn the_same_lines_of_the_settings_are_a_conflict() {
    let house = House::new();
    let change = platform(&house, "servers = 3", "servers = 4");
    let others = house.text("platform.toml").replace("servers = 3", "servers = 5");
    house.write("cyn", &[("platform.toml", Some(&others))]);
    let Planned { standing, findings, .. } = house.plan("ann", &change);
    let Standing::Conflict { fields } = standing else { panic!("{standing:?}") };
    assert_eq!((fields[0].name.as_str(), &fields[0].value), ("text", &Input::Text(others)));
    assert_eq!(
        told(&findings),
        [(Some("text"), "`cyn` changed the same lines of platform.toml meanwhile, at 2023-11-14 22:13 UTC")]
    );
}

#[test]
fn a_text_from_a_browser_keeps_the_line_ends_of_the_file() {
    let house = House::new();
    let base = house.tip();
    let text = house.text("platform.toml");
    let typed = text.replace('\n', "\r\n");
    let write = |text: String| Change { of: Object::Platform, deed: Deed::Write { text, base } };
    assert_eq!(house.plan("ann", &write(typed.clone())).standing, Standing::Nothing);
    let typed = typed.replace("servers = 3", "servers = 4");
    house.make("ann", &write(typed.trim_end().to_owned()));
    assert_eq!(house.text("platform.toml"), text.replace("servers = 3", "servers = 4"));
    // A mistake is told at its line.
    let change = platform(&house, "domain = ", "domian = ");
    let planned = house.plan("ann", &change);
    assert_eq!(planned.standing, Standing::Refused);
    assert!(
        planned.findings.iter().any(|finding| finding.place.as_deref() == Some("platform.toml:2:1")),
        "{planned:?}"
    );
}

#[test]
fn a_revision_that_main_does_not_know_is_no_base() {
    let house = House::new();
    let base = "1".repeat(40).parse().unwrap();
    let change = Change { of: Object::Platform, deed: Deed::Write { text: "x".to_owned(), base } };
    assert!(house.try_plan("ann", &change).is_err());
}

#[test]
fn a_deed_has_to_fit_its_object() {
    let house = House::new();
    let edit = Deed::Edit { fields: Vec::new() };
    assert!(house.try_plan("ann", &Change { of: Object::Platform, deed: edit }).is_err());
    assert!(house.try_plan("ann", &Change { of: Object::Platform, deed: Deed::Remove }).is_err());
    let write = Deed::Write { text: String::new(), base: house.tip() };
    assert!(house.try_plan("ann", &Change { of: Object::Server("one".to_owned()), deed: write }).is_err());
}
