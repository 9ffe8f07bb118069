//! Requests to the kernel's rtnetlink (rtnetlink(7)), one at a time, each answered before the next.

mod requests;

use std::io;
use std::time::Duration;

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkBuffer, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};
use rustix::net::sockopt::{Timeout, set_socket_timeout};

/// Time that the kernel may take for an answer. It answers at once, unless its lock on interfaces is held for long.
const PATIENCE: Duration = Duration::from_secs(5);

/// The kernel's own address.
const KERNEL: u32 = 0;

/// A socket to one network namespace: the one that its thread was in when it was opened.
#[derive(Debug)]
pub(crate) struct Netlink {
    socket: Socket,
    sequence: u32,
}

impl Netlink {
    pub(crate) fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        // Root in a container may write to any netlink socket in the container's namespace, this one too. One that is
        // connected takes messages from the kernel alone.
        socket.connect(&SocketAddr::new(KERNEL, 0))?;
        set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE))?;
        Ok(Self { socket, sequence: 0 })
    }

    /// Asks for a change. `flags` say whether it may replace what is there.
    pub(crate) fn change(&mut self, message: RouteNetlinkMessage, flags: u16) -> io::Result<()> {
        self.send(message, NLM_F_REQUEST | NLM_F_ACK | flags)?;
        self.answers().map(drop)
    }

    /// Asks for everything of a kind.
    pub(crate) fn list(&mut self, message: RouteNetlinkMessage) -> io::Result<Vec<RouteNetlinkMessage>> {
        self.send(message, NLM_F_REQUEST | NLM_F_DUMP)?;
        self.answers()
    }

    /// Asks for one thing.
    pub(crate) fn get(&mut self, message: RouteNetlinkMessage) -> io::Result<Vec<RouteNetlinkMessage>> {
        self.send(message, NLM_F_REQUEST | NLM_F_ACK)?;
        self.answers()
    }

    fn send(&mut self, message: RouteNetlinkMessage, flags: u16) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut packet = NetlinkMessage::from(message);
        packet.header.flags = flags;
        packet.header.sequence_number = self.sequence;
        packet.finalize();
        let mut bytes = vec![0; packet.buffer_len()];
        packet.serialize(&mut bytes);
        self.socket.send(&bytes, 0).map(drop)
    }

    /// Everything up to the acknowledgement or the end of a list.
    fn answers(&mut self) -> io::Result<Vec<RouteNetlinkMessage>> {
        let mut answers = Vec::new();
        loop {
            let (bytes, sender) = match self.socket.recv_from_full() {
                Ok(received) => received,
                // With a deadline the kernel doesn't go on by itself after a signal.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(in_time(error)),
            };
            if sender.port_number() != KERNEL {
                continue;
            }
            let mut rest = bytes.as_slice();
            while !rest.is_empty() {
                let head = NetlinkBuffer::new_checked(rest).map_err(io::Error::other)?;
                let (number, length) = (head.sequence_number(), head.length() as usize);
                let packet = rest.get(..length).unwrap_or(rest);
                // Messages are aligned to four bytes.
                rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
                // The rest of an answer to an earlier request, which failed.
                if number != self.sequence {
                    continue;
                }
                let packet = NetlinkMessage::deserialize(packet).map_err(io::Error::other)?;
                match packet.payload {
                    NetlinkPayload::InnerMessage(message) => answers.push(message),
                    NetlinkPayload::Done(done) if done.code < 0 => {
                        return Err(io::Error::from_raw_os_error(-done.code));
                    }
                    NetlinkPayload::Done(_) => return Ok(answers),
                    NetlinkPayload::Error(error) if error.code.is_none() => return Ok(answers),
                    NetlinkPayload::Error(error) => return Err(error.to_io()),
                    _ => {}
                }
            }
        }
    }
}

/// A socket's deadline shows as "try again".
fn in_time(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock => io::Error::new(io::ErrorKind::TimedOut, "the kernel did not answer"),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_but_the_kernel_is_listened_to() {
        let ours = Netlink::open().expect("a socket");
        let mut address = SocketAddr::new(0, 0);
        ours.socket.get_address(&mut address).expect("its address");
        let mut other = Socket::new(NETLINK_ROUTE).expect("a socket");
        other.bind_auto().expect("an address");
        // Root may send to any socket but this one; anybody else may send to none.
        let refused = other.send_to(&[0; 16], &SocketAddr::new(address.port_number(), 0), 0);
        let kind = refused.expect_err("refused").kind();
        assert!(matches!(kind, io::ErrorKind::ConnectionRefused | io::ErrorKind::PermissionDenied), "{kind}");
    }
}
