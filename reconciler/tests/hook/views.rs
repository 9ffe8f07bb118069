//! Views of the state repo, with real git: what members see, and what becomes of what they push.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use berth_judge::hook::view;

use super::{Bench, InTime as _, Said, git, put};

const ANN_HASH: &str = "$2b$12$odeciuvURMWYHyxaUSooeORUILdSujzA7pPBiCstyxNS992W1SqI.";
const BOB_HASH: &str = "$2b$12$XA5EMVVWC1rpYp7JpspgMu/k5QOchJu8iwjNe7wkYUHNgkvh1.1TO";
const NEW_HASH: &str = "$2b$12$odeciuvURMWYHyxaUSooeO/k5QOchJu8iwjNe7wkYUHNgkvh1.1TO";
const CYN_HASH: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$RdescudvJCsgt3ub+b4dWRWJTmaaJObGdescudvJCsg";
const ANN_KEY: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIFwd4hDKVjkNV3t11OwpbDnynTRvcOgxT59FnA682koi";
const BOB_KEY: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIPnromELomUldtAzh7fZJtoAQBMfaP2jqacCBzmu7VzD";
const CYN_KEY: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIGvTmhemq6diOVWu+C3HR9GvsNO9feexKYRBICZaHuY2";

/// The admin ann, bob with `bobs`, cyn with `cyns`, each with a password and a key.
fn files() -> Vec<(&'static str, String)> {
    let user = |more: &str, name: &str, hash: &str, key: &str| {
        format!(
            "{more}email = \"{name}@mail.example.org\"\npassword_hash = \"{hash}\" # from the form\nssh_keys = [\"ssh-ed25519 {key} {name}@laptop\"]\n"
        )
    };
    vec![
        ("platform.toml", "domain = \"hosting.example.org\"\n".to_owned()),
        ("users/ann.toml", user("role = \"admin\"\n", "ann", ANN_HASH, ANN_KEY)),
        ("users/bob.toml", user("# It's me.\n", "bob", BOB_HASH, BOB_KEY)),
        ("users/cyn.toml", user("", "cyn", CYN_HASH, CYN_KEY) + "\n[quota]\nservers = 5\n"),
        ("servers/bobs.toml", "id = 1\nowner = \"bob\"\nmemory = \"512 MiB\"\n".to_owned()),
        ("servers/cyns.toml", "id = 2\nowner = \"cyn\"\n".to_owned()),
        ("docs/welcome.md", "# Welcome\n".to_owned()),
    ]
}

/// A member's clone of their view.
pub(super) struct Member<'b> {
    bench: &'b Bench,
    name: &'static str,
    pub(super) clone: PathBuf,
}

impl Bench {
    pub(super) fn with_members() -> Self {
        let files = files();
        let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
        let bench = Self::holding(&files);
        assert!(bench.berth(&["hook", "install", bench.bare.to_str().unwrap()]).good);
        bench
    }

    /// Makes somebody's view ready, as the door does before each command.
    pub(super) fn prepare(&self, name: &str) -> Result<PathBuf, view::ViewHookError> {
        let (state, data) = (self.bare.clone(), self.data());
        let settings = view::ViewSettings { state, views: data.join("views"), data };
        view::prepare(&settings, Path::new(env!("CARGO_BIN_EXE_berth")), &name.parse().unwrap())
    }

