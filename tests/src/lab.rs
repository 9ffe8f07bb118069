//! A closed world: a machine with an engine as an installation has it, and an internet of its own, each a network
//! namespace. Nothing leads from here to the network of the machine that runs the stories.
//!
//! ```text
//!   labhost                                   labinet
//!   dockerd, bridges, rules, berth ── up0 ── down0 ── websites, mail, name servers, the cloud's metadata service,
//!                         51.0.0.10   51.0.0.1        and every private range: a packet that leaks finds somebody home
//! ```

mod internet;

use std::time::Duration;

use crate::engine::{Cgroup, Data, Engine, Mapping, Networks, Traits};
use crate::image;
use crate::namespace::{Namespace, end_leftovers};
use crate::process::{Ran, run};

pub use internet::{
    DENIED, INTERNET, Internet, MAIL, NAME, NAME_OF_PRIVATE, NAME_SERVERS, PRIVATE, PUBLIC, REGISTRY, Visit,
    WEBSITE,
};

/// The closed world.
#[derive(Debug)]
pub struct Lab {
    /// The machine of the platform.
    host: Namespace,
    internet: Internet,
    engine: Engine,
}

impl Lab {
    /// Makes it: two namespaces, the engine with every image of the platform, and the internet's services.
    pub fn start() -> Self {
        // Its images are made where a network is.
        let host = Namespace::make("labhost");
        let internet = Internet::start(Namespace::make("labinet"), &host);
        let networks = Networks::In(host.clone());
        let traits =
            Traits { mapping: Mapping::Remapped, cgroup: Cgroup::Host, networks, data: Data::KeepImages };
        let engine = Engine::with("lab", traits);
        // After the engine of an earlier run, whose containers have their parents there.
        end_leftovers();
        let lab = Self { host, internet, engine };
        image::bring_platform(&lab.engine);
        image::make_tiny(&lab.engine);
        lab
    }

    /// The machine's namespace.
    pub fn host(&self) -> &Namespace {
        &self.host
    }

    /// Everything outside.
    pub fn internet(&self) -> &Internet {
        &self.internet
    }

    /// The machine's engine.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Asks for a page from the internet, as a visitor does; `curl`'s words.
    #[track_caller]
    pub fn visit(&self, arguments: &[&str]) -> Ran {
        let mut command = self.internet.namespace().command();
        command
            .args(["curl", "--silent", "--show-error", "--noproxy", "*", "--max-time", "20"])
            .args(arguments);
        run(&mut command, Duration::from_secs(30))
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.engine.stop();
        self.internet.end();
        self.host.end();
    }
}
