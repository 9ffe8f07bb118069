//! Pushes that are refused, each with its place and how to mend it. Nothing of them is kept.

use super::{Bench, InTime as _, Said, git, put};

#[track_caller]
fn refuses(bench: &Bench, user: Option<&str>, files: &[(&str, Option<&str>)], parts: &[&str]) {
    let before = bench.tip();
    bench.push_change(user, files).refused(parts);
    assert_eq!(bench.tip(), before);
    bench.git(&["reset", "--quiet", "--hard", &before]);
}

#[test]
fn a_state_with_mistakes_is_refused_with_all_of_them() {
    let bench = Bench::new();
    refuses(
        &bench,
        None,
        &[
            ("servers/bobs.toml", Some("id = 1\nowner = \"bbo\"\nmemry = \"1 GiB\"\n")),
            ("servers/two.toml", Some("id = 2\n")),
        ],
        &[
            "remote:  --> servers/bobs.toml:2:9",
            "error: there is no user `bbo`, who is named as the owner",
            "help: did you mean `bob`?",
            "remote:  --> servers/bobs.toml:3:1",
            "help: did you mean `memory`?",
            "servers/two.toml",
        ],
    );
}

#[test]
fn a_clash_is_told_at_the_file_of_the_push() {
    let bench = Bench::new();
    refuses(
        &bench,
        Some("bob"),
        &[("servers/aaa.toml", Some("id = 2\nowner = \"bob\"\n"))],
        &[
            "error: id 2 is taken by servers/cyns.toml:1:6",
            "--> servers/aaa.toml:1:6",
            "give this server another",
        ],
    );
}

#[test]
fn many_mistakes_of_a_kind_are_two_screens_and_hide_no_other() {
    let bench = Bench::new();
    let paths: Vec<String> =
        (0..300).map(|number| format!("domains/_dmarc.s{number}.hosting.example.org.toml")).collect();
    let mut files: Vec<(&str, Option<&str>)> =
        paths.iter().map(|path| (path.as_str(), Some("server = \"bobs\"\n"))).collect();
    files.push(("servers/zoo.toml", Some("id = 3\n")));
    let before = bench.tip();
    let said = bench.push_change(None, &files);
    said.refused(&[
        "begins with `_`",
        "there is nothing to do for them here: remove the file",
        "297 more errors like this: domains/_dmarc.",
        "servers/zoo.toml",
        "301 errors in 301 files",
    ]);
    let lines = said.text.lines().filter(|line| line.starts_with("remote: ")).count();
    assert!(lines <= 105, "{lines}\n{}", said.text);
    assert_eq!(bench.tip(), before);
}

#[test]
fn members_are_refused_what_isnt_theirs() {
    // One rule of them all: `schema/tests/policy/` has each, and `agree` that every door gives the same verdict.
    let bench = Bench::new();
    refuses(
        &bench,
        Some("bob"),
        &[("servers/cyns.toml", Some("id = 2\nowner = \"cyn\"\ncpus = 2\n"))],
        &[
            "--> servers/cyns.toml:3:1",
            "cpus = 2",
            "error: server `cyns` is `cyn`'s: `bob` may not change it",
            "help: ask `cyn`, or `ann`",
        ],
    );
    refuses(
        &bench,
        Some(""),
        &[("docs/x.md", Some("x\n"))],
        &["error: the door gives no good name for whoever pushes"],
    );
    // A mistake in main locks members out until an admin mends it.
    std::fs::rename(bench.hook("pre-receive"), bench.folder.path().join("away")).unwrap();
    assert!(bench.push_change(None, &[("users/cyn.toml", Some("rol = 1\n"))]).good);
    std::fs::rename(bench.folder.path().join("away"), bench.hook("pre-receive")).unwrap();
    refuses(&bench, Some("bob"), &[("users/cyn.toml", Some(""))], &["error: main holds no good state"]);
    bench
        .push_change(None, &[("users/cyn.toml", Some(""))])
        .accepted(&["Not planned: what was there before has mistakes."]);
}

#[test]
fn a_member_doesnt_lift_the_removal_budget() {
    let bench = Bench::new();
    let before = bench.tip();
    for (user, good) in [("bob", false), ("ann", true)] {
        bench.git(&[
            "commit",
            "--quiet",
            "--allow-empty",
            "-m",
            "fewer",
            "--trailer",
            "Berth-Allow-Removals: 0a2893a696e71de8",
        ]);
        let said = bench.push(Some(user), &["origin", "HEAD:main"]);
        assert_eq!(said.good, good, "{}", said.text);
        if !good {
            said.refused(&[
                "--> the commit's message",
                "error: `bob` may not lift the removal budget, as `Berth-Allow-Removals` in the commit's message would",
                "`ann` can push a commit with it",
            ]);
            assert_eq!(bench.tip(), before);
        }
    }
    let why = bench.berth(&["why", "bob", "--from", &before, "--to", "main"]);
    assert!(!why.good && why.text.contains("`bob` may not lift the removal budget"), "{}", why.text);
}

