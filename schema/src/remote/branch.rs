//! The branch at the forge, and the name under which the forge shows what became of its commits.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use crate::invalid::Invalid;
use crate::json_schema::written::written_as;
use crate::text::shown;
use crate::value::text_values;

/// A branch's name, without `refs/heads/`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Branch(String);

/// The name under which the forge shows the state of a commit.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct StatusContext(String);

impl Branch {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The whole name of the ref.
    pub fn reference(&self) -> String {
        format!("refs/heads/{}", self.0)
    }
}

impl Default for Branch {
    fn default() -> Self {
        Self("main".to_owned())
    }
}

impl FromStr for Branch {
    type Err = Invalid;

    /// Accepts a part of what git allows, and nothing that a refspec or a shell could read otherwise.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let good = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
        let part = |part: &str| {
            !part.is_empty()
                && !part.starts_with(['.', '-'])
                && !part.ends_with('.')
                && !part.ends_with(".lock")
        };
        let fits =
            text.len() <= 200 && text.chars().all(good) && !text.contains("..") && text.split('/').all(part);
        match fits && !text.starts_with("refs/") {
            true => Ok(Self(text.to_owned())),
            false => Err(Invalid::new(
                format!("`{}` is not the name of a branch that Berth takes", shown(text)),
                "write it without `refs/heads/`, such as \"main\": letters, digits, `-`, `_`, `.` and `/`",
            )),
        }
    }
}

impl Default for StatusContext {
    fn default() -> Self {
        Self("berth".to_owned())
    }
}

impl FromStr for StatusContext {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let good = |c: char| c.is_ascii_alphanumeric() || "-_./:".contains(c);
        let begins = text.starts_with(|c: char| c.is_ascii_alphanumeric());
        match begins && text.len() <= 100 && text.chars().all(good) {
            true => Ok(Self(text.to_owned())),
            false => Err(Invalid::new(
                format!("`{}` is not a name for the state of a commit", shown(text)),
                "write it as \"berth/hosting\": up to 100 letters, digits, `-`, `_`, `.`, `:` and `/`",
            )),
        }
    }
}

impl fmt::Display for Branch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for StatusContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Branch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl Serialize for StatusContext {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

written_as! {
    Branch: { "type": "string", "pattern": "^[A-Za-z0-9_][A-Za-z0-9_./-]*$", "maxLength": 200 },
    StatusContext: { "type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9_.:/-]*$", "maxLength": 100 },
}

text_values! {
    Branch: "the name of a branch in quotes, such as \"main\"",
    StatusContext: "a name in quotes, such as \"berth\"",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_branch_is_no_refspec() {
        for good in ["main", "release/2026-12", "a_b.c"] {
            assert!(good.parse::<Branch>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "+main",
            "main:main",
            "refs/heads/main",
            "-d",
            "a..b",
            "a//b",
            "a.lock",
            "main^",
            ".a",
            "a b",
            "@{u}",
        ] {
            assert!(bad.parse::<Branch>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_context_is_a_plain_name() {
        for good in ["berth", "berth/hosting.example.org", "CI:berth_2"] {
            assert!(good.parse::<StatusContext>().is_ok(), "{good}");
        }
        for bad in ["", "/berth", "a b", "ä", "a\nb", &"a".repeat(101)] {
            assert!(bad.parse::<StatusContext>().is_err(), "{bad}");
        }
    }
}
