//! The record: what is on, what was told and what waits to be. A file, so that a restart repeats nothing and forgets nothing.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use berth_schema::alarms::AlarmKind;
use berth_schema::name::UserName;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::message::{Message, News, Target};

/// Name of the file.
const FILE: &str = "record.json";
/// Messages that are remembered.
const SENT: usize = 50;
/// Messages given up that are remembered.
const LOST: usize = 20;

/// Everything that is remembered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Record {
    /// Alarms that are on, or may soon be.
    pub on: Vec<Entry>,
    /// News that wait for those that come with them.
    pub over: Vec<Over>,
    /// Moments at which each alarm was told last.
    pub told: BTreeMap<String, Timestamp>,
    /// Messages that wait for their target.
    pub outbox: Vec<Outgoing>,
    /// Messages that were taken, the newest last.
    pub sent: Vec<Sent>,
    /// Messages that were given up, the newest last.
    pub lost: Vec<Lost>,
    /// Number of messages so far.
    pub number: u64,
}

/// An alarm on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The alarm.
    pub news: News,
    /// Its stage.
    pub stage: Stage,
    /// Moment from which on it wasn't seen any more.
    pub gone: Option<Timestamp>,
}

/// Stage of an alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// It hasn't lasted for long enough.
    Held,
    /// It is on, and nobody was told.
    On {
        /// Moment from which on it is.
        from: Timestamp,
    },
    /// It is on, and was told.
    Told {
        /// Moment of that.
        at: Timestamp,
    },
}

/// An alarm that is over, of which nobody was told yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Over {
    /// The alarm.
    pub news: News,
    /// Moment of the end.
    pub at: Timestamp,
}

/// A message that waits for one target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outgoing {
    /// The message.
    pub message: Message,
    /// The target.
    pub target: Target,
    /// Number of tries that failed.
    pub tries: u32,
    /// Moment of the next one.
    pub again: Timestamp,
    /// Set while the target takes it: from then on nobody knows whether it has arrived, until it has answered.
    pub is_under_way: bool,
    /// Reason of the last failure.
    pub why: Option<String>,
}

/// A message that was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// Name of the message.
    pub id: String,
    /// The target.
    pub target: Target,
    /// Moment of it.
    pub at: Timestamp,
    /// Alarms that it told of, such as `oom server/shop`.
    pub began: Vec<String>,
    /// Alarms whose end it told.
    pub over: Vec<String>,
}

/// A message that was given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lost {
    /// The target.
    pub target: Target,
    /// Moment of it.
    pub at: Timestamp,
    /// Reason.
    pub why: String,
}

impl Entry {
    /// Returns whether it is on.
    pub fn is_on(&self) -> bool {
        self.stage != Stage::Held
    }
}

/// Name of an alarm, such as `oom server/shop`.
pub(crate) fn name(kind: AlarmKind, about: &str) -> String {
    format!("{} {about}", kind.word())
}

impl Record {
    /// Reads the record in a folder; empty where there is none. One that makes no sense is empty, which the log tells.
    pub fn read(folder: &Path) -> io::Result<Self> {
        let path = Self::path(folder);
        match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error),
            Ok(text) => Ok(serde_json::from_slice(&text).unwrap_or_else(|error| {
                tracing::warn!(path = %path.display(), %error, "the record of alarms makes no sense; it begins anew");
                Self::default()
            })),
        }
    }

    /// Writes it.
    pub(crate) fn write(&self, folder: &Path) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let text = serde_json::to_vec(self).map_err(io::Error::other)?;
        berth_host::file::replace(&Self::path(folder), &text, 0o600)
    }

    fn path(folder: &Path) -> PathBuf {
        folder.join(FILE)
    }

    /// Has a message wait for its targets: those who hear of everything, and `members`, each with an address, who hear of their own. Of
    /// more than `most` messages that wait, the oldest are given up.
    pub(crate) fn post(
        &mut self,
        message: &Message,
        targets: &[Target],
        members: impl Fn(&UserName) -> Option<String>,
        most: usize,
    ) {
        let to = |message: Message, target: Target| Outgoing {
            again: message.at,
            message,
            target,
            tries: 0,
            is_under_way: false,
            why: None,
        };
        if let Some(part) = message.of_platform() {
            self.outbox.extend(targets.iter().map(|target| to(part.clone(), target.clone())));
        }
        for user in message.owners() {
            let Some(address) = members(&user) else { continue };
            let hears = |target: &Target| matches!(target, Target::Mail { address: own, .. } if own.eq_ignore_ascii_case(&address));
            // Whoever hears of everything has heard of this, but for what is only for its owner.
            let part = match targets.iter().any(hears) {
                true => message.of_member(&user).and_then(|part| part.of_owner_alone()),
                false => message.of_member(&user),
            };
            let target = Target::Mail { address, user: Some(user) };
            self.outbox.extend(part.map(|part| to(part, target)));
        }
        while self.outbox.len() > most {
            let oldest = self.outbox.remove(0);
            self.lose(oldest, message.at, format!("{most} messages wait"));
        }
    }

    /// Remembers that a message was taken.
    pub(crate) fn is_taken(&mut self, outgoing: &Outgoing, at: Timestamp) {
        let names = |all: &[News]| all.iter().map(|news| name(news.kind, &news.about)).collect();
        self.sent.push(Sent {
            id: outgoing.message.id.clone(),
            target: outgoing.target.clone(),
            at,
            began: names(&outgoing.message.began),
            over: names(&outgoing.message.over),
        });
        let more = self.sent.len().saturating_sub(SENT);
        self.sent.drain(..more);
    }

    /// Gives a message up.
    pub(crate) fn lose(&mut self, outgoing: Outgoing, at: Timestamp, why: String) {
        tracing::error!(to = outgoing.target.words(), why, "a message about alarms is given up");
        self.lost.push(Lost { target: outgoing.target, at, why });
        let more = self.lost.len().saturating_sub(LOST);
        self.lost.drain(..more);
    }
}
