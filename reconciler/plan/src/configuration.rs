//! Configurations: which there should be, where each lies, and how a new one is confirmed.
//!
//! A configuration is text that one of the platform's own containers reads. It lies in a volume of that container; the
//! file without a suffix is the one that was confirmed last, and that the container begins with.

use std::collections::{HashMap, HashSet};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::num::NonZeroU16;
use std::sync::Arc;

use berth_schema::State;
use berth_schema::domain::{Domain, DomainAccess, Tls};
use berth_schema::name::{Prefix, ServerName, UserName};
use berth_schema::platform::Platform;
use berth_schema::server::PowerState;
use berth_schema::user::Role;
use serde::Serialize;

use crate::digest::digest;
use crate::identity::Identities;
use crate::names::Service;
use crate::plane;
use crate::render::{Kind, RenderError, Templates, render};
use crate::spec::LinkSpec;
use crate::system;

/// A configuration that should be in force.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Configuration {
    pub kind: Kind,
    /// Its text, ready to be put in force; or why there is none.
    pub text: Result<ConfigurationSpec, RenderError>,
}

/// A configuration to be put in force: checked by the program that reads it, loaded, tried from outside, and only then
/// kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct ConfigurationSpec {
    pub kind: Kind,
    pub place: Place,
    /// Its text. `berth render` prints it.
    #[serde(skip)]
    pub text: Arc<str>,
    /// The BLAKE3 digest of its text.
    pub digest: String,
    /// Conditions that must hold, seen from outside, for it to be kept.
    pub probes: Vec<Expectation>,
}

/// Place where a configuration is in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// One of the platform's own containers, whose program reads it from a volume.
    Container {
        /// The container.
        container: String,
        /// The volume that it lies in.
        volume: String,
        /// The name of its file in the volume, which the container finds below `/etc/berth`.
        file: String,
    },
    /// The host itself: chains of the platform's own.
    Host {
        /// The platform.
        platform: Prefix,
    },
}

/// A probe, and when its failure counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Expectation {
    pub probe: Probe,
    pub holds: Holds,
}

/// Condition under which a probe must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Holds {
    /// The probe must hold after the change, whatever was before.
    Always,
    /// The probe must hold after the change if it held before: the change didn't break what was broken already.
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
    /// A server asks the gateway for names that only the resolvers outside know: the root's name servers. Each resolver
    /// knows them (RFC 8109), and the gateway doesn't keep them.
    Forwards {
        /// The link over which it is tried.
        link: LinkSpec,
    },
    /// A server opens a TCP connection that it may open, to one of these at least.
    Opens {
        /// The link over which it is tried.
        link: LinkSpec,
        /// The addresses, one of which must accept.
        to: Vec<SocketAddrV4>,
    },
    /// A server opens a TCP connection that must be refused, though something listens there.
    Refused {
        /// The link over which it is tried.
        link: LinkSpec,
        /// The address that must refuse.
        to: SocketAddrV4,
    },
    /// Somebody connects with SSH, and is greeted (RFC 4253, section 4.2).
    Greets {
        /// The published port.
        at: SocketAddrV4,
    },
    /// A visitor asks for a domain, over HTTP.
    Answers {
        /// The published port.
        at: SocketAddrV4,
        /// The domain.
        host: String,
        /// The HTTP status that must be the answer.
        status: u16,
    },
    /// Visitors ask for domains, and the app of one of them at least answers. Before a change, [`Voice::are_enough`] of them do.
    Serves {
        /// The published ports, for HTTP and for HTTPS.
        at: [SocketAddrV4; 2],
        /// The domains.
        visits: Vec<Visit>,
        /// The volume in which the web server keeps certificates.
        certificates: String,
    },
}

/// A domain whose app may answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Visit {
    /// The domain.
    pub host: String,
    /// Source of its certificate. A name that waits for one from the CA is not asked for: that would order it.
    pub tls: Tls,
    /// The person who decides what it answers.
    pub voice: Voice,
}

/// Person who decides what an app answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Voice {
    /// An admin, who could change the platform itself.
    Admin,
    /// A member: two apps of one member have the same number.
    Member(usize),
}

impl Voice {
    /// Returns whether what these did before a change counts against it. No member decides that alone.
    pub fn are_enough(voices: impl IntoIterator<Item = Self>) -> bool {
        let mut others = HashSet::new();
        voices.into_iter().any(|voice| voice == Self::Admin || (others.insert(voice) && others.len() > 1))
    }
}

/// The name that the gateway's DNS itself answers, with the gateway's address.
pub const GATEWAY_NAME: &str = "gateway.berth.internal";

