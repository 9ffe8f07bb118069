//! Remains of an engine that was killed: processes, mounts and sockets, found by the path of its folder.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use crate::process::{children_of, eventually, processes, run, send};

/// Ends processes that name an engine's folder on their command line (an engine, its containerd, their shims),
/// and unmounts what is mounted below it.
pub(crate) fn end(folder: &Path) {
    let theirs = || processes_naming(folder);
    let found = theirs();
    // A container's first process is its shim's child, and would outlive it.
    for pid in children_of(&found).into_iter().chain(found) {
        send(pid, Signal::KILL);
    }
    eventually("what an engine left has ended", || theirs().is_empty().then_some(()));
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let below = mounts.lines().filter_map(|line| line.split(' ').nth(1));
    // The innermost first.
    for mount in below.filter(|mount| Path::new(mount).starts_with(folder)).collect::<Vec<_>>().iter().rev() {
        run(Command::new("umount").args(["-l", mount]), Duration::from_secs(20));
    }
    // An engine that maps users has a second folder of this kind, named for the mapping.
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("exec") {
            let _ = fs::remove_dir_all(entry.path());
        } else if ["pid", "d.sock"].contains(&name.as_str()) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// The processes that have a path below `folder` among their arguments, but for the commands that merely ask an engine.
fn processes_naming(folder: &Path) -> Vec<u32> {
    let mut found = Vec::new();
    for pid in processes() {
        let Ok(line) = fs::read(format!("/proc/{pid}/cmdline")) else { continue };
        let words: Vec<String> =
            line.split(|byte| *byte == 0).map(|w| String::from_utf8_lossy(w).into_owned()).collect();
        let program = Path::new(&words[0]).file_name().unwrap_or_default().to_string_lossy().into_owned();
        let is_engine =
            ["dockerd", "containerd", "containerd-shim-runc-v2", "docker-proxy"].contains(&&*program);
        let below =
            |word: &String| word.trim_start_matches("unix://").starts_with(&format!("{}/", folder.display()));
        if is_engine && words.iter().any(below) {
            found.push(pid);
        }
    }
    found
}
