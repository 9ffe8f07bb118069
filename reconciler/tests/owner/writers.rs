//! Root's ways to write: the reconciler's notes, commands, pushes by path, and git's own tidying up.

use berth_repo::{Edit, Signature, StateRepo, Words};

use super::{Bench, good};

#[test]
fn whoever_writes_as_root_leaves_everything_to_the_owner() {
    let Some(bench) = Bench::new() else { return };
    bench.all_is_the_owners();

    // What the reconciler does after a pass, and commands do.
    let repo = StateRepo::open(&bench.state()).unwrap();
    let (base, by) = (repo.head().unwrap().unwrap(), Signature::now("berth", "berth@localhost"));
    repo.write_note(&base, &by, "applied").unwrap();
    repo.mark("refs/berth/applied", &base).unwrap();
    let edit = [Edit::write("docs/more.md", "# More\n")];
    repo.commit(Some(&base), &edit, &Words { author: &by, committer: &by, message: "docs: more" }).unwrap();
    bench.all_is_the_owners();

    // A push by path.
    let clone = bench.clone_and_change("clone", "docs/third.md", "# Third\n");
    let said = good(&bench.git(&clone, None, &["push", "-o", "no-wait", "origin", "HEAD:main"]));
    assert!(said.contains("Accepted") || said.contains("accepted"), "{said}");
    bench.all_is_the_owners();
    // One that is refused.
    bench.clone_and_change("clone", "servers/shop.toml", "nonsense");
    let refused = bench.git(&clone, None, &["push", "origin", "HEAD:main"]);
    assert!(!refused.status.success());
    bench.all_is_the_owners();

    // A proposal, and consent to it.
    good(&bench.git(&clone, None, &["reset", "-q", "--hard", "origin/main"]));
    bench.clone_and_change("clone", "docs/proposal.md", "# A proposal\n");
    good(&bench.git(&clone, Some("bob"), &["push", "origin", "HEAD:review/more"]));
    bench.all_is_the_owners();
    good(&bench.berth(&["review", "approve", "more", "--wait", "0"]));
    bench.all_is_the_owners();

    // Git may tidy up after a push, but not as root: a second pack is one too many here.
    let settings = [("receive.unpackLimit", "1"), ("gc.autoPackLimit", "1"), ("gc.autoDetach", "false")];
    for (name, value) in settings.into_iter().chain([("maintenance.autoDetach", "false")]) {
        let state = bench.state().display().to_string();
        good(&bench.as_owner("git").args(["--git-dir", &state, "config", name, value]).output().unwrap());
    }
    good(&bench.git(&clone, None, &["fetch", "-q"]));
    good(&bench.git(&clone, None, &["reset", "-q", "--hard", "origin/main"]));
    for page in ["docs/fourth.md", "docs/fifth.md", "docs/sixth.md"] {
        bench.clone_and_change("clone", page, "# One more\n");
        good(&bench.git(&clone, None, &["push", "-o", "no-wait", "origin", "HEAD:main"]));
    }
    bench.all_is_the_owners();

    // The owner can do everything with it.
    let state = bench.state().display().to_string();
    for what in
        [&["fsck", "--strict"][..], &["gc", "--quiet", "--prune=now"], &["update-ref", "refs/x", "main"]]
    {
        good(&bench.as_owner("git").args(["--git-dir", &state]).args(what).output().unwrap());
    }
    bench.all_is_the_owners();
}
