//! `[backup]` of the platform, and of a server: where copies go, when, for how long they are kept, and what a server needs while it is
//! copied.
//!
//! Owns these fields and their rules. Refuses passwords and credentials: those are named here and kept on the host.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fields::Fields;
use crate::invalid::Invalid;
use crate::json_schema::written::written_as;
use crate::quantity::Span;
use crate::secret::{BACKUP_CREDENTIALS, BACKUP_PASSWORD, Need, Reference, SecretName};
use crate::text::shown;
use crate::value::{choice_values, text_values};

/// Most characters of a repository's address, and of a server's command.
const LONGEST: usize = 500;
/// Most copies of one kind that are kept.
const MOST_KEPT: u32 = 1000;
/// Shortest time between two drills.
const SHORTEST_DRILL: std::time::Duration = std::time::Duration::from_secs(60 * 60);
/// Most times of a day.
const MOST_TIMES: usize = 24;

/// Backups: where they go, when they are made, and how long they are kept. Without this table there are none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Backup {
    /// The repository, as restic names it: a folder, or `sftp:`, `rest:`, `s3:`, `b2:`, `azure:`, `gs:`, `swift:` or `rclone:` and the place.
    pub repository: Repository,
    /// The name of the secret that encrypts everything there. Without it, no backup can be read. `berth secret set` stores it.
    #[schemars(default = "Backup::secret")]
    pub secret: SecretName,
    /// The name of the secret with what the repository's host asks for, as lines `NAME=value`. Without it, no variable is set.
    #[schemars(default)]
    pub credentials: Option<SecretName>,
    /// Times of the day, by the host's clock, at which everything is backed up.
    #[schemars(default = "Backup::at")]
    pub at: Vec<DayTime>,
    /// Time between two drills. A drill restores a server by chance beside the others, starts it and removes it again.
    #[schemars(default = "Backup::drill")]
    pub drill: Span,
    /// Copies that are kept of each server.
    #[schemars(default)]
    pub keep: Keep,
    /// Time for which restored data lies beside a server's own.
    #[schemars(default = "Backup::restored")]
    pub restored: Span,
}

/// Copies that are kept: the newest of each day, week and month, for so many of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(default)]
pub struct Keep {
    /// Days.
    #[schemars(range(min = 1, max = 1000))]
    pub daily: NonZeroU32,
    /// Weeks.
    #[schemars(range(min = 0, max = 1000))]
    pub weekly: u32,
    /// Months.
    #[schemars(range(min = 0, max = 1000))]
    pub monthly: u32,
}

/// A server's part in backups.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(default)]
pub struct ServerBackup {
    /// With `false`, it isn't backed up at all.
    pub enabled: bool,
    /// State of the server while its last changes are copied.
    pub pause: Pause,
    /// A command that runs in the server, as root, before it is copied, such as a dump of a database. If it fails, the copy isn't made.
    #[schemars(length(max = 500))]
    pub before: Option<String>,
    /// A command that runs in the server, as root, after it was copied.
    #[schemars(length(max = 500))]
    pub after: Option<String>,
}

/// State of a server while its last changes are copied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Pause {
    /// It runs on. A file that is written meanwhile may be copied half old and half new.
    None,
    /// Its processes stand still: the copy is what a power cut would leave, from which databases recover.
    #[default]
    Freeze,
    /// It is stopped and started again.
    Stop,
}

/// Address of a repository, in restic's words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Repository(String);

/// A time of the day, in hours and minutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DayTime {
    hour: u8,
    minute: u8,
}

choice_values! {
    Pause, "a pause": "\"none\", \"freeze\" or \"stop\"",
}

impl Backup {
    fn secret() -> SecretName {
        SecretName::default_of(&BACKUP_PASSWORD)
    }

    fn at() -> Vec<DayTime> {
        vec![DayTime { hour: 3, minute: 0 }]
    }

    fn drill() -> Span {
        Span::new(std::time::Duration::from_secs(7 * 24 * 60 * 60))
    }

    fn restored() -> Span {
        Span::new(std::time::Duration::from_secs(7 * 24 * 60 * 60))
    }

