//! A container that runs: its process, its addresses and its port.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use bollard::query_parameters::InspectContainerOptions;

use super::reader::Reader;
use crate::api::{READ_DEADLINE, bounded};
use crate::error::EngineError;

/// A container that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    /// Its first process. It is good for a moment only: process ids return.
    pub pid: u32,
    /// Its addresses in the engine's networks, by their names.
    pub legs: BTreeMap<String, Ipv4Addr>,
    /// A port of the machine that is published for it.
    pub published: Option<u16>,
}

impl Reader {
    /// Looks at the container of this name; `None` when it doesn't run, or isn't there.
    pub async fn running(&self, name: &str) -> Result<Option<Running>, EngineError> {
        let call = self.docker.inspect_container(name, None::<InspectContainerOptions>);
        let found = match bounded(&format!("inspect container {name}"), READ_DEADLINE, call).await {
            Err(error) if error.is_missing() => return Ok(None),
            found => found?,
        };
        let pid = found.state.and_then(|state| state.pid).and_then(|pid| u32::try_from(pid).ok());
        let Some(pid) = pid.filter(|pid| *pid > 0) else { return Ok(None) };
        let settings = found.network_settings.unwrap_or_default();
        let legs = settings.networks.into_iter().flatten();
        let legs = legs.filter_map(|(network, leg)| Some((network, leg.ip_address?.parse().ok()?))).collect();
        let bindings = settings.ports.into_iter().flatten().filter_map(|(_, bindings)| bindings);
        let published = bindings.flatten().find_map(|binding| binding.host_port?.parse().ok());
        Ok(Some(Running { pid, legs, published }))
    }
}
