//! Changes: a form's values, the plan that they come to, and the commit.

use std::net::IpAddr;

use berth_schema::Revision;
use berth_schema::name::{ServerId, UserName};
use serde::{Deserialize, Serialize};

use super::{Bytes, Done, Field, FieldEdit, Needs, Scope, questions};

// A pass may wait for another, and takes as long as its changes. A restart may wait for a place and for a pass, 20 s each; then the server has a minute to stop, and the engine needs its own
// time to kill it and to start it.
questions! {
    Plan, "/plan", Known => Planned, needs Needs::Depends;
    Commit, "/commit", Known => Committed, needs Needs::Depends;
    Propose, "/propose", Known => Proposed, needs Needs::Depends;
    Revert, "/revert", Known => Committed, needs Needs::Depends;
    ProposeRevert, "/propose-revert", Known => Proposed, needs Needs::Depends;
    Power, "/power", Known => Done, within 170, needs Needs::Scope(Scope::Servers);
    Sync, "/sync", Admin => Synced, within 170, needs Needs::Scope(Scope::Admin);
}

/// A change of one file, as a form asks for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The file's object, by name. The name of a new one may be anything that somebody typed.
    pub of: Object,
    /// Deed that the form asks for.
    pub deed: Deed,
}

/// An object of the state repo, by the name of its file as it was typed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind", content = "name")]
pub enum Object {
    /// `servers/<name>.toml`
    Server(String),
    /// `domains/<fqdn>.toml`
    Domain(String),
    /// `users/<name>.toml`
    User(String),
    /// `platform.toml`
    Platform,
    /// A file of whatever kind, by its path: for admins, who write it as a text.
    File(String),
    /// A page of the wiki, or what one shows, by its path below `docs/`.
    Doc(String),
}

/// Deed that is done to a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "deed")]
pub enum Deed {
    /// A new file with these fields. The door chooses the id of a server, the lowest that is free.
    Create {
        /// The fields that somebody filled in.
        fields: Vec<FieldEdit>,
    },
    /// Fields change; the rest of the file stays as it is written.
    Edit {
        /// Fields of the form, changed or not. One whose value equals `was` is left alone, so that two people who change
        /// different fields don't meet.
        fields: Vec<FieldEdit>,
    },
    /// The file goes.
    Remove,
    /// The file gets this text. It may be a file that isn't there yet.
    Write {
        /// The text. Marks in it stand for secrets of the text that the editor began from, and are put back where they stood.
        text: String,
        /// The revision that the editor began from.
        base: Revision,
    },
    /// A new picture.
    Put {
        /// Its bytes.
        bytes: Bytes,
    },
    /// The file goes to another place, as it is.
    Move {
        /// The path below `docs/` that it is to have.
        to: String,
    },
}

/// Asks what a change comes to. Nothing is kept of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Plan {
    /// The change.
    pub change: Change,
    /// Address that the person comes from, as `access.panel` sees it; `None` where that doesn't bind them.
    pub from: Option<IpAddr>,
}

/// Effect of a change, on top of `main` as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    /// Permission for it.
    pub standing: Standing,
    /// Digest of the change and of all that is shown of it here: [`Commit`] says it again, so that nothing else is committed
    /// than what was shown.
    pub digest: String,
    /// Mistakes and warnings, at their fields.
    pub findings: Vec<FieldFinding>,
    /// The plan in the words of a push, or why there is none; empty where the change is refused or needs no commit.
    pub plan: String,
    /// Lines of the plan that say what data or what state is lost, in full sentences.
    pub losses: Vec<String>,
    /// The file before and after.
    pub diffs: Vec<FileDiff>,
    /// Changes of others since the form was shown that this one is merged with: who, when, which fields.
    pub merged_with: Vec<String>,
    /// First line of the commit's message.
    pub summary: String,
    /// Sentences about what the person loses by it themselves: a way in, or a role. To be known before it is made.
    pub shuts_out: Vec<String>,
    /// The id that the door chose for a new server.
    pub id: Option<ServerId>,
}