    pub(super) fn member(&self, name: &'static str) -> Member<'_> {
        let member = Member { bench: self, name, clone: self.folder.path().join(name) };
        member.clone_into(&member.clone);
        member
    }

    /// Content of a file in the state repo.
    fn real(&self, path: &str) -> String {
        let output = git(&self.bare).args(["show", &format!("main:{path}")]).in_time();
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Member<'_> {
    pub(super) fn clone_into(&self, folder: &Path) {
        let url = format!("file://{}", self.bench.prepare(self.name).unwrap().display());
        let output = git(self.bench.folder.path()).args(["clone", "--quiet", &url]).arg(folder).in_time();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    pub(super) fn git(&self, arguments: &[&str]) -> String {
        let said = self.attempt(arguments);
        assert!(said.good, "git {arguments:?}: {}", said.text);
        said.text
    }

    pub(super) fn attempt(&self, arguments: &[&str]) -> Said {
        Said::of(&self.command().args(arguments).in_time())
    }

    fn command(&self) -> Command {
        let mut git = git(&self.clone);
        // As the door says it; in a view its member counts, whatever is said.
        git.env("NO_COLOR", "1").env("BERTH_USER", "ann");
        git
    }

    pub(super) fn commit(&self, files: &[(&str, Option<&str>)]) -> String {
        for (path, text) in files {
            match text {
                Some(text) => put(&self.clone, path, text),
                None => fs::remove_file(self.clone.join(path)).unwrap(),
            }
        }
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "-m", "change"]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// Pushes as the door lets them: the view is made ready first.
    pub(super) fn push(&self, arguments: &[&str]) -> Said {
        self.bench.prepare(self.name).unwrap();
        self.attempt(&[&["push"], arguments].concat())
    }

    fn push_change(&self, files: &[(&str, Option<&str>)]) -> Said {
        self.commit(files);
        self.push(&["origin", "HEAD:main"])
    }

    fn fetch(&self) {
        self.bench.prepare(self.name).unwrap();
        self.git(&["fetch", "--quiet", "--prune"]);
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.clone.join(path)).unwrap()
    }

    /// Every object that the clone has, as text.
    fn everything(&self) -> String {
        everything(&self.clone)
    }
}

/// The content of every object of a repository, reachable or not.
fn everything(repository: &Path) -> String {
    let run = |arguments: &[&str]| git(repository).args(arguments).in_time().stdout;
    let list = run(&["cat-file", "--batch-all-objects", "--batch-check=%(objectname) %(objecttype)"]);
    let mut all = String::new();
    for line in String::from_utf8(list).unwrap().lines() {
        let (id, kind) = line.split_once(' ').unwrap();
        // A tree's raw bytes are ids; its names are said by `-p`.
        let content =
            if kind == "tree" { run(&["cat-file", "-p", id]) } else { run(&["cat-file", kind, id]) };
        all.push_str(&String::from_utf8_lossy(&content));
    }
    all
}

#[track_caller]
fn has_nothing_of(text: &str, secrets: &[&str]) {
    for secret in secrets {
        let at = text.find(secret);
        assert!(
            at.is_none(),
            "`{secret}` in\n{}",
            &text[at.unwrap().saturating_sub(200)..][..400.min(text.len())]
        );
    }
}

#[test]
fn a_clone_holds_nothing_that_isnt_its_members_to_read() {
    let bench = Bench::with_members();
    // History that nobody sees at the tip: files of users elsewhere, broken ones, one's own old hash.
    bench.commit(&[
        ("backup/cyn.toml", Some(&files()[3].1)),
        ("Users/cyn.toml", Some(&files()[3].1)),
        ("users/cyn.toml.orig", Some(&files()[3].1)),
        ("users/old/ann.toml", Some(&files()[1].1)),
        ("docs/note.md", Some(&format!("ann's is {ANN_HASH}, and\n{CYN_HASH}\n"))),
        (
            "users/cyn.toml",
            Some(&format!("email = \"cyn@mail.example.org\npassword_hash = \"{CYN_HASH}\"\n")),
        ),
        ("users/bob.toml", Some(&format!("password_hash = \"{BOB_HASH}\"\n# {ANN_HASH}\n"))),
    ]);
    bench.git(&["reset", "--quiet", "--hard", "HEAD"]);
    std::os::unix::fs::symlink(CYN_KEY, bench.work.join("users/dan.toml")).unwrap();
    bench.commit(&[]);
    bench.git(&["checkout", "--quiet", "HEAD~2", "--", "."]);
    bench.git(&[
        "rm",
        "--quiet",
        "-r",
        "backup",
        "Users",
        "users/cyn.toml.orig",
        "users/old",
        "docs/note.md",
        "users/dan.toml",
    ]);
    bench.commit(&[]);
    // From before there was a judge of names, which lets no `Users` in beside `users`.
    fs::rename(bench.hook("pre-receive"), bench.folder.path().join("away")).unwrap();
    bench.push(None, &["origin", "HEAD:main"]).has(&["main"]);
    fs::rename(bench.folder.path().join("away"), bench.hook("pre-receive")).unwrap();
    let bob = bench.member("bob");
    let secrets = [
        "$2b$",
        "$argon2",
        ANN_KEY,
        CYN_KEY,
        "ann@mail",
        "cyn@mail",
        "ann@laptop",
        "cyn@laptop",
        "backup",
        "Users",
    ];
    has_nothing_of(&bob.everything(), &secrets);
    has_nothing_of(&everything(&bench.data().join("views/bob.git")), &secrets);
    // One commit for one commit, with what is theirs, and with what everybody's rules need.
    assert_eq!(bob.git(&["rev-list", "--count", "HEAD"]), "4");
    assert!(bob.everything().contains(BOB_KEY));
    assert!(bob.read("users/bob.toml").contains("email = \"bob@mail.example.org\"\n# password_hash is set"));
    assert!(bob.read("users/cyn.toml").ends_with("[quota]\nservers = 5\n"), "{}", bob.read("users/cyn.toml"));
    assert!(bob.read("users/ann.toml").ends_with("role = \"admin\"\n"));
    assert_eq!(bob.read("servers/cyns.toml"), bench.real("servers/cyns.toml"));
    let checked = bench.berth(&["check", bob.clone.to_str().unwrap()]);
    assert!(checked.good, "{}", checked.text);
    // Nor does git hand out an object of the state repo that is asked for by its id.
    let id = git(&bench.bare).args(["rev-parse", "main:users/cyn.toml"]).in_time().stdout;
    let id = String::from_utf8(id).unwrap();
    let asked = bob.attempt(&["fetch", "--quiet", "origin", id.trim()]);
    assert!(!asked.good && asked.text.contains("not our ref"), "{}", asked.text);
    git(&bob.clone).args(["fsck", "--strict"]).in_time().status.success().then_some(()).unwrap();
}

#[test]
fn the_same_history_is_shown_the_same_way_again() {
    let bench = Bench::with_members();
    bench
        .push_change(None, &[("servers/cyns.toml", Some("id = 2\nowner = \"cyn\"\ncpus = 2\n"))])
        .accepted(&[]);
    let bob = bench.member("bob");
    let before = bob.git(&["rev-parse", "HEAD"]);
    fs::remove_dir_all(bench.data().join("views")).unwrap();
    bob.fetch();
    assert_eq!(bob.git(&["rev-parse", "origin/main"]), before);
}

#[test]
fn a_member_pushes_what_is_theirs() {
    let bench = Bench::with_members();
    let bob = bench.member("bob");
    let said = bob.push_change(&[
        ("servers/shop.toml", Some("id = 3\nowner = \"bob\"\n")),
        ("servers/bobs.toml", Some("id = 1\nowner = \"bob\"\nmemory = \"1 GiB\"\n")),
    ]);
    said.accepted(&[
        "server shop (id 3)",
        "server bobs (id 1)",
        "no reconciler runs: it is applied when one does.",
    ]);
    assert_eq!(bench.real("servers/shop.toml"), "id = 3\nowner = \"bob\"\n");
    // What they pushed keeps its name, and what others see is what it was.
    let pushed = bob.git(&["rev-parse", "HEAD"]);
    said.has(&[&format!("remote: {} is accepted", &pushed[..10])]);
    assert_ne!(pushed, bench.tip());
    bob.fetch();
    assert_eq!(bob.git(&["rev-parse", "origin/main"]), pushed);
    for (path, text) in &files()[1..4] {
        assert_eq!(bench.real(path), *text);
    }
    let cyn = bench.member("cyn");
    assert_eq!(cyn.read("servers/shop.toml"), "id = 3\nowner = \"bob\"\n");
    let author = git(&bench.bare).args(["log", "-1", "--format=%an %ae %s", "main"]).in_time();
    assert_eq!(String::from_utf8_lossy(&author.stdout), "Ada ada@example.org change\n");
    assert!(git(&bench.bare).args(["fsck", "--strict"]).in_time().status.success());
}

#[test]
fn a_member_proposes_from_their_view() {
    let bench = Bench::with_members();
    let bob = bench.member("bob");
    // Whose an id was is asked of the state repo's history, which the view's own doesn't have.
    bob.commit(&[
        ("servers/shop.toml", Some("id = 3\nowner = \"bob\"\n")),
        ("docs/welcome.md", Some("# Welcome, all\n")),
    ]);
    bob.push(&["origin", "HEAD:refs/heads/review/shop"]).accepted(&[
        "remote: The proposal review/shop needs review: `ann` may agree to it",
        "server shop (id 3)",
        "remote: review/shop waits",
    ]);
    // What is theirs alone merges itself.
    bob.git(&["reset", "--quiet", "--hard", "origin/main"]);
    bob.commit(&[("servers/blog.toml", Some("id = 4\nowner = \"bob\"\n"))]);
    bob.push(&["origin", "HEAD:refs/heads/review/blog"]).accepted(&["review/blog is merged"]);
    assert_eq!(bench.real("servers/blog.toml"), "id = 4\nowner = \"bob\"\n");
}

#[test]
fn a_proposal_is_its_authors_and_the_admins_to_read() {
    let bench = Bench::with_members();
    let (bob, cyn) = (bench.member("bob"), bench.member("cyn"));
    let id = cyn.commit(&[("docs/plan.md", Some("# Not yet for everybody\n"))]);
    cyn.push(&["origin", "HEAD:refs/heads/review/plan"]).accepted(&["review/plan waits"]);
    cyn.fetch();
    assert_eq!(cyn.git(&["rev-parse", "origin/review/plan"]), id);
    let review = |user: &str, words: &[&str]| bench.berth(&[&["review", "--as", user], words].concat());
    review("cyn", &["list"]).accepted(&["plan   cyn "]);
    review("ann", &["show", "plan"]).accepted(&["opened by cyn", "docs/plan.md +1 -0"]);
    // Neither by name nor as an object nor in an answer does it reach anybody else.
    bob.fetch();
    let again = bench.folder.path().join("bob-again");
    bob.clone_into(&again);
    assert_eq!(bob.git(&["ls-remote", "origin", "refs/heads/review/*"]), "");
    let secrets = ["Not yet for everybody", "docs/plan.md", &*id];
    for repository in [&bob.clone, &again, &bench.data().join("views/bob.git")] {
        has_nothing_of(&everything(repository), &secrets);
    }
    review("bob", &["list"]).accepted(&["No proposals wait."]);
    assert!(!review("bob", &["show", "plan"]).good);
    // That the topic is taken is all that bob learns.
    bob.commit(&[("docs/mine.md", Some("# Mine\n"))]);
    let others = "error: `refs/heads/review/plan` is somebody else's proposal";
    for force in [&[][..], &["--force"]] {
        bob.push(&[force, &["origin", "HEAD:refs/heads/review/plan"]].concat()).refused(&[others]);
    }
    // Merged, it is everybody's.
    review("ann", &["approve", "plan", "--wait", "0"]).accepted(&["is merged"]);
    bob.fetch();
    assert_eq!(bob.git(&["show", "origin/main:docs/plan.md"]), "# Not yet for everybody");
    cyn.fetch();
    assert_eq!(cyn.git(&["ls-remote", "origin", "refs/heads/review/*"]), "");
}

#[test]
fn commits_made_in_somebodys_name_dont_say_their_address() {
    let bench = Bench::with_members();
    let (bob, cyn) = (bench.member("bob"), bench.member("cyn"));
    cyn.commit(&[("docs/plan.md", Some("# Plan\n"))]);
    cyn.push(&["origin", "HEAD:refs/heads/review/plan"]).accepted(&["review/plan waits"]);
    bench.berth(&["review", "--as", "ann", "approve", "plan", "--wait", "0"]).accepted(&["is merged"]);
    // What is cyn's own, and behind main by now, is merged in cyn's name; and so is what cyn takes back.
    cyn.git(&["reset", "--quiet", "--hard", "HEAD^"]);
    cyn.commit(&[("servers/cyns.toml", Some("id = 2\nowner = \"cyn\"\ncpus = 2\n"))]);
    cyn.push(&["origin", "HEAD:refs/heads/review/more"]).accepted(&["review/more is merged"]);
    bench.berth(&["revert", "--as", "cyn", "main^2", "--wait", "0"]).accepted(&["main is at"]);
    bob.fetch();
    let people = bob.git(&["log", "--format=%an <%ae> %cn <%ce> %B", "origin/main"]);
    for name in ["ann", "cyn"] {
        assert!(people.contains(&format!("{name} <{name}@hosting.example.org>")), "{people}");
    }
    has_nothing_of(&bob.everything(), &["ann@mail", "cyn@mail"]);
}

#[test]
fn a_hash_that_isnt_shown_stays_until_another_is_written() {
    let bench = Bench::with_members();
    let bob = bench.member("bob");
    let shown = bob.read("users/bob.toml");
    let changed = shown.replace("bob@mail", "b@mail");
    bob.push_change(&[("users/bob.toml", Some(&changed))]).accepted(&["is accepted"]);
    assert_eq!(bench.real("users/bob.toml"), files()[2].1.replace("bob@mail", "b@mail"));
    // Written anew, without the mark; and gone and back within one push.
    bob.commit(&[("users/bob.toml", None)]);
    let anew =
        format!("#:schema x\nemail = \"c@mail.example.org\"\nssh_keys = [\"ssh-ed25519 {BOB_KEY}\"]\n");
    bob.push_change(&[("users/bob.toml", Some(&anew))]).accepted(&["is accepted"]);
    let line = format!("password_hash = \"{BOB_HASH}\" # from the form\n");
    assert_eq!(bench.real("users/bob.toml"), anew.replacen('\n', &format!("\n{line}"), 1));
    // Another hash is taken, and taking it out again takes it out.
    let with_hash = format!("{anew}password_hash = \"{NEW_HASH}\"\n");
    bob.push_change(&[("users/bob.toml", Some(&with_hash))]).accepted(&["is accepted"]);
    assert_eq!(bench.real("users/bob.toml"), with_hash);
    let pushed = bob.git(&["rev-parse", "HEAD"]);
    bob.fetch();
    assert_eq!(bob.git(&["rev-parse", "origin/main"]), pushed);
    has_nothing_of(&bench.member("cyn").everything(), &["$2b$", BOB_KEY, "mail.example.org\"\nssh"]);
    bob.push_change(&[("users/bob.toml", Some(&anew))]).accepted(&["is accepted"]);
    assert_eq!(bench.real("users/bob.toml"), anew);
}

#[test]
fn what_isnt_theirs_is_refused_and_never_becomes_what_they_see() {
    let bench = Bench::with_members();
    let bob = bench.member("bob");
    let before = bench.tip();
    let start = bob.git(&["rev-parse", "HEAD"]);
    let refuses = |files: &[(&str, Option<&str>)], parts: &[&str]| {
        bob.push_change(files).refused(parts);
        bob.git(&["reset", "--quiet", "--hard", &start]);
        assert_eq!(bench.tip(), before);
    };
    refuses(
        &[("users/cyn.toml", Some("role = \"admin\"\n"))],
        &["--> users/cyn.toml:1:1", "error: `cyn` has this file, and `bob` may not change it"],
    );
    refuses(&[("users/cyn.toml", None)], &["error: there is no user `cyn`, who is named as the owner"]);
    refuses(
        &[("servers/cyns.toml", Some("id = 2\nowner = \"cyn\"\ncpus = 2\n"))],
        &["--> servers/cyns.toml:3:1", "error: server `cyns` is `cyn`'s: `bob` may not change it"],
    );
    // A guess at the first lines of what isn't shown is told nothing.
    let guess = files()[3].1.replace("cyn@laptop", "cyn@desk");
    refuses(&[("users/cyn.toml", Some(&guess))], &["--> users/cyn.toml:1:1"]);
    // At the line and column that bob sees, hash or not, mark or not.
    let role = bob.read("users/bob.toml") + "role = \"admin\"\n";
    refuses(
        &[("users/bob.toml", Some(&role))],
        &["--> users/bob.toml:5:8", "role = \"admin\"", "error: `bob` may not change the role of `bob`"],
    );
    refuses(
        &[("users/bob.toml", Some("email = \"b@mail.example.org\"\nrole = \"admin\"\n"))],
        &["--> users/bob.toml:2:8", "role = \"admin\"", "error: `bob` may not change the role of `bob`"],
    );
    refuses(&[("users/bob.toml", Some("email = \"b@\nx"))], &["--> users/bob.toml:1:"]);
    // Somebody else's key is found, and nothing else of their file is said.
    let key = format!("ssh_keys = [\"ssh-ed25519 {CYN_KEY}\"]\n");
    bob.push_change(&[("users/bob.toml", Some(&key))]).refused(&["this SSH key is `cyn`'s"]);
    let said = bob.push(&["origin", "HEAD:main"]);
    has_nothing_of(&said.text, &["cyn@laptop", "$argon2", BOB_HASH]);
    bob.git(&["reset", "--quiet", "--hard", &start]);
    // A change that a later commit takes back is no way around it.
    bob.commit(&[("users/cyn.toml", Some("role = \"admin\"\n"))]);
    bob.git(&["revert", "--no-edit", "HEAD"]);
    bob.push(&["origin", "HEAD:main"]).refused(&["users/cyn.toml"]);
    assert_eq!(bench.tip(), before);
    bob.git(&["reset", "--quiet", "--hard", &start]);
    // A secret in a commit is named by the id that bob knows.
    let secret = bob
        .commit(&[("servers/bobs.toml", Some("id = 1\nowner = \"bob\"\n# -----BEGIN PRIVATE KEY-----\n"))]);
    bob.push_change(&[("servers/bobs.toml", Some("id = 1\nowner = \"bob\"\n"))])
        .refused(&[&format!("--> {}:servers/bobs.toml:3:", &secret[..10]), "error: this is a private key"]);
    bob.git(&["reset", "--quiet", "--hard", &start]);
    bob.push(&["origin", "HEAD:refs/heads/other"]).refused(&["only main and review/<topic> take pushes"]);
    bob.push(&["origin", ":main"]).refused(&["main can't be deleted"]);
    // Nothing of all that is left but what no ref leads to.
    let refs = git(&bench.bare).args(["for-each-ref", "--format=%(refname)"]).in_time().stdout;
    assert_eq!(String::from_utf8(refs).unwrap(), "refs/heads/main\n");
    let left = fs::read_dir(bench.bare.join("objects")).unwrap();
    assert!(left.flatten().all(|entry| !entry.file_name().to_string_lossy().starts_with("tmp_")));
}

#[test]
fn whoever_is_late_fetches_and_rebases() {
    let bench = Bench::with_members();
    let bob = bench.member("bob");
    bob.commit(&[("servers/shop.toml", Some("id = 3\nowner = \"bob\"\n"))]);
    bench
        .push_change(None, &[("servers/cyns.toml", Some("id = 2\nowner = \"cyn\"\ncpus = 2\n"))])
        .accepted(&[]);
    let stale = bob.attempt(&["push", "origin", "HEAD:main"]);
    stale.refused(&["error: `main` has moved since you fetched it", "`git pull --rebase`"]);
    bob.fetch();
    bob.git(&["rebase", "--quiet", "origin/main"]);
    bob.push(&["origin", "HEAD:main"]).accepted(&["server shop (id 3)"]);
    assert_eq!(bench.real("servers/cyns.toml"), "id = 2\nowner = \"cyn\"\ncpus = 2\n");
}

#[test]
fn a_merge_keeps_what_its_maker_doesnt_see() {
    let bench = Bench::with_members();
    let bob = bench.member("bob");
    bob.commit(&[("servers/shop.toml", Some("id = 3\nowner = \"bob\"\n"))]);
    // What changes meanwhile looks the same to bob: cyn's key, and the hash of bob's own password.
    let cyns = files()[3].1.replace("cyn@laptop", "cyn@desk");
    let bobs = files()[2].1.replace(BOB_HASH, NEW_HASH);
    bench
        .push_change(None, &[("users/cyn.toml", Some(&cyns)), ("users/bob.toml", Some(&bobs))])
        .accepted(&[]);
    bench
        .push_change(None, &[("servers/cyns.toml", Some("id = 2\nowner = \"cyn\"\ncpus = 2\n"))])
        .accepted(&[]);
    bob.fetch();
    bob.git(&["merge", "--quiet", "--no-edit", "origin/main"]);
    bob.push(&["origin", "HEAD:main"]).accepted(&["server shop (id 3)"]);
    assert_eq!(bench.real("users/cyn.toml"), cyns);
    assert_eq!(bench.real("users/bob.toml"), bobs);
    assert_eq!(bench.real("servers/cyns.toml"), "id = 2\nowner = \"cyn\"\ncpus = 2\n");
    let parents = git(&bench.bare).args(["log", "-1", "--format=%P", "main"]).in_time().stdout;
    assert_eq!(String::from_utf8(parents).unwrap().split_whitespace().count(), 2);
}

#[test]
fn links_modes_and_renames_arrive_as_they_are() {
    let bench = Bench::with_members();
    let bob = bench.member("bob");
    bob.git(&["mv", "servers/bobs.toml", "servers/renamed.toml"]);
    bob.push_change(&[]).accepted(&["is accepted"]);
    assert_eq!(bench.real("servers/renamed.toml"), files()[4].1);
    // Pages need review, which somebody who runs the platform can give by pushing.
    let work = &bench.work;
    bench.git(&["pull", "--quiet"]);
    put(work, "docs/run.sh", "#!/bin/sh\n");
    std::os::unix::fs::symlink("../../../etc/passwd", work.join("docs/link")).unwrap();
    fs::set_permissions(work.join("docs/run.sh"), std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .unwrap();
    bench.git(&["add", "docs"]);
    let module = format!("160000,{},docs/module", "1".repeat(40));
    bench.git(&["update-index", "--add", "--cacheinfo", &module]);
    bench.git(&["commit", "--quiet", "-m", "links"]);
    bench.push(None, &["origin", "HEAD:main"]).accepted(&[]);
    bob.fetch();
    let tree = bob.git(&["ls-tree", "-r", "origin/main", "docs"]);
    for mode in ["100755 blob", "120000 blob", "160000 commit"] {
        assert!(tree.contains(mode), "{tree}");
    }
    // A link in place of a server's file is a mistake like any other.
    bob.git(&["reset", "--quiet", "--hard", "origin/main"]);
    fs::remove_file(bob.clone.join("servers/renamed.toml")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", bob.clone.join("servers/renamed.toml")).unwrap();
    bob.push_change(&[]).refused(&["error: a symbolic link, which Berth does not follow"]);
}

#[test]
fn whoever_becomes_an_admin_or_leaves_has_no_view() {
    let bench = Bench::with_members();
    let (bob, cyn) = (bench.member("bob"), bench.member("cyn"));
    cyn.commit(&[("servers/more.toml", Some("id = 4\nowner = \"cyn\"\n"))]);
    let admin = format!("role = \"admin\"\n{}", files()[3].1);
    bench.push_change(None, &[("users/cyn.toml", Some(&admin))]).accepted(&[]);
    // Between the door's look and the push: nothing that cyn saw in part is written with an admin's rights.
    let said = cyn.attempt(&["push", "origin", "HEAD:main"]);
    said.refused(&["error: `cyn` is an admin, and admins work on the state repo itself"]);
    assert!(bench.prepare("cyn").is_err());
    bench.push_change(None, &[("users/bob.toml", None), ("servers/bobs.toml", None)]).accepted(&[]);
    assert!(bench.prepare("bob").is_err());
    assert!(!bench.data().join("views/bob.git").exists() && !bench.data().join("views/cyn.git").exists());
    assert!(bench.prepare("eve").unwrap_err().to_string().contains("there is no user `eve` on main"));
    drop(bob);
}

#[test]
fn many_fetch_and_push_at_once_and_nothing_is_lost() {
    let bench = Bench::with_members();
    bench.push_change(None, &[("platform.toml", Some("domain = \"hosting.example.org\"\n[quota]\nservers = 50\ncpus = 99\nmemory = \"99 GiB\"\ndisk = \"900 GiB\"\n"))]).accepted(&[]);
    let members = [bench.member("bob"), bench.member("cyn")];
    std::thread::scope(|scope| {
        for member in &members {
            scope.spawn(|| {
                for n in 0..4 {
                    let id = n * 2 + if member.name == "bob" { 10 } else { 11 };
                    let path = format!("servers/{}{n}.toml", member.name);
                    member.commit(&[(&path, Some(&format!("id = {id}\nowner = \"{}\"\n", member.name)))]);
                    // Each of the two may be late as often as the other isn't.
                    let in_time = (0..50).any(|_| {
                        if member.push(&["-o", "no-wait", "origin", "HEAD:main"]).good {
                            return true;
                        }
                        member.fetch();
                        member.git(&["rebase", "--quiet", "origin/main"]);
                        false
                    });
                    assert!(in_time);
                }
            });
            scope.spawn(|| {
                for n in 0..5 {
                    member.clone_into(&bench.folder.path().join(format!("{}-{n}", member.name)));
                }
            });
        }
    });
    let count = git(&bench.bare).args(["rev-list", "--count", "main"]).in_time().stdout;
    assert_eq!(String::from_utf8(count).unwrap(), "10\n");
    for member in &members {
        member.fetch();
        assert_eq!(member.git(&["rev-list", "--count", "origin/main"]), "10");
    }
}

#[test]
fn a_push_that_git_couldnt_finish_in_the_view_is_there_after_the_next_look() {
    let bench = Bench::with_members();
    let bob = bench.member("bob");
    let view = bench.prepare("bob").unwrap();
    // Git can't move the branch: another process's lock stands there, as after a crash.
    let lock = view.join("refs/heads/main.lock");
    fs::write(&lock, "").unwrap();
    bob.commit(&[("servers/shop.toml", Some("id = 3\nowner = \"bob\"\n"))]);
    let said = bob.attempt(&["push", "origin", "HEAD:main"]);
    assert!(!said.good, "{}", said.text);
    fs::remove_file(&lock).unwrap();
    assert_eq!(bench.real("servers/shop.toml"), "id = 3\nowner = \"bob\"\n");
    bob.fetch();
    assert_eq!(bob.git(&["rev-parse", "origin/main"]), bob.git(&["rev-parse", "HEAD"]));
}

#[test]
fn a_view_takes_no_more_than_a_push_may_bring() {
    let bench = Bench::with_members();
    let bob = bench.member("bob");
    bench.git(&["fetch", "--quiet", bob.clone.to_str().unwrap(), "HEAD"]);
    bench.git(&["reset", "--quiet", "--hard", "FETCH_HEAD"]);
    let bomb = bench.with_docs(&bench.bomb(9));
    bob.git(&["fetch", "--quiet", bench.work.to_str().unwrap(), &bomb]);
    for to in ["review/x", "main"] {
        let said = bob.push(&["origin", &format!("{bomb}:refs/heads/{to}")]);
        said.refused(&["the commits change more than 100000 paths"]);
    }
    // It kept nobody from pushing.
    bob.push_change(&[("servers/bobs.toml", Some("id = 1\nowner = \"bob\"\n"))]).accepted(&[]);
}

#[test]
fn a_proposal_of_many_pages_is_told_in_a_few_lines() {
    let bench = Bench::with_members();
    let bob = bench.member("bob");
    let pages: Vec<String> = (0..3000).map(|at| format!("docs/moved/{at:04}.md")).collect();
    let pages: Vec<(&str, Option<&str>)> =
        pages.iter().map(|page| (page.as_str(), Some("# A page\n"))).collect();
    bob.commit(&pages);
    let said = bob.push(&["origin", "HEAD:review/pages"]);
    said.accepted(&["`docs/moved/0000.md` and 2999 other files are everybody's"]);
    assert!(said.text.lines().count() < 60, "{}", said.text.lines().count());
}
