//! Proposals: pushed to `review/<topic>` with real git, listed, approved, rejected, and merged by themselves.

use super::{Bench, InTime as _, Said, git};

const MORE: (&str, Option<&str>) = ("servers/cyns.toml", Some("id = 2\nowner = \"cyn\"\ncpus = 2\n"));
const PAGE: (&str, Option<&str>) = ("docs/welcome.md", Some("# Welcome, all\n"));
const NEW: (&str, Option<&str>) = ("servers/shop.toml", Some("id = 3\nowner = \"bob\"\n"));

impl Bench {
    /// Commits on top of `main` as it is in the repository, and pushes to a proposal.
    fn propose(&self, user: Option<&str>, topic: &str, files: &[(&str, Option<&str>)]) -> Said {
        self.git(&["fetch", "--quiet", "origin"]);
        self.git(&["checkout", "--quiet", "--detach", "origin/main"]);
        self.commit(files);
        self.push_topic(user, topic)
    }

    fn push_topic(&self, user: Option<&str>, topic: &str) -> Said {
        self.push(user, &["--force", "origin", &format!("HEAD:refs/heads/review/{topic}")])
    }

    /// Changes main as whoever has the files.
    fn land(&self, files: &[(&str, Option<&str>)]) {
        self.git(&["fetch", "--quiet", "origin"]);
        self.git(&["checkout", "--quiet", "--detach", "origin/main"]);
        self.push_change(None, files).accepted(&[]);
    }

    fn review(&self, user: Option<&str>, arguments: &[&str]) -> Said {
        let mut words = vec!["review"];
        words.extend(user.into_iter().flat_map(|user| ["--as", user]));
        words.extend(arguments);
        self.berth(&words)
    }

