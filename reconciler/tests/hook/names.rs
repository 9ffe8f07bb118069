//! Names of pages and of other files beside the state that a system can't hold on which people clone: they stay out at every door, and
//! whoever has some already hears of them.

use std::fs;

use super::{Bench, put};

/// Ways in: the name of whoever pushes, and the ref that they push to.
const DOORS: [(Option<&str>, &str); 4] =
    [(Some("bob"), "review/x"), (Some("ann"), "main"), (Some("ann"), "other"), (None, "main")];

/// Files of a commit: paths, and what they hold or that they go.
type Files = &'static [(&'static str, Option<&'static str>)];

/// Files that no clone on Windows or macOS can hold, and what is said of each.
const BAD: [(Files, &str); 6] = [
    (&[("docs/aux.md", Some("x\n"))], "`aux.md` is the name of a device on Windows"),
    (&[("docs/Con/x.md", Some("x\n"))], "`Con` is the name of a device on Windows"),
    (&[("docs/a:b?.md", Some("x\n"))], "`a:b?.md` has a `:` in it"),
    (&[("docs/end.", Some("x\n"))], "`end.` ends in a dot or a space"),
    (
        &[("docs/guide.md", Some("x\n")), ("docs/Guide.md", Some("y\n"))],
        "differ in upper and lower case alone, and Windows and macOS keep one of them",
    ),
    (&[("docs/Welcome.md", Some("x\n"))], "`Welcome.md` and `welcome.md` differ"),
];

#[test]
fn what_not_every_system_can_hold_stays_out() {
    let bench = Bench::new();
    let before = bench.tip();
    for (files, why) in BAD {
        bench.git(&["reset", "--quiet", "--hard", &before]);
        let bad = bench.commit(files);
        let removed: Vec<_> = files.iter().map(|(path, _)| (*path, None)).collect();
        // A later commit doesn't hide it.
        bench.commit(&removed);
        for (user, to) in DOORS {
            let said = bench.push(user, &["origin", &format!("HEAD:refs/heads/{to}")]);
            said.refused(&[why, &format!("{}:docs/", &bad[..10]), "in the commit that adds it"]);
        }
    }
    assert_eq!(bench.tip(), before);
}

#[test]
fn what_is_there_stays_and_a_merge_brings_nothing_in() {
    let bench = Bench::without_hooks();
    bench.push_change(None, &[("docs/aux.md", Some("x\n")), ("docs/WELCOME.md", Some("y\n"))]).accepted(&[]);
    let installed = bench.berth(&["hook", "install", bench.bare.to_str().unwrap()]);
    assert!(installed.good, "{}", installed.text);
    // Whoever upgrades sees a list, in the repository and in a checkout.
    for place in [&bench.bare, &bench.work] {
        let checked = bench.berth(&["check", place.to_str().unwrap()]);
        assert!(checked.good, "{}", checked.text);
        checked.has(&["docs/aux.md", "the name of a device on Windows", "docs/WELCOME.md", "differ"]);
    }
    // It can be changed and taken away, and what is built beside it comes in, merged too.
    bench.push_change(Some("ann"), &[("docs/aux.md", Some("more\n"))]).accepted(&[]);
    bench.git(&["checkout", "--quiet", "-b", "side", "HEAD~2"]);
    bench.commit(&[("docs/new.md", Some("# New\n"))]);
    bench.git(&["merge", "--quiet", "--no-edit", "main"]);
    bench.push(Some("ann"), &["origin", "HEAD:main"]).accepted(&[]);
    bench.push_change(Some("ann"), &[("docs/aux.md", None)]).accepted(&[]);
    // Each side is good, and both together are not.
    let base = bench.tip();
    bench.commit(&[("docs/Shop.md", Some("x\n"))]);
    bench.git(&["checkout", "--quiet", "-b", "other", &base]);
    bench.commit(&[("docs/shop.md", Some("y\n"))]);
    bench.git(&["merge", "--quiet", "--no-edit", "side"]);
    bench.push(Some("ann"), &["origin", "HEAD:main"]).refused(&["differ in upper and lower case alone"]);
    assert_eq!(bench.tip(), base);
}

#[test]
fn a_folder_is_checked_as_it_lies_there() {
    let bench = Bench::new();
    put(&bench.work, "docs/nul", "x\n");
    fs::create_dir_all(bench.work.join("docs/Nul.d")).unwrap();
    let checked = bench.berth(&["check", "--format", "json", bench.work.to_str().unwrap()]);
    assert!(checked.good, "{}", checked.text);
    checked.has(&["\"docs/nul\"", "\"docs/Nul.d\"", "\"warning\""]);
    // Git's own folder is none of it.
    assert!(!checked.text.contains(".git"), "{}", checked.text);
}