/// Permission for a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "standing")]
pub enum Standing {
    /// The person may commit it.
    Allowed,
    /// The file says all of it already.
    Nothing,
    /// Somebody else has to agree; it can be proposed.
    NeedsReview {
        /// Any one of these.
        approvers: Vec<UserName>,
    },
    /// It has mistakes, or isn't the person's to make; the findings say which.
    Refused,
    /// Somebody else changed the same fields meanwhile. The findings are at these fields.
    Conflict {
        /// The fields, each with the value that `main` has now; `text` for the whole of a file.
        fields: Vec<Field>,
    },
}

/// A finding, at the field that it is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldFinding {
    /// The field, `name` for the name of the file itself; `None` for the change as a whole.
    pub field: Option<String>,
    /// Set if it forbids the change.
    pub is_error: bool,
    /// A sentence.
    pub message: String,
    /// The way to mend it.
    pub hint: Option<String>,
    /// Path, line and column, where it isn't in the form's own file.
    pub place: Option<String>,
}

/// Makes the change, if it still comes to what was shown.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Commit {
    /// The change.
    pub change: Change,
    /// [`Planned::digest`] of what the person saw.
    pub digest: String,
    /// Address that the person comes from, as for [`Plan`].
    pub from: Option<IpAddr>,
    /// Set if they know what [`Planned::shuts_out`] says.
    pub knows: bool,
}

/// Outcome of a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "committed")]
pub enum Committed {
    /// It is on `main`.
    Made {
        /// The commit.
        revision: Revision,
    },
    /// A forge hosts the state repo: it is on its way there, as a pull request.
    Sent {
        /// Its topic, with which and the author's name [`super::PullRead`] finds it.
        topic: String,
        /// Its commit.
        revision: Revision,
    },
    /// It wasn't made, since it comes to something else by now: to be shown again.
    Changed {
        /// Effect that it has now.
        planned: Box<Planned>,
    },
}

/// Makes a proposal of a change that needs somebody's consent, or of one that the person would rather have looked at.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Propose {
    /// The change.
    pub change: Change,
}

/// A proposal that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposed {
    /// Its topic.
    pub topic: String,
    /// Its commit.
    pub revision: Revision,
    /// Set if it goes to the forge, as a pull request, and isn't decided here.
    #[serde(default)]
    pub is_sent: bool,
}

/// Takes back what a revision changed, by a commit of the person's own. Without a digest it is only planned.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Revert {
    /// The revision.
    pub revision: Revision,
    /// [`Planned::digest`] of what the person saw.
    pub digest: Option<String>,
    /// Address that the person comes from, as for [`Plan`].
    pub from: Option<IpAddr>,
    /// Set if they know what [`Planned::shuts_out`] says.
    pub knows: bool,
}

/// Makes a proposal to take back what a revision changed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ProposeRevert {
    /// The revision.
    pub revision: Revision,
}

/// Does something to a running server that isn't written in the state repo.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Power {
    /// The server.
    pub server: ServerId,
    /// Act on the server.
    pub act: Act,
}

/// Something that is done to a running server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Act {
    /// Stops it and starts it again. Its volumes stay.
    Restart,
}

impl Act {
    /// The act in a word, as people read it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Restart => "restart",
        }
    }
}

/// Asks for a pass now, as `berth sync` does: everything is compared with what the state says, and mended.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Sync {}

/// Outcome of a pass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Synced {
    /// Set once it has ended. Otherwise it goes on, and the panel shows it.
    pub is_over: bool,
    /// Set if it ended with nothing left to do.
    pub is_clean: bool,
    /// Number of the changes that it made.
    pub done: u32,
    /// Sentences about what failed, was held back, or is wrong with the state.
    pub problems: Vec<String>,
}

/// The lines of one file that a change touches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileDiff {
    /// Path of the file.
    pub path: String,
    /// A unified diff without its head, each line with its sign. Secrets are blacked out.
    pub lines: Vec<String>,
}
