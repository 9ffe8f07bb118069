//! Status: how things are, as the reconciler last saw them. Plain data that goes over the control socket.

use std::collections::HashMap;
use std::net::IpAddr;

use berth_host::Way;
use berth_plan::label::Tag;
use berth_plan::observed::{ObservedContainer, ObservedVolume, RunState};
use berth_plan::{Desired, Observed};
use berth_schema::Origin;
use berth_schema::country::Country;
use berth_schema::platform::{Isolation, Retention};
use berth_schema::server::{PowerState, Server};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::acme::AcmeStanding;
use crate::certificate::CertificateStanding;
use crate::countries::CountriesStanding;
use crate::mail::MailStanding;
use crate::oidc::ProviderRow;
use crate::pass_record::PassRecord;
use crate::power::PowerRecord;
use crate::standing::Standing;
use crate::told;
use crate::usage::CacheFigures;

/// Everything that the reconciler last saw.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The version of the reconciler.
    pub version: String,
    /// Its process; `None` when no daemon runs and this was looked up for the occasion.
    pub pid: Option<u32>,
    /// The engine's version.
    pub engine: String,
    /// True if the engine answered last. Otherwise the rest is how things were.
    pub engine_answers: bool,
    /// The platform's prefix.
    pub platform: String,
    /// The last revision of which every change succeeded.
    pub last_applied: Option<Origin>,
    /// The last pass.
    pub last_pass: Option<PassRecord>,
    /// The way in which servers that start from now on are told apart; `None` where that isn't up to Berth's own runtime.
    #[serde(default, with = "told::way", skip_serializing_if = "Option::is_none")]
    pub way: Option<Way>,
    /// The servers, by id.
    pub servers: Vec<ServerRow>,
    /// Removed servers whose data is kept.
    pub tombstones: Vec<TombstoneRow>,
    /// The platform's own containers.
    pub system: Vec<SystemRow>,
    /// The image cache's figures, as the daemon last read them.
    #[serde(default)]
    pub cache: Option<CacheFigures>,
    /// Last orders to servers without a commit, the oldest first.
    #[serde(default)]
    pub power: Vec<PowerRecord>,
    /// The forge that hosts the state repo, where one does. The reconciler doesn't know it: whoever asks looks it up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote: Option<RemoteRow>,
    /// The panel, where there is one. The reconciler doesn't know it: whoever asks looks it up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub panel: Option<PanelRow>,
    /// The account at the CA that Berth keeps, and the wildcard certificate. The reconciler doesn't know them: whoever asks looks them up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acme: Option<AcmeStanding>,
    /// Mails, where the platform sends any. The reconciler doesn't know them: whoever asks looks them up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mail: Option<MailStanding>,
    /// The OpenID provider, where people sign in by one. The reconciler doesn't know it: whoever asks looks it up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oidc: Option<ProviderRow>,
}

/// The panel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PanelRow {
    /// The origin of its own port, where this certificate is.
    pub origin: String,
    /// Its certificate, as it told last.
    pub certificate: Option<CertificateStanding>,
    /// True where it is to have one from the CA and can't prove its name.
    pub is_unprovable: bool,
    /// Its address of its own, if this machine lacks it: then it can't listen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lacks: Option<IpAddr>,
    /// Countries that may open it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub countries: Vec<Country>,
    /// Their file, as the panel told last; `None` where it hasn't told of these countries yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country_file: Option<CountriesStanding>,
}

/// The forge that hosts the state repo.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoteRow {
    /// True while a `berth remote` runs.
    pub runs: bool,
    /// Everything it has found.
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
    /// The state repo's word.
    pub wanted: PowerState,
    /// The engine's word; `None` where there is no container.
    #[serde(with = "told::state")]
    pub actual: Option<RunState>,
    /// Billionths of a processor.
    pub nano_cpus: u64,
    /// Bytes.
    pub memory: u64,
    /// The image that it was made of.
    pub image: String,
    /// The way in which the kernel tells it from others; `None` while it doesn't run, or where nobody has written it down.
    #[serde(default, with = "told::way", skip_serializing_if = "Option::is_none")]
    pub way: Option<Way>,
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
    /// The revision that removed it; empty in what an older Berth says.
    #[serde(default)]
    pub revision: String,
}

/// One of the platform's own containers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SystemRow {
    /// Its name.
    pub name: String,
    /// The engine's word; `None` where there is no such container.
    #[serde(with = "told::state")]
    pub actual: Option<RunState>,
}

impl Status {
    /// Returns the way in which servers that start from now on are told apart, by the engine's own; `None` where that isn't up to Berth's
    /// own runtime.
    pub fn way(desired: &Desired, engine: Way) -> Option<Way> {
        (desired.platform.isolation == Isolation::Userns).then_some(engine)
    }