    fn bare(&self, arguments: &[&str]) -> String {
        let output = git(&self.bare).args(arguments).in_time();
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    fn topics(&self) -> String {
        self.bare(&["for-each-ref", "--format=%(refname:lstrip=3)", "refs/heads/review"])
    }
}

#[track_caller]
fn not(said: &Said, parts: &[&str]) {
    assert!(!said.good, "{}", said.text);
    said.has(parts);
}

#[test]
fn what_needs_review_is_proposed_read_and_approved() {
    let bench = Bench::new();
    bench.commit(&[PAGE]);
    bench
        .push(Some("bob"), &["origin", "HEAD:main"])
        .refused(&["Propose it: `git push origin HEAD:review/<topic>`"]);
    bench.push_topic(Some("bob"), "welcome").accepted(&[
        "warning: `docs/welcome.md` is everybody's, so somebody else has to look at it",
        "remote: The proposal review/welcome needs review: `ann` may agree to it (`review show welcome` says how).",
        "remote: No changes",
        "remote: review/welcome waits: `review show welcome` shows how it stands",
    ]);
    let first = bench.tip();
    let list = bench.review(None, &["list"]);
    list.accepted(&["TOPIC", "AUTHOR", "AGE", "VERDICT", "MERGE"]);
    let tip = bench.bare(&["rev-parse", "refs/heads/review/welcome"]);
    list.has(&["welcome  bob ", &format!("needs review  clean  {}", &tip[..10])]);
    let show = bench.review(Some("ann"), &["show", "welcome"]);
    let line = format!("review approve welcome {tip}");
    show.accepted(&[
        &format!("to agree: {line}"),
        "opened by bob",
        "needs review: `ann` may agree to it",
        "docs/welcome.md +1 -1",
        "merges cleanly",
    ]);
    let json = bench.review(None, &["show", "welcome", "--format", "json"]).text;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["author"], "bob");
    assert_eq!(json["standing"]["approvers"], serde_json::json!(["ann"]));
    assert_eq!(json["plan"]["empty"], true);
    bench
        .review(None, &["show", "welcome", "--format", "markdown"])
        .accepted(&["### `review/welcome` by bob"]);
    // Neither its author nor another member can agree to it, and the other one isn't told that it is there.
    not(
        &bench.review(Some("bob"), &["approve", "welcome"]),
        &["is your own, and somebody else has to agree to it: `ann`"],
    );
    not(
        &bench.review(Some("cyn"), &["approve", "welcome"]),
        &["no proposal review/welcome that you may see"],
    );
    not(&bench.review(Some("cyn"), &["show", "welcome"]), &["no proposal review/welcome that you may see"]);
    bench.review(Some("cyn"), &["list"]).accepted(&["No proposals wait."]);
    // A guess at what the repository holds, and is not theirs to read, is answered like nonsense.
    let held = bench.bare(&["rev-parse", "main:users/ann.toml"]);
    for guess in [held, "1".repeat(40)] {
        let ran = bench.review(Some("cyn"), &["approve", "welcome", &guess]);
        not(&ran, &["there is no proposal review/welcome that you may see"]);
        let ran = bench.review(Some("bob"), &["approve", "welcome", &guess]);
        not(&ran, &["review/welcome is at ", &format!("and not at {guess}")]);
    }
    // What was looked at is what is merged.
    not(&bench.review(Some("ann"), &["approve", "welcome", &first]), &["review/welcome is at "]);
    // Its author pushes another one between the look and the word.
    bench.commit(&[("docs/welcome.md", Some("# Welcome to my own\n"))]);
    bench.push_topic(Some("bob"), "welcome").accepted(&[]);
    not(
        &bench.review(Some("ann"), &["approve", "welcome", &tip[..10]]),
        &["and not at ", "look at it again"],
    );
    assert_eq!(bench.tip(), first);
    bench.git(&["checkout", "--quiet", "--detach", &tip]);
    bench.push_topic(Some("bob"), "welcome").accepted(&[]);
    let words: Vec<&str> = line.split(' ').skip(1).collect();
    // What is merged is shown as it was looked at.
    bench.review(Some("ann"), &words).accepted(&[
        "Planned from state to state; the engine wasn't asked.",
        "No changes",
        "review/welcome is merged: main is at ",
        "no reconciler runs: it is applied when one does.",
    ]);
    let message = bench.bare(&["log", "-1", "--format=%an%n%B", "main"]);
    assert!(message.contains("Merge review/welcome: change"), "{message}");
    assert!(message.contains("Proposed-by: bob\nReviewed-by: ann <ann@hosting.example.org>"), "{message}");
    assert_eq!(bench.bare(&["rev-parse", "main^1"]), first);
    assert_eq!(bench.bare(&["show", "main:docs/welcome.md"]), "# Welcome, all");
    assert_eq!(
        (bench.topics().as_str(), bench.bare(&["for-each-ref", "refs/berth/review"]).as_str()),
        ("", "")
    );
    bench.bare(&["fsck", "--strict"]);
}

#[test]
fn only_whoever_agrees_lifts_the_removal_budget() {
    let bench = Bench::new();
    let files = [("servers/cyns.toml", None), ("servers/more.toml", Some("id = 5\nowner = \"ann\"\n"))];
    let main = bench.tip();
    // Of a member's proposal, also where all that it changes is theirs.
    bench.git(&["checkout", "--quiet", "--detach", "origin/main"]);
    bench.commit(&[NEW]);
    bench.git(&["commit", "--quiet", "--amend", "-m", "shop\n\nberth-allow-removals: 0123456789abcdef"]);
    let refusal = "error: `bob` may not lift the removal budget, as `Berth-Allow-Removals` in the commit's message would";
    bench.push_topic(Some("bob"), "shop").refused(&[
        "--> the commit's message",
        refusal,
        "help: take that line out",
    ]);
    // Of an admin's, it doesn't count: another one says it anew.
    bench.git(&["checkout", "--quiet", "--detach", "origin/main"]);
    bench.commit(&files);
    bench.git(&["commit", "--quiet", "--amend", "-m", "shop\n\nBerth-Allow-Removals: 0123456789abcdef"]);
    bench.push_topic(Some("ann"), "fewer").accepted(&["needs review"]);
    assert_eq!(bench.tip(), main);
    for no_hash in ["", "x", "0123\nProposed-by: rasa"] {
        not(&bench.review(None, &["approve", "fewer", "--allow-removals", no_hash]), &["not the hash"]);
    }
    bench
        .review(None, &["approve", "fewer", "--allow-removals", "fedcba9876543210"])
        .accepted(&["is merged"]);
    let trailers = bench.bare(&["log", "-1", "--format=%(trailers:only)", "main"]);
    assert!(trailers.starts_with("Proposed-by: ann\nBerth-Allow-Removals: fedcba9876543210\n"), "{trailers}");
    assert!(!trailers.contains("0123456789abcdef"), "{trailers}");
}

