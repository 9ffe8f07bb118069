//! The table: what each host is. The Caddy that holds it is reloaded for every domain, and holds no visitor's connection.

use std::collections::{HashMap, HashSet};

use berth_schema::State;
use berth_schema::domain::{Domain, DomainAccess, Tls};
use berth_schema::name::{Fqdn, ServerName};
use berth_schema::panel::{PanelEdge, PanelTls};
use berth_schema::platform::{Organisation, Platform};
use berth_schema::server::{PowerState, Server};
use berth_schema::site::Site;
use serde::Serialize;

/// Word in the place of the address of a guarded site, whose server is stopped.
const STOPPED: &str = "stopped";

#[derive(Debug, Serialize)]
pub(super) struct Context {
    /// Names, by themselves.
    hosts: Vec<Entry>,
    /// Wildcards, by the domain that they lie below.
    wildcards: Vec<Entry>,
    /// Names and wildcards that have their certificate from the platform's own CA.
    internal: Vec<Fqdn>,
    /// True if names directly below the platform's domain have one certificate together.
    wildcard_certificate: bool,
    /// Suffix of the host in the address of a site: empty unless HTTPS has another port than 443.
    https_port: String,
    /// Origin at which people sign in, where there is a panel.
    panel: Option<String>,
    /// The platform's title and whom people ask, as HTML for the page of a name that isn't here; empty where neither is known.
    whom: String,
}

#[derive(Debug, Serialize)]
struct Entry {
    name: String,
    tls: Certificate,
    answer: Answer,
    upstream: String,
}

/// Source of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Certificate {
    Auto,
    Internal,
    /// The platform's wildcard certificate, which Berth itself orders.
    Platform,
    Off,
    /// A wildcard that should have one from the ACME CA.
    None,
}

impl Certificate {
    /// Source of the certificate of a name that should have one from the ACME CA.
    fn ordered(platform: &Platform, name: &Fqdn) -> Self {
        match name.is_wildcard() {
            _ if name.is_local() => Self::Internal,
            _ if platform.is_under_wildcard(name) => Self::Platform,
            true => Self::None,
            false => Self::Auto,
        }
    }

    /// Source of the certificate of a name that goes with the panel.
    fn with_panel(platform: &Platform, name: &Fqdn, tls: PanelTls) -> Self {
        match tls {
            PanelTls::Auto => Self::ordered(platform, name),
            PanelTls::Internal => Self::Internal,
        }
    }
}

/// Answer that visitors get.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Answer {
    /// The server's own answer.
    Open,
    /// The server's own answer, with Cloudflare in front of it.
    Cloudflare,
    /// A page: the server is stopped.
    Stopped,
    /// The gate's: it lets in whom the site is for.
    Guarded,
    /// The gate's, with Cloudflare in front of it.
    #[serde(rename = "guarded-cloudflare")]
    GuardedCloudflare,
    /// A page: for members of the platform, where nobody can sign in.
    Users,
    /// A page: for the server's people, where nobody can sign in.
    Owner,
    /// A redirect to the panel: the platform's own domain, as long as no server has it.
    Home,
    /// Nothing that the edge asks for: it knows the panel by itself, and only its certificate is a matter of the table.
    Panel,
}

pub(super) fn context(state: &State) -> Context {
    let servers: HashMap<&ServerName, &Server> =
        state.servers.values().map(|server| (&server.name, &**server)).collect();
    let entries = state.domains.values().filter_map(|domain| {
        // A state in which a reference leads nowhere isn't one.
        let server = servers.get(&domain.server)?;
        Some((&domain.fqdn, entry(state, domain, server)?))
    });
    let tools: Vec<Site<'_>> =
        state.servers.values().flat_map(|server| state.platform.tools(server)).collect();
    let taken: HashSet<&Fqdn> = tools.iter().map(|site| &site.host).collect();
    // A domain may stand on `main` from before its name was a tool's.
    let entries = entries.filter(|(fqdn, _)| !taken.contains(fqdn));
    let entries = entries.chain(panel(&state.platform)).chain(home(state));
    let entries = entries.chain(tools.iter().filter_map(|site| Some((&site.host, tool(state, site)?))));
    let (wildcards, hosts): (Vec<_>, Vec<_>) = entries.partition(|(fqdn, _)| fqdn.is_wildcard());
    let https_port = state.platform.public_https_port();
    Context {
        internal: hosts
            .iter()
            .chain(&wildcards)
            .filter(|(_, entry)| entry.tls == Certificate::Internal)
            .map(|(fqdn, _)| (*fqdn).clone())
            .collect(),
        hosts: hosts.into_iter().map(|(_, entry)| entry).collect(),
        wildcards: wildcards.into_iter().map(|(_, entry)| entry).collect(),
        wildcard_certificate: state.platform.acme.dns.is_some(),
        panel: state.platform.panel_origins().map(|origins| origins.first().to_owned()),
        whom: whom(&state.platform.organisation),
        https_port: if https_port == 443 { String::new() } else { format!(":{https_port}") },
    }
}

