//! Frames, byte by byte, as a hostile root puts them on its link without asking its kernel. Pure.

use std::net::{Ipv4Addr, Ipv6Addr};

/// A hardware address.
pub(crate) type Mac = [u8; 6];

/// The address of everybody on a wire.
pub(crate) const BROADCAST: Mac = [0xff; 6];

pub(crate) const IPV4: u16 = 0x0800;
pub(crate) const ARP: u16 = 0x0806;
pub(crate) const IPV6: u16 = 0x86dd;
/// A customer's VLAN tag (IEEE 802.1Q).
pub(crate) const VLAN: u16 = 0x8100;
/// A provider's VLAN tag (IEEE 802.1ad).
pub(crate) const PROVIDER_VLAN: u16 = 0x88a8;
/// A protocol for experiments (IEEE 802, local experimental), which no firewall knows.
pub(crate) const EXPERIMENT: u16 = 0x88b5;

const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;

/// A frame.
pub(crate) fn ethernet(to: Mac, from: Mac, kind: u16, payload: &[u8]) -> Vec<u8> {
    [&to[..], &from, &kind.to_be_bytes(), payload].concat()
}

/// A frame of IEEE 802.3 with a header of IEEE 802.2, as spanning trees speak.
pub(crate) fn llc(to: Mac, from: Mac, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len() + 3).unwrap_or(u16::MAX);
    [&to[..], &from, &length.to_be_bytes(), &[0x42, 0x42, 0x03], payload].concat()
}

/// Puts tags of VLANs in front of a frame's payload: the outermost first.
pub(crate) fn tagged(frame: &[u8], tags: &[(u16, u16)]) -> Vec<u8> {
    let mut tagged = frame[..12].to_vec();
    for (kind, number) in tags {
        tagged.extend(kind.to_be_bytes());
        tagged.extend(number.to_be_bytes());
    }
    tagged.extend(&frame[12..]);
    tagged
}

/// A claim about who has an address: an answer that nobody asked for.
pub(crate) fn arp_claim(to: Mac, from: Mac, address: Ipv4Addr, asked_by: Ipv4Addr, mark: &[u8]) -> Vec<u8> {
    arp(2, to, from, address, asked_by, mark)
}

/// A question for an address.
pub(crate) fn arp_question(from: Mac, address: Ipv4Addr, wanted: Ipv4Addr, mark: &[u8]) -> Vec<u8> {
    arp(1, BROADCAST, from, address, wanted, mark)
}

fn arp(operation: u8, to: Mac, from: Mac, address: Ipv4Addr, other: Ipv4Addr, mark: &[u8]) -> Vec<u8> {
    let head = [0, 1, 8, 0, 6, 4, 0, operation];
    // What follows the message is padding, which nobody reads.
    let message = [&head[..], &from, &address.octets(), &to, &other.octets(), mark].concat();
    ethernet(to, from, ARP, &message)
}

/// The header of an IPv4 packet, apart from what it carries.
#[derive(Debug, Clone)]
pub(crate) struct Ipv4 {
    pub(crate) from: Ipv4Addr,
    pub(crate) to: Ipv4Addr,
    pub(crate) protocol: u8,
    /// Flags and offset of a fragment, as they stand in the header.
    pub(crate) fragment: u16,
    /// Options, of a length that is a multiple of four.
    pub(crate) options: Vec<u8>,
}

impl Ipv4 {
    /// A packet of some protocol.
    pub(crate) fn new(from: Ipv4Addr, to: Ipv4Addr, protocol: u8) -> Self {
        Self { from, to, protocol, fragment: 0, options: Vec::new() }
    }

    /// The way that the packet shall take besides its own (loose source and record route, RFC 791).
    pub(crate) fn by_way_of(mut self, hop: Ipv4Addr) -> Self {
        let target = std::mem::replace(&mut self.to, hop);
        self.options = [&[131, 7, 4][..], &target.octets(), &[0]].concat();
        self
    }

