//! Cards: what a list shows of a person, a server and a domain.

use std::collections::HashMap;

use berth_schema::State;
use berth_schema::domain::{Domain, Tls};
use berth_schema::name::{Fqdn, ServerName};
use berth_schema::platform::Platform;
use berth_schema::remote::Remote;
use berth_schema::server::Server;
use berth_schema::site::Site;
use berth_schema::usage::{Amount, amounts};
use berth_schema::user::User;
use berth_wire::web::{
    DomainCard, Person, PlatformCard, ProviderCard, Quota, ServerCard, ToolCard, UserCard,
};

/// Seconds of a day.
const DAY: u64 = 24 * 60 * 60;

/// Somebody, with what they have left and what every page needs of the platform.
pub(crate) fn person(state: &State, user: &User) -> Person {
    Person {
        name: user.name.clone(),
        role: user.role,
        quota: quota(state, user),
        platform: platform_card(&state.platform),
        scopes: None,
    }
}

pub(crate) fn quota(state: &State, user: &User) -> Vec<Quota> {
    let quota = |amount: Amount| Quota {
        field: amount.field.to_owned(),
        used: amount.used,
        allowed: amount.allowed,
        used_text: amount.used_text,
        allowed_text: amount.allowed_text,
    };
    amounts(state, user).into_iter().map(quota).collect()
}

fn platform_card(platform: &Platform) -> PlatformCard {
    PlatformCard {
        domain: platform.domain.clone(),
        prefix: platform.prefix.to_string(),
        kept_days: u32::try_from(platform.retention.servers.duration().as_secs() / DAY).unwrap_or(u32::MAX),
        forge: platform.remote.as_ref().map(|remote| remote.url.to_string()),
        opens_pulls: platform.remote.as_ref().is_some_and(Remote::opens_pulls),
        image: platform.images.server.to_string(),
        provider: provider_card(platform).map(|card| card.host),
    }
}

/// The provider by which people sign in, where there is one.
pub(crate) fn provider_card(platform: &Platform) -> Option<ProviderCard> {
    let oidc = platform.panel.as_ref()?.oidc.as_ref()?;
    Some(ProviderCard { label: oidc.label.clone(), host: oidc.issuer.host() })
}

/// The cards of some servers, with their domains.
pub(crate) fn server_cards(state: &State, servers: &[&Server]) -> Vec<ServerCard> {
    let mut domains: HashMap<&ServerName, Vec<DomainCard>> =
        servers.iter().map(|server| (&server.name, Vec::new())).collect();
    for domain in state.domains.values() {
        if let Some(of_server) = domains.get_mut(&domain.server) {
            of_server.push(domain_card(&state.platform, domain));
        }
    }
    let card = |server: &&Server| {
        let limits = server.limits(&state.platform.defaults);
        ServerCard {
            id: server.id,
            name: server.name.clone(),
            owner: server.owner.clone(),
            members: server.members.clone(),
            wanted: server.state,
            nano_cpus: limits.nano_cpus,
            memory: limits.memory,
            pids: limits.pids,
            disk: server.disk(&state.platform.defaults).get(),
            domains: domains.remove(&server.name).unwrap_or_default(),
            ssh: state.platform.ssh_line(&server.name),
        }
    };
    servers.iter().map(card).collect()
}

/// The pages that a server has of its own, with their addresses.
pub(crate) fn tool_cards(platform: &Platform, server: &Server) -> Vec<ToolCard> {
    let card = |site: Site<'_>| ToolCard { tool: site.tool, url: site_url(platform, &site.host) };
    platform.tools(server).into_iter().map(card).collect()
}

/// The address of a guarded site, which is always encrypted.
pub(crate) fn site_url(platform: &Platform, host: &Fqdn) -> String {
    match platform.public_https_port() {
        443 => format!("https://{host}"),
        port => format!("https://{host}:{port}"),
    }
}

pub(crate) fn domain_card(platform: &Platform, domain: &Domain) -> DomainCard {
    let (scheme, port, usual) = match domain.tls {
        Tls::Off => ("http", platform.public_http_port(), 80),
        Tls::Auto | Tls::Internal => ("https", platform.public_https_port(), 443),
    };
    let port = if port == usual { String::new() } else { format!(":{port}") };
    DomainCard {
        fqdn: domain.fqdn.clone(),
        server: domain.server.clone(),
        port: domain.port.get(),
        tls: domain.tls,
        access: domain.access,
        cloudflare: domain.cloudflare,
        url: format!("{scheme}://{}{port}", domain.fqdn),
    }
}

/// The card of somebody who owns so many servers.
pub(crate) fn user_card(user: &User, servers: usize) -> UserCard {
    let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    UserCard {
        name: user.name.clone(),
        role: user.role,
        email: user.email.clone(),
        servers: number(servers),
        keys: number(user.ssh_keys.len()),
        has_password: user.password_hash.is_some(),
        has_second_factor: user.second_factor.is_some(),
        passkeys: number(user.passkeys.len()),
        accounts: number(user.oidc.len()),
        seen: None,
        is_away: false,
    }
}
