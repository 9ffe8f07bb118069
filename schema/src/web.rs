//! `[web]`: the web server before all domains.
//!
//! Owns the ports on the machine and the networks that are Cloudflare's. A domain's own settings are in
//! [`crate::domain`].

use std::net::Ipv4Addr;
use std::num::NonZeroU16;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::Serialize;

use crate::fields::Fields;
use crate::invalid::Invalid;
use crate::json_schema::written::{Address, Network};
use crate::listen::Place;

/// The web server before all domains.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(default)]
pub struct Web {
    /// The machine's address at which it listens, over IPv4. Without one, at all of them.
    #[schemars(with = "Option<Address>")]
    pub address: Option<Ipv4Addr>,
    /// The machine's port for HTTP. An ACME CA comes to 80, and nowhere else.
    pub http_port: NonZeroU16,
    /// The machine's port for HTTPS.
    pub https_port: NonZeroU16,
    /// The networks of Cloudflare. Only a request from one of them is believed about its visitor's address, and
    /// only for domains with `cloudflare = true`.
    #[schemars(with = "Vec<Network>")]
    pub cloudflare: Vec<IpNet>,
}

/// Networks that Cloudflare publishes (<https://www.cloudflare.com/ips/>).
const CLOUDFLARE: [&str; 22] = [
    "103.21.244.0/22",
    "103.22.200.0/22",
    "103.31.4.0/22",
    "104.16.0.0/13",
    "104.24.0.0/14",
    "108.162.192.0/18",
    "131.0.72.0/22",
    "141.101.64.0/18",
    "162.158.0.0/15",
    "172.64.0.0/13",
    "173.245.48.0/20",
    "188.114.96.0/20",
    "190.93.240.0/20",
    "197.234.240.0/22",
    "198.41.128.0/17",
    "2400:cb00::/32",
    "2405:8100::/32",
    "2405:b500::/32",
    "2606:4700::/32",
    "2803:f800::/32",
    "2a06:98c0::/29",
    "2c0f:f248::/32",
];

impl Default for Web {
    fn default() -> Self {
        Self {
            address: None,
            http_port: NonZeroU16::MIN.saturating_add(79),
            https_port: NonZeroU16::MIN.saturating_add(442),
            cloudflare: CLOUDFLARE.iter().filter_map(|network| network.parse().ok()).collect(),
        }
    }
}

impl Web {
    /// Places at which it listens.
    pub(crate) fn places(&self) -> [Place; 2] {
        let address = self.address.map(Into::into);
        [self.http_port, self.https_port].map(|port| Place { address, port, owner: "web server" })
    }

    pub(crate) fn read(fields: &mut Fields<'_, '_>) -> Self {
        let default = Self::default();
        let http = fields.optional::<NonZeroU16>("http_port");
        let https = fields.optional::<NonZeroU16>("https_port");
        let http_port = http.map_or(default.http_port, |found| found.value);
        let https_port = https.map_or(default.https_port, |found| found.value);
        if http_port == https_port
            && let Some(at) = https.or(http)
        {
            let message = format!("HTTP and HTTPS can't both have the port {https_port}");
            fields.found().error(Some(at.at), Invalid::new(message, "give one of them another port"));
        }
        let cloudflare = fields.list::<IpNet>("cloudflare");
        for found in cloudflare.iter().flatten().filter(|found| found.value.prefix_len() == 0) {
            let message = format!("`{}` is everybody, not Cloudflare", found.value);
            let hint = "anybody could lie about their address; list the networks that Cloudflare publishes";
            fields.found().error(Some(found.at), Invalid::new(message, hint));
        }
        let networks =
            |list: Vec<_>| list.into_iter().map(|found: crate::fields::At<_>| found.value).collect();
        let address = fields.value("address");
        Self { address, http_port, https_port, cloudflare: cloudflare.map_or(default.cloudflare, networks) }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_published_network_is_a_network() {
        assert_eq!(super::Web::default().cloudflare.len(), super::CLOUDFLARE.len());
    }
}
