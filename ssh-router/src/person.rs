//! A person's side of a session up to the login: keys and passwords in, a grant and the way to the server out.

use std::net::SocketAddr;
use std::sync::Arc;

use russh::keys::Algorithm;
use russh::server::{Auth, Session};
use russh::{MethodKind, MethodSet};
use tokio::time::Instant;

use crate::admission::{Offence, Source};
use crate::decide::{self, Grant, Target};
use crate::git;
use crate::services::Services;
use crate::session::Shared;
use crate::upstream::{self, UpstreamError};

/// One person's connection. Its callbacks are in [`crate::handler`].
pub(crate) struct Person {
    pub(crate) shared: Arc<Shared>,
    /// Set after a login as `git`.
    pub(crate) git: Option<git::Login>,
    services: Arc<Services>,
    peer: SocketAddr,
    source: Source,
    passwords_tried: u32,
}

impl Person {
    pub(crate) fn new(
        services: Arc<Services>,
        shared: Arc<Shared>,
        peer: SocketAddr,
        source: Source,
    ) -> Self {
        Self { shared, git: None, services, peer, source, passwords_tried: 0 }
    }

    /// Refuses a credential and names the methods that may still be tried.
    pub(crate) fn refuse(&self) -> Auth {
        let mut methods = MethodSet::empty();
        methods.push(MethodKind::PublicKey);
        if self.may_try_password() {
            methods.push(MethodKind::Password);
        }
        Auth::Reject { proceed_with_methods: Some(methods), partial_success: false }
    }

    fn may_try_password(&self) -> bool {
        self.passwords_tried < self.services.settings.password_attempts
    }

    /// Returns the grant that a key gives. A key that gives none is counted.
    pub(crate) fn by_key(
        &self,
        login: &str,
        key: &russh::keys::PublicKey,
        algorithm: &Algorithm,
    ) -> Option<Grant> {
        self.shared.set_login(login);
        let line = key.to_openssh().unwrap_or_default();
        let data = line.match_indices(' ').nth(1).map_or(line.as_str(), |(end, _)| &line[..end]);
        let table = self.services.table();
        let grant = match algorithm {
            // SHA-1.
            Algorithm::Rsa { hash: None } => None,
            _ if login == decide::GIT && self.services.git.is_some() => {
                decide::git_by_key(&table.routes, data)
            }
            _ => decide::by_key(&table.routes, login, data),
        };
        if grant.is_none() {
            self.shared.refuse(decide::holder(&table.routes, data));
        }
        grant
    }

    /// Returns the grant that a password gives. A password that gives none is counted, takes the time that the operator has
    /// set, and costs its source, whatever opens the connection afterwards: each attempt may name another login, so a key of
    /// one's own would pay for guesses at everybody's password.
    pub(crate) async fn by_password(&mut self, login: &str, password: &str) -> Option<Grant> {
        let start = Instant::now();
        self.shared.set_login(login);
        if !self.may_try_password() {
            return None;
        }
        self.passwords_tried += 1;
        let trial = decide::trial(&self.services.table().routes, login, self.services.secret_of(login));
        let matched = self.services.verifier.matching(self.source.block(), password, &trial.candidates).await;
        // The trial of a stand-in never succeeds.
        if let Some(grant) = trial.outcome(matched) {
            return Some(grant);
        }
        self.shared.refuse_password();
        self.source.punish(Offence::Password, Instant::now().into_std());
        let (login, _) = self.shared.tried();
        tracing::info!(peer = %self.peer, login, "password refused");
        tokio::time::sleep_until(start + self.services.settings.failure_delay).await;
        None
    }

    /// Begins the session of a person who has logged in: leads them to the git door, or connects to their server beside the
    /// callback.
    pub(crate) fn begin(&mut self, session: &Session) {
        if let Some(grant) = self.shared.grant() {
            let (user, server, by) = (&grant.user, &grant.target, grant.credential.kind());
            tracing::info!(peer = %self.peer, %user, %server, by, "session began");
        }
        self.shared.set_client(session.handle());
        self.shared.granted.notify_one();
        if let (Some(Grant { user, target: Target::Git, .. }), Some(door)) =
            (self.shared.grant(), &self.services.git)
        {
            let caller = git::Caller { user: user.clone(), peer: self.peer };
            self.git = Some(git::Login::new(Arc::clone(door), Arc::clone(&self.shared.links), caller));
            // Whatever else the person asks for finds that there is no server.
            self.shared.set_upstream(Err("this login has no server; name one in place of `git`".into()));
            return;
        }
        tokio::spawn(connect(Arc::clone(&self.services), Arc::clone(&self.shared)));
    }
}

/// Connects to the server that the person's grant leads to.
async fn connect(services: Arc<Services>, shared: Arc<Shared>) {
    let table = services.table();
    let server = shared.grant().and_then(|grant| table.server(grant));
    let outcome = match server {
        Some(server) => {
            let (key, keepalive) = (Arc::clone(&table.key), services.settings.keepalive);
            upstream::connect(Arc::clone(&shared), server, key, keepalive).await
        }
        None => Err(UpstreamError::Gone),
    };
    let outcome = outcome.map_err(|error| {
        let server = shared.grant().map(|grant| grant.target.to_string());
        tracing::error!(server, error = &error as &dyn std::error::Error, "cannot reach the server");
        match error.next_step().filter(|_| services.settings.git_socket.is_some()) {
            Some(next) => Arc::from(format!("{error}; {next}")),
            None => Arc::from(error.to_string()),
        }
    });
    shared.set_upstream(outcome);
}
