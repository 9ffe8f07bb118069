//! Networks: those of the platform's, and their subnets.

use std::collections::BTreeMap;

use berth_plan::label::Tag;
use berth_plan::names;
use berth_plan::observed::ObservedNetwork;
use berth_schema::name::Prefix;
use bollard::query_parameters::ListNetworksOptionsBuilder;
use ipnet::Ipv4Net;

use super::reader::Reader;
use crate::api::{READ_DEADLINE, bounded};
use crate::error::EngineError;

impl Reader {
    pub(super) async fn networks(&self, platform: &Prefix) -> Result<Vec<ObservedNetwork>, EngineError> {
        let options = ListNetworksOptionsBuilder::default().build();
        let list = bounded("list networks", READ_DEADLINE, self.docker.list_networks(Some(options))).await?;
        Ok(list
            .into_iter()
            .filter_map(|network| {
                let labels = network.labels.unwrap_or_default();
                Some(ObservedNetwork {
                    id: network.id?,
                    name: network.name?,
                    tag: Tag::read(&labels, platform),
                })
            })
            .collect())
    }

    /// Reads the subnets of the platform's networks, by the end of their names.
    pub(super) async fn subnets(&self, prefix: &Prefix) -> Result<BTreeMap<String, Ipv4Net>, EngineError> {
        let options = ListNetworksOptionsBuilder::default().build();
        let list = bounded("list networks", READ_DEADLINE, self.docker.list_networks(Some(options))).await?;
        Ok(list
            .into_iter()
            .filter_map(|network| {
                let end = names::end_of_network(network.name.as_deref()?, prefix.as_str())?.to_owned();
                let mut pools = network.ipam?.config?.into_iter();
                let subnet = pools.find_map(|pool| pool.subnet?.parse().ok())?;
                Some((end, subnet))
            })
            .collect())
    }
}
