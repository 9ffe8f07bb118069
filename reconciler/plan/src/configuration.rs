//! Configurations: which there should be, where each lies, and how a new one is confirmed.
//!
//! A configuration is text that one of the platform's own containers reads. It lies in a volume of that container; the
//! file without a suffix is the one that was confirmed last, and that the container begins with.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;

use berth_schema::State;
use berth_schema::domain::Tls;
use berth_schema::name::Prefix;
use berth_schema::platform::Platform;
use serde::Serialize;

use crate::identity::Identities;
use crate::plane;
use crate::render::{Kind, RenderError, Templates, render};
use crate::spec::LinkSpec;
use crate::system;

/// A configuration that should be in force.
#[derive(Debug, Clone)]
pub struct Configuration {
    /// Which.
    pub kind: Kind,
    /// Its text, ready to be put in force; or why there is none.
    pub text: Result<ConfigurationSpec, RenderError>,
}

/// A configuration to be put in force: checked by the program that reads it, loaded, tried from outside, and only then
/// kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConfigurationSpec {
    /// Which.
    pub kind: Kind,
    /// Where it is in force.
    pub place: Place,
    /// What it says. `berth render` prints it.
    #[serde(skip)]
    pub text: Arc<str>,
    /// The digest of what it says (BLAKE3).
    pub digest: String,
    /// What must hold, seen from outside, for it to be kept.
    pub probes: Vec<Expectation>,
}

/// Where a configuration is in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// In one of the platform's own containers, whose program reads it from a volume.
    Container {
        /// The container.
        container: String,
        /// The volume that it lies in.
        volume: String,
        /// Its file there, and below `/etc/berth` in the container.
        file: String,
    },
    /// On the host itself: chains of the platform's own.
    Host {
        /// The platform.
        platform: Prefix,
    },
}

/// A probe, and when its failure counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Expectation {
    /// What is tried.
    pub probe: Probe,
    /// When it must hold.
    pub holds: Holds,
}

/// When a probe must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Holds {
    /// After the change, whatever was before.
    Always,
    /// After the change if it did before: what was broken already is not this change's doing.
    AsBefore,
}

/// Something that is tried from outside, over the path that a visitor's or a server's packets take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Probe {
    /// A server asks the gateway for a name.
    Resolves {
        /// The link over which it is tried.
        link: LinkSpec,
        /// The name.
        name: String,
        /// The address that must be the answer.
        answer: Ipv4Addr,
    },
    /// A server opens a TCP connection that it may open.
    Opens {
        /// The link over which it is tried.
        link: LinkSpec,
        /// Where to.
        to: SocketAddrV4,
    },
    /// A server opens a TCP connection that must be refused, though something listens there.
    Refused {
        /// The link over which it is tried.
        link: LinkSpec,
        /// Where to.
        to: SocketAddrV4,
    },
    /// Somebody connects with SSH, and is greeted (RFC 4253, section 4.2).
    Greets {
        /// The published port on this host.
        port: u16,
    },
    /// A visitor asks for a domain.
    Answers {
        /// The published port on this host.
        port: u16,
        /// The domain.
        host: String,
        /// The HTTP status that must be the answer.
        status: u16,
    },
}

/// The name that the gateway's DNS itself answers, with the gateway's address.
pub const GATEWAY_NAME: &str = "gateway.berth.internal";

/// The digest of a configuration's text.
pub fn digest(text: &[u8]) -> String {
    blake3::hash(text).to_hex().to_string()
}

/// The configurations that should be in force. `routes` are those that the same state was known to make before.
pub(crate) fn configurations(
    state: &State,
    templates: &Templates,
    identities: &Identities,
    routes: Option<&Configuration>,
) -> Vec<Configuration> {
    let services = state.platform.services;
    let wanted = |kind: Kind| match kind {
        Kind::Firewall | Kind::Dns => services.firewall,
        Kind::Host => services.firewall && state.platform.firewall.host_rules,
        Kind::Cache => services.cache,
        Kind::Caddy | Kind::Sites => services.web,
        Kind::Routes => services.router,
    };
    Kind::ALL
        .into_iter()
        .filter(|kind| wanted(*kind))
        .map(|kind| match routes.filter(|routes| routes.kind == kind) {
            Some(routes) => routes.clone(),
            None => Configuration { kind, text: spec(kind, state, templates, identities) },
        })
        .collect()
}

