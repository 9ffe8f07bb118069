//! `domains/<fqdn>.toml`: a web domain and the server that answers it.

use std::num::NonZeroU16;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::name::{Fqdn, ServerName};

/// A web domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Domain {
    /// From the file's name. A wildcard's file is called `_.example.org.toml`.
    pub fqdn: Fqdn,
    /// The server that answers.
    pub server: ServerName,
    /// The port in the server. 80 unless said.
    pub port: NonZeroU16,
    /// How the name gets its certificate.
    pub tls: Tls,
    /// Who may open it.
    pub access: DomainAccess,
    /// Whether Cloudflare stands in front, so that the client's address comes from its header.
    pub cloudflare: bool,
}

/// How a name gets its certificate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Tls {
    /// From the ACME CA.
    #[default]
    Auto,
    /// From Caddy's own CA.
    Internal,
    /// None: plain HTTP.
    Off,
}

/// Who may open a domain.
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
