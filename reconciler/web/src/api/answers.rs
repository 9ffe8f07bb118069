//! Answers that are given again: a write with an `Idempotency-Key` is done once, however often it is sent.
//!
//! An answer is kept for a day in the panel's own store, sealed under the token that asked: whoever steals the store reads none. It
//! belongs to the person and the key. With another request, or by another token, the key is refused.

use std::collections::HashSet;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};

use crate::session::seal::Key;
use crate::session::{SessionError, Sessions};

/// Time for which an answer is kept.
const KEPT: SignedDuration = SignedDuration::from_hours(24);
/// The most answers of one person. One more takes the place of the oldest.
const EACH: usize = 100;
/// Bytes of a person's, and of a key's, part of a record's name.
const PART: usize = 16;
/// Bytes before the sealed part of a record: millisecond of its end.
const HEAD: usize = 8;

/// The answers. A clone is the same ones.
#[derive(Debug, Clone)]
pub(crate) struct Answers(Arc<Store>);

#[derive(Debug)]
struct Store {
    records: sled::Tree,
    /// Names of those that are being made.
    under_way: Mutex<HashSet<Name>>,
}

/// Name of a record: a person's part and a key's part.
pub(super) type Name = [u8; 2 * PART];

/// An answer, and the request that it was for.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Kept {
    /// Digest of the request.
    pub(super) request: String,
    pub(super) status: u16,
    /// Type of the body.
    pub(super) kind: String,
    pub(super) body: String,
    /// Set where the body was too long.
    pub(super) is_gone: bool,
}

impl Answers {
    /// Opens the answers in the panel's store, and forgets those that are too old.
    pub(crate) fn open(sessions: &Sessions) -> Result<Self, SessionError> {
        let answers =
            Self(Arc::new(Store { records: sessions.tree("answers")?, under_way: Mutex::default() }));
        answers.sweep(Timestamp::now())?;
        Ok(answers)
    }

    /// Forgets answers that ended before `now`.
    pub(crate) fn sweep(&self, now: Timestamp) -> Result<(), SessionError> {
        for entry in self.0.records.iter() {
            let (name, record) = entry?;
            if until(&record) <= now.as_millisecond() {
                self.0.records.remove(name)?;
            }
        }
        Ok(())
    }

    /// Writes to disk what isn't there yet.
    pub(super) async fn flush(&self) -> Result<(), SessionError> {
        self.0.records.flush_async().await?;
        Ok(())
    }

    /// Finds an answer; `Err` where a record is there that this token can't open.
    pub(super) fn find(
        &self,
        name: &Name,
        token: &[u8; 32],
    ) -> Result<Option<Result<Kept, Sealed>>, SessionError> {
        let Some(record) = self.0.records.get(name)? else { return Ok(None) };
        if until(&record) <= Timestamp::now().as_millisecond() {
            return Ok(None);
        }
        let opened = record.get(HEAD..).and_then(|sealed| key(name, token).unseal(sealed));
        let kept = opened.and_then(|content| serde_json::from_slice(&content).ok());
        Ok(Some(kept.ok_or(Sealed)))
    }

    /// Keeps an answer.
    pub(super) fn keep(&self, name: &Name, token: &[u8; 32], kept: &Kept) -> Result<(), SessionError> {
        let now = Timestamp::now();
        let person = &name[..PART];
        let mut theirs = Vec::new();
        for entry in self.0.records.scan_prefix(person) {
            let (name, record) = entry?;
            theirs.push((until(&record), name));
        }
        theirs.sort();
        let too_many = (theirs.len() + 1).saturating_sub(EACH);
        for (at, (until, name)) in theirs.iter().enumerate() {
            if at < too_many || *until <= now.as_millisecond() {
                self.0.records.remove(name)?;
            }
        }
        let content = serde_json::to_vec(kept).map_err(|_| SessionError::Seal)?;
        let sealed = key(name, token).seal(content).map_err(|_| SessionError::Seal)?;
        let until = now.checked_add(KEPT).unwrap_or(now).as_millisecond().to_be_bytes();
        self.0.records.insert(name, [&until[..], &sealed].concat())?;
        Ok(())
    }

    /// Begins an answer; `None` while one of this name is being made.
    pub(super) fn begin(&self, name: Name) -> Option<UnderWay> {
        self.0.under_way.lock().insert(name).then(|| UnderWay { answers: self.clone(), name })
    }
}

/// A record of another token's, or of another version of Berth.
#[derive(Debug)]
pub(super) struct Sealed;

/// An answer that is being made.
#[derive(Debug)]
pub(super) struct UnderWay {
    answers: Answers,
    name: Name,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.answers.0.under_way.lock().remove(&self.name);
    }
}

/// Millisecond in which a record ends.
fn until(record: &[u8]) -> i64 {
    record.get(..HEAD).and_then(|head| head.try_into().ok()).map_or(0, i64::from_be_bytes)
}

/// Digest of some parts, for one purpose.
pub(super) fn digest(purpose: &str, parts: &[&[u8]]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    for part in [&[purpose.as_bytes()], parts].concat() {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let mut digest = [0; 32];
    digest.copy_from_slice(context.finish().as_ref());
    digest
}

/// Name of the record of a person's key.
pub(super) fn name(person: &str, key: &str) -> Name {
    let part = |text: &str| digest("berth-web answer name 1", &[text.as_bytes()]);
    let mut name = [0; 2 * PART];
    name[..PART].copy_from_slice(&part(person)[..PART]);
    name[PART..].copy_from_slice(&part(key)[..PART]);
    name
}

fn key(name: &Name, token: &[u8; 32]) -> Key {
    let mut id = [0; PART];
    id.copy_from_slice(&name[PART..]);
    Key::of(id, *token)
}
