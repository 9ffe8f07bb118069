//! `servers/<name>.toml`: a virtual server.

use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::name::{ImageRef, ServerId, ServerName, UserName};
use crate::platform::Defaults;
use crate::quantity::{Bytes, Cpus};

/// A virtual server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Server {
    /// From the file's name.
    pub name: ServerName,
    /// Unique for ever.
    pub id: ServerId,
    /// The member who answers for it and whose quota it counts against.
    pub owner: UserName,
    /// Members who may log in too.
    pub members: Vec<UserName>,
    /// Whether it runs.
    pub state: PowerState,
    /// Processor time; the platform's default where the file doesn't say.
    pub cpus: Option<Cpus>,
    /// Memory.
    pub memory: Option<Bytes>,
    /// Processes and threads.
    pub pids: Option<NonZeroU32>,
    /// Disk. Counted against the owner's quota.
    pub disk: Option<Bytes>,
    /// The image; the platform's at the time of creation where the file doesn't say.
    pub image: Option<ImageRef>,
}

/// Whether a server runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PowerState {
    /// Running.
    #[default]
    Running,
    /// Stopped, with everything kept.
    Stopped,
}

/// The limits that Docker can change in place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Limits {
    /// Billionths of a processor.
    pub nano_cpus: u64,
    /// Bytes.
    pub memory: u64,
    /// Processes and threads.
    pub pids: u32,
}

impl Server {
    /// The limits that hold: the server's own, else the platform's defaults.
    pub fn limits(&self, defaults: &Defaults) -> Limits {
        Limits {
            nano_cpus: self.cpus.unwrap_or(defaults.cpus).nanos(),
            memory: self.memory.unwrap_or(defaults.memory).get(),
            pids: self.pids.unwrap_or(defaults.pids).get(),
        }
    }
}
