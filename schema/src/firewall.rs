//! The firewall of the user plane: destinations that servers may not reach, limits on the rest, and exceptions for
//! single servers.
//!
//! Owns which destinations are closed whatever a state says, and which of them an exception can't open. Nothing here is
//! about IPv6: servers have none.

use std::collections::BTreeSet;
use std::fmt;
use std::net::Ipv4Addr;
use std::num::NonZeroU32;
use std::str::FromStr;

use ipnet::Ipv4Net;
use schemars::JsonSchema;
use serde::{Serialize, Serializer};
use toml::de::DeValue;

use crate::fields::{At, Fields};
use crate::invalid::Invalid;
use crate::json_schema::written::written_as;
use crate::json_schema::written::{Address, Ipv4Network};
use crate::network::{Networks, overlap};
use crate::text::shown;
use crate::value::{Value, integer, text_values};

/// Limits on what servers may reach, and on how much of it. IPv6 is closed altogether.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(default)]
pub struct Firewall {
    /// IPv4 networks that servers may not reach, besides the private ones, which they never may.
    #[schemars(with = "Vec<Ipv4Network>")]
    pub deny: Vec<Ipv4Net>,
    /// The resolvers that the gateway asks for names.
    #[schemars(with = "Vec<Address>", length(min = 1))]
    pub dns: Vec<Ipv4Addr>,
    /// Connections that one server may have open to the internet and the image cache.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub connections: NonZeroU32,
    /// Connections that one server may open in a second.
    #[schemars(range(min = 1, max = 10_000))]
    pub new_connections: NonZeroU32,
    /// Names that one server may ask for in a second.
    #[schemars(range(min = 1, max = 10_000))]
    pub dns_queries: NonZeroU32,
    /// Gives the host rules of the platform's too, in chains of their own: traffic from the uplink reaches the
    /// platform's published ports and the internet, and nothing else.
    pub host_rules: bool,
}

/// An exception for one server: a destination that the firewall would refuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Exception {
    /// Destination.
    pub network: Ipv4Net,
    /// Ports of the destination; all by default.
    pub ports: Option<Ports>,
    /// Protocol; both by default.
    pub protocol: Option<Protocol>,
}

/// Ports, from the first to the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ports {
    /// The first.
    pub first: u16,
    /// The last; the same for a single port.
    pub last: u16,
}

/// A protocol that has ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// Networks that no server reaches unless an exception says so (RFC 6890 and the address of Azure's platform services).
const CLOSED: [Ipv4Net; 10] = [
    net([0, 0, 0, 0], 8),
    net([10, 0, 0, 0], 8),
    net([100, 64, 0, 0], 10),
    net([127, 0, 0, 0], 8),
    net([168, 63, 129, 16], 32),
    net([169, 254, 0, 0], 16),
    net([172, 16, 0, 0], 12),
    net([192, 0, 0, 0], 24),
    net([192, 168, 0, 0], 16),
    net([198, 18, 0, 0], 15),
];
/// Multicast, reserved and broadcast addresses.
const UNROUTED: Ipv4Net = net([224, 0, 0, 0], 3);

/// Networks that no exception opens: those that are nobody's, and those at which a cloud tells a machine its secrets.
const NEVER: [(Ipv4Net, &str); 5] = [
    (net([0, 0, 0, 0], 8), "no network at all"),
    (net([127, 0, 0, 0], 8), "loopback"),
    (net([168, 63, 129, 16], 32), "the cloud's metadata"),
    (net([169, 254, 0, 0], 16), "link-local, and the cloud's metadata"),
    (UNROUTED, "multicast or reserved"),
];

/// The most rules that one server may add to those that each refused packet is compared with.
const EXCEPTIONS_MAX: usize = 64;

const fn net(octets: [u8; 4], length: u8) -> Ipv4Net {
    let [a, b, c, d] = octets;
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), length)
}

impl Default for Firewall {
    fn default() -> Self {
        let number = |number: u32| NonZeroU32::MIN.saturating_add(number - 1);
        Self {
            deny: Vec::new(),
            dns: vec![Ipv4Addr::new(8, 8, 8, 8), Ipv4Addr::new(1, 1, 1, 1)],
            connections: number(4000),
            new_connections: number(200),
            dns_queries: number(100),
            host_rules: true,
        }
    }
}

