//! `[alarms]`: who is told when something is wrong, from when on, and what nobody is to be told of.
//!
//! Owns the kinds of alarms and the form of a silence. Refuses addresses of hooks: whoever has one can write there, so they are secrets.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

use crate::certificate::Certificates;
use crate::fields::Fields;
use crate::invalid::Invalid;
use crate::json_schema::written::written_as;
use crate::quantity::Span;
use crate::secret::{ALARMS_CHAT, ALARMS_WEBHOOK, Need, Reference, SecretName, Use};
use crate::text::shown;
use crate::user::check_email;
use crate::value::text_values;

/// Shares of a limit, in percent, from which one may be told.
const SHARES: std::ops::RangeInclusive<u32> = 50..=99;
/// The longest name of a field.
const FIELD: usize = 40;

/// People and programs who are told when something is wrong. Without this table nobody is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Alarms {
    /// Time for which `main` isn't applied, after which that is an alarm.
    #[schemars(default = "Alarms::unapplied")]
    pub unapplied: Span,
    /// Age from which a proposal that waits is an alarm.
    #[schemars(default = "Alarms::proposal")]
    pub proposal: Span,
    /// Time before the end of a certificate from which it is an alarm that there is no newer one.
    #[schemars(default = "Alarms::certificate")]
    pub certificate: Span,
    /// Time before removed data is gone for good from which its owner is told.
    #[schemars(default = "Alarms::expiry")]
    pub expiry: Span,
    /// Percentage of a disk or of another limit from which it is an alarm.
    #[schemars(default = "Alarms::full", range(min = 50, max = 99))]
    pub full: u32,
    /// Time without another one after which programs that were ended for want of memory, and servers that ended by themselves, are
    /// an alarm no more.
    #[schemars(default = "Alarms::calm")]
    pub calm: Span,
    /// Tells members of their own servers and domains, where mails are sent and their file has an `email`.
    #[schemars(default = "Alarms::members")]
    pub members: bool,
    /// Addresses that every alarm is mailed to.
    #[schemars(default)]
    pub mail: Vec<String>,
    /// Alarms that nobody is told of, with the end of that, such as `"disk server/shop until 2026-12-24"`.
    #[schemars(default)]
    pub silence: Vec<Silence>,
    /// A program that is sent each message as JSON.
    #[schemars(default)]
    pub webhook: Option<AlarmHook>,
    /// A chat whose incoming webhook is sent each message as a line of text.
    #[schemars(default)]
    pub chat: Option<AlarmChat>,
}

/// A program that is sent alarms as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct AlarmHook {
    /// The name of the secret that holds the URL. `berth secret set` stores it.
    #[schemars(default = "AlarmHook::secret")]
    pub secret: SecretName,
    /// The root certificate of the server behind the URL, in PEM, if that is a private one which the system doesn't know.
    #[schemars(default)]
    pub ca: Option<Certificates>,
}

/// A chat that is sent alarms as text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct AlarmChat {
    /// The name of the secret that holds the URL of its incoming webhook. `berth secret set` stores it.
    #[schemars(default = "AlarmChat::secret")]
    pub secret: SecretName,
    /// The name of the field that holds the text: `"text"` for Slack and Mattermost, `"content"` for Discord.
    #[schemars(default = "AlarmChat::field", length(min = 1, max = 40))]
    pub field: String,
    /// The root certificate of the server behind the URL, in PEM, if that is a private one which the system doesn't know.
    #[schemars(default)]
    pub ca: Option<Certificates>,
}

/// Kind of an alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AlarmKind {
    /// `main` isn't applied.
    Unapplied,
    /// A certificate doesn't come, or isn't renewed.
    Certificate,
    /// A disk fills up: of the host, or of a server.
    Disk,
    /// A server ended by itself again and again.
    Restarts,
    /// The kernel ended a program for want of memory.
    Oom,
    /// A backup failed.
    Backup,
    /// The drill that restores a backup failed.
    Drill,
    /// A proposal waits.
    Proposal,
    /// A limit of the host is close.
    Limit,
    /// A process of the platform is gone.
    Process,
    /// The data of a removed server will be gone for good.
    Expiry,
}

impl AlarmKind {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Unapplied,
        Self::Certificate,
        Self::Disk,
        Self::Restarts,
        Self::Oom,
        Self::Backup,
        Self::Drill,
        Self::Proposal,
        Self::Limit,
        Self::Process,
        Self::Expiry,
    ];

    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Unapplied => "unapplied",
            Self::Certificate => "certificate",
            Self::Disk => "disk",
            Self::Restarts => "restarts",
            Self::Oom => "oom",
            Self::Backup => "backup",
            Self::Drill => "drill",
            Self::Proposal => "proposal",
            Self::Limit => "limit",
            Self::Process => "process",
            Self::Expiry => "expiry",
        }
    }
}

/// Alarms that nobody is told of, for some time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Silence {
    /// The alarms.
    pub of: Silenced,
    /// End of it; `None` where it lasts for as long as it is written down.
    pub until: Option<SystemTime>,
}

