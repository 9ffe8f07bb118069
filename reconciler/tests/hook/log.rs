//! `berth log` and `berth revert`, over what notes tell.

use berth::source::Source;
use berth_judge::note::Note;
use berth_plan::Action;
use berth_repo::APPLIED;
use berth_schema::Origin;
use berth_wire::{Ended, Outcome, PassRecord};

use super::{Bench, InTime as _, git};

const NEW: (&str, Option<&str>) = ("servers/shop.toml", Some("id = 3\nowner = \"bob\"\n"));

impl Bench {
    /// Notes of a revision what a pass would have noted of it.
    pub(crate) fn note(&self, revision: &str, outcomes: Vec<Outcome>) {
        let revision: Origin = revision.parse().unwrap();
        let source = Source::open(&self.bare).unwrap();
        let record = PassRecord {
            at: jiff::Timestamp::UNIX_EPOCH,
            attempted: Some(revision),
            revision: Some(revision),
            reason: "ref".to_owned(),
            outcomes,
            problems: Vec::new(),
            retry_millis: None,
        };
        let before = source.noted(revision).unwrap();
        let note = Note::after(before.as_ref(), &record, &[]).unwrap();
        source.note(revision, &note).unwrap();
        if record.is_clean() {
            source.mark_applied(revision).unwrap();
        }
    }
}

fn outcome(subject: &str, result: Ended) -> Outcome {
    let (subject, action) = (subject.parse().unwrap(), Action::Create);
    Outcome { subject, action, result, millis: 2100, steps_done: 3, steps: 5 }
}

#[test]
fn the_log_says_who_what_why_and_whether_it_worked() {
    let bench = Bench::new();
    bench.berth(&["log"]).accepted(&["Berth", "not yet", "platform: first state"]);
    bench.push_change(Some("bob"), &[NEW]).accepted(&[]);
    let (first, second) = (bench.tip(), bench.push_change(None, &[("docs/x.md", Some("x\n"))]));
    second.accepted(&[]);
    let failed = Ended::Failed { error: "no image `x`".to_owned(), retry: berth_wire::Retry::SOON };
    let second = bench.tip();
    bench.note(&second, vec![outcome("server shop (id 3)", failed)]);
    bench.berth(&["log"]).accepted(&["create server shop (id 3)  failed"]);
    let said = bench.berth(&["log", "-n", "2"]);
    said.accepted(&["failed", &format!("with {}", &second[..10])]);
    assert!(!said.text.contains("first state"), "{}", said.text);
    // A later pass of the same revision.
    bench.note(&second, vec![outcome("server shop (id 3)", Ended::Done)]);
    bench.berth(&["log"]).accepted(&["create server shop (id 3)  applied"]);
    // Real git shows it below the commit.
    let shown = git(&bench.bare).args(["log", "-1", "--notes=berth", "main"]).in_time();
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains("Notes (berth):\n    result = \"applied\""), "{shown}");
    assert!(
        shown.contains(
            "{ object = \"server shop (id 3)\", action = \"create\", result = \"done\", seconds = 2.1 },"
        ),
        "{shown}"
    );
    let json: serde_json::Value = serde_json::from_str(&bench.berth(&["log", "--json"]).text).unwrap();
    assert_eq!(
        (json[0]["revision"].as_str(), json[0]["fate"]["result"].as_str()),
        (Some(&*second), Some("applied"))
    );
    assert_eq!(json[0]["note"]["changes"][0]["seconds"], 2.1);
    assert_eq!(
        (json[1]["revision"].as_str(), json[1]["fate"]["revision"].as_str()),
        (Some(&*first), Some(&*second))
    );
    // Who proposed and who agreed, where somebody had to.
    bench.commit(&[("docs/welcome.md", Some("# Hi\n"))]);
    bench.push(Some("bob"), &["origin", "HEAD:refs/heads/review/hi"]).accepted(&[]);
    bench.berth(&["review", "--as", "ann", "approve", "hi", "--wait", "0"]).accepted(&["is merged"]);
    bench.berth(&["log"]).accepted(&["bob, agreed by ann", "not yet", "Merge review/hi: change"]);
    assert!(git(&bench.bare).args(["update-ref", APPLIED, "main"]).in_time().status.success());
    bench.berth(&["log", "-n", "1"]).accepted(&["nothing to do"]);
    assert!(git(&bench.bare).args(["fsck", "--strict"]).in_time().status.success());
}

