//! Desired: what a state says should exist on the engine.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use berth_schema::State;
use berth_schema::domain::Domain;
use berth_schema::name::{Fqdn, ImageRef, Prefix, ServerId, UserName};
use berth_schema::platform::{Platform, RemovalBudget};
use berth_schema::server::{Limits, Server};
use berth_schema::user::User;

use crate::configuration::{Configuration, configurations};
use crate::identity::{Identities, IdentitySpec, Whose};
use crate::label::{self, Tag};
use crate::render::{Kind, Templates};
use crate::spec::{Confinement, ContainerSpec, LinkSpec, Mount, NetworkSpec, VolumeSpec, fingerprint};
use crate::{plane, recipe, system};

/// What should exist, ready to be compared. Building it costs little: a server's full specification is only written
/// out when the server has to be made.
#[derive(Debug, Clone)]
pub struct Desired {
    /// The settings that it comes from.
    pub platform: Arc<Platform>,
    /// The networks.
    pub networks: Vec<NetworkSpec>,
    /// The platform's own containers.
    pub system: Vec<ContainerSpec>,
    /// Their links to the user plane, by the container's name.
    pub links: Vec<(String, LinkSpec)>,
    /// The domains, which the web server is told of in one piece: what changed is said name by name.
    pub domains: BTreeMap<Fqdn, Arc<Domain>>,
    /// Their configurations, in the order in which they are put in force.
    pub configurations: Vec<Configuration>,
    /// The public halves of the platform's SSH keys.
    pub identities: Arc<Identities>,
    /// What tells that a server's keys are in place, by id: a digest.
    placed: Arc<HashMap<ServerId, String>>,
    /// Who may log in.
    users: BTreeMap<UserName, Arc<User>>,
    /// The servers, by id.
    pub servers: Vec<Arc<Server>>,
    /// How every server is confined.
    pub confinement: Confinement,
    /// The fingerprint of `confinement`, which every server's container carries as a label.
    pub confinement_spec: String,
}

/// The data volumes of a server: the end of the volume's name, and where it appears in the server.
pub const DATA_VOLUMES: [(&str, &str); 3] =
    [("apps", "/apps"), ("home", "/home"), ("docker", "/var/lib/docker")];

/// The end of the name of the volume with a server's SSH keys, and where it appears in the server.
pub const SSH_VOLUME: (&str, &str) = ("ssh", "/etc/ssh/berth");

impl Desired {
    /// What `state` says should exist, with the built-in templates and nobody's keys.
    pub fn from_state(state: &State) -> Self {
        Self::with_templates(state, &Templates::default())
    }

    /// What `state` says should exist, with nobody's keys: to be compared with what another state says.
    pub fn with_templates(state: &State, templates: &Templates) -> Self {
        Self::new(state, templates, &Arc::new(Identities::example(state.servers.keys().copied())))
    }

    /// What `state` says should exist on a platform with these keys, which know every server of it.
    pub fn new(state: &State, templates: &Templates, identities: &Arc<Identities>) -> Self {
        Self::after(None, state, templates, identities)
    }

    /// The same, made of what should exist `before` where that still holds: digests of ten thousand servers' keys, and
    /// megabytes of routes, aren't worked out anew for a change that isn't about them.
    pub fn after(
        before: Option<&Self>,
        state: &State,
        templates: &Templates,
        identities: &Arc<Identities>,
    ) -> Self {
        let platform = Arc::clone(&state.platform);
        let confinement = recipe::confinement(&platform);
        let confinement_spec = fingerprint(&confinement);
        let before = before.filter(|before| {
            Arc::ptr_eq(&before.identities, identities)
                && (Arc::ptr_eq(&before.platform, &platform) || before.platform == platform)
        });
        let routes = before.filter(|before| before.leads_like(state)).and_then(|before| {
            before.configurations.iter().find(|configuration| configuration.kind == Kind::Routes)
        });
        let placed = |before: Option<&Self>| match before.filter(|before| before.has_servers_of(state)) {
            Some(before) => Arc::clone(&before.placed),
            None => Arc::new(placed(state, identities)),
        };
        Self {
            networks: networks(&platform),
            system: system::containers(&platform),
            links: system::links(&platform),
            domains: state.domains.clone(),
            configurations: configurations(state, templates, identities, routes),
            placed: placed(before),
            users: state.users.clone(),
            identities: Arc::clone(identities),
            servers: state.servers.values().map(Arc::clone).collect(),
            confinement,
            confinement_spec,
            platform,
        }
    }

