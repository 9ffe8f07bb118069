//! The key that signs grants: made once, and kept in a file of the door's own.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};

use super::super::secret::{NoRandom, SecretError};
use super::super::store::Store;

/// Name of the record.
const RECORD: &str = "grant-key.json";

/// The key that signs grants.
pub(crate) struct Key(Ed25519KeyPair);

impl Key {
    /// Reads the key, or makes one. A lost key ends the grants that it signed, and nothing else.
    pub(crate) fn open(store: &Store) -> Result<Self, SecretError> {
        let kept: Option<String> = store.read(RECORD)?;
        let kept = kept.and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
        if let Some(pair) = kept.and_then(|bytes| Ed25519KeyPair::from_pkcs8(&bytes).ok()) {
            return Ok(Self(pair));
        }
        let made = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| NoRandom)?;
        store.write(RECORD, &URL_SAFE_NO_PAD.encode(made.as_ref()))?;
        Ok(Self(Ed25519KeyPair::from_pkcs8(made.as_ref()).map_err(|_| NoRandom)?))
    }

    /// The public key, in base64.
    pub(crate) fn public(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0.public_key())
    }

    pub(crate) fn sign(&self, text: &[u8]) -> Vec<u8> {
        self.0.sign(text).as_ref().to_vec()
    }

    pub(crate) fn has_signed(&self, text: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, self.0.public_key()).verify(text, signature).is_ok()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}
