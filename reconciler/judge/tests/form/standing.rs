//! Every standing that a change can have, and what becomes of it.

use berth_wire::web::{Change, Committed, Deed, FileDiff, Object, Standing};

use super::{House, fields, new, new_domain, new_server, remove, server, told, user};

#[test]
fn what_is_ones_own_is_committed_in_ones_name() {
    let house = House::new();
    let change = server("two", &[("memory", "1 GiB", "2GiB"), ("cpus", "", "1.5"), ("state", "", "")]);
    let planned = house.plan("bob", &change);
    assert_eq!(planned.standing, Standing::Allowed);
    assert_eq!(planned.summary, "servers/two: memory 1 GiB → 2GiB, cpus default → 1.5");
    assert!(
        planned.plan.starts_with("Planned from state to state; the engine wasn't asked.\n"),
        "{}",
        planned.plan
    );
    assert!(planned.plan.contains("server two (id 2) changes in place"), "{}", planned.plan);
    let lines = [
        "@@ -1,4 +1,5 @@",
        " # The shop.",
        " id = 2",
        " owner = \"bob\"",
        "-memory = \"1 GiB\" # enough",
        "+memory = \"2GiB\" # enough",
        "+cpus = 1.5",
    ];
    let lines = lines.map(str::to_owned).to_vec();
    assert_eq!(planned.diffs, [FileDiff { path: "servers/two.toml".to_owned(), lines }]);
    assert_eq!((planned.losses.len(), planned.findings.len()), (0, 0));
    let before = house.tip();
    let Committed::Made { revision } = house.commit("bob", &change, &planned.digest) else { panic!() };
    assert_eq!(house.tip(), revision);
    let info = house.repo().commit_info(&revision).unwrap();
    assert_eq!((info.author.name.as_str(), info.author.email.as_str()), ("bob", "bob@h.example"));
    assert_eq!((info.committer, info.parents), (info.author, vec![before]));
    assert_eq!(info.message, format!("{}\n\nBerth-Door: panel\n", planned.summary));
    assert_eq!(info.trailers, [("Berth-Door".to_owned(), "panel".to_owned())]);
    assert_eq!(
        house.text("servers/two.toml"),
        "# The shop.\nid = 2\nowner = \"bob\"\nmemory = \"2GiB\" # enough\ncpus = 1.5\n"
    );
    // Once more there is nothing to do: no commit, and it isn't called one.
    let again = house.plan("bob", &change);
    assert_eq!(again.standing, Standing::Nothing);
    assert!(matches!(house.commit("bob", &change, &again.digest), Committed::Changed { .. }));
    assert_eq!(house.tip(), revision);
}

#[test]
fn what_others_have_to_agree_to_is_not_committed() {
    let house = House::new();
    let change = new_domain("shop.other.example", "one");
    let planned = house.plan("bob", &change);
    assert_eq!(planned.standing, Standing::NeedsReview { approvers: vec![user("ann")] });
    let (field, message) = told(&planned.findings)[0];
    assert_eq!(field, Some("server"));
    assert!(message.contains("nobody has proved yet that `shop.other.example` is `bob`'s"), "{message}");
    assert!(!planned.findings[0].is_error && planned.findings[0].hint.is_some());
    assert!(planned.findings.iter().any(|finding| finding.message.starts_with("DNS could not be asked")));
    assert!(planned.plan.starts_with("Planned from state to state"), "{}", planned.plan);
    let tip = house.tip();
    assert!(matches!(house.commit("bob", &change, &planned.digest), Committed::Changed { .. }));
    assert_eq!(house.tip(), tip);
    // An admin needs nobody.
    house.make("ann", &new_domain("shop.other.example", "one"));
}

#[test]
fn what_isnt_ones_own_is_refused_and_never_saved() {
    let house = House::new();
    let tip = house.tip();
    for (who, change, field, message) in [
        (
            "bob",
            server("cyns", &[("cpus", "", "1")]),
            None,
            "server `cyns` is `cyn`'s: `bob` may not change it",
        ),
        (
            "bob",
            server("two", &[("owner", "bob", "cyn")]),
            Some("owner"),
            "`bob` may not give server `two` to `cyn`",
        ),
        (
            "cyn",
            server("one", &[("cpus", "1", "2")]),
            None,
            "server `one` is `bob`'s: `cyn` may log in to it, and may not change it",
        ),
        (
            "bob",
            new_server("new", &[("owner", "cyn")]),
            Some("owner"),
            "`bob` may not make a server for `cyn`",
        ),
        ("bob", new(Object::User("bob2".to_owned()), &[]), None, ""),
        (
            "bob",
            new_domain("x.h.example", "cyns"),
            Some("server"),
            "server `cyns` is `cyn`'s, so `bob` may not lead a name to it",
        ),
        (
            "eve",
            server("one", &[("cpus", "1", "2")]),
            None,
            "there is no user `eve`, so nothing may be changed in that name",
        ),
    ] {
        if message.is_empty() {
            assert!(house.try_plan(who, &change).is_err());
            continue;
        }
        let planned = house.plan(who, &change);
        assert_eq!(planned.standing, Standing::Refused, "{change:?}");
        assert_eq!(told(&planned.findings), [(field, message)]);
        assert!(planned.findings[0].is_error);
        assert!(matches!(house.commit(who, &change, &planned.digest), Committed::Changed { .. }));
    }
    assert_eq!(house.tip(), tip);
}