    fn has_servers_of(&self, state: &State) -> bool {
        self.servers.iter().map(|server| server.id).eq(state.servers.keys().copied())
    }

    /// Whether logins lead where they do in `state`, on the same platform with the same keys.
    fn leads_like(&self, state: &State) -> bool {
        let same_user = |a: &Arc<User>, b: &Arc<User>| {
            Arc::ptr_eq(a, b)
                || (a.role, &a.password_hash, &a.ssh_keys) == (b.role, &b.password_hash, &b.ssh_keys)
        };
        let same_server = |a: &Arc<Server>, b: &Arc<Server>| {
            Arc::ptr_eq(a, b)
                || (a.id, &a.name, &a.owner, &a.members) == (b.id, &b.name, &b.owner, &b.members)
        };
        self.users.len() == state.users.len()
            && self
                .users
                .iter()
                .zip(&state.users)
                .all(|((a, one), (b, other))| a == b && same_user(one, other))
            && self.servers.len() == state.servers.len()
            && self.servers.iter().zip(state.servers.values()).all(|(a, b)| same_server(a, b))
    }

    /// The platform's prefix, which is also the value of its label.
    pub fn prefix(&self) -> &Prefix {
        &self.platform.prefix
    }

    /// How much one revision may remove.
    pub fn removal_budget(&self) -> RemovalBudget {
        self.platform.removal_budget
    }

    /// The limits that hold for a server.
    pub fn limits(&self, server: &Server) -> Limits {
        server.limits(&self.platform.defaults)
    }

    /// The image that a server is made of when it is made.
    pub fn image<'a>(&'a self, server: &'a Server) -> &'a ImageRef {
        server.image.as_ref().unwrap_or(&self.platform.images.server)
    }

    /// The container of a server.
    pub fn server_spec(&self, server: &Server) -> ContainerSpec {
        let image = self.image(server).to_string();
        let tag = Tag::Server {
            id: server.id,
            name: server.name.to_string(),
            owner: server.owner.to_string(),
            image: image.clone(),
            spec: self.confinement_spec.clone(),
        };
        ContainerSpec {
            name: server_container(self.prefix(), server.id),
            image,
            labels: tag.write(self.prefix()),
            hostname: server.name.to_string(),
            env: self.server_environment(server),
            mounts: DATA_VOLUMES
                .iter()
                .map(|data| (data, false))
                .chain([(&SSH_VOLUME, true)])
                .map(|((end, target), read_only)| Mount {
                    volume: data_volume(self.prefix(), server.id, end),
                    target: (*target).to_owned(),
                    read_only,
                })
                .collect(),
            limits: Some(self.limits(server)),
            confinement: self.confinement.clone(),
            ..ContainerSpec::default()
        }
    }

    fn server_environment(&self, server: &Server) -> Vec<String> {
        let mut environment = vec![
            "container=docker".to_owned(),
            format!("BERTH_SERVER_ID={}", server.id),
            format!("BERTH_SERVER_NAME={}", server.name),
        ];
        if let Some(link) = self.server_link(server) {
            environment.extend(plane::server_environment(&self.platform, &link));
        }
        environment
    }

    /// The link of a server to the user plane.
    pub fn server_link(&self, server: &Server) -> Option<LinkSpec> {
        plane::server_link(&self.platform, server.id)
    }

    /// A volume of the platform itself.
    pub fn system_volume(&self, name: &str) -> VolumeSpec {
        system::volume(&self.platform, name)
    }

    /// The volume of a server's SSH keys.
    pub fn ssh_volume(&self, server: &Server) -> VolumeSpec {
        let tag = Tag::Ssh { id: server.id, name: server.name.to_string(), owner: server.owner.to_string() };
        VolumeSpec {
            name: data_volume(self.prefix(), server.id, SSH_VOLUME.0),
            labels: tag.write(self.prefix()),
        }
    }

    /// What tells that a server's SSH keys are in place: a digest.
    pub fn placed(&self, id: ServerId) -> Option<&str> {
        self.placed.get(&id).map(String::as_str)
    }

    /// A server's SSH keys.
    pub fn server_identity(&self, id: ServerId) -> Option<IdentitySpec> {
        identity(&self.platform, &self.identities, id)
    }

    /// The router's SSH keys, for the container that should have them.
    pub fn router_identity(&self, container: &str) -> Option<IdentitySpec> {
        let router = system::container(&self.platform, system::ROUTER);
        (container == router).then(|| IdentitySpec {
            volume: router,
            whose: Whose::Router,
            host_key: self.identities.router.clone(),
            client_key: self.identities.client.clone(),
            from: self.platform.networks.router(),
        })
    }

