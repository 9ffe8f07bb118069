//! `main` follows the forge.

use std::fs;

use super::{Bench, InTime as _, git, platform, until};

const OFTEN: &str = "poll = \"1s\"\n";

#[test]
fn the_poll_moves_main() {
    let bench = Bench::new(OFTEN);
    let follower = bench.follow();
    let first = bench.main();
    bench.until(|standing| standing.tip == Some(first.parse().unwrap()));
    bench.commit(&[("servers/blog.toml", "id = 2\nowner = \"ann\"\n")]);
    let tip = bench.push(&[("docs/welcome.md", "# Welcome\n")]);
    bench.until_main_is(&tip);
    let standing = bench.until(|standing| standing.tip == Some(tip.parse().unwrap()));
    assert!(standing.is_fine(), "{standing:#?}");
    assert!(bench.has("main:servers/blog.toml"));
    // The state repo is as whole as after a push, and what the fetch needed is gone.
    let whole = git(&bench.state).args(["fsck", "--strict", "--no-dangling"]).in_time();
    assert!(whole.status.success(), "{whole:?}");
    let log = git(&bench.state).args(["for-each-ref", "--format=%(refname)"]).in_time();
    assert_eq!(String::from_utf8_lossy(&log.stdout).trim(), "refs/heads/main");
    follower.end();
    let left: Vec<String> = fs::read_dir(bench.data().join("remote"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "lock" && name != "standing.json")
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn another_branch_can_be_the_one() {
    let bench = Bench::new("poll = \"1s\"\nbranch = \"release/live\"\n");
    let first = bench.main();
    bench.git(&["push", "--quiet", "origin", "HEAD:refs/heads/release/live"]);
    let _follower = bench.follow();
    bench.until(|standing| standing.tip == Some(first.parse().unwrap()));
    let ignored = bench.push(&[("docs/a.md", "a\n")]);
    let tip = bench.commit(&[("docs/b.md", "b\n")]);
    bench.git(&["push", "--quiet", "origin", "HEAD:refs/heads/release/live"]);
    bench.until_main_is(&tip);
    assert_ne!(ignored, tip);
}

#[test]
fn a_forge_that_is_down_is_waited_for() {
    let bench = Bench::new(OFTEN);
    let follower = bench.follow();
    let first = bench.main();
    bench.until(|standing| standing.tip == Some(first.parse().unwrap()));
    let tip = bench.push(&[("docs/a.md", "a\n")]);
    bench.until_main_is(&tip);

    let away = bench.folder.path().join("away.git");
    fs::rename(&bench.forge, &away).unwrap();
    let standing = bench.until(|standing| standing.trouble.is_some());
    let trouble = standing.trouble.unwrap();
    assert!(trouble.contains("`git ls-remote` failed"), "{trouble}");
    assert_eq!(bench.main(), tip, "a forge that is down is no empty forge");
    // Each wait is longer than the one before, and each failure is counted.
    until(|| follower.log().contains("failures=3"), || follower.log());

    fs::rename(&away, &bench.forge).unwrap();
    let later = bench.push(&[("docs/a.md", "b\n")]);
    bench.until_main_is(&later);
    assert!(bench.until(|standing| standing.trouble.is_none()).is_fine());
    assert!(follower.end().contains("the forge answers again"));
}

#[test]
fn a_new_forge_is_followed_from_the_commit_that_names_it() {
    let bench = Bench::new(OFTEN);
    let second = bench.folder.path().join("second.git");
    let made =
        git(bench.folder.path()).args(["clone", "--quiet", "--bare", "forge.git", "second.git"]).in_time();
    assert!(made.status.success());
    let _follower = bench.follow();
    let moves = bench.push(&[("platform.toml", &platform(&second, OFTEN))]);
    bench.until_main_is(&moves);
    // The forge that was left lags behind from now on, and nobody minds.
    let tip = bench.commit(&[("docs/a.md", "a\n")]);
    bench.git(&["push", "--quiet", second.to_str().unwrap(), "HEAD:main"]);
    bench.until_main_is(&tip);
    let standing = bench.until(|standing| standing.tip == Some(tip.parse().unwrap()));
    assert_eq!(standing.url, second.to_str().unwrap());
}

#[test]
fn without_a_forge_nothing_is_followed() {
    let bench = Bench::new(OFTEN);
    let mut follower = bench.follow();
    let tip = bench.push(&[("platform.toml", "domain = \"hosting.example.org\"\n")]);
    bench.until_main_is(&tip);
    // The process has nothing left to do, and ends well.
    assert!(follower.ended().success(), "{}", follower.log());
    assert!(follower.log().contains("platform.toml has no [remote]"));
}

#[test]
fn one_process_follows() {
    let bench = Bench::new(OFTEN);
    let _follower = bench.follow();
    bench.until(|standing| standing.tip.is_some());
    let second = bench.berth().arg("remote").in_time();
    assert!(!second.status.success());
    let words = super::said(&second);
    assert!(words.contains("another `berth remote` follows the forge already"), "{words}");
}
