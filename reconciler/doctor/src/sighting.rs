//! Sightings: the facts that a witness reads from a frame, which are whose it is, by its token, and where it goes. Pure.

use std::net::Ipv4Addr;

use crate::frame::{IPV4, PROVIDER_VLAN, VLAN};

/// A packet that a witness has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Sighting {
    /// The number of the attempt whose token is in it.
    pub(crate) token: Option<u16>,
    /// Source and target of a packet that opens a TCP connection, which has no room for a token.
    pub(crate) opens: Option<(Ipv4Addr, Ipv4Addr, u16)>,
}

/// The tokens of a run. Each begins with the same text, and the number of its attempt follows in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tokens(String);

impl Tokens {
    /// Makes tokens that no other run has.
    pub(crate) fn new(random: u32) -> Self {
        Self(format!("berth-{random:08x}-"))
    }

    /// Returns the token of an attempt.
    pub(crate) fn of(&self, number: u16) -> String {
        format!("{}{number:04x}", self.0)
    }

    /// Returns the number of the attempt whose token is in `bytes`.
    pub(crate) fn number_in(&self, bytes: &[u8]) -> Option<u16> {
        let beginning = self.0.as_bytes();
        let at = bytes.windows(beginning.len()).position(|window| window == beginning)? + beginning.len();
        let digits = std::str::from_utf8(bytes.get(at..at + 4)?).ok()?;
        u16::from_str_radix(digits, 16).ok()
    }

    /// Reads a frame; `None` when it has nothing to do with any attempt.
    pub(crate) fn sighting(&self, frame: &[u8]) -> Option<Sighting> {
        let sighting = Sighting { token: self.number_in(frame), opens: opening(frame) };
        (sighting.token.is_some() || sighting.opens.is_some()).then_some(sighting)
    }
}

/// Reads source and target of a frame that opens a TCP connection.
fn opening(frame: &[u8]) -> Option<(Ipv4Addr, Ipv4Addr, u16)> {
    const TCP: u8 = 6;
    let kind = |at: usize| frame.get(at..at + 2).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]));
    let mut at = 12;
    while matches!(kind(at)?, VLAN | PROVIDER_VLAN) {
        at += 4;
    }
    let packet = frame.get(at + 2..).filter(|_| kind(at) == Some(IPV4))?;
    let header = usize::from(*packet.first()? & 0x0f) * 4;
    if *packet.get(9)? != TCP {
        return None;
    }
    let address = |at: usize| <[u8; 4]>::try_from(packet.get(at..at + 4)?).ok().map(Ipv4Addr::from);
    let segment = packet.get(header..)?;
    // SYN without ACK. Of a packet in fragments the first may be too short for flags, and is one that opens all the same.
    let opens = segment.get(13).is_none_or(|flags| flags & 0x12 == 0x02);
    let port = u16::from_be_bytes([*segment.get(2)?, *segment.get(3)?]);
    opens.then_some((address(12)?, address(16)?, port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{self, BROADCAST};

    const A: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
    const B: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

    #[test]
    fn a_token_is_found_wherever_it_stands() {
        let tokens = Tokens::new(7);
        let token = tokens.of(0x1f);
        let frame = frame::ethernet(BROADCAST, [2; 6], frame::EXPERIMENT, format!("..{token}").as_bytes());
        assert_eq!(tokens.sighting(&frame), Some(Sighting { token: Some(0x1f), opens: None }));
        assert_eq!(Tokens::new(8).sighting(&frame), None, "another run's");
        assert_eq!(tokens.sighting(&frame[..frame.len() - 1]), None, "cut off");
    }

    #[test]
    fn a_connection_is_seen_to_be_opened_under_tags_too() {
        let packet = frame::tcp_open((A, 1000), (B, 25), b"");
        let frame = frame::ethernet(BROADCAST, [2; 6], IPV4, &packet);
        let tagged = frame::tagged(&frame, &[(PROVIDER_VLAN, 5), (VLAN, 6)]);
        for frame in [frame, tagged] {
            let seen = Tokens::new(7).sighting(&frame).and_then(|sighting| sighting.opens);
            assert_eq!(seen, Some((A, B, 25)));
        }
        let datagram = frame::ethernet(BROADCAST, [2; 6], IPV4, &frame::udp((A, 1), (B, 2), b"x"));
        assert_eq!(Tokens::new(7).sighting(&datagram), None);
    }
}
