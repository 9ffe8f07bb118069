//! A member's account at an OpenID provider, and the provider's own name.
//!
//! Owns how both are written: an issuer is a URL, an account a line of the provider's issuer and of the person's subject there.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use http::Uri;
use serde::{Deserialize, Serialize};

use crate::invalid::Invalid;
use crate::json_schema::written::written_as;
use crate::text::shown;
use crate::value::text_values;

/// The issuer of a provider: its URL, as it calls itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Issuer(Arc<str>);

/// A member's account at a provider: `<issuer> <subject>`. The subject is the provider's, and no e-mail address or name that
/// somebody else could get later.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct OidcAccount(Arc<str>);

/// The longest URL of an issuer, in bytes.
const ISSUER: usize = 512;
/// The longest subject, in bytes (OpenID Connect Core, 2).
const SUBJECT: usize = 255;
const FORM: &str = "members bind their account in the panel, under Account, which writes this line";

written_as! {
    Issuer: { "type": "string", "pattern": "^https?://" },
    OidcAccount: { "type": "string", "pattern": "^https?://[!-~]+ [ -~]{1,255}$" },
}

text_values! {
    Issuer: "the issuer's URL in quotes, such as \"https://login.example.org/realms/main\"",
    OidcAccount: "an account's line in quotes, as the panel writes it",
}

impl Issuer {
    /// The URL as it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of the provider's host, for people.
    pub fn host(&self) -> String {
        let uri = self.0.parse::<Uri>().ok();
        uri.as_ref().and_then(Uri::host).unwrap_or_default().to_owned()
    }
}

impl fmt::Display for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Issuer {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let refused = |hint: &str| {
            Err(Invalid::new(format!("`{}` is not the URL of an issuer", shown(text)), hint.to_owned()))
        };
        let full = "write it in full as the provider calls itself, beginning with `https://`";
        if text.len() > ISSUER
            || !text.bytes().all(|byte| byte.is_ascii_graphic())
            || text.contains(['#', '?', '"', '\\', '@'])
        {
            return refused(full);
        }
        let Some(uri) = text.parse::<Uri>().ok() else { return refused(full) };
        let Some(host) = uri.host().filter(|host| !host.is_empty()) else { return refused(full) };
        match uri.scheme_str() {
            Some("https") => Ok(Self(text.into())),
            Some("http") if is_this_machine(host) => Ok(Self(text.into())),
            Some("http") => {
                refused("write `https://`: over plain HTTP anybody on the way could sign in as anybody")
            }
            _ => refused(full),
        }
    }
}

/// Returns whether a URL's host is the machine itself.
fn is_this_machine(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

impl OidcAccount {
    /// The account of this subject at a provider.
    pub fn new(issuer: &str, subject: &str) -> Result<Self, Invalid> {
        format!("{issuer} {subject}").parse()
    }

    /// The whole line.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The provider's issuer.
    pub fn issuer(&self) -> &str {
        self.0.split_once(' ').map_or("", |(issuer, _)| issuer)
    }

    /// The provider's name for the person.
    pub fn subject(&self) -> &str {
        self.0.split_once(' ').map_or("", |(_, subject)| subject)
    }
}

impl FromStr for OidcAccount {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let Some((issuer, subject)) = text.split_once(' ') else {
            return Err(Invalid::new(
                "this is not an account at a provider: it has an issuer and a subject",
                FORM,
            ));
        };
        issuer.parse::<Issuer>()?;
        let is_good = (1..=SUBJECT).contains(&subject.len())
            && subject.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
        if !is_good || subject.trim() != subject {
            return Err(Invalid::new(
                format!("the subject isn't one: it has 1 to {SUBJECT} characters of ASCII"),
                FORM,
            ));
        }
        Ok(Self(text.into()))
    }
}

impl TryFrom<String> for OidcAccount {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<OidcAccount> for String {
    fn from(account: OidcAccount) -> Self {
        account.as_str().to_owned()
    }
}

impl fmt::Display for OidcAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_is_a_url_and_plain_only_on_this_machine() {
        for good in [
            "https://login.example.org",
            "https://h.org/realms/a-b",
            "http://127.0.0.1:4000",
            "http://[::1]:1",
            "http://localhost:80",
        ] {
            assert_eq!(good.parse::<Issuer>().unwrap().as_str(), good);
        }
        for bad in [
            "",
            "login.example.org",
            "http://login.example.org",
            "https://",
            "https://h.org/?a=b",
            "https://h.org/#a",
            "https://u@h.org",
            "https://h.org/a b",
            "ftp://h.org",
        ] {
            assert!(bad.parse::<Issuer>().is_err(), "{bad}");
        }
        assert_eq!("https://login.example.org:8443/x".parse::<Issuer>().unwrap().host(), "login.example.org");
    }

    #[test]
    fn an_account_is_an_issuer_and_a_subject() {
        let account = OidcAccount::new("https://h.org/r", "auth0|a b").unwrap();
        assert_eq!((account.issuer(), account.subject()), ("https://h.org/r", "auth0|a b"));
        assert_eq!(account.as_str().parse::<OidcAccount>().unwrap(), account);
        for bad in [
            "",
            "https://h.org",
            "https://h.org ",
            "https://h.org  a",
            "h.org a",
            "https://h.org ä",
            "https://h.org a\u{7}",
        ] {
            assert!(bad.parse::<OidcAccount>().is_err(), "{bad}");
        }
        assert!(OidcAccount::new("https://h.org", &"a".repeat(SUBJECT + 1)).is_err());
    }
}
