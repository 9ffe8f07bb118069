//! Questions about the state repo as it is written: folders, files, lines, differences, and tables of what the files say. All of
//! them are for admins. No answer holds a secret: marks stand for what is hidden.

use berth_schema::Revision;
use serde::{Deserialize, Serialize};

use super::{CommitLine, FileDiff, Needs, Page, Scope, questions};

questions! {
    StateTree, "/state-tree", Admin => TreeSheet, needs ADMIN;
    StateFile, "/state-file", Admin => FileSheet, needs ADMIN;
    StateText, "/state-text", Admin => TextSheet, needs ADMIN;
    StateBlame, "/state-blame", Admin => Vec<BlamePart>, needs ADMIN;
    StateDiff, "/state-diff", Admin => DiffSheet, needs ADMIN;
    StateSearch, "/state-search", Admin => FoundSheet, needs ADMIN;
    StateTable, "/state-table", Admin => TableSheet, needs ADMIN;
}

const ADMIN: Needs = Needs::Scope(Scope::Admin);

/// A revision that an answer is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct At {
    /// The commit.
    pub revision: Revision,
    /// Set if it is the tip of `main`.
    pub is_tip: bool,
}

/// Asks for a folder of a revision.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StateTree {
    /// The revision: a commit's id, or its first digits; empty for the tip of `main`.
    pub at: String,
    /// Path of the folder; empty for the root.
    pub folder: String,
    /// Page, from 1.
    pub page: u32,
}

/// A folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeSheet {
    /// The revision.
    pub at: At,
    /// The commit of it.
    pub made_by: Option<CommitLine>,
    /// Its entries.
    pub entries: Page<TreeEntry>,
}

/// An entry of a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeEntry {
    /// Its name, for people.
    pub name: String,
    /// Its path; `None` where the name isn't UTF-8, so that nothing can be asked about it.
    pub path: Option<String>,
    /// Kind of the entry.
    pub is: Is,
    /// The newest commit that changed it, where that was found soon.
    pub newest: Option<CommitLine>,
}

/// Kind of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "is")]
pub enum Is {
    /// A folder.
    Folder,
    /// A file of so many bytes.
    File {
        /// Bytes.
        size: u64,
    },
    /// A symbolic link, which nobody follows.
    Link,
    /// A submodule.
    Submodule,
}

/// Asks for a file of a revision, a part of its lines at a time.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StateFile {
    /// The revision, as for [`StateTree`].
    pub at: String,
    /// Path of the file.
    pub path: String,
    /// Page, from 1.
    pub page: u32,
}

/// A file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSheet {
    /// The revision.
    pub at: At,
    /// Bytes of the file.
    pub size: u64,
    /// Content of the file.
    pub content: Content,
    /// The commit that made it what it is.
    pub made_by: Option<CommitLine>,
    /// Set if its text can be edited in a form.
    pub may_edit: bool,
}

/// Content of a file, as far as it can be shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "content")]
pub enum Content {
    /// Lines of text.
    Text {
        /// Lines of this page.
        lines: Page<String>,
        /// Number of the first of them, from 1.
        first: u32,
        /// Number of secrets that marks stand for, in the whole file.
        hidden: u32,
    },
    /// It isn't text in UTF-8.
    Binary,
    /// It is larger than what is read.
    TooLarge,
    /// It is a member's and has mistakes, so a secret could stand anywhere.
    Closed,
}

/// Asks for the whole text of a file on `main`, to edit it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StateText {
    /// Path of the file; empty for a file that isn't there yet.
    pub path: String,
}

/// The text of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextSheet {
    /// The text, with marks in place of secrets.
    pub text: String,
    /// The revision that it was read at.
    pub base: Revision,
}

/// Asks which commits lines of a file are from: those of one page of [`StateFile`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StateBlame {
    /// The revision, as for [`StateTree`].
    pub at: String,
    /// Path of the file.
    pub path: String,
    /// Page, from 1.
    pub page: u32,
}

/// Lines that one commit wrote, one after the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlamePart {
    /// Number of the first of them, from 1.
    pub first: u32,
    /// Their number.
    pub lines: u32,
    /// The commit.
    pub line: CommitLine,
}

/// Asks what differs between two revisions.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StateDiff {
    /// The earlier revision, as for [`StateTree`]; empty for the one before the other.
    pub from: String,
    /// The later one; empty for the tip of `main`.
    pub to: String,
    /// Path of the one file that matters; empty for all.
    pub path: String,
    /// Page, from 1.
    pub page: u32,
}

/// Differences between two revisions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiffSheet {
    /// The earlier revision; `None` before the first commit.
    pub from: Option<Revision>,
    /// The later one.
    pub to: At,
    /// The files that differ.
    pub diffs: Page<FileDiff>,
}

/// Asks for the lines of a revision's files that hold a text, in whatever case.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StateSearch {
    /// The revision, as for [`StateTree`].
    pub at: String,
    /// The text.
    pub text: String,
}

/// Lines that were found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundSheet {
    /// The revision.
    pub at: At,
    /// The lines, in the order of their files.
    pub lines: Vec<FoundLine>,
    /// Set if there may be more.
    pub is_cut: bool,
    /// Number of files that weren't looked through: those that are no text, too large, or closed.
    pub unread: u32,
}

/// A line that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundLine {
    /// Path of its file.
    pub path: String,
    /// Number of the line, from 1; 0 where the path itself holds the text.
    pub number: u32,
    /// Page of [`StateFile`] that has it.
    pub page: u32,
    /// The line, cut where it is long.
    pub text: String,
}

/// Asks for a table of the files of one kind, as the last good state has them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StateTable {
    /// Kind of the files.
    pub kind: Rows,
    /// Text that a row has to hold somewhere; empty for all.
    pub search: String,
    /// Fields that a row has to have, each with its value.
    pub having: Vec<(String, String)>,
    /// Column to sort by; empty for the order of the state.
    pub sort: String,
    /// Set if the greatest comes first.
    pub is_falling: bool,
    /// Page, from 1; `None` for all rows.
    pub page: Option<u32>,
}

/// Kind of files that make rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rows {
    /// Servers.
    #[default]
    Servers,
    /// Members.
    Users,
    /// Domains.
    Domains,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableSheet {
    /// Names of the columns; the first one is that of the file's name.
    pub columns: Vec<String>,
    /// Rows, each with a value for each column.
    pub rows: Page<TableRow>,
    /// Names that were asked for, in a filter or to sort by, and are no column.
    pub unknown: Vec<String>,
}

/// A row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableRow {
    /// Path of its file.
    pub path: String,
    /// Its values.
    pub cells: Vec<TableCell>,
}

/// A value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableCell {
    /// The value as text; a list's entries with commas between them.
    pub text: String,
    /// Set if the file doesn't say it: it is the default that holds.
    pub is_default: bool,
}
