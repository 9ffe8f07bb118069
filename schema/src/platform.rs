//! `platform.toml`: the settings of the whole platform.

use std::num::NonZeroU32;

use ipnet::{IpNet, Ipv4Net};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::name::{Fqdn, ImageRef, Prefix};
use crate::quantity::{Bytes, Cpus, Span};
use crate::user::Quota;

/// The settings of the whole platform.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Platform {
    /// The name under which members reach the platform; their subdomains lie below it.
    pub domain: Fqdn,
    /// Names every object that the platform makes; two platforms on one host differ in it.
    pub prefix: Prefix,
    /// How a server is kept from the host.
    pub isolation: Isolation,
    /// Where certificates come from.
    pub acme: Acme,
    /// The subnets.
    pub networks: Networks,
    /// The images.
    pub images: Images,
    /// Who may reach what.
    pub access: Access,
    /// What a server gets that doesn't say.
    pub defaults: Defaults,
    /// What a member may use whose file doesn't say.
    pub quota: Quota,
    /// How long removed things are kept.
    pub retention: Retention,
    /// How much one revision may remove.
    pub removal_budget: RemovalBudget,
}

/// How a server is kept from the host (docs/isolation.md).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Isolation {
    /// A user namespace: root in a server is nobody on the host.
    #[default]
    Userns,
    /// The Sysbox runtime, where it is installed.
    Sysbox,
    /// Capabilities without a user namespace: root in a server is root on the host.
    Capabilities,
}

/// Where certificates come from (RFC 8555).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Acme {
    /// The contact that the CA is given.
    pub email: Option<String>,
    /// The CA's directory URL.
    pub directory: String,
}

/// The platform's subnets. They may not overlap.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Networks {
    /// `filtered-users`: one address per server, from `.16` on; below are the platform's own.
    pub users: Ipv4Net,
    /// `external`: the uplink.
    pub external: Ipv4Net,
    /// `isolated-control-panel`.
    pub control_panel: Ipv4Net,
    /// `isolated-control-docker`.
    pub control_docker: Ipv4Net,
}

/// The images that containers are made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Images {
    /// A server that doesn't name one gets this when it is created, and keeps it.
    pub server: ImageRef,
    /// The holder of the user plane's network namespace.
    pub holder: ImageRef,
}

/// Who may reach what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Access {
    /// Networks that may open the panel; empty means everybody.
    pub panel: Vec<IpNet>,
    /// Labels below the platform's domain that no member may take.
    pub reserved: Vec<String>,
}

/// What a server gets that doesn't say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Defaults {
    /// Processor time.
    pub cpus: Cpus,
    /// Memory.
    pub memory: Bytes,
    /// Processes and threads.
    pub pids: NonZeroU32,
    /// Disk.
    pub disk: Bytes,
}

/// How long removed things are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Retention {
    /// A removed server's tombstone, before its data is purged.
    pub servers: Span,
}

/// How much one revision may remove. Both are ceilings: the lower one holds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct RemovalBudget {
    /// The share of all servers, 0 to 1, rounded up.
    pub share: f64,
    /// The number of servers.
    pub count: u32,
}

impl RemovalBudget {
    /// How many of `owned` servers one revision may remove.
    pub fn allowed(&self, owned: usize) -> usize {
        // `share` is within 0..=1, so the product is within 0..=owned.
        let by_share = (self.share * owned as f64).ceil() as usize;
        by_share.min(self.count as usize)
    }
}
