//! Commits: what they hold, and when they are refused.

use std::thread;

use berth_repo::{Edit, Error, Revision, Signature};
use berth_testing::until;

use crate::git::{Git, NOW, ada, door, git, words};

fn commit(state: &Git, base: Option<&Revision>, edits: &[Edit]) -> Result<Revision, Error> {
    state.open().commit(base, edits, &words(&ada(), &door(), "a change"))
}

#[test]
fn the_first_commit_needs_no_base() {
    let state = Git::new();
    let edits = [Edit::write("platform.toml", "x = 1\n"), Edit::write("users/ada.toml", "y = 2\n")];
    let first = commit(&state, None, &edits).unwrap();
    assert_eq!(state.open().head().unwrap(), Some(first));
    assert_eq!(git(&state.bare, &["show", "main:users/ada.toml"]), "y = 2");
    assert!(state.open().commit_info(&first).unwrap().parents.is_empty());
    state.check();
}

#[test]
fn author_and_committer_are_kept_apart() {
    let (state, first) = Git::with_state();
    let edits = [Edit::write("servers/s1.toml", "id = 1\n")];
    state.open().commit(Some(&first), &edits, &words(&ada(), &door(), "smaller\n\nDoor: form\n")).unwrap();
    let log = git(&state.bare, &["log", "-1", "--format=%an|%ae|%at|%cn|%ce|%ct|%s|%(trailers:key=Door)"]);
    let later = NOW + 1;
    assert_eq!(
        log.trim(),
        format!("Ada|ada@example.org|{NOW}|Berth form|form@berth.invalid|{later}|smaller|Door: form")
    );
    state.check();
}

#[test]
fn a_commit_changes_the_named_files_and_no_other() {
    let (state, first) = Git::with_state();
    git(&state.work, &["update-index", "--chmod=+x", "users/eve.toml"]);
    let edits = [
        Edit::write("servers/s1.toml", "id = 1\nowner = \"bob\"\n"),
        Edit::write("docs/deep/er/page.md", "# Page\n"),
        Edit::remove("servers/s5.toml"),
    ];
    commit(&state, Some(&first), &edits).unwrap();
    let changed = git(&state.bare, &["diff", "--name-status", "main~1", "main"]);
    assert_eq!(changed, "A\tdocs/deep/er/page.md\nM\tservers/s1.toml\nD\tservers/s5.toml");
    state.check();
}

#[test]
fn a_folder_goes_with_its_last_file() {
    let (state, first) = Git::with_state();
    let edits: Vec<_> = (1..=5).map(|id| Edit::remove(format!("servers/s{id}.toml"))).collect();
    let second = commit(&state, Some(&first), &edits).unwrap();
    assert_eq!(git(&state.bare, &["ls-tree", "--name-only", "main"]), "platform.toml\nusers");
    let rest = ["platform.toml", "users/ada.toml", "users/bob.toml", "users/eve.toml"].map(Edit::remove);
    commit(&state, Some(&second), &rest).unwrap();
    assert_eq!(git(&state.bare, &["ls-tree", "main"]), "");
    state.check();
}

#[test]
fn edits_that_change_nothing_make_no_commit() {
    let (state, first) = Git::with_state();
    let same = [Edit::write("servers/s1.toml", "id = 1\nowner = \"ada\"\n")];
    assert_eq!(commit(&state, Some(&first), &same).unwrap(), first);
    assert_eq!(git(&state.bare, &["rev-list", "--count", "main"]), "1");
}

#[test]
fn a_stale_base_is_refused_with_both_ends_named() {
    let (state, first) = Git::with_state();
    let second = state.push("second");
    let edits = [Edit::write("servers/s1.toml", "id = 1\n")];
    let error = commit(&state, Some(&first), &edits).unwrap_err();
    assert!(
        matches!(&error, Error::Moved { expected: Some(e), actual: Some(a) } if *e == first && *a == second)
    );
    assert_eq!(
        error.to_string(),
        format!("main moved: expected {}, found {}", first.short(), second.short())
    );
    assert!(matches!(commit(&state, None, &edits), Err(Error::Moved { expected: None, .. })));
    assert_eq!(state.open().head().unwrap(), Some(second));
}

