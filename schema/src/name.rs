//! Names that are valid by construction: a value of one of these types has passed its rule, so nobody checks again.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};
use toml::de::DeValue;

use crate::host_name;
pub use crate::invalid::Invalid;
use crate::json_schema::written::written_as;
use crate::text::shown;
use crate::value::{self, Value, text_values};

/// The longest name that the naming rule allows, in characters (seed, section 2.4).
pub const NAME_MAX: usize = 25;

/// The longest prefix: it begins the names of containers, networks and volumes.
pub const PREFIX_MAX: usize = 12;

/// Checks the naming rule.
pub(crate) fn is_name(text: &str, longest: usize) -> bool {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !text.is_empty() && text.len() <= longest && text.chars().all(allowed)
}

fn check_name(kind: &str, value: &str, longest: usize) -> Result<(), Invalid> {
    if !is_name(value, longest) {
        return Err(Invalid::new(
            format!("`{}` is not a {kind}", shown(value)),
            format!("use 1 to {longest} lower-case letters, digits and hyphens"),
        ));
    }
    // Docker and DNS take no name that begins or ends with one.
    if kind == Prefix::KIND && (value.starts_with('-') || value.ends_with('-')) {
        return Err(Invalid::new(
            format!("`{value}` is not a {kind}"),
            "begin and end it with a letter or a digit",
        ));
    }
    Ok(())
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $kind:literal, $longest:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $type(Arc<str>);

        impl $type {
            const KIND: &str = $kind;

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = Invalid;
            fn from_str(value: &str) -> Result<Self, Invalid> {
                check_name(Self::KIND, value, $longest)?;
                Ok(Self(value.into()))
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        read_by_rule!($type);
    };
}

/// Reads a name from another process by the same rule as from a file.
macro_rules! read_by_rule {
    ($type:ident) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }
    };
}

name!(
    /// A member's name: the file name of `users/<user>.toml`.
    UserName,
    "user name",
    NAME_MAX
);
name!(
    /// A server's name: the file name of `servers/<name>.toml`.
    ServerName,
    "server name",
    NAME_MAX
);
name!(
    /// The prefix of every object that a platform makes, and the value of its platform label.
    Prefix,
    "prefix",
    PREFIX_MAX
);

impl Default for Prefix {
    fn default() -> Self {
        Self("hosting".into())
    }
}

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

read_by_rule!(Fqdn);

impl Fqdn {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether this is a wildcard, `*.example.org`.
    pub fn is_wildcard(&self) -> bool {
        self.0.starts_with("*.")
    }

    /// The name without the `*.` of a wildcard.
    pub fn base(&self) -> &str {
        self.0.strip_prefix("*.").unwrap_or(&self.0)
    }

    /// Returns whether the name lies below `localhost`, so that it always means the machine that asks (RFC 6761, section 6.3).
    /// No CA vouches for such a name.
    pub fn is_local(&self) -> bool {
        self.0.ends_with(".localhost")
    }
}

/// The label directly below the platform's domain, for a name that lies below it: `shop` for `a.shop.example.org`.
pub(crate) fn label_below<'n>(fqdn: &'n Fqdn, platform: &Fqdn) -> Option<&'n str> {
    let below = fqdn.base().strip_suffix(platform.as_str())?.strip_suffix('.')?;
    below.rsplit('.').next()
}

impl FromStr for Fqdn {
    type Err = Invalid;
    fn from_str(value: &str) -> Result<Self, Invalid> {
        host_name::check(value.strip_prefix("*.").unwrap_or(value), value)?;
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
    /// A reference in this crate's own text, which is known to be good.
    pub(crate) fn known(reference: &'static str) -> Self {
        Self(reference.into())
    }

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
                format!("`{}` is not an image reference", shown(value)),
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

/// A label below the platform's domain, such as `www`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Label(pub(crate) String);

impl FromStr for Label {
    type Err = Invalid;
    fn from_str(value: &str) -> Result<Self, Invalid> {
        let refuse = |hint: String| Invalid::new(format!("`{}` is not a label", shown(value)), hint);
        if value.contains('.') {
            return Err(refuse(
                "write the one label below the platform's domain, such as \"www\", without dots".to_owned(),
            ));
        }
        host_name::check_label(value).map_err(refuse)?;
        Ok(Self(value.to_owned()))
    }
}

written_as! {
    UserName: { "type": "string", "pattern": "^[a-z0-9-]{1,25}$" },
    ServerName: { "type": "string", "pattern": "^[a-z0-9-]{1,25}$" },
    Label: { "type": "string", "pattern": "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$" },
    Prefix: { "type": "string", "pattern": "^[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?$" },
    Fqdn: {
        "type": "string",
        "pattern": "^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\\.)+[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$",
        "maxLength": 253,
    },
    ImageRef: { "type": "string", "pattern": "^[A-Za-z0-9]([A-Za-z0-9_./:@-]*[A-Za-z0-9])?$", "maxLength": 255 },
}

text_values! {
    UserName: "a member's name in quotes, such as \"ann\"",
    ServerName: "a server's name in quotes, such as \"shop\"",
    Prefix: "a short name in quotes, such as \"hosting\"",
    Fqdn: "a domain name in quotes, such as \"hosting.example.org\"",
    ImageRef: "an image reference in quotes, such as \"berth-server:latest\"",
    Label: "a label in quotes, such as \"www\"",
}

impl Value for ServerId {
    const WANTED: &'static str = "a whole number from 1 on, without quotes";
    fn read(value: &DeValue<'_>) -> Option<Result<Self, Invalid>> {
        let number = value::integer(value)?;
        Some(number.and_then(|number| {
            let id = u32::try_from(number).ok().and_then(NonZeroU32::new).map(Self);
            id.ok_or_else(|| {
                Invalid::new(format!("{number} is not a server's id"), "write a whole number from 1 on")
            })
        }))
    }
}
