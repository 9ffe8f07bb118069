//! Folders of a revision, everything in it, and the commits that lines are from.

use std::os::unix::fs::symlink;
use std::time::Duration;

use berth_repo::{Blamed, What};

use crate::git::{Git, git};

#[test]
fn a_folder_is_listed_and_nothing_leads_out_of_it() {
    let (state, first) = Git::with_state();
    state.write("docs/a/page.md", "12345");
    symlink("../../platform.toml", state.work.join("docs/link")).unwrap();
    let second = state.push("second");
    let repo = state.open();
    let told = |folder: &str| {
        let listed = repo.list(&second, folder).unwrap();
        listed.map(|all| all.into_iter().map(|one| (one.name, one.what)).collect::<Vec<_>>())
    };
    let docs = told("docs").unwrap();
    assert_eq!(docs, [("a".to_owned(), What::Folder), ("link".to_owned(), What::Link)]);
    for nowhere in ["nothing", "docs/link", "platform.toml", "docs/..", "..", "/", "docs/"] {
        assert_eq!(told(nowhere), None, "{nowhere}");
    }
    assert_eq!(repo.what(&second, "docs/a/page.md").unwrap(), Some(What::File { size: 5 }));
    assert_eq!(repo.what(&second, "docs").unwrap(), Some(What::Folder));
    for nothing in ["docs/a/../a/page.md", "docs//a", "", "docs/a/page.md/x"] {
        assert_eq!(repo.what(&second, nothing).unwrap(), None, "{nothing}");
    }
    assert_eq!(repo.what(&first, "docs/a/page.md").unwrap(), None);
    let all = repo.paths(&second, usize::MAX).unwrap();
    assert!(
        all.paths.contains(&"docs/a/page.md".to_owned())
            && !all.paths.iter().any(|path| path.contains("link"))
    );
    assert!(!all.is_cut && repo.paths(&second, 2).unwrap().is_cut);
}

#[test]
fn lines_are_blamed_on_what_main_was_at() {
    let (state, _) = Git::with_state();
    state.write("docs/page.md", "one\ntwo\nthree\n");
    let first = state.push("the page");
    git(&state.work, &["switch", "--quiet", "-c", "side"]);
    state.write("docs/page.md", "one\nTWO\nthree\n");
    git(&state.work, &["commit", "--quiet", "--all", "-m", "side"]);
    git(&state.work, &["switch", "--quiet", "main"]);
    git(&state.work, &["merge", "--quiet", "--no-ff", "-m", "merge", "side"]);
    git(&state.work, &["push", "--quiet", "origin", "main"]);
    let repo = state.open();
    let tip = repo.head().unwrap().unwrap();
    let blame = |lines| repo.blame(&tip, "docs/page.md", lines, Duration::from_secs(60)).unwrap();
    let part = |first, revision| Blamed { first, lines: 1, revision };
    assert_eq!(blame((1, 3)), [part(1, first), part(2, tip), part(3, first)]);
    assert_eq!(blame((2, 2)), [part(2, tip)]);
    assert!(repo.blame(&tip, "docs/nothing.md", (1, 1), Duration::from_secs(60)).is_err());
}