#[test]
fn what_is_ones_own_merges_itself() {
    let bench = Bench::new();
    bench.propose(Some("bob"), "shop", &[NEW]).accepted(&[
        "remote: The proposal review/shop touches only what is yours, and merges itself.",
        "server shop (id 3)",
        "remote: review/shop is merged: main is at ",
        "no reconciler runs: it is applied when one does.",
    ]);
    // Nothing had happened meanwhile, so main is the very commit that was pushed.
    assert_eq!(bench.tip(), bench.git(&["rev-parse", "HEAD"]));
    assert_eq!(bench.topics(), "");
    // Behind main, and still clean: a merge.
    bench.commit(&[("servers/shop.toml", Some("id = 3\nowner = \"bob\"\npids = 512\n"))]);
    let mine = bench.git(&["rev-parse", "HEAD"]);
    bench.land(&[PAGE]);
    bench.git(&["checkout", "--quiet", "--detach", &mine]);
    bench.push_topic(Some("bob"), "fewer").accepted(&["review/fewer is merged"]);
    assert_eq!(bench.bare(&["rev-parse", "main^2"]), mine);
    assert_eq!(bench.bare(&["show", "main:docs/welcome.md"]), "# Welcome, all");
    let message = bench.bare(&["log", "-1", "--format=%B", "main"]);
    assert!(message.contains("Proposed-by: bob") && !message.contains("Reviewed-by"), "{message}");
    // An admin who proposes wants somebody else to look, though an admin could push it.
    bench
        .propose(Some("ann"), "cyns", &[MORE])
        .accepted(&["needs review: whoever runs the platform may agree"]);
    not(&bench.review(Some("ann"), &["approve", "cyns"]), &["is your own, and somebody else has to agree"]);
    bench.review(None, &["approve", "cyns"]).accepted(&["is merged"]);
}

#[test]
fn what_conflicts_waits_and_says_so() {
    let bench = Bench::new();
    let old = bench.tip();
    bench.land(&[("servers/bobs.toml", Some("id = 1\nowner = \"bob\"\nmemory = \"1 GiB\"\n"))]);
    bench.git(&["checkout", "--quiet", "--detach", &old]);
    bench.commit(&[("servers/bobs.toml", Some("id = 1\nowner = \"bob\"\nmemory = \"2 GiB\"\n"))]);
    let landed = bench.tip();
    bench.push_topic(Some("bob"), "memory").accepted(&[
        "touches only what is yours; it conflicts with main in servers/bobs.toml.",
        "To mend that: `git fetch origin && git rebase origin/main`, then `git push --force origin HEAD:review/memory`.",
        "review/memory waits",
    ]);
    assert_eq!(bench.tip(), landed);
    bench.review(Some("bob"), &["list"]).accepted(&["allowed  conflicts"]);
    not(
        &bench.review(Some("ann"), &["approve", "memory"]),
        &["review/memory doesn't merge any more: main changed servers/bobs.toml as well. `bob` has to"],
    );
    // Mended as it says, it merges itself.
    bench.git(&["fetch", "--quiet", "origin"]);
    bench.git(&["checkout", "--quiet", "--detach", "origin/main"]);
    bench.commit(&[("servers/bobs.toml", Some("id = 1\nowner = \"bob\"\nmemory = \"2 GiB\"\n"))]);
    bench.push_topic(Some("bob"), "memory").accepted(&["review/memory is merged"]);
    assert!(bench.bare(&["show", "main:servers/bobs.toml"]).contains("2 GiB"));
}