    /// The data volumes of a server.
    pub fn data_volumes(&self, server: &Server) -> Vec<VolumeSpec> {
        let tag = Tag::Data { id: server.id, name: server.name.to_string(), owner: server.owner.to_string() };
        DATA_VOLUMES
            .iter()
            .map(|(end, _)| VolumeSpec {
                name: data_volume(self.prefix(), server.id, end),
                labels: tag.write(self.prefix()),
            })
            .collect()
    }
}

/// What tells of each server that its keys are in place.
fn placed(state: &State, identities: &Identities) -> HashMap<ServerId, String> {
    let of = |id: &ServerId| Some((*id, identity(&state.platform, identities, *id)?.digest()));
    state.servers.keys().filter_map(of).collect()
}

/// The keys of a server; `None` where they aren't known.
fn identity(platform: &Platform, identities: &Identities, id: ServerId) -> Option<IdentitySpec> {
    Some(IdentitySpec {
        volume: data_volume(&platform.prefix, id, SSH_VOLUME.0),
        whose: Whose::Server(id),
        host_key: identities.servers.get(&id)?.clone(),
        client_key: identities.client.clone(),
        from: platform.networks.router(),
    })
}

/// The name of a server's container (seed, section 3.5).
pub fn server_container(prefix: &Prefix, id: ServerId) -> String {
    format!("{prefix}-users-dind-{id}")
}

/// The name of a server's volume.
pub fn data_volume(prefix: &Prefix, id: ServerId, end: &str) -> String {
    format!("{prefix}-users-dind-{id}-{end}")
}

/// Whether this is the name of that volume. Every server is asked in every pass, so no name is written out for it.
pub(crate) fn is_data_volume(name: &str, prefix: &Prefix, id: ServerId, end: &str) -> bool {
    let number = || {
        name.strip_prefix(prefix.as_str())?.strip_prefix("-users-dind-")?.strip_suffix(end)?.strip_suffix('-')
    };
    // A number has one spelling, or `+7` and `07` would be 7 too.
    number().is_some_and(|number| number.parse() == Ok(id.0) && !number.starts_with(['+', '0']))
}

/// The name of the empty volume that marks a removed server.
pub fn tombstone_volume(prefix: &Prefix, id: ServerId) -> String {
    format!("{prefix}-users-dind-{id}-tombstone")
}

/// The uplink's bridge on the host. A prefix is short enough for it (`IFNAMSIZ`).
pub fn uplink_bridge(prefix: &Prefix) -> String {
    format!("br-{prefix}")
}

fn networks(platform: &Platform) -> Vec<NetworkSpec> {
    let networks = &platform.networks;
    // The uplink's bridge has a name that the host's rules can be written for.
    let uplink = Some(uplink_bridge(&platform.prefix));
    [
        ("external", networks.external, false, uplink),
        ("isolated-control-panel", networks.control_panel, true, None),
        ("isolated-control-docker", networks.control_docker, true, None),
    ]
    .into_iter()
    .map(|(end, subnet, internal, bridge)| {
        let name = format!("{}-{end}", platform.prefix);
        let spec = fingerprint(&(&name, subnet, internal, &bridge));
        let mut labels = Tag::System { spec }.write(&platform.prefix);
        labels.insert(label::KIND.to_owned(), label::KIND_NETWORK.to_owned());
        NetworkSpec { name, subnet, internal, bridge, labels }
    })
    .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]
mod tests {
    use super::*;

    #[test]
    fn a_data_volume_is_known_by_its_name_and_nothing_like_it_is() {
        let prefix: Prefix = "hosting".parse().unwrap();
        let id = |number: u32| ServerId(number.try_into().unwrap());
        for number in [1, 7, 10, u32::MAX] {
            let name = data_volume(&prefix, id(number), "ssh");
            assert!(is_data_volume(&name, &prefix, id(number), "ssh"), "{name}");
            assert!(!is_data_volume(&name, &prefix, id(number), "home"), "{name}");
            assert!(!is_data_volume(&name, &prefix, id(77), "ssh"), "{name}");
            assert!(!is_data_volume(&name, &"host".parse().unwrap(), id(number), "ssh"), "{name}");
        }
        for name in ["07-ssh", "+7-ssh", "7ssh", "7--ssh", "7-ssh ", "-ssh", "7", ""] {
            assert!(!is_data_volume(&format!("hosting-users-dind-{name}"), &prefix, id(7), "ssh"), "{name}");
        }
    }
}
