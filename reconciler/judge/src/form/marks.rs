//! Marks that stand for secrets where somebody reads or edits a file's text, named by a key that only the door has.

use std::fmt;

use berth_schema::Finding;
use berth_schema::veil::{self, NAME, Veiled};

/// The key by which marks name their secrets. Without it, nobody can try out what a mark may stand for.
#[derive(Clone)]
pub struct Marks([u8; 32]);

impl Marks {
    /// Marks by this key.
    pub fn of(key: [u8; 32]) -> Self {
        Self(key)
    }

    /// The text of the file at `path` with marks in place of its secrets; `None` where nothing of it can be shown.
    pub fn veil(&self, path: &str, text: &str) -> Option<Veiled> {
        veil::veil(path, text, &|secret| self.name(secret))
    }

    /// Puts the secrets of the text that an editor began from back into the one that they sent.
    pub fn restore(&self, path: &str, began: &str, sent: &str) -> Result<String, Vec<Finding>> {
        veil::restore(path, began, sent, &|secret| self.name(secret))
    }

    fn name(&self, secret: &str) -> String {
        let digest = blake3::keyed_hash(&self.0, secret.as_bytes()).to_hex();
        digest.chars().take(NAME).collect()
    }
}

impl fmt::Debug for Marks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Marks(…)")
    }
}
