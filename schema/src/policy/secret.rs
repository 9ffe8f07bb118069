//! Secrets in text, which may not even pass through history.
//!
//! A file with a secret is refused as a state anyway; this looks at files that a later commit mended or removed, where
//! the secret would stay readable for whoever clones. Messages never repeat what was found.

use std::borrow::Cow;
use std::str::FromStr as _;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::finding::{Finding, Position, Severity};
use crate::invalid::Invalid;
use crate::kind::Kind;
use crate::secret::SecretName;

/// Beginnings of private keys, in the forms that programs write: OpenSSH and PEM, OpenPGP (RFC 9580, section 6.2.1), PuTTY,
/// age, and the bare Base64 of OpenSSH's ("openssh-key-v1").
pub(crate) const PRIVATE_KEYS: [&str; 5] = [
    "PRIVATE KEY-----",
    "PRIVATE KEY BLOCK-----",
    "PuTTY-User-Key-File",
    "AGE-SECRET-KEY-1",
    "b3BlbnNzaC1rZXktdjE",
];

/// Names under which people write down a secret.
const SECRET_FIELDS: [&str; 8] =
    ["password", "password_hash", "passwd", "passphrase", "secret", "token", "api_key", "private_key"];

/// The secrets in a file that is about to become a part of history: its bytes, in UTF-8 or UTF-16.
pub fn secrets(path: &str, content: &[u8]) -> Vec<Finding> {
    let text = &*text_of(content);
    let mut found = Vec::new();
    let mut add = |at: usize, message: &str, hint: &str| {
        let position = Some(Position::of(text, at));
        found.push(Finding::new(Severity::Error, path, position, Invalid::new(message, hint)));
    };
    let key = PRIVATE_KEYS.iter().filter_map(|mark| text.find(mark)).min();
    if let Some(at) = key {
        add(
            at,
            "this is a private key, and history keeps it for everybody who can read the repository",
            "treat the key as compromised: delete it and make a new one",
        );
    }
    if path.ends_with(".toml") {
        let (document, _) = DeTable::parse_recoverable(text);
        let mut look = Look { is_platform: Kind::of(path) == Some(Kind::Platform), places: Vec::new() };
        look.table(false, document.get_ref());
        look.places.sort_unstable();
        for at in look.places {
            add(
                at,
                "this is a password in plain text, and history keeps it for everybody who can read the repository",
                "treat the password as compromised: choose another, and write its hash as `password_hash`",
            );
        }
    }
    found
}

/// Text of a file. Windows' PowerShell writes UTF-16 when output goes into a file, with a mark before it; other programs leave
/// the mark out, and then every other byte of what is mostly ASCII is zero.
fn text_of(content: &[u8]) -> Cow<'_, str> {
    let zeros = |odd: usize| content.iter().take(256).skip(odd).step_by(2).filter(|byte| **byte == 0).count();
    let most = content.len().min(256) / 4;
    let order: fn([u8; 2]) -> u16 = match content {
        [0xff, 0xfe, ..] => u16::from_le_bytes,
        [0xfe, 0xff, ..] => u16::from_be_bytes,
        [_, _, ..] if zeros(1) > most => u16::from_le_bytes,
        [_, _, ..] if zeros(0) > most => u16::from_be_bytes,
        _ => return String::from_utf8_lossy(content),
    };
    let units: Vec<u16> =
        content.chunks_exact(2).filter_map(|pair| Some(order(pair.try_into().ok()?))).collect();
    Cow::Owned(String::from_utf16_lossy(&units))
}

/// A look for the places where fields with a secret's name hold anything but a hash.
struct Look {
    is_platform: bool,
    places: Vec<usize>,
}

impl Look {
    /// Looks through a table. Whatever stands below a secret's name is secret, too.
    fn table(&mut self, is_secret: bool, table: &DeTable<'_>) {
        for (key, value) in table {
            self.value(is_secret || is_secret_field(key.get_ref()), value);
        }
    }

    fn value(&mut self, is_secret: bool, value: &Spanned<DeValue<'_>>) {
        match value.get_ref() {
            DeValue::Table(inner) => self.table(is_secret, inner),
            DeValue::Array(entries) => entries.iter().for_each(|entry| self.value(is_secret, entry)),
            DeValue::String(text) if is_hash(text) => {}
            single if is_secret && may_be_secret(self.is_platform, single) => {
                self.places.push(value.span().start);
            }
            _ => {}
        }
    }
}

/// Returns whether a single value under a secret's name may be the secret itself. The platform's settings name secrets, and don't hold
/// them; an answer of yes or no is none.
pub(crate) fn may_be_secret(is_platform: bool, value: &DeValue<'_>) -> bool {
    match value {
        DeValue::String(text) if is_platform => !text.is_empty() && SecretName::from_str(text).is_err(),
        DeValue::String(text) => !text.is_empty(),
        DeValue::Integer(_) | DeValue::Float(_) | DeValue::Datetime(_) => true,
        DeValue::Boolean(_) | DeValue::Array(_) | DeValue::Table(_) => false,
    }
}

/// Returns whether people write down a secret under this name.
pub(crate) fn is_secret_field(key: &str) -> bool {
    SECRET_FIELDS.contains(&key.to_ascii_lowercase().replace('-', "_").as_str())
}

/// `$<algorithm>$…`: not worth much perhaps, but no plain text.
fn is_hash(text: &str) -> bool {
    let mut parts = text.split('$');
    parts.next() == Some("")
        && parts.next().is_some_and(|algorithm| !algorithm.is_empty())
        && parts.next().is_some()
}