    /// The secrets that it refers to.
    pub fn secrets(&self) -> impl Iterator<Item = Reference> {
        let password = Reference { by: &BACKUP_PASSWORD, name: self.secret.clone(), need: Need::Needed };
        let credentials = self.credentials.clone();
        let credentials =
            credentials.map(|name| Reference { by: &BACKUP_CREDENTIALS, name, need: Need::Needed });
        [password].into_iter().chain(credentials)
    }

    /// Reads the table. `None` if there is none, or if it has no good `repository`.
    pub(crate) fn read(fields: &mut Fields<'_, '_>) -> Option<Self> {
        let repository = fields.required::<Repository>("repository");
        let secret = fields.value("secret").unwrap_or_else(Self::secret);
        let credentials = fields.value("credentials");
        let at = fields.list::<DayTime>("at");
        if let Some(extra) = at.as_ref().and_then(|at| at.get(MOST_TIMES)) {
            let message = format!("`at` has more than {MOST_TIMES} times");
            fields.found().error(Some(extra.at), Invalid::new(message, "leave some of them out"));
        }
        let mut at = at.map_or_else(Self::at, |at| at.into_iter().map(|found| found.value).collect());
        at.sort_unstable();
        at.dedup();
        let drill = fields.optional_if("drill", |span: &Span| match span.duration() < SHORTEST_DRILL {
            true => {
                Err(Invalid::new("a drill takes longer than that", "write an hour or more, such as \"7d\""))
            }
            false => Ok(()),
        });
        let drill = drill.map_or_else(Self::drill, |found| found.value);
        let keep = fields.table("keep", "`[backup.keep]`", Keep::read);
        let restored = fields.value("restored").unwrap_or_else(Self::restored);
        Some(Self { repository: repository?.value, secret, credentials, at, drill, keep, restored })
    }
}

impl Default for Keep {
    fn default() -> Self {
        Self { daily: NonZeroU32::MIN.saturating_add(6), weekly: 5, monthly: 12 }
    }
}

impl Keep {
    fn read(fields: &mut Fields<'_, '_>) -> Self {
        let default = Self::default();
        let mut number = |key| fields.optional_if(key, |number: &u32| few(*number)).map(|found| found.value);
        let (weekly, monthly) = (number("weekly"), number("monthly"));
        let daily = fields.optional_if("daily", |number: &u32| {
            few(*number)?;
            match number {
                0 => Err(Invalid::new("`daily` can't be 0: the last copy would go", "write 1 or more")),
                _ => Ok(()),
            }
        });
        Self {
            daily: daily.and_then(|found| NonZeroU32::new(found.value)).unwrap_or(default.daily),
            weekly: weekly.unwrap_or(default.weekly),
            monthly: monthly.unwrap_or(default.monthly),
        }
    }
}

fn few(number: u32) -> Result<(), Invalid> {
    match number <= MOST_KEPT {
        true => Ok(()),
        false => Err(Invalid::new(
            format!("{number} is more copies than anybody keeps"),
            format!("write {MOST_KEPT} or less"),
        )),
    }
}

impl Default for ServerBackup {
    fn default() -> Self {
        Self { enabled: true, pause: Pause::default(), before: None, after: None }
    }
}

impl ServerBackup {
    /// Returns whether it is what a file says that says nothing.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    pub(crate) fn read(fields: &mut Fields<'_, '_>) -> Self {
        let enabled = fields.value("enabled").unwrap_or(true);
        let pause = fields.value("pause").unwrap_or_default();
        let mut command =
            |key| fields.optional_if(key, |command: &String| suits_shell(command)).map(|found| found.value);
        let (before, after) = (command("before"), command("after"));
        Self { enabled, pause, before, after }
    }
}

/// Checks a command that a shell is to run.
fn suits_shell(command: &str) -> Result<(), Invalid> {
    let is_line = !command.trim().is_empty() && !command.contains(char::is_control);
    match is_line && command.chars().count() <= LONGEST {
        true => Ok(()),
        false => Err(Invalid::new(
            "this is no command that a shell could run",
            format!("write one line of at most {LONGEST} characters, such as \"/apps/shop/dump.sh\""),
        )),
    }
}

