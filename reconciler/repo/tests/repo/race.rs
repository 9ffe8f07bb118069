//! Many writers at once: threads through Berth, `git push`, and the housekeeping of git. No commit is ever lost.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use berth_repo::{Edit, Error, StateRepo};

use crate::git::{Git, ada, attempt, command, door, git, words};

/// Writes one file until it is in.
fn insist(repo: &StateRepo, path: &str) {
    loop {
        let base = repo.head().unwrap();
        let edits = [Edit::write(path, format!("# {path}\n"))];
        match repo.commit(base.as_ref(), &edits, &words(&ada(), &door(), path)) {
            Ok(_) => return,
            Err(Error::Moved { .. }) => {}
            Err(error) => panic!("{path}: {error:?}"),
        }
    }
}

fn commits(state: &Git) -> usize {
    git(&state.bare, &["rev-list", "--count", "main"]).parse().unwrap()
}

#[test]
fn of_eight_first_commits_one_wins() {
    let state = Git::new();
    let start = Barrier::new(8);
    let wins: usize = thread::scope(|scope| {
        let writers: Vec<_> = (0..8)
            .map(|n| {
                let (state, start) = (&state, &start);
                scope.spawn(move || {
                    let repo = state.open();
                    start.wait();
                    let edits = [Edit::write(format!("users/u{n}.toml"), "x = 1\n")];
                    match repo.commit(None, &edits, &words(&ada(), &door(), "first")) {
                        Ok(_) => 1,
                        Err(Error::Moved { expected: None, actual: Some(_) }) => 0,
                        Err(error) => panic!("{error:?}"),
                    }
                })
            })
            .collect();
        writers.into_iter().map(|writer| writer.join().unwrap()).sum()
    });
    assert_eq!(wins, 1);
    assert_eq!(commits(&state), 1);
    state.check();
}

#[test]
fn eight_threads_lose_no_commit() {
    let (state, _) = Git::with_state();
    thread::scope(|scope| {
        for n in 0..8 {
            let state = &state;
            scope.spawn(move || {
                let repo = state.open();
                (0..20).for_each(|m| insist(&repo, &format!("servers/t{n}-{m}.toml")));
            });
        }
    });
    assert_eq!(commits(&state), 1 + 8 * 20);
    let mut repo = state.open();
    let tip = repo.head().unwrap().unwrap();
    assert_eq!(repo.load(&tip).unwrap().files, 9 + 8 * 20);
    assert_eq!(git(&state.bare, &["reflog", "show", "main"]).lines().count(), 1 + 8 * 20);
    state.check();
}

#[test]
fn threads_and_pushes_and_housekeeping_lose_no_commit() {
    let (state, _) = Git::with_state();
    let done = AtomicBool::new(false);
    let refused = thread::scope(|scope| {
        let housekeeping = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                // Either may find its own lock taken; that is its loss and nobody else's.
                attempt(&state.bare, &["pack-refs", "--all", "--prune"]);
                attempt(&state.bare, &["gc", "--quiet"]);
            }
        });
        let writers: Vec<_> = (0..2)
            .map(|n| {
                let state = &state;
                scope.spawn(move || {
                    let repo = state.open();
                    (0..30).for_each(|m| insist(&repo, &format!("servers/t{n}-{m}.toml")));
                })
            })
            .collect();
        let refused: usize = (0..15).map(|n| push(&state, n)).sum();
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        done.store(true, Ordering::Relaxed);
        housekeeping.join().unwrap();
        refused
    });
    assert_eq!(commits(&state), 1 + 60 + 15, "{refused} pushes were refused and repeated");
    let mut repo = state.open();
    let tip = repo.head().unwrap().unwrap();
    assert_eq!(repo.load(&tip).unwrap().files, 9 + 60 + 15);
    state.check();
}

/// Commits a file by git and pushes it, on top of whatever is there, until it is in. Returns the refusals on the way.
fn push(state: &Git, n: usize) -> usize {
    state.write(&format!("users/pushed{n}.toml"), "x = 1\n");
    state.commit("pushed");
    let mut refused = 0;
    while !attempt(&state.work, &["push", "--quiet", "origin", "main"]).status.success() {
        refused += 1;
        assert!(
            command(&state.work)
                .args(["pull", "--quiet", "--rebase", "origin", "main"])
                .status()
                .unwrap()
                .success()
        );
    }
    refused
}
