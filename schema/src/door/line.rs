//! Lines for the lobby: what somebody typed after `ssh git@<host>`, harmless to show and to log.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::invalid::Invalid;
use crate::text::is_invisible;

/// Longest command, in bytes. As JSON, with everything in it escaped that can be, it still fits into a request.
pub(super) const COMMAND_MAX: usize = 384;

/// The sentence of a line that is too long.
pub(super) fn too_long() -> Invalid {
    Invalid::new(format!("this command is longer than {COMMAND_MAX} bytes"), "change fewer fields at a time")
}

/// Line of words, without control characters and of 384 bytes at most. An empty one has no words.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LobbyLine(String);

impl LobbyLine {
    /// Returns the line.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LobbyLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for LobbyLine {
    type Err = Invalid;
    fn from_str(value: &str) -> Result<Self, Invalid> {
        if value.len() > COMMAND_MAX {
            return Err(too_long());
        }
        match value.chars().find(|c| is_invisible(*c)) {
            Some(c) => Err(Invalid::new(
                format!("this command has the invisible character U+{:04X}", u32::from(c)),
                "type it on one line, without that character",
            )),
            None => Ok(Self(value.to_owned())),
        }
    }
}

impl TryFrom<String> for LobbyLine {
    type Error = Invalid;
    fn try_from(value: String) -> Result<Self, Invalid> {
        value.parse()
    }
}

impl From<LobbyLine> for String {
    fn from(line: LobbyLine) -> Self {
        line.0
    }
}
