//! Many domains: the states that have them, and the web server's configuration as the hosting before Berth wrote it, a
//! site block for each.

use std::fmt::Write as _;

use anyhow::Context as _;
use berth_plan::render::{self, Kind, Templates};
use berth_schema::{Parsed, State};

use crate::caddy::APP_PORT;
use crate::organisation;

/// Domains of one server.
const DOMAINS_EACH: usize = 10;
const PLATFORM: &str = "[networks]\nusers = \"10.0.0.0/8\"\n";

/// A state with many domains, to which one more can be added.
pub(crate) struct Domains {
    count: usize,
    parsed: Vec<Parsed>,
}

impl Domains {
    pub(crate) fn new(count: usize) -> Self {
        let parsed = files(count).iter().map(|(path, text)| Parsed::parse(path, text)).collect();
        Self { count, parsed }
    }

    /// Adds one, and returns its number.
    pub(crate) fn add(&mut self) -> usize {
        self.count += 1;
        let (path, text) = file(self.count);
        self.parsed.push(Parsed::parse(&path, &text));
        self.count
    }

    pub(crate) fn state(&self) -> anyhow::Result<State> {
        organisation::state(&self.parsed)
    }
}

/// The files of so many domains, with the servers and members that they belong to.
pub(crate) fn files(count: usize) -> Vec<(String, String)> {
    // Room for those that are added.
    let servers = count.div_ceil(DOMAINS_EACH) + 5;
    let mut files = organisation::files(servers, PLATFORM);
    files.extend((1..=count).map(file));
    files
}

/// A domain's file. Without TLS: what is compared is how names are told apart, and no CA is in the way.
pub(crate) fn file(number: usize) -> (String, String) {
    let server = organisation::name(server(number));
    let text = format!("server = \"{server}\"\nport = {APP_PORT}\ntls = \"off\"\n");
    (format!("domains/{}.toml", name(number)), text)
}

/// Name of a domain. All are equally long, so that the order of site blocks is that of the names.
pub(crate) fn name(number: usize) -> String {
    format!("d{number:05}.example.org")
}

/// Answer of the app to a request for a domain that has reached the right server.
pub(crate) fn answer(state: &State, number: usize) -> anyhow::Result<String> {
    let id = u32::try_from(server(number))?;
    let found = state.servers.values().find(|server| server.id.get() == id).context("the domain's server")?;
    let address = state.platform.networks.address(found.id).context("its address")?;
    Ok(format!("{address} {}", name(number)))
}

/// The domain's server, by id.
fn server(number: usize) -> usize {
    number.div_ceil(DOMAINS_EACH)
}

/// The table, as Berth renders it.
pub(crate) fn table(state: &State) -> anyhow::Result<String> {
    Ok(render::render(Kind::Sites, state, &Templates::default(), &berth_plan::Identities::example([]))?)
}

/// Source of the certificates of site blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tls {
    /// They have none: plain HTTP.
    Off,
    /// Each has a `tls` line, though no certificate is ever asked for.
    Lines,
}

/// A site block for each domain, below the global options.
pub(crate) fn blocks(state: &State, options: &str, tls: Tls) -> anyhow::Result<String> {
    let servers: std::collections::HashMap<_, _> =
        state.servers.values().map(|server| (&server.name, server.id)).collect();
    let mut text = format!("{{\n{options}}}\n");
    for domain in state.domains.values() {
        let id = servers.get(&domain.server).context("a domain without a server")?;
        let address = state.platform.networks.address(*id).context("a server without an address")?;
        let (scheme, line) = match tls {
            Tls::Off => ("http://", ""),
            Tls::Lines => ("", "\ttls admin@example.org\n"),
        };
        let port = domain.port;
        write!(
            text,
            "# {fqdn}\n{scheme}{fqdn} {{\n{line}\treverse_proxy {address}:{port}\n}}\n",
            fqdn = domain.fqdn
        )?;
    }
    Ok(text)
}
