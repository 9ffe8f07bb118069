//! Processes of the machine, and the programs that the stories tell of.

use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

pub use berth_testing::process::{PATIENCE, Ran, eventually, is_alive, run, send, wait, within};

/// An environment variable that marks the `berth` processes of the stories of a target folder.
pub const MARK: &str = "BERTH_STORIES";

/// Every process of the machine.
pub fn processes() -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").expect("/proc").flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// The children of some processes.
pub fn children_of(parents: &[u32]) -> Vec<u32> {
    let parent = |pid: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // State and parent follow the name, which is in brackets and may hold anything.
        stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse::<u32>().ok()
    };
    processes()
        .into_iter()
        .filter(|pid| parent(pid).is_some_and(|parent| parents.contains(&parent)))
        .collect()
}

/// Describes how a child that was waited for has ended.
pub fn ending(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, signal) => format!("signal {signal:?}"),
    }
}

/// A program that `cargo build` puts beside this test's own.
pub fn built(program: &str) -> PathBuf {
    let path = build_folder().join(program);
    let build = "build it first: cargo build -p berth -p berth-gate -p berth-runtime -p berth-ssh-router -p berth-web";
    assert!(path.is_file(), "{} is missing; {build}", path.display());
    path
}

/// The folder of the built programs: `debug` or `release` in cargo's target folder.
pub fn build_folder() -> PathBuf {
    let own = std::env::current_exe().expect("our own path");
    // `deps/stories-…` below it.
    own.ancestors().nth(2).expect("a build folder").to_owned()
}

/// The root of the source tree.
pub fn source_tree() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace").to_owned()
}
