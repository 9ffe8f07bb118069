//! The person's half of a session: login, and every request passed on and answered.
//!
//! A request is answered inside its callback, since the library forgets who wanted an answer; opening a channel may
//! take long and happens beside it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use russh::client::Handle;
use russh::keys::Algorithm;
use russh::server::{Auth, ChannelOpenHandle, Msg, PublicKeyOffer, Session, VerifiedPublicKey};
use russh::{Channel, ChannelId, ChannelOpenFailure, MethodKind, MethodSet, Pty, Sig, client, server};
use tokio::time::Instant;

use crate::decide::{self, Grant, Target};
use crate::git;
use crate::link::{Kind, Side, Slot};
use crate::queue::Event;
use crate::router::Router;
use crate::session::Shared;
use crate::terminal;
use crate::unjoined::Unjoined;
use crate::upstream::{self, Upstream, UpstreamError};

/// Takes what a person says.
pub(crate) struct Person {
    router: Arc<Router>,
    shared: Arc<Shared>,
    peer: SocketAddr,
    /// Passwords tried so far.
    passwords: u32,
    /// The login `git`, if that is what this is.
    git: Option<git::Login>,
}

/// A channel that the person opens.
enum ToServer {
    Session,
    Tcp { host: String, port: u32, from: String, from_port: u32 },
    Socket(String),
}

impl Person {
    pub(crate) fn new(router: Arc<Router>, shared: Arc<Shared>, peer: SocketAddr) -> Self {
        Self { router, shared, peer, passwords: 0, git: None }
    }

    fn refuse(&self) -> Auth {
        let mut methods = MethodSet::empty();
        methods.push(MethodKind::PublicKey);
        if self.passwords < self.router.settings.password_attempts {
            methods.push(MethodKind::Password);
        }
        Auth::Reject { proceed_with_methods: Some(methods), partial_success: false }
    }

    /// What a key gives. One that gives nothing is counted.
    fn by_key(&self, login: &str, key: &russh::keys::PublicKey, algorithm: &Algorithm) -> Option<Grant> {
        self.shared.set_login(login);
        let line = key.to_openssh().unwrap_or_default();
        let data = line.match_indices(' ').nth(1).map_or(line.as_str(), |(end, _)| &line[..end]);
        let table = self.router.table();
        let grant = match algorithm {
            // SHA-1.
            Algorithm::Rsa { hash: None } => None,
            _ if login == decide::GIT && self.router.git.is_some() => decide::git_by_key(&table.routes, data),
            _ => decide::by_key(&table.routes, login, data),
        };
        if grant.is_none() {
            self.shared.refuse(decide::holder(&table.routes, data));
        }
        grant
    }

    /// A place for one more channel.
    fn slot(&self) -> Option<Slot> {
        let slot = self.shared.links.slot();
        if slot.is_none() {
            self.shared.unopened.fetch_add(1, Ordering::Relaxed);
        }
        slot
    }

    /// Runs a command line, or a shell, where the router itself has an answer.
    fn answer(
        &mut self,
        id: ChannelId,
        line: Option<&[u8]>,
        session: &mut Session,
    ) -> Result<bool, russh::Error> {
        let Some(git) = &mut self.git else { return self.apologise(id, session) };
        match git.run(id, line) {
            true => session.channel_success(id)?,
            false => session.channel_failure(id)?,
        }
        Ok(true)
    }

