//! Marks below `refs/berth/`: set once, set anew, and noticed without being read.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use berth_repo::{Edit, Mark, OUTGOING, Revision, Signature, StateRepo, Words};
use tempfile::TempDir;

fn bench() -> (TempDir, StateRepo, Revision) {
    let folder = TempDir::new().unwrap();
    let repo = StateRepo::init(&folder.path().join("state.git")).unwrap();
    let by = Signature::at("ann", "ann@example.org", 0);
    let words = Words { author: &by, committer: &by, message: "first\n" };
    let first = repo.commit(None, &[Edit::write("docs/a.md", "a\n")], &words).unwrap();
    (folder, repo, first)
}

fn mark(on: Revision, message: &str) -> Mark {
    Mark { on, by: Signature::at("bob", "bob@example.org", 7), message: message.to_owned() }
}

/// Makes all folders below this one look as old as an hour.
fn age(folder: &Path) {
    let then = SystemTime::now() - Duration::from_secs(3600);
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            age(&path);
        }
    }
    fs::File::open(folder).unwrap().set_modified(then).unwrap();
}

#[test]
fn a_new_mark_takes_nobodys_place() {
    let (_folder, repo, first) = bench();
    let name = format!("{OUTGOING}bob/server-shop");
    assert!(repo.new_mark(&name, &mark(first, "one\n")).unwrap());
    assert!(!repo.new_mark(&name, &mark(first, "two\n")).unwrap());
    assert_eq!(repo.read_mark(&name).unwrap().unwrap(), mark(first, "one\n"));
    repo.set_mark(&name, &mark(first, "three\n")).unwrap();
    assert_eq!(repo.read_mark(&name).unwrap().unwrap().message, "three\n");
}

#[test]
fn a_stamp_changes_with_each_mark_that_is_written_or_removed() {
    let (_folder, repo, first) = bench();
    let folder = repo.git_dir().join("refs/berth");
    let nothing = repo.stamp(OUTGOING).unwrap().unwrap();
    let name = format!("{OUTGOING}bob/server-shop");
    repo.set_mark(&name, &mark(first, "one\n")).unwrap();
    assert_eq!(repo.stamp(OUTGOING).unwrap(), None, "another one might follow unseen");
    age(&folder);
    let one = repo.stamp(OUTGOING).unwrap().unwrap();
    assert_ne!(one, nothing);
    assert_eq!(repo.stamp(OUTGOING).unwrap().as_ref(), Some(&one));
    // Another process writes the same mark anew, and removes it.
    repo.again().unwrap().set_mark(&name, &mark(first, "two\n")).unwrap();
    assert_eq!(repo.stamp(OUTGOING).unwrap(), None);
    age(&folder);
    assert!(repo.remove_reference(&name, &first).unwrap());
    assert_ne!(repo.stamp(OUTGOING).unwrap(), Some(one));
}