#[test]
fn a_removed_servers_id_isnt_somebody_elses() {
    let bench = Bench::new();
    bench.push_change(Some("cyn"), &[("servers/cyns.toml", None)]).accepted(&["tombstone"]);
    refuses(
        &bench,
        Some("bob"),
        &[("servers/cyns.toml", Some("id = 2\nowner = \"bob\"\n"))],
        &[
            "--> servers/cyns.toml:1:6",
            "error: id 2 was a server of `cyn`'s",
            "help: an id is for ever: use another, such as 3",
        ],
    );
    bench
        .push_change(Some("cyn"), &[("servers/again.toml", Some("id = 2\nowner = \"cyn\"\n"))])
        .accepted(&[]);
    // What only a branch had that lost was never in force.
    let before = bench.tip();
    bench.git(&["checkout", "--quiet", "-b", "side"]);
    bench.commit(&[("servers/brief.toml", Some("id = 9\nowner = \"cyn\"\n"))]);
    bench.git(&["checkout", "--quiet", "main"]);
    bench.git(&["reset", "--quiet", "--hard", &before]);
    bench.git(&["merge", "--quiet", "--no-edit", "--no-ff", "--strategy", "ours", "side"]);
    bench.push(None, &["origin", "HEAD:main"]).accepted(&[]);
    let brief = [("servers/brief.toml", Some("id = 9\nowner = \"bob\"\n"))];
    bench.push_change(Some("bob"), &brief).accepted(&[]);
}

#[test]
fn history_is_neither_rewritten_nor_deleted() {
    let bench = Bench::new();
    let first = bench.tip();
    bench.push_change(None, &[("users/dan.toml", Some(""))]).accepted(&[]);
    // Git's own refusals are off: the hook refuses by itself.
    for setting in ["receive.denyDeletes", "receive.denyNonFastForwards"] {
        assert!(git(&bench.bare).args(["config", setting, "false"]).in_time().status.success());
    }
    for user in [None, Some("ann"), Some("bob")] {
        bench
            .push(user, &["origin", ":main"])
            .refused(&["error: main can't be deleted: it is what should exist"]);
        bench.push(user, &["--force", "origin", &format!("{first}:main")]).refused(&[
            "--> refs/heads/main",
            "which isn't built on it: history only grows",
            "help: `git pull --rebase`",
        ]);
    }
    // A commit without a common beginning.
    bench.git(&["checkout", "--quiet", "--orphan", "other"]);
    bench.commit(&[]);
    bench.push(None, &["--force", "origin", "HEAD:main"]).refused(&["history only grows"]);
}

#[test]
fn a_secret_in_any_commit_of_a_push_is_refused() {
    let bench = Bench::new();
    let before = bench.tip();
    let leak = bench.commit(&[("users/bob.toml", Some("# oops\npassword_hash = \"correct horse\"\n"))]);
    let key = bench.commit(&[
        ("users/bob.toml", Some("email = \"bob@example.org\"\n")),
        ("docs/key.txt", Some("mine:\n-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNz\n")),
    ]);
    bench.commit(&[("docs/key.txt", None)]);
    for user in [None, Some("ann"), Some("bob")] {
        let said = bench.push(user, &["origin", "HEAD:main"]);
        said.refused(&[
            &format!("--> {}:users/bob.toml:2:17", &leak[..10]),
            "error: this is a password in plain text",
            "take it out of every commit with `git rebase -i`",
            &format!("--> {}:docs/key.txt:2:20", &key[..10]),
            "error: this is a private key",
        ]);
        assert!(!said.text.contains("correct horse") && !said.text.contains("b3BlbnNz"), "{}", said.text);
    }
    // Another branch is history too.
    bench
        .push(None, &["origin", "HEAD:refs/heads/topic"])
        .refused(&["error: this is a password in plain text"]);
    // A tag of it as well.
    bench.git(&["tag", "-a", "-m", "v", "v1"]);
    bench.push(None, &["origin", "v1"]).refused(&["error: this is a password in plain text"]);
    assert_eq!(bench.tip(), before);
}