#[test]
fn a_stale_proposal_is_judged_on_what_main_is_now() {
    let bench = Bench::new();
    // bob proposes a page together with a name of his own; meanwhile somebody else takes the name.
    let name = "domains/blog.hosting.example.org.toml";
    bench
        .propose(Some("bob"), "blog", &[PAGE, (name, Some("server = \"bobs\"\n"))])
        .accepted(&["needs review"]);
    bench.land(&[("domains/www.blog.hosting.example.org.toml", Some("server = \"cyns\"\n"))]);
    let before = bench.tip();
    bench.review(None, &["list"]).accepted(&["refused", "clean"]);
    not(
        &bench.review(Some("ann"), &["approve", "blog"]),
        &[
            "`blog.hosting.example.org` and everything below it is `cyn`'s, who has `www.blog.hosting.example.org`",
            "can't be merged into main as that is now",
        ],
    );
    assert_eq!(bench.tip(), before);
    // A proposal of somebody who was an admin when it began counts for what they are now.
    bench.propose(Some("ann"), "grab", &[MORE]).accepted(&["needs review"]);
    bench.land(&[("users/dan.toml", Some("role = \"admin\"\n")), ("users/ann.toml", Some(""))]);
    not(
        &bench.review(Some("dan"), &["approve", "grab"]),
        &["server `cyns` is `cyn`'s: `ann` may not change it"],
    );
    // Mistakes that only the two together make.
    bench.land(&[("users/ann.toml", Some("role = \"admin\"\n"))]);
    bench
        .propose(
            Some("ann"),
            "eve",
            &[("servers/eves.toml", Some("id = 7\nowner = \"eve\"\n")), ("users/eve.toml", Some(""))],
        )
        .accepted(&[]);
    bench.land(&[("servers/seventh.toml", Some("id = 7\nowner = \"bob\"\n"))]);
    not(&bench.review(Some("dan"), &["approve", "eve"]), &["7", "can't be merged into main as that is now"]);
    bench.land(&[("servers/seventh.toml", None)]);
    bench.review(Some("dan"), &["approve", "eve"]).accepted(&["is merged"]);
}

#[test]
fn a_proposal_shows_nothing_of_another_s_file() {
    let bench = Bench::new();
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFwd4hDKVjkNV3t11OwpbDnynTRvcOgxT59FnA682koi";
    let other =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPnromELomUldtAzh7fZJtoAQBMfaP2jqacCBzmu7VzD cyn@bank.example";
    let bobs = format!("ssh_keys = [\"{key}\"]\n");
    bench.propose(Some("bob"), "key", &[PAGE, ("users/bob.toml", Some(&bobs))]).accepted(&["needs review"]);
    // Meanwhile somebody else gets that key.
    bench.land(&[("users/cyn.toml", Some(&format!("ssh_keys = [\"{other}\", \"{key}\"]\n")))]);
    let shown = bench.review(Some("bob"), &["show", "key"]);
    assert!(shown.text.contains("users/bob.toml:1:") && !shown.text.contains("bank"), "{}", shown.text);
    // For an admin too, the finding stands at the change's own file.
    let shown = bench.review(Some("ann"), &["show", "key"]).text;
    assert!(shown.contains("this SSH key is `cyn`'s") && shown.contains("users/bob.toml:1:"), "{shown}");
}