/// The port of a resolver (RFC 1035, section 4.2).
const DNS: u16 = 53;
/// Address at which a cloud tells a machine its secrets.
const METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);
/// Number of apps that are asked at most.
const APPS: usize = 8;

/// Probes of the SSH router. Until the first routes are loaded, nobody is greeted.
pub(crate) fn greets(platform: &Platform) -> Vec<Expectation> {
    vec![as_before(Probe::Greets { at: published(platform, platform.ssh.address, platform.ssh.port) })]
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
    // Looked for once: several are confirmed by it.
    let apps = serves(state);
    Kind::ALL
        .into_iter()
        .filter(|kind| wanted(*kind))
        .map(|kind| match routes.filter(|routes| routes.kind == kind) {
            Some(routes) => routes.clone(),
            None => Configuration { kind, text: spec(kind, state, templates, identities, &apps) },
        })
        .collect()
}

fn spec(
    kind: Kind,
    state: &State,
    templates: &Templates,
    identities: &Identities,
    apps: &Option<Expectation>,
) -> Result<ConfigurationSpec, RenderError> {
    let text: Arc<str> = render(kind, state, templates, identities)?.into();
    Ok(ConfigurationSpec {
        kind,
        place: place(kind, &state.platform),
        digest: digest(text.as_bytes()),
        text,
        probes: probes(kind, state, apps),
    })
}

fn place(kind: Kind, platform: &Platform) -> Place {
    let (service, volume_end) = match kind {
        Kind::Firewall | Kind::Dns => (Service::Firewall, ""),
        Kind::Cache => (Service::Cache, "-config"),
        Kind::Caddy | Kind::Sites => (Service::Caddy, "-config"),
        Kind::Routes => (Service::Router, ""),
        Kind::Host => return Place::Host { platform: platform.prefix.clone() },
    };
    let container = service.container(&platform.prefix);
    Place::Container { volume: format!("{container}{volume_end}"), container, file: kind.file().to_owned() }
}

fn probes(kind: Kind, state: &State, apps: &Option<Expectation>) -> Vec<Expectation> {
    let platform = &state.platform;
    let apps = apps.iter().cloned();
    match kind {
        Kind::Firewall | Kind::Host => in_plane(platform).into_iter().chain(apps).collect(),
        Kind::Dns => vec![always(resolves(platform)), as_before(forwards(platform))],
        // Without the firewall nothing is forwarded, and nothing can be tried.
        Kind::Cache if platform.services.firewall => vec![always(cache_opens(platform))],
        Kind::Cache => Vec::new(),
        // Until the table is loaded for the first time, nothing is known.
        Kind::Caddy => visits(state).map(as_before).chain(apps).collect(),
        Kind::Sites => visits(state).map(always).chain(apps).collect(),
        Kind::Routes => greets(platform),
    }
}

fn always(probe: Probe) -> Expectation {
    Expectation { probe, holds: Holds::Always }
}

fn as_before(probe: Probe) -> Expectation {
    Expectation { probe, holds: Holds::AsBefore }
}

/// Probes of what a server may do, as far as somebody answers, and of what it may not.
fn in_plane(platform: &Platform) -> Vec<Expectation> {
    let mut probes = vec![as_before(resolves(platform)), as_before(forwards(platform))];
    probes.extend(outside(platform).map(as_before));
    if platform.services.cache {
        probes.push(as_before(cache_opens(platform)));
    }
    probes
        .extend(denied(platform).map(|to| always(Probe::Refused { link: plane::probe_link(platform), to })));
    probes
}

/// A connection to the internet: to the resolvers that the platform has there anyway.
fn outside(platform: &Platform) -> Option<Probe> {
    let denied = platform.firewall.denied();
    let is_public = |address: &Ipv4Addr| !denied.iter().any(|network| network.contains(address));
    let public = platform.firewall.dns.iter().copied().filter(is_public);
    let to: Vec<SocketAddrV4> = public.map(|address| SocketAddrV4::new(address, DNS)).collect();
    (!to.is_empty()).then(|| Probe::Opens { link: plane::probe_link(platform), to })
}

/// Addresses that no exception opens and at which somebody listens, so that only the rules can refuse.
fn denied(platform: &Platform) -> impl Iterator<Item = SocketAddrV4> {
    let services = platform.services;
    let caddy = SocketAddrV4::new(platform.networks.caddy(), system::HTTP);
    // The host itself, at the end of the uplink's bridge or at the address where it publishes them. A public address is no secret:
    // servers reach it as everybody else does.
    let networks = platform.firewall.denied();
    let is_closed = |address: Option<Ipv4Addr>| {
        address.is_none_or(|own| networks.iter().any(|network| network.contains(&own)))
    };
    let web = services.web && is_closed(platform.web.address);
    let ssh = services.router && is_closed(platform.ssh.address);
    let listening = [
        (services.web, caddy),
        (web, published(platform, platform.web.address, platform.web.http_port)),
        (ssh, published(platform, platform.ssh.address, platform.ssh.port)),
    ];
    let listening = listening.into_iter().filter_map(|(is_tried, to)| is_tried.then_some(to));
    listening.chain([SocketAddrV4::new(METADATA, system::HTTP)])
}

