//! Grants: what lets somebody open one guarded site for a few minutes. The door signs them, the gate beside the edge checks
//! them, and neither needs the panel for that.
//!
//! Owns their text, and the files in which the door tells the gate its key and what has ended. Signing and verifying are up to
//! whoever has the keys.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use berth_schema::name::{Fqdn, UserName};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// Time for which a grant is good without a question to the door.
pub const GRANT_LIFE: SignedDuration = SignedDuration::from_mins(5);
/// Name of the door's socket in the gate's folder.
pub const GATE_SOCKET: &str = "gate.sock";
/// Name of the file with the door's public key, in base64.
pub const KEY_FILE: &str = "key";
/// Name of the file that lists what has ended.
pub const ENDED_FILE: &str = "ended";
/// Name of the file with the organisation's contact, whom people ask; empty where it names nobody.
pub const CONTACT_FILE: &str = "contact";
/// Length of a signature.
const SIGNATURE: usize = 64;
/// Text that stands before what is signed, so that no signature of something else is one of a grant.
const PURPOSE: &str = "berth grant\n";
/// The first field of every grant.
const VERSION: &str = "1";

/// Session of somebody who signed in, as grants name it: 32 hexadecimal digits from which nobody gets back to the token.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(String);

/// Text that is no session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a session has 32 hexadecimal digits")]
pub struct NoSession;

impl SessionId {
    /// The session of these bytes.
    pub fn of(bytes: [u8; 16]) -> Self {
        Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

impl FromStr for SessionId {
    type Err = NoSession;

    fn from_str(text: &str) -> Result<Self, NoSession> {
        let is_hex = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if text.len() == 32 && is_hex { Ok(Self(text.to_owned())) } else { Err(NoSession) }
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A grant, without its signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// End of it, in whole seconds.
    pub until: Timestamp,
    /// The one host that it opens.
    pub host: Fqdn,
    /// Person whom it lets in.
    pub user: UserName,
    /// Their session.
    pub session: SessionId,
}

/// A grant as somebody has shown it: nothing about it is known to be true before its signature is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// The grant.
    pub grant: Grant,
    /// Signature of [`Grant::signed`].
    pub signature: [u8; SIGNATURE],
}

impl Grant {
    /// Bytes that the door signs.
    pub fn signed(&self) -> Vec<u8> {
        format!("{PURPOSE}{self}").into_bytes()
    }

    /// The whole text, as it stands in a cookie: `1~expiry~host~user~session~signature`.
    pub fn with_signature(&self, signature: &[u8]) -> String {
        format!("{self}~{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { until, host, user, session } = self;
        write!(f, "{VERSION}~{}~{host}~{user}~{session}", until.as_second())
    }
}

impl Shown {
    /// Reads a grant's text. One that would be written in another way is none.
    pub fn read(text: &str) -> Option<Self> {
        let mut fields = text.split('~');
        let [version, until, host, user, session, signature] = std::array::from_fn(|_| fields.next());
        if version != Some(VERSION) || fields.next().is_some() {
            return None;
        }
        let grant = Grant {
            until: Timestamp::from_second(until?.parse().ok()?).ok()?,
            host: host?.parse().ok().filter(|host: &Fqdn| !host.is_wildcard())?,
            user: user?.parse().ok()?,
            session: session?.parse().ok()?,
        };
        let signature: [u8; SIGNATURE] = URL_SAFE_NO_PAD.decode(signature?).ok()?.try_into().ok()?;
        (grant.with_signature(&signature) == text).then_some(Self { grant, signature })
    }
}

/// List of what has ended before its time: sessions as a whole, and what a session could open before its person lost the right to
/// it. Each entry has the moment of the end: a grant that the door gave after that is good.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Endings(HashMap<String, i64>);

/// An entry of that list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// Moment of the end.
    pub at: Timestamp,
    ended: String,
}

impl Ending {
    /// The end of a session.
    pub fn of_session(session: &SessionId, at: Timestamp) -> Self {
        Self { at, ended: session.to_string() }
    }

    /// The end of what a session could open.
    pub fn of_host(session: &SessionId, host: &Fqdn, at: Timestamp) -> Self {
        Self { at, ended: format!("{session} {host}") }
    }
}

impl Endings {
    /// Reads the file's text. A line that says nothing ends nothing.
    pub fn read(text: &str) -> Self {
        let mut endings: HashMap<String, i64> = HashMap::new();
        for (at, ended) in text.lines().filter_map(|line| line.split_once(' ')) {
            let Ok(at) = at.parse() else { continue };
            let known = endings.entry(ended.to_owned()).or_insert(at);
            *known = at.max(*known);
        }
        Self(endings)
    }

    /// Writes the file's text.
    pub fn write<'e>(endings: impl IntoIterator<Item = &'e Ending>) -> String {
        let line = |Ending { at, ended }: &Ending| format!("{} {ended}\n", at.as_second());
        endings.into_iter().map(line).collect()
    }

    /// Returns whether a grant has ended.
    pub fn has(&self, grant: &Grant) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let given = (grant.until - GRANT_LIFE).as_second();
        let ended = |key: &str| self.0.get(key).is_some_and(|at| *at >= given);
        ended(&grant.session.0) || ended(&format!("{} {}", grant.session, grant.host))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant() -> Grant {
        Grant {
            until: Timestamp::from_second(1_800_000_000).unwrap(),
            host: "shop.example.org".parse().unwrap(),
            user: "ann".parse().unwrap(),
            session: "0123456789abcdef0123456789abcdef".parse().unwrap(),
        }
    }

    #[test]
    fn a_grant_is_read_as_it_was_written_and_in_no_other_way() {
        let text = grant().with_signature(&[7; 64]);
        assert!(text.starts_with("1~1800000000~shop.example.org~ann~0123456789abcdef0123456789abcdef~"));
        assert!(text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\",;\\".contains(&byte)), "{text}");
        assert_eq!(Shown::read(&text), Some(Shown { grant: grant(), signature: [7; 64] }));
        for other in [
            text.replacen('1', "2", 1),
            text.replace("1800000000", "+1800000000"),
            text.replace("1800000000", "01800000000"),
            text.replace("shop", "Shop"),
            text.replace("shop", "*"),
            text.replace("abcdef", "ABCDEF"),
            text.replace("~ann", "~Ann"),
            format!("{text}~"),
            format!("{text}="),
            text.rsplit_once('~').unwrap().0.to_owned(),
            String::new(),
        ] {
            assert_eq!(Shown::read(&other), None, "{other}");
        }
    }

    #[test]
    fn what_has_ended_is_a_session_or_one_host_of_it() {
        let (one, mut other, mut later) = (grant(), grant(), grant());
        other.host = "files.example.org".parse().unwrap();
        let at = one.until - GRANT_LIFE;
        later.until += SignedDuration::from_secs(1);
        let read = |endings: &[Ending]| Endings::read(&Endings::write(endings));
        let of_host = read(&[Ending::of_host(&one.session, &one.host, at)]);
        assert!(of_host.has(&one) && !of_host.has(&other));
        assert!(!of_host.has(&later), "the door gave it after that end");
        let of_session = read(&[Ending::of_session(&one.session, at)]);
        assert!(of_session.has(&one) && of_session.has(&other));
        assert!(!read(&[]).has(&one));
    }
}