impl Firewall {
    /// Returns the networks that servers may not reach, sorted, without those that lie within another.
    pub fn denied(&self) -> Vec<Ipv4Net> {
        let all = CLOSED.into_iter().chain([UNROUTED]).chain(self.deny.iter().copied());
        Ipv4Net::aggregate(&all.collect())
    }

    pub(crate) fn read(fields: &mut Fields<'_, '_>, networks: &Networks) -> Self {
        let default = Self::default();
        let deny = fields.list::<Destination>("deny").unwrap_or_default();
        let dns = fields.list::<Resolver>("dns");
        if dns.as_ref().is_some_and(Vec::is_empty) {
            let message = "`dns` names no resolver, so servers could look up no name";
            fields.found().error(None, Invalid::new(message, "write one at least, or leave the line out"));
        }
        for At { value: Resolver(address), at } in dns.iter().flatten() {
            if let Some((name, own)) = networks.all().into_iter().find(|(_, own)| own.contains(address)) {
                let message =
                    format!("`{address}` is in {own}, which is the platform's own (`networks.{name}`)");
                fields.found().error(Some(*at), Invalid::new(message, RESOLVER_WANTED));
            }
        }
        let mut limit = |key, highest, default| {
            let found = fields.optional_if(key, |Limit(number)| check_limit(*number, highest));
            found.map_or(default, |found| found.value.0)
        };
        Self {
            connections: limit("connections", 1_000_000, default.connections),
            new_connections: limit("new_connections", 10_000, default.new_connections),
            dns_queries: limit("dns_queries", 10_000, default.dns_queries),
            deny: deny.into_iter().map(|network| network.value.0).collect(),
            dns: dns.map_or(default.dns, |list| list.into_iter().map(|address| address.value.0).collect()),
            host_rules: fields.value("host_rules").unwrap_or(default.host_rules),
        }
    }
}

/// A number that a limit can be.
#[derive(Debug, Clone, Copy)]
struct Limit(NonZeroU32);

impl Value for Limit {
    const WANTED: &'static str = "a whole number without quotes, such as 200";
    fn read(value: &DeValue<'_>) -> Option<Result<Self, Invalid>> {
        Some(integer(value)?.and_then(|number| {
            let limit = u32::try_from(number).ok().and_then(NonZeroU32::new).map(Self);
            limit.ok_or_else(|| {
                Invalid::new(format!("{number} is not a limit"), "write a whole number from 1 on")
            })
        }))
    }
}

fn check_limit(number: NonZeroU32, highest: u32) -> Result<(), Invalid> {
    if number.get() <= highest {
        return Ok(());
    }
    Err(Invalid::new(format!("{number} is more than a limit can be"), format!("write at most {highest}")))
}

/// An IPv4 network anywhere.
#[derive(Debug, Clone, Copy)]
struct Destination(Ipv4Net);

impl FromStr for Destination {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        if text.parse::<ipnet::Ipv6Net>().is_ok() || text.parse::<std::net::Ipv6Addr>().is_ok() {
            let message = format!("`{}` is IPv6, which servers don't have", shown(text));
            return Err(Invalid::new(message, "remove it: IPv6 is closed altogether"));
        }
        let Ok(network) = text.parse::<Ipv4Net>() else {
            let message = format!("`{}` is not an IPv4 network", shown(text));
            return Err(Invalid::new(
                message,
                "write address and prefix length, such as \"192.0.2.0/24\"; a single address has /32",
            ));
        };
        if network != network.trunc() {
            let message = format!("`{network}` is an address in a network, not the network");
            return Err(Invalid::new(message, format!("write \"{}\"", network.trunc())));
        }
        Ok(Self(network))
    }
}

const RESOLVER_WANTED: &str =
    "write the IPv4 address of a resolver that this machine can reach, such as \"9.9.9.9\"";

/// The address of a resolver.
#[derive(Debug, Clone, Copy)]
struct Resolver(Ipv4Addr);

impl FromStr for Resolver {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let Ok(address) = text.parse::<Ipv4Addr>() else {
            return Err(Invalid::new(format!("`{}` is not an IPv4 address", shown(text)), RESOLVER_WANTED));
        };
        // The gateway asks from a network of its own, where the host's loopback is not.
        if address.is_loopback() || address.is_unspecified() || UNROUTED.contains(&address) {
            return Err(Invalid::new(format!("no resolver can be reached at `{address}`"), RESOLVER_WANTED));
        }
        Ok(Self(address))
    }
}