/// Two domains for which the platform itself decides what visitors get: one that is redirected to HTTPS, if there is
/// one, and one that nobody can have (RFC 6761, `invalid`).
fn visits(state: &State) -> impl Iterator<Item = Probe> {
    let at = published(&state.platform, state.platform.web.address, state.platform.web.http_port);
    let visit = move |host: String, status| Probe::Answers { at, host, status };
    let mut encrypted =
        state.domains.values().filter(|domain| domain.tls != Tls::Off && !domain.fqdn.is_wildcard());
    let known = encrypted.next().map(|domain| visit(domain.fqdn.to_string(), 308));
    known.into_iter().chain([visit("probe.invalid".to_owned(), 404)])
}

/// Apps of different servers that everybody may open.
fn serves(state: &State) -> Option<Expectation> {
    let platform = &state.platform;
    if !platform.services.web {
        return None;
    }
    let running: HashMap<&ServerName, &UserName> = state
        .servers
        .values()
        .filter(|server| server.state == PowerState::Running)
        .map(|server| (&server.name, &server.owner))
        .collect();
    let may_answer = |domain: &Domain| {
        domain.access == DomainAccess::Public
            && !domain.fqdn.is_wildcard()
            && running.contains_key(&domain.server)
    };
    // A name that waits for its certificate isn't asked for in the end, so others come first.
    let waits = |domain: &Domain| domain.tls.at(&domain.fqdn) == Tls::Auto;
    let of_kind = |wait: bool| {
        let domains = state.domains.values();
        domains.filter(move |domain| waits(domain) == wait).filter(|domain| may_answer(domain))
    };
    let mut asked = HashSet::new();
    let domains = of_kind(false).chain(of_kind(true)).filter(|domain| asked.insert(&domain.server));
    let mut members: HashMap<&UserName, usize> = HashMap::new();
    let mut voice = |owner| match state.users.get(owner) {
        Some(user) if user.role == Role::Admin => Voice::Admin,
        _ => {
            let next = members.len();
            Voice::Member(*members.entry(owner).or_insert(next))
        }
    };
    let voices = domains.filter_map(|domain| Some((domain, voice(running.get(&domain.server).copied()?))));
    // Each one's first app comes before the second of anybody.
    let mut heard = HashSet::new();
    let (first, more): (Vec<_>, Vec<_>) = voices.partition(|(_, voice)| heard.insert(*voice));
    let visit = |(domain, voice): (&Arc<Domain>, Voice)| Visit {
        host: domain.fqdn.to_string(),
        tls: domain.tls.at(&domain.fqdn),
        voice,
    };
    let visits: Vec<Visit> = first.into_iter().chain(more).take(APPS).map(visit).collect();
    let at = [platform.web.http_port, platform.web.https_port]
        .map(|port| published(platform, platform.web.address, port));
    let certificates = system::caddy_data(platform);
    Voice::are_enough(visits.iter().map(|visit| visit.voice))
        .then(|| as_before(Probe::Serves { at, visits, certificates }))
}

/// A published port, at the host's end of the uplink's bridge. From there the kernel forwards to the container as it
/// does for a visitor; at the host's loopback, a program of the engine's would forward instead. Or at the one address where it is
/// published.
fn published(platform: &Platform, address: Option<Ipv4Addr>, port: NonZeroU16) -> SocketAddrV4 {
    let bridge = platform.networks.external.hosts().next().unwrap_or(Ipv4Addr::LOCALHOST);
    SocketAddrV4::new(address.unwrap_or(bridge), port.get())
}

fn resolves(platform: &Platform) -> Probe {
    Probe::Resolves {
        link: plane::probe_link(platform),
        name: GATEWAY_NAME.to_owned(),
        answer: platform.networks.gateway(),
    }
}

fn forwards(platform: &Platform) -> Probe {
    Probe::Forwards { link: plane::probe_link(platform) }
}

fn cache_opens(platform: &Platform) -> Probe {
    let to = SocketAddrV4::new(platform.networks.cache(), system::CACHE_PORT);
    Probe::Opens { link: plane::probe_link(platform), to: vec![to] }
}
