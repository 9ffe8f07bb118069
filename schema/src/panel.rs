//! `[panel]`: the web pages for members and admins.
//!
//! Owns the panel's name, its port, and the way in which the web server before all domains carries its name. `access.panel`
//! says who may open it. No domain of a member may have the panel's name: a browser gives cookies to a name, whatever the port.

use std::net::IpAddr;
use std::num::NonZeroU16;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fields::Fields;
use crate::invalid::Invalid;
use crate::json_schema::written::AnyAddress;
use crate::listen::Place;
use crate::name::{Fqdn, label_below};
use crate::oidc::Oidc;
use crate::ssh::Ssh;
use crate::tool::{Tool, refused};
use crate::value::choice_values;
use crate::web::Web;

/// Owner of its port, in words.
const PANEL: &str = "panel";

/// The web pages for members and admins. Without this table there are none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Panel {
    /// The name by which people reach the panel. Its DNS record leads to this machine. Best below another registered domain
    /// than the members' names.
    pub domain: Fqdn,
    /// The machine's address at which the panel listens. Without one, at all of them.
    #[schemars(with = "Option<AnyAddress>")]
    pub address: Option<IpAddr>,
    /// The machine's port for the panel, over HTTPS. Not one of `[web]` or `[ssh]`, unless each has an address of its own.
    #[schemars(default = "Panel::port")]
    pub port: NonZeroU16,
    /// Answer of the web server before all domains, the edge, to visitors of the panel's name. The panel's own port answers in
    /// any case.
    #[schemars(default)]
    pub edge: PanelEdge,
    /// Source of the certificate, at the edge and at the panel's own port.
    #[schemars(default)]
    pub tls: PanelTls,
    /// Sign-in by an OpenID provider. Without it, people sign in by what they have here.
    #[schemars(default)]
    pub oidc: Option<Oidc>,
}

/// Answer of the web server before all domains to visitors of the panel's name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PanelEdge {
    /// The panel's pages: the web server passes requests on, and so sees passwords.
    #[default]
    Proxy,
    /// A redirect to the panel's own port: no password passes the web server.
    Redirect,
    /// None: the web server doesn't know the name.
    None,
}

/// Source of the panel's certificate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PanelTls {
    /// The ACME CA, and the panel's own CA until it has given one. For a name below `localhost`, as with `internal`.
    #[default]
    Auto,
    /// The panel's own CA, and at the edge the web server's own.
    Internal,
}

choice_values! {
    PanelEdge, "an answer of the web server": "\"proxy\", \"redirect\" or \"none\"",
    PanelTls, "a source of the panel's certificate": "\"auto\" or \"internal\"",
}

impl Panel {
    fn port() -> NonZeroU16 {
        NonZeroU16::MIN.saturating_add(8442)
    }

    /// Returns whether visitors who type this name, or one of its names if it is a wildcard, may mean the panel.
    pub(crate) fn is_met_by(&self, fqdn: &Fqdn) -> bool {
        let panel = self.domain.as_str();
        match fqdn.is_wildcard() {
            true => panel.split_once('.').is_some_and(|(_, rest)| rest == fqdn.base()),
            false => *fqdn == self.domain,
        }
    }

    pub(crate) fn read(
        fields: &mut Fields<'_, '_>,
        members: Option<&Fqdn>,
        web: &Web,
        ssh: &Ssh,
    ) -> Option<Self> {
        let domain = fields.required::<Fqdn>("domain");
        if let Some(domain) = &domain {
            let (name, at) = (&domain.value, Some(domain.at));
            if name.is_wildcard() {
                let message = format!("the panel can't have the wildcard `{name}` as its name");
                fields
                    .found()
                    .error(at, Invalid::new(message, "write one name, such as \"panel.example.org\""));
            } else if let Some(tool) = members.and_then(|members| Tool::of_label(label_below(name, members)?))
            {
                fields.found().strict(at, refused(name, tool));
            } else if let Some(members) = members.filter(|members| is_same_or_below(name, members)) {
                let message = format!(
                    "the panel's name is no other site than `{members}`, below which members run apps of their own"
                );
                let hint = "a browser keeps two sites apart better than two names of one: choose a name below another registered \
                            domain (docs/panel.md)";
                fields.found().warning(at, Invalid::new(message, hint));
            }
        }
        let port = fields.optional::<NonZeroU16>("port");
        let at = port.as_ref().map(|port| port.at);
        let port = port.map_or(Self::port(), |found| found.value);
        let address = fields.value("address");
        let own = Place { address, port, owner: PANEL };
        let [http, https] = web.places();
        if let Some(taken) = [http, https, ssh.place()].iter().find(|taken| taken.clashes(&own))
            && (domain.is_some() || at.is_some())
        {
            let hint = "give the panel another with `panel.port`, or give both an address of their own (`panel.address` beside \
                        `web.address` or `ssh.address`)";
            fields.found().error(at, Invalid::new(taken.is_taken(), hint));
        }
        let edge = fields.value("edge").unwrap_or_default();
        let tls = fields.value("tls").unwrap_or_default();
        let oidc = fields.table("oidc", "`[panel.oidc]`", Oidc::read);
        let domain = domain?.value;
        Some(Self { domain, address, port, edge, tls, oidc })
    }
}

impl Panel {
    /// Place at which it listens.
    pub(crate) fn place(&self) -> Place {
        Place { address: self.address, port: self.port, owner: PANEL }
    }
}

fn is_same_or_below(name: &Fqdn, other: &Fqdn) -> bool {
    let rest = name.as_str().strip_suffix(other.as_str());
    rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}
