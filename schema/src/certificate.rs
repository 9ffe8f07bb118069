//! Certificates in PEM, as a text in a file.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;

use crate::invalid::Invalid;
use crate::value::text_values;

/// One or more certificates in PEM (RFC 7468), and nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Certificates(String);

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

impl Certificates {
    /// The text: one line after the other, each ended by a line feed.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Certificates {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        if text.contains("PRIVATE KEY") {
            return Err(Invalid::new(
                "this holds a private key, where certificates belong",
                "everybody who can read the repository knows it now: make a new key, and write only the certificate",
            ));
        }
        read(text).ok_or_else(|| {
            Invalid::new(
                "this is not a certificate in PEM",
                format!("write it between ''' and ''', from `{BEGIN}` to `{END}`"),
            )
        })
    }
}

fn read(text: &str) -> Option<Certificates> {
    let base64 = |c: char| c.is_ascii_alphanumeric() || "+/=".contains(c);
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty()).peekable();
    let mut kept = String::with_capacity(text.len());
    lines.peek()?;
    while let Some(line) = lines.next() {
        (line == BEGIN).then_some(())?;
        kept.extend([BEGIN, "\n"]);
        let before = kept.len();
        loop {
            let line = lines.next()?;
            if line == END {
                break;
            }
            line.chars().all(base64).then_some(())?;
            kept.extend([line, "\n"]);
        }
        (kept.len() > before).then_some(())?;
        kept.extend([END, "\n"]);
    }
    Some(Certificates(kept))
}

impl fmt::Display for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl JsonSchema for Certificates {
    fn schema_name() -> Cow<'static, str> {
        "Certificates".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "description": "Certificates in PEM.", "pattern": "-----BEGIN CERTIFICATE-----" })
    }
}

text_values! {
    Certificates: "certificates in PEM, between ''' and '''" SECRET,
}
