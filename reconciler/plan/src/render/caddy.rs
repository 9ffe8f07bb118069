//! The edge: the Caddy that visitors connect to. It is made of the platform's settings alone, so that no domain reloads it.

use std::net::Ipv4Addr;

use berth_schema::State;
use berth_schema::access::Access;
use berth_schema::certificate::Certificates;
use berth_schema::name::Fqdn;
use berth_schema::panel::PanelEdge;
use berth_schema::platform::{Acme, Platform};
use ipnet::{IpNet, Ipv4Net};
use serde::Serialize;

#[derive(Debug, Serialize)]
pub(super) struct Context {
    acme: Authority,
    /// The users' subnet, from which nobody may visit.
    plane: Ipv4Net,
    /// Networks that are trusted to give a visitor's address.
    cloudflare: Vec<IpNet>,
    /// The panel, where this web server answers to its name.
    panel: Option<PanelSite>,
}

#[derive(Debug, Serialize)]
struct PanelSite {
    name: Fqdn,
    /// Passes visitors on to the panel; otherwise they are led to its own port.
    proxy: bool,
    /// Address that visitors are led to: of HTTPS here, or of the panel's own port.
    origin: String,
    /// Networks whose visitors may open the panel. None for everybody, and where countries may too: those the panel alone knows.
    networks: Vec<IpNet>,
    /// The host's end of the uplink, where not everybody may open the panel: as it every visitor appears whom the engine's own program
    /// forwards.
    forwarder: Option<Ipv4Addr>,
}

#[derive(Debug, Serialize)]
struct Authority {
    directory: String,
    email: Option<String>,
    ca: Option<Root>,
}

/// The root certificate of a private CA. Caddy reads it from a file, whose name changes with its content.
#[derive(Debug, Serialize)]
struct Root {
    digest: String,
    lines: Vec<String>,
}

pub(super) fn context(state: &State) -> Context {
    let platform = &state.platform;
    let mut cloudflare = platform.web.cloudflare.clone();
    cloudflare.sort_unstable();
    cloudflare.dedup();
    Context {
        acme: authority(&platform.acme),
        plane: platform.networks.users,
        cloudflare,
        panel: panel(platform),
    }
}

fn panel(platform: &Platform) -> Option<PanelSite> {
    let origins = platform.panel_origins()?;
    let (proxy, origin) = match (platform.panel_edge(), origins.edge) {
        (PanelEdge::Proxy, Some(edge)) => (true, edge),
        (PanelEdge::Redirect, _) => (false, origins.own),
        _ => return None,
    };
    let Access { panel, panel_countries, .. } = &platform.access;
    let is_closed = !panel.is_empty() || !panel_countries.is_empty();
    let mut networks = if panel_countries.is_empty() { panel.clone() } else { Vec::new() };
    networks.sort_unstable();
    networks.dedup();
    Some(PanelSite {
        name: platform.panel.as_ref()?.domain.clone(),
        proxy,
        origin,
        networks,
        forwarder: platform.networks.external.hosts().next().filter(|_| is_closed),
    })
}

fn authority(acme: &Acme) -> Authority {
    Authority {
        directory: in_quotes(&acme.directory),
        // A brace is allowed in an address and not in a Caddyfile's text; such a contact is left out.
        email: acme.email.clone().filter(|email| in_quotes(email) == *email),
        ca: acme.ca.as_ref().map(root),
    }
}

fn root(ca: &Certificates) -> Root {
    let digest = blake3::hash(ca.as_str().as_bytes()).to_hex();
    Root {
        digest: digest.chars().take(16).collect(),
        lines: ca.as_str().lines().map(str::to_owned).collect(),
    }
}

/// A URL as a Caddyfile can hold it between quotes, where a brace begins a variable.
fn in_quotes(url: &str) -> String {
    let mut safe = String::with_capacity(url.len());
    for byte in url.bytes() {
        match byte {
            b'{' | b'}' | b'"' | b'\\' | b'`' | 0..=b' ' | 0x7f.. => safe.push_str(&format!("%{byte:02X}")),
            _ => safe.push(char::from(byte)),
        }
    }
    safe
}
