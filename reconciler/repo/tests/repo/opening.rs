//! Repositories that open, and the errors about those that don't.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use berth_repo::{Error, Source, StateRepo};
use tempfile::TempDir;

use crate::git::{Git, attempt, git};

fn refusal(path: &Path) -> Error {
    StateRepo::open(path).err().expect("must not open")
}

#[test]
fn a_new_repository_is_bare_and_points_at_main() {
    let state = Git::new();
    assert_eq!(git(&state.bare, &["rev-parse", "--is-bare-repository"]), "true");
    assert_eq!(git(&state.bare, &["symbolic-ref", "HEAD"]), "refs/heads/main");
    assert_eq!(git(&state.bare, &["config", "core.logAllRefUpdates"]), "always");
    assert!(!state.bare.join("hooks/pre-receive").exists());
    assert_eq!(state.open().head().unwrap(), None);
    let output = attempt(&state.bare, &["status"]);
    assert!(!String::from_utf8_lossy(&output.stderr).contains("warning"), "the settings are git's own");
}

#[test]
fn a_new_repository_never_replaces_one() {
    let (state, first) = Git::with_state();
    assert!(matches!(StateRepo::init(&state.bare), Err(Error::Exists { .. })));
    assert_eq!(state.open().head().unwrap(), Some(first));
}

#[test]
fn history_can_be_neither_rewritten_nor_deleted_by_a_push() {
    let (state, first) = Git::with_state();
    git(&state.work, &["commit", "--quiet", "--amend", "--message", "another past"]);
    assert!(!attempt(&state.work, &["push", "--force", "origin", "main"]).status.success());
    assert!(!attempt(&state.work, &["push", "origin", ":main"]).status.success());
    assert_eq!(state.open().head().unwrap(), Some(first));
}

#[test]
fn a_work_tree_opens_at_its_git_folder() {
    let (state, first) = Git::with_state();
    let repo = StateRepo::open(&state.work).unwrap();
    assert_eq!(repo.head().unwrap(), Some(first));
    assert_eq!(repo.git_dir(), state.work.join(".git"));
    assert_eq!(StateRepo::open(&state.work.join(".git")).unwrap().head().unwrap(), Some(first));
}

#[test]
fn a_linked_work_tree_opens_too() {
    let (state, first) = Git::with_state();
    git(&state.work, &["worktree", "add", "--quiet", "../linked", "-b", "proposal"]);
    let mut repo = StateRepo::open(&state.work.join("../linked")).unwrap();
    assert_eq!(repo.head().unwrap(), Some(first));
    assert_eq!(repo.load(&first).unwrap().files, 9);
}

#[test]
fn uncommitted_files_of_a_work_tree_are_not_seen() {
    let (state, first) = Git::with_state();
    state.write("users/new.toml", "email = \"new@example.org\"\n");
    assert_eq!(StateRepo::open(&state.work).unwrap().load(&first).unwrap().files, 9);
}

#[test]
fn a_source_is_told_apart_by_what_lies_there() {
    let (state, _) = Git::with_state();
    let plain = TempDir::new().unwrap();
    assert_eq!(Source::of(&state.bare).unwrap(), Source::Bare);
    assert_eq!(Source::of(&state.work).unwrap(), Source::WorkTree { git_dir: state.work.join(".git") });
    assert_eq!(Source::of(plain.path()).unwrap(), Source::Directory);
    assert!(matches!(Source::of(&plain.path().join("gone")), Err(Error::Missing { .. })));
}

#[test]
fn what_is_no_repository_is_called_so() {
    let plain = TempDir::new().unwrap();
    assert!(matches!(refusal(plain.path()), Error::NotARepository { .. }));
    assert!(matches!(refusal(&plain.path().join("gone")), Error::Missing { .. }));
}

#[test]
fn a_sha256_repository_is_refused_by_name() {
    let folder = TempDir::new().unwrap();
    git(folder.path(), &["init", "--quiet", "--bare", "--object-format=sha256", "long.git"]);
    let error = refusal(&folder.path().join("long.git"));
    assert!(error.to_string().contains("SHA256 object ids"), "{error}");
}

#[test]
fn a_reftable_repository_is_refused_by_name() {
    let folder = TempDir::new().unwrap();
    let made = attempt(folder.path(), &["init", "--quiet", "--bare", "--ref-format=reftable", "table.git"]);
    assert!(made.status.success(), "needs git 2.45 or newer");
    let error = refusal(&folder.path().join("table.git"));
    assert!(error.to_string().contains("the reftable ref format"), "{error}");
}

#[test]
fn a_repository_of_another_user_opens() {
    let (state, first) = Git::with_state();
    let mine = rustix::process::geteuid();
    // Only root can give a folder away; for anybody else this is the ordinary case of one owner.
    if mine.is_root() {
        std::os::unix::fs::chown(&state.bare, Some(12345), Some(12345)).unwrap();
    }
    assert_eq!(state.open().head().unwrap(), Some(first));
}

#[test]
fn a_push_that_is_not_accepted_can_be_read() {
    let state = Git::new();
    for id in 0..700 {
        state.write(&format!("servers/s{id}.toml"), format!("id = {id}\n"));
    }
    let hook = state.bare.join("hooks/pre-receive");
    fs::create_dir_all(hook.parent().unwrap()).unwrap();
    fs::write(&hook, "#!/bin/sh\ncp -r \"$GIT_QUARANTINE_PATH\" kept\nexit 1\n").unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    let pushed = state.commit("through the hook");
    assert!(!attempt(&state.work, &["push", "--quiet", "origin", "main"]).status.success());
    assert!(state.open().load(&pushed).is_err(), "it is among the objects");
    let mut repo = StateRepo::open_beside(&state.bare, &state.bare.join("kept")).unwrap();
    assert_eq!(repo.head().unwrap(), None, "main has moved");
    let loaded = repo.load(&pushed).unwrap();
    assert_eq!((loaded.files, loaded.parsed_again), (700, 700));
}
