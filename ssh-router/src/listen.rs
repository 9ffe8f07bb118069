//! Listening socket: opened so that a second router can share it, or handed over as standard input.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use berth_supervise::take_stdin;
use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream};

use crate::settings::Listen;

/// Interval of the kernel's keepalives. They cover the time before the SSH connection has keepalives of its own.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;

pub(crate) fn open(listen: Listen) -> io::Result<TcpListener> {
    let socket = match listen {
        Listen::Address(address) => bind(address)?,
        Listen::Stdin => Socket::from(take_stdin()?),
    };
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket.into())
}

/// Opens a socket that listens at once, even if nobody accepts yet.
pub(crate) fn bind(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

/// Sets a connection up so that keystrokes go out at once and a vanished peer is noticed.
pub(crate) fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    socket2::SockRef::from(stream)
        .set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE))
}
