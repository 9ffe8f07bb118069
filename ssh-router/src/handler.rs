//! Callbacks of a person's connection: they answer logins, and pass every request on and its answer back.
//!
//! A request is answered inside its callback, since the library forgets who asked. Opening a channel may take long, so
//! that happens elsewhere ([`crate::open`]).

use std::sync::Arc;

use berth_count::Counted;
use berth_schema::text::safe;
use bytes::Bytes;
use russh::server::{Auth, ChannelOpenHandle, Msg, PublicKeyOffer, Session, VerifiedPublicKey};
use russh::{Channel, ChannelId, ChannelOpenFailure, Pty, Sig, client, server};

use crate::end::Side;
use crate::event::Event;
use crate::open::{self, ToServer};
use crate::person::Person;
use crate::terminal;
use crate::unjoined::Unjoined;

impl Person {
    /// Runs a command line or a shell where the router itself answers; returns whether it does.
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

    /// Says why there is no server instead of running anything; returns whether that was the channel's purpose.
    fn apologise(&self, id: ChannelId, session: &mut Session) -> Result<bool, russh::Error> {
        let Some((channel, why)) = self.shared.apology(id) else { return Ok(false) };
        let name = self.shared.grant().map_or("the server".to_owned(), |grant| grant.target.to_string());
        session.channel_success(id)?;
        self.shared
            .links
            .spawn(channel.finish(Some(format!("berth: cannot reach {name}: {}\r\n", safe(&why))), 255));
        Ok(true)
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
        berth_count::count(Counted::SshKeyLogin, 1);
        Ok(Auth::Accept)
    }

    async fn auth_password(&mut self, login: &str, password: &str) -> Result<Auth, Self::Error> {
        let Some(grant) = self.by_password(login, password).await else {
            berth_count::count(Counted::SshPasswordRefused, 1);
            return Ok(self.refuse());
        };
        self.shared.set_grant(grant);
        berth_count::count(Counted::SshPasswordLogin, 1);
        Ok(Auth::Accept)
    }

    async fn auth_succeeded(&mut self, session: &mut Session) -> Result<(), Self::Error> {
        self.begin(session);
        Ok(())
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        if self.git.is_none() {
            ToServer::Session.join(&self.shared, channel, reply, session.handle());
            return Ok(());
        }
        match (open::slot(&self.shared), &mut self.git) {
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
        let wanted = ToServer::Tcp { host, port, from, from_port };
        wanted.join(&self.shared, channel, reply, session.handle());
        Ok(())
    }

    async fn channel_open_direct_streamlocal(
        &mut self,
        channel: Channel<Msg>,
        path: &str,
        reply: ChannelOpenHandle,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        ToServer::Socket(path.to_owned()).join(&self.shared, channel, reply, session.handle());
        Ok(())
    }

    async fn data(&mut self, id: ChannelId, data: &[u8], _: &mut Session) -> Result<(), Self::Error> {
        // No command runs that could take it, and none will: a client waits for the answer to its request first.
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
        if let Some(git) = &mut self.git {
            return match git.set_screen(id) {
                true => session.channel_success(id),
                false => session.channel_failure(id),
            };
        }
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
        if let Some(git) = self.git.as_mut().filter(|_| name == "sftp") {
            return if git.tell_no_files(id) {
                session.channel_success(id)
            } else {
                session.channel_failure(id)
            };
        }
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
