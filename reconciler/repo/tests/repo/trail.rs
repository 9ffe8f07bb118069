//! The trail of a branch: the revisions that it was at, and what each changed.

use crate::git::{Git, git};

#[test]
fn a_trail_follows_first_parents_and_tells_what_each_step_changed() {
    let (state, first) = Git::with_state();
    git(&state.work, &["switch", "--quiet", "-c", "side"]);
    state.write("docs/side.md", "side\n");
    git(&state.work, &["rm", "--quiet", "servers/s5.toml"]);
    git(&state.work, &["add", "."]);
    git(&state.work, &["commit", "--quiet", "-m", "side"]);
    git(&state.work, &["switch", "--quiet", "main"]);
    state.write("docs/main.md", "main\n");
    let second = state.push("second");
    git(&state.work, &["merge", "--quiet", "--no-ff", "-m", "merge", "side"]);
    git(&state.work, &["push", "--quiet", "origin", "main"]);
    let repo = state.open();
    let tip = repo.head().unwrap().unwrap();
    let whole = repo.trail(&tip, None, 9).unwrap();
    let told: Vec<_> = whole.steps.iter().map(|step| step.commit.summary.as_str()).collect();
    assert_eq!((told.as_slice(), whole.next), (["merge", "second", "first"].as_slice(), None));
    assert_eq!(whole.steps[0].paths, ["docs/side.md", "servers/s5.toml"]);
    assert_eq!(whole.steps[0].removed, ["servers/s5.toml"]);
    assert_eq!(whole.steps[1].paths, ["docs/main.md"]);
    assert_eq!((whole.steps[2].paths.len(), whole.steps[2].removed.len()), (9, 0));
    // A part of it says where it goes on.
    let part = repo.trail(&tip, None, 1).unwrap();
    assert_eq!((part.steps.len(), part.next), (1, Some(second)));
    let until = repo.trail(&tip, Some(&first), 9).unwrap();
    assert_eq!((until.steps.len(), until.next), (2, Some(first)));
}
