//! `[metrics]`: the place at which scrapers read the platform's metrics.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;

use schemars::JsonSchema;
use serde::Serialize;

use crate::fields::Fields;
use crate::invalid::Invalid;
use crate::json_schema::written::ListenAddress;
use crate::listen::Place;

/// The lowest port: the process that listens may have none of the lower ones.
const LOWEST: u16 = 1024;

/// The place at which scrapers read metrics. Without this table there is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Metrics {
    /// Address and port, such as `"127.0.0.1:9323"`. Whoever reaches it can read everything there.
    #[schemars(with = "ListenAddress")]
    pub listen: SocketAddr,
}

impl Metrics {
    /// Reads the table. `None` if there is none, or if it has no good `listen`.
    pub(crate) fn read(fields: &mut Fields<'_, '_>, taken: &[Place]) -> Option<Self> {
        let listen = fields.required::<SocketAddr>("listen")?;
        let address = listen.value;
        let ip = address.ip();
        if address.port() < LOWEST {
            let message = format!("the port {} is too low for metrics", address.port());
            let hint = format!("write one from {LOWEST} on, such as 9323");
            fields.found().error(Some(listen.at), Invalid::new(message, hint));
        } else if let Some(port) = NonZeroU16::new(address.port()) {
            let own = Place { address: (!ip.is_unspecified()).then_some(ip), port, owner: "metrics" };
            if let Some(taken) = taken.iter().find(|taken| taken.clashes(&own)) {
                let hint = "write another port into `metrics.listen`";
                fields.found().error(Some(listen.at), Invalid::new(taken.is_taken(), hint));
            }
        }
        if is_open(ip) {
            let message = format!(
                "whoever reaches {address} can read the metrics, with the names of members, servers and domains"
            );
            let hint = "listen on \"127.0.0.1:9323\" or on an address that only scrapers reach";
            fields.found().warning(Some(listen.at), Invalid::new(message, hint));
        }
        Some(Self { listen: listen.value })
    }
}

/// Returns whether strangers may reach an address.
fn is_open(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !(address.is_loopback() || address.is_private() || address.is_link_local()),
        IpAddr::V6(address) => {
            !(address.is_loopback() || address.is_unique_local() || address.is_unicast_link_local())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_reach_what_is_neither_loopback_nor_private() {
        let open = |text: &str| is_open(text.parse().unwrap());
        for closed in ["127.0.0.1", "10.1.2.3", "192.168.0.1", "169.254.1.1", "::1", "fd00::1", "fe80::1"] {
            assert!(!open(closed), "{closed}");
        }
        for public in ["0.0.0.0", "198.51.100.1", "::", "2001:db8::1"] {
            assert!(open(public), "{public}");
        }
    }
}
