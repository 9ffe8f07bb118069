//! `domains/<fqdn>.toml`: a web domain and the server that answers it.

use std::num::NonZeroU16;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toml::de::DeValue;

use crate::fields::{At, Fields};
use crate::invalid::Invalid;
use crate::name::{Fqdn, ServerName};
use crate::tool::Tool;
use crate::value::{Value, choice_values, integer};

/// A web domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Domain {
    /// Name of the domain, from the file's name. A wildcard's file is called `_.example.org.toml`.
    #[schemars(skip)]
    pub fqdn: Fqdn,
    /// The name of the server that answers.
    pub server: ServerName,
    /// The port in the server. By default 80, where the server's own proxy listens.
    #[schemars(default = "http")]
    pub port: NonZeroU16,
    /// Source of the name's certificate.
    #[schemars(default)]
    pub tls: Tls,
    /// People who may open it.
    #[schemars(default)]
    pub access: DomainAccess,
    /// Takes the client's address from Cloudflare's header, because Cloudflare stands in front.
    #[schemars(default)]
    pub cloudflare: bool,
}

/// Source of a name's certificate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Tls {
    /// The ACME CA; for a name below `localhost`, Caddy's own CA.
    #[default]
    Auto,
    /// Caddy's own CA.
    Internal,
    /// None: plain HTTP.
    Off,
}

impl Tls {
    /// Source of the certificate that the name really gets: below `localhost`, where no CA vouches for a name, the platform's
    /// own CA does what the ACME CA does elsewhere.
    #[must_use]
    pub fn at(self, name: &Fqdn) -> Self {
        match self {
            Self::Auto if name.is_local() => Self::Internal,
            tls => tls,
        }
    }
}

/// People who may open a domain.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DomainAccess {
    /// Everybody.
    #[default]
    Public,
    /// Members of the platform.
    Users,
    /// The server's owner and members.
    Owner,
}

/// The port of a domain whose file doesn't say: 80.
pub(crate) fn http() -> NonZeroU16 {
    NonZeroU16::MIN.saturating_add(79)
}

/// Known parts of a domain's file, even of a refused one, with their places.
#[derive(Debug, Clone)]
pub(crate) struct DomainFile {
    pub(crate) fqdn: Fqdn,
    pub(crate) server: Option<At<ServerName>>,
}

choice_values! {
    Tls, "a way to get a certificate": "\"auto\", \"internal\" or \"off\"",
    DomainAccess, "an audience": "\"public\", \"users\" or \"owner\"",
}

impl Value for NonZeroU16 {
    const WANTED: &'static str = "a port from 1 to 65535, without quotes";
    fn read(value: &DeValue<'_>) -> Option<Result<Self, Invalid>> {
        Some(integer(value)?.and_then(|number| {
            u16::try_from(number).ok().and_then(Self::new).ok_or_else(|| {
                Invalid::new(format!("{number} is not a port"), "write a whole number from 1 to 65535")
            })
        }))
    }
}

impl DomainFile {
    pub(crate) fn read(fqdn: Fqdn, fields: &mut Fields<'_, '_>) -> (Self, Option<Domain>) {
        let server = fields.required::<ServerName>("server");
        let port = fields.optional::<NonZeroU16>("port");
        if let Some((port, tool)) =
            port.as_ref().and_then(|port| Some((port, Tool::at_port(port.value.get())?)))
        {
            // Whoever comes to that port from the web server is believed to be who its headers say, and let in.
            let message =
                format!("port {} is the one of {}, which has no login of its own", port.value, tool.title());
            let hint = "let your app listen at another port; the server's page in the panel leads to Dockge and Files";
            fields.found().strict(Some(port.at), Invalid::new(message, hint));
        }
        let port = port.map_or_else(http, |port| port.value);
        let tls = fields.value::<Tls>("tls").unwrap_or_default();
        let access = fields.optional::<DomainAccess>("access");
        let access_at = access.as_ref().map(|access| access.at);
        let access = access.map(|access| access.value).unwrap_or_default();
        let cloudflare = fields.value("cloudflare").unwrap_or_default();
        if let (true, Tls::Auto) = (fqdn.is_wildcard(), tls.at(&fqdn)) {
            let message = format!("`{fqdn}` gets no certificate: a CA gives wildcards none over HTTP");
            let hint = "write `tls = \"internal\"` or `tls = \"off\"`, or a file for each name below it";
            fields.found().warning(None, Invalid::new(message, hint));
        }
        if let (Tls::Off, false) = (tls, access == DomainAccess::Public) {
            let message =
                format!("nobody can be let into `{fqdn}`: signing in needs HTTPS, and `tls` is \"off\"");
            let hint = "write `tls = \"auto\"` or `tls = \"internal\"`, or `access = \"public\"`";
            fields.found().strict(access_at, Invalid::new(message, hint));
        }
        let domain = server.as_ref().map(|server| Domain {
            fqdn: fqdn.clone(),
            server: server.value.clone(),
            port,
            tls,
            access,
            cloudflare,
        });
        (Self { fqdn, server }, domain)
    }
}

/// The path of a domain's file.
pub(crate) fn domain_path(fqdn: &Fqdn) -> String {
    match fqdn.is_wildcard() {
        true => format!("domains/_.{}.toml", fqdn.base()),
        false => format!("domains/{fqdn}.toml"),
    }
}
