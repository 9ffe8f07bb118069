//! Ends that a command comes to from outside, at the worst moment: nothing is left half done, and nothing is left behind.

use std::fs;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::process::{Command as Process, Stdio};

use berth_testing::until;
use rustix::fs::OFlags;
use rustix::process::{Pid, Signal, kill_process};

use super::{Bench, Command};

impl Bench {
    /// Puts a pipe in the place of git's own log of main. It is written while main is locked, so whoever moves main waits there,
    /// in the middle, until somebody reads.
    fn hold_main(&self) -> PathBuf {
        self.git(&["config", "core.logAllRefUpdates", "true"]);
        let log = self.repo().join("logs/refs/heads/main");
        fs::create_dir_all(log.parent().unwrap()).unwrap();
        let _ = fs::remove_file(&log);
        assert!(Process::new("mkfifo").arg(&log).status().unwrap().success());
        log
    }

    fn is_main_locked(&self) -> bool {
        self.repo().join("refs/heads/main.lock").exists()
    }

    /// Scratch folders of commands.
    fn scratches(&self) -> usize {
        fs::read_dir(self.folder.path().join("data/views/.scratch")).map_or(0, Iterator::count)
    }
}

#[test]
fn a_signal_in_the_middle_of_a_change_waits_until_it_is_whole() {
    let bench = Bench::new(&[]);
    let pipe = bench.hold_main();
    for (number, signal) in [Signal::TERM, Signal::INT, Signal::HUP].into_iter().enumerate() {
        let before = bench.tip();
        let mut berth = Process::new(env!("CARGO_BIN_EXE_berth"));
        berth.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).stdout(Stdio::null());
        berth.arg("--state").arg(bench.repo()).arg("--data").arg(bench.folder.path().join("data"));
        berth.args(["lobby", "--as", "bob", "--", &format!("new shop{number} --no-wait")]);
        let mut berth = berth.spawn().unwrap();
        until("main is locked", || bench.is_main_locked());
        kill_process(Pid::from_child(&berth), signal).unwrap();
        // Opened without waiting for a writer: there is none any more if the signal was its end.
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        let reader = fs::File::options().read(true).custom_flags(flags).open(&pipe).unwrap();
        let status = berth.wait().unwrap();
        drop(reader);
        assert!(!bench.is_main_locked(), "{signal:?}: {status}");
        assert_ne!(bench.tip(), before, "{signal:?}: {status}");
        assert!(bench.file(&format!("servers/shop{number}.toml")).contains("bob"));
    }
    fs::remove_file(&pipe).unwrap();
    bench.good("bob", "stop shop0");
    bench.end();
}

#[test]
fn a_command_that_is_killed_leaves_no_temporary_files() {
    let bench = Bench::new(&[]);
    bench.good("bob", "new shop");
    assert_eq!(bench.scratches(), 0);
    let _pipe = bench.hold_main();
    let line = bench.ask("bob", Command::Lobby("stop shop".parse().unwrap()));
    until("main is locked", || bench.is_main_locked());
    assert_eq!(bench.scratches(), 1);
    // It is asked to end, which it doesn't in the middle of a change, and killed after that.
    drop(line);
    until("the log says so", || bench.log().contains("a command lost its connection"));
    assert_eq!(bench.scratches(), 0);
    bench.end();
}