    /// The packet.
    pub(crate) fn carrying(&self, payload: &[u8]) -> Vec<u8> {
        let words = 5 + self.options.len() / 4;
        let length = u16::try_from(words * 4 + payload.len()).unwrap_or(u16::MAX);
        let mut header = vec![0x40 | words as u8, 0];
        header.extend(length.to_be_bytes());
        header.extend([0x62, 0x65]);
        header.extend(self.fragment.to_be_bytes());
        header.extend([64, self.protocol, 0, 0]);
        header.extend(self.from.octets());
        header.extend(self.to.octets());
        header.extend(&self.options);
        let sum = checksum(&[&header]);
        header[10..12].copy_from_slice(&sum.to_be_bytes());
        [&header[..], payload].concat()
    }
}

/// A UDP packet over IPv4.
pub(crate) fn udp(from: (Ipv4Addr, u16), to: (Ipv4Addr, u16), payload: &[u8]) -> Vec<u8> {
    Ipv4::new(from.0, to.0, UDP).carrying(&udp_datagram(from, to, payload))
}

/// A UDP datagram without the packet around it.
pub(crate) fn udp_datagram(from: (Ipv4Addr, u16), to: (Ipv4Addr, u16), payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(8 + payload.len()).unwrap_or(u16::MAX);
    let mut datagram = Vec::new();
    datagram.extend(from.1.to_be_bytes());
    datagram.extend(to.1.to_be_bytes());
    datagram.extend(length.to_be_bytes());
    datagram.extend([0, 0]);
    datagram.extend(payload);
    let sum = checksum(&[&pseudo_header(from.0, to.0, UDP, length), &datagram]);
    datagram[6..8].copy_from_slice(&sum.to_be_bytes());
    datagram
}

/// A packet that opens a TCP connection, with data in it already.
pub(crate) fn tcp_open(from: (Ipv4Addr, u16), to: (Ipv4Addr, u16), payload: &[u8]) -> Vec<u8> {
    Ipv4::new(from.0, to.0, TCP).carrying(&tcp_segment(from, to, payload))
}

/// The segment of [`tcp_open`] without the packet around it.
pub(crate) fn tcp_segment(from: (Ipv4Addr, u16), to: (Ipv4Addr, u16), payload: &[u8]) -> Vec<u8> {
    const SYN: u8 = 2;
    let mut segment = Vec::new();
    segment.extend(from.1.to_be_bytes());
    segment.extend(to.1.to_be_bytes());
    segment.extend([0x62, 0x65, 0x72, 0x74, 0, 0, 0, 0, 0x50, SYN, 0xff, 0xff, 0, 0, 0, 0]);
    segment.extend(payload);
    let length = u16::try_from(segment.len()).unwrap_or(u16::MAX);
    let sum = checksum(&[&pseudo_header(from.0, to.0, TCP, length), &segment]);
    segment[16..18].copy_from_slice(&sum.to_be_bytes());
    segment
}

/// An echo request over IPv4.
pub(crate) fn ping(from: Ipv4Addr, to: Ipv4Addr, payload: &[u8]) -> Vec<u8> {
    let mut message = [&[8, 0, 0, 0, 0x62, 0x65, 0, 1], payload].concat();
    let sum = checksum(&[&message]);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    Ipv4::new(from, to, ICMP).carrying(&message)
}

/// Cuts a packet without options into two fragments, the first with `first` bytes (a multiple of eight) of its payload.
pub(crate) fn in_fragments(header: &Ipv4, payload: &[u8], first: usize) -> [Vec<u8>; 2] {
    const MORE: u16 = 0x2000;
    let offset = u16::try_from(first / 8).unwrap_or_default();
    [
        Ipv4 { fragment: MORE, ..header.clone() }.carrying(&payload[..first]),
        Ipv4 { fragment: offset, ..header.clone() }.carrying(&payload[first..]),
    ]
}

/// A UDP packet over IPv6.
pub(crate) fn udp6(from: (Ipv6Addr, u16), to: (Ipv6Addr, u16), payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(8 + payload.len()).unwrap_or(u16::MAX);
    let ports = [from.1.to_be_bytes(), to.1.to_be_bytes(), length.to_be_bytes(), [0, 0]].concat();
    let datagram = [&ports[..], payload].concat();
    ipv6(from.0, to.0, UDP, datagram, 6)
}