    /// Status that follows from what should exist and what does.
    ///
    /// The ways of servers are asked of the host by their containers' ids, and the way of the next ones is the engine's, where servers run
    /// by Berth's own runtime.
    pub fn of(
        desired: &Desired,
        observed: &Observed,
        way: Way,
        way_of: impl Fn(&str) -> Option<Way>,
    ) -> Self {
        let by_id: HashMap<_, _> = observed
            .containers
            .iter()
            .filter_map(|container| match &container.tag {
                Some(Tag::Server { id, image, .. }) => Some((*id, (container, image.as_str()))),
                _ => None,
            })
            .collect();
        let servers = desired.servers.iter();
        let row = |server: &Server| {
            let found = by_id.get(&server.id).copied();
            let way = found.and_then(|(container, _)| way_of(&container.id));
            ServerRow { way, ..ServerRow::of(desired, server, found) }
        };
        let servers = servers.map(|server| row(server));
        let retention = &desired.platform.retention;
        let mut tombstones: Vec<TombstoneRow> =
            observed.volumes.iter().filter_map(|volume| TombstoneRow::of(volume, retention)).collect();
        tombstones.sort_by_key(|row| row.id);
        let system = desired.system.iter().map(|spec| {
            let found = observed.containers.iter().find(|c| c.name == spec.name && c.tag.is_some());
            SystemRow { name: spec.name.clone(), actual: found.map(|container| container.state.as_seen()) }
        });
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: None,
            engine: String::new(),
            engine_answers: true,
            platform: desired.prefix().to_string(),
            last_applied: None,
            last_pass: None,
            way: Self::way(desired, way),
            servers: servers.collect(),
            tombstones,
            system: system.collect(),
            cache: None,
            power: Vec::new(),
            remote: None,
            panel: None,
            acme: None,
            mail: None,
            oidc: None,
        }
    }
}

impl ServerRow {
    fn of(desired: &Desired, server: &Server, found: Option<(&ObservedContainer, &str)>) -> Self {
        let limits = desired.limits(server);
        Self {
            id: server.id.get(),
            name: server.name.to_string(),
            owner: server.owner.to_string(),
            wanted: server.state,
            actual: found.map(|(container, _)| container.state.as_seen()),
            nano_cpus: limits.nano_cpus,
            memory: limits.memory,
            image: found.map_or_else(|| desired.server_spec(server).image, |(_, image)| image.to_owned()),
            way: None,
        }
    }

    /// State of the container that the state repo asks for.
    pub fn wanted_state(&self) -> RunState {
        match self.wanted {
            PowerState::Running => RunState::Running,
            PowerState::Stopped => RunState::Exited,
        }
    }

    /// Checks that the server runs, and not in the way in which it would if it were started now.
    pub fn awaits_restart(&self, way: Option<Way>) -> bool {
        self.actual == Some(RunState::Running) && way.is_some_and(|way| self.way != Some(way))
    }

    /// Checks that the server is in that state.
    pub fn is_as_wanted(&self) -> bool {
        self.actual == Some(self.wanted_state())
    }
}

impl TombstoneRow {
    fn of(volume: &ObservedVolume, retention: &Retention) -> Option<Self> {
        let Some(Tag::Tombstone(stone)) = &volume.tag else { return None };
        let end = stone.removed_at.saturating_add(retention.servers.duration()).unwrap_or(Timestamp::MAX);
        Some(Self {
            id: stone.id.get(),
            name: stone.name.clone(),
            owner: stone.owner.clone(),
            purge_after: if retention.has_ended(stone.id, &stone.revision) { stone.removed_at } else { end },
            revision: stone.revision.clone(),
        })
    }
}

impl SystemRow {
    /// Checks that the container runs.
    pub fn is_running(&self) -> bool {
        self.actual == Some(RunState::Running)
    }
}

/// The state of a container in a word, as people read it.
pub fn word(state: Option<RunState>) -> &'static str {
    state.map_or("missing", RunState::word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_told_in_the_words_that_it_always_was() {
        for (actual, told) in [
            (None, "missing"),
            (Some(RunState::Running), "running"),
            (Some(RunState::Created.as_seen()), "stopped"),
            (Some(RunState::Exited), "stopped"),
            (Some(RunState::Removing), "being removed"),
        ] {
            let row = SystemRow { name: "a".to_owned(), actual };
            let json = serde_json::to_value(&row).unwrap();
            assert_eq!(json["actual"], told);
            assert_eq!(serde_json::from_value::<SystemRow>(json).unwrap(), row);
        }
        assert!(serde_json::from_str::<SystemRow>(r#"{"name":"a","actual":"asleep"}"#).is_err());
    }
}