#[test]
fn what_main_refuses_a_proposal_refuses() {
    let bench = Bench::new();
    let refuse = |user: &str, files: &[(&str, Option<&str>)], parts: &[&str]| {
        bench.propose(Some(user), "x", files).refused(parts);
        assert_eq!(bench.topics(), "");
    };
    refuse("bob", &[MORE], &["error: server `cyns` is `cyn`'s: `bob` may not change it"]);
    refuse("bob", &[("users/bob.toml", Some("role = \"admin\"\n"))], &["may not change the role of `bob`"]);
    refuse(
        "bob",
        &[("servers/bobs.toml", Some("id = 1\nowner = \"bob\"\nmemry = 1\n"))],
        &["did you mean `memory`?"],
    );
    refuse(
        "bob",
        &[("docs/key.md", Some("-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl\n"))],
        &["this is a private key"],
    );
    refuse("eve", &[PAGE], &["there is no user `eve`, so nothing may be proposed in that name"]);
    // The last one's beginning, taken away twice, would leave a topic that nothing else knows as one.
    for name in ["Bad_Name", "a/b", "-x", "refs/heads/review/x"] {
        bench
            .push(Some("bob"), &["origin", &format!("HEAD:refs/heads/review/{name}")])
            .refused(&["is not a topic", "lower-case letters, digits and hyphens"]);
        assert_eq!(bench.topics(), "");
    }
    bench.git(&["checkout", "--quiet", "--orphan", "other"]);
    bench.commit(&[]);
    bench.push_topic(Some("bob"), "orphan").refused(&["the proposal has no commit in common with main"]);
}

#[test]
fn a_proposal_is_its_authors() {
    let bench = Bench::new();
    bench.propose(Some("bob"), "welcome", &[PAGE]).accepted(&[]);
    bench
        // Another text: the same one in the same second would be the same commit, and nothing to push.
        .propose(Some("cyn"), "welcome", &[("docs/welcome.md", Some("# Mine\n"))])
        .refused(&["`refs/heads/review/welcome` is somebody else's proposal"]);
    bench
        .push(Some("cyn"), &["origin", ":review/welcome"])
        .refused(&["`refs/heads/review/welcome` is somebody else's proposal"]);
    // Its author pushes it anew, as does an admin, who doesn't become its author by that.
    bench.propose(Some("bob"), "welcome", &[("docs/welcome.md", Some("# Hi\n"))]).accepted(&["waits"]);
    bench
        .propose(Some("ann"), "welcome", &[("docs/welcome.md", Some("# Hello\n"))])
        .accepted(&["`ann` may agree"]);
    bench.review(None, &["list"]).accepted(&["welcome  bob "]);
    let tip = bench.bare(&["rev-parse", "refs/heads/review/welcome"]);
    bench.push(Some("bob"), &["origin", ":review/welcome"]).accepted(&[
        "remote: review/welcome is closed; its commits are kept as refs/berth/closed/welcome-1, for 180 days or until you have closed 20 more.",
    ]);
    assert_eq!(bench.bare(&["rev-parse", "refs/berth/closed/welcome-1^{commit}"]), tip);
    // The topic is free again.
    bench.propose(Some("cyn"), "welcome", &[PAGE]).accepted(&[]);
    bench.review(None, &["list"]).accepted(&["welcome  cyn "]);
}

#[test]
fn a_rejected_proposal_is_closed_and_kept() {
    let bench = Bench::new();
    bench.propose(Some("bob"), "welcome", &[PAGE]).accepted(&[]);
    let tip = bench.bare(&["rev-parse", "refs/heads/review/welcome"]);
    not(&bench.review(Some("cyn"), &["reject", "welcome"]), &["no proposal review/welcome that you may see"]);
    bench.review(Some("ann"), &["reject", "welcome", "-m", "too loud"]).accepted(&[
        "review/welcome is closed; its commits are kept",
        "`git show refs/berth/closed/welcome-1`",
    ]);
    let kept = bench.bare(&["show", "--no-patch", "--format=%H", "refs/berth/closed/welcome-1"]);
    assert!(kept.contains("Tagger: ann <ann@hosting.example.org>") && kept.contains("too loud"), "{kept}");
    assert!(kept.contains(&tip), "{kept}");
    assert_eq!(bench.topics(), "");
    not(&bench.review(None, &["show", "welcome"]), &["`review list` shows those that there are"]);
    bench.propose(Some("bob"), "welcome", &[PAGE]).accepted(&[]);
    bench.review(Some("bob"), &["reject", "welcome"]).accepted(&["refs/berth/closed/welcome-2"]);
}

