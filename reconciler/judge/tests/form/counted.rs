//! Work of a look at proposals, counted: it grows with what they change, not with the state for each of them.

use std::ops::RangeInclusive;

use berth_judge::review::{Ask, Format, answer, propose};
use berth_repo::{Edit, Signature, StateRepo, Words, Worked};
use berth_schema::policy::Actor;

use super::House;

const PLATFORM: &str =
    "domain = \"h.example\"\n\n[networks]\nusers = \"10.0.0.0/8\"\n\n[quota]\nservers = 1\n";

/// A platform with so many members, each with a server.
fn house(members: usize) -> House {
    let mut files = vec![
        ("platform.toml".to_owned(), PLATFORM.to_owned()),
        ("users/ann.toml".to_owned(), "role = \"admin\"\n".to_owned()),
    ];
    for n in 1..=members {
        files.push((format!("users/m{n}.toml"), "role = \"user\"\n".to_owned()));
        files.push((format!("servers/s{n}.toml"), format!("id = {n}\nowner = \"m{n}\"\n")));
    }
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    House::holding(&files)
}

/// Opens two proposals of each of these members: one that adds a domain, and one that wants a server more than they may have.
fn proposals(repo: &StateRepo, members: RangeInclusive<usize>) {
    let main = repo.head().unwrap().unwrap();
    for n in members {
        let by = Signature::at(format!("m{n}"), format!("m{n}@h.example"), 1_700_000_000);
        let words = Words { author: &by, committer: &by, message: "a change\n" };
        let path = format!("domains/d{n}.h.example.toml");
        let tip =
            repo.write(Some(&main), &[Edit::write(path, format!("server = \"s{n}\"\n"))], &words).unwrap();
        propose(repo, &format!("d{n}").parse().unwrap(), tip, by.clone()).unwrap();
        let (path, text) = (format!("servers/t{n}.toml"), format!("id = {}\nowner = \"m{n}\"\n", 1_000 + n));
        let tip = repo.write(Some(&main), &[Edit::write(path, text)], &words).unwrap();
        propose(repo, &format!("t{n}").parse().unwrap(), tip, by).unwrap();
    }
}

/// Lists all proposals, and counts what was read for it.
fn listed(house: &House) -> (String, Worked) {
    // Nothing is known yet, of ids neither: the first list reads history, too.
    let repo = house.repo();
    let list = answer(&repo, Actor::Operator, &Ask::List, Format::Json, None).unwrap();
    assert!(list.good, "{}", list.text);
    (list.text, repo.memory().worked())
}

#[test]
fn a_list_reads_the_state_once_and_then_what_differs() {
    let house = house(30);
    let files = 2 + 2 * 30;
    let mut before = None;
    for (new, members) in [(1..=4, 4), (5..=8, 8)] {
        proposals(&house.repo(), new);
        let (text, worked) = listed(&house);
        let rows: serde_json::Value = serde_json::from_str(&text).unwrap();
        let rows = rows.as_array().unwrap();
        assert_eq!(rows.len(), 2 * members);
        let verdicts = |wanted: &str| rows.iter().filter(|row| row["standing"]["verdict"] == wanted).count();
        assert_eq!((verdicts("own"), verdicts("refused")), (members, members), "{text}");
        assert_eq!(worked.files, files + 2 * members as u64, "main once, and a file for each proposal");
        if let Some(before) = before.replace(worked.folders) {
            assert!(worked.folders <= 2 * before, "{before} folders, then {}", worked.folders);
        }
    }
}

#[test]
fn a_list_of_conflicts_reads_what_main_was_once() {
    let house = house(30);
    proposals(&house.repo(), 1..=8);
    // Each proposal's domain is on main by now, and leads elsewhere.
    let taken: Vec<String> = (1..=8).map(|n| format!("domains/d{n}.h.example.toml")).collect();
    let edits: Vec<(&str, Option<&str>)> =
        taken.iter().map(|path| (path.as_str(), Some("server = \"s9\"\n"))).collect();
    house.write("ann", &edits);
    let (text, worked) = listed(&house);
    assert_eq!(text.matches("\"conflicts\"").count(), 8, "{text}");
    assert!(worked.files <= 2 + 2 * 30 + 8 + 16, "{worked:?}");
}
