//! Pushes at the same moment.

use std::sync::Barrier;
use std::thread;

use berth_testing::within;

use super::house::{House, LONG, Person, Ran, domain};
use super::memory::{held_by, peak};

const MEMBERS: usize = 20;

/// Lets everybody push a domain of theirs at the same moment.
fn all_push(people: &[Person<'_>], to: impl Fn(usize) -> String + Sync) -> Vec<Ran> {
    let start = Barrier::new(people.len());
    thread::scope(|scope| {
        let pushes = people.iter().zip(1..).map(|(person, n)| {
            let (start, to) = (&start, &to);
            scope.spawn(move || {
                let path = format!("domains/a{n}.apps.example.org.toml");
                person.commit(&path, &domain(n), &format!("a domain of u{n}"));
                start.wait();
                person.push(&to(n))
            })
        });
        let pushes: Vec<_> = pushes.collect();
        pushes.into_iter().map(|push| push.join().unwrap()).collect()
    })
}

fn people(house: &House) -> Vec<Person<'_>> {
    (1..=MEMBERS).map(|n| house.person(&format!("u{n}"))).collect()
}

/// Asserts that everybody's commit is on `main` once, and that each clone gets there by a mere fast-forward.
fn all_are_in(house: &House, people: &[Person<'_>]) {
    let subjects = house.subjects();
    for (person, n) in people.iter().zip(1..) {
        assert_eq!(subjects.get(&format!("a domain of u{n}")), Some(&1), "u{n}: {subjects:?}");
        assert_eq!(house.read(&format!("domains/a{n}.apps.example.org.toml")), domain(n).trim_end());
        person.git(&["pull", "--quiet", "--ff-only", "origin", "main"]);
    }
}

#[test]
fn pushes_at_the_same_moment_are_all_in_at_the_first_try() {
    let house = House::of(MEMBERS, &[]);
    let people = people(&house);
    let pushes = all_push(&people, |_| "main".to_owned());
    let refused: Vec<&Ran> = pushes.iter().filter(|push| !push.good).collect();
    assert!(refused.is_empty(), "{} of {MEMBERS} were refused: {refused:?}", refused.len());
    all_are_in(&house, &people);
    assert_eq!(house.in_line(), 0);
}

/// However many wait, one of them judges: no more memory is taken than by those who wait and a push that is alone.
#[test]
fn a_crowd_holds_little_more_memory_than_one_who_pushes_alone() {
    let house = House::of(MEMBERS + 150, &[]);
    let people = people(&house);
    let alone = house.person("u21");
    alone.commit("domains/alone.apps.example.org.toml", &domain(21), "a domain of u21");
    let idle = held_by(house.door());
    let (push, with_one) = peak(house.door(), || alone.push("main"));
    push.accepted(&[]);
    let one = with_one.saturating_sub(idle);
    assert!(one > 1 << 20, "a push takes some memory, and not {one} bytes");

    let turn = house.turn();
    thread::scope(|scope| {
        let pushes = scope.spawn(|| all_push(&people, |_| "main".to_owned()));
        within(LONG, "all are in line", || (house.in_line() == MEMBERS + 1).then_some(()));
        let waiting = held_by(house.door());
        drop(turn);
        let (pushes, most) = peak(house.door(), || pushes.join().unwrap());
        pushes.iter().for_each(|push| push.accepted(&[]));
        let more = most.saturating_sub(waiting);
        eprintln!("alone {one}, waiting {}, judging {more} bytes more", waiting.saturating_sub(idle));
        // Two more may be about to end.
        assert!(
            more < 3 * one,
            "{MEMBERS} took {more} bytes more than those who wait, and one alone takes {one}"
        );
    });
    all_are_in(&house, &people);
}

#[test]
fn proposals_of_ones_own_at_the_same_moment_are_all_merged() {
    let house = House::of(MEMBERS, &[]);
    let people = people(&house);
    let pushes = all_push(&people, |n| format!("review/a{n}"));
    for push in &pushes {
        push.accepted(&["merges itself", "is merged: main is at"]);
    }
    all_are_in(&house, &people);
    assert_eq!(house.git(&["for-each-ref", "refs/heads/review/", "refs/berth/review/"]), "");
}
