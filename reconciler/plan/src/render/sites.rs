//! The table: what each host is. The Caddy that holds it is reloaded for every domain, and holds no visitor's connection.

use std::collections::HashMap;

use berth_schema::State;
use berth_schema::domain::{Domain, DomainAccess, Tls};
use berth_schema::name::{Fqdn, ServerName};
use berth_schema::server::{PowerState, Server};
use serde::Serialize;

#[derive(Debug, Serialize)]
pub(super) struct Context {
    /// Names, by themselves.
    hosts: Vec<Entry>,
    /// Wildcards, by what they lie below.
    wildcards: Vec<Entry>,
    /// Names and wildcards that have their certificate from the platform's own CA.
    internal: Vec<Fqdn>,
    /// What follows the host in the address of a site, where HTTPS has another port than 443.
    https_port: String,
}

#[derive(Debug, Serialize)]
struct Entry {
    name: String,
    tls: Certificate,
    answer: Answer,
    upstream: String,
}

/// Where the certificate comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Certificate {
    Auto,
    Internal,
    Off,
    /// A wildcard that should have one from the ACME CA.
    None,
}

/// What visitors get.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Answer {
    /// What the server says.
    Open,
    /// The same, where Cloudflare stands in front.
    Cloudflare,
    /// A page: the server is stopped.
    Stopped,
    /// A page: for members of the platform.
    Users,
    /// A page: for the server's people.
    Owner,
}

pub(super) fn context(state: &State) -> Context {
    let servers: HashMap<&ServerName, &Server> =
        state.servers.values().map(|server| (&server.name, &**server)).collect();
    let entries = state.domains.values().filter_map(|domain| {
        // A state in which a reference leads nowhere isn't one.
        let server = servers.get(&domain.server)?;
        Some((&domain.fqdn, entry(state, domain, server)?))
    });
    let (wildcards, hosts): (Vec<_>, Vec<_>) = entries.partition(|(fqdn, _)| fqdn.is_wildcard());
    let https_port = state.platform.web.https_port.get();
    Context {
        internal: hosts
            .iter()
            .chain(&wildcards)
            .filter(|(_, entry)| entry.tls == Certificate::Internal)
            .map(|(fqdn, _)| (*fqdn).clone())
            .collect(),
        hosts: hosts.into_iter().map(|(_, entry)| entry).collect(),
        wildcards: wildcards.into_iter().map(|(_, entry)| entry).collect(),
        https_port: if https_port == 443 { String::new() } else { format!(":{https_port}") },
    }
}

fn entry(state: &State, domain: &Domain, server: &Server) -> Option<Entry> {
    let address = state.platform.networks.address(server.id)?;
    Some(Entry {
        name: domain.fqdn.base().to_owned(),
        tls: match domain.tls {
            Tls::Auto if domain.fqdn.is_wildcard() => Certificate::None,
            Tls::Auto => Certificate::Auto,
            Tls::Internal => Certificate::Internal,
            Tls::Off => Certificate::Off,
        },
        answer: answer(domain, server),
        upstream: format!("{address}:{}", domain.port),
    })
}

/// Whoever may not open it doesn't learn whether the server runs.
fn answer(domain: &Domain, server: &Server) -> Answer {
    match (domain.access, server.state, domain.cloudflare) {
        (DomainAccess::Users, _, _) => Answer::Users,
        (DomainAccess::Owner, _, _) => Answer::Owner,
        (DomainAccess::Public, PowerState::Stopped, _) => Answer::Stopped,
        (DomainAccess::Public, PowerState::Running, true) => Answer::Cloudflare,
        (DomainAccess::Public, PowerState::Running, false) => Answer::Open,
    }
}
