//! Waiting in line: who waits hears of it, who reads doesn't wait, and nobody waits for the dead.

use std::fs;
use std::thread;

use berth_schema::door::Command;
use berth_testing::until;
use rustix::process::{Pid, Signal, kill_process};

use super::house::{House, domain};

/// The hooks `pre-receive` of a member that run now.
fn hooks_of(name: &str) -> Vec<Pid> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<i32>() else { continue };
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if line.trim_end().ends_with(&format!("hook pre-receive --view {name}")) {
            found.extend(Pid::from_raw(pid));
        }
    }
    found
}

#[test]
fn reading_never_waits_and_pushes_hear_their_place() {
    let house = House::of(3, &[]);
    let (one, two) = (house.person("u1"), house.person("u2"));
    one.commit("domains/a.apps.example.org.toml", &domain(1), "a domain of u1");
    two.commit("domains/b.apps.example.org.toml", &domain(2), "a domain of u2");
    let turn = house.turn();
    thread::scope(|scope| {
        let first = scope.spawn(|| one.push("main"));
        until("the first push is in line", || house.in_line() == 2);
        let second = scope.spawn(|| two.push("main"));
        until("the second push is in line", || house.in_line() == 3);
        // All this ends while nobody gets a turn.
        house.person("u3").git(&["fetch", "--quiet"]);
        one.git(&["fetch", "--quiet"]);
        assert_eq!(house.bridge.ask("u3", Command::ReviewList).code, Some(0));
        let said = house.bridge.ask("u3", Command::Lobby("ls".parse().unwrap()));
        assert_eq!(said.code, Some(0), "{said:?}");
        assert_eq!(house.in_line(), 3);
        drop(turn);
        first.join().unwrap().accepted(&["remote: Waiting: 1 change is before yours."]);
        let second = second.join().unwrap();
        second.accepted(&["remote: Waiting: 2 changes are before yours."]);
    });
    assert_eq!(house.in_line(), 0);
}

#[test]
fn nobody_waits_for_a_push_that_was_killed() {
    let house = House::of(2, &[]);
    let (one, two) = (house.person("u1"), house.person("u2"));
    one.commit("domains/a.apps.example.org.toml", &domain(1), "a domain of u1");
    two.commit("domains/b.apps.example.org.toml", &domain(2), "a domain of u2");
    let turn = house.turn();
    thread::scope(|scope| {
        let first = scope.spawn(|| one.push("main"));
        until("the first push is in line", || house.in_line() == 2);
        let second = scope.spawn(|| two.push("main"));
        until("the second push is in line", || house.in_line() == 3);
        let hooks = hooks_of("u1");
        assert_eq!(hooks.len(), 1);
        kill_process(hooks[0], Signal::KILL).unwrap();
        first.join().unwrap().refused(&["pre-receive hook declined"]);
        drop(turn);
        second.join().unwrap().accepted(&[]);
    });
    // They push again as if nothing had been.
    one.push("main").accepted(&["combined with 1 commit of others"]);
    assert_eq!(house.in_line(), 0);
}

/// The lobby's changes wait in the same line.
#[test]
fn changes_without_git_wait_in_the_same_line() {
    let house = House::of(2, &[]);
    let turn = house.turn();
    thread::scope(|scope| {
        let set = Command::Lobby("set u1 memory=2GiB --no-wait".parse().unwrap());
        let change = scope.spawn(|| house.bridge.ask("u1", set));
        until("the change is in line", || house.in_line() == 2);
        drop(turn);
        let said = change.join().unwrap();
        assert_eq!(said.code, Some(0), "{said:?}");
        assert!(said.error.contains("Waiting: 1 change is before yours."), "{said:?}");
    });
    let text = house.read("servers/u1.toml");
    assert!(text.contains("memory = \"2GiB\""), "{text}");
}

/// The log of what runs for somebody is the door's, at any level.
#[test]
fn the_log_of_a_push_goes_to_the_doors_log_alone() {
    let house = House::of(1, &[("BERTH_LOG", "debug")]);
    let person = house.person("u1");
    person.commit("domains/a.apps.example.org.toml", &domain(1), "a domain of u1");
    let push = person.push("main");
    push.accepted(&["a.apps.example.org → u1, port 80"]);
    let heard = format!("{}{}", push.text, house.bridge.heard("u1"));
    for word in ["TRACE", "DEBUG", "INFO", "WARN", "a push into a view is accepted", "state loaded"] {
        assert!(!heard.contains(word), "`{word}` in\n{heard}");
    }
    until("the door has logged it", || house.log().contains("a push into a view is accepted"));
}
