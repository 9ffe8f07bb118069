//! Merges of lines that changed different files, compared with what git itself makes of them.

use std::collections::BTreeMap;

use berth_repo::{Combined, Edit, Revision, StateRepo};
use proptest::prelude::*;

use crate::git::{Git, ada, attempt, door, git, words};

/// Paths that changes are made at: among them a file that another change needs as a folder.
const PATHS: [&str; 7] =
    ["platform.toml", "users/a.toml", "users/b.toml", "servers/a.toml", "docs", "docs/a.md", "docs/b/c.md"];

/// A change of some paths: a new text each, or none.
type Change = BTreeMap<usize, Option<u8>>;

fn change() -> impl Strategy<Value = Change> {
    prop::collection::btree_map(0..PATHS.len(), prop::option::weighted(0.7, 0..3_u8), 0..4)
}

/// Commits what a change comes to on top of a revision; the same revision where that is nothing.
fn changed(repo: &StateRepo, base: &Revision, change: &Change) -> Revision {
    let stands = |path: &str| repo.read(base, path).unwrap().is_some();
    let is_folder =
        |path: &str| PATHS.iter().any(|other| other.starts_with(&format!("{path}/")) && stands(other));
    let lies_in_file =
        |path: &str| PATHS.iter().any(|other| path.starts_with(&format!("{other}/")) && stands(other));
    let edits: Vec<Edit> = change
        .iter()
        .map(|(at, text)| (PATHS[*at], text))
        .filter(|(path, _)| !is_folder(path) && !lies_in_file(path))
        .filter(|(path, text)| text.is_some() || stands(path))
        .map(|(path, text)| match text {
            Some(text) => Edit::write(path, format!("# {path} says {text}\n")),
            None => Edit::remove(path),
        })
        .collect();
    // What needs a file's name as a folder's waits for another change.
    let written: Vec<&str> =
        edits.iter().filter(|edit| edit.content.is_some()).map(|edit| edit.path.as_str()).collect();
    if edits.is_empty() || written.contains(&"docs") && written.iter().any(|path| path.starts_with("docs/")) {
        return *base;
    }
    repo.write(Some(base), &edits, &words(&ada(), &door(), "a change\n")).unwrap()
}

/// The tree that git makes of two commits; `None` where it finds a conflict.
fn by_git(state: &Git, ours: &Revision, theirs: &Revision) -> Option<String> {
    let (ours, theirs) = (ours.to_string(), theirs.to_string());
    let merge =
        ["-c", "merge.renames=false", "-c", "merge.directoryRenames=false", "merge-tree", "--write-tree"];
    let output = attempt(&state.bare, &[&merge[..], &[&ours, &theirs]].concat());
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Checks that a merge is what git makes of the same two commits, clean or not.
    #[test]
    fn a_merge_is_gits(start in change(), ours in change(), theirs in change()) {
        let state = Git::new();
        let repo = state.open();
        let first = [Edit::write("platform.toml", "# first\n"), Edit::write("users/a.toml", "# first of a\n")];
        let base = repo.write(None, &first, &words(&ada(), &door(), "first\n")).unwrap();
        let base = changed(&repo, &base, &start);
        let (ours, theirs) = (changed(&repo, &base, &ours), changed(&repo, &base, &theirs));
        let merged = repo.merge(&ours, &theirs, &words(&ada(), &door(), "merge\n")).unwrap();
        let tree = match merged {
            Combined::Clean(merged) => Some(git(&state.bare, &["rev-parse", &format!("{merged}^{{tree}}")])),
            Combined::Conflicts(_) => None,
        };
        prop_assert_eq!(tree, by_git(&state, &ours, &theirs));
    }
}
