//! Sealing: what is kept of a session can be read with the secret in its cookie, and with nothing else.

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::error::Unspecified;
use ring::hkdf::{HKDF_SHA256, Salt};
use ring::rand::{SecureRandom as _, SystemRandom};

/// Purpose of the key, so that the secret never makes the same key for something else.
const PURPOSE: &[u8] = b"berth-web session 1";

/// Number of a session, which stands in the store, and the secret that opens it, which stands nowhere but in the cookie.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) id: [u8; 16],
    secret: [u8; 32],
}

impl Key {
    /// A key that nobody has had before.
    pub(crate) fn random() -> Result<Self, Unspecified> {
        let random = SystemRandom::new();
        let mut key = Self { id: [0; 16], secret: [0; 32] };
        random.fill(&mut key.id)?;
        random.fill(&mut key.secret)?;
        Ok(key)
    }

    /// The key of a record, from a secret that somebody shows.
    pub(crate) fn of(id: [u8; 16], secret: [u8; 32]) -> Self {
        Self { id, secret }
    }

    /// Reads the value of a cookie.
    pub(crate) fn read(value: &str) -> Option<Self> {
        let (id, secret) = value.split_once('.')?;
        let bytes = |text: &str| BASE64_URL_SAFE_NO_PAD.decode(text).ok();
        Some(Self { id: bytes(id)?.try_into().ok()?, secret: bytes(secret)?.try_into().ok()? })
    }

    /// The value of the cookie.
    pub(crate) fn write(&self) -> String {
        let text = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        format!("{}.{}", text(&self.id), text(&self.secret))
    }

    /// Seals a content.
    pub(crate) fn seal(&self, mut content: Vec<u8>) -> Result<Vec<u8>, Unspecified> {
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce)?;
        let nonce = Nonce::assume_unique_for_key(nonce);
        let mut sealed = nonce.as_ref().to_vec();
        self.cipher()?.seal_in_place_append_tag(nonce, Aad::from(self.id), &mut content)?;
        sealed.extend(content);
        Ok(sealed)
    }

    /// Opens what this key has sealed, and nothing else.
    pub(crate) fn unseal(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, content) = sealed.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut content = content.to_vec();
        let length = self.cipher().ok()?.open_in_place(nonce, Aad::from(self.id), &mut content).ok()?.len();
        content.truncate(length);
        Some(content)
    }

    fn cipher(&self) -> Result<LessSafeKey, Unspecified> {
        let derived = Salt::new(HKDF_SHA256, &self.id).extract(&self.secret);
        let key = UnboundKey::from(derived.expand(&[PURPOSE], &CHACHA20_POLY1305)?);
        Ok(LessSafeKey::new(key))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_cookie_opens_what_it_sealed() {
        let key = Key::random().unwrap();
        let sealed = key.seal(b"a token".to_vec()).unwrap();
        assert_eq!(Key::read(&key.write()).unwrap().unseal(&sealed).unwrap(), b"a token");
        assert_ne!(sealed, key.seal(b"a token".to_vec()).unwrap());

        let other = Key { secret: Key::random().unwrap().secret, ..key };
        assert_eq!(other.unseal(&sealed), None);
        let elsewhere = Key { id: Key::random().unwrap().id, ..key };
        assert_eq!(elsewhere.unseal(&sealed), None);
        for index in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[index] ^= 1;
            assert_eq!(key.unseal(&changed), None);
            assert_eq!(key.unseal(&sealed[..index]), None);
        }
    }

    #[test]
    fn other_cookies_are_no_key() {
        for text in
            ["", ".", "a.b", "AAAA", &"A".repeat(66), &format!("{}.{}", "A".repeat(22), "A".repeat(44))]
        {
            assert_eq!(Key::read(text), None, "{text}");
        }
    }
}
