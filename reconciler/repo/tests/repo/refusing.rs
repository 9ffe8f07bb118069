//! Entries of a commit that are no plain text files: each is a finding, never read, never followed.

use berth_repo::LARGEST_FILE;
use berth_schema::{Finding, Severity};

use crate::git::{Git, git};

/// The findings about `path` after committing `change`.
fn findings(path: &str, change: impl FnOnce(&Git)) -> Vec<Finding> {
    let (state, _) = Git::with_state();
    change(&state);
    let revision = state.push("change");
    let loaded = state.open().load(&revision).unwrap();
    assert_eq!(loaded.source(path), None);
    loaded.findings().iter().filter(|finding| &*finding.path == path).cloned().collect()
}

fn only(findings: Vec<Finding>) -> (Severity, String) {
    let [finding] = findings.as_slice() else { panic!("not one finding: {findings:?}") };
    assert!(finding.hint.is_some());
    (finding.severity, finding.message.clone())
}

#[test]
fn a_symbolic_link_is_not_followed() {
    let found = findings("servers/s9.toml", |state| {
        std::os::unix::fs::symlink("/etc/passwd", state.work.join("servers/s9.toml")).unwrap();
    });
    let (severity, message) = only(found);
    assert_eq!(severity, Severity::Error);
    assert!(message.contains("symbolic link"), "{message}");
}

#[test]
fn a_folder_that_is_a_link_is_not_followed() {
    let found = findings("domains", |state| {
        std::os::unix::fs::symlink("servers", state.work.join("domains")).unwrap();
    });
    assert_eq!(only(found).0, Severity::Error);
}

#[test]
fn a_submodule_is_not_followed() {
    let found = findings("servers/module", |state| {
        let commit = git(&state.work, &["rev-parse", "HEAD"]);
        let entry = format!("160000,{commit},servers/module");
        git(&state.work, &["update-index", "--add", "--cacheinfo", &entry]);
        std::fs::create_dir(state.work.join("servers/module")).unwrap();
        git(&state.work, &["commit", "--quiet", "--message", "module"]);
        git(&state.work, &["update-index", "--skip-worktree", "servers/module"]);
    });
    assert!(only(found).1.contains("submodule"));
}

#[test]
fn bytes_that_are_not_text_are_refused() {
    let found = findings("servers/s9.toml", |state| state.write("servers/s9.toml", b"id = \xff\xfe\n"));
    assert!(only(found).1.contains("UTF-8"));
}

#[test]
fn a_file_above_the_limit_is_refused_and_one_at_the_limit_is_read() {
    let comment = |bytes: usize| format!("#{}\n", "x".repeat(bytes - 2));
    let found =
        findings("servers/s9.toml", |state| state.write("servers/s9.toml", comment(LARGEST_FILE + 1)));
    assert!(only(found).1.contains("1048577 bytes"));

    let (state, _) = Git::with_state();
    state.write("servers/s9.toml", comment(LARGEST_FILE));
    let revision = state.push("at the limit");
    let loaded = state.open().load(&revision).unwrap();
    let too_large = |finding: &Finding| finding.message.contains("bytes, more than");
    assert!(!loaded.findings().iter().any(too_large), "{:?}", loaded.findings());
}

#[test]
fn a_name_that_is_not_text_is_refused() {
    use std::os::unix::ffi::OsStrExt;
    let found = findings("servers/s\u{fffd}.toml", |state| {
        let name = std::ffi::OsStr::from_bytes(b"servers/s\xff.toml");
        std::fs::write(state.work.join(name), "id = 9\n").unwrap();
    });
    assert!(only(found).1.contains("name"));
}

#[test]
fn folders_without_end_are_refused() {
    let (state, _) = Git::with_state();
    state.write(&format!("servers/{}x.toml", "d/".repeat(400)), "id = 9\n");
    let revision = state.push("deep");
    let loaded = state.open().load(&revision).unwrap();
    assert!(loaded.findings().iter().any(|finding| finding.message.contains("folders deep")));
    assert_eq!(loaded.files, 10);
}

#[test]
fn a_picture_beside_the_state_deserves_a_look_only() {
    let (state, _) = Git::with_state();
    state.write("logo.png", b"\x89PNG\xff\x00");
    let revision = state.push("picture");
    let good = state.open().load(&revision).unwrap().state.expect("the state holds");
    assert_eq!(only(good.warnings.clone()).0, Severity::Warning);
}

#[test]
fn pages_and_hidden_files_are_not_read_at_all() {
    let (state, first) = Git::with_state();
    let mut repo = state.open();
    repo.load(&first).unwrap();
    state.write("docs/logo.png", b"\x89PNG\xff\x00");
    state.write("docs/welcome.md", "# Welcome\n");
    state.write(".github/workflows/plan.yml", "on: push\n");
    state.write("servers/.s1.toml.swp", b"\xff\xff");
    let revision = state.push("pages");
    let loaded = repo.load(&revision).unwrap();
    assert_eq!((loaded.files, loaded.parsed_again), (9, 0));
}

#[test]
fn a_refused_file_is_not_looked_at_again() {
    let (state, _) = Git::with_state();
    state.write("servers/s9.toml", b"\xff");
    let revision = state.push("binary");
    let mut repo = state.open();
    let before = repo.load(&revision).unwrap();
    state.write("servers/s1.toml", "id = 1\nowner = \"eve\"\n");
    let revision = state.push("another file");
    let after = repo.load(&revision).unwrap();
    assert_eq!((before.parsed_again, after.parsed_again), (10, 1));
    assert!(after.findings().iter().any(|finding| &*finding.path == "servers/s9.toml"));
}
