//! A person's account at a forge, by which a change that comes from there is known to be theirs.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::Serialize;

use crate::invalid::Invalid;
use crate::json_schema::written::written_as;
use crate::text::shown;
use crate::value::text_values;

/// A person's account at a forge: the address of their page there without `https://`, such as `github.com/anna`. Small letters, since
/// forges tell no names apart by them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct ForgeAccount(Arc<str>);

/// The longest account, in bytes.
const LONGEST: usize = 200;

written_as! {
    ForgeAccount: {
        "type": "string",
        "pattern": "^[A-Za-z0-9][A-Za-z0-9.:-]*(/[A-Za-z0-9_.\\[\\]-]+)+$",
        "maxLength": 200,
        "examples": ["github.com/anna"],
    },
}

text_values! {
    ForgeAccount: "the address of somebody's page at the forge in quotes, such as \"github.com/anna\"",
}

impl ForgeAccount {
    /// The forge and the name, such as `github.com/anna`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ForgeAccount {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let letters = |part: &str, others: &str| {
            let good = |c: char| c.is_ascii_alphanumeric() || others.contains(c);
            !part.is_empty() && part.chars().all(good)
        };
        let good = text.split_once('/').is_some_and(|(host, names)| {
            host.starts_with(|c: char| c.is_ascii_alphanumeric())
                && letters(host, "-.:")
                && names.split('/').all(|name| letters(name, "-_.[]"))
        });
        match good && text.len() <= LONGEST {
            true => Ok(Self(text.to_ascii_lowercase().into())),
            false => Err(Invalid::new(
                format!("`{}` is not an account at a forge", shown(text)),
                "write the address of the person's page there without `https://`, such as \"github.com/anna\"",
            )),
        }
    }
}

impl fmt::Display for ForgeAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_a_forge_and_a_name() {
        for good in [
            "github.com/anna",
            "GitHub.com/Anna",
            "git.example.org:3000/a_b.c",
            "h.org/gitlab/anna",
            "github.com/berth[bot]",
        ] {
            assert_eq!(good.parse::<ForgeAccount>().unwrap().as_str(), good.to_ascii_lowercase());
        }
        for bad in [
            "",
            "anna",
            "/anna",
            "github.com/",
            "github.com//a",
            "https://github.com/anna",
            "github.com/ä",
            "@anna",
            "-h/a",
            "h/a b",
        ] {
            assert!(bad.parse::<ForgeAccount>().is_err(), "{bad}");
        }
    }
}
