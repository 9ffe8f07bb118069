//! Configurations: the text that a system container reads, made from a state. Pure: the same state gives the same bytes.
//!
//! Each kind has a template in `templates/`, which is built in and can be replaced, and a module here that says what the
//! template gets to see. A template decides how things are written; what is true is decided here.

mod cache;
mod caddy;
mod dns;
mod firewall;
pub mod host;
mod sites;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use berth_schema::State;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use serde::{Deserialize, Serialize};

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
    /// The table: which domain is what, a Caddyfile for the web server that the edge asks.
    Sites,
}

/// Why a configuration can't be made: the template that replaces the built-in one has an error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the template `{template}` can't be used{}: {reason}", line.map(|line| format!(", line {line}")).unwrap_or_default())]
pub struct RenderError {
    /// The template's path below `templates/`.
    pub template: &'static str,
    /// The line in it, from 1 on.
    pub line: Option<usize>,
    /// What the template engine says.
    pub reason: String,
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
    pub const ALL: [Self; 6] = [Self::Firewall, Self::Dns, Self::Host, Self::Cache, Self::Caddy, Self::Sites];

    /// The kind's name in lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Firewall => "firewall",
            Self::Dns => "dns",
            Self::Cache => "cache",
            Self::Caddy => "caddy",
            Self::Host => "host",
            Self::Sites => "sites",
        }
    }

    /// The path of the kind's template below `templates/`.
    pub fn template(self) -> &'static str {
        match self {
            Self::Firewall => "firewall/rules.v4",
            Self::Dns => "firewall/dnsmasq.conf",
            Self::Cache => "dockerhub-cache/registry.yml",
            Self::Caddy => "caddy/Caddyfile",
            Self::Host => "host/host.v4",
            Self::Sites => "caddy/sites.Caddyfile",
        }
    }

    /// The name of its file, in the volume of the container that reads it.
    pub fn file(self) -> &'static str {
        self.template().rsplit('/').next().unwrap_or_default()
    }

    fn built_in(self) -> &'static str {
        match self {
            Self::Firewall => include_str!("../../../templates/firewall/rules.v4"),
            Self::Dns => include_str!("../../../templates/firewall/dnsmasq.conf"),
            Self::Cache => include_str!("../../../templates/dockerhub-cache/registry.yml"),
            Self::Caddy => include_str!("../../../templates/caddy/Caddyfile"),
            Self::Host => include_str!("../../../templates/host/host.v4"),
            Self::Sites => include_str!("../../../templates/caddy/sites.Caddyfile"),
        }
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

/// The text of a configuration.
pub fn render(kind: Kind, state: &State, templates: &Templates) -> Result<String, RenderError> {
    match kind {
        Kind::Firewall => fill(kind, templates, firewall::context(state)),
        Kind::Dns => fill(kind, templates, dns::context(state)),
        Kind::Cache => fill(kind, templates, cache::context(state)),
        Kind::Caddy => fill(kind, templates, caddy::context(state)),
        Kind::Host => fill(kind, templates, host::context(state)),
        Kind::Sites => fill(kind, templates, sites::context(state)),
    }
}

fn fill(kind: Kind, templates: &Templates, context: impl Serialize) -> Result<String, RenderError> {
    let path = kind.template();
    let text = templates.0.get(path).map_or_else(|| kind.built_in(), String::as_str);
    write_out(path, text, context).map_err(|error| RenderError {
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
