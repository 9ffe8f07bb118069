//! Listening sockets on their way from the parent to a child, over the child's standard input.
//!
//! One byte says what a socket is for, and the socket comes along (SCM_RIGHTS). The edge's may be made anew while a child serves,
//! and then it is handed over again.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use tokio::io::Interest;
use tokio::sync::mpsc;

const PORT: u8 = b'P';
const EDGE: u8 = b'E';

/// The parent's end.
#[derive(Debug)]
pub(crate) struct Giver(UnixStream);

impl Giver {
    /// Makes both ends; the other one is for the child's standard input.
    pub(crate) fn pair() -> io::Result<(Self, OwnedFd)> {
        let (own, other) = UnixStream::pair()?;
        // A child that doesn't listen doesn't keep its parent waiting.
        own.set_nonblocking(true)?;
        Ok((Self(own), other.into()))
    }

    /// Hands over the socket of the panel's port.
    pub(crate) fn port(&self, listener: &TcpListener) -> io::Result<()> {
        self.give(PORT, listener)
    }

    /// Hands over the socket that the edge connects to.
    pub(crate) fn edge(&self, listener: &UnixListener) -> io::Result<()> {
        self.give(EDGE, listener)
    }

    fn give(&self, kind: u8, socket: &impl AsFd) -> io::Result<()> {
        let sockets = [socket.as_fd()];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut along = SendAncillaryBuffer::new(&mut space);
        along.push(SendAncillaryMessage::ScmRights(&sockets));
        sendmsg(&self.0, &[IoSlice::new(&[kind])], &mut along, SendFlags::NOSIGNAL)?;
        Ok(())
    }
}

/// Sockets of a process that serves the panel.
#[derive(Debug)]
pub struct Listeners {
    pub(crate) port: TcpListener,
    /// The edge's: each one takes the place of the one before.
    pub(crate) edge: mpsc::Receiver<UnixListener>,
}

impl From<TcpListener> for Listeners {
    /// The panel's port, and no edge.
    fn from(port: TcpListener) -> Self {
        Self { port, edge: mpsc::channel(1).1 }
    }
}

impl Listeners {
    /// The port's number.
    pub fn port(&self) -> io::Result<u16> {
        Ok(self.port.local_addr()?.port())
    }

    /// Takes what a parent hands over on `input`, or uses `input` itself, if that is the listening socket of the port. The second is
    /// work that goes on for as long as the parent lives.
    pub fn take(input: OwnedFd) -> io::Result<(Self, impl Future<Output = ()> + Send + 'static)> {
        let stream = UnixStream::from(input);
        let (sender, edge) = mpsc::channel(1);
        if stream.local_addr().is_err() {
            // It is no Unix socket.
            let port = TcpListener::from(OwnedFd::from(stream));
            return Ok((Self { port, edge }, Self::follow(None, sender)));
        }
        match receive(&stream)? {
            Some((PORT, socket)) => {
                let port = TcpListener::from(socket);
                Ok((Self { port, edge }, Self::follow(Some(stream), sender)))
            }
            _ => Err(io::Error::new(io::ErrorKind::InvalidData, "the parent hands over no port")),
        }
    }

    async fn follow(stream: Option<UnixStream>, sender: mpsc::Sender<UnixListener>) {
        let Some(stream) = stream else { return };
        let followed = async {
            stream.set_nonblocking(true)?;
            let watched = tokio::net::UnixStream::from_std(stream.try_clone()?)?;
            loop {
                match watched.async_io(Interest::READABLE, || receive(&stream)).await? {
                    Some((EDGE, socket)) => {
                        // Nobody takes it when the process is to end.
                        let _ = sender.send(UnixListener::from(socket)).await;
                    }
                    Some(_) => {}
                    None => return Ok::<_, io::Error>(()),
                }
            }
        };
        if let Err(error) = followed.await {
            tracing::error!(%error, "the parent's sockets can't be taken");
        }
    }
}

/// The next socket and what it is for; `None` when the parent has gone.
fn receive(stream: &UnixStream) -> io::Result<Option<(u8, OwnedFd)>> {
    let mut kind = [0];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut along = RecvAncillaryBuffer::new(&mut space);
    let read = recvmsg(stream, &mut [IoSliceMut::new(&mut kind)], &mut along, RecvFlags::CMSG_CLOEXEC)?;
    if read.bytes == 0 {
        return Ok(None);
    }
    let socket = along.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut sockets) => sockets.next(),
        _ => None,
    });
    let socket = socket.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no socket came along"))?;
    Ok(Some((kind[0], socket)))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[tokio::test]
    async fn the_edge_s_socket_follows_whenever_it_is_made() {
        let home = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap();
        let (giver, input) = Giver::pair().unwrap();
        giver.port(&port).unwrap();
        let (mut taken, follow) = Listeners::take(input).unwrap();
        assert_eq!(taken.port.local_addr().unwrap(), port.local_addr().unwrap());
        let follow = tokio::spawn(follow);
        for name in ["first", "second"] {
            let edge = UnixListener::bind(home.path().join(name)).unwrap();
            giver.edge(&edge).unwrap();
            let taken = taken.edge.recv().await.unwrap();
            assert_eq!(taken.local_addr().unwrap().as_pathname(), edge.local_addr().unwrap().as_pathname());
        }
        drop(giver);
        follow.await.unwrap();
        assert!(taken.edge.recv().await.is_none());
    }

    #[tokio::test]
    async fn a_listening_socket_is_a_port_without_an_edge() {
        let port = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = port.local_addr().unwrap();
        let (taken, _follow) = Listeners::take(port.into()).unwrap();
        assert_eq!(taken.port.local_addr().unwrap(), address);
        // Words without a socket are none.
        let (mut own, other) = UnixStream::pair().unwrap();
        own.write_all(b"P").unwrap();
        assert!(Listeners::take(other.into()).is_err());
    }
}
