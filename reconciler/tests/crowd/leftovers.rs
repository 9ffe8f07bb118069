//! Refused pushes, which leave nothing.

use super::combined::approval;
use super::house::{House, Person, domain, objects, server};

/// Asserts that a push is refused with these words, and leaves no object in the state repo nor in the view.
#[track_caller]
fn leaves_nothing(person: &Person<'_>, to: &str, words: &[&str]) {
    let house = person.house;
    let places = [house.repo(), house.view(&person.name)];
    let before = places.each_ref().map(|place| objects(place));
    person.push(to).refused(words);
    assert_eq!(places.each_ref().map(|place| objects(place)), before);
}

#[test]
fn a_refused_push_leaves_no_object_behind() {
    let house = House::of(3, &[]);
    let person = house.person("u1");
    person.commit("servers/u1.toml", "id = 1\nowner = \"u1\"\nmemroy = \"2 GiB\"\n", "a slip");
    leaves_nothing(&person, "main", &["`memroy` is not a field"]);
    leaves_nothing(&person, "review/slip", &["`memroy` is not a field"]);
    person.git(&["reset", "--quiet", "--hard", "HEAD~1"]);
    person.commit("servers/u2.toml", &server(2, "2 GiB"), "somebody else's");
    leaves_nothing(&person, "main", &["servers/u2.toml"]);
    person.git(&["reset", "--quiet", "--hard", "HEAD~1"]);

    // Made on top of an earlier main: the merge is made, judged and thrown away, or there is none.
    let ann = house.person("ann");
    ann.commit("servers/u1.toml", &server(1, "3 GiB"), "ann was first");
    ann.push("main").accepted(&[]);
    // The first one to look fills the store that all views read, and this isn't u1's to leave.
    house.person("u2");
    person.commit("servers/u1.toml", &server(1, "4 GiB"), "u1 was second");
    leaves_nothing(&person, "main", &["main has changed this as well"]);
    person.git(&["reset", "--quiet", "--hard", "HEAD~1"]);
    person.commit(
        "domains/a.apps.example.org.toml",
        "server = \"u2\"\n",
        "a domain for somebody else's server",
    );
    leaves_nothing(&person, "main", &["domains/a.apps.example.org.toml"]);
    // Git keeps a clone from going back by itself.
    person.git(&["reset", "--quiet", "--hard", "HEAD~1"]);
    person.commit("domains/a.apps.example.org.toml", &domain(1), "a domain of u1");
    person.push("main").accepted(&["combined with"]);
}

/// An admin's push goes into the state repo itself, and a proposal that is decided leaves none of its own trials.
#[test]
fn nor_do_admins_and_decisions() {
    let house = House::of(2, &[]);
    let (ann, person) = (house.person("ann"), house.person("u1"));
    let before = objects(&house.repo());
    ann.commit("servers/u1.toml", "id = 1\n", "no owner");
    ann.push("main").refused(&["Refused; nothing was changed."]);
    assert_eq!(objects(&house.repo()), before);

    person.commit("docs/page.md", "# A page\n", "a page");
    person.push("review/page").accepted(&["needs review"]);
    let (topic, strange) = objects(&house.repo());
    assert!(strange.is_empty(), "{strange:?}");
    let tip: berth_schema::Revision = house.git(&["rev-parse", "review/page"]).parse().unwrap();
    // Its author can't agree to it, and asking leaves nothing.
    let said = house.bridge.ask("u1", approval("page", tip));
    assert_eq!(said.code, Some(1), "{said:?}");
    assert_eq!(objects(&house.repo()), (topic, strange));
    let said = house.bridge.ask("ann", approval("page", tip));
    assert_eq!(said.code, Some(0), "{said:?}");
}
