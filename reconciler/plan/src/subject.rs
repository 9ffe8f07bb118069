//! Subjects and actions as text: the words by which a note, the journal and an event name them, and back.

use std::fmt;
use std::str::FromStr;

use berth_schema::name::ServerId;

use crate::step::{Action, Subject};

/// A text that names nothing a change can be about.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is nothing that a plan can change")]
pub struct NotASubject(pub String);

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(name) => write!(f, "network {name}"),
            Self::System(name) => write!(f, "system container {name}"),
            Self::Links(plane) => write!(f, "links of {plane}"),
            Self::Configuration(kind) => write!(f, "configuration {kind}"),
            Self::Server { id, name } => write!(f, "server {name} (id {id})"),
        }
    }
}

impl FromStr for Subject {
    type Err = NotASubject;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = || NotASubject(text.to_owned());
        let after = |start: &str| text.strip_prefix(start);
        if let Some(name) = after("network ") {
            return Ok(Self::Network(name.to_owned()));
        }
        if let Some(name) = after("system container ") {
            return Ok(Self::System(name.to_owned()));
        }
        if let Some(plane) = after("links of ") {
            return Ok(Self::Links(plane.to_owned()));
        }
        if let Some(kind) = after("configuration ") {
            return kind.parse().map(Self::Configuration).map_err(|_| refused());
        }
        let server = || {
            // A name is somebody else's text on a tombstone; the number behind it is ours.
            let (name, id) = after("server ")?.strip_suffix(')')?.rsplit_once(" (id ")?;
            Some(Self::Server { id: ServerId(id.parse().ok()?), name: name.to_owned() })
        };
        server().ok_or_else(refused)
    }
}

impl Action {
    /// The action in a word, as people read it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Recreate => "recreate",
            Self::Entomb => "entomb",
            Self::Resurrect => "resurrect",
            Self::Purge => "purge",
            Self::Remove => "remove",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// A subject as its text, for fields that are text to whoever reads them: `#[serde(with = "subject::text")]`. Without it a
/// subject is a structure, as in a plan's JSON.
pub mod text {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    use crate::step::Subject;

    /// Writes the text.
    pub fn serialize<S: Serializer>(subject: &Subject, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(subject)
    }

    /// Reads the text.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Subject, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]
mod tests {
    use super::*;
    use crate::render::Kind;

    #[test]
    fn every_subject_survives_its_text() {
        let server = |id: u32, name: &str| Subject::Server {
            id: ServerId(id.try_into().unwrap()),
            name: name.to_owned(),
        };
        let mut subjects = vec![
            Subject::Network("hosting-external, hosting-other".to_owned()),
            Subject::System("hosting-users-caddy".to_owned()),
            Subject::Links("hosting".to_owned()),
            server(7, "shop"),
            server(u32::MAX, "a (id 3) b (id 4)"),
        ];
        subjects.extend(Kind::ALL.map(Subject::Configuration));
        for subject in subjects {
            assert_eq!(subject.to_string().parse::<Subject>().unwrap(), subject);
        }
        for text in ["", "server", "server a", "server a (id 0)", "server a (id x)", "configuration x", "x"] {
            assert!(text.parse::<Subject>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_action_is_the_same_word_everywhere() {
        for action in [Action::Create, Action::Recreate, Action::Entomb, Action::Purge] {
            assert_eq!(serde_json::to_value(action).unwrap(), action.word());
            assert_eq!(serde_json::from_value::<Action>(action.word().into()).unwrap(), action);
        }
    }
}
