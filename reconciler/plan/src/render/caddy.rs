//! The edge: the Caddy that visitors connect to. It is made of the platform's settings alone, so that no domain reloads it.

use berth_schema::State;
use berth_schema::certificate::Certificates;
use berth_schema::platform::Acme;
use ipnet::{IpNet, Ipv4Net};
use serde::Serialize;

#[derive(Debug, Serialize)]
pub(super) struct Context {
    acme: Authority,
    /// The users' subnet, from which nobody may visit.
    plane: Ipv4Net,
    /// The networks whose word on a visitor's address counts.
    cloudflare: Vec<IpNet>,
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
    Context { acme: authority(&platform.acme), plane: platform.networks.users, cloudflare }
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
