//! Leads: where the names of a server's domains lead in DNS, as the door last heard.

use std::net::Ipv4Addr;

use berth_schema::name::{Fqdn, ServerId};
use serde::{Deserialize, Serialize};

use super::questions;

questions! {
    Leads, "/leads", Known => Vec<Lead>;
}

/// Asks where the domains of a server lead. Nobody waits for DNS: the answer is what was heard lately, and what is missing in it
/// is being asked for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Leads {
    /// The server.
    pub server: ServerId,
}

/// A name, and where it leads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lead {
    /// The domain.
    pub fqdn: Fqdn,
    /// Its destination.
    pub to: Destination,
}

/// Destination of a name, as far as IPv4 goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "to")]
pub enum Destination {
    /// It leads to the platform.
    Here,
    /// It leads elsewhere.
    Elsewhere {
        /// Addresses that it has.
        addresses: Vec<Ipv4Addr>,
        /// Addresses of the platform.
        wanted: Vec<Ipv4Addr>,
    },
    /// DNS has no address for it.
    Nowhere {
        /// Addresses of the platform.
        wanted: Vec<Ipv4Addr>,
    },
}