/// Alarms, by their kind and by what they are about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Silenced {
    kind: Option<AlarmKind>,
    /// The thing that they are about, such as `server/shop`.
    about: Option<String>,
}

impl Alarms {
    fn unapplied() -> Span {
        minutes(15)
    }

    fn proposal() -> Span {
        minutes(2 * 24 * 60)
    }

    fn certificate() -> Span {
        minutes(7 * 24 * 60)
    }

    fn expiry() -> Span {
        minutes(3 * 24 * 60)
    }

    fn full() -> u32 {
        90
    }

    fn calm() -> Span {
        minutes(15)
    }

    fn members() -> bool {
        true
    }

    /// The secrets that it refers to.
    pub fn secrets(&self) -> impl Iterator<Item = Reference> {
        let reference =
            |by: &'static Use, name: &SecretName| Reference { by, name: name.clone(), need: Need::Needed };
        let webhook = self.webhook.as_ref().map(|hook| reference(&ALARMS_WEBHOOK, &hook.secret));
        webhook.into_iter().chain(self.chat.as_ref().map(|chat| reference(&ALARMS_CHAT, &chat.secret)))
    }

    /// Reads the table. `has_mail` says that the platform sends mails.
    pub(crate) fn read(fields: &mut Fields<'_, '_>, has_mail: bool) -> Option<Self> {
        let full = fields.optional_if("full", check_share).map_or_else(Self::full, |found| found.value);
        let mail = Self::read_mail(fields, has_mail);
        let silence = fields.list::<Silence>("silence").unwrap_or_default();
        let webhook = fields.table("webhook", "`[alarms.webhook]`", AlarmHook::read);
        let chat = fields.table("chat", "`[alarms.chat]`", AlarmChat::read);
        let alarms = Self {
            unapplied: fields.value("unapplied").unwrap_or_else(Self::unapplied),
            proposal: fields.value("proposal").unwrap_or_else(Self::proposal),
            certificate: fields.value("certificate").unwrap_or_else(Self::certificate),
            expiry: fields.value("expiry").unwrap_or_else(Self::expiry),
            full,
            calm: fields.value("calm").unwrap_or_else(Self::calm),
            members: fields.value("members").unwrap_or_else(Self::members),
            mail,
            silence: silence.into_iter().map(|found| found.value).collect(),
            webhook,
            chat,
        };
        fields.is_there().then_some(alarms)
    }

    fn read_mail(fields: &mut Fields<'_, '_>, has_mail: bool) -> Vec<String> {
        let mut addresses = Vec::new();
        for found in fields.list::<String>("mail").unwrap_or_default() {
            match check_email(&found.value) {
                Err(invalid) => fields.found().error(Some(found.at), invalid),
                Ok(()) if !has_mail => {
                    let message =
                        format!("no alarm is mailed to {}: the platform sends no mails", found.value);
                    let hint = "name a mail server in `[mail]` (docs/operations.md)";
                    fields.found().warning(Some(found.at), Invalid::new(message, hint));
                }
                Ok(()) => {}
            }
            addresses.push(found.value);
        }
        addresses
    }
}

fn minutes(minutes: u64) -> Span {
    Span::new(Duration::from_secs(minutes * 60))
}

fn check_share(share: &u32) -> Result<(), Invalid> {
    match SHARES.contains(share) {
        true => Ok(()),
        false => Err(Invalid::new(
            format!("{share} is no percentage from which somebody can be told in time"),
            format!("write a whole number from {} to {}, such as 90", SHARES.start(), SHARES.end()),
        )),
    }
}

impl AlarmHook {
    fn secret() -> SecretName {
        SecretName::default_of(&ALARMS_WEBHOOK)
    }

    fn read(fields: &mut Fields<'_, '_>) -> Option<Self> {
        let secret = fields.value("secret").unwrap_or_else(Self::secret);
        let ca = fields.value("ca");
        fields.is_there().then_some(Self { secret, ca })
    }
}

impl AlarmChat {
    fn secret() -> SecretName {
        SecretName::default_of(&ALARMS_CHAT)
    }

    fn field() -> String {
        "text".to_owned()
    }

    fn read(fields: &mut Fields<'_, '_>) -> Option<Self> {
        let secret = fields.value("secret").unwrap_or_else(Self::secret);
        let field = fields.optional_if("field", |field: &String| check_field(field));
        let ca = fields.value("ca");
        let field = field.map_or_else(Self::field, |found| found.value);
        fields.is_there().then_some(Self { secret, field, ca })
    }
}

/// Checks the name of a field in a chat's messages.
fn check_field(field: &str) -> Result<(), Invalid> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
    match !field.is_empty() && field.len() <= FIELD && field.chars().all(is_plain) {
        true => Ok(()),
        false => Err(Invalid::new(
            format!("`{}` is no name of a field that a chat reads its text from", shown(field)),
            "write the one that the chat's documentation names, such as \"text\" or \"content\"",
        )),
    }
}

impl Silenced {
    /// Returns whether an alarm of this kind about this thing is one of them.
    pub fn has(&self, kind: AlarmKind, about: &str) -> bool {
        self.kind.is_none_or(|own| own == kind) && self.about.as_deref().is_none_or(|own| own == about)
    }
}