/// A router that offers itself and a network (RFC 4861), from a link-local address to everybody.
pub(crate) fn router_advertisement(from: Ipv6Addr, mac: Mac, mark: &[u8]) -> Vec<u8> {
    const ICMPV6: u8 = 58;
    let mut message = vec![134, 0, 0, 0, 64, 0, 0x07, 0x08, 0, 0, 0, 0, 0, 0, 0, 0];
    // The sender's hardware address, then a network in which everybody may give itself an address.
    message.extend([1, 1]);
    message.extend(mac);
    message.extend([3, 4, 64, 0xc0, 0, 0, 0x0e, 0x10, 0, 0, 0x0e, 0x10, 0, 0, 0, 0]);
    message.extend(Ipv6Addr::new(0xfd00, 0xbad, 0, 0, 0, 0, 0, 0).octets());
    // An option that nobody knows is passed over; its length is in words of eight bytes.
    let words = (mark.len() + 2).div_ceil(8);
    message.extend([253, words as u8]);
    message.extend(mark);
    message.resize(16 + 8 + 32 + words * 8, 0);
    ipv6(from, Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1), ICMPV6, message, 2)
}

fn ipv6(from: Ipv6Addr, to: Ipv6Addr, protocol: u8, mut payload: Vec<u8>, sum_at: usize) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap_or(u16::MAX);
    let pseudo =
        [&from.octets()[..], &to.octets(), &[0, 0], &length.to_be_bytes(), &[0, 0, 0, protocol]].concat();
    let sum = checksum(&[&pseudo, &payload]);
    payload[sum_at..sum_at + 2].copy_from_slice(&sum.to_be_bytes());
    let head = [0x60, 0, 0, 0];
    [&head[..], &length.to_be_bytes(), &[protocol, 255], &from.octets(), &to.octets(), &payload].concat()
}

/// The address that a link gives itself from a hardware address (RFC 4291, appendix A).
pub(crate) fn link_local(mac: Mac) -> Ipv6Addr {
    let [a, b, c, d, e, f] = mac;
    let word = |high, low| u16::from_be_bytes([high, low]);
    Ipv6Addr::new(0xfe80, 0, 0, 0, word(a ^ 2, b), word(c, 0xff), word(0xfe, d), word(e, f))
}

fn pseudo_header(from: Ipv4Addr, to: Ipv4Addr, protocol: u8, length: u16) -> Vec<u8> {
    [&from.octets()[..], &to.octets(), &[0, protocol], &length.to_be_bytes()].concat()
}

/// The internet checksum (RFC 1071) of parts of which all but the last have an even length.
fn checksum(parts: &[&[u8]]) -> u16 {
    let mut sum = 0_u32;
    for part in parts {
        for pair in part.chunks(2) {
            sum += u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or_default()]));
        }
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
    const B: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

    #[test]
    fn a_packet_s_own_checksum_makes_its_sum_zero() {
        let packet = tcp_open((A, 1), (B, 25), b"odd");
        assert_eq!(checksum(&[&packet[..20]]), 0);
        let pseudo = pseudo_header(A, B, TCP, (packet.len() - 20) as u16);
        assert_eq!(checksum(&[&pseudo, &packet[20..]]), 0);
    }

    #[test]
    fn a_source_route_goes_to_the_hop_first() {
        let packet = Ipv4::new(A, B, UDP).by_way_of(Ipv4Addr::new(192, 0, 2, 3)).carrying(&[]);
        assert_eq!(packet[0], 0x47);
        assert_eq!(packet[16..20], [192, 0, 2, 3]);
        assert_eq!(packet[20..28], [131, 7, 4, 192, 0, 2, 2, 0]);
    }

    #[test]
    fn fragments_are_the_whole() {
        let payload: Vec<u8> = (0..40).collect();
        let [first, second] = in_fragments(&Ipv4::new(A, B, TCP), &payload, 8);
        assert_eq!([&first[20..], &second[20..]].concat(), payload);
        assert_eq!((first[6], first[7], second[6], second[7]), (0x20, 0, 0, 1));
    }

    #[test]
    fn a_link_local_address_is_made_of_the_hardware_address() {
        let address = link_local([0x02, 0x42, 172, 19, 2, 14]);
        assert_eq!(address.to_string(), "fe80::42:acff:fe13:20e");
    }
}
