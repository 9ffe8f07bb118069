//! The hooks in a repository.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Bench, InTime as _, git};

#[test]
fn a_new_repository_has_no_hooks() {
    let bench = Bench::without_hooks();
    assert!(!bench.hook("pre-receive").exists() && !bench.hook("post-receive").exists());
}

#[test]
fn installing_twice_changes_nothing() {
    let bench = Bench::new();
    let scripts = || {
        ["pre-receive", "post-receive", "proc-receive"]
            .map(|name| fs::read_to_string(bench.hook(name)).unwrap())
    };
    let before = scripts();
    assert!(before[0].starts_with("#!/bin/sh\n# Written by `berth hook install`"));
    let said = bench.berth(&["hook", "install"]);
    assert!(said.good);
    said.has(&["the hooks are there already; nothing was changed"]);
    assert_eq!(scripts(), before);
    // Of another version of ours: written anew.
    fs::write(bench.hook("post-receive"), before[1].replace("--data", "--old")).unwrap();
    bench.berth(&["hook", "install"]).has(&["pushes are judged from now on"]);
    assert_eq!(scripts(), before);
}

#[test]
fn somebody_elses_hook_is_left_alone() {
    let bench = Bench::without_hooks();
    fs::create_dir_all(bench.bare.join("hooks")).unwrap();
    fs::write(bench.hook("post-receive"), "#!/bin/sh\nexec mail-everybody\n").unwrap();
    let said = bench.berth(&["hook", "install"]);
    assert!(!said.good);
    said.has(&[
        "post-receive is a hook that Berth didn't write, and it was left alone",
        "hint: move it away",
    ]);
    assert_eq!(fs::read_to_string(bench.hook("post-receive")).unwrap(), "#!/bin/sh\nexec mail-everybody\n");
    // Not even half of it.
    assert!(!bench.hook("pre-receive").exists());
}

#[test]
fn settings_that_somebody_chose_stay() {
    let bench = Bench::without_hooks();
    let setting = |name: &str| {
        let output = git(&bench.bare).args(["config", name]).in_time();
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    };
    assert!(git(&bench.bare).args(["config", "receive.maxInputSize", "100k"]).in_time().status.success());
    assert!(git(&bench.bare).args(["config", "core.hooksPath", "other hooks"]).in_time().status.success());
    assert!(bench.berth(&["hook", "install"]).good);
    assert_eq!(
        (setting("receive.maxInputSize").as_str(), setting("receive.advertisePushOptions").as_str()),
        ("100k", "true")
    );
    // The hook moves `main` before git moves the rest of a push, so no push can be all or nothing.
    assert_eq!(setting("receive.advertiseAtomic"), "false");
    assert!(bench.bare.join("other hooks/pre-receive").exists() && !bench.hook("pre-receive").exists());
}

#[test]
fn nobody_else_can_read_the_state_repo() {
    let bench = Bench::new();
    assert_eq!(open_to_others(&bench.bare), Vec::<PathBuf>::new());
    // Git makes new files as the umask of whoever pushes says, unless the repository says otherwise.
    bench.push_change(None, &[("docs/more.md", Some("more\n"))]).accepted(&[]);
    assert!(git(&bench.bare).args(["gc", "--quiet"]).in_time().status.success());
    bench.push_change(Some("bob"), &[("servers/bobs.toml", Some("id = 1\nowner = \"bob\"\n"))]).accepted(&[]);
    assert!(bench.push(Some("bob"), &["origin", "HEAD:review/mine"]).good);
    assert_eq!(open_to_others(&bench.bare), Vec::<PathBuf>::new());
}

#[test]
fn a_state_repo_that_others_can_read_is_closed() {
    let bench = Bench::new();
    assert!(git(&bench.bare).args(["config", "--unset", "core.sharedRepository"]).in_time().status.success());
    let opened = Command::new("chmod").args(["-R", "go+rX"]).arg(&bench.bare).in_time();
    assert!(opened.status.success());
    bench.push_change(None, &[("docs/more.md", Some("more\n"))]).accepted(&[]);
    assert!(open_to_others(&bench.bare).len() > 10);
    let said = bench.berth(&["hook", "install"]);
    said.has(&["the hooks are there already", "other users of this machine can't read it any more"]);
    assert_eq!(open_to_others(&bench.bare), Vec::<PathBuf>::new());
    assert!(!bench.berth(&["hook", "install"]).text.contains("other users"));
    bench.push_change(None, &[("docs/most.md", Some("most\n"))]).accepted(&[]);
    assert_eq!(open_to_others(&bench.bare), Vec::<PathBuf>::new());
}

/// Paths that others than the owner may do anything with.
fn open_to_others(at: &Path) -> Vec<PathBuf> {
    let found = Command::new("find").arg(at).args(["-perm", "/077"]).in_time();
    assert!(found.status.success());
    String::from_utf8_lossy(&found.stdout).lines().map(PathBuf::from).collect()
}

#[test]
fn outside_of_git_the_hook_says_so() {
    let bench = Bench::new();
    let said = bench.berth(&["hook", "pre-receive"]);
    assert!(!said.good);
    said.has(&["GIT_DIR is not set: git sets it for its hooks"]);
}
