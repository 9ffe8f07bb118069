//! Status: how things are, as the reconciler last saw them. Plain data that goes over the control socket.

use std::collections::HashMap;

use berth_plan::label::Tag;
use berth_plan::observed::RunState;
use berth_plan::{Desired, Observed};
use berth_schema::server::PowerState;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::figures::CacheFigures;
use crate::journal::PassRecord;
use crate::remote::Standing;

/// How things are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The version of the reconciler.
    pub version: String,
    /// Its process; `None` when no daemon runs and this was looked up for the occasion.
    pub pid: Option<u32>,
    /// The engine's version.
    pub engine: String,
    /// Whether the engine answered last. When it doesn't, the rest is how things were.
    pub engine_answers: bool,
    /// The platform's prefix.
    pub platform: String,
    /// The last revision of which every change succeeded.
    pub last_applied: Option<String>,
    /// The last pass.
    pub last_pass: Option<PassRecord>,
    /// The servers, by id.
    pub servers: Vec<ServerRow>,
    /// Removed servers whose data is kept.
    pub tombstones: Vec<TombstoneRow>,
    /// The platform's own containers.
    pub system: Vec<SystemRow>,
    /// The image cache's figures, as the daemon last read them.
    #[serde(default)]
    pub cache: Option<CacheFigures>,
    /// What is known of the forge that hosts the state repo, where one does. Not the reconciler's to know: whoever asks looks
    /// it up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote: Option<RemoteRow>,
}

/// The forge that hosts the state repo.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoteRow {
    /// Whether a `berth remote` runs.
    pub runs: bool,
    /// What it has found.
    pub standing: Standing,
}

/// A server, as it should be and as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerRow {
    /// Its number.
    pub id: u32,
    /// Its name.
    pub name: String,
    /// Its owner.
    pub owner: String,
    /// What the state repo says: `running` or `stopped`.
    pub wanted: String,
    /// What the engine says.
    pub actual: String,
    /// Billionths of a processor.
    pub nano_cpus: u64,
    /// Bytes.
    pub memory: u64,
    /// What it was made of.
    pub image: String,
}

/// A removed server whose data is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TombstoneRow {
    /// Its number, not to be reused yet.
    pub id: u32,
    /// Its name.
    pub name: String,
    /// Its owner.
    pub owner: String,
    /// When its data will be removed for good.
    pub purge_after: Timestamp,
}

/// One of the platform's own containers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SystemRow {
    /// Its name.
    pub name: String,
    /// What the engine says.
    pub actual: String,
}

impl Status {
    /// The status that follows from what should exist and what does.
    pub fn of(desired: &Desired, observed: &Observed) -> Self {
        let by_id: HashMap<_, _> = observed
            .containers
            .iter()
            .filter_map(|container| match &container.tag {
                Some(Tag::Server { id, image, .. }) => Some((*id, (container, image))),
                _ => None,
            })
            .collect();
        let servers = desired
            .servers
            .iter()
            .map(|server| {
                let limits = desired.limits(server);
                let found = by_id.get(&server.id);
                ServerRow {
                    id: server.id.get(),
                    name: server.name.to_string(),
                    owner: server.owner.to_string(),
                    wanted: match server.state {
                        PowerState::Running => "running".to_owned(),
                        PowerState::Stopped => "stopped".to_owned(),
                    },
                    actual: found.map_or("missing", |(container, _)| state_word(container.state)).to_owned(),
                    nano_cpus: limits.nano_cpus,
                    memory: limits.memory,
                    image: found
                        .map_or_else(|| desired.server_spec(server).image, |(_, image)| (*image).clone()),
                }
            })
            .collect();
        let retention = desired.platform.retention.servers.duration();
        let mut tombstones: Vec<TombstoneRow> = observed
            .volumes
            .iter()
            .filter_map(|volume| match &volume.tag {
                Some(Tag::Tombstone(stone)) => Some(TombstoneRow {
                    id: stone.id.get(),
                    name: stone.name.clone(),
                    owner: stone.owner.clone(),
                    purge_after: stone.removed_at.saturating_add(retention).unwrap_or(Timestamp::MAX),
                }),
                _ => None,
            })
            .collect();
        tombstones.sort_by_key(|row| row.id);
        let system = desired
            .system
            .iter()
            .map(|spec| {
                let found = observed.containers.iter().find(|c| c.name == spec.name && c.tag.is_some());
                let actual = found.map_or("missing", |container| state_word(container.state)).to_owned();
                SystemRow { name: spec.name.clone(), actual }
            })
            .collect();
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: None,
            engine: String::new(),
            engine_answers: true,
            platform: desired.prefix().to_string(),
            last_applied: None,
            last_pass: None,
            servers,
            tombstones,
            system,
            cache: None,
            remote: None,
        }
    }
}

/// What a container is doing, in a word.
pub fn state_word(state: RunState) -> &'static str {
    match state {
        RunState::Running => "running",
        RunState::Restarting => "restarting",
        RunState::Paused => "paused",
        // Never started is stopped, to whoever asks how things are.
        RunState::Created | RunState::Exited => "stopped",
        RunState::Removing => "being removed",
        RunState::Dead => "dead",
    }
}
