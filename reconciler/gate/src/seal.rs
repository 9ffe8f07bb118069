//! The cookie of a browser that is on its way in: a secret that binds the way to this browser, and the page that it goes to. Nobody
//! else can make one, and it holds for one host and for a while.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use ring::hmac;
use ring::rand::{SecureRandom as _, SystemRandom};

use crate::path;

/// Time that somebody has for signing in.
const LIFE: Duration = Duration::from_secs(30 * 60);

/// The key that seals such cookies, which lives and ends with this process.
pub(crate) struct Seal(hmac::Key);

/// The system has no random bytes.
#[derive(Debug, thiserror::Error)]
#[error("cannot get random bytes from the system")]
pub struct NoRandom;

/// A browser on its way in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Secret that nobody but this browser has.
    secret: [u8; 32],
    /// Path and query of the page that it goes to.
    pub(crate) path: String,
}

impl Seal {
    pub(crate) fn new() -> Result<Self, NoRandom> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new());
        key.map(Self).map_err(|_| NoRandom)
    }

    /// Writes the cookie's value.
    pub(crate) fn write(&self, host: &str, entry: &Entry) -> String {
        let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let text = format!("{}.{}.{}", part(&entry.secret), part(entry.path.as_bytes()), now().as_secs());
        let mark = hmac::sign(&self.0, sealed(host, &text).as_bytes());
        format!("{text}.{}", part(mark.as_ref()))
    }

    /// Reads the cookie's value. One that is old, another host's or not ours is none.
    pub(crate) fn read(&self, host: &str, value: &str) -> Option<Entry> {
        let bytes = |text: &str| URL_SAFE_NO_PAD.decode(text).ok();
        let (text, mark) = value.rsplit_once('.')?;
        hmac::verify(&self.0, sealed(host, text).as_bytes(), &bytes(mark)?).ok()?;
        let mut parts = text.split('.');
        let (secret, path, made) =
            (bytes(parts.next()?)?, bytes(parts.next()?)?, parts.next()?.parse().ok()?);
        let is_fresh = now().saturating_sub(Duration::from_secs(made)) < LIFE;
        let path = String::from_utf8(path).ok()?;
        is_fresh.then_some(Entry { secret: secret.try_into().ok()?, path })
    }
}

impl Entry {
    /// A way to this page, in the place of one that the browser was on. Another tab of the same browser stays on its way.
    pub(crate) fn to(path: &str, before: Option<Self>) -> Result<Self, NoRandom> {
        let path = path::back(path).to_owned();
        if let Some(before) = before {
            return Ok(Self { path, ..before });
        }
        let mut secret = [0; 32];
        SystemRandom::new().fill(&mut secret).map_err(|_| NoRandom)?;
        Ok(Self { secret, path })
    }

    /// Digest of the secret, which the way in is bound to.
    pub(crate) fn challenge(&self) -> String {
        URL_SAFE_NO_PAD.encode(digest(&SHA256, &self.secret))
    }
}

fn sealed(host: &str, text: &str) -> String {
    format!("{host}\n{text}")
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_in_is_read_by_its_maker_for_its_host_alone() {
        let (seal, other) = (Seal::new().unwrap(), Seal::new().unwrap());
        let entry = Entry::to("/a?b=c", None).unwrap();
        let value = seal.write("shop.example.org", &entry);
        assert_eq!(seal.read("shop.example.org", &value), Some(entry.clone()));
        assert_eq!(seal.read("files.example.org", &value), None);
        assert_eq!(other.read("shop.example.org", &value), None);
        for bad in [value.replace('.', "~"), format!("{value}A"), value[1..].to_owned(), String::new()] {
            assert_eq!(seal.read("shop.example.org", &bad), None, "{bad}");
        }
        assert_eq!(entry.challenge().len(), 43);
        let next = Entry::to("//evil.example", Some(entry.clone())).unwrap();
        assert_eq!((next.challenge(), next.path.as_str()), (entry.challenge(), "/"));
    }
}
