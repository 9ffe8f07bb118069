//! The digest by which texts are compared: of configurations, of keys in place, of rules as the kernel lists them.

use serde::Serialize;

/// The BLAKE3 digest of a text, in hexadecimal digits.
pub fn digest(text: &[u8]) -> String {
    blake3::hash(text).to_hex().to_string()
}

/// A short fingerprint of anything that can be written as JSON. A label carries it in place of the thing itself.
pub fn fingerprint(value: &impl Serialize) -> String {
    // Writing our own structs as JSON can't fail; were it to, the empty text is a fingerprint that matches nothing
    // that was ever made, so the object would be shown as outdated rather than as unchanged.
    let text = serde_json::to_vec(value).unwrap_or_default();
    blake3::hash(&text).to_hex()[..16].to_owned()
}
