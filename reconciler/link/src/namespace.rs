//! Network namespaces, and work that is done inside one.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, RawFd};
use std::os::unix::fs::MetadataExt as _;
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::error::{Error, Result, Trying as _};

/// A network namespace, kept open: it can't vanish while this value lives, even when its last process ends.
#[derive(Debug)]
pub struct Namespace {
    file: File,
    inode: u64,
}

impl Namespace {
    /// The network namespace of a process.
    pub fn of_process(pid: u32) -> Result<Self> {
        Self::open(format!("/proc/{pid}/ns/net"))
    }

    /// The network namespace of a process. `None` when the process has ended, or is about to.
    pub fn of_living_process(pid: u32) -> Result<Option<Self>> {
        match Self::of_process(pid) {
            Err(error) if error.says_gone() => Ok(None),
            found => found.map(Some),
        }
    }

    /// The network namespace that a file stands for, such as those below `/run/netns`.
    pub fn at(path: &std::path::Path) -> Result<Self> {
        Self::open(path.display().to_string())
    }

    /// The network namespace of the calling thread.
    pub fn current() -> Result<Self> {
        Self::open("/proc/thread-self/ns/net".to_owned())
    }

    /// The number by which the kernel tells namespaces apart while they exist.
    pub fn inode(&self) -> u64 {
        self.inode
    }

    /// Runs `work` inside the namespace, on a thread of its own: a thread's namespace is the one thing that a later task
    /// on the same thread would inherit.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        let inside = || {
            move_into_link_name_space(self.file.as_fd(), Some(LinkNameSpaceType::Network))
                .trying(|| "enter a network namespace".to_owned())?;
            Ok(work())
        };
        thread::scope(|scope| {
            thread::Builder::new()
                .name("namespace".to_owned())
                .spawn_scoped(scope, inside)
                .trying(|| "start a thread".to_owned())?
                .join()
                .unwrap_or_else(|_| {
                    Err(Error::new("work in a network namespace", io::Error::other("the thread panicked")))
                })
        })
    }

    pub(crate) fn descriptor(&self) -> RawFd {
        self.file.as_raw_fd()
    }

    fn open(path: String) -> Result<Self> {
        let open = || {
            let file = File::open(&path)?;
            let inode = file.metadata()?.ino();
            Ok::<_, io::Error>(Self { file, inode })
        };
        open().trying(|| format!("open the network namespace {path}"))
    }
}
