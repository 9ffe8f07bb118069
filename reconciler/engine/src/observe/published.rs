//! Ports of the host that containers publish.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use bollard::query_parameters::ListContainersOptionsBuilder;

use super::reader::Reader;
use crate::api::{READ_DEADLINE, bounded};
use crate::error::EngineError;

impl Reader {
    /// Lists the host's TCP ports that running containers publish, by address, each with the container's name. Foreign containers are among
    /// them.
    pub async fn published(&self) -> Result<Vec<(SocketAddr, String)>, EngineError> {
        let options = ListContainersOptionsBuilder::default().build();
        let call = self.docker.list_containers(Some(options));
        let list = bounded("list the published ports", READ_DEADLINE, call).await?;
        let mut published = Vec::new();
        for container in list {
            let names = container.names.unwrap_or_default();
            let name = names.first().map(|name| name.trim_start_matches('/').to_owned()).unwrap_or_default();
            for port in container.ports.into_iter().flatten() {
                let is_tcp = port.typ.is_none_or(|kind| kind.to_string() == "tcp");
                let Some(number) = port.public_port.filter(|_| is_tcp) else { continue };
                let address = port.ip.and_then(|address| address.parse().ok());
                let address = address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
                published.push((SocketAddr::new(address, number), name.clone()));
            }
        }
        Ok(published)
    }
}
