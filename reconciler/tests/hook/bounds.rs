//! Pushes that stand for more than their bytes: counted while they are read, and refused before anything is made of them.

use super::{Bench, InTime as _, Said, git};

/// The state and its server, with whoever may push where.
const FILES: [(&str, &str); 4] = [
    ("platform.toml", "domain = \"hosting.example.org\"\n"),
    ("users/ann.toml", "role = \"admin\"\n"),
    ("users/bob.toml", ""),
    ("servers/bobs.toml", "id = 1\nowner = \"bob\"\n"),
];

impl Bench {
    /// Writes an object from what a git command reads, and returns its id.
    fn made(&self, command: &[&str], input: &str) -> String {
        let made = git(&self.work).args(command).in_time_reading(input.as_bytes());
        assert!(made.status.success(), "{}", Said::of(&made).text);
        String::from_utf8(made.stdout).unwrap().trim().to_owned()
    }

    /// The tip's tree with `docs` replaced, committed on top of the tip.
    pub(crate) fn with_docs(&self, docs: &str) -> String {
        let tree = self.git(&["ls-tree", "HEAD"]);
        let kept = tree.lines().filter(|line| !line.ends_with("\tdocs"));
        let lines: String = kept
            .chain([format!("040000 tree {docs}\tdocs").as_str()])
            .map(|line| format!("{line}\n"))
            .collect();
        let tree = self.made(&["mktree"], &lines);
        self.git(&["commit-tree", &tree, "-p", "HEAD", "-m", "pages"])
    }

    /// A folder that holds one file ten to the power of `levels` times, in a handful of objects.
    pub(crate) fn bomb(&self, levels: u32) -> String {
        let blob = self.made(&["hash-object", "-w", "--stdin"], "x\n");
        let page: String = (0..10).map(|at| format!("100644 blob {blob}\t{at}.md\n")).collect();
        let mut tree = self.made(&["mktree"], &page);
        for _ in 1..levels {
            let folders: String = (0..10).map(|at| format!("040000 tree {tree}\t{at}\n")).collect();
            tree = self.made(&["mktree"], &folders);
        }
        tree
    }

    /// A file below so many folders.
    fn deep(&self, folders: u32) -> String {
        let blob = self.made(&["hash-object", "-w", "--stdin"], "x\n");
        let mut tree = self.made(&["mktree"], &format!("100644 blob {blob}\tx.md\n"));
        for _ in 1..folders {
            tree = self.made(&["mktree"], &format!("040000 tree {tree}\td\n"));
        }
        tree
    }

    fn installed() -> Self {
        let bench = Self::holding(&FILES);
        assert!(bench.berth(&["hook", "install", bench.bare.to_str().unwrap()]).good);
        bench
    }
}

/// Ways in: the name of whoever pushes, and the ref that they push to.
const DOORS: [(Option<&str>, &str); 5] = [
    (Some("bob"), "review/x"),
    (Some("bob"), "main"),
    (Some("ann"), "main"),
    (Some("ann"), "other"),
    (None, "main"),
];

#[test]
fn a_kilobyte_that_stands_for_a_milliard_paths_is_refused() {
    let bench = Bench::installed();
    let commit = bench.with_docs(&bench.bomb(9));
    for (user, to) in DOORS {
        let said = bench.push(user, &["origin", &format!("{commit}:refs/heads/{to}")]);
        said.refused(&["the commits change more than 100000 paths", "push them in parts"]);
    }
}

#[test]
fn what_a_later_commit_takes_away_counts_too() {
    let bench = Bench::installed();
    // Not deeper than may be, so that a push of one of them is good.
    let good = bench.with_docs(&bench.deep(30));
    bench.push(None, &["origin", &format!("{good}:refs/heads/main")]).accepted(&[]);
    bench.git(&["reset", "--quiet", "--hard", &good]);

    let deep = bench.with_docs(&bench.deep(40));
    let gone = bench.git(&["commit-tree", &format!("{good}^{{tree}}"), "-p", &deep, "-m", "gone again"]);
    for (user, to) in DOORS {
        let said = bench.push(user, &["origin", &format!("{gone}:refs/heads/{to}")]);
        said.refused(&["lies deeper than 32 folders", "take it out of every commit"]);
    }
    let name = "n".repeat(250);
    let mut long = bench.deep(2);
    for _ in 0..5 {
        long = bench.made(&["mktree"], &format!("040000 tree {long}\t{name}\n"));
    }
    let long = bench.with_docs(&long);
    bench
        .push(None, &["origin", &format!("{long}:refs/heads/main")])
        .refused(&["a path of more than 1024 bytes"]);
}
