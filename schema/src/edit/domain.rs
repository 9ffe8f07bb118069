//! Edits of a domain's file.

use std::num::NonZeroU16;
use std::sync::Arc;

use toml_edit::{DocumentMut, Value};

use crate::domain::{Domain, DomainAccess, Tls, domain_path};
use crate::edit::document::put;
use crate::edit::{Edit, EditError, create, edit, put_or_unset};
use crate::name::{Fqdn, ServerName};
use crate::parse::{Content, Parsed};

/// The port of a domain whose file doesn't say.
const HTTP: NonZeroU16 = NonZeroU16::MIN.saturating_add(79);

/// A change of a domain's file. `None` takes the field out, so that the default holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DomainEdit {
    /// `server`
    Server(ServerName),
    /// `port`
    Port(Option<NonZeroU16>),
    /// `tls`
    Tls(Option<Tls>),
    /// `access`
    Access(Option<DomainAccess>),
    /// `cloudflare`
    Cloudflare(Option<bool>),
}

/// Edits the text of a domain's file.
pub fn domain(fqdn: &Fqdn, text: &str, edits: &[DomainEdit]) -> Result<String, EditError> {
    edit(&domain_path(fqdn), text, edits)
}

/// The text of a new domain's file.
pub fn new_domain(domain: &Domain) -> Result<String, EditError> {
    let edits = [
        DomainEdit::Server(domain.server.clone()),
        DomainEdit::Port((domain.port != HTTP).then_some(domain.port)),
        DomainEdit::Tls((domain.tls != Tls::default()).then_some(domain.tls)),
        DomainEdit::Access((domain.access != DomainAccess::default()).then_some(domain.access)),
        DomainEdit::Cloudflare(domain.cloudflare.then_some(true)),
    ];
    create::<DomainEdit>(&domain_path(&domain.fqdn), DocumentMut::new(), &edits, domain)
}

impl Edit for DomainEdit {
    type Of = Domain;

    fn read(parsed: &Parsed) -> Option<&Arc<Domain>> {
        match &parsed.content {
            Content::Domain(_, domain) => domain.as_ref(),
            _ => None,
        }
    }

    fn apply(&self, domain: &mut Domain) {
        match self.clone() {
            Self::Server(server) => domain.server = server,
            Self::Port(port) => domain.port = port.unwrap_or(HTTP),
            Self::Tls(tls) => domain.tls = tls.unwrap_or_default(),
            Self::Access(access) => domain.access = access.unwrap_or_default(),
            Self::Cloudflare(cloudflare) => domain.cloudflare = cloudflare.unwrap_or_default(),
        }
    }

    fn write(&self, document: &mut DocumentMut) {
        match self {
            Self::Server(server) => put(document, None, "server", server.as_str().into()),
            Self::Port(port) => {
                put_or_unset(document, None, "port", port.map(|port| i64::from(port.get()).into()));
            }
            Self::Tls(tls) => put_or_unset(
                document,
                None,
                "tls",
                tls.map(|tls| match tls {
                    Tls::Auto => "auto".into(),
                    Tls::Internal => "internal".into(),
                    Tls::Off => "off".into(),
                }),
            ),
            Self::Access(access) => put_or_unset(
                document,
                None,
                "access",
                access.map(|access| match access {
                    DomainAccess::Public => "public".into(),
                    DomainAccess::Users => "users".into(),
                    DomainAccess::Owner => "owner".into(),
                }),
            ),
            Self::Cloudflare(cloudflare) => {
                put_or_unset(document, None, "cloudflare", cloudflare.map(Value::from));
            }
        }
    }

    fn is_unset(&self) -> bool {
        match self {
            Self::Server(_) => false,
            Self::Port(port) => port.is_none(),
            Self::Tls(tls) => tls.is_none(),
            Self::Access(access) => access.is_none(),
            Self::Cloudflare(cloudflare) => cloudflare.is_none(),
        }
    }
}
