//! API tokens: what a program shows in a member's place, and what it may do with that.
//!
//! Owns the scopes, and how a token is written: a line of its digest, its scopes, its beginning and end, and the name that its
//! owner gave it. Knows no cryptography and no clock: the panel's door makes these lines and compares the digest.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::invalid::Invalid;
use crate::json_schema::written::written_as;
use crate::value::text_values;

/// Beginning of every token's text, by which people and scanners know one.
pub const PREFIX: &str = "berth_";

/// Part of a member's rights that a token may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Reads what is the member's.
    Read,
    /// Changes, restarts and cleans up servers.
    Servers,
    /// Changes domains.
    Domains,
    /// Decides on proposals, as the member may.
    Reviews,
    /// Changes the member's own file.
    Account,
    /// Does what only an admin may, as long as the member is one.
    Admin,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 6] =
        [Self::Read, Self::Servers, Self::Domains, Self::Reviews, Self::Account, Self::Admin];

    /// The scope in a word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Servers => "servers",
            Self::Domains => "domains",
            Self::Reviews => "reviews",
            Self::Account => "account",
            Self::Admin => "admin",
        }
    }
}

impl FromStr for Scope {
    type Err = Invalid;

    fn from_str(value: &str) -> Result<Self, Invalid> {
        Self::ALL.into_iter().find(|scope| scope.word() == value).ok_or_else(|| {
            let all: Vec<&str> = Self::ALL.map(Self::word).into();
            Invalid::new(
                "this is no scope of a token".to_owned(),
                format!("a scope is one of {}", all.join(", ")),
            )
        })
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A token: `<digest> <scopes> <made> <until> <name>`. The digest is BLAKE3 in hexadecimal, the scopes have commas between them,
/// and both times are UTC to the second: `2026-11-30T18:00:00Z`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct ApiToken(Arc<str>);

/// Characters of a digest.
const DIGEST: usize = 64;
/// Characters of a digest that name its token.
const ID: usize = 16;
/// Characters of a name.
const NAME: std::ops::RangeInclusive<usize> = 1..=40;
/// Form of a time, with a `0` for each digit.
const TIME: &str = "0000-00-00T00:00:00Z";

const FORM: &str = "make tokens in the panel, under Account, which writes this line";

impl ApiToken {
    /// A token with these parts. A name is cut where it is too long.
    pub fn new(
        digest: &str,
        scopes: &BTreeSet<Scope>,
        made: &str,
        until: &str,
        name: &str,
    ) -> Result<Self, Invalid> {
        let name: String = name.split_whitespace().collect::<Vec<_>>().join(" ");
        let name: String = name.chars().filter(|c| !c.is_control()).take(*NAME.end()).collect();
        let name = if name.trim().is_empty() { "token" } else { name.trim() };
        let scopes: Vec<&str> = scopes.iter().map(|scope| scope.word()).collect();
        format!("{digest} {} {made} {until} {name}", scopes.join(",")).parse()
    }

    /// The whole line.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The digest, which no other token has.
    pub fn digest(&self) -> &str {
        self.part(0)
    }

    /// Beginning of the digest, by which people name the token. It opens nothing.
    pub fn id(&self) -> &str {
        self.digest().get(..ID).unwrap_or_default()
    }

    /// The scopes.
    pub fn scopes(&self) -> BTreeSet<Scope> {
        self.part(1).split(',').filter_map(|scope| scope.parse().ok()).collect()
    }

    /// Time of its making.
    pub fn made(&self) -> &str {
        self.part(2)
    }

    /// End of it.
    pub fn until(&self) -> &str {
        self.part(3)
    }

    /// The name that its owner gave it.
    pub fn name(&self) -> &str {
        self.part(4)
    }

    fn part(&self, number: usize) -> &str {
        self.0.splitn(5, ' ').nth(number).unwrap_or_default()
    }
}

impl FromStr for ApiToken {
    type Err = Invalid;

    fn from_str(value: &str) -> Result<Self, Invalid> {
        let refused = |message: &str| Err(Invalid::new(message.to_owned(), FORM));
        let parts: Vec<&str> = value.splitn(5, ' ').collect();
        let [digest, scopes, made, until, name] = parts[..] else {
            return refused("this is not a token's line");
        };
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if digest.len() != DIGEST || !digest.bytes().all(is_hex) {
            return refused("this token's digest is damaged");
        }
        for scope in scopes.split(',') {
            scope.parse::<Scope>()?;
        }
        if !is_time(made) || !is_time(until) {
            return refused("this token's times are damaged");
        }
        if !NAME.contains(&name.chars().count()) || name.trim() != name || name.contains(char::is_control) {
            return refused("the token's name isn't one: it has 1 to 40 characters in one line");
        }
        Ok(Self(value.into()))
    }
}

/// Returns whether a text has the form of a time. Whoever compares times reads them strictly.
fn is_time(text: &str) -> bool {
    let fits = |(have, want): (u8, u8)| if want == b'0' { have.is_ascii_digit() } else { have == want };
    text.len() == TIME.len() && text.bytes().zip(TIME.bytes()).all(fits)
}

impl TryFrom<String> for ApiToken {
    type Error = Invalid;

    fn try_from(value: String) -> Result<Self, Invalid> {
        value.parse()
    }
}

impl From<ApiToken> for String {
    fn from(token: ApiToken) -> Self {
        token.as_str().to_owned()
    }
}

impl fmt::Display for ApiToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

written_as! {
    ApiToken: {
        "type": "string",
        "pattern": "^[0-9a-f]{64} (read|servers|domains|reviews|account|admin)(,(read|servers|domains|reviews|account|admin))* [0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z [0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z .{1,40}$"
    },
}

text_values! {
    ApiToken: "a token's line in quotes, as the panel writes it",
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]
mod tests {
    use super::*;

    const MADE: &str = "2026-11-30T18:00:00Z";
    const UNTIL: &str = "2027-02-28T18:00:00Z";

    #[test]
    fn a_line_has_five_parts_and_a_name_of_one_line() {
        let digest = "0a".repeat(32);
        let scopes: BTreeSet<Scope> = [Scope::Servers, Scope::Read].into();
        let token = ApiToken::new(&digest, &scopes, MADE, UNTIL, "  the\n build   server ").unwrap();
        assert_eq!(token.as_str(), format!("{digest} read,servers {MADE} {UNTIL} the build server"));
        assert_eq!(
            (token.digest(), token.id(), token.scopes()),
            (&*digest, "0a0a0a0a0a0a0a0a", scopes.clone())
        );
        assert_eq!((token.made(), token.until(), token.name()), (MADE, UNTIL, "the build server"));
        assert_eq!(token.as_str().parse::<ApiToken>().unwrap(), token);
        assert_eq!(ApiToken::new(&digest, &scopes, MADE, UNTIL, " \u{7} ").unwrap().name(), "token");
        assert!(ApiToken::new(&digest, &BTreeSet::new(), MADE, UNTIL, "x").is_err(), "for nothing");
        for wrong in [
            String::new(),
            digest.clone(),
            format!("{digest} read {MADE} {UNTIL} "),
            format!("{} read {MADE} {UNTIL} x", digest.to_uppercase()),
            format!("{} read {MADE} {UNTIL} x", &digest[1..]),
            format!("{digest} write {MADE} {UNTIL} x"),
            format!("{digest} read, {MADE} {UNTIL} x"),
            format!("{digest} read {MADE} tomorrow x"),
            format!("{digest} read {MADE} {UNTIL} a\u{7}b"),
        ] {
            assert!(wrong.parse::<ApiToken>().is_err(), "{wrong}");
        }
    }
}
