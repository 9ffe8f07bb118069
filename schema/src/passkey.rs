//! Passkeys: the public halves with which a browser proves who opens the panel.
//!
//! Owns how one is written: a line of its id, its public key and the name that its owner gave it. Knows no cryptography: the
//! panel's door makes these lines and reads the key.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::invalid::Invalid;
use crate::json_schema::written::written_as;
use crate::value::text_values;

/// A passkey: `<id> <public key> <name>`, the first two in URL-safe Base64.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Passkey(Arc<str>);

/// Lengths of an id: 16 to 1023 bytes (WebAuthn, "Credential ID"), in Base64.
const ID: std::ops::RangeInclusive<usize> = 22..=1364;
/// Lengths of a key: from an elliptic curve's 32 bytes to RSA's 8192 bits, in Base64.
const KEY: std::ops::RangeInclusive<usize> = 43..=1500;
/// Characters of a name.
const NAME: std::ops::RangeInclusive<usize> = 1..=40;

const FORM: &str = "add passkeys in the panel, under Account, which writes this line";

impl Passkey {
    /// A passkey with these parts. A name is cut where it is too long.
    pub fn new(id: &str, key: &str, name: &str) -> Result<Self, Invalid> {
        let name: String = name.split_whitespace().collect::<Vec<_>>().join(" ");
        let name: String = name.chars().filter(|c| !c.is_control()).take(*NAME.end()).collect();
        format!("{id} {key} {}", if name.trim().is_empty() { "passkey" } else { name.trim() }).parse()
    }

    /// The whole line.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id, which no other passkey has.
    pub fn id(&self) -> &str {
        self.part(0)
    }

    /// The public key.
    pub fn key(&self) -> &str {
        self.part(1)
    }

    /// The name that its owner gave it.
    pub fn name(&self) -> &str {
        self.part(2)
    }

    fn part(&self, number: usize) -> &str {
        self.0.splitn(3, ' ').nth(number).unwrap_or_default()
    }
}

impl FromStr for Passkey {
    type Err = Invalid;

    fn from_str(value: &str) -> Result<Self, Invalid> {
        let refused = |message: &str| Err(Invalid::new(message.to_owned(), FORM));
        let parts: Vec<&str> = value.splitn(3, ' ').collect();
        let [id, key, name] = parts[..] else { return refused("this is not a passkey") };
        let is_base64 =
            |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        if !is_base64(id) || !ID.contains(&id.len()) || !is_base64(key) || !KEY.contains(&key.len()) {
            return refused("this passkey is damaged");
        }
        if !NAME.contains(&name.chars().count()) || name.trim() != name || name.contains(char::is_control) {
            return refused("the passkey's name isn't one: it has 1 to 40 characters in one line");
        }
        Ok(Self(value.into()))
    }
}

impl TryFrom<String> for Passkey {
    type Error = Invalid;

    fn try_from(value: String) -> Result<Self, Invalid> {
        value.parse()
    }
}

impl From<Passkey> for String {
    fn from(passkey: Passkey) -> Self {
        passkey.as_str().to_owned()
    }
}

impl fmt::Display for Passkey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

written_as! {
    Passkey: { "type": "string", "pattern": "^[A-Za-z0-9_-]{22,1364} [A-Za-z0-9_-]{43,1500} .{1,40}$" },
}

text_values! {
    Passkey: "a passkey's line in quotes, as the panel writes it",
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_three_parts_and_a_name_of_one_line() {
        let (id, key) = ("A".repeat(22), "b".repeat(43));
        let phone = Passkey::new(&id, &key, "  ann's\n new   phone ").unwrap();
        assert_eq!((phone.id(), phone.key(), phone.name()), (&*id, &*key, "ann's new phone"));
        assert_eq!(phone.as_str().parse::<Passkey>().unwrap(), phone);
        assert_eq!(Passkey::new(&id, &key, " \u{7} ").unwrap().name(), "passkey");
        assert_eq!(Passkey::new(&id, &key, &"ä".repeat(99)).unwrap().name(), "ä".repeat(40));
        for wrong in [
            String::new(),
            id.clone(),
            format!("{id} {key}"),
            format!("{id} {key} "),
            format!("{} {key} phone", &id[1..]),
            format!("{id} {}+ phone", &key[1..]),
            format!("{id} {key} a\u{7}b"),
        ] {
            assert!(wrong.parse::<Passkey>().is_err(), "{wrong}");
        }
    }
}
