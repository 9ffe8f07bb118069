//! Main moves between what was shown and the commit.

use std::sync::Barrier;

use berth_wire::web::{Committed, Standing};

use super::{House, server};

#[test]
fn nothing_else_is_committed_than_what_was_shown() {
    let house = House::new();
    let change = server("two", &[("cpus", "", "2")]);
    let planned = house.plan("bob", &change);
    let tip = house.tip();
    let other = server("two", &[("cpus", "", "3")]);
    for (change, digest) in [(&other, planned.digest.as_str()), (&change, ""), (&change, "0")] {
        let Committed::Changed { planned: shown } = house.commit("bob", change, digest) else { panic!() };
        assert_eq!(shown.standing, Standing::Allowed);
    }
    assert_eq!(house.tip(), tip);
    // What is shown of one question is the same however often it is asked.
    assert_eq!(house.plan("bob", &change).digest, planned.digest);
    assert_ne!(house.plan("bob", &other).digest, planned.digest);
}

#[test]
fn what_comes_to_the_same_is_committed_on_top_of_what_others_did() {
    let house = House::new();
    let change = server("two", &[("cpus", "", "2")]);
    let planned = house.plan("bob", &change);
    let theirs = house.write("cyn", &[("docs/welcome.md", Some("# Hello\n"))]);
    let Committed::Made { revision } = house.commit("bob", &change, &planned.digest) else { panic!() };
    assert_eq!(house.repo().commit_info(&revision).unwrap().parents, [theirs]);
    assert_eq!(house.text("docs/welcome.md"), "# Hello\n");
}

#[test]
fn what_comes_to_something_else_is_shown_again() {
    let house = House::new();
    let change = server("two", &[("cpus", "", "2")]);
    let planned = house.plan("bob", &change);
    let theirs = house.write("cyn", &[("servers/two.toml", Some("id = 2\nowner = \"bob\"\ncpus = 4\n"))]);
    let Committed::Changed { planned: again } = house.commit("bob", &change, &planned.digest) else {
        panic!()
    };
    assert!(matches!(again.standing, Standing::Conflict { .. }));
    // So is one that isn't theirs to make by now.
    house.write("cyn", &[("servers/two.toml", Some("id = 2\nowner = \"cyn\"\n"))]);
    let Committed::Changed { planned: again } = house.commit("bob", &change, &planned.digest) else {
        panic!()
    };
    assert_eq!(again.standing, Standing::Refused);
    assert_ne!(house.tip(), theirs);
    assert_eq!(house.text("servers/two.toml"), "id = 2\nowner = \"cyn\"\n");
}

/// Eight people at once, each with a file of their own and all with one digest each: nobody's change is lost.
#[test]
fn changes_at_the_same_time_are_all_made() {
    let servers: Vec<(String, String)> = (0..4)
        .map(|n| (format!("servers/s{n}.toml"), format!("id = {}\nowner = \"ann\"\ncpus = 0.1\n", n + 10)))
        .collect();
    let mut files = super::FILES.to_vec();
    files[0].1 = "domain = \"h.example\"\n\n[quota]\nservers = 99\n";
    files.extend(servers.iter().map(|(path, text)| (path.as_str(), text.as_str())));
    let house = House::holding(&files);
    let before = house.tip();
    let barrier = Barrier::new(servers.len());
    std::thread::scope(|scope| {
        for n in 0..servers.len() {
            let (house, barrier) = (&house, &barrier);
            scope.spawn(move || {
                let change = server(&format!("s{n}"), &[("cpus", "0.1", "0.2")]);
                let mut digest = house.plan("ann", &change).digest;
                barrier.wait();
                loop {
                    match house.commit("ann", &change, &digest) {
                        Committed::Made { .. } => break,
                        Committed::Changed { planned } => digest = planned.digest,
                        sent @ Committed::Sent { .. } => panic!("{sent:?}"),
                    }
                }
            });
        }
    });
    assert_eq!(house.repo().commits(&house.tip(), Some(&before), 99).unwrap().len(), servers.len());
    for (path, _) in &servers {
        assert!(house.text(path).contains("cpus = 0.2"));
    }
}
