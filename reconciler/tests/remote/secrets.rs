//! `berth secret` and `berth doctor`, and secrets that lie where they were kept before.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::process::{Output, Stdio};

use serde_json::Value;

use super::{Bench, said};

const WEBHOOK: &str = "poll = \"1s\"\nforge = \"forgejo\"\nlisten = \"127.0.0.1:0\"\n";

/// Runs `berth` with `input` on its standard input.
fn told(bench: &Bench, words: &[&str], input: &str) -> Output {
    let mut berth = bench.berth();
    let mut child = berth
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn a_secret_is_stored_listed_checked_and_removed() {
    let bench = Bench::new(WEBHOOK);
    let run = |words: &[&str], input: &str| {
        let output = told(&bench, words, input);
        assert!(!said(&output).contains("letters!"), "{}", said(&output));
        (output.status.code().unwrap(), said(&output))
    };
    let (code, words) = run(&["doctor", "--secrets"], "");
    assert_eq!(code, 2, "{words}");
    assert!(
        words.contains(
            "MISSING  forge-webhook (remote.webhook_secret): without it, the webhook doesn't listen"
        )
    );
    assert!(words.contains("absent   forge-token (remote.token)"), "{words}");

    let (code, words) = run(&["secret", "set", "forge-webhook"], "too short");
    assert!(code == 1 && words.contains("it is not 16 characters or more"), "{words}");
    for (input, why) in [("", "an empty secret"), ("\n", "an empty secret")] {
        let (code, words) = run(&["secret", "set", "forge-webhook"], input);
        assert!(code == 1 && words.contains(why), "{words}");
    }
    let (code, words) = run(&["secret", "set", "Forge_Webhook"], "sixteen letters!");
    assert!(code == 1 && words.contains("1 to 25 lower-case letters"), "{words}");
    let (code, words) = run(&["secret", "set", "forge-webhook"], "sixteen letters!\n");
    assert!(code == 0 && words.contains("`remote.webhook_secret` in platform.toml refers to it"), "{words}");
    let (code, words) = run(&["secret", "set", "another"], "sixteen letters!\nand a line\n");
    assert!(code == 0 && words.contains("nothing in the state refers to it"), "{words}");

    let at = |name: &str| bench.data().join("secrets").join(name);
    assert_eq!(fs::read_to_string(at("forge-webhook")).unwrap(), "sixteen letters!\n");
    assert_eq!(fs::metadata(at("forge-webhook")).unwrap().mode() & 0o7777, 0o600);
    assert_eq!(fs::metadata(at("")).unwrap().mode() & 0o7777, 0o700);
    let (_, words) = run(&["secret", "list", "--json"], "");
    let list: Value = serde_json::from_str(&words).unwrap();
    assert_eq!(list[0]["name"], "another");
    assert_eq!(list[1]["used_by"][0], "remote.webhook_secret");
    assert!(run(&["secret", "list"], "").1.contains("remote.webhook_secret"));
    assert_eq!(run(&["doctor", "--secrets"], "").0, 0);

    fs::set_permissions(at("forge-webhook"), fs::Permissions::from_mode(0o644)).unwrap();
    let (code, words) = run(&["doctor", "--secrets"], "");
    assert!(code == 2 && words.contains("others on this machine can read it (mode 644)"), "{words}");

    let (code, words) = run(&["secret", "remove", "forge-webhook"], "");
    assert!(code == 1 && words.contains("`remote.webhook_secret` in platform.toml refers to it"), "{words}");
    assert_eq!(run(&["secret", "remove", "another"], "").0, 0);
    assert_eq!(run(&["secret", "remove", "forge-webhook", "--force"], "").0, 0);
    assert_eq!(run(&["secret", "remove", "forge-webhook", "--force"], "").0, 1);
    assert_eq!(fs::read_dir(at("")).unwrap().count(), 0);
}

#[test]
fn secrets_move_to_their_new_place_once() {
    let bench = Bench::new(WEBHOOK);
    let old = bench.data().join("remote");
    fs::create_dir_all(&old).unwrap();
    let put = |file: &str, text: &str| {
        fs::write(old.join(file), text).unwrap();
        fs::set_permissions(old.join(file), fs::Permissions::from_mode(0o600)).unwrap();
    };
    put("webhook-secret", "sixteen letters!\n");
    put("token", "s3cret\n");
    let doctor = told(&bench, &["doctor", "--secrets"], "");
    assert!(said(&doctor).contains("remote/webhook-secret: `berth remote` moves it"), "{}", said(&doctor));
    let follower = bench.follow();
    bench.until(|standing| standing.listening.is_some());
    let log = follower.end();
    let moved = log.lines().filter(|line| line.contains("a secret was moved to its new place"));
    assert_eq!(moved.count(), 2, "{log}");
    let at = |name: &str| bench.data().join("secrets").join(name);
    assert_eq!(fs::read_to_string(at("forge-webhook")).unwrap(), "sixteen letters!\n");
    assert_eq!(fs::read_to_string(at("forge-token")).unwrap(), "s3cret\n");
    assert!(!old.join("token").exists() && !old.join("webhook-secret").exists());

    // One in both places is for somebody to choose.
    put("token", "another\n");
    let mut follower = bench.follow();
    assert!(!follower.ended().success());
    assert!(follower.log().contains("remote/token to "), "{}", follower.log());
    assert!(bench.standing().trouble.unwrap().contains("remove the one that is out of date"));
    assert_eq!(fs::read_to_string(at("forge-token")).unwrap(), "s3cret\n");
    assert_eq!(fs::read_to_string(old.join("token")).unwrap(), "another\n");
}

#[test]
fn the_state_says_which_secret_is_meant() {
    let bench = Bench::new(&format!("{WEBHOOK}webhook_secret = \"bell\"\n"));
    let set = told(&bench, &["secret", "set", "bell"], "too short");
    assert!(said(&set).contains("it is not 16 characters or more"), "{}", said(&set));
    told(&bench, &["secret", "set", "bell"], "sixteen letters!");
    let _follower = bench.follow();
    bench.until(|standing| standing.listening.is_some());
}
