//! Views that the door has made ready: by a process that tells how far it is, and goes with its connection.

use std::io::Write as _;
use std::process::{Command as Process, Stdio};

use berth_schema::door::{ERROR, INPUT, OUTPUT};
use berth_testing::until;

use super::{Bench, Command, running};

impl Bench {
    /// Adds so many commits of a file each.
    fn history(&self, commits: usize) {
        let mut git = Process::new("git");
        git.arg("-C").arg(self.repo()).args(["fast-import", "--quiet"]).stdin(Stdio::piped());
        let mut git = git.spawn().unwrap();
        let mut stream = git.stdin.take().unwrap();
        for n in 0..commits {
            let from = if n == 0 { "from refs/heads/main^0\n" } else { "" };
            let (time, text) = (1_900_000_000 + n, format!("page {n}\n"));
            let file = format!("M 100644 inline docs/p{n}.md\ndata {}\n{text}\n", text.len());
            write!(
                stream,
                "commit refs/heads/main\ncommitter Ann <a@b> {time} +0000\ndata 3\none\n{from}{file}"
            )
            .unwrap();
        }
        drop(stream);
        assert!(git.wait().unwrap().success());
    }
}

#[test]
fn a_first_look_at_a_long_history_is_told_of_and_a_second_is_not() {
    let bench = Bench::new(&[]);
    bench.history(150);
    for is_first in [true, false] {
        let mut line = bench.ask("bob", Command::UploadPack);
        let (mut told, mut output) = (String::new(), Vec::new());
        while !output.ends_with(b"0000") {
            match line.frame() {
                // Before git's first byte.
                Some((ERROR, bytes)) if output.is_empty() => told.push_str(&String::from_utf8_lossy(&bytes)),
                Some((OUTPUT, bytes)) => output.extend(bytes),
                other => panic!("{other:?} after {told}"),
            }
        }
        line.send(INPUT, b"0000").unwrap();
        assert_eq!(line.rest().code, Some(0));
        for words in [
            "What all members see is made ready: 151 of 151 commits.\n",
            "Your view is made ready: 151 of 151 commits.\n",
        ] {
            assert_eq!(told.contains(words), is_first, "{told}");
        }
        assert!(told.lines().count() < 50, "{told}");
        assert!(String::from_utf8_lossy(&output).contains("refs/heads/main"));
    }
    bench.end();
}

#[test]
fn who_waits_for_the_store_is_told_so_and_may_leave() {
    let bench = Bench::new(&[]);
    let shared = bench.folder.path().join("data/views/.shared");
    std::fs::create_dir_all(&shared).unwrap();
    // Somebody else fills the store.
    let lock = std::fs::File::create(shared.join("lock")).unwrap();
    lock.lock().unwrap();
    let mut line = bench.ask("bob", Command::UploadPack);
    match line.frame() {
        Some((ERROR, bytes)) => {
            let told = String::from_utf8_lossy(&bytes).into_owned();
            assert!(
                told.starts_with("Waiting: what all members see is being made ready for somebody else"),
                "{told}"
            );
        }
        other => panic!("{other:?}"),
    }
    let repo = bench.repo();
    assert_eq!(running(&repo).len(), 1, "it waits in a process of its own");
    drop(line);
    until("it has ended", || running(&repo).is_empty());
    drop(lock);
    let mut line = bench.ask("bob", Command::UploadPack);
    assert!(line.advertisement().contains("refs/heads/main"));
    bench.end();
}

#[test]
fn why_a_view_can_t_be_made_is_for_the_log_alone() {
    let bench = Bench::new(&[]);
    let views = bench.folder.path().join("data/views");
    std::fs::create_dir_all(views.join("bob.git")).unwrap();
    // No table of commits can be read there.
    std::fs::create_dir(views.join("bob.git/berth-commits")).unwrap();
    let said = bench.ask("bob", Command::UploadPack).rest();
    assert_eq!(said.code, Some(1));
    assert!(said.error.starts_with("berth: cannot make ready what you may see"), "{}", said.error);
    assert!(!said.error.contains("berth-commits"), "{}", said.error);
    until("the log says why", || bench.log().contains("berth-commits"));
    bench.end();
}

#[test]
fn housekeeping_leaves_what_is_small_alone() {
    let bench = Bench::new(&[]);
    bench.ask("bob", Command::UploadPack).advertisement();
    let mut berth = Process::new(env!("CARGO_BIN_EXE_berth"));
    berth.arg("--state").arg(bench.repo()).arg("--data").arg(bench.folder.path().join("data")).arg("tidy");
    let count = || {
        Process::new("git").arg("-C").arg(bench.repo()).args(["count-objects", "-v"]).output().unwrap().stdout
    };
    let before = count();
    let ended = berth.output().unwrap();
    assert!(ended.status.success(), "{ended:?}");
    assert_eq!(count(), before);
    bench.end();
}
