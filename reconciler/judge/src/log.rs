//! The log: who changed what, why, and whether it worked, from the state repo alone.

use berth_repo::{APPLIED, CommitInfo, Revision, StateRepo};
use jiff::Timestamp;
use serde::Serialize;

use crate::note::{Note, Word};

/// One revision that `main` was at.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Entry {
    /// The revision.
    pub revision: Revision,
    /// When it was committed.
    pub at: Option<Timestamp>,
    /// The one who proposed it, else the one who wrote it.
    pub who: String,
    /// The one who agreed to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reviewed_by: Option<String>,
    /// The reason, in the words of the commit.
    pub why: String,
    /// The end that it came to.
    pub fate: Ending,
    /// The note of it, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<Note>,
}

/// The end of a revision, and how it is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "fate")]
pub enum Ending {
    /// A note tells it.
    Noted {
        /// The end, in a word.
        result: crate::note::Fate,
    },
    /// It was applied together with a later one.
    With {
        /// The later revision.
        revision: Revision,
    },
    /// It was applied, and nothing had to be done for it.
    NothingToDo,
    /// No pass has finished with it yet.
    Waits,
}

/// The last `most` revisions of `main`, the youngest first.
pub fn entries(repo: &StateRepo, most: usize) -> Result<Vec<Entry>, berth_repo::Error> {
    let Some(tip) = repo.head()? else { return Ok(Vec::new()) };
    let applied = repo.find_reference(APPLIED)?;
    let mut entries = Vec::new();
    let (mut is_applied, mut later) = (false, None);
    for commit in repo.first_parents(&tip, most)? {
        let revision = commit.revision;
        is_applied = is_applied || applied == Some(revision);
        let note = repo.note(&revision)?.and_then(|text| Note::parse(&text));
        let fate = match (&note, later) {
            (Some(note), _) => Ending::Noted { result: note.result },
            (None, Some(later)) => Ending::With { revision: later },
            (None, None) if is_applied => Ending::NothingToDo,
            (None, None) => Ending::Waits,
        };
        // What came before a noted revision was part of what was applied with it.
        if note.is_some() {
            later = Some(revision);
        }
        entries.push(entry(commit, fate, note));
    }
    Ok(entries)
}

fn entry(commit: CommitInfo, fate: Ending, note: Option<Note>) -> Entry {
    let trailer = |name: &str| {
        let found = commit.trailers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.clone())
    };
    Entry {
        revision: commit.revision,
        at: Timestamp::from_second(commit.committer.seconds).ok(),
        who: trailer("Proposed-by").unwrap_or_else(|| commit.author.name.clone()),
        reviewed_by: trailer("Reviewed-by"),
        why: commit.summary,
        fate,
        note,
    }
}

impl Entry {
    /// Tells in a few words what was done for it.
    pub fn what(&self) -> String {
        let Some(note) = &self.note else { return String::new() };
        let count = note.changes.len() + note.left_out;
        let failed = note.changes.iter().filter(|change| change.result != Word::Done).count();
        match (note.changes.as_slice(), count) {
            ([], _) => String::new(),
            ([one], 1) => format!("{} {}", one.action, one.object),
            (_, _) if failed > 0 => format!("{count} changes, {failed} not done"),
            _ => format!("{count} changes"),
        }
    }

    /// Tells in a few words whether it worked.
    pub fn how(&self) -> String {
        match &self.fate {
            Ending::Noted { result } => result.word().replace('-', " "),
            Ending::With { revision } => format!("with {}", revision.short()),
            Ending::NothingToDo => "nothing to do".to_owned(),
            Ending::Waits => "not yet".to_owned(),
        }
    }
}
