//! A setting of this machine's kernel that a story changes for a while.

use std::fs::{self, File};
use std::path::PathBuf;

use rustix::fs::{FlockOperation, flock};

/// A setting below `/proc/sys`, at another value until this is dropped. Runs side by side take turns at one setting, or the second would
/// take the first one's value for the machine's own.
#[derive(Debug)]
pub struct Ceiling {
    path: PathBuf,
    before: String,
    _turn: File,
}

impl Ceiling {
    /// Sets it, such as `fs/inotify/max_user_instances`.
    pub fn at(setting: &str, value: &str) -> Self {
        let turn = format!("/run/lock/berth-stories-{}", setting.replace('/', "."));
        let turn = File::create(turn).expect("the setting's lock");
        flock(&turn, FlockOperation::LockExclusive).expect("a turn");
        let path = PathBuf::from("/proc/sys").join(setting);
        let before = fs::read_to_string(&path).expect("the setting");
        fs::write(&path, value).expect("another value");
        Self { path, before, _turn: turn }
    }
}

impl Drop for Ceiling {
    fn drop(&mut self) {
        let _ = fs::write(&self.path, &self.before);
    }
}
