//! Removed servers whose time an admin ends before the retention does.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::invalid::Invalid;
use crate::json_schema::written::written_as;
use crate::name::ServerId;
use crate::text::shown;
use crate::value::text_values;

/// The fewest digits of a revision. Git shows as many.
const FEWEST: usize = 7;
/// The digits of a whole revision.
const MOST: usize = 40;

/// A removal of a server, such as `5@4f3a2b1c`: the server's id, and the revision that removed it or its first digits. It names no
/// later removal of the same id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Removal {
    id: ServerId,
    digits: String,
}

impl Removal {
    /// The id of the removed server.
    pub fn id(&self) -> ServerId {
        self.id
    }

    /// Returns whether this is the removal of that server by that revision.
    pub fn is_of(&self, id: ServerId, revision: &str) -> bool {
        self.id == id && revision.starts_with(&self.digits)
    }
}

impl FromStr for Removal {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let invalid = || {
            Invalid::new(
                format!("`{}` names no removed server", shown(text)),
                format!(
                    "write its id, `@`, and {FEWEST} digits or more of the revision that removed it, as `berth status` shows \
                     them: \"5@4f3a2b1c\""
                ),
            )
        };
        let (id, digits) = text.split_once('@').ok_or_else(invalid)?;
        let id = id.parse::<NonZeroU32>().map(ServerId).map_err(|_| invalid())?;
        let is_hex = |digit: char| digit.is_ascii_digit() || ('a'..='f').contains(&digit);
        if !(FEWEST..=MOST).contains(&digits.len()) || !digits.chars().all(is_hex) {
            return Err(invalid());
        }
        Ok(Self { id, digits: digits.to_owned() })
    }
}

impl TryFrom<String> for Removal {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<Removal> for String {
    fn from(removal: Removal) -> Self {
        removal.to_string()
    }
}

impl fmt::Display for Removal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.id, self.digits)
    }
}

text_values! {
    Removal: "removed servers in quotes, such as \"5@4f3a2b1c\"",
}

written_as! {
    Removal: { "type": "string", "pattern": "^[1-9][0-9]*@[0-9a-f]{7,40}$", "examples": ["5@4f3a2b1c"] },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removal_is_that_of_one_revision() {
        let removal: Removal = "5@4f3a2b1c".parse().unwrap();
        let id = |id| ServerId(NonZeroU32::new(id).unwrap());
        assert!(removal.is_of(id(5), "4f3a2b1c09d8e7f6a5b4c3d2e1f0a9b8c7d6e5f4"));
        assert!(!removal.is_of(id(6), "4f3a2b1c09d8e7f6a5b4c3d2e1f0a9b8c7d6e5f4"));
        assert!(!removal.is_of(id(5), "5f3a2b1c09d8e7f6a5b4c3d2e1f0a9b8c7d6e5f4"), "a later one stands");
        assert!(!removal.is_of(id(5), "folder"));
        assert_eq!(removal.to_string(), "5@4f3a2b1c");
    }

    #[test]
    fn what_could_mean_more_than_one_removal_is_refused() {
        for bad in ["5", "5@", "5@4f3a2b", "0@4f3a2b1c", "-1@4f3a2b1c", "5@4F3A2B1C", "5@main", "x@4f3a2b1c"]
        {
            assert!(bad.parse::<Removal>().is_err(), "{bad}");
        }
    }
}
