//! A restart of the door while somebody pushes: another door opens at once, and the push goes on to its end.

use std::fs;
use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::process::{Command as Process, Stdio};

use berth_schema::door::{Command, INPUT, INPUT_END};
use berth_testing::until;
use rustix::process::{Pid, Signal, kill_process};

use super::{Bench, Line};

/// A push of one commit, as git sends it.
struct Push {
    tip: String,
    bytes: Vec<u8>,
}

impl Push {
    /// Makes a commit on main beside the repository, and what brings it in.
    fn of(bench: &Bench) -> Self {
        let path = bench.folder.path().join("clone");
        let git = |arguments: &[&str], input: &str| {
            let mut git = Process::new("git");
            git.current_dir(bench.folder.path()).args([
                "-c",
                "user.name=ann",
                "-c",
                "user.email=ann@example.org",
            ]);
            let mut git = git.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
            git.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
            let out = git.wait_with_output().unwrap();
            assert!(out.status.success(), "{arguments:?}");
            out.stdout
        };
        let clone = path.to_str().unwrap();
        git(&["clone", "--quiet", "state.git", clone], "");
        fs::write(path.join("users/cyn.toml"), "").unwrap();
        git(&["-C", clone, "add", "."], "");
        git(&["-C", clone, "commit", "--quiet", "-m", "cyn"], "");
        let named = |name: &str| {
            String::from_utf8(git(&["-C", clone, "rev-parse", name], "")).unwrap().trim().to_owned()
        };
        let (before, tip) = (named("origin/main"), named("HEAD"));
        let order = format!("{before} {tip} refs/heads/main\0 report-status");
        let mut bytes = format!("{:04x}{order}0000", order.len() + 4).into_bytes();
        bytes.extend(git(
            &["-C", clone, "pack-objects", "--revs", "--stdout", "--quiet"],
            &format!("{tip}\n^{before}\n"),
        ));
        Self { tip, bytes }
    }

    /// Sends one of its two halves.
    fn send(&self, line: &mut Line, half: usize) {
        let (first, second) = self.bytes.split_at(self.bytes.len() - 40);
        line.send(INPUT, [first, second][half]).unwrap();
    }
}

/// The process that finishes what the last door began.
fn finishing(bench: &Bench) -> Pid {
    let log = bench.log();
    let told =
        log.lines().rev().find(|line| line.contains("commands run on")).unwrap_or_else(|| panic!("{log}"));
    let pid = told.rsplit_once("pid=").unwrap().1;
    Pid::from_raw(pid.trim().parse().unwrap()).unwrap()
}

#[test]
fn a_push_goes_on_while_another_door_opens() {
    let mut bench = Bench::new(&[]);
    let push = Push::of(&bench);
    let mut line = bench.ask("ann", Command::ReceivePack);
    line.advertisement();
    push.send(&mut line, 0);
    let before = bench.tip();
    bench.close();
    bench.ended();
    assert!(!bench.socket().exists(), "nobody else is let in there");
    let bench = bench.opened_again();
    assert_eq!(bench.ask("bob", Command::ReviewList).rest().code, Some(0), "{}", bench.log());
    assert_eq!(bench.tip(), before);
    push.send(&mut line, 1);
    let _ = line.send(INPUT_END, b"");
    let said = line.rest();
    assert_eq!(said.code, Some(0), "{said:?}: {}", bench.log());
    assert_eq!(bench.tip(), push.tip, "{said:?}");
    // The one before is gone then, and left nothing of its own.
    let left = finishing(&bench);
    let program = format!("/proc/{}/exe", left.as_raw_nonzero());
    until("it ends", || fs::read_link(&program).is_err());
    assert!(bench.socket().exists());
    bench.end();
}

#[test]
fn a_door_that_finishes_can_be_ended() {
    let mut bench = Bench::new(&[]);
    let mut line = bench.ask("ann", Command::ReceivePack);
    line.advertisement();
    bench.close();
    bench.ended();
    kill_process(finishing(&bench), Signal::TERM).unwrap();
    let said = line.rest();
    assert_eq!(said.code, Some(1));
    assert!(said.error.contains("is closing; try again in a moment"), "{said:?}");
}

#[test]
fn a_door_ends_with_its_front() {
    let mut bench = Bench::new(&[]);
    let mut line = bench.ask("ann", Command::ReceivePack);
    line.advertisement();
    bench.door.kill().unwrap();
    bench.door.wait().unwrap();
    assert!(line.rest().code.is_none());
    until("nobody answers at its socket", || UnixStream::connect(bench.socket()).is_err());
    let bench = bench.opened_again();
    assert_eq!(bench.ask("bob", Command::ReviewList).rest().code, Some(0));
    bench.end();
}