#[test]
fn a_base_in_an_empty_repository_is_refused() {
    let state = Git::new();
    let nowhere = "f".repeat(40).parse().unwrap();
    let error = commit(&state, Some(&nowhere), &[]).unwrap_err();
    assert!(matches!(error, Error::Moved { actual: None, .. }), "{error:?}");
}

#[test]
fn paths_that_git_or_reason_forbid_are_refused() {
    let (state, first) = Git::with_state();
    let refused = |edits: &[Edit]| {
        let error = commit(&state, Some(&first), edits).unwrap_err();
        assert!(matches!(error, Error::BadPath { .. }), "{edits:?}: {error:?}");
    };
    let paths = ["", "/etc/passwd", "../x", "users/../x", "users//x", "users/", ".git/config", "a/.GIT/x"];
    for path in paths.into_iter().chain(["users\\x", "users/a\nb", "users", "platform.toml/x"]) {
        refused(&[Edit::write(path, "x = 1\n")]);
    }
    refused(&[Edit::remove("servers/gone.toml")]);
    refused(&[Edit::remove("servers")]);
    refused(&[Edit::write("a", "1"), Edit::write("a", "2")]);
    refused(&[Edit::write("a", "1"), Edit::write("a/b", "2")]);
    refused(&[Edit::write("a/b", "1"), Edit::write("a", "2")]);
    assert_eq!(state.open().head().unwrap(), Some(first));
}

#[test]
fn a_link_can_be_replaced_by_a_file() {
    let (state, _) = Git::with_state();
    std::os::unix::fs::symlink("s1.toml", state.work.join("servers/s9.toml")).unwrap();
    let link = state.push("link");
    assert_eq!(state.open().read(&link, "servers/s9.toml").unwrap(), None);
    commit(&state, Some(&link), &[Edit::write("servers/s9.toml", "id = 9\n")]).unwrap();
    let entry = git(&state.bare, &["ls-tree", "main", "servers/s9.toml"]);
    assert!(entry.starts_with("100644 blob"), "{entry}");
}

#[test]
fn a_name_cannot_smuggle_a_header() {
    let (state, first) = Git::with_state();
    let edits = [Edit::write("servers/s1.toml", "id = 1\n")];
    for (name, email) in [("A\ncommitter X", "a@b"), ("A", "a@b\n"), ("A <x>", "a@b"), ("", "a@b")] {
        let author = Signature::at(name, email, NOW);
        let outcome = state.open().commit(Some(&first), &edits, &words(&author, &door(), "x"));
        assert!(matches!(outcome, Err(Error::BadSignature { .. })), "{name:?} {email:?}: {outcome:?}");
    }
}

#[test]
fn the_ref_log_tells_every_move_also_of_packed_refs() {
    let (state, first) = Git::with_state();
    git(&state.bare, &["pack-refs", "--all", "--prune"]);
    let second = commit(&state, Some(&first), &[Edit::write("servers/s1.toml", "id = 1\n")]).unwrap();
    assert_eq!(git(&state.bare, &["rev-parse", "main"]), second.to_string());
    let log = git(&state.bare, &["reflog", "show", "main"]);
    assert_eq!(log.lines().count(), 2, "{log}");
    assert!(log.contains("commit: a change"), "{log}");
}

#[test]
fn a_writer_waits_for_a_lock_that_is_let_go() {
    let (state, first) = Git::with_state();
    let lock = state.bare.join("refs/heads/main.lock");
    std::fs::write(&lock, "").unwrap();
    thread::scope(|scope| {
        let writer =
            scope.spawn(|| commit(&state, Some(&first), &[Edit::write("servers/s1.toml", "id = 1\n")]));
        // The commit is written: from now on it waits for the lock.
        let written = || {
            git(&state.bare, &["cat-file", "--batch-all-objects", "--batch-check"])
                .matches(" commit ")
                .count()
        };
        until("the commit is written", || written() > 1);
        assert!(!writer.is_finished());
        assert_eq!(state.open().head().unwrap(), Some(first), "main stays while it is locked");
        std::fs::remove_file(&lock).unwrap();
        writer.join().unwrap().unwrap();
    });
}

