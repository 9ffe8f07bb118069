//! `[public]`: how the world reaches the platform, where that isn't what it listens on, such as behind a router that forwards
//! ports.
//!
//! Owns public addresses, ports and names. What the platform listens on is in [`crate::web`], [`crate::ssh`] and
//! [`crate::panel`]; what follows from both is in [`crate::reach`].

use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU16;

use schemars::JsonSchema;
use serde::Serialize;
use toml::de::DeValue;

use crate::fields::Fields;
use crate::invalid::Invalid;
use crate::json_schema::written::AnyAddress;
use crate::name::Fqdn;
use crate::text::shown;
use crate::value::Value;

/// The world's way to the platform, where that isn't what it listens on. Everything left out is what the platform listens on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(default)]
pub struct Public {
    /// Addresses to which DNS records of the platform's names lead, such as a router's. Without any, they are the machine's own.
    #[schemars(with = "Vec<AnyAddress>")]
    pub addresses: Vec<IpAddr>,
    /// Port at which the world reaches `web.http_port`.
    pub http_port: Option<NonZeroU16>,
    /// Port at which the world reaches `web.https_port`. Redirects lead there.
    pub https_port: Option<NonZeroU16>,
    /// Port at which the world reaches `panel.port`.
    pub panel_port: Option<NonZeroU16>,
    /// Name by which people reach the SSH router. Without it, `domain`.
    pub ssh_host: Option<Fqdn>,
    /// Port at which the world reaches `ssh.port`.
    pub ssh_port: Option<NonZeroU16>,
}

impl Public {
    pub(crate) fn read(fields: &mut Fields<'_, '_>) -> Self {
        let addresses = fields.list::<IpAddr>("addresses").unwrap_or_default();
        for found in &addresses {
            let address = found.value;
            if address.is_unspecified() || address.is_loopback() || address.is_multicast() {
                let message = format!("`{address}` is no address at which the world reaches anything");
                let hint =
                    "write the address that DNS records of the platform's names have, such as the router's";
                fields.found().error(Some(found.at), Invalid::new(message, hint));
            }
        }
        let ssh_host = fields.optional::<Fqdn>("ssh_host");
        if let Some(host) = ssh_host.as_ref().filter(|host| host.value.is_wildcard()) {
            let message = format!("nobody logs in to the wildcard `{}`", host.value);
            fields
                .found()
                .error(Some(host.at), Invalid::new(message, "write one name, such as \"ssh.example.org\""));
        }
        Self {
            addresses: addresses.into_iter().map(|found| found.value).collect(),
            http_port: fields.value("http_port"),
            https_port: fields.value("https_port"),
            panel_port: fields.value("panel_port"),
            ssh_host: ssh_host.map(|host| host.value),
            ssh_port: fields.value("ssh_port"),
        }
    }
}

impl Value for Ipv4Addr {
    const WANTED: &'static str = "an IPv4 address of the machine in quotes, such as \"198.51.100.1\"";
    fn read(value: &DeValue<'_>) -> Option<Result<Self, Invalid>> {
        let text = value.as_str()?;
        let read = match text.parse::<Self>() {
            Ok(address) if address.is_unspecified() => Err(Invalid::new(
                format!("`{address}` is every address of the machine"),
                "leave the field out, which means the same",
            )),
            read => read.map_err(|_| {
                let message = format!("`{}` is not an IPv4 address", shown(text));
                Invalid::new(message, format!("write {}", Self::WANTED))
            }),
        };
        Some(read)
    }
}

impl Value for IpAddr {
    const WANTED: &'static str = "addresses in quotes, such as \"198.51.100.1\" or \"2001:db8::1\"";
    fn read(value: &DeValue<'_>) -> Option<Result<Self, Invalid>> {
        let text = value.as_str()?;
        let message = || format!("`{}` is not an address", shown(text));
        Some(text.parse().map_err(|_| Invalid::new(message(), format!("write {}", Self::WANTED))))
    }
}
