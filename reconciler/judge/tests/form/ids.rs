//! The id of a new server: none that history knows, as long as there is another.

use berth_schema::name::ServerId;
use berth_wire::web::{Committed, Standing};

use super::{House, new_server};

fn id(number: u32) -> Option<ServerId> {
    Some(ServerId(number.try_into().unwrap()))
}

#[test]
fn a_new_server_gets_the_lowest_id_that_no_other_has_or_had() {
    let house = House::new();
    house.write("ann", &[("servers/gone.toml", Some("id = 4\nowner = \"cyn\"\n"))]);
    house.write(
        "ann",
        &[("servers/gone.toml", None), ("servers/far.toml", Some("id = 6\nowner = \"cyn\"\n"))],
    );
    let change = new_server("new", &[("memory", "2 GiB")]);
    let planned = house.plan("bob", &change);
    assert_eq!((planned.standing.clone(), planned.id), (Standing::Allowed, id(5)), "{:?}", planned.findings);
    assert_eq!(planned.summary, "servers/new: new");
    house.make("bob", &change);
    assert_eq!(house.text("servers/new.toml"), "id = 5\nowner = \"bob\"\nmemory = \"2 GiB\"\n");
    // What came since is known too, and what went.
    house.write("ann", &[("servers/new.toml", None)]);
    assert_eq!(house.plan("bob", &new_server("new2", &[])).id, id(7));
    house.write("ann", &[("servers/more.toml", Some("id = 7\nowner = \"ann\"\n"))]);
    assert_eq!(house.plan("bob", &new_server("new2", &[])).id, id(8));
}

#[test]
fn two_new_servers_never_get_one_id() {
    let house = House::new();
    let (one, other) = (new_server("new", &[]), new_server("other", &[]));
    let (first, second) = (house.plan("bob", &one), house.plan("cyn", &other));
    assert_eq!((first.id, second.id), (id(4), id(4)));
    assert!(matches!(house.commit("bob", &one, &first.digest), Committed::Made { .. }));
    let Committed::Changed { planned } = house.commit("cyn", &other, &second.digest) else { panic!() };
    assert_eq!(planned.id, id(5));
    assert!(matches!(house.commit("cyn", &other, &planned.digest), Committed::Made { .. }));
}

#[test]
fn without_another_id_an_owner_gets_one_of_their_own_back() {
    let mut files = super::FILES.to_vec();
    // Room for 13 servers.
    files[0].1 = "domain = \"h.example\"\n\n[quota]\nservers = 99\n\n[networks]\nusers = \"172.19.2.0/27\"\n";
    let house = House::holding(&files);
    let room = 32 - 16 - 1;
    let all: Vec<(String, String)> = (4..=room)
        .map(|n| {
            let owner = if n == 9 { "bob" } else { "cyn" };
            (
                format!("servers/s{n}.toml"),
                format!("id = {n}\nowner = \"{owner}\"\ncpus = 0.1\nmemory = \"64 MiB\"\n"),
            )
        })
        .collect();
    let written: Vec<(&str, Option<&str>)> =
        all.iter().map(|(path, text)| (path.as_str(), Some(text.as_str()))).collect();
    house.write("ann", &written);
    let removed: Vec<(&str, Option<&str>)> = all.iter().map(|(path, _)| (path.as_str(), None)).collect();
    house.write("ann", &removed);
    assert_eq!(house.plan("bob", &new_server("new", &[])).id, id(9));
    // An admin doesn't take somebody else's by accident.
    let planned = house.plan("ann", &new_server("new", &[]));
    assert_eq!((planned.standing, planned.id), (Standing::Refused, id(room + 1)));
    assert_eq!(planned.findings[0].field.as_deref(), Some("id"));
}
