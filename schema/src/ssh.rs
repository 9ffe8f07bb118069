//! `[ssh]`: the SSH router before all servers.
//!
//! Owns its port on the machine, and whom it treats with patience. Who may log in is the members' and servers' files'.

use std::num::NonZeroU16;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::Serialize;

use crate::fields::{At, Fields};
use crate::json_schema::Network;
use crate::name::Invalid;
use crate::web::Web;

/// The SSH router before all servers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(default)]
pub struct Ssh {
    /// The machine's port for SSH to servers. 22 is the machine's own, unless that was moved.
    pub port: NonZeroU16,
    /// Networks in which many people share an address, such as a school's: there nobody is kept waiting for what
    /// somebody else got wrong.
    #[schemars(with = "Vec<Network>")]
    pub exempt: Vec<IpNet>,
}

impl Default for Ssh {
    fn default() -> Self {
        Self { port: NonZeroU16::MIN.saturating_add(10_021), exempt: Vec::new() }
    }
}

impl Ssh {
    pub(crate) fn read(fields: &mut Fields<'_, '_>, web: &Web) -> Self {
        let default = Self::default();
        let port = fields.optional::<NonZeroU16>("port");
        let at = port.as_ref().map(|port| port.at);
        let port = port.map_or(default.port, |found| found.value);
        if [web.http_port, web.https_port].contains(&port) {
            let message = format!("the web server has the port {port} already");
            fields.found().error(at, Invalid::new(message, "give SSH another with `ssh.port`"));
        }
        let exempt = fields.list::<IpNet>("exempt");
        for found in exempt.iter().flatten().filter(|found| found.value.prefix_len() == 0) {
            let message = format!("`{}` is everybody, guessers of passwords included", found.value);
            let hint = "list the networks in which many people share an address";
            fields.found().error(Some(found.at), Invalid::new(message, hint));
        }
        let networks = |list: Vec<At<IpNet>>| list.into_iter().map(|found| found.value).collect();
        Self { port, exempt: exempt.map_or(default.exempt, networks) }
    }
}
