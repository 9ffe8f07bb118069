//! `berth invite`, by whoever has the host.

use std::path::Path;
use std::process::{Command as Process, Output};

use berth_testing::put;
use tempfile::TempDir;

fn berth(root: &Path, words: &[&str]) -> Output {
    let mut berth = Process::new(env!("CARGO_BIN_EXE_berth"));
    berth.env_clear().env("PATH", std::env::var_os("PATH").unwrap());
    berth.arg("--state").arg(root.join("state.git")).arg("--data").arg(root.join("data"));
    berth.args(words).output().unwrap()
}

fn made(platform: &str) -> TempDir {
    let home = TempDir::new().unwrap();
    let root = home.path();
    put(&root.join("first"), "platform.toml", platform);
    put(&root.join("first"), "users/ann.toml", "role = \"admin\"\n");
    let (state, first) = (root.join("state.git"), root.join("first"));
    let out = berth(root, &["init", state.to_str().unwrap(), "--from", first.to_str().unwrap()]);
    assert!(out.status.success(), "{out:?}");
    home
}

#[test]
fn the_first_admin_gets_a_link() {
    let home = made("domain = \"hosting.example.org\"\n[panel]\ndomain = \"panel.example.net\"\n");
    let out = berth(home.path(), &["invite", "ann"]);
    assert!(out.status.success(), "{out:?}");
    let link = String::from_utf8(out.stdout).unwrap();
    let secret = link.trim_end().strip_prefix("https://panel.example.net/invite/").unwrap();
    assert_eq!(secret.len(), 43);
    let kept = home.path().join("data/door/invitations");
    assert_eq!(std::fs::read_dir(&kept).unwrap().count(), 1);
    // Another one takes its place.
    assert!(berth(home.path(), &["invite", "ann"]).status.success());
    assert_eq!(std::fs::read_dir(&kept).unwrap().count(), 1);
    let out = berth(home.path(), &["invite", "bob"]);
    assert_eq!(out.status.code(), Some(1));
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(said.contains("users/bob.toml") && said.contains("role = \"admin\""), "{said}");
}

#[test]
fn without_a_panel_there_is_nothing_to_get_into() {
    let home = made("domain = \"hosting.example.org\"\n");
    let out = berth(home.path(), &["invite", "ann"]);
    assert_eq!(out.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&out.stderr).contains("`[panel]`"), "{out:?}");
    assert!(!home.path().join("data/door").exists());
}

#[test]
fn people_of_a_list_become_members_by_one_commit_and_get_a_link_each() {
    let home = made("domain = \"hosting.example.org\"\n[panel]\ndomain = \"panel.example.net\"\n");
    let root = home.path();
    let list = root.join("list.csv");
    let invite = |words: &[&str]| {
        let out = berth(root, &[&["invite", "--from", list.to_str().unwrap()], words].concat());
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (out.status.code(), text(out.stdout), text(out.stderr))
    };
    let commits = || {
        let out = Process::new("git")
            .arg("-C")
            .arg(root.join("state.git"))
            .args(["log", "--format=%s", "main"])
            .output();
        String::from_utf8(out.unwrap().stdout).unwrap()
    };
    let before = commits();

    // A value that the schema refuses is told with its place, and nobody becomes anything.
    put(root, "list.csv", "name,email,role\nann,,\nbob,bob@example.org,\neve,nonsense,boss\n");
    let (code, _, said) = invite(&[]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("users/eve.toml:1:") && said.contains("nothing was changed"), "{said}");
    put(root, "list.csv", "name,email\nann,\nbob,bob@example.org\ncyn,\n");
    let (code, shown, said) = invite(&["--dry-run"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("users/bob.toml +1 -0") && !shown.contains("/invite/"), "{said}");
    assert_eq!(commits(), before);
    assert!(!root.join("data/door").exists());

    let (code, shown, said) = invite(&[]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(commits(), format!("users: 2 new members from a list\n{before}"));
    let links: Vec<&str> = shown.lines().filter(|line| line.contains("/invite/")).collect();
    assert_eq!(links.len(), 3, "{shown}");
    assert!(links[1].starts_with("bob,bob@example.org,https://panel.example.net/invite/"), "{shown}");
    // Again: they are members, and get other links.
    let (code, again, _) = invite(&[]);
    assert_eq!((code, commits()), (Some(0), format!("users: 2 new members from a list\n{before}")));
    assert_ne!(again, shown);
    let kept = root.join("data/door/invitations");
    assert_eq!(std::fs::read_dir(&kept).unwrap().count(), 3);
}

#[test]
fn a_list_is_mailed_where_mails_are_sent() {
    // Nothing listens there.
    let mail = "[mail]\nserver = \"localhost\"\nport = 9\ntls = \"off\"\nfrom = \"hosting@example.org\"\n";
    let home =
        made(&format!("domain = \"hosting.example.org\"\n[panel]\ndomain = \"panel.example.net\"\n{mail}"));
    let root = home.path();
    put(root, "list.csv", "name,email\nann,\nbob,bob@example.org\ncyn,cyn@example.org\n");
    let out = berth(root, &["invite", "--from", root.join("list.csv").to_str().unwrap()]);
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success(), "{said}");
    assert!(said.contains("2 mails on their way") && said.contains("1 of them have no `email`"), "{said}");
    assert_eq!(std::fs::read_dir(root.join("data/door/mail")).unwrap().count(), 2);
    // One that is invited anew has the newer link alone.
    let out = berth(root, &["invite", "bob"]);
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(said.contains("A mail with it is on its way to b…@example.org."), "{said}");
    assert_eq!(std::fs::read_dir(root.join("data/door/mail")).unwrap().count(), 2);

    // A spool that isn't a folder takes none, which isn't told as if nobody had an address.
    let spool = root.join("data/door/mail");
    std::fs::rename(&spool, root.join("elsewhere")).unwrap();
    std::os::unix::fs::symlink(root.join("elsewhere"), &spool).unwrap();
    let out = berth(root, &["invite", "--from", root.join("list.csv").to_str().unwrap()]);
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(said.contains("1 of them have no `email`") && said.contains("2 mails couldn't be put"), "{said}");
    assert_eq!(std::fs::read_dir(root.join("elsewhere")).unwrap().count(), 2);

    let out = berth(root, &["mail", "test", "ann@example.org"]);
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(
        !out.status.success() && said.contains("localhost:9 can't be reached") && said.contains("hint: "),
        "{said}"
    );
}
