//! Questions about the wiki: its pages, what they show, and a search. Whoever may read it may ask them, which may be anybody.

use berth_schema::Revision;
use serde::{Deserialize, Serialize};

use super::{Bytes, CommitLine, Needs, Scope, questions};

questions! {
    Docs, "/docs", Reader => DocsCard, needs READ;
    DocRead, "/doc", Reader => DocSheet, needs READ;
    DocFileRead, "/doc-file", Reader => DocFile, needs READ;
    DocsSearch, "/docs-search", Reader => DocsFound, needs READ;
}

const READ: Needs = Needs::Scope(Scope::Read);

/// Asks for the list of pages.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Docs {}

/// The wiki as a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocsCard {
    /// Its pages, sorted by path.
    pub pages: Vec<PageCard>,
    /// Paths of pictures and drawings below `docs/`, sorted.
    pub files: Vec<String>,
    /// Number of pages and files that aren't in the lists, since there are too many.
    pub left_out: u32,
    /// The person's way to change it.
    pub edit: DocEdit,
    /// Address of the forge where changes are made, where one hosts the state repo and no form opens a pull request there.
    pub forge: Option<String>,
    /// The revision that all of this was read at.
    pub at: Revision,
}

/// Somebody's way to change pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DocEdit {
    /// They change them.
    Freely,
    /// They propose changes, and somebody else agrees.
    WithReview,
    /// None: they aren't signed in.
    Not,
}

/// A page in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageCard {
    /// Path below `docs/`.
    pub path: String,
    /// Its first heading, or its name.
    pub title: String,
}

/// Asks for one page.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DocRead {
    /// Path below `docs/`; without `.md`, or a folder, it is looked for.
    pub path: String,
    /// The revision that it is read at, one of `main`; `None` for the newest.
    pub revision: Option<Revision>,
}

/// One page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocSheet {
    /// Its path below `docs/`, whole.
    pub path: String,
    /// Its first heading, or its name.
    pub title: String,
    /// Its text in Markdown.
    pub text: String,
    /// The commit that made it what it is there. Those who aren't signed in don't learn who that was.
    pub made_by: Option<CommitLine>,
    /// Set if it was read at a revision that was asked for.
    pub is_past: bool,
    /// Set if something in it, a password's hash, isn't shown. Then its text is changed by a push alone.
    pub is_masked: bool,
    /// Set if its bytes are UTF-8. If they aren't, `text` says how many there are.
    pub is_text: bool,
    /// The person's way to change it.
    pub edit: DocEdit,
    /// The revision that it was read at.
    pub at: Revision,
}

/// Asks for a picture, or a drawing.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DocFileRead {
    /// Path below `docs/`.
    pub path: String,
    /// The revision that it is read at, one of `main`; `None` for the newest.
    pub revision: Option<Revision>,
}

/// A picture, or a drawing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocFile {
    /// Type of the picture, as its bytes say; `None` for what isn't to be shown as one.
    pub media_type: Option<String>,
    /// The bytes.
    pub bytes: Bytes,
}

/// Asks for pages that hold all of some words, in any case.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DocsSearch {
    /// The words.
    pub words: String,
}

/// Pages that hold the words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocsFound {
    /// The best ones, the best first.
    pub rows: Vec<DocFound>,
    /// Number of all pages that hold them.
    pub all: u32,
    /// Number of pages that were searched.
    pub searched: u32,
    /// Number of pages that weren't, since the wiki is too large.
    pub left_out: u32,
}

/// A page that holds the words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocFound {
    /// The page.
    pub page: PageCard,
    /// The heading that holds some of them, where one does.
    pub heading: Option<String>,
    /// A line that holds some of them.
    pub excerpt: Vec<Excerpt>,
}

/// A part of a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Excerpt {
    /// The text.
    pub text: String,
    /// Set if it is one of the words.
    pub is_hit: bool,
}

/// Words of a search, in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words(Vec<String>);

/// The most words that count.
const MOST_WORDS: usize = 8;

impl Words {
    /// Splits what somebody typed.
    pub fn of(typed: &str) -> Self {
        let mut words: Vec<String> = Vec::new();
        for word in typed.split_whitespace().map(str::to_lowercase) {
            if words.len() < MOST_WORDS && !words.contains(&word) {
                words.push(word);
            }
        }
        Self(words)
    }

    /// The words.
    pub fn all(&self) -> &[String] {
        &self.0
    }
}
