//! Changes that `main` doesn't follow.

use super::{Bench, InTime as _, git, said};

const OFTEN: &str = "poll = \"1s\"\n";

#[test]
fn a_broken_tip_is_refused_until_it_is_mended() {
    let bench = Bench::new(OFTEN);
    let good = bench.main();
    let follower = bench.follow();
    let broken = bench.push(&[("servers/shop.toml", "id = 1\nowner = \"ann\"\nmemry = \"1 GiB\"\n")]);
    let standing = bench.until(|standing| standing.refused.is_some());
    let refusal = standing.refused.unwrap();
    assert_eq!((refusal.revision.to_string(), refusal.main.to_string()), (broken.clone(), good.clone()));
    assert_eq!(refusal.why[0], "servers/shop.toml:3:1: `memry` is not a field of a server");
    assert!(refusal.hint.contains("memory"), "{}", refusal.hint);
    assert_eq!(bench.main(), good);
    assert!(!bench.has(&broken), "nothing of a refused tip reaches the state repo");

    let mended = bench.push(&[("servers/shop.toml", "id = 1\nowner = \"ann\"\nmemory = \"2 GiB\"\n")]);
    bench.until_main_is(&mended);
    assert!(bench.until(|standing| standing.refused.is_none()).is_fine());
    let log = follower.end();
    assert_eq!(log.matches("main doesn't follow the forge").count(), 1, "a refusal is logged once: {log}");
}

#[test]
fn a_secret_is_refused_even_if_a_later_commit_takes_it_out() {
    let bench = Bench::new(OFTEN);
    let good = bench.main();
    let _follower = bench.follow();
    let secret = bench.commit(&[("docs/key.md", concat!("-----BEGIN ", "OPENSSH PRIVATE KEY-----\nx\n"))]);
    let hidden = bench.push(&[("docs/key.md", "gone\n")]);
    let refusal = bench.until(|standing| standing.refused.is_some()).refused.unwrap();
    assert_eq!(refusal.revision.to_string(), hidden);
    assert!(refusal.first().starts_with(&format!("{}:docs/key.md:1", &secret[..10])), "{refusal:?}");
    assert!(refusal.hint.contains("git rebase -i"), "{refusal:?}");
    assert!(!bench.has(&secret) && !bench.has(&hidden));

    // As the hint says: without it, from the last good commit on. To the state repo that is no rewriting.
    bench.git(&["reset", "--quiet", "--hard", &good]);
    let clean = bench.commit(&[("docs/key.md", "none\n")]);
    bench.git(&["push", "--quiet", "--force", "origin", "HEAD:main"]);
    bench.until_main_is(&clean);
}

#[test]
fn a_commit_that_steers_a_terminal_is_refused() {
    let bench = Bench::new(OFTEN);
    let good = bench.main();
    let _follower = bench.follow();
    bench.commit(&[("docs/a.md", "a\n")]);
    bench.git(&["commit", "--quiet", "--amend", "--no-edit", "--author", "A\u{202e}nn <ann@example.org>"]);
    let bad = bench.git(&["rev-parse", "HEAD"]);
    bench.git(&["push", "--quiet", "origin", "HEAD:main"]);
    let refusal = bench.until(|standing| standing.refused.is_some()).refused.unwrap();
    let why =
        format!("{}: the author of this commit has U+202E, which turns the direction of text", &bad[..10]);
    assert!(refusal.first().starts_with(&why), "{refusal:?}");
    assert!(refusal.hint.contains("--reset-author"), "{refusal:?}");
    assert_eq!(bench.main(), good);
}

#[test]
fn a_rewritten_branch_is_refused_until_history_is_back() {
    let bench = Bench::new(OFTEN);
    let _follower = bench.follow();
    let kept = bench.push(&[("docs/a.md", "a\n")]);
    bench.until_main_is(&kept);
    bench.git(&["reset", "--quiet", "--hard", "HEAD~1"]);
    let rewritten = bench.commit(&[("docs/a.md", "b\n")]);
    bench.git(&["push", "--quiet", "--force", "origin", "HEAD:main"]);
    let refusal = bench.until(|standing| standing.refused.is_some()).refused.unwrap();
    assert_eq!((refusal.revision.to_string(), refusal.main.to_string()), (rewritten, kept.clone()));
    assert!(refusal.first().ends_with("history was rewritten"), "{refusal:?}");
    assert!(refusal.hint.contains(&kept), "{refusal:?}");
    assert_eq!(bench.main(), kept);

    bench.git(&["reset", "--quiet", "--hard", &kept]);
    let tip = bench.commit(&[("docs/a.md", "c\n")]);
    bench.git(&["push", "--quiet", "--force", "origin", "HEAD:main"]);
    bench.until_main_is(&tip);
    assert!(bench.until(|standing| standing.refused.is_none()).is_fine());
}

#[test]
fn what_only_the_state_repo_has_is_said() {
    let bench = Bench::new(OFTEN);
    let tip = bench.commit(&[("docs/a.md", "a\n")]);
    bench.git(&["push", "--quiet", bench.state.to_str().unwrap(), "HEAD:main"]);
    let _follower = bench.follow();
    let refusal = bench.until(|standing| standing.refused.is_some()).refused.unwrap();
    assert!(refusal.first().ends_with("which the forge doesn't have"), "{refusal:?}");
    assert_eq!(bench.main(), tip);
    bench.git(&["push", "--quiet", "origin", "HEAD:main"]);
    assert!(bench.until(|standing| standing.refused.is_none()).is_fine());
}

#[test]
fn a_branch_that_is_gone_deletes_nothing() {
    let bench = Bench::new(OFTEN);
    let tip = bench.main();
    let _follower = bench.follow();
    bench.until(|standing| standing.tip.is_some());
    bench.git(&["push", "--quiet", "origin", "HEAD:refs/heads/other"]);
    git(&bench.forge).args(["symbolic-ref", "HEAD", "refs/heads/other"]).in_time();
    bench.git(&["push", "--quiet", "origin", ":main"]);
    let trouble = bench.until(|standing| standing.trouble.is_some()).trouble.unwrap();
    assert!(trouble.contains("has no branch `main`, or answers with something else"), "{trouble}");
    assert_eq!(bench.main(), tip);
}

#[test]
fn pushes_go_to_the_forge() {
    let bench = Bench::new(OFTEN);
    let installed = bench.berth().args(["hook", "install"]).in_time();
    assert!(installed.status.success(), "{}", said(&installed));
    let before = bench.main();
    bench.commit(&[("docs/a.md", "a\n")]);
    for user in [None, Some("ann")] {
        let mut push = git(&bench.work);
        if let Some(user) = user {
            push.env("BERTH_USER", user);
        }
        let pushed = push.args(["push", bench.state.to_str().unwrap(), "HEAD:main"]).in_time();
        let words = said(&pushed);
        assert!(!pushed.status.success(), "{words}");
        assert!(words.contains(&format!("main follows {}", bench.forge.display())), "{words}");
        assert!(words.contains(&format!("git push {} HEAD:main", bench.forge.display())), "{words}");
    }
    // Nor are proposals taken here, which would be merged into `main`.
    let mut push = git(&bench.work);
    let to = ["push", bench.state.to_str().unwrap(), "HEAD:refs/heads/review/page"];
    let proposed = push.env("BERTH_USER", "ann").args(to).in_time();
    assert!(!proposed.status.success(), "{}", said(&proposed));
    for part in ["main follows", "propose it there"] {
        assert!(said(&proposed).contains(part), "{}", said(&proposed));
    }
    assert_eq!(bench.main(), before);
}