#[test]
fn a_thousand_edits_are_one_commit() {
    let (state, first) = Git::with_state();
    let edits: Vec<_> = (10..1010).map(|id| Edit::write(format!("servers/s{id}.toml"), "x = 1\n")).collect();
    let second = commit(&state, Some(&first), &edits).unwrap();
    assert_eq!(state.open().load(&second).unwrap().files, 1009);
    state.check();
}

#[test]
fn main_advances_to_what_is_built_on_it() {
    let (state, first) = Git::with_state();
    git(&state.work, &["commit", "--quiet", "--allow-empty", "-m", "new"]);
    git(&state.work, &["push", "--quiet", "origin", "HEAD:refs/heads/topic"]);
    let repo = state.open();
    let topic = repo.resolve("topic").unwrap();
    repo.advance(&first, &topic, "story: follow").unwrap();
    assert_eq!(repo.head().unwrap(), Some(topic));
    assert!(git(&state.bare, &["reflog", "show", "main"]).contains("story: follow"));
    // A second time, from where main was: somebody else was faster.
    let moved = repo.advance(&first, &topic, "story: follow").unwrap_err();
    assert!(matches!(moved, Error::Moved { actual, .. } if actual == Some(topic)), "{moved}");
    state.check();
}

#[test]
fn main_doesnt_advance_sideways_or_back() {
    let (state, first) = Git::with_state();
    state.write("docs/a.md", "a\n");
    let second = state.push("second");
    git(&state.work, &["reset", "--quiet", "--hard", &first.to_string()]);
    git(&state.work, &["commit", "--quiet", "--allow-empty", "-m", "beside it"]);
    git(&state.work, &["push", "--quiet", "origin", "HEAD:refs/heads/topic"]);
    let repo = state.open();
    let beside = repo.resolve("topic").unwrap();
    let nowhere: Revision = "1234567890123456789012345678901234567890".parse().unwrap();
    for to in [first, beside] {
        let refused = repo.advance(&second, &to, "story: force").unwrap_err();
        assert!(matches!(refused, Error::NotBuiltOn { revision, .. } if revision == to), "{refused}");
    }
    assert!(repo.advance(&second, &nowhere, "story: nowhere").is_err());
    assert_eq!(repo.head().unwrap(), Some(second));
    state.check();
}

/// As many files as a new state begins with are one pack, and not a file each.
#[test]
fn many_files_at_once_are_a_pack() {
    let state = Git::new();
    let repo = state.open();
    let edits: Vec<_> =
        (0..400).map(|n| Edit::write(format!("docs/p{n}.md"), format!("page {n}\n"))).collect();
    let first = repo.commit(None, &edits, &words(&ada(), &door(), "many")).unwrap();
    let counted = git(&state.bare, &["count-objects", "-v"]);
    // The files, the folder, the root and the commit.
    for line in ["count: 0", "in-pack: 403", "packs: 1"] {
        assert!(counted.lines().any(|found| found == line), "{counted}");
    }
    state.check();
    // What comes later is kept, too, and the same repository sees all of it.
    let more: Vec<_> =
        (0..200).map(|n| Edit::write(format!("docs/p{n}.md"), format!("again {n}\n"))).collect();
    let second = repo.commit(Some(&first), &more, &words(&ada(), &door(), "again")).unwrap();
    repo.commit(Some(&second), &[Edit::write("docs/p1.md", "one\n")], &words(&ada(), &door(), "one"))
        .unwrap();
    state.check();
    assert_eq!(git(&state.bare, &["show", "main:docs/p1.md"]), "one");
    assert_eq!(git(&state.bare, &["show", "main:docs/p399.md"]), "page 399");
}
