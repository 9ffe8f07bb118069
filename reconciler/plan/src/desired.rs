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
use crate::digest::fingerprint;
use crate::identity::{Identities, IdentitySpec, Whose};
use crate::label::{self, Tag};
use crate::names::{
    DATA_VOLUMES, EXTERNAL, RESTORED_VOLUME, SSH_VOLUME, Service, assigned, network, server_container,
    server_volume, uplink_bridge, variable,
};
use crate::program::Programs;
use crate::render::{Kind, Templates};
use crate::spec::{Confinement, ContainerSpec, LinkSpec, Mount, NetworkSpec, VolumeSpec};
use crate::{plane, recipe, system};

/// Everything that should exist, ready to be compared. Building it costs little: a server's full specification is only
/// written out when the server has to be made.
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
    /// The domains. The web server gets them in one piece; a plan names those that change.
    pub domains: BTreeMap<Fqdn, Arc<Domain>>,
    /// Their configurations, in the order in which they are put in force.
    pub configurations: Vec<Configuration>,
    /// The programs of this host that belong in the platform's own containers.
    pub programs: Programs,
    /// The public halves of the platform's SSH keys.
    pub identities: Arc<Identities>,
    /// Digest of each server's SSH keys, by server id. Equal digests mean that the keys are in place.
    placed: Arc<HashMap<ServerId, String>>,
    /// People who may log in.
    users: BTreeMap<UserName, Arc<User>>,
    /// The servers, by id.
    pub servers: Vec<Arc<Server>>,
    /// Confinement of every server.
    pub confinement: Confinement,
    /// The fingerprint of `confinement`, which every server's container carries as a label.
    pub confinement_spec: String,
}

impl Desired {
    /// Derives what should exist from `state`, with the built-in templates and nobody's keys.
    pub fn from_state(state: &State) -> Self {
        Self::with_templates(state, &Templates::default())
    }

    /// Derives what should exist from `state`, with nobody's keys: for a comparison with another state.
    pub fn with_templates(state: &State, templates: &Templates) -> Self {
        Self::new(state, templates, &Arc::new(Identities::example(state.servers.keys().copied())))
    }

    /// Derives what should exist from `state`, on a platform with these keys, which include every server's.
    pub fn new(state: &State, templates: &Templates, identities: &Arc<Identities>) -> Self {
        Self::after(None, state, templates, identities)
    }

    /// Derives the same as [`Desired::new`], and reuses the parts of `before` that still hold: a change that isn't about
    /// them needn't work out digests of ten thousand servers' keys and megabytes of routes again.
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
            programs: Programs::default(),
            users: state.users.clone(),
            identities: Arc::clone(identities),
            servers: state.servers.values().map(Arc::clone).collect(),
            confinement,
            confinement_spec,
            platform,
        }
    }

    /// The same, on a host that has these programs.
    #[must_use]
    pub fn with_programs(self, programs: Programs) -> Self {
        Self { programs, ..self }
    }

    fn has_servers_of(&self, state: &State) -> bool {
        let named = |server: &Arc<Server>| (server.id, server.name.clone());
        self.servers.iter().map(named).eq(state.servers.values().map(named))
    }

    /// Returns whether logins lead where they do in `state`, given the same platform and the same keys.
    fn leads_like(&self, state: &State) -> bool {
        let same_user = |a: &Arc<User>, b: &Arc<User>| {
            Arc::ptr_eq(a, b)
                || (a.role, &a.password_hash, a.second_factor, &a.ssh_keys)
                    == (b.role, &b.password_hash, b.second_factor, &b.ssh_keys)
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

    /// Limit on what one revision may remove.
    pub fn removal_budget(&self) -> RemovalBudget {
        self.platform.removal_budget
    }

    /// The limits that hold for a server.
    pub fn limits(&self, server: &Server) -> Limits {
        server.limits(&self.platform.defaults)
    }

    /// The image that a new container of a server is made of.
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
            reset: server.reset,
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
                // Read-only, so that it counts against nobody's disk: whoever wrote there could fill the host's.
                .chain([(&SSH_VOLUME, true), (&RESTORED_VOLUME, true)])
                .map(|((end, target), read_only)| Mount {
                    volume: server_volume(self.prefix(), server.id, end),
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
            assigned(variable::SERVER_ID, server.id),
            assigned(variable::SERVER_NAME, &server.name),
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
            name: server_volume(self.prefix(), server.id, SSH_VOLUME.0),
            labels: tag.write(self.prefix()),
        }
    }

    /// The volume of data that is restored beside a server's own.
    pub fn restored_volume(&self, server: &Server) -> VolumeSpec {
        let (name, owner) = (server.name.to_string(), server.owner.to_string());
        VolumeSpec {
            name: server_volume(self.prefix(), server.id, RESTORED_VOLUME.0),
            labels: Tag::Restored { id: server.id, name, owner }.write(self.prefix()),
        }
    }

    /// Digest of a server's SSH keys, which shows whether they are in place.
    pub fn placed(&self, id: ServerId) -> Option<&str> {
        self.placed.get(&id).map(String::as_str)
    }

    /// A server's SSH keys.
    pub fn server_identity(&self, server: &Server) -> Option<IdentitySpec> {
        identity(&self.platform, &self.identities, server)
    }

    /// The router's SSH keys, for the container that should have them.
    pub fn router_identity(&self, container: &str) -> Option<IdentitySpec> {
        let router = Service::Router.container(self.prefix());
        (container == router).then(|| IdentitySpec {
            volume: router,
            whose: Whose::Router,
            host_key: self.identities.router.clone(),
            client_key: self.identities.client.clone(),
            from: self.platform.networks.router(),
            name: None,
        })
    }

    /// The data volumes of a server.
    pub fn data_volumes(&self, server: &Server) -> Vec<VolumeSpec> {
        let tag = Tag::Data { id: server.id, name: server.name.to_string(), owner: server.owner.to_string() };
        DATA_VOLUMES
            .iter()
            .map(|(end, _)| VolumeSpec {
                name: server_volume(self.prefix(), server.id, end),
                labels: tag.write(self.prefix()),
            })
            .collect()
    }
}

/// Digests of the servers' SSH keys, by server id; a server whose keys aren't known has none.
fn placed(state: &State, identities: &Identities) -> HashMap<ServerId, String> {
    let of =
        |server: &Arc<Server>| Some((server.id, identity(&state.platform, identities, server)?.digest()));
    state.servers.values().filter_map(of).collect()
}

/// The keys of a server; `None` where they aren't known.
fn identity(platform: &Platform, identities: &Identities, server: &Server) -> Option<IdentitySpec> {
    Some(IdentitySpec {
        volume: server_volume(&platform.prefix, server.id, SSH_VOLUME.0),
        whose: Whose::Server(server.id),
        host_key: identities.servers.get(&server.id)?.clone(),
        client_key: identities.client.clone(),
        from: platform.networks.router(),
        name: Some(server.name.to_string()),
    })
}

fn networks(platform: &Platform) -> Vec<NetworkSpec> {
    let networks = &platform.networks;
    // The uplink's bridge has a name that the host's rules can be written for.
    let uplink = Some(uplink_bridge(&platform.prefix));
    let (name, subnet, internal) = (network(&platform.prefix, EXTERNAL), networks.external, false);
    let spec = fingerprint(&(&name, subnet, internal, &uplink));
    let mut labels = Tag::System { spec }.write(&platform.prefix);
    labels.insert(label::KIND.to_owned(), label::KIND_NETWORK.to_owned());
    vec![NetworkSpec { name, subnet, internal, bridge: uplink, labels }]
}
