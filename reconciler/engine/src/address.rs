//! Addresses of this host.

use std::io;
use std::net::{IpAddr, UdpSocket};

/// Checks that this host has an address, where a socket can be bound then.
pub fn require(address: IpAddr) -> io::Result<()> {
    UdpSocket::bind((address, 0)).map(drop)
}
