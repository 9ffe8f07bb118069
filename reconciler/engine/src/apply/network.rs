//! Steps on networks.

use std::collections::HashMap;

use berth_plan::spec::NetworkSpec;
use bollard::models::{Ipam, IpamConfig, NetworkCreateRequest};

use super::writer::Writer;
use crate::api::{WRITE_DEADLINE, bounded};
use crate::error::EngineError;

impl Writer {
    pub(super) async fn create_network(&self, spec: &NetworkSpec) -> Result<(), EngineError> {
        let ipam = IpamConfig { subnet: Some(spec.subnet.to_string()), ..IpamConfig::default() };
        let request = NetworkCreateRequest {
            name: spec.name.clone(),
            driver: Some("bridge".to_owned()),
            internal: Some(spec.internal),
            ipam: Some(Ipam { config: Some(vec![ipam]), ..Ipam::default() }),
            options: spec
                .bridge
                .as_ref()
                .map(|name| HashMap::from([("com.docker.network.bridge.name".to_owned(), name.clone())])),
            labels: Some(spec.labels.clone().into_iter().collect::<HashMap<_, _>>()),
            ..NetworkCreateRequest::default()
        };
        let act = format!("create network {}", spec.name);
        bounded(&act, WRITE_DEADLINE, self.docker.create_network(request)).await?;
        Ok(())
    }

    pub(super) async fn remove_network(&self, name: &str, id: &str) -> Result<(), EngineError> {
        let _turn = self.turn().await;
        let act = format!("remove network {name}");
        match bounded(&act, WRITE_DEADLINE, self.docker.remove_network(id)).await {
            Err(error) if error.is_missing() => Ok(()),
            other => other,
        }
    }
}
