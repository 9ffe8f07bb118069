//! (p) Pushes that stand for more than their bytes, with real git and the real hooks: time, and memory of all processes that take part.
//!
//! The git on `PATH` is measured, whichever it is.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use berth_tests::process::built;

use crate::organisation;
use crate::table;
use crate::times::Times;

/// Servers of the state that is pushed to.
const SERVERS: usize = 200;
/// The member who pushes.
const MEMBER: &str = "m0";
/// Levels of the bomb, each of which names the next one ten times.
const LEVELS: u32 = 9;
const PAGES: usize = 10_000;
const PROPOSALS: usize = 10;
const ROUNDS: usize = 5;
/// Time between two looks at processes.
const LOOK: Duration = Duration::from_millis(2);

pub(crate) fn run() -> anyhow::Result<()> {
    let git = Command::new("git").arg("--version").output().context("run git")?;
    let git = String::from_utf8_lossy(&git.stdout).trim().to_owned();
    eprintln!("pushing what stands for more, with {git} …");
    let folder = tempfile::tempdir()?;
    let at = |name: &str| folder.path().join(name);
    let (repo, bare, clone, data) = (at("state.git"), at("bare.git"), at("clone"), at("data"));
    organisation::make(&repo, SERVERS, "")?;
    let run = |mut command: Command| -> anyhow::Result<Measured> { measured(command.stdin(Stdio::null())) };
    let berth = |arguments: &[&str]| {
        let mut berth = Command::new(built("berth"));
        berth.args(arguments).env("BERTH_STATE", &repo).env("BERTH_DATA", &data);
        berth
    };
    let in_clone = |arguments: &[&str]| {
        let mut git = Command::new("git");
        git.arg("-C").arg(&clone).args(["-c", "user.name=Ada", "-c", "user.email=ada@example.org"]);
        git.args(arguments).env("BERTH_USER", MEMBER);
        git
    };
    ensure!(run(berth(&["hook", "install"]))?.good, "no hooks");
    for (from, to) in [(&repo, &bare), (&repo, &clone)] {
        let mut git = Command::new("git");
        git.args(["clone", "--quiet"]).args((to == &bare).then_some("--bare")).arg(from).arg(to);
        ensure!(run(git)?.good, "git clone failed");
    }
    let bomb = commit_of(&clone, &bomb(&clone)?)?;
    let (mut refused, mut plain) = (Way::default(), Way::default());
    for round in 0..ROUNDS {
        let push = |to: &Path| {
            run(in_clone(&[
                "push",
                "--quiet",
                &to.to_string_lossy(),
                &format!("{bomb}:refs/heads/review/b{round}"),
            ]))
        };
        let (ours, gits) = (push(&repo)?, push(&bare)?);
        ensure!(
            !ours.good && gits.good,
            "the bomb was {}",
            if ours.good { "taken" } else { "refused by git" }
        );
        refused.add(&ours);
        plain.add(&gits);
    }
    let mut rows = vec![
        refused.row("a bomb of a kilobyte: 10⁹ paths", "refused"),
        plain.row("the same", "git alone takes it"),
    ];

    let (mut ours, mut gits) = (Way::default(), Way::default());
    for proposal in 0..PROPOSALS {
        let commit = commit_of(&clone, &pages(&clone, proposal)?)?;
        let push = |to: &Path| {
            run(in_clone(&[
                "push",
                "--quiet",
                &to.to_string_lossy(),
                &format!("{commit}:refs/heads/review/p{proposal}"),
            ]))
        };
        let (judged, plain) = (push(&repo)?, push(&bare)?);
        ensure!(judged.good && plain.good, "the pages were refused");
        ours.add(&judged);
        gits.add(&plain);
    }
    rows.push(ours.row(&format!("a proposal of {PAGES} pages"), "waits"));
    rows.push(gits.row("the same", "git alone takes it"));
    let mut list = Way::default();
    for _ in 0..ROUNDS {
        let listed = run(berth(&["review", "list"]))?;
        ensure!(listed.good, "`berth review list` failed");
        list.add(&listed);
    }
    rows.push(list.row(&format!("`berth review list` with {PROPOSALS} of those"), ""));
    let head = ["what", "what becomes of it", "time", "memory of all processes, at most", "rounds"];
    table::print(&format!("(p) What stands for more than its bytes, with {git}"), &head, &rows);
    Ok(())
}

