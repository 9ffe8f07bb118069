//! Drills: the container in which a restored copy of a server is started.
//!
//! It is made as the server's is, of the same image, and has no network but its own loopback, no keys and no more than a small share of
//! the machine.

use berth_schema::name::ServerId;
use berth_schema::server::{Limits, Server};

use crate::desired::Desired;
use crate::label::Tag;
use crate::names::{DATA_VOLUMES, assigned, drill_container, variable};
use crate::spec::{ContainerSpec, Mount, VolumeSpec};

/// Most processor time of a drill, in billionths of a processor.
const MOST_CPU: u64 = 1_000_000_000;

impl Desired {
    /// The container of a drill of this server. By `id` the runtime gives it an account or a range of ids, as it does to a server.
    pub fn drill_spec(&self, server: &Server, id: ServerId) -> ContainerSpec {
        let limits = self.limits(server);
        ContainerSpec {
            name: drill_container(self.prefix()),
            image: self.image(server).to_string(),
            labels: Tag::Drill.write(self.prefix()),
            hostname: server.name.to_string(),
            // No link among them: so there is none.
            env: vec![
                "container=docker".to_owned(),
                assigned(variable::SERVER_ID, id),
                assigned(variable::SERVER_NAME, &server.name),
            ],
            mounts: DATA_VOLUMES
                .iter()
                .map(|(end, target)| Mount {
                    volume: self.drill_volume(end),
                    target: (*target).to_owned(),
                    read_only: false,
                })
                .collect(),
            limits: Some(Limits { nano_cpus: limits.nano_cpus.min(MOST_CPU), ..limits }),
            confinement: self.confinement.clone(),
            ..ContainerSpec::default()
        }
    }

    /// The volumes of a drill.
    pub fn drill_volumes(&self) -> Vec<VolumeSpec> {
        let volume = |(end, _): &(&str, &str)| VolumeSpec {
            name: self.drill_volume(end),
            labels: Tag::Drill.write(self.prefix()),
        };
        DATA_VOLUMES.iter().map(volume).collect()
    }

    fn drill_volume(&self, end: &str) -> String {
        format!("{}-{end}", drill_container(self.prefix()))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]
mod tests {
    use berth_schema::{Parsed, State};

    use super::*;

    #[test]
    fn a_drill_is_the_server_without_its_network_its_keys_and_its_data() {
        let files = [
            ("platform.toml", "domain = \"example.org\"\n"),
            ("users/ann.toml", "role = \"user\"\n"),
            ("servers/shop.toml", "id = 1\nowner = \"ann\"\ncpus = 4\nimage = \"own:1\"\n"),
        ];
        let state = State::assemble(&files.map(|(path, text)| Parsed::parse(path, text))).unwrap();
        let desired = Desired::from_state(&state);
        let (mut server, drill) = (
            desired.server_spec(&desired.servers[0]),
            desired.drill_spec(&desired.servers[0], ServerId(std::num::NonZeroU32::new(4000).unwrap())),
        );
        let volumes: Vec<String> = desired.drill_volumes().into_iter().map(|volume| volume.name).collect();
        assert_eq!(
            drill.mounts.iter().map(|mount| &mount.volume).collect::<Vec<_>>(),
            volumes.iter().collect::<Vec<_>>()
        );
        assert!(server.mounts.iter().all(|mount| !volumes.contains(&mount.volume)));
        assert!(
            !drill
                .env
                .iter()
                .any(|line| line.starts_with("BERTH_PLANE") || line.starts_with("BERTH_ADDRESS=")),
            "{:?}",
            drill.env
        );
        assert!(
            drill.env.contains(&"BERTH_SERVER_ID=4000".to_owned()),
            "its own number is the server's alone"
        );
        assert_eq!(drill.limits.unwrap().nano_cpus, MOST_CPU);
        assert!(drill.networks.is_empty() && drill.joins.is_none() && drill.publishes.is_empty());
        (server.name, server.labels, server.env) =
            (drill.name.clone(), drill.labels.clone(), drill.env.clone());
        (server.mounts, server.limits) = (drill.mounts.clone(), drill.limits);
        assert_eq!(drill, server, "else they are alike");
    }
}
