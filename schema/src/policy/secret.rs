//! Secrets in text: what may not even pass through history.
//!
//! A file with a secret is refused as a state anyway; this looks at files that a later commit mended or removed, where
//! the secret would stay readable for whoever clones. Messages never repeat what was found.

use toml::de::{DeTable, DeValue};

use crate::finding::{Finding, Position, Severity};
use crate::name::Invalid;

/// What begins a private key, in the forms that programs write: OpenSSH and PEM, PuTTY, age, and the bare Base64 of
/// OpenSSH's ("openssh-key-v1").
const PRIVATE_KEYS: [&str; 4] =
    ["PRIVATE KEY-----", "PuTTY-User-Key-File", "AGE-SECRET-KEY-1", "b3BlbnNzaC1rZXktdjE"];

/// Names under which people write down a secret.
const SECRET_FIELDS: [&str; 8] =
    ["password", "password_hash", "passwd", "passphrase", "secret", "token", "api_key", "private_key"];

/// The secrets in a file that is about to become a part of history.
pub fn secrets(path: &str, text: &str) -> Vec<Finding> {
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
        let mut places = Vec::new();
        look(document.get_ref(), &mut places);
        places.sort_unstable();
        for at in places {
            add(
                at,
                "this is a password in plain text, and history keeps it for everybody who can read the repository",
                "treat the password as compromised: choose another, and write its hash as `password_hash`",
            );
        }
    }
    found
}

/// Where fields with a secret's name hold anything but a hash.
fn look(table: &DeTable<'_>, places: &mut Vec<usize>) {
    for (key, value) in table {
        match value.get_ref() {
            DeValue::Table(inner) => look(inner, places),
            DeValue::Array(entries) => {
                for entry in entries {
                    if let DeValue::Table(inner) = entry.get_ref() {
                        look(inner, places);
                    }
                }
            }
            DeValue::String(text) => {
                let named = key.get_ref().to_ascii_lowercase().replace('-', "_");
                if SECRET_FIELDS.contains(&named.as_str()) && !text.is_empty() && !is_hash(text) {
                    places.push(value.span().start);
                }
            }
            _ => {}
        }
    }
}

/// `$<algorithm>$…`: not worth much perhaps, but no plain text.
fn is_hash(text: &str) -> bool {
    let mut parts = text.split('$');
    parts.next() == Some("")
        && parts.next().is_some_and(|algorithm| !algorithm.is_empty())
        && parts.next().is_some()
}
