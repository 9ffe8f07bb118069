//! The edge: the Caddy that visitors connect to. It is made of the platform's settings alone, so that no domain reloads it.

use std::net::Ipv4Addr;

use berth_schema::State;
use berth_schema::access::Access;
use berth_schema::certificate::Certificates;
use berth_schema::name::Fqdn;
use berth_schema::panel::PanelEdge;
use berth_schema::platform::{Acme, Platform};
use http::Uri;
use http::uri::Authority as HostAndPort;
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
    /// Place of the account at the CA in the edge's storage, without an ending, where Berth keeps the account.
    account: Option<String>,
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
    // A brace is allowed in an address and not in a Caddyfile's text; such a contact is left out.
    let email = acme.email.clone().filter(|email| in_quotes(email) == *email);
    Authority {
        directory: in_quotes(&acme.directory),
        ca: acme.ca.as_ref().map(root),
        account: acme.eab.is_some().then(|| account(&acme.directory, email.as_deref())),
        email,
    }
}

/// The place at which Caddy looks for its account at a CA, below `acme` in its storage and without an ending.
fn account(directory: &str, email: Option<&str>) -> String {
    let url = directory.parse::<Uri>().unwrap_or_default();
    let host = url.authority().map_or("", HostAndPort::as_str);
    let path = url.path().replace(['/', '\\'], "-");
    let ca = match path.trim_matches('-') {
        "" => host.to_owned(),
        path => format!("{host}-{path}"),
    };
    let email = email.unwrap_or("default");
    let user = email.split_once('@').map_or(email, |(user, _)| user);
    format!("{}/users/{}/{}", in_storage(&ca), in_storage(email), in_storage(user))
}

/// A text as Caddy's storage has it in a file's name.
fn in_storage(text: &str) -> String {
    let text = text.trim().to_lowercase();
    let text = text.replace(' ', "_").replace('+', "_plus_").replace('*', "wildcard_").replace(':', "-");
    text.replace("..", "").chars().filter(|c| c.is_ascii_alphanumeric() || "_@.-".contains(*c)).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_account_lies_where_caddy_looks_for_it() {
        for (directory, email, place) in [
            (
                "https://acme-v02.api.letsencrypt.org/directory",
                Some("Admin+x@Example.org"),
                "acme-v02.api.letsencrypt.org-directory/users/admin_plus_x@example.org/admin_plus_x",
            ),
            ("https://127.0.0.1:14000/dir", None, "127.0.0.1-14000-dir/users/default/default"),
            ("https://ca.example.org/", None, "ca.example.org/users/default/default"),
            (
                "https://ca.example.org/acme/acme/directory",
                None,
                "ca.example.org-acme-acme-directory/users/default/default",
            ),
        ] {
            assert_eq!(account(directory, email), place);
        }
    }
}
