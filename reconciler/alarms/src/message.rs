//! Messages: what is told, to whom, and in which form.

use berth_schema::alarms::AlarmKind;
use berth_schema::name::UserName;
use berth_schema::text::safe_line;
use berth_wire::mail::Content;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::judge::moment;
use crate::settings::AlarmSettings;

/// The longest text for a chat, in bytes. A chat that takes few takes 2,000 characters.
const CHAT: usize = 1_800;
/// The most lines of a letter.
const LETTER_LINES: usize = 200;
/// The longest lines of a letter together, in bytes. Twice as many, as quotes need where they are written down, fit into the spool.
const LETTER: usize = 24 << 10;
/// The longest line, in characters, as a mail shows it.
const LINE: usize = 500;
/// The longest title in a text, in characters.
const TITLE: usize = 100;

/// News of an alarm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct News {
    /// Kind of the alarm.
    pub kind: AlarmKind,
    /// The thing that it is about.
    pub about: String,
    /// The rest of a sentence about that thing.
    pub text: String,
    /// Member whose own it is.
    pub owner: Option<UserName>,
    /// Moment at which it began.
    pub since: Timestamp,
}

/// Alarms that are told together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Name of the message, which no other has.
    pub id: String,
    /// Moment of the message.
    pub at: Timestamp,
    /// Alarms that began.
    pub began: Vec<News>,
    /// Alarms that are over.
    pub over: Vec<News>,
}

/// A place that messages go to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "to")]
pub enum Target {
    /// The program behind `alarms.webhook`.
    Webhook,
    /// The chat behind `alarms.chat`.
    Chat,
    /// An address.
    Mail {
        /// The address.
        address: String,
        /// The member whose it is; `None` for one of `alarms.mail`.
        user: Option<UserName>,
    },
}

impl Target {
    /// The words for it.
    pub fn words(&self) -> String {
        match self {
            Self::Webhook => "the webhook".to_owned(),
            Self::Chat => "the chat".to_owned(),
            Self::Mail { address, .. } => format!("the mail to {}", berth_wire::mail::masked(address)),
        }
    }
}

impl News {
    /// A sentence about it.
    pub fn line(&self) -> String {
        format!("{} {}: {}", self.kind.word(), self.about, self.text)
    }

    /// A sentence about its end.
    fn end(&self) -> String {
        format!("{} {}, which began at {}", self.kind.word(), self.about, moment(self.since))
    }

    fn json(&self) -> Value {
        json!({ "kind": self.kind, "about": self.about, "text": self.text, "since": self.since })
    }
}

impl Message {
    /// A message that only tries whether it arrives.
    pub(crate) fn of_test(id: String, at: Timestamp) -> Self {
        Self { id, at, began: Vec::new(), over: Vec::new() }
    }

    /// The part of it that those hear who hear of everything: all but what is only for its owner. `None` where that is nothing.
    pub(crate) fn of_platform(&self) -> Option<Self> {
        self.part(|news| news.kind != AlarmKind::Expiry)
    }

    /// The part of it that a member hears.
    pub(crate) fn of_member(&self, user: &UserName) -> Option<Self> {
        self.part(|news| news.owner.as_ref() == Some(user))
    }

    /// The part of it that nobody but its owner hears.
    pub(crate) fn of_owner_alone(&self) -> Option<Self> {
        self.part(|news| news.kind == AlarmKind::Expiry)
    }

    fn part(&self, wanted: impl Fn(&News) -> bool) -> Option<Self> {
        let some = |all: &[News]| -> Vec<News> { all.iter().filter(|news| wanted(news)).cloned().collect() };
        let part = Self { began: some(&self.began), over: some(&self.over), ..self.clone() };
        (!part.began.is_empty() || !part.over.is_empty()).then_some(part)
    }

    /// Members whose own is in it, each once.
    pub(crate) fn owners(&self) -> Vec<UserName> {
        let mut owners: Vec<UserName> =
            self.began.iter().chain(&self.over).filter_map(|news| news.owner.clone()).collect();
        owners.sort();
        owners.dedup();
        owners
    }

    /// The text for a chat, with as many alarms as a chat has room for.
    pub(crate) fn text(&self, settings: &AlarmSettings) -> String {
        let platform = format!("{} ({})", safe_line(&settings.title, TITLE), settings.domain);
        if self.began.is_empty() && self.over.is_empty() {
            return format!("{platform}: a test of alarms. Nothing is wrong.");
        }
        let (began, over) = (format!("{platform}: something is wrong"), format!("{platform}: this is over"));
        let heads = began.len() + over.len() + rest(usize::MAX).len() + 3;
        let mut room = Room { lines: usize::MAX, bytes: CHAT.saturating_sub(heads), more: 0 };
        let mut lines = Vec::new();
        if !self.began.is_empty() {
            lines.push(began);
            lines.extend(room.take(self.began.iter().map(|news| format!("- {}", news.line()))));
        }
        if !self.over.is_empty() {
            lines.push(over);
            lines.extend(room.take(self.over.iter().map(|news| format!("- {}", news.end()))));
        }
        lines.extend(room.rest());
        lines.join("\n")
    }

    /// The message for a program.
    pub(crate) fn json(&self, settings: &AlarmSettings) -> Value {
        let is_test = self.began.is_empty() && self.over.is_empty();
        json!({
            "version": 1,
            "id": self.id,
            "at": self.at,
            "platform": settings.platform,
            "domain": settings.domain,
            "title": settings.title,
            "panel": settings.panel,
            "test": is_test,
            "text": self.text(settings),
            "began": self.began.iter().map(News::json).collect::<Vec<_>>(),
            "over": self.over.iter().map(News::json).collect::<Vec<_>>(),
        })
    }

    /// The subject of a letter, with as many alarms as the spool has room for.
    pub(crate) fn letter(&self, settings: &AlarmSettings) -> Content {
        let mut room = Room { lines: LETTER_LINES, bytes: LETTER, more: 0 };
        let mut began = room.take(self.began.iter().map(News::line));
        let mut over = room.take(self.over.iter().map(News::end));
        let last = if over.is_empty() { &mut began } else { &mut over };
        last.extend(room.rest());
        Content::Alarms { began, over, link: settings.panel.clone() }
    }
}

/// Room for the lines of a text.
struct Room {
    lines: usize,
    bytes: usize,
    /// Number of lines that it was too small for.
    more: usize,
}

impl Room {
    /// Returns the first of these lines, as many as there is room for, and counts the others. After a line that is left out, all are.
    fn take(&mut self, lines: impl Iterator<Item = String>) -> Vec<String> {
        let mut taken = Vec::new();
        for line in lines {
            let line = safe_line(&line, LINE);
            let bytes = self.bytes.checked_sub(line.len() + 1);
            match bytes.filter(|_| self.more == 0 && self.lines > 0) {
                Some(bytes) => {
                    (self.bytes, self.lines) = (bytes, self.lines - 1);
                    taken.push(line);
                }
                None => self.more += 1,
            }
        }
        taken
    }

    /// Returns a line on what there was no room for.
    fn rest(&self) -> Option<String> {
        (self.more > 0).then(|| rest(self.more))
    }
}

fn rest(more: usize) -> String {
    format!("… and {more} more: berth alarms")
}