#[test]
fn a_members_own_file_has_no_hash_in_its_form() {
    let house = House::new();
    let of = || Object::User("bob".to_owned());
    let change = Change {
        of: of(),
        deed: Deed::Edit { fields: fields(&[("email", "bob@mail.example", "b@mail.example")]) },
    };
    let planned = house.plan("bob", &change);
    assert_eq!(planned.standing, Standing::Allowed);
    // An address isn't everybody's to read, and a commit is.
    assert_eq!(planned.summary, "users/bob: email");
    assert!(
        planned.diffs[0].lines.iter().any(|line| line == "+email = \"b@mail.example\""),
        "{:?}",
        planned.diffs
    );
    assert!(!format!("{planned:?}").contains("$2b$"), "{planned:?}");
    house.make("bob", &change);
    assert!(house.text("users/bob.toml").contains("$2b$12$"));
    // An admin's page shows no hash either.
    let change = Change { of: of(), deed: Deed::Edit { fields: fields(&[("quota.servers", "", "5")]) } };
    let planned = house.plan("ann", &change);
    assert_eq!(
        (&planned.standing, planned.summary.as_str()),
        (&Standing::Allowed, "users/bob: quota.servers default → 5")
    );
    assert!(!format!("{planned:?}").contains("$2b$"), "{planned:?}");
    // Nobody writes one, and nobody reads what isn't theirs.
    let hash = Change { of: of(), deed: Deed::Edit { fields: fields(&[("password_hash", "", "$2b$12$x")]) } };
    assert!(house.try_plan("bob", &hash).is_err());
    let guess = Change { of: of(), deed: Deed::Edit { fields: fields(&[("email", "guess", "other")]) } };
    assert!(house.try_plan("cyn", &guess).is_err());
}

#[test]
fn a_removal_says_what_becomes_of_the_data() {
    let house = House::new();
    let change = remove(Object::Server("cyns".to_owned()));
    let planned = house.plan("cyn", &change);
    assert_eq!(planned.standing, Standing::Allowed);
    let [loss] = &planned.losses[..] else { panic!("{:?}", planned.losses) };
    assert!(loss.starts_with("server cyns (id 3) is stopped and kept as a tombstone: "), "{loss}");
    assert!(loss.contains("its data is kept until "), "{loss}");
    assert_eq!(planned.diffs[0].lines, ["@@ -1,2 +0,0 @@", "-id = 3", "-owner = \"cyn\""]);
    house.make("cyn", &change);
    assert_eq!(house.text("servers/cyns.toml"), "");
    assert!(house.try_plan("cyn", &change).is_err());
    // One that a domain leads to stays, in the words of a push.
    let planned = house.plan("bob", &remove(Object::Server("one".to_owned())));
    assert_eq!(planned.standing, Standing::Refused);
    assert_eq!(planned.findings[0].place.as_deref(), Some("domains/one.h.example.toml:1:10"));
    assert_eq!(planned.findings[0].message, "there is no server `one`");
    // But with the way out for somebody who removes it.
    let hint = planned.findings[0].hint.as_deref();
    assert_eq!(hint, Some("remove that domain first, or lead it to another server"));
    let planned = house.plan("ann", &remove(Object::User("bob".to_owned())));
    assert_eq!(planned.standing, Standing::Refused);
    assert_eq!(planned.findings.len(), 2, "{:?}", planned.findings);
    for finding in planned.findings {
        assert_eq!(finding.hint.as_deref(), Some("remove that server first, or name somebody else there"));
    }
}

#[test]
fn a_change_that_loses_data_says_so() {
    let house = House::new();
    let planned = house.plan("bob", &server("two", &[("image", "", "example/other:1")]));
    assert_eq!(planned.standing, Standing::Allowed);
    assert!(
        planned.losses.iter().any(|loss| loss.starts_with("server two (id 2): ")),
        "{:?}",
        planned.losses
    );
}

#[test]
fn a_forge_that_hosts_the_state_refuses_in_its_words() {
    let mut files = super::FILES.to_vec();
    files[0] = (
        "platform.toml",
        "domain = \"h.example\"\n\n[remote]\nurl = \"https://git.example.org/state.git\"\n",
    );
    let house = House::holding(&files);
    for change in [server("two", &[("cpus", "", "2")]), remove(Object::Server("two".to_owned()))] {
        let planned = house.plan("ann", &change);
        assert_eq!(planned.standing, Standing::Refused);
        let finding = &planned.findings[0];
        assert!(
            finding.message.starts_with("main follows https://git.example.org/state.git"),
            "{}",
            finding.message
        );
        assert!(finding.hint.as_ref().unwrap().contains("git push"), "{:?}", finding.hint);
        assert!(matches!(house.commit("ann", &change, &planned.digest), Committed::Changed { .. }));
    }
}

#[test]
fn a_state_with_mistakes_takes_no_form() {
    let house = House::new();
    house.write("ann", &[("servers/two.toml", Some("id = 1\nowner = \"bob\"\n"))]);
    let planned = house.plan("ann", &server("one", &[("cpus", "1", "2")]));
    assert_eq!(planned.standing, Standing::Refused);
    assert!(planned.findings[0].message.starts_with("main holds no good state"), "{:?}", planned.findings);
}

#[test]
fn the_name_of_a_new_file_is_a_field() {
    let house = House::new();
    let planned = house.plan("bob", &new_server("Shop", &[]));
    assert_eq!(planned.standing, Standing::Refused);
    assert_eq!(planned.findings[0].field.as_deref(), Some("name"));
    let planned = house.plan("bob", &new_server("one", &[]));
    assert_eq!(told(&planned.findings), [(Some("name"), "`servers/one.toml` is there already")]);
    assert_eq!(planned.standing, Standing::Refused);
}