fn spec(
    kind: Kind,
    state: &State,
    templates: &Templates,
    identities: &Identities,
) -> Result<ConfigurationSpec, RenderError> {
    let text: Arc<str> = render(kind, state, templates, identities)?.into();
    Ok(ConfigurationSpec {
        kind,
        place: place(kind, &state.platform),
        digest: digest(text.as_bytes()),
        text,
        probes: probes(kind, state),
    })
}

fn place(kind: Kind, platform: &Platform) -> Place {
    let (service, volume_end) = match kind {
        Kind::Firewall | Kind::Dns => ("firewall", ""),
        Kind::Cache => ("dockerhub-cache", "-config"),
        Kind::Caddy | Kind::Sites => ("caddy", "-config"),
        Kind::Routes => (system::ROUTER, ""),
        Kind::Host => return Place::Host { platform: platform.prefix.clone() },
    };
    let container = system::container(platform, service);
    Place::Container { volume: format!("{container}{volume_end}"), container, file: kind.file().to_owned() }
}

fn probes(kind: Kind, state: &State) -> Vec<Expectation> {
    let platform = &state.platform;
    let always = |probe| Expectation { probe, holds: Holds::Always };
    match kind {
        Kind::Firewall => in_plane(platform),
        Kind::Dns => vec![always(resolves(platform))],
        // Without the firewall nothing is forwarded, and nothing can be tried.
        Kind::Cache if platform.services.firewall => vec![always(cache_opens(platform))],
        Kind::Cache => Vec::new(),
        // Until the table is loaded for the first time, nothing is known.
        Kind::Caddy => visits(state, Holds::AsBefore),
        Kind::Sites => visits(state, Holds::Always),
        Kind::Host => in_plane(platform),
        // Until the first routes are loaded, nobody is greeted.
        Kind::Routes => vec![Expectation {
            probe: Probe::Greets { port: platform.ssh.port.get() },
            holds: Holds::AsBefore,
        }],
    }
}

/// What a server may do and may not do, as far as something answers.
fn in_plane(platform: &Platform) -> Vec<Expectation> {
    let as_before = |probe| Expectation { probe, holds: Holds::AsBefore };
    let mut probes = vec![as_before(resolves(platform))];
    if platform.services.cache {
        probes.push(as_before(cache_opens(platform)));
    }
    if platform.services.web {
        // The web server listens there, so that only the rules can be what refuses.
        let to = SocketAddrV4::new(platform.networks.caddy(), system::HTTP);
        let probe = Probe::Refused { link: plane::probe_link(platform), to };
        probes.push(Expectation { probe, holds: Holds::Always });
    }
    probes
}

/// What a visitor gets: one of the domains that are known, and one that nobody can have (RFC 6761, `invalid`).
fn visits(state: &State, holds: Holds) -> Vec<Expectation> {
    let port = state.platform.web.http_port.get();
    let visit = |host: String, status| Expectation { probe: Probe::Answers { port, host, status }, holds };
    // One that is led to HTTPS, so that the answer is the platform's own, and not an app's.
    let mut encrypted =
        state.domains.values().filter(|domain| domain.tls != Tls::Off && !domain.fqdn.is_wildcard());
    let known = encrypted.next().map(|domain| visit(domain.fqdn.to_string(), 308));
    known.into_iter().chain([visit("probe.invalid".to_owned(), 404)]).collect()
}

fn resolves(platform: &Platform) -> Probe {
    Probe::Resolves {
        link: plane::probe_link(platform),
        name: GATEWAY_NAME.to_owned(),
        answer: platform.networks.gateway(),
    }
}

fn cache_opens(platform: &Platform) -> Probe {
    let to = SocketAddrV4::new(platform.networks.cache(), system::CACHE_PORT);
    Probe::Opens { link: plane::probe_link(platform), to }
}
