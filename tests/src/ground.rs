//! The folder on this machine for whatever an engine, a server or another user has to reach.
//!
//! It isn't below the checkout, which may lie where only root can enter, as root's home does: an engine that maps users
//! refuses a data folder that its mapped root can't reach. Each target folder has ground of its own, which its next run finds
//! again, images included. Ground whose target folder is gone is removed by the next run of any other checkout.

use std::fs::{self, File, Permissions};
use std::hash::{Hash as _, Hasher as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use tempfile::TempDir;

use crate::leftovers;
use crate::process::{build_folder, is_alive};

/// Parent of everybody's ground. Not in /var/tmp, where any user could make a folder of that name first.
const ROOT: &str = "/var/lib/berth-tests";
/// Names the target folder that the ground belongs to.
const OWNER: &str = "target";

/// The ground of this target folder. Its name is short: a socket's path has 107 bytes at most.
pub fn ground() -> PathBuf {
    Path::new(ROOT).join(mark())
}

/// Tells the ground and the namespaces of one target folder from another's.
pub fn mark() -> String {
    let mut hasher = std::hash::DefaultHasher::new();
    target_folder().hash(&mut hasher);
    format!("{:08x}", hasher.finish() as u32)
}

/// The folder of engines whose data goes with them.
pub fn passing() -> PathBuf {
    ground().join("own")
}

/// A folder that goes when it is dropped, or when a later run finds that its process is gone.
pub fn scratch() -> TempDir {
    let own = ground().join("tmp").join(std::process::id().to_string());
    fs::create_dir_all(&own).expect("a folder");
    tempfile::Builder::new().prefix("s-").tempdir_in(own).expect("a folder")
}

/// Makes a folder on the ground that every user can pass through, whatever the umask says.
pub fn make_open(folder: &Path) {
    fs::create_dir_all(folder).expect("a folder on the ground");
    for part in folder.ancestors().take_while(|part| part.starts_with(ROOT)) {
        fs::set_permissions(part, Permissions::from_mode(0o711)).expect("the mode of a folder");
    }
}

/// Removes this process's scratch folders.
pub(crate) fn leave() {
    let _ = fs::remove_dir(ground().join("tmp").join(std::process::id().to_string()));
}

/// Makes the ground, waits until no other run is on it, and clears away what killed runs have left.
pub(crate) fn take() -> File {
    make_open(&ground().join("tmp"));
    fs::write(ground().join(OWNER), target_folder().as_os_str().as_encoded_bytes()).expect("a file");
    let file = File::create(ground().join("lock")).expect("a lock");
    if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        eprintln!("waiting for another run of the stories to end");
        flock(&file, FlockOperation::LockExclusive).expect("the lock");
    }
    remove_left_scratch();
    for entry in fs::read_dir(passing()).into_iter().flatten().flatten() {
        leftovers::end(&entry.path());
        let _ = fs::remove_dir_all(entry.path());
    }
    remove_orphans();
    file
}

/// Removes the scratch folders of processes that are gone.
fn remove_left_scratch() {
    for entry in fs::read_dir(ground().join("tmp")).into_iter().flatten().flatten() {
        let pid = entry.file_name().to_str().and_then(|name| name.parse().ok());
        if pid.is_none_or(|pid| !is_alive(pid)) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Removes the ground of target folders that no longer exist. Ground that somebody stands on stays.
fn remove_orphans() {
    for entry in fs::read_dir(ROOT).into_iter().flatten().flatten() {
        let theirs = entry.path();
        // Without the file it is being made just now.
        let Ok(owner) = fs::read_to_string(theirs.join(OWNER)) else { continue };
        if theirs == ground() || Path::new(&owner).exists() {
            continue;
        }
        let Ok(lock) = File::create(theirs.join("lock")) else { continue };
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok() {
            leftovers::end(&theirs);
            let _ = fs::remove_dir_all(&theirs);
        }
    }
}

fn target_folder() -> PathBuf {
    build_folder().parent().expect("a target folder").to_owned()
}