impl Repository {
    /// The address.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The folder that it is, where it is one of this host.
    pub fn folder(&self) -> Option<&std::path::Path> {
        self.0.starts_with('/').then(|| std::path::Path::new(&self.0))
    }
}

/// The ways to a repository that restic knows.
const WAYS: [&str; 8] = ["sftp", "rest", "s3", "b2", "azure", "gs", "swift", "rclone"];

impl FromStr for Repository {
    type Err = Invalid;

    /// The refusal repeats nothing: what somebody wrote may hold a password.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let is_line = !text.contains(|c: char| c.is_control() || c.is_whitespace());
        let way = text.split_once(':').filter(|(way, place)| WAYS.contains(way) && !place.is_empty());
        let is_known = way.is_some() || (text.starts_with('/') && text.len() > 1);
        if !is_line || !is_known || text.len() > LONGEST {
            return Err(Invalid::new(
                "this is not the address of a repository",
                "write a folder such as \"/srv/backup\", or restic's words for a place elsewhere, such as \
                 \"sftp:backup@host.example.org:/srv/berth\"",
            ));
        }
        let has_password = text
            .split_once("://")
            .and_then(|(_, rest)| rest.split('/').next()?.rsplit_once('@'))
            .is_some_and(|(user, _)| user.contains(':'));
        match has_password {
            true => Err(Invalid::new(
                "this address has a password in it, which everybody with a clone could read",
                "take it out; lines `RESTIC_REST_USERNAME=…` and `RESTIC_REST_PASSWORD=…` belong into the secret that \
                 `credentials` names",
            )),
            false => Ok(Self(text.to_owned())),
        }
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl DayTime {
    /// The hour, from 0 to 23.
    pub fn hour(self) -> u8 {
        self.hour
    }

    /// The minute, from 0 to 59.
    pub fn minute(self) -> u8 {
        self.minute
    }
}

impl FromStr for DayTime {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let number = |text: &str, end: u8| {
            let is_two = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse().ok().filter(|number| is_two && *number < end)
        };
        let read =
            text.split_once(':').and_then(|(hour, minute)| Some((number(hour, 24)?, number(minute, 60)?)));
        let (hour, minute) = read.ok_or_else(|| {
            Invalid::new(
                format!("`{}` is not a time of the day", shown(text)),
                "write hours and minutes, such as \"03:00\"",
            )
        })?;
        Ok(Self { hour, minute })
    }
}

impl fmt::Display for DayTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.hour, self.minute)
    }
}

impl Serialize for DayTime {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

written_as! {
    Repository: { "type": "string", "pattern": "^(/|sftp:|rest:|s3:|b2:|azure:|gs:|swift:|rclone:)[^ ]+$", "maxLength": 500 },
    DayTime: { "type": "string", "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$", "examples": ["03:00"] },
}

text_values! {
    Repository: "the address of a restic repository in quotes, such as \"/srv/backup\"" SECRET,
    DayTime: "a time of the day in quotes, such as \"03:00\"",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_is_restic_s_address_without_a_password() {
        for good in [
            "/srv/backup",
            "sftp:backup@host.example.org:/srv/berth",
            "rest:https://backup.example.org:8000/berth/",
            "s3:https://s3.example.org/bucket",
            "rclone:box:berth",
        ] {
            assert_eq!(good.parse::<Repository>().unwrap().as_str(), good);
        }
        for bad in ["", "/", "srv/backup", "ftp:host", "rest:", "/srv/back up", "s3:a\nb", "sftp"] {
            assert!(bad.parse::<Repository>().is_err(), "{bad:?}");
        }
        let refused = "rest:https://ann:geheim@backup.example.org/".parse::<Repository>().unwrap_err();
        assert!(!format!("{refused:?}").contains("geheim"), "{refused:?}");
        assert!(refused.hint.contains("credentials"), "{refused:?}");
    }

    #[test]
    fn a_time_of_the_day_has_hours_and_minutes() {
        for good in ["00:00", "03:05", "23:59"] {
            assert_eq!(good.parse::<DayTime>().unwrap().to_string(), good);
        }
        for bad in ["", "3:00", "24:00", "12:60", "12", "12:0", "+1:00", "12:00:00"] {
            assert!(bad.parse::<DayTime>().is_err(), "{bad:?}");
        }
    }
}