#[test]
fn other_refs_only_grow_or_go_and_berths_own_are_its_own() {
    let bench = Bench::new();
    bench.commit(&[NEW]);
    let nothing = "refs/heads/try isn't main, so nothing of it is applied.";
    bench.push(Some("ann"), &["origin", "HEAD:refs/heads/try"]).accepted(&[nothing]);
    bench.git(&["reset", "--quiet", "--hard", "HEAD^"]);
    bench.commit(&[PAGE]);
    for user in [None, Some("ann")] {
        let rewritten = "`refs/heads/try` can't be rewritten: history only grows";
        bench.push(user, &["--force", "origin", "HEAD:refs/heads/try"]).refused(&[rewritten]);
    }
    bench.push(Some("ann"), &["origin", ":try"]).accepted(&["refs/heads/try is gone"]);
    bench.push(None, &["origin", "HEAD:refs/heads/try"]).accepted(&[nothing]);
    bench.push(None, &["origin", ":try"]).accepted(&["refs/heads/try is gone"]);
    for (name, why) in [
        ("refs/heads/review", "would block every proposal"),
        ("refs/tags/main", "would be taken for the branch `main`"),
        ("refs/main", "would be taken for the branch `main`"),
        ("refs/remotes/main/HEAD", "would be taken for the branch `main`"),
        ("refs/replace/0123456789012345678901234567890123456789", "show other commits than those that count"),
    ] {
        for user in [None, Some("ann")] {
            bench.push(user, &["origin", &format!("HEAD:{name}")]).refused(&[why]);
        }
    }
    bench.propose(Some("bob"), "still", &[PAGE]).accepted(&[]);
    for name in ["refs/berth/applied", "refs/berth/review/x", "refs/notes/berth"] {
        bench.push(Some("ann"), &["origin", &format!("HEAD:{name}")]).refused(&["is kept by Berth itself"]);
    }
}

#[test]
fn a_member_has_ten_proposals_open_and_no_more() {
    let bench = Bench::new();
    let page = |number: u32| format!("docs/{number}.md");
    for number in 0..10 {
        bench
            .propose(Some("bob"), &format!("p{number}"), &[(&page(number), Some("# Page\n"))])
            .accepted(&["waits"]);
    }
    let more = [(&*page(10), Some("# Page\n"))];
    bench.propose(Some("bob"), "p10", &more).refused(&[
        "you have 10 proposals open, and nobody may have more",
        "close one that you don't need: `git push origin :review/<topic>`",
    ]);
    // One that is open may still change, others aren't held by it, and admins by nothing.
    bench.propose(Some("bob"), "p9", &[("docs/9.md", Some("# Better\n"))]).accepted(&["waits"]);
    bench.propose(Some("cyn"), "p10", &more).accepted(&["waits"]);
    bench.push(Some("bob"), &["origin", ":review/p0"]).accepted(&["review/p0 is closed"]);
    bench.propose(Some("bob"), "p11", &more).accepted(&["waits"]);
}

#[test]
fn of_what_somebody_took_back_the_newest_are_kept() {
    let bench = Bench::new();
    for number in 0..22 {
        let text = format!("# {number}\n");
        bench.propose(Some("bob"), "mine", &[("docs/welcome.md", Some(&text))]).accepted(&[]);
        bench.push(Some("bob"), &["origin", ":review/mine"]).accepted(&["review/mine is closed"]);
    }
    let kept = bench.bare(&["for-each-ref", "--format=%(refname:lstrip=3)", "refs/berth/closed"]);
    assert_eq!(kept.lines().count(), 20, "{kept}");
    assert!(kept.lines().any(|name| name == "mine-22"), "{kept}");
}
