//! Threats: ways in which a hostile server might harm others. Each is a line of the doctor's second table, and has
//! attempts that show it. Ways that must work are no threats, and stand among the attempts alone.

use std::fmt;

use serde::Serialize;

/// An aim of hostile root in a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Threat {
    /// Out by the uplink's bridge instead of the gateway, one-way too.
    BridgeRoute,
    /// SSH, the engine's API and whatever else listens on the machine.
    MachinePorts,
    /// The machine over IPv6.
    MachineIpv6,
    /// Published ports, of others and at addresses that aren't for servers.
    PublishedPorts,
    /// A panel at the uplink, by the machine and the gateway.
    Panel,
    /// Caddy, the SSH router or the image cache as a router.
    ServiceAsRouter,
    /// The other addresses of services, by their link.
    ServiceAddresses,
    /// The ports of services, such as Caddy's administration.
    ServicePorts,
    /// Another server, by what is routed.
    EastWest,
    /// Another server, by what isn't.
    EastWestFrames,
    /// ARP that tells a server lies.
    PoisonServer,
    /// ARP that tells Caddy lies.
    PoisonCaddy,
    /// ARP that tells the gateway lies.
    PoisonGateway,
    /// The address of another server, or of a service.
    OthersAddress,
    /// An address of somebody else's.
    ForeignSource,
    /// Hardware addresses of others, and thousands of them.
    StolenHardware,
    /// Being an IPv6 router.
    RouterAdvertisement,
    /// Private networks.
    PrivateNetworks,
    /// Metadata, carriers' and test networks, mail.
    SpecialNetworks,
    /// The gateway's own ports.
    GatewayPorts,
    /// Claims about addresses in great numbers.
    ArpFlood,
    /// Questions in great numbers.
    NameFlood,
    /// Answers that lead into private networks.
    Rebinding,
    /// Connections in great numbers.
    ConnectionFlood,
    /// Neighbours in great numbers.
    NeighbourFlood,
    /// A server whose link isn't made yet.
    Unlinked,
    /// Learning others' names.
    Names,
    /// Taking all that the kernel gives of something.
    OthersShare,
}

impl Threat {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 28] = [
        Self::BridgeRoute,
        Self::MachinePorts,
        Self::MachineIpv6,
        Self::PublishedPorts,
        Self::Panel,
        Self::ServiceAsRouter,
        Self::ServiceAddresses,
        Self::ServicePorts,
        Self::EastWest,
        Self::EastWestFrames,
        Self::PoisonServer,
        Self::PoisonCaddy,
        Self::PoisonGateway,
        Self::OthersAddress,
        Self::ForeignSource,
        Self::StolenHardware,
        Self::RouterAdvertisement,
        Self::PrivateNetworks,
        Self::SpecialNetworks,
        Self::GatewayPorts,
        Self::ArpFlood,
        Self::NameFlood,
        Self::Rebinding,
        Self::ConnectionFlood,
        Self::NeighbourFlood,
        Self::Unlinked,
        Self::Names,
        Self::OthersShare,
    ];
}

impl fmt::Display for Threat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BridgeRoute => "out by the uplink's bridge, past the gateway",
            Self::MachinePorts => "the machine's own ports, at each of its addresses",
            Self::MachineIpv6 => "the machine over IPv6",
            Self::PublishedPorts => "published ports that aren't for servers",
            Self::Panel => "a panel, by the machine or the gateway",
            Self::ServiceAsRouter => "a service as a router",
            Self::ServiceAddresses => "a service's other addresses, by its link",
            Self::ServicePorts => "services' ports, their administration too",
            Self::EastWest => "another server, by IPv4 and IPv6",
            Self::EastWestFrames => "another server, by VLANs, LLC and unknown protocols",
            Self::PoisonServer => "lies to another server (ARP)",
            Self::PoisonCaddy => "lies to Caddy (ARP)",
            Self::PoisonGateway => "lies to the gateway (ARP, ICMP)",
            Self::OthersAddress => "another server's or a service's address as the sender's",
            Self::ForeignSource => "a stranger's address as the sender's",
            Self::StolenHardware => "others' hardware addresses, and thousands of them",
            Self::RouterAdvertisement => "being everybody's IPv6 router",
            Self::PrivateNetworks => "private networks",
            Self::SpecialNetworks => "metadata, carriers' and test networks, mail",
            Self::GatewayPorts => "the gateway's ports, at each of its addresses",
            Self::ArpFlood => "a flood of claims about addresses",
            Self::NameFlood => "a flood of questions for names",
            Self::Rebinding => "a name that leads into a private network",
            Self::ConnectionFlood => "a flood of connections",
            Self::NeighbourFlood => "a flood of neighbours",
            Self::Unlinked => "a server that has no link yet",
            Self::Names => "others' names",
            Self::OthersShare => "others' share of what the kernel counts",
        })
    }
}