#[test]
fn a_revision_is_taken_back_by_a_commit_like_any_other() {
    let bench = Bench::new();
    let first = bench.tip();
    bench
        .push_change(None, &[("servers/bobs.toml", Some("id = 1\nowner = \"bob\"\nmemory = \"1 GiB\"\n"))])
        .accepted(&[]);
    let more = bench.tip();
    bench.push_change(None, &[NEW]).accepted(&[]);
    let tip = bench.tip();
    let dry = bench.berth(&["revert", &more, "--dry-run"]);
    dry.accepted(&["servers/bobs.toml +1 -1", "server bobs (id 1)", "Nothing was changed."]);
    assert_eq!(bench.tip(), tip);
    bench.berth(&["revert", &more[..12]]).accepted(&[
        "Plan: 0 to create, 1 to update, 0 to remove;",
        &format!("it takes back {}.", &more[..10]),
        "no reconciler runs: it is applied when one does.",
    ]);
    let git = |arguments: &[&str]| {
        let output = git(&bench.bare).args(arguments).in_time();
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    };
    assert_eq!(
        git(&["log", "-1", "--format=%B", "main"]),
        format!("Revert \"change\"\n\nThis reverts commit {more}.")
    );
    assert_eq!(git(&["diff", "--stat", &first, "main", "--", "servers/bobs.toml"]), "");
    assert_eq!(git(&["rev-parse", "main^"]), tip);
    let again = bench.berth(&["revert", &more]);
    assert!(!again.good);
    again.has(&["main has nothing of "]);
    // Changed since, in the same place.
    bench.git(&["fetch", "--quiet", "origin"]);
    bench.git(&["reset", "--quiet", "--hard", "origin/main"]);
    bench
        .push_change(None, &[("servers/shop.toml", Some("id = 3\nowner = \"bob\"\ncpus = 1\n"))])
        .accepted(&[]);
    let said = bench.berth(&["revert", &tip]);
    assert!(!said.good);
    said.has(&["later revisions changed servers/shop.toml as well. Change it by hand and push."]);
    // Judged like any other: by what its author may do, and by whether it is good.
    let said = bench.berth(&["revert", "main", "--as", "cyn"]);
    assert!(!said.good);
    said.has(&["server `shop` is `bob`'s: `cyn` may not change it", "Refused; nothing was changed."]);
    bench.berth(&["revert", "main", "--as", "bob", "--wait", "0"]).accepted(&["main is at "]);
    assert_eq!(git(&["log", "-1", "--format=%an <%ae>", "main"]), "bob <bob@hosting.example.org>");
    bench.git(&["fetch", "--quiet", "origin"]);
    bench.git(&["reset", "--quiet", "--hard", "origin/main"]);
    bench.push_change(None, &[("users/dan.toml", Some("")), ("docs/a.md", Some("a\n"))]).accepted(&[]);
    let dan = bench.tip();
    bench.push_change(None, &[("servers/dans.toml", Some("id = 4\nowner = \"dan\"\n"))]).accepted(&[]);
    let said = bench.berth(&["revert", &dan]);
    assert!(!said.good);
    said.has(&["there is no user `dan`, who is named as the owner", "Refused; nothing was changed."]);
    // What was pushed past the hooks, with a mistake, can be taken back by whoever has the files.
    bench.git(&["fetch", "--quiet", "origin"]);
    bench.git(&["reset", "--quiet", "--hard", "origin/main"]);
    std::fs::rename(bench.hook("pre-receive"), bench.folder.path().join("away")).unwrap();
    assert!(bench.push_change(None, &[("users/cyn.toml", Some("rol = 1\n"))]).good);
    std::fs::rename(bench.folder.path().join("away"), bench.hook("pre-receive")).unwrap();
    let said = bench.berth(&["revert", "main", "--as", "ann"]);
    assert!(!said.good);
    said.has(&["main holds no good state, so nobody can tell what is whose"]);
    let said = bench.berth(&["revert", "main", "--wait", "0"]);
    said.accepted(&["Not planned: what was there before has mistakes.", "it takes back "]);
    for (what, why) in
        [(first.as_str(), "the first commit of all"), ("nowhere", "no commit is called 'nowhere'")]
    {
        let said = bench.berth(&["revert", what]);
        assert!(!said.good);
        said.has(&[why]);
    }
}
