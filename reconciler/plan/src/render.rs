//! Configurations: the text that a system container reads, made from a state. Pure: the same state gives the same bytes.
//!
//! Each kind has a template in `templates/`, which is built in and can be replaced, and a module here that gives
//! the template its values. The template decides how things are written; the module decides what is true.

mod cache;
mod caddy;
mod dns;
mod error;
mod firewall;
pub mod host;
pub mod routes;
mod sites;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use berth_schema::State;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use serde::{Deserialize, Serialize};

pub use error::RenderError;

use crate::identity::Identities;

/// A kind of configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The firewall's rules, for `iptables-restore`.
    Firewall,
    /// The gateway's DNS, for dnsmasq.
    Dns,
    /// The image cache, for the registry.
    Cache,
    /// The edge: the web server that visitors connect to, a Caddyfile.
    Caddy,
    /// The platform's own chains on the host, for `iptables-restore --noflush`.
    Host,
    /// The routes: who may log in to which server, for the SSH router. It has no template, since it isn't for people.
    Routes,
    /// The table: which domain is what, a Caddyfile for the web server that the edge asks.
    Sites,
}

/// The templates that replace built-in ones, by their path below `templates/`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Templates(BTreeMap<String, String>);

impl Templates {
    /// Replaces one template. The path is one of [`Kind::template`]; another is never read.
    pub fn replace(&mut self, path: impl Into<String>, text: impl Into<String>) {
        self.0.insert(path.into(), text.into());
    }
}

impl Kind {
    /// All kinds, in the order in which they are loaded.
    ///
    /// The host's comes before the gateway's, so that the host is closed when the gateway lets the first packet through.
    pub const ALL: [Self; 7] =
        [Self::Routes, Self::Host, Self::Firewall, Self::Dns, Self::Cache, Self::Caddy, Self::Sites];

    /// The kind's name in lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Firewall => "firewall",
            Self::Dns => "dns",
            Self::Cache => "cache",
            Self::Caddy => "caddy",
            Self::Host => "host",
            Self::Sites => "sites",
            Self::Routes => "routes",
        }
    }

    /// The path of the kind's template below `templates/`, and the built-in one; `None` where there is none.
    fn built_in(self) -> Option<(&'static str, &'static str)> {
        Some(match self {
            Self::Firewall => ("firewall/rules.v4", include_str!("../../../templates/firewall/rules.v4")),
            Self::Dns => ("firewall/dnsmasq.conf", include_str!("../../../templates/firewall/dnsmasq.conf")),
            Self::Cache => (
                "dockerhub-cache/registry.yml",
                include_str!("../../../templates/dockerhub-cache/registry.yml"),
            ),
            Self::Caddy => ("caddy/Caddyfile", include_str!("../../../templates/caddy/Caddyfile")),
            Self::Host => ("host/host.v4", include_str!("../../../templates/host/host.v4")),
            Self::Sites => {
                ("caddy/sites.Caddyfile", include_str!("../../../templates/caddy/sites.Caddyfile"))
            }
            Self::Routes => return None,
        })
    }

    /// The path of the kind's template below `templates/`; `None` when it has none.
    pub fn template(self) -> Option<&'static str> {
        self.built_in().map(|(path, _)| path)
    }

    /// The name of its file, in the volume of the container that reads it.
    pub fn file(self) -> &'static str {
        self.template().map_or("routes.toml", |path| path.rsplit('/').next().unwrap_or_default())
    }

    /// Returns whether it holds secrets that nobody else on the host may read, such as password hashes.
    pub fn is_secret(self) -> bool {
        self == Self::Routes
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Kind {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or_else(|| {
            let names = Self::ALL.map(Self::as_str).join(", ");
            format!("`{text}` is not a kind of configuration; there are {names}")
        })
    }
}

/// The text of a configuration, on a platform with these keys.
pub fn render(
    kind: Kind,
    state: &State,
    templates: &Templates,
    identities: &Identities,
) -> Result<String, RenderError> {
    match kind {
        Kind::Routes => routes::text(&routes::routes(state, identities)?),
        Kind::Firewall => fill(kind, templates, firewall::context(state)),
        Kind::Dns => fill(kind, templates, dns::context(state)),
        Kind::Cache => fill(kind, templates, cache::context(state)),
        Kind::Caddy => fill(kind, templates, caddy::context(state)),
        Kind::Host => fill(kind, templates, host::context(state)),
        Kind::Sites => fill(kind, templates, sites::context(state)),
    }
}

fn fill(kind: Kind, templates: &Templates, context: impl Serialize) -> Result<String, RenderError> {
    let (path, built_in) = kind.built_in().unwrap_or_default();
    let text = templates.0.get(path).map_or(built_in, String::as_str);
    write_out(path, text, context).map_err(|error| RenderError::Template {
        template: path,
        line: error.line(),
        reason: reason(&error),
    })
}

fn write_out(path: &str, text: &str, context: impl Serialize) -> Result<String, minijinja::Error> {
    let mut environment = Environment::new();
    // A misspelt name must not become an empty text in a firewall's rule.
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    // What a member may write never needs escaping for HTML here; each module admits only what its format can hold.
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_syntax(
        SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true).build()?,
    );
    environment.template_from_named_str(path, text)?.render(Serde(context))
}

fn reason(error: &minijinja::Error) -> String {
    let kind = error.kind().to_string();
    match error.detail() {
        Some(detail) => format!("{kind} ({detail})"),
        None => kind,
    }
}
