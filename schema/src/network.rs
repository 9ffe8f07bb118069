//! The platform's subnets, and the address of each server in them.

use std::net::Ipv4Addr;
use std::ops::RangeInclusive;

use ipnet::Ipv4Net;
use schemars::JsonSchema;
use serde::Serialize;
use toml::de::DeValue;

use crate::fields::{At, Fields};
use crate::invalid::Invalid;
use crate::json_schema::written::Subnet;
use crate::name::ServerId;
use crate::text::shown;
use crate::value::Value;

/// The platform's subnets. They may not overlap.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(default)]
pub struct Networks {
    /// `filtered-users`: one address per server, from `.16` on; those below are the platform's own. A /24 has room for
    /// the ids 1 to 239.
    #[schemars(with = "Subnet")]
    pub users: Ipv4Net,
    /// `external`: the uplink to the internet.
    #[schemars(with = "Subnet")]
    pub external: Ipv4Net,
}

/// Addresses at the beginning of the users' subnet that are the platform's own: the network, the firewall (`.1`), the
/// web server (`.2`), the SSH router (`.3`), the image cache (`.4`), and room to grow.
const RESERVED: u32 = 16;

/// Ranges that the subnets must lie in. Docker hands out addresses in each subnet, and a public one would hide a part of
/// the internet.
const PRIVATE: [(Ipv4Addr, u8); 4] = [
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
];

/// Prefix lengths from the widest private range to the smallest subnet that holds the platform's own containers.
const PREFIX_LENGTHS: RangeInclusive<u8> = 8..=29;
/// Fields of networks that nothing was ever on. State repos that began with an earlier version's example have them.
const GONE: [&str; 2] = ["control_panel", "control_docker"];
/// The longest prefix of the users' subnet: 15 servers.
const USERS_PREFIX_LENGTH_MAX: u8 = 27;

impl Default for Networks {
    fn default() -> Self {
        let subnet = |third| Ipv4Net::new_assert(Ipv4Addr::new(172, 19, third, 0), 24);
        Self { users: subnet(2), external: subnet(1) }
    }
}

impl Networks {
    /// The firewall's address on the users' subnet, the servers' gateway: `.1`.
    pub fn gateway(&self) -> Ipv4Addr {
        self.reserved(1)
    }

    /// The web server's address on the users' subnet: `.2`.
    pub fn caddy(&self) -> Ipv4Addr {
        self.reserved(2)
    }

    /// The address from which Berth itself tries what a server may reach: `.13`.
    pub fn probe(&self) -> Ipv4Addr {
        self.reserved(13)
    }

    /// The addresses of the doctor's canaries, an attacker and its neighbour: `.14` and `.15`.
    pub fn canaries(&self) -> [Ipv4Addr; 2] {
        [self.reserved(14), self.reserved(15)]
    }

    /// The SSH router's address on the users' subnet: `.3`.
    pub fn router(&self) -> Ipv4Addr {
        self.reserved(3)
    }

    /// The image cache's address on the users' subnet: `.4`.
    pub fn cache(&self) -> Ipv4Addr {
        self.reserved(4)
    }

    /// The address of a server: the first one has `.16`. `None` when the subnet has no room for the id. It depends on
    /// the id alone, so nothing that happens to other servers moves it.
    pub fn address(&self, id: ServerId) -> Option<Ipv4Addr> {
        (id.get() <= self.capacity()).then(|| self.reserved(RESERVED - 1 + id.get()))
    }

    /// The greatest id that has an address, which is how many servers the subnet has room for.
    pub fn capacity(&self) -> u32 {
        // The last address is the broadcast one.
        addresses(self.users.prefix_len()).saturating_sub(RESERVED + 1)
    }