/// One kind of work, done several times.
#[derive(Default)]
struct Way {
    times: Times,
    most: u64,
}

impl Way {
    fn add(&mut self, measured: &Measured) {
        self.times.push(measured.time);
        self.most = self.most.max(measured.most);
    }

    fn row(&self, what: &str, end: &str) -> Vec<String> {
        let memory = format!("{:.1} MiB", self.most as f64 / f64::from(1 << 20));
        vec![what.to_owned(), end.to_owned(), self.times.to_string(), memory, self.times.rounds().to_string()]
    }
}

/// A command that has ended.
struct Measured {
    good: bool,
    time: Duration,
    /// Bytes: the sum of what each of its processes had resident at most, even if not all at once.
    most: u64,
}

/// Runs a command, and looks at it and everything below it until it ends.
fn measured(command: &mut Command) -> anyhow::Result<Measured> {
    let began = Instant::now();
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().context("start a program")?;
    let mut most: BTreeMap<u32, u64> = BTreeMap::new();
    loop {
        for pid in family(child.id()) {
            if let Some(resident) = peak(pid) {
                let known = most.entry(pid).or_default();
                *known = resident.max(*known);
            }
        }
        if let Some(status) = child.try_wait()? {
            return Ok(Measured { good: status.success(), time: began.elapsed(), most: most.values().sum() });
        }
        thread::sleep(LOOK);
    }
}

/// A process and all below it.
pub(crate) fn family(pid: u32) -> BTreeSet<u32> {
    let (mut found, mut next) = (BTreeSet::new(), vec![pid]);
    while let Some(pid) = next.pop() {
        if !found.insert(pid) {
            continue;
        }
        let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        let children = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
        next.extend(children.flat_map(|line| {
            line.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<u32>>()
        }));
    }
    found
}

/// Bytes that a process had resident at most; `None` when it is gone.
fn peak(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes * 1024)
}

/// A folder that holds a page ten to the power of [`LEVELS`] times.
fn bomb(clone: &Path) -> anyhow::Result<String> {
    let page = written(clone, &["hash-object", "-w", "--stdin"], "x\n")?;
    let pages: String = (0..10).map(|at| format!("100644 blob {page}\t{at}.md\n")).collect();
    let mut tree = written(clone, &["mktree"], &pages)?;
    for _ in 1..LEVELS {
        let folders: String = (0..10).map(|at| format!("040000 tree {tree}\t{at}\n")).collect();
        tree = written(clone, &["mktree"], &folders)?;
    }
    Ok(tree)
}

/// A folder of so many pages, each with a text of its own.
fn pages(clone: &Path, proposal: usize) -> anyhow::Result<String> {
    let mut stream =
        String::from("commit refs/pages\ncommitter Ada <ada@example.org> 1700000000 +0000\ndata 5\npages\n");
    for page in 0..PAGES {
        let text = format!("# Page {page} of {proposal}\n");
        stream += &format!("M 100644 inline p{page}.md\ndata {}\n{text}\n", text.len());
    }
    written(clone, &["fast-import", "--quiet", "--force"], &stream)?;
    written(clone, &["rev-parse", "refs/pages^{tree}"], "")
}

/// A commit of the tip's files with this folder as its pages.
fn commit_of(clone: &Path, docs: &str) -> anyhow::Result<String> {
    let files = written(clone, &["ls-tree", "HEAD"], "")?;
    let kept: String =
        files.lines().filter(|line| !line.ends_with("\tdocs")).map(|line| format!("{line}\n")).collect();
    let tree = written(clone, &["mktree"], &format!("{kept}040000 tree {docs}\tdocs\n"))?;
    written(clone, &["commit-tree", &tree, "-p", "HEAD", "-m", "pages"], "")
}

/// Output of a git command that reads `input`.
fn written(clone: &Path, arguments: &[&str], input: &str) -> anyhow::Result<String> {
    let mut git = Command::new("git");
    git.arg("-C")
        .arg(clone)
        .args(["-c", "user.name=Ada", "-c", "user.email=ada@example.org"])
        .args(arguments);
    let mut git = git.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("run git")?;
    git.stdin.take().context("git's input")?.write_all(input.as_bytes())?;
    let output = git.wait_with_output()?;
    ensure!(output.status.success(), "git {arguments:?} failed");
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