    /// Opens a channel on the server's connection and joins it to the person's.
    fn open(&self, channel: Channel<Msg>, reply: ChannelOpenHandle, session: &Session, what: ToServer) {
        let Some(slot) = self.slot() else {
            tokio::spawn(reply.reject(ChannelOpenFailure::ResourceShortage));
            return;
        };
        let (shared, handle) = (Arc::clone(&self.shared), session.handle());
        let opening = shared.links.question();
        tokio::spawn(async move {
            let _opening = opening;
            let kind = if matches!(what, ToServer::Session) { Kind::Session } else { Kind::Stream };
            let upstream = match (shared.upstream().await, &what) {
                (Ok(upstream), _) => upstream,
                (Err(why), ToServer::Session) => {
                    shared.apologise(Unjoined::new(&shared.links, channel.split().1, slot), why);
                    return reply.accept().await;
                }
                (Err(_), _) => return reply.reject(ChannelOpenFailure::ConnectFailed).await,
            };
            let opened = tokio::select! {
                opened = what.open(&upstream) => opened,
                () = shared.cut.cancelled() => return,
            };
            match opened {
                Ok(to_server) => {
                    let ((_, half), (_, to_server)) = (channel.split(), to_server.split());
                    shared.links.join(kind, (half, handle), to_server, slot);
                    reply.accept().await;
                }
                Err(error) => {
                    shared.unopened.fetch_add(1, Ordering::Relaxed);
                    let reason = match error {
                        russh::Error::ChannelOpenFailure(reason) => reason,
                        _ => ChannelOpenFailure::ConnectFailed,
                    };
                    reply.reject(reason).await;
                }
            }
        });
    }

    /// Passes a request on, and its answer back.
    async fn pass<F>(
        &self,
        id: ChannelId,
        session: &mut Session,
        send: impl FnOnce(Arc<russh::ChannelWriteHalf<client::Msg>>) -> F,
    ) -> Result<(), russh::Error>
    where
        F: Future<Output = Result<(), russh::Error>>,
    {
        let _question = self.shared.links.question();
        let granted = match self.shared.links.beyond(id) {
            Some(end) => end.request(send).await,
            None => false,
        };
        if granted { session.channel_success(id) } else { session.channel_failure(id) }
    }

    /// Where there is no server, says why instead of running anything.
    fn apologise(&self, id: ChannelId, session: &mut Session) -> Result<bool, russh::Error> {
        let Some((channel, why)) = self.shared.apology(id) else { return Ok(false) };
        let name = self.shared.grant().map_or("the server".to_owned(), |grant| grant.target.to_string());
        session.channel_success(id)?;
        self.shared
            .links
            .spawn(channel.finish(Some(format!("berth: {name} can't be reached: {why}\r\n")), 255));
        Ok(true)
    }
}

impl ToServer {
    async fn open(self, upstream: &Handle<Upstream>) -> Result<Channel<client::Msg>, russh::Error> {
        match self {
            Self::Session => upstream.channel_open_session().await,
            Self::Tcp { host, port, from, from_port } => {
                upstream.channel_open_direct_tcpip(host, port, from, from_port).await
            }
            Self::Socket(path) => upstream.channel_open_direct_streamlocal(path).await,
        }
    }
}

impl server::Handler for Person {
    type Error = russh::Error;

    async fn auth_none(&mut self, login: &str) -> Result<Auth, Self::Error> {
        self.shared.set_login(login);
        Ok(self.refuse())
    }

    async fn auth_publickey_offered(
        &mut self,
        login: &str,
        offer: PublicKeyOffer<'_>,
    ) -> Result<Auth, Self::Error> {
        match self.by_key(login, offer.public_key, offer.algorithm) {
            Some(_) => Ok(Auth::Accept),
            None => Ok(self.refuse()),
        }
    }