/// A sentence on whose platform this is and whom to ask, as HTML.
fn whom(organisation: &Organisation) -> String {
    let title =
        organisation.title.as_ref().map(|title| format!(" This is a platform of {}.", entities(title)));
    let contact = organisation.contact.as_ref().map(|contact| {
        format!(" Ask <a href='{}'>{}</a>.", entities(&contact.href()), entities(contact.as_str()))
    });
    [title, contact].into_iter().flatten().collect()
}

/// A text as HTML in which no character means anything to Caddy either, whose placeholders begin with a brace.
fn entities(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || " .,:/@-_".contains(c);
    let entity = |c: char| if is_plain(c) { c.to_string() } else { format!("&#{};", u32::from(c)) };
    text.chars().map(entity).collect()
}

fn panel(platform: &Platform) -> Option<(&Fqdn, Entry)> {
    let panel = platform.panel.as_ref().filter(|_| platform.panel_edge() != PanelEdge::None)?;
    let entry = Entry {
        name: panel.domain.to_string(),
        tls: Certificate::with_panel(platform, &panel.domain, panel.tls),
        answer: Answer::Panel,
        upstream: "none".to_owned(),
    };
    Some((&panel.domain, entry))
}

/// The platform's own domain, which leads to the panel unless that has this very name, or an admin leads it elsewhere.
fn home(state: &State) -> Option<(&Fqdn, Entry)> {
    let platform = &state.platform;
    let panel = platform.panel.as_ref().filter(|_| platform.panel_edge() != PanelEdge::None)?;
    let domain = &platform.domain;
    let entry = Entry {
        name: domain.to_string(),
        tls: Certificate::with_panel(platform, domain, panel.tls),
        answer: Answer::Home,
        upstream: "none".to_owned(),
    };
    (panel.domain != *domain && !state.domains.contains_key(domain)).then_some((domain, entry))
}

/// A server's own page, which only those who may log in to the server open.
fn tool(state: &State, site: &Site<'_>) -> Option<Entry> {
    let address = state.platform.networks.address(site.server.id)?;
    Some(Entry {
        name: site.host.to_string(),
        tls: Certificate::with_panel(&state.platform, &site.host, site.tls),
        answer: Answer::Guarded,
        upstream: match site.server.state {
            PowerState::Stopped => STOPPED.to_owned(),
            PowerState::Running => format!("{address}:{}", site.tool.port()),
        },
    })
}

fn entry(state: &State, domain: &Domain, server: &Server) -> Option<Entry> {
    let address = state.platform.networks.address(server.id)?;
    let answer = answer(state, domain, server);
    let is_guarded = matches!(answer, Answer::Guarded | Answer::GuardedCloudflare);
    Some(Entry {
        name: domain.fqdn.base().to_owned(),
        tls: match domain.tls {
            Tls::Auto => Certificate::ordered(&state.platform, &domain.fqdn),
            Tls::Internal => Certificate::Internal,
            Tls::Off => Certificate::Off,
        },
        upstream: match server.state {
            // The gate tells those who may know.
            PowerState::Stopped if is_guarded => STOPPED.to_owned(),
            _ => format!("{address}:{}", domain.port),
        },
        answer,
    })
}

/// Chooses the answer so that visitors who may not open the domain don't learn whether the server runs.
fn answer(state: &State, domain: &Domain, server: &Server) -> Answer {
    let can_sign_in = state.platform.panel.is_some() && domain.tls != Tls::Off;
    match (domain.access, server.state, domain.cloudflare) {
        (DomainAccess::Users | DomainAccess::Owner, _, true) if can_sign_in => Answer::GuardedCloudflare,
        (DomainAccess::Users | DomainAccess::Owner, _, false) if can_sign_in => Answer::Guarded,
        (DomainAccess::Users, _, _) => Answer::Users,
        (DomainAccess::Owner, _, _) => Answer::Owner,
        (DomainAccess::Public, PowerState::Stopped, _) => Answer::Stopped,
        (DomainAccess::Public, PowerState::Running, true) => Answer::Cloudflare,
        (DomainAccess::Public, PowerState::Running, false) => Answer::Open,
    }
}