    /// Every subnet, with the name of its field.
    pub fn all(&self) -> [(&'static str, Ipv4Net); 2] {
        [("users", self.users), ("external", self.external)]
    }

    /// Returns the end of a hint that gives `id` an address: the present subnet widened where that is possible.
    pub(crate) fn how_to_make_room_for(&self, id: ServerId) -> String {
        let lengths = (*PREFIX_LENGTHS.start()..self.users.prefix_len()).rev();
        let mut roomy = lengths.filter(|length| addresses(*length).saturating_sub(RESERVED + 1) >= id.get());
        let Some(length) = roomy.next() else { return String::new() };
        let widened = Ipv4Net::new(self.users.network(), length).map(|subnet| subnet.trunc());
        match widened.ok().filter(|subnet| is_private(subnet) && !overlap(subnet, &self.external)) {
            Some(subnet) => format!(", or widen `networks.users` in platform.toml to \"{subnet}\""),
            None => format!(
                ", or give `networks.users` in platform.toml a subnet with a prefix length of {length}"
            ),
        }
    }

    fn reserved(&self, offset: u32) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.users.network().to_bits().saturating_add(offset))
    }

    pub(crate) fn read(fields: &mut Fields<'_, '_>) -> Self {
        let default = Self::default();
        let users = fields.optional_if("users", |subnet| check_size(subnet, USERS_PREFIX_LENGTH_MAX));
        let external = fields.optional_if("external", |subnet| check_size(subnet, *PREFIX_LENGTHS.end()));
        let own = Self {
            users: users.map_or(default.users, |found| found.value),
            external: external.map_or(default.external, |found| found.value),
        };
        refuse_overlaps(&[("users", own.users, users), ("external", own.external, external)], fields);
        for key in GONE {
            fields.obsolete(
                key,
                "take it out: Berth's processes talk over sockets, and the network is removed",
            );
        }
        own
    }
}

/// The number of addresses in a subnet; the whole internet counts as one less.
fn addresses(prefix_length: u8) -> u32 {
    u32::MAX.checked_shr(prefix_length.into()).unwrap_or(0).saturating_add(1)
}

fn is_private(subnet: &Ipv4Net) -> bool {
    PRIVATE.iter().any(|(network, length)| Ipv4Net::new_assert(*network, *length).contains(subnet))
}

pub(crate) fn overlap(one: &Ipv4Net, other: &Ipv4Net) -> bool {
    one.contains(other) || other.contains(one)
}

fn check_size(subnet: &Ipv4Net, longest: u8) -> Result<(), Invalid> {
    if subnet.prefix_len() <= longest {
        return Ok(());
    }
    Err(Invalid::new(format!("`{subnet}` is too small"), format!("use a prefix length of at most {longest}")))
}

type Named = (&'static str, Ipv4Net, Option<At<Ipv4Net>>);

fn refuse_overlaps(subnets: &[Named], fields: &mut Fields<'_, '_>) {
    for (index, (key, subnet, at)) in subnets.iter().enumerate() {
        for (other_key, other, other_at) in &subnets[..index] {
            let Some(at) = at.as_ref().or(other_at.as_ref()) else { continue };
            if overlap(subnet, other) {
                let message = format!("`{key}` ({subnet}) overlaps `{other_key}` ({other})");
                fields
                    .found()
                    .error(Some(at.at), Invalid::new(message, "choose subnets that share no address"));
            }
        }
    }
}

impl Value for Ipv4Net {
    const WANTED: &'static str = "a subnet in quotes, such as \"172.19.2.0/24\"";
    fn read(value: &DeValue<'_>) -> Option<Result<Self, Invalid>> {
        let text = value.as_str()?;
        let Ok(subnet) = text.parse::<Self>() else {
            let message = format!("`{}` is not an IPv4 subnet", shown(text));
            return Some(Err(Invalid::new(
                message,
                "write it as address and prefix length, such as \"172.19.2.0/24\"",
            )));
        };
        if subnet != subnet.trunc() {
            let message = format!("`{subnet}` is an address in a subnet, not the subnet");
            return Some(Err(Invalid::new(message, format!("write \"{}\"", subnet.trunc()))));
        }
        if !is_private(&subnet) {
            return Some(Err(Invalid::new(
                format!("`{subnet}` is not in a private range"),
                "take it from 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 or 100.64.0.0/10",
            )));
        }
        Some(Ok(subnet))
    }
}
