//! What all stories of a run share: one engine, and the real server image on it, each made when the first story asks.

use std::fs::{self, File};
use std::sync::OnceLock;

use rustix::fs::{FlockOperation, flock};
use rustix::process::Signal;

use crate::engine::{Data, Engine};
use crate::lab::Lab;
use crate::process::{build_folder, is_alive, processes, send, stories_folder};
use crate::{image, platform};

/// What the stories of a run share.
#[derive(Debug, Default)]
pub struct World {
    engine: OnceLock<Engine>,
    server_image: OnceLock<()>,
    lab: OnceLock<Lab>,
}

/// Why a story can't be told on this machine.
#[derive(Debug)]
pub struct Skipped(pub String);

/// The right to use the engines of this target folder, which one run at a time has.
#[derive(Debug)]
pub struct Turn(#[allow(dead_code, reason = "held for its lock, which ends with it")] File);

impl Turn {
    /// Waits for it.
    pub fn take() -> Self {
        let folder = stories_folder();
        fs::create_dir_all(&folder).expect("the engines' folder");
        let file = File::create(folder.join("lock")).expect("a lock");
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            eprintln!("waiting for another run of the stories to end");
            flock(&file, FlockOperation::LockExclusive).expect("the lock");
        }
        end_left_daemons();
        remove_left_folders();
        Self(file)
    }
}

/// Ends what a run that was killed has left of `berth` processes: this run hasn't started any yet, and no other may.
fn end_left_daemons() {
    let mark = format!("{}={}", platform::MARK, build_folder().display());
    for pid in processes() {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let is_marked = environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes());
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        if is_marked && name.trim() == "berth" {
            send(pid, Signal::KILL);
        }
    }
}

/// Removes what processes that are gone have left in the scratch folder.
fn remove_left_folders() {
    for entry in fs::read_dir(stories_folder().join("tmp")).into_iter().flatten().flatten() {
        let pid = entry.file_name().to_str().and_then(|name| name.parse().ok());
        if pid.is_none_or(|pid| !is_alive(pid)) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

impl World {
    /// The shared engine, with the tiny images.
    pub fn engine(&self) -> &Engine {
        self.engine.get_or_init(|| {
            let engine = Engine::remapped("shared", Data::KeepImages);
            image::make_tiny(&engine);
            engine
        })
    }

    /// The shared engine, with the real server image as well.
    pub fn engine_with_servers(&self) -> &Engine {
        let engine = self.engine();
        self.server_image.get_or_init(|| self.bring_server(engine));
        engine
    }

    /// Brings the real server image to another engine.
    pub fn bring_server(&self, engine: &Engine) {
        image::bring_server(engine);
    }

    /// The closed world, with every image of the platform.
    pub fn lab(&self) -> &Lab {
        self.lab.get_or_init(Lab::start)
    }

    /// An engine of the story's own, for those that kill it.
    pub fn own_engine(&self, name: &str) -> Engine {
        let engine = Engine::remapped(name, Data::Discard);
        image::make_tiny(&engine);
        engine
    }

    /// Ends what was started, whatever became of the stories.
    pub fn end(&mut self) {
        drop(self.lab.take());
        drop(self.engine.take());
        // What is in it went with those who made it.
        let _ = fs::remove_dir(stories_folder().join("tmp").join(std::process::id().to_string()));
    }
}