    async fn auth_publickey(&mut self, login: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, Self::Error> {
        let Some(grant) = self.by_key(login, key.public_key, key.algorithm) else {
            return Ok(self.refuse());
        };
        self.shared.set_grant(grant);
        Ok(Auth::Accept)
    }

    async fn auth_password(&mut self, login: &str, password: &str) -> Result<Auth, Self::Error> {
        let start = Instant::now();
        self.shared.set_login(login);
        if self.passwords >= self.router.settings.password_attempts {
            return Ok(self.refuse());
        }
        self.passwords += 1;
        let trial = decide::trial(&self.router.table().routes, login, self.router.secret_of(login));
        let matched = self.router.verifier.matching(password, &trial.candidates).await;
        // Of a stand-in, there is no outcome.
        if let Some(grant) = trial.outcome(matched) {
            self.shared.set_grant(grant);
            return Ok(Auth::Accept);
        }
        self.shared.refuse(None);
        tokio::time::sleep_until(start + self.router.settings.failure_delay).await;
        Ok(self.refuse())
    }

    async fn auth_succeeded(&mut self, session: &mut Session) -> Result<(), Self::Error> {
        if let Some(grant) = self.shared.grant() {
            let (user, server, by) = (&grant.user, &grant.target, grant.credential.kind());
            tracing::info!(peer = %self.peer, %user, %server, by, "session began");
        }
        self.shared.set_client(session.handle());
        self.shared.granted.notify_one();
        if let (Some(Grant { user, target: Target::Git, .. }), Some(door)) =
            (self.shared.grant(), &self.router.git)
        {
            let caller = git::Caller { user: user.clone(), peer: self.peer };
            self.git = Some(git::Login::new(Arc::clone(door), Arc::clone(&self.shared.links), caller));
            // Whatever else is asked for finds that there is no server.
            self.shared.set_upstream(Err("this login has no server".into()));
            return Ok(());
        }
        let (router, shared) = (Arc::clone(&self.router), Arc::clone(&self.shared));
        tokio::spawn(async move {
            let table = router.table();
            let server = shared.grant().and_then(|grant| table.server(grant));
            let outcome = match server {
                Some(server) => {
                    let (key, keepalive) = (Arc::clone(&table.key), router.settings.keepalive);
                    upstream::connect(Arc::clone(&shared), server, key, keepalive).await
                }
                None => Err(UpstreamError::Gone),
            };
            let outcome = outcome.map_err(|error| {
                let server = shared.grant().map(|grant| grant.target.to_string());
                tracing::error!(server, error = &error as &dyn std::error::Error, "server not reached");
                Arc::from(error.to_string())
            });
            shared.set_upstream(outcome);
        });
        Ok(())
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        if self.git.is_none() {
            self.open(channel, reply, session, ToServer::Session);
            return Ok(());
        }
        match (self.slot(), &mut self.git) {
            (Some(slot), Some(git)) => {
                git.open(Unjoined::new(&self.shared.links, channel.split().1, slot));
                reply.accept().await;
            }
            _ => reply.reject(ChannelOpenFailure::ResourceShortage).await,
        }
        Ok(())
    }

    async fn channel_open_direct_tcpip(
        &mut self,
        channel: Channel<Msg>,
        host: &str,
        port: u32,
        from: &str,
        from_port: u32,
        reply: ChannelOpenHandle,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let (host, from) = (host.to_owned(), from.to_owned());
        self.open(channel, reply, session, ToServer::Tcp { host, port, from, from_port });
        Ok(())
    }

    async fn channel_open_direct_streamlocal(
        &mut self,
        channel: Channel<Msg>,
        path: &str,
        reply: ChannelOpenHandle,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.open(channel, reply, session, ToServer::Socket(path.to_owned()));
        Ok(())
    }

    async fn data(&mut self, id: ChannelId, data: &[u8], _: &mut Session) -> Result<(), Self::Error> {
        // There is no command that it could be for, and none comes later: a client waits for the answer.
        if self.git.as_ref().is_some_and(|git| !git.runs(id)) {
            return Ok(());
        }
        let event = Event::Data(Bytes::copy_from_slice(data));
        self.shared.links.arrived(Side::Client, id, event).await;
        Ok(())
    }

    async fn extended_data(
        &mut self,
        id: ChannelId,
        kind: u32,
        data: &[u8],
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        if self.git.is_some() {
            return Ok(());
        }
        let event = Event::Extended(kind, Bytes::copy_from_slice(data));
        self.shared.links.arrived(Side::Client, id, event).await;
        Ok(())
    }

    async fn channel_eof(&mut self, id: ChannelId, _: &mut Session) -> Result<(), Self::Error> {
        self.shared.links.arrived(Side::Client, id, Event::Eof).await;
        Ok(())
    }

    async fn channel_close(&mut self, id: ChannelId, _: &mut Session) -> Result<(), Self::Error> {
        self.shared.apology(id);
        if let Some(git) = &mut self.git {
            git.close(id);
        }
        self.shared.links.closed(Side::Client, id).await;
        Ok(())
    }

    async fn pty_request(
        &mut self,
        id: ChannelId,
        term: &str,
        columns: u32,
        rows: u32,
        width: u32,
        height: u32,
        modes: &[(Pty, u32)],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let modes = terminal::known_modes(modes);
        let term = term.to_owned();
        self.pass(id, session, |half| async move {
            half.request_pty(true, &term, columns, rows, width, height, &modes).await
        })
        .await
    }

    async fn x11_request(
        &mut self,
        id: ChannelId,
        _: bool,
        _: &str,
        _: &str,
        _: u32,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_failure(id)
    }

    async fn env_request(
        &mut self,
        id: ChannelId,
        name: &str,
        value: &str,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        if let Some(git) = &mut self.git {
            return match git.set_env(id, name, value) {
                true => session.channel_success(id),
                false => session.channel_failure(id),
            };
        }
        let (name, value) = (name.to_owned(), value.to_owned());
        self.pass(id, session, |half| async move { half.set_env(true, name, value).await }).await
    }

    async fn shell_request(&mut self, id: ChannelId, session: &mut Session) -> Result<(), Self::Error> {
        if self.answer(id, None, session)? {
            return Ok(());
        }
        self.pass(id, session, |half| async move { half.request_shell(true).await }).await
    }

    async fn exec_request(
        &mut self,
        id: ChannelId,
        command: &[u8],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        if self.answer(id, Some(command), session)? {
            return Ok(());
        }
        let command = command.to_vec();
        self.pass(id, session, |half| async move { half.exec(true, command).await }).await
    }

    async fn subsystem_request(
        &mut self,
        id: ChannelId,
        name: &str,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        if self.apologise(id, session)? {
            return Ok(());
        }
        let name = name.to_owned();
        self.pass(id, session, |half| async move { half.request_subsystem(true, name).await }).await
    }

    async fn window_change_request(
        &mut self,
        id: ChannelId,
        columns: u32,
        rows: u32,
        width: u32,
        height: u32,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        if let Some(end) = self.shared.links.beyond(id) {
            end.tell(|half| async move { half.window_change(columns, rows, width, height).await }).await;
        }
        Ok(())
    }

    async fn signal(&mut self, id: ChannelId, signal: Sig, _: &mut Session) -> Result<(), Self::Error> {
        if let Some(end) = self.shared.links.beyond(id) {
            end.tell(|half| async move { half.signal(signal).await }).await;
        }
        Ok(())
    }

    async fn agent_request(&mut self, id: ChannelId, _: &mut Session) -> Result<bool, Self::Error> {
        let Some(end) = self.shared.links.beyond(id) else { return Ok(false) };
        self.shared.wants.want_agent();
        let _question = self.shared.links.question();
        Ok(end.request(|half| async move { half.agent_forward(true).await }).await)
    }

    async fn tcpip_forward(
        &mut self,
        address: &str,
        port: &mut u32,
        _: &mut Session,
    ) -> Result<bool, Self::Error> {
        let _question = self.shared.links.question();
        let Ok(upstream) = self.shared.upstream().await else { return Ok(false) };
        self.shared.wants.want_forwarding();
        let Ok(chosen) = upstream.tcpip_forward(address, *port).await else { return Ok(false) };
        if *port == 0 {
            *port = chosen;
        }
        Ok(true)
    }

    async fn cancel_tcpip_forward(
        &mut self,
        address: &str,
        port: u32,
        _: &mut Session,
    ) -> Result<bool, Self::Error> {
        let _question = self.shared.links.question();
        let Ok(upstream) = self.shared.upstream().await else { return Ok(false) };
        Ok(upstream.cancel_tcpip_forward(address, port).await.is_ok())
    }

    async fn streamlocal_forward(&mut self, path: &str, _: &mut Session) -> Result<bool, Self::Error> {
        let _question = self.shared.links.question();
        let Ok(upstream) = self.shared.upstream().await else { return Ok(false) };
        self.shared.wants.want_forwarding();
        Ok(upstream.streamlocal_forward(path).await.is_ok())
    }

    async fn cancel_streamlocal_forward(&mut self, path: &str, _: &mut Session) -> Result<bool, Self::Error> {
        let _question = self.shared.links.question();
        let Ok(upstream) = self.shared.upstream().await else { return Ok(false) };
        Ok(upstream.cancel_streamlocal_forward(path).await.is_ok())
    }
}
