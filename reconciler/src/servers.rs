//! The servers as the last pass saw them, for those who work between passes: the sampler of figures, and orders to a
//! running server. Nothing here says how things are now.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use berth_host::{SERVERS, Way, WayRecord};
use berth_plan::label::Tag;
use berth_plan::names::server_container;
use berth_plan::{Desired, Observed};
use berth_schema::name::{Prefix, ServerId};
use berth_schema::server::PowerState;
use parking_lot::Mutex;

/// The servers of the last pass. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Servers(Arc<Mutex<Arc<Seen>>>);

/// Everything about servers that a pass saw.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// The platform; `None` before the first pass.
    pub platform: Option<Prefix>,
    /// Seconds that a server gets to stop.
    pub stop_timeout: u32,
    /// The servers of the state repo, and those whose containers are still there.
    pub servers: BTreeMap<ServerId, Known>,
}

/// A server, as a pass saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Its name.
    pub name: String,
    /// Its container's name.
    pub container: String,
    /// The engine's id of its container; `None` where there was none.
    pub id: Option<String>,
    /// The state repo's word; `None` where the state repo doesn't have the server any more.
    pub wanted: Option<PowerState>,
}

/// The way in which a server that runs was started, as `berth-runtime` has written it down; `None` where it hasn't, or one started it that
/// gave servers something else than today's does.
pub fn way_of(container: &str) -> Option<Way> {
    let record = WayRecord::read(Path::new(SERVERS), container).ok().flatten();
    record.filter(|record| record.is_current() && record.is_borne_out()).map(|record| record.way)
}

impl Servers {
    /// Takes over what a pass saw.
    pub fn learn(&self, seen: Seen) {
        *self.0.lock() = Arc::new(seen);
    }

    /// Returns what the last pass saw.
    pub fn seen(&self) -> Arc<Seen> {
        Arc::clone(&self.0.lock())
    }
}

impl Seen {
    /// Everything about servers that follows from what should exist and what does.
    pub fn of(desired: &Desired, observed: &Observed) -> Self {
        let prefix = desired.prefix();
        let known = |id, name: String, wanted| Known {
            name,
            container: server_container(prefix, id),
            id: None,
            wanted,
        };
        let mut servers: BTreeMap<ServerId, Known> = desired
            .servers
            .iter()
            .map(|server| (server.id, known(server.id, server.name.to_string(), Some(server.state))))
            .collect();
        for container in &observed.containers {
            let Some(Tag::Server { id, name, .. }) = &container.tag else { continue };
            let server = servers.entry(*id).or_insert_with(|| known(*id, name.clone(), None));
            // Of two that claim one number, the one with the server's own name is it.
            if container.name == server.container {
                server.id = Some(container.id.clone());
            }
        }
        Self { platform: Some(prefix.clone()), stop_timeout: desired.confinement.stop_timeout, servers }
    }

    /// Returns the containers, by the engine's ids.
    pub fn containers(&self) -> impl Iterator<Item = (ServerId, &str)> {
        self.servers.iter().filter_map(|(id, server)| Some((*id, server.id.as_deref()?)))
    }
}
