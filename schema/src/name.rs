//! Names that are valid by construction: a value of one of these types has passed its rule, so nobody checks again.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Why a value is refused, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Invalid {
    /// What is wrong, naming the value.
    pub message: String,
    /// How to mend it.
    pub hint: String,
}

impl Invalid {
    /// A refusal with its hint.
    pub fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: hint.into() }
    }
}

/// The longest name that the naming rule allows, in characters (seed, section 2.4).
pub const NAME_MAX: usize = 25;

fn check_name(kind: &str, value: &str) -> Result<(), Invalid> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if value.is_empty() || value.len() > NAME_MAX || !value.chars().all(allowed) {
        return Err(Invalid::new(
            format!("`{value}` is not a {kind}"),
            format!("use 1 to {NAME_MAX} lower-case letters, digits and hyphens"),
        ));
    }
    Ok(())
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $type(Arc<str>);

        impl $type {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = Invalid;
            fn from_str(value: &str) -> Result<Self, Invalid> {
                check_name($kind, value)?;
                Ok(Self(value.into()))
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(
    /// A member's name: the file name of `users/<user>.toml`.
    UserName,
    "user name"
);
name!(
    /// A server's name: the file name of `servers/<name>.toml`.
    ServerName,
    "server name"
);
name!(
    /// The prefix of every object that a platform makes, and the value of its platform label.
    Prefix,
    "prefix"
);

/// A server's number: positive and unique for ever. Container `<prefix>-users-dind-<id>`, SSH user `server<id>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct ServerId(pub NonZeroU32);

impl ServerId {
    /// The id as a plain number.
    pub fn get(self) -> u32 {
        self.0.get()
    }
}

impl fmt::Display for ServerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A fully qualified domain name in lower case, at most 253 octets (RFC 1035), perhaps with a leading `*.`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Fqdn(Arc<str>);

impl Fqdn {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this name is `parent` or lies below it.
    pub fn is_within(&self, parent: &Fqdn) -> bool {
        self.0.strip_suffix(parent.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    }
}

impl FromStr for Fqdn {
    type Err = Invalid;
    fn from_str(value: &str) -> Result<Self, Invalid> {
        let refuse = |hint: &str| Err(Invalid::new(format!("`{value}` is not a domain name"), hint));
        let labels: Vec<&str> = value.strip_prefix("*.").unwrap_or(value).split('.').collect();
        if value.len() > 253 || labels.len() < 2 {
            return refuse("write it in full, such as `shop.example.org`");
        }
        for label in labels {
            let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            if label.is_empty() || label.len() > 63 || !label.chars().all(good) {
                return refuse("each label has 1 to 63 lower-case letters, digits and hyphens (write IDNs as `xn--…`)");
            }
            if label.starts_with('-') || label.ends_with('-') {
                return refuse("a label may not begin or end with a hyphen");
            }
        }
        Ok(Self(value.into()))
    }
}

impl fmt::Display for Fqdn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A Docker image reference, such as `berth-server:latest`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct ImageRef(Arc<str>);

impl ImageRef {
    /// The reference as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ImageRef {
    type Err = Invalid;
    fn from_str(value: &str) -> Result<Self, Invalid> {
        let good = |c: char| c.is_ascii_alphanumeric() || "-_./:@".contains(c);
        let framed = value.starts_with(|c: char| c.is_ascii_alphanumeric())
            && value.ends_with(|c: char| c.is_ascii_alphanumeric());
        if !framed || value.len() > 255 || !value.chars().all(good) {
            return Err(Invalid::new(
                format!("`{value}` is not an image reference"),
                "write `name:tag`, such as `berth-server:latest`",
            ));
        }
        Ok(Self(value.into()))
    }
}

impl fmt::Display for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
