//! `exec`: the work before runc puts a process into a server that has ids of its own.
//!
//! A container's own state says whether it has: the arguments of this call say what a server gets at its next start.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Gid, Uid, fchown, fstat};
use serde::Deserialize;

use crate::bundle::ENGINE_S_ROOT;
use crate::mounts::{MountError, forget, make_root_folder};

/// Reason for which a process may not find in the server what it needs.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EnterError {
    /// runc's own state of the container says something unknown.
    #[error("cannot understand the state of the container, {}", path.display())]
    State { path: PathBuf, source: io::Error },
    /// One of our own steps.
    #[error(transparent)]
    Mount(#[from] MountError),
}

/// The parts of runc's `state.json` that matter here.
#[derive(Debug, Deserialize)]
struct State {
    config: Config,
}

#[derive(Debug, Deserialize)]
struct Config {
    #[serde(default)]
    labels: Vec<String>,
    #[serde(default)]
    uid_mappings: Vec<Mapping>,
}

#[derive(Debug, Deserialize)]
struct Mapping {
    container_id: u32,
    host_id: u32,
}

/// A server that has ids of its own.
#[derive(Debug, PartialEq, Eq)]
struct Ranged {
    /// The host's id of its root.
    root: u32,
    /// The engine's own mount of its root.
    engine_s: PathBuf,
}

/// Prepares for a process in the container `id`, whose state runc keeps below `root`.
pub(crate) fn prepare(root: &Path, id: &OsStr) -> Result<(), EnterError> {
    let path = root.join(id).join("state.json");
    let text = match fs::read(&path) {
        Ok(text) => text,
        // runc will say that there is no such container.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(EnterError::State { path, source }),
    };
    let state = serde_json::from_slice(&text);
    let state = state.map_err(|error| EnterError::State { path, source: error.into() })?;
    let Some(Ranged { root, engine_s }) = ranged(&state) else { return Ok(()) };
    give_pipes(root);
    make_root_folder()?;
    Ok(forget(&engine_s)?)
}

fn ranged(state: &State) -> Option<Ranged> {
    let note = |label: &str| label.strip_prefix(ENGINE_S_ROOT)?.strip_prefix('=').map(PathBuf::from);
    let engine_s = state.config.labels.iter().find_map(|label| note(label))?;
    let root = state.config.uid_mappings.iter().find(|one| one.container_id == 0)?.host_id;
    Some(Ranged { root, engine_s })
}

/// Gives the server's root the pipes that are its standard streams, or else nobody in it could open `/dev/stdout`. The engine gave
/// them to the root that it knows. A terminal is made inside and needs nothing.
pub(crate) fn give_pipes(root: u32) {
    let give = |stream: BorrowedFd<'_>| {
        if fstat(stream).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Fifo) {
            // Without it the process runs all the same, and has its streams as they are.
            let _ = fchown(stream, Some(Uid::from_raw(root)), Some(Gid::from_raw(root)));
        }
    };
    give(io::stdin().as_fd());
    give(io::stdout().as_fd());
    give(io::stderr().as_fd());
}

/// Folder below which runc keeps its containers, by its own `--root`.
pub(crate) fn state_folder(root: Option<&OsString>) -> PathBuf {
    root.map_or_else(|| PathBuf::from("/run/runc"), PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(labels: &[&str]) -> State {
        let mappings = serde_json::json!([{"container_id": 0, "host_id": 1_879_113_728_u32, "size": 65536}]);
        let config =
            serde_json::json!({"config": {"labels": labels, "uid_mappings": mappings, "rootfs": "/x"}});
        serde_json::from_value(config).expect("a state")
    }

    #[test]
    fn the_container_s_own_state_says_whose_ids_it_has() {
        let found = ranged(&state(&["bundle=/b", "berth.engine-root=/var/lib/docker/o/abc/merged"]));
        let engine_s = PathBuf::from("/var/lib/docker/o/abc/merged");
        assert_eq!(found, Some(Ranged { root: 0x7001_0000, engine_s }));
        assert_eq!(ranged(&state(&["bundle=/b", "berth.engine-rooty=/x"])), None);
    }

    #[test]
    fn a_container_that_is_not_there_is_runc_s_to_name() {
        let folder = tempfile::tempdir().expect("a folder");
        prepare(folder.path(), OsStr::new("abc")).expect("nothing to do");
        fs::create_dir(folder.path().join("abc")).expect("a folder");
        fs::write(folder.path().join("abc/state.json"), "{}").expect("a state");
        let words = prepare(folder.path(), OsStr::new("abc")).expect_err("no state of runc's").to_string();
        assert!(words.contains("abc/state.json"), "{words}");
    }
}
