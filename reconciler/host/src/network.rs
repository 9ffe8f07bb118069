//! Networks that addresses belong to, as far as attempts are counted: whoever has one address has its neighbours too.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Returns the network of an address: the first `bits` of an IPv4 address, or an IPv6 subscriber's /64.
pub fn network_of(address: IpAddr, bits: u8) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let kept = u32::MAX.checked_shl(32_u32.saturating_sub(bits.into())).unwrap_or_default();
            Ipv4Addr::from(u32::from(v4) & kept).into()
        }
        IpAddr::V6(v6) => Ipv6Addr::from(u128::from(v6) & !u128::from(u64::MAX)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_one_network() {
        let of = |address: &str, bits| network_of(address.parse().unwrap(), bits).to_string();
        assert_eq!([32, 24, 0].map(|bits| of("192.0.2.77", bits)), ["192.0.2.77", "192.0.2.0", "0.0.0.0"]);
        assert_eq!(of("::ffff:192.0.2.77", 24), "192.0.2.0");
        assert_eq!(of("2001:db8:0:1:2:3:4:5", 24), "2001:db8:0:1::");
    }
}
