//! The body of a request, hashed as it comes: however large it is, no more of it is kept than it takes to read which branch was
//! pushed.

use axum::body::Body;
use http_body_util::BodyExt as _;
use hyper::body::Body as _;

use super::form::Payload;
use super::signature::{Check, Over, Unproved};

/// The largest body, in bytes. GitHub sends no larger ones.
const LARGEST: u64 = 25 << 20;
/// The most that is kept of one, in bytes: together with the number of connections, what a stranger can make us hold in memory.
const KEPT: usize = 1 << 20;

/// A request's JSON.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Json {
    Whole(Vec<u8>),
    /// It is longer than what is kept.
    Long,
}

/// A body that can't be taken.
#[derive(Debug)]
pub(super) enum Unread {
    /// It isn't the forge's.
    Unproved(Unproved),
    TooLarge,
    /// It broke off.
    Broken,
}

/// Reads a body to its end, while it is checked.
pub(super) async fn read(mut body: Body, is_form: bool, mut check: Check) -> Result<Json, Unread> {
    // What says that it is too large isn't waited for.
    if body.size_hint().lower() > LARGEST {
        return Err(Unread::TooLarge);
    }
    let mut payload = is_form.then(Payload::new);
    let (mut json, mut read, mut is_whole) = (Vec::new(), 0_u64, true);
    let mut decoded = Vec::new();
    let over = check.over(is_form);
    while let Some(frame) = body.frame().await {
        let Ok(part) = frame.map_err(|_| Unread::Broken)?.into_data() else { continue };
        read += part.len() as u64;
        if read > LARGEST {
            return Err(Unread::TooLarge);
        }
        if over == Over::Body {
            check.update(&part);
        }
        let text = match &mut payload {
            Some(payload) => {
                decoded.clear();
                payload.decode(&part, &mut decoded);
                &decoded[..]
            }
            None => &part[..],
        };
        if over == Over::Payload {
            check.update(text);
        }
        is_whole &= keep(&mut json, text);
    }
    if let Some(payload) = &mut payload {
        decoded.clear();
        payload.end(&mut decoded);
        if over == Over::Payload {
            check.update(&decoded);
        }
        is_whole &= keep(&mut json, &decoded);
    }
    check.finish().map_err(Unread::Unproved)?;
    Ok(if is_whole { Json::Whole(json) } else { Json::Long })
}

/// Keeps a part, if there is room for it.
fn keep(kept: &mut Vec<u8>, part: &[u8]) -> bool {
    let fits = kept.len() + part.len() <= KEPT;
    if fits {
        kept.extend_from_slice(part);
    }
    fits
}