/// A file behind a tag is in no commit, so no search of commits finds it; and a message is kept like a file.
#[test]
fn nothing_hides_behind_a_tag_or_in_a_message() {
    let bench = Bench::new();
    let key = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNz\n";
    put(&bench.folder.path().join("beside"), "key", key);
    let file = bench.folder.path().join("beside/key");
    let blob = bench.git(&["hash-object", "-w", file.to_str().unwrap()]);
    let tree = bench.git(&["rev-parse", "HEAD^{tree}"]);
    bench.git(&["tag", "-a", "-m", "v", "inner"]);
    for (tag, of) in [("blob", &*blob), ("tree", &*tree), ("outer", "inner")] {
        bench.git(&["tag", "-a", "-m", "v", tag, of]);
        bench.git(&["tag", &format!("light-{tag}"), of]);
    }
    for tag in ["blob", "light-blob", "tree", "light-tree", "outer"] {
        for user in [None, Some("ann")] {
            bench
                .push(user, &["origin", tag])
                .refused(&["leads to no commit", "push a branch, or tag a commit"]);
        }
    }
    bench.push(Some("ann"), &["origin", "light-outer"]).accepted(&[]);
    bench.git(&["tag", "-a", "-m", &format!("v\n\n{key}"), "told"]);
    let said = bench.push(Some("ann"), &["origin", "told"]);
    said.refused(&["error: this is a private key, and history keeps it"]);
    assert!(!said.text.contains("b3BlbnNz"), "{}", said.text);
    bench.git(&["commit", "--quiet", "--allow-empty", "-m", &format!("change\n\n{key}")]);
    bench.push(Some("ann"), &["origin", "HEAD:main"]).refused(&["error: this is a private key"]);
    // UTF-16, as a redirection of PowerShell's writes it, and OpenPGP's.
    bench.git(&["reset", "--quiet", "--hard", "HEAD^"]);
    let wide: Vec<u8> = key.encode_utf16().flat_map(u16::to_le_bytes).collect();
    std::fs::write(bench.work.join("docs/key.txt"), [b"\xff\xfe", &wide[..]].concat()).unwrap();
    let pgp = "-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nbm90IGEga2V5\n-----END PGP PRIVATE KEY BLOCK-----\n";
    bench.commit(&[("docs/pgp.asc", Some(pgp))]);
    let private = "error: this is a private key";
    let said = bench.push(Some("ann"), &["origin", "HEAD:main"]);
    said.refused(&[private, "docs/key.txt:", "docs/pgp.asc:"]);
}

#[test]
fn a_secret_that_a_merge_brings_in_is_refused() {
    let bench = Bench::new();
    bench.git(&["checkout", "--quiet", "-b", "topic"]);
    bench.commit(&[("servers/bobs.toml", Some("id = 1\nowner = \"bob\"\ntoken = \"abc\"\n"))]);
    bench.commit(&[("servers/bobs.toml", Some("id = 1\nowner = \"bob\"\n"))]);
    bench.git(&["checkout", "--quiet", "main"]);
    bench.commit(&[("users/cyn.toml", Some("email = \"cyn@example.org\"\n"))]);
    bench.git(&["merge", "--quiet", "--no-edit", "topic"]);
    bench
        .push(None, &["origin", "HEAD:main"])
        .refused(&["servers/bobs.toml:3:9", "error: this is a password in plain text"]);
}

#[test]
fn a_secret_at_the_tip_is_told_once() {
    let bench = Bench::new();
    let said =
        bench.push_change(Some("bob"), &[("users/bob.toml", Some("password_hash = \"correct horse\"\n"))]);
    said.refused(&["--> users/bob.toml:1:17", "1 error in 1 file"]);
    assert!(!said.text.contains("correct horse"), "{}", said.text);
}

#[test]
fn junk_is_refused_cheaply() {
    let bench = Bench::new();
    let before = bench.tip();
    // 50 MB that don't compress: git stops reading at the limit, which is what it says then.
    let mut noise = Vec::with_capacity(50 << 20);
    let mut seed = 1_u64;
    while noise.len() < 50 << 20 {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        noise.extend_from_slice(&seed.to_le_bytes());
    }
    std::fs::write(bench.work.join("docs/junk.bin"), &noise).unwrap();
    bench.commit(&[]);
    let said = bench.push(Some("bob"), &["origin", "HEAD:main"]);
    assert!(!said.good, "{}", said.text);
    said.has(&["exceeds maximum allowed size"]);
    assert_eq!(bench.tip(), before);
    bench.git(&["reset", "--quiet", "--hard", &before]);
    // 50 MB of nothing go through as some kilobytes, into history, even though the tip doesn't have them.
    put(&bench.work, "docs/zeros.bin", "\0".repeat(50 << 20));
    let large = bench.commit(&[]);
    bench.commit(&[("docs/zeros.bin", None)]);
    bench.push(None, &["origin", "HEAD:main"]).refused(&[
        &format!("--> {}:docs/zeros.bin", &large[..10]),
        "error: 52428800 bytes, more than the 1048576 that a file may have, for ever in history",
    ]);
    assert_eq!(bench.tip(), before);
    // What was refused isn't kept.
    let kept = git(&bench.bare).args(["count-objects", "-v"]).in_time();
    let kept = String::from_utf8_lossy(&kept.stdout).into_owned();
    let number = |name: &str| -> u64 {
        kept.lines()
            .find_map(|line| line.strip_prefix(name))
            .unwrap()
            .trim_start_matches(": ")
            .parse()
            .unwrap()
    };
    assert!(number("size-garbage") == 0 && number("size") < 1000 && number("size-pack") < 1000, "{kept}");
}

#[test]
fn a_member_reads_no_log_of_the_host() {
    let bench = Bench::new();
    bench.commit(&[("servers/shop.toml", Some("id = 1\n"))]);
    let mut push = bench.pusher(Some("bob"));
    push.env("BERTH_LOG", "trace").args(["push", "--quiet", "origin", "HEAD:main"]);
    let said = Said::of(&push.in_time());
    assert!(!said.good);
    for logged in ["TRACE", "DEBUG", "INFO", "WARN"] {
        assert!(!said.text.contains(logged), "{}", said.text);
    }
}
