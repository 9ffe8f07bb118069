//! An eye on a story's time: one that hangs fails, and holds up no other.

use std::fs;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

/// Longest time of a story. The slowest takes half a minute on a quiet machine.
const STORY_MAX: Duration = Duration::from_secs(600);
/// Longest time that it takes to fail after that. It is longer than a story waits for anything.
const FAILING_MAX: Duration = Duration::from_secs(180);

/// Ends the processes of a story that takes too long, which is what it waits for, and lets the story fail. If that doesn't
/// end it, everything ends.
pub(crate) struct Watch {
    /// Hears of more time; closed when the story has ended.
    story: Sender<Duration>,
    late: Arc<AtomicBool>,
}

impl Watch {
    /// `folder` is the story's own: its processes have it among their arguments or in their environment.
    pub(crate) fn new(folder: &Path) -> Self {
        Self::with(folder, STORY_MAX)
    }

    fn with(folder: &Path, most: Duration) -> Self {
        let name = std::thread::current().name().unwrap_or_default().to_owned();
        let (story, told) = mpsc::channel();
        let (late, folder) = (Arc::new(AtomicBool::new(false)), folder.to_owned());
        let is_late = Arc::clone(&late);
        std::thread::spawn(move || watch(&name, &folder, &told, most, &is_late));
        Self { story, late }
    }

    /// Lets the story take more time.
    pub(crate) fn allow(&self, more: Duration) {
        // Whoever is late already stays late.
        let _ = self.story.send(more);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let failing = std::thread::panicking();
        assert!(failing || !self.late.load(Ordering::Relaxed), "the story took too long");
    }
}

fn watch(name: &str, folder: &Path, told: &Receiver<Duration>, most: Duration, late: &AtomicBool) {
    if ends_within(told, most) {
        return;
    }
    late.store(true, Ordering::Relaxed);
    say(&format!("{name} takes too long: its processes are ended"));
    let start = Instant::now();
    while start.elapsed() < FAILING_MAX {
        // It may start others before it fails.
        kill(&children().into_iter().filter(|child| names(*child, folder)).collect::<Vec<_>>());
        if ends_within(told, Duration::from_secs(1)) {
            return;
        }
    }
    say(&format!("{name} hangs: everything is ended"));
    kill(&children());
    std::process::abort();
}

/// Returns whether the story ends in time.
fn ends_within(told: &Receiver<Duration>, most: Duration) -> bool {
    let mut deadline = Instant::now() + most;
    loop {
        match told.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(more) => deadline += more,
            Err(RecvTimeoutError::Disconnected) => return true,
            Err(RecvTimeoutError::Timeout) => return false,
        }
    }
}

/// Writes past the capture that keeps a story's output until it ends.
fn say(words: &str) {
    // There is nobody else to tell.
    let _ = writeln!(std::io::stderr(), "{words}");
}

/// Ends processes, and all that they have started.
fn kill(processes: &[u32]) {
    for process in processes {
        let theirs = children_of(*process);
        // It may have ended by itself.
        let _ = Command::new("kill").args(["-KILL", &process.to_string()]).status();
        kill(&theirs);
    }
}

/// Returns whether a process has a folder among its arguments or in its environment.
fn names(process: u32, folder: &Path) -> bool {
    let folder = folder.as_os_str().as_bytes();
    ["cmdline", "environ"].iter().any(|what| {
        let said = fs::read(format!("/proc/{process}/{what}")).unwrap_or_default();
        said.windows(folder.len()).any(|part| part == folder)
    })
}

/// The processes that this one has started.
fn children() -> Vec<u32> {
    children_of(std::process::id())
}

/// The processes that a process has started, by any of its threads.
pub(crate) fn children_of(process: u32) -> Vec<u32> {
    let threads =
        fs::read_dir(PathBuf::from(format!("/proc/{process}/task"))).into_iter().flatten().flatten();
    // A thread may end meanwhile.
    let lists = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().map(|id| id.parse().unwrap()).collect::<Vec<_>>()).collect()
}

#[test]
fn a_story_that_hangs_fails_and_others_do_not_notice() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let start = |folder: &Path| Command::new("sleep").arg("600").env("STORY", folder).spawn().unwrap();
    let mut bystander = crate::harness::Running(start(other.path()));
    let folder = one.path().to_owned();
    let story = std::thread::Builder::new().name("a story that hangs on purpose".to_owned());
    let story = story.spawn(move || {
        let watch = Watch::with(&folder, Duration::from_millis(100));
        watch.allow(Duration::from_millis(100));
        // What it waits for ends, and it doesn't look how.
        let _ = start(&folder).wait();
        drop(watch);
    });
    assert!(story.unwrap().join().is_err());
    assert!(bystander.0.try_wait().unwrap().is_none());
}
