//! Revision: the full id of a commit, as a value of its own, so that nobody needs git to hold one.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Bytes of a commit's id.
const BYTES: usize = 20;
/// Digits that are enough for a person.
const SHORT: usize = 10;
/// Text that stands for a plain folder where a revision's would be.
const FOLDER: &str = "folder";

/// A commit's full id. Abbreviations and names become one only with a repository at hand.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision([u8; BYTES]);

/// The text is not 40 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a full commit id (40 hexadecimal digits)")]
pub struct NotARevision(pub String);

/// The place that a state was read from. A plain folder has no history, so it has no revision either.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// A plain folder.
    Folder,
    /// A revision of a git repository.
    Revision(Revision),
}

impl Revision {
    /// Revision with these bytes as its id.
    pub fn from_bytes(bytes: [u8; BYTES]) -> Self {
        Self(bytes)
    }

    /// Bytes of the id.
    pub fn as_bytes(&self) -> &[u8; BYTES] {
        &self.0
    }

    /// The first ten digits: enough for a person, not enough to find the commit for certain.
    pub fn short(&self) -> String {
        let mut hex = self.to_string();
        hex.truncate(SHORT);
        hex
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Revision({self})")
    }
}

impl FromStr for Revision {
    type Err = NotARevision;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = || NotARevision(text.to_owned());
        if text.len() != 2 * BYTES || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(refused());
        }
        let mut bytes = [0; BYTES];
        for (at, byte) in bytes.iter_mut().enumerate() {
            let digits = text.get(2 * at..2 * at + 2).ok_or_else(refused)?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| refused())?;
        }
        Ok(Self(bytes))
    }
}

impl Serialize for Revision {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Revision {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl Origin {
    /// The revision; `None` of a plain folder.
    pub fn revision(&self) -> Option<Revision> {
        match self {
            Self::Folder => None,
            Self::Revision(revision) => Some(*revision),
        }
    }

    /// The name that people read: the first ten digits of a revision.
    pub fn short(&self) -> String {
        match self {
            Self::Folder => FOLDER.to_owned(),
            Self::Revision(revision) => revision.short(),
        }
    }
}

impl From<Revision> for Origin {
    fn from(revision: Revision) -> Self {
        Self::Revision(revision)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder => f.write_str(FOLDER),
            Self::Revision(revision) => revision.fmt(f),
        }
    }
}

impl FromStr for Origin {
    type Err = NotARevision;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            FOLDER => Ok(Self::Folder),
            _ => text.parse().map(Self::Revision),
        }
    }
}

impl Serialize for Origin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Origin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_a_full_id_is_a_revision() {
        for text in ["", "abc", "HEAD", &"g".repeat(40), &"0".repeat(39), &"0".repeat(41), &"é".repeat(20)] {
            assert!(text.parse::<Revision>().is_err(), "{text}");
        }
        let upper = "ABCDEF0123".repeat(4);
        assert_eq!(upper.parse::<Revision>().unwrap().to_string(), upper.to_lowercase());
    }

    #[test]
    fn a_folder_is_none() {
        let origin: Origin = serde_json::from_str("\"folder\"").unwrap();
        assert_eq!((origin, origin.revision(), origin.short().as_str()), (Origin::Folder, None, "folder"));
        assert_eq!(serde_json::to_string(&origin).unwrap(), "\"folder\"");
    }

    proptest! {
        #[test]
        fn every_id_survives_its_text(bytes: [u8; BYTES]) {
            let revision = Revision::from_bytes(bytes);
            prop_assert_eq!(revision.to_string().parse::<Revision>().unwrap(), revision);
            prop_assert_eq!(revision.short(), revision.to_string()[..SHORT].to_owned());
            let json = serde_json::to_string(&Origin::from(revision)).unwrap();
            prop_assert_eq!(&json, &format!("\"{revision}\""));
            prop_assert_eq!(serde_json::from_str::<Origin>(&json).unwrap(), Origin::Revision(revision));
        }
    }
}
