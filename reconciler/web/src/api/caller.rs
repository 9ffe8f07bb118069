//! Whoever asks, as a program proves it: by a token in `Authorization`, or as a browser by the panel's own cookie.

use axum::extract::FromRequestParts;
use berth_wire::web::{Person, Question, Scope, Token};
use http::HeaderMap;
use http::header::{AUTHORIZATION, COOKIE};
use http::request::Parts;

use super::problem::Problem;
use crate::app::App;
use crate::open;

/// Somebody who asks, as the door told at the beginning of this request.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// The person.
    pub(super) person: Person,
    /// Their token, which the door takes.
    pub(super) token: Token,
}

impl Caller {
    /// Returns whether they act as an admin: they are one, and what they asked with has the scope.
    pub(super) fn is_admin(&self) -> bool {
        self.person.is_admin() && self.person.has(Scope::Admin)
    }

    /// Asks the door in their name.
    pub(super) async fn ask<Q: Question>(&self, app: &App, question: &Q) -> Result<Q::Answer, Problem> {
        Ok(app.door.ask(Some(&self.token), question).await?)
    }
}

impl FromRequestParts<App> for Caller {
    type Rejection = Problem;

    /// There is one wherever the table of routes says that somebody has to be known.
    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().cloned().ok_or_else(Problem::signed_out)
    }
}

/// The most bytes of a token. The door's have 43, and API tokens six more.
const LONGEST: usize = 128;

/// The token that a program shows; `None` for what can't be one, which the door isn't asked about.
pub(super) fn bearer(headers: &HeaderMap) -> Option<Token> {
    let line = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = line.split_once(' ')?;
    let token = token.trim();
    let is_one = (1..=LONGEST).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_graphic());
    (is_one && scheme.eq_ignore_ascii_case("bearer")).then(|| Token::new(token))
}

/// The token of a request: a program's, or else the one of the panel's session.
pub(super) fn token(app: &App, headers: &HeaderMap) -> Option<Token> {
    // What a program says counts alone: a cookie that came along gives it nothing more.
    match headers.contains_key(AUTHORIZATION) {
        true => bearer(headers),
        false => open::session(headers, &app.sessions)?.content.token,
    }
}

/// Returns whether a request needs no word of a page of the panel: it brings no cookie, or says by a header that no other site's
/// page can send who asks.
pub(crate) fn without_guard(headers: &HeaderMap) -> bool {
    headers.contains_key(AUTHORIZATION) || !headers.contains_key(COOKIE)
}
