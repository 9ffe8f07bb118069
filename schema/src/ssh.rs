//! `[ssh]`: the SSH router before all servers.
//!
//! Owns its port on the machine, and the networks that it treats with patience. The files of members and servers decide
//! who may log in.

use std::net::Ipv4Addr;
use std::num::NonZeroU16;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fields::{At, Fields};
use crate::invalid::Invalid;
use crate::json_schema::written::{Address, Network};
use crate::listen::Place;
use crate::user::{Role, User};
use crate::value::choice_values;
use crate::web::Web;

/// The SSH router before all servers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(default)]
pub struct Ssh {
    /// The machine's address at which it listens, over IPv4. Without one, at all of them.
    #[schemars(with = "Option<Address>")]
    pub address: Option<Ipv4Addr>,
    /// The machine's port for SSH to servers. 22 is the machine's own, unless that was moved.
    pub port: NonZeroU16,
    /// Networks in which many people share an address, such as a school's: there nobody is kept waiting for what
    /// somebody else got wrong.
    #[schemars(with = "Vec<Network>")]
    pub exempt: Vec<IpNet>,
    /// People whose password opens their servers. Nobody's does who has a second factor, since SSH asks for none.
    pub passwords: SshPasswords,
}

/// People whose password opens their servers over SSH. Keys open them for everybody.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SshPasswords {
    /// Everybody.
    #[default]
    Everybody,
    /// Everybody but admins.
    Members,
    /// Nobody.
    Nobody,
}

choice_values! {
    SshPasswords, "a group of people": "\"everybody\", \"members\" or \"nobody\"",
}

impl Default for Ssh {
    fn default() -> Self {
        Self {
            address: None,
            port: NonZeroU16::MIN.saturating_add(10_021),
            exempt: Vec::new(),
            passwords: SshPasswords::default(),
        }
    }
}

impl Ssh {
    /// Place at which it listens.
    pub(crate) fn place(&self) -> Place {
        Place { address: self.address.map(Into::into), port: self.port, owner: "SSH router" }
    }

    pub(crate) fn read(fields: &mut Fields<'_, '_>, web: &Web) -> Self {
        let default = Self::default();
        let port = fields.optional::<NonZeroU16>("port");
        let at = port.as_ref().map(|port| port.at);
        let port = port.map_or(default.port, |found| found.value);
        let address = fields.value("address");
        let own = Self { address, port, ..Self::default() }.place();
        if let Some(taken) = web.places().iter().find(|taken| taken.clashes(&own)) {
            let hint = "give SSH another with `ssh.port`, or give both an address of their own (`web.address`, `ssh.address`)";
            fields.found().error(at, Invalid::new(taken.is_taken(), hint));
        }
        let exempt = fields.list::<IpNet>("exempt");
        for found in exempt.iter().flatten().filter(|found| found.value.prefix_len() == 0) {
            let message = format!("`{}` is everybody, guessers of passwords included", found.value);
            let hint = "list the networks in which many people share an address";
            fields.found().error(Some(found.at), Invalid::new(message, hint));
        }
        let networks = |list: Vec<At<IpNet>>| list.into_iter().map(|found| found.value).collect();
        let passwords = fields.value("passwords").unwrap_or_default();
        Self { address, port, exempt: exempt.map_or(default.exempt, networks), passwords }
    }

    /// The hash of the password by which somebody opens servers; `None` where theirs opens none.
    pub fn password_of<'u>(&self, user: &'u User) -> Option<&'u str> {
        let is_open = match self.passwords {
            SshPasswords::Everybody => true,
            SshPasswords::Members => user.role != Role::Admin,
            SshPasswords::Nobody => false,
        };
        user.password_hash.as_deref().filter(|_| is_open && user.second_factor.is_none())
    }
}