impl fmt::Display for Exception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.network)?;
        match self.ports {
            Some(Ports { first, last }) if first == last => write!(f, ":{first}")?,
            Some(Ports { first, last }) => write!(f, ":{first}-{last}")?,
            None => {}
        }
        match self.protocol {
            Some(Protocol::Tcp) => f.write_str("/tcp"),
            Some(Protocol::Udp) => f.write_str("/udp"),
            None => Ok(()),
        }
    }
}

impl Serialize for Exception {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

const HOW: &str = "write network, ports and protocol, such as \"10.1.2.3/32:5432/tcp\"; \
                   the last two may be left out, and ports may be a range such as 8000-8010";

impl FromStr for Exception {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let refuse = |what: &str| Invalid::new(format!("`{}` {what}", shown(text)), HOW);
        if text.matches(':').count() > 1 {
            return Err(Invalid::new(
                format!("`{}` is not an exception for IPv4", shown(text)),
                "remove it: IPv6 is closed altogether",
            ));
        }
        let (rest, protocol) = match text.rsplit_once('/') {
            Some((rest, name)) if !name.starts_with(|c: char| c.is_ascii_digit()) => match name {
                "tcp" => (rest, Some(Protocol::Tcp)),
                "udp" => (rest, Some(Protocol::Udp)),
                _ => return Err(refuse("has a protocol that is neither tcp nor udp")),
            },
            _ => (text, None),
        };
        let (network, ports) = match rest.split_once(':') {
            Some((network, ports)) => {
                (network, Some(read_ports(ports).ok_or_else(|| refuse("has no such ports"))?))
            }
            None => (rest, None),
        };
        let Destination(network) = network.parse()?;
        for (never, what) in NEVER {
            if overlap(&network, &never) {
                let message = format!("`{network}` can't be opened: {never} is {what}");
                return Err(Invalid::new(message, "name the networks that the server needs, and no more"));
            }
        }
        Ok(Self { network, ports, protocol })
    }
}

fn read_ports(text: &str) -> Option<Ports> {
    let port = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u16>().ok().filter(|port| digits && *port > 0)
    };
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let ports = Ports { first: port(first)?, last: port(last)? };
    (ports.first <= ports.last).then_some(ports)
}

written_as! {
    Exception: {
        "type": "string",
        "pattern": "^([0-9]{1,3}\\.){3}[0-9]{1,3}/[0-9]{1,2}(:[0-9]{1,5}(-[0-9]{1,5})?)?(/(tcp|udp))?$",
        "examples": ["10.1.2.3/32:5432/tcp", "192.168.7.0/24"],
    },
}

text_values! {
    Destination: "networks in quotes, such as \"192.0.2.0/24\"",
    Resolver: "addresses in quotes, such as \"9.9.9.9\"",
    Exception: "a destination in quotes, such as \"10.1.2.3/32:5432/tcp\"",
}

/// The exceptions of a server without repetitions, which are worth a warning.
pub(crate) fn keep_exceptions(listed: &[At<Exception>], fields: &mut Fields<'_, '_>) -> Vec<Exception> {
    let mut seen = BTreeSet::new();
    let mut kept = Vec::with_capacity(listed.len());
    for At { value, at } in listed {
        if seen.insert(*value) {
            kept.push(*value);
        } else {
            let message = format!("`{value}` is listed twice");
            fields.found().warning(Some(*at), Invalid::new(message, "remove it from `allow`"));
        }
    }
    if let Some(beyond) = listed.get(EXCEPTIONS_MAX) {
        let message = format!("a server can have {EXCEPTIONS_MAX} exceptions, and this is one more");
        let hint = "name wider networks, or ranges of ports";
        fields.found().error(Some(beyond.at), Invalid::new(message, hint));
    }
    kept
}

/// Refuses an exception that would lead into one of the platform's own networks.
pub(crate) fn refuse_own(exception: &Exception, networks: &Networks) -> Option<Invalid> {
    let own = networks.all().into_iter().find(|(_, own)| overlap(&exception.network, own));
    own.map(|(name, own)| {
        let message = format!(
            "`{}` can't be opened: {own} is the platform's own (`networks.{name}`)",
            exception.network
        );
        Invalid::new(message, "name the networks that the server needs, and no more")
    })
}
