//! Ground that all stories of a run share: one engine, and the real server image on it, each made when the first story
//! asks.

use std::fs::{self, File};

use rustix::process::Signal;

use crate::engine::{Data, Engine};
use crate::lab::Lab;
use crate::process::{MARK, build_folder, processes, send};
use crate::shared::Shared;
use crate::{ground, image};

/// Ground that the stories of a run share.
#[derive(Debug, Default)]
pub struct World {
    engine: Shared<Engine>,
    server_image: Shared<()>,
    lab: Shared<Lab>,
}

/// Reason for which a story can't be told on this machine.
#[derive(Debug)]
pub struct Skipped(pub String);

/// The right to the ground of this target folder, which one run at a time has.
#[derive(Debug)]
pub struct Turn(#[allow(dead_code, reason = "held for its lock, which ends with it")] File);

impl Turn {
    /// Waits for it.
    pub fn take() -> Self {
        let lock = ground::take();
        end_left_daemons();
        Self(lock)
    }
}

/// Ends what a run that was killed has left of `berth` processes: this run hasn't started any yet, and no other may.
fn end_left_daemons() {
    let mark = format!("{}={}", MARK, build_folder().display());
    for pid in processes() {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let is_marked = environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes());
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        if is_marked && name.trim() == "berth" {
            send(pid, Signal::KILL);
        }
    }
}

impl World {
    /// The shared engine, with the tiny images.
    pub fn engine(&self) -> &Engine {
        self.engine.get(|| {
            let engine = Engine::remapped("shared", Data::KeepImages);
            image::make_tiny(&engine);
            engine
        })
    }

    /// The shared engine, with the real server image as well.
    pub fn engine_with_servers(&self) -> &Engine {
        let engine = self.engine();
        self.server_image.get(|| self.bring_server(engine));
        engine
    }

    /// Brings the real server image to another engine.
    pub fn bring_server(&self, engine: &Engine) {
        image::bring_server(engine);
    }

    /// The closed world, with every image of the platform.
    pub fn lab(&self) -> &Lab {
        self.lab.get(|| {
            self.fail_with_the_shared_one();
            Lab::start()
        })
    }

    /// An engine of the story's own, for those that kill it.
    pub fn own_engine(&self, name: &str) -> Engine {
        self.fail_with_the_shared_one();
        let engine = Engine::remapped(name, Data::Discard);
        image::make_tiny(&engine);
        engine
    }

    /// Ends the story if the shared engine didn't start. Another one wouldn't either, and would take long to show it.
    fn fail_with_the_shared_one(&self) {
        if let Some(why) = self.engine.failure() {
            why.clone().end_story();
        }
    }

    /// Ends what was started, whatever became of the stories.
    pub fn end(&mut self) {
        drop(self.lab.take());
        drop(self.engine.take());
        // What is in it went with those who made it.
        ground::leave();
    }
}
