//! Pull requests that are made to deceive the CI examples: none turns its check green, and none writes where it wants.

use std::fs;
use std::os::unix::fs::symlink;

use super::{Bench, Checkout, Example, examples, forge, git, good};
use crate::InTime as _;

/// Files that the steps write, and those that they would read or run.
const WRITTEN: [&str; 4] = ["plan.md", "plan.json", "comment.json", "comments.json"];

/// Pushes a branch whose commits are made by `change`, one after the other.
fn branch(bench: &Bench, name: &str, changes: &[&dyn Fn()]) {
    bench.git(&["checkout", "--quiet", "-B", name, "main"]);
    for change in changes {
        change();
        bench.commit(&[]);
    }
    bench.git(&["push", "--quiet", "--force", "origin", &format!("HEAD:{name}")]);
    bench.git(&["checkout", "--quiet", "main"]);
}

/// The same example without the step that refuses what isn't a plain file.
fn unchecked(example: &Example) -> Example {
    let steps = example.steps.iter().filter(|(script, _)| script.trim() != "berth check .");
    let steps = steps.map(|(script, env)| (script.replace("berth check .\n", ""), env.clone()));
    Example { name: example.name, steps: steps.collect() }
}

#[test]
fn a_pull_request_writes_nothing_where_it_likes() {
    let bench = forge(&[]);
    // A link in place of what the job writes: to the program that the last step runs, for instance.
    let program = bench.folder.path().join("program");
    fs::write(&program, "as it was").unwrap();
    branch(
        &bench,
        "links",
        &[&|| WRITTEN.iter().for_each(|name| symlink(&program, bench.work.join(name)).unwrap())],
    );
    for example in examples() {
        for example in [unchecked(&example), example] {
            let checkout = Checkout::new(&bench, example.name, "links");
            let _ = checkout.run(&example, "bob");
            assert_eq!(fs::read_to_string(&program).unwrap(), "as it was", "{}", example.name);
            fs::remove_dir_all(&checkout.at).unwrap();
        }
    }
}

#[test]
fn a_tag_of_the_branchs_name_judges_nobody() {
    let bench = forge(&[("others", &[("servers/shop.toml", "id = 1\nowner = \"bob\"\n")])]);
    // By the state at this commit, Bob may do everything. He may push tags, as developers may at GitLab.
    bench.git(&["checkout", "--quiet", "--detach", "main"]);
    bench.commit(&[("users/bob.toml", "role = \"admin\"\nforge_accounts = [\"git.example.org/bob\"]\n")]);
    for name in ["origin/main", "main", "remotes/origin/main"] {
        bench.git(&["tag", name, "HEAD"]);
        bench.git(&["push", "--quiet", "origin", &format!("refs/tags/{name}:refs/tags/{name}")]);
    }
    bench.git(&["checkout", "--quiet", "refs/heads/main"]);
    for example in examples() {
        let checkout = Checkout::new(&bench, example.name, "others");
        let tags = git(&checkout.at).args(["rev-parse", "--verify", "refs/tags/origin/main"]).in_time();
        good(&tags);
        let error = checkout.run(&example, "bob").unwrap_err();
        assert!(error.contains("server `shop` is `ann`'s"), "{}: {error}", example.name);
        // However somebody writes it down for CI of their own.
        for name in ["origin/main", "refs/remotes/origin/main"] {
            let script =
                format!("berth why --state . --forge-account git.example.org/bob --from {name} --to HEAD");
            let alone = Example { name: example.name, steps: vec![(script, Default::default())] };
            assert!(checkout.run(&alone, "bob").unwrap_err().contains("server `shop` is `ann`'s"), "{name}");
        }
    }
}

#[test]
fn what_main_would_not_follow_is_red() {
    let bench = forge(&[]);
    let server = |text: &str| {
        let text = format!("id = 2\nowner = \"bob\"\n{text}");
        fs::write(bench.work.join("servers/blog.toml"), text).unwrap();
    };
    // Gone again in the last commit, and in history all the same.
    let key = concat!("# -----BEGIN ", "OPENSSH PRIVATE KEY-----\n");
    branch(&bench, "hides", &[&|| server(key), &|| server("")]);
    branch(&bench, "shows", &[&|| server("")]);
    for example in examples() {
        let run = |branch: &str| Checkout::new(&bench, example.name, branch).run(&example, "bob");
        run("shows").unwrap_or_else(|error| panic!("{}: {error}", example.name));
        let error = run("hides").unwrap_err();
        assert!(
            error.contains("main would not follow") && error.contains("servers/blog.toml"),
            "{}: {error}",
            example.name
        );
    }
}
