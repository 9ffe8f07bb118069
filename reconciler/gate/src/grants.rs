//! Grants that were verified: the signature of each is checked once, and its text remembered.

use std::collections::HashMap;
use std::sync::Arc;

use berth_wire::grant::{Grant, Shown};
use parking_lot::Mutex;
use ring::signature::{ED25519, UnparsedPublicKey};

/// The most that are remembered. Only good ones are, so nobody fills this with what they made up.
const MOST: usize = 16_384;

/// Memory of good grants, for one key.
#[derive(Debug, Default)]
pub(crate) struct Verified(Mutex<Memory>);

#[derive(Debug, Default)]
struct Memory {
    key: Option<Arc<[u8]>>,
    good: HashMap<String, Grant>,
}

impl Verified {
    /// Reads a grant that the holder of `key` has signed. It may be over.
    pub(crate) fn read(&self, key: &Arc<[u8]>, text: &str) -> Option<Grant> {
        let mut memory = self.0.lock();
        if memory.key.as_ref() != Some(key) {
            *memory = Memory { key: Some(Arc::clone(key)), good: HashMap::new() };
        }
        if let Some(grant) = memory.good.get(text) {
            return Some(grant.clone());
        }
        drop(memory);
        let Shown { grant, signature } = Shown::read(text)?;
        UnparsedPublicKey::new(&ED25519, key).verify(&grant.signed(), &signature).ok()?;
        let mut memory = self.0.lock();
        if memory.good.len() >= MOST {
            memory.good.clear();
        }
        if memory.key.as_ref() == Some(key) {
            memory.good.insert(text.to_owned(), grant.clone());
        }
        Some(grant)
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use ring::signature::{Ed25519KeyPair, KeyPair as _};

    use super::*;

    #[test]
    fn only_what_the_key_has_signed_is_read() {
        let pair = |seed| Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
        let (door, other) = (pair(1), pair(2));
        let grant = Grant {
            until: Timestamp::from_second(1_800_000_000).unwrap(),
            host: "shop.example.org".parse().unwrap(),
            user: "ann".parse().unwrap(),
            session: "0123456789abcdef0123456789abcdef".parse().unwrap(),
        };
        let key: Arc<[u8]> = door.public_key().as_ref().into();
        let verified = Verified::default();
        let good = grant.with_signature(door.sign(&grant.signed()).as_ref());
        for _ in 0..2 {
            assert_eq!(verified.read(&key, &good), Some(grant.clone()));
        }
        let forged = grant.with_signature(other.sign(&grant.signed()).as_ref());
        let without_purpose = grant.with_signature(door.sign(grant.to_string().as_bytes()).as_ref());
        let changed = good.replace("~ann~", "~bob~");
        for bad in [&forged, &without_purpose, &changed, &good.replacen("18", "19", 1)] {
            assert_eq!(verified.read(&key, bad), None, "{bad}");
        }
        // Another key knows none of what the first had signed.
        let next: Arc<[u8]> = other.public_key().as_ref().into();
        assert_eq!(verified.read(&next, &good), None);
        assert_eq!(verified.read(&next, &forged), Some(grant));
    }
}
