//! Connection to a server's own sshd.
//!
//! Owns the router's half of a session towards the server: it shows the router's key, accepts only the pinned host key, and
//! hands arriving events to the session's links.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use berth_schema::route::RouteServer;
use bytes::Bytes;
use russh::client::{self, ChannelOpenHandle, DisconnectReason, Handle, Msg, Session};
use russh::keys::PublicKeyOrCertificate;
use russh::keys::{Algorithm, PrivateKey, PrivateKeyWithHashAlg, PublicKey};
use russh::{Channel, ChannelId, ChannelOpenFailure, Sig};
use tokio::net::TcpStream;

use crate::algorithms;
use crate::end::{Kind, Side};
use crate::event::{Event, ExitSignal};
use crate::session::{Shared, Wants};
use crate::stream::{Cuttable, Traffic};

/// Reasons why a server cannot be reached. People who may log in there read them, so they name no address.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpstreamError {
    #[error("it doesn't answer")]
    Connect(#[source] std::io::Error),
    #[error("it doesn't answer in time")]
    Timeout,
    #[error("it shows another host key than it should; ask an admin to look at it")]
    HostKey,
    #[error("it doesn't let the router in")]
    Refused,
    #[error("its SSH server broke off")]
    Protocol(#[source] russh::Error),
    #[error("it is gone; ask an admin if it should be there")]
    Gone,
}

impl UpstreamError {
    /// The next step of whoever may log in there, where they can take one and there is a git door.
    pub(crate) fn next_step(&self) -> Option<&'static str> {
        match self {
            Self::Connect(_) | Self::Timeout | Self::Refused | Self::Protocol(_) => Some(
                "unless it is just starting, restart or reset it: in the panel, or by the commands `restart` and `reset` at the login `git`",
            ),
            Self::HostKey | Self::Gone => None,
        }
    }
}

/// Longest time for connecting, key exchange and login together.
const CONNECT_MAX: Duration = Duration::from_secs(10);

/// Connects to a server and logs in. A server that is silent for `keepalive` is asked for a sign of life.
pub(crate) async fn connect(
    shared: Arc<Shared>,
    server: &RouteServer,
    key: Arc<PrivateKey>,
    keepalive: Duration,
) -> Result<Handle<Upstream>, UpstreamError> {
    tokio::time::timeout(CONNECT_MAX, log_in(shared, server, key, keepalive))
        .await
        .unwrap_or(Err(UpstreamError::Timeout))
}

async fn log_in(
    shared: Arc<Shared>,
    server: &RouteServer,
    key: Arc<PrivateKey>,
    keepalive: Duration,
) -> Result<Handle<Upstream>, UpstreamError> {
    // The schema has parsed the key already, but another parser may still disagree.
    let pinned = PublicKey::from_openssh(server.host_key.as_str()).map_err(|_| UpstreamError::HostKey)?;
    let config = client::Config {
        client_id: algorithms::ident(),
        preferred: algorithms::upstream(host_key_algorithms(&pinned)),
        inactivity_timeout: None,
        keepalive_interval: Some(keepalive),
        keepalive_max: algorithms::KEEPALIVE_MAX,
        nodelay: true,
        ..client::Config::default()
    };
    let address = (server.host.as_str(), server.port);
    let stream = TcpStream::connect(address).await.map_err(UpstreamError::Connect)?;
    stream.set_nodelay(true).map_err(UpstreamError::Connect)?;
    let stream = Cuttable::new(stream, Arc::new(Traffic::default()), shared.cut.clone());
    let handler = Upstream { shared, pinned };
    let mut handle =
        client::connect_stream(Arc::new(config), stream, handler).await.map_err(|error| match error {
            russh::Error::UnknownKey => UpstreamError::HostKey,
            other => UpstreamError::Protocol(other),
        })?;
    let key = PrivateKeyWithHashAlg::new(key, Some(russh::keys::HashAlg::Sha512));
    match handle.authenticate_publickey(server.user.as_str(), key).await {
        Ok(result) if result.success() => Ok(handle),
        Ok(_) => Err(UpstreamError::Refused),
        Err(error) => Err(UpstreamError::Protocol(error)),
    }
}

/// Returns the pinned key's algorithms only, so that a server with several keys shows that one.
fn host_key_algorithms(pinned: &PublicKey) -> Cow<'static, [Algorithm]> {
    match pinned.algorithm() {
        Algorithm::Rsa { .. } => Cow::Borrowed(&algorithms::RSA),
        other => Cow::Owned(vec![other]),
    }
}

/// Receiver of everything that a server's sshd sends.
pub(crate) struct Upstream {
    shared: Arc<Shared>,
    pinned: PublicKey,
}

impl Upstream {
    /// Opens a channel to the person for one that the server opened, and joins the two. A channel that the person hasn't
    /// asked for is refused.
    fn open_to_client(&self, channel: Channel<Msg>, reply: ChannelOpenHandle, wanted: ToClient) {
        if !wanted.was_asked_for(&self.shared.wants) {
            return;
        }
        let Some(handle) = self.shared.client() else { return };
        let Some(slot) = self.shared.links.slot() else {
            tokio::spawn(reply.reject(ChannelOpenFailure::ResourceShortage));
            return;
        };
        let shared = Arc::clone(&self.shared);
        // Not inside the callback: the person's connection may be waiting for this one.
        tokio::spawn(async move {
            let opened = tokio::select! {
                opened = wanted.open(&handle) => opened,
                () = shared.cut.cancelled() => return,
            };
            match opened {
                Ok(to_client) => {
                    let (_, half) = to_client.split();
                    let (_, to_server) = channel.split();
                    shared.links.join(Kind::Stream, (half, handle), to_server, slot);
                    reply.accept().await;
                }
                Err(_) => reply.reject(ChannelOpenFailure::ConnectFailed).await,
            }
        });
    }
}

