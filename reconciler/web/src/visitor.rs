//! Whoever asks for a page, and what they sent.

use std::net::IpAddr;

use axum::extract::{FromRequest, FromRequestParts, OptionalFromRequestParts, Request};
use axum::http::request::Parts;
use berth_wire::web::{Person, Question, Token};

use crate::app::App;
use crate::problem::Problem;
use crate::session::{Notice, Session};
use crate::way::Way;

/// Somebody who is signed in, as the door told at the beginning of this request.
#[derive(Debug, Clone)]
pub struct Visitor {
    /// The person.
    pub person: Person,
    /// Their session.
    pub session: Session,
    /// Their token, which the door takes.
    pub token: Token,
}

impl Visitor {
    /// Asks the door in their name.
    pub async fn ask<Q: Question>(&self, app: &App, question: &Q) -> Result<Q::Answer, Problem> {
        Ok(app.door.ask(Some(&self.token), question).await?)
    }

    /// Has the next page show them a notice.
    pub fn tell(&self, app: &App, notice: Notice) {
        app.sessions.tell(&self.session, notice);
    }
}

impl FromRequestParts<App> for Visitor {
    type Rejection = Problem;

    /// There is one wherever the table of routes says that somebody has to be signed in.
    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().cloned().ok_or_else(Problem::signed_out)
    }
}

impl OptionalFromRequestParts<App> for Visitor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Option<Self>, Problem> {
        Ok(parts.extensions.get::<Self>().cloned())
    }
}

/// Address that a request comes from: the connection's, or what the edge says over its own socket. No other header counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub IpAddr);

impl FromRequestParts<App> for Peer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().copied().ok_or_else(Problem::internal)
    }
}

/// Address by which `access.panel` may shut somebody out. This machine comes in at the panel's own port whatever it says, so there is
/// none then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bound(pub(crate) Option<IpAddr>);

impl FromRequestParts<App> for Bound {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let Peer(from) = Peer::from_request_parts(parts, app).await?;
        let from = from.to_canonical();
        let way = parts.extensions.get::<Way>().copied().ok_or_else(Problem::internal)?;
        Ok(Self((way == Way::Edge || !from.is_loopback()).then_some(from)))
    }
}

/// The session of the request's cookie, whether or not somebody is signed in with it.
#[derive(Debug, Clone)]
pub struct Opened(pub Option<Session>);

impl FromRequestParts<App> for Opened {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        Ok(Self(crate::open::session(&parts.headers, &app.sessions)))
    }
}

/// Values of a form, in the order in which they came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sent(pub Vec<(String, String)>);

impl Sent {
    /// The first value of this name; empty for none.
    pub fn one(&self, name: &str) -> &str {
        self.get(name).unwrap_or_default()
    }

    /// The first value of this name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// All values of this name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

impl<S: Send + Sync> FromRequest<S> for Sent {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let form = axum::Form::<Vec<(String, String)>>::from_request(request, state).await;
        let axum::Form(values) = form.map_err(|_| {
            Problem::new(http::StatusCode::BAD_REQUEST, "The panel can't read what was sent as a form.")
        })?;
        Ok(Self(values))
    }
}
