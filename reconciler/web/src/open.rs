//! The cookie of a request.

use http::HeaderMap;
use http::header::COOKIE;

use crate::session::{self, Session, Sessions};

/// Opens the session of a request's cookie. Two cookies of the name are one too many: no browser of ours sends them.
pub(crate) fn session(headers: &HeaderMap, sessions: &Sessions) -> Option<Session> {
    let lines = headers.get_all(COOKIE).into_iter().filter_map(|line| line.to_str().ok());
    let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let mut ours = pairs.filter(|(name, _)| *name == session::COOKIE).map(|(_, value)| value);
    match (ours.next(), ours.next()) {
        (Some(value), None) => sessions.find(value),
        _ => None,
    }
}