/// Channel that a server opens towards the person.
enum ToClient {
    Forwarded { address: String, port: u32, from: String, from_port: u32 },
    Socket(String),
    Agent,
}

impl ToClient {
    fn was_asked_for(&self, wants: &Wants) -> bool {
        match self {
            Self::Forwarded { .. } | Self::Socket(_) => wants.forwarding(),
            Self::Agent => wants.agent(),
        }
    }

    async fn open(self, handle: &russh::server::Handle) -> Result<Channel<russh::server::Msg>, russh::Error> {
        match self {
            Self::Forwarded { address, port, from, from_port } => {
                handle.channel_open_forwarded_tcpip(address, port, from, from_port).await
            }
            Self::Socket(path) => handle.channel_open_forwarded_streamlocal(path).await,
            Self::Agent => handle.channel_open_agent().await,
        }
    }
}

impl client::Handler for Upstream {
    type Error = russh::Error;

    async fn check_server_key(&mut self, key: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        Ok(match key {
            PublicKeyOrCertificate::PublicKey { key, .. } => key.key_data() == self.pinned.key_data(),
            PublicKeyOrCertificate::Certificate(_) => false,
        })
    }

    async fn data(&mut self, id: ChannelId, data: &[u8], _: &mut Session) -> Result<(), Self::Error> {
        let event = Event::Data(Bytes::copy_from_slice(data));
        self.shared.links.arrived(Side::Server, id, event).await;
        Ok(())
    }

    async fn extended_data(
        &mut self,
        id: ChannelId,
        kind: u32,
        data: &[u8],
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        let event = Event::Extended(kind, Bytes::copy_from_slice(data));
        self.shared.links.arrived(Side::Server, id, event).await;
        Ok(())
    }

    async fn channel_eof(&mut self, id: ChannelId, _: &mut Session) -> Result<(), Self::Error> {
        self.shared.links.arrived(Side::Server, id, Event::Eof).await;
        Ok(())
    }

    async fn exit_status(&mut self, id: ChannelId, status: u32, _: &mut Session) -> Result<(), Self::Error> {
        self.shared.links.arrived(Side::Server, id, Event::ExitStatus(status)).await;
        Ok(())
    }

    async fn exit_signal(
        &mut self,
        id: ChannelId,
        signal: Sig,
        core_dumped: bool,
        message: &str,
        language: &str,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        let exit = ExitSignal::new(signal, core_dumped, message, language);
        self.shared.links.arrived(Side::Server, id, Event::ExitSignal(Box::new(exit))).await;
        Ok(())
    }

    async fn channel_close(&mut self, id: ChannelId, _: &mut Session) -> Result<(), Self::Error> {
        self.shared.links.closed(Side::Server, id).await;
        Ok(())
    }

    async fn channel_success(&mut self, id: ChannelId, _: &mut Session) -> Result<(), Self::Error> {
        self.shared.links.end(Side::Server, id).answered(true);
        Ok(())
    }

    async fn channel_failure(&mut self, id: ChannelId, _: &mut Session) -> Result<(), Self::Error> {
        self.shared.links.end(Side::Server, id).answered(false);
        Ok(())
    }

    async fn server_channel_open_forwarded_tcpip(
        &mut self,
        channel: Channel<Msg>,
        address: &str,
        port: u32,
        from: &str,
        from_port: u32,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        let (address, from) = (address.to_owned(), from.to_owned());
        self.open_to_client(channel, reply, ToClient::Forwarded { address, port, from, from_port });
        Ok(())
    }

    async fn server_channel_open_forwarded_streamlocal(
        &mut self,
        channel: Channel<Msg>,
        path: &str,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        self.open_to_client(channel, reply, ToClient::Socket(path.to_owned()));
        Ok(())
    }

    async fn server_channel_open_agent_forward(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        self.open_to_client(channel, reply, ToClient::Agent);
        Ok(())
    }

    // A server may open no other kind of channel. The library would accept these, so they are refused here: a reply that is
    // dropped is a refusal.
    async fn server_channel_open_session(
        &mut self,
        _: Channel<Msg>,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        Ok(())
    }

    async fn server_channel_open_direct_tcpip(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        _: &str,
        _: u32,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        Ok(())
    }

    async fn server_channel_open_direct_streamlocal(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        Ok(())
    }

    async fn server_channel_open_x11(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        Ok(())
    }

    async fn disconnected(&mut self, reason: DisconnectReason<Self::Error>) -> Result<(), Self::Error> {
        self.shared.upstream_is_gone().await;
        match reason {
            DisconnectReason::ReceivedDisconnect(_) => Ok(()),
            DisconnectReason::Error(error) => Err(error),
        }
    }
}