impl Silence {
    /// Returns whether it is over at `now`.
    pub fn is_over(&self, now: SystemTime) -> bool {
        self.until.is_some_and(|until| until <= now)
    }
}

impl FromStr for Silenced {
    type Err = Invalid;

    /// `oom`, `server/shop`, `oom server/shop`, or `all`.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let kind = |word: &str| AlarmKind::ALL.into_iter().find(|kind| kind.word() == word);
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        let read = match words.as_slice() {
            ["all"] => Some(Self { kind: None, about: None }),
            [word] if kind(word).is_some() => Some(Self { kind: kind(word), about: None }),
            [word] if is_thing(word) => Some(Self { kind: None, about: Some((*word).to_owned()) }),
            [first, word] if kind(first).is_some() && is_thing(word) => {
                Some(Self { kind: kind(first), about: Some((*word).to_owned()) })
            }
            _ => None,
        };
        read.ok_or_else(|| {
            Invalid::new(
                format!("`{}` names no alarm", shown(text)),
                "write a kind (`oom`), a thing (`server/shop`), both (`oom server/shop`) or `all`; `berth alarms` lists what is on",
            )
        })
    }
}

/// Returns whether a word can be a thing that alarms are about.
fn is_thing(word: &str) -> bool {
    let (sort, name) = word.split_once('/').unwrap_or((word, "x"));
    let sorts = ["platform", "host", "server", "domain", "process", "proposal", "backup"];
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._*-".contains(c);
    sorts.contains(&sort) && !name.is_empty() && name.len() <= 260 && name.chars().all(is_plain)
}

impl fmt::Display for Silenced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.kind, &self.about) {
            (None, None) => f.write_str("all"),
            (Some(kind), None) => f.write_str(kind.word()),
            (None, Some(about)) => f.write_str(about),
            (Some(kind), Some(about)) => write!(f, "{} {about}", kind.word()),
        }
    }
}

impl FromStr for Silence {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let Some((of, until)) = text.split_once(" until ") else {
            return Ok(Self { of: text.parse()?, until: None });
        };
        let until = until.trim();
        let whole =
            if until.len() == "2026-12-24".len() { format!("{until} 00:00:00") } else { until.to_owned() };
        let read = humantime::parse_rfc3339_weak(&whole).map_err(|_| {
            Invalid::new(
                format!("`{}` is no time at which a silence could end", shown(until)),
                "write a day or a time in UTC, such as `until 2026-12-24` or `until 2026-12-24T18:00:00Z`",
            )
        })?;
        Ok(Self { of: of.parse()?, until: Some(read) })
    }
}

impl fmt::Display for Silence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.of.fmt(f)?;
        match self.until {
            Some(until) => write!(f, " until {}", humantime::format_rfc3339_seconds(until)),
            None => Ok(()),
        }
    }
}

impl Serialize for Silence {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

written_as! {
    Silence: { "type": "string", "examples": ["disk server/shop until 2026-12-24", "proposal"] },
}

text_values! {
    Silence: "an alarm and an end in quotes, such as \"disk server/shop until 2026-12-24\"",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silence_is_of_a_kind_of_a_thing_or_of_both() {
        let has = |text: &str, kind, about| text.parse::<Silenced>().unwrap().has(kind, about);
        for (text, oom_shop, oom_blog, disk_shop) in [
            ("all", true, true, true),
            ("oom", true, true, false),
            ("server/shop", true, false, true),
            ("oom server/shop", true, false, false),
        ] {
            assert_eq!(has(text, AlarmKind::Oom, "server/shop"), oom_shop, "{text}");
            assert_eq!(has(text, AlarmKind::Oom, "server/blog"), oom_blog, "{text}");
            assert_eq!(has(text, AlarmKind::Disk, "server/shop"), disk_shop, "{text}");
            assert_eq!(text.parse::<Silenced>().unwrap().to_string(), text);
        }
        for bad in ["", "shop", "oom disk", "server/", "server/a b c", "everything", "oom server/shop now"] {
            assert!(bad.parse::<Silenced>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_silence_ends_on_a_day_or_at_a_time_or_never() {
        let read = |text: &str| text.parse::<Silence>().unwrap();
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        assert_eq!(read("disk until 1970-01-02").until, Some(at(86_400)));
        assert_eq!(read("disk until 1970-01-02T01:00:00Z").until, Some(at(90_000)));
        assert_eq!(read("oom server/shop").until, None);
        assert!(read("disk until 1970-01-02").is_over(at(86_400)));
        assert!(!read("disk until 1970-01-02").is_over(at(86_399)));
        assert!(!read("disk").is_over(at(1 << 40)));
        assert_eq!(read("disk until 1970-01-02").to_string(), "disk until 1970-01-02T00:00:00Z");
        for bad in ["disk until", "disk until noon", "disk until 2026-13-01", "x until 2026-12-01"] {
            assert!(bad.parse::<Silence>().is_err(), "{bad}");
        }
    }
}
