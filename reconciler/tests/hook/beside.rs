//! Steps of git's own beside the hooks: what it refuses after it has run one, and what is left when it doesn't come to the last one.

use std::fs;

use super::{Bench, InTime as _, Said, git, put};

#[test]
fn what_stands_on_a_proposal_that_is_gone_is_refused_whole() {
    let bench = Bench::with_members();
    let bob = bench.member("bob");
    bob.commit(&[("docs/welcome.md", Some("# Welcome\n\nHello.\n"))]);
    bob.push(&["origin", "HEAD:review/x"]).accepted(&["review/x"]);
    // Elsewhere, such as in CI, only the last commit is cloned. Then the proposal is taken back.
    let (ci, url) =
        (bench.folder.path().join("ci"), format!("file://{}", bench.prepare("bob").unwrap().display()));
    let cloned = git(bench.folder.path())
        .args(["clone", "--quiet", "--depth", "1", "--branch", "review/x", &url])
        .arg(&ci)
        .in_time();
    assert!(cloned.status.success(), "{}", String::from_utf8_lossy(&cloned.stderr));
    bob.push(&["origin", ":review/x"]).accepted(&[]);

    put(&ci, "docs/welcome.md", "# Welcome\n\nHello, and more.\n");
    let run = |arguments: &[&str]| Said::of(&git(&ci).env("NO_COLOR", "1").args(arguments).in_time());
    assert!(run(&["commit", "--quiet", "--all", "-m", "more"]).good);
    bench.prepare("bob").unwrap();
    let said = run(&["push", "origin", "HEAD:review/y"]);
    assert!(!said.good, "{}", said.text);
    said.has(&[
        "begins at a commit that isn't here any more",
        "git fetch --unshallow",
        "Refused; nothing was changed.",
    ]);
    let proposals = git(&bench.bare).args(["for-each-ref", "refs/heads/review"]).in_time().stdout;
    assert_eq!(String::from_utf8_lossy(&proposals), "", "what was refused isn't there");

    // One that begins where a branch still leads is as good as any other.
    let (tip, from) =
        (bench.folder.path().join("tip"), format!("file://{}", bench.prepare("bob").unwrap().display()));
    assert!(
        git(bench.folder.path())
            .args(["clone", "--quiet", "--depth", "1", &from])
            .arg(&tip)
            .in_time()
            .status
            .success()
    );
    put(&tip, "docs/welcome.md", "# Welcome\n\nShallow.\n");
    let run = |arguments: &[&str]| Said::of(&git(&tip).env("NO_COLOR", "1").args(arguments).in_time());
    assert!(run(&["commit", "--quiet", "--all", "-m", "shallow"]).good);
    bench.prepare("bob").unwrap();
    run(&["push", "origin", "HEAD:review/z"]).accepted(&["review/z"]);
}

#[test]
fn a_proposal_is_its_author_s_however_early_they_leave() {
    let bench = Bench::with_members();
    let bob = bench.member("bob");
    bob.commit(&[("docs/welcome.md", Some("# Welcome\n\nHello.\n"))]);
    let view = bench.prepare("bob").unwrap();
    // As if the client had left after the verdict, and the door had ended everything.
    fs::remove_file(view.join("hooks/post-receive")).unwrap();
    bob.attempt(&["push", "origin", "HEAD:review/x"]).has(&["review/x"]);
    let list = bench.berth(&["review", "list"]);
    assert!(list.text.contains("bob") && !list.text.contains("the repository's files"), "{}", list.text);
    // It is bob's to take back.
    bob.push(&["origin", ":review/x"]).accepted(&[]);
}
