//! The wiki in memory: its pages as they are at the newest revision, for lists and for the search.
//!
//! A page is read again when its content changes, and the list when anything in the folder does. What is kept is bounded; pages
//! beyond that are listed, and the search says that it left them out.

use std::collections::HashMap;
use std::sync::Arc;

use berth_repo::{ContentId, Error, Revision, StateRepo};
use berth_schema::docs::{DocKind, DocPath};
use berth_schema::text::safe;
use berth_schema::view::on_page;
use berth_wire::web::PageCard;
use parking_lot::Mutex;

/// The folder of the wiki.
const FOLDER: &str = "docs";
/// The most files that are listed.
const FILES: usize = 20_000;
/// The most bytes of text that are kept.
const TEXT: usize = 64 << 20;
/// Longest title, in characters.
const TITLE: usize = 120;

/// The wiki, as it was read last.
#[derive(Debug, Default)]
pub(crate) struct Wiki(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    folder: Option<ContentId>,
    shelf: Arc<Shelf>,
}

/// Pages and files of a revision.
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    /// Sorted by path.
    pub(crate) pages: Vec<Arc<Leaf>>,
    /// Paths below the folder, sorted.
    pub(crate) files: Vec<String>,
    /// Number of pages and files that aren't listed.
    pub(crate) left_out: usize,
}

/// A page.
#[derive(Debug)]
pub(crate) struct Leaf {
    id: ContentId,
    pub(crate) card: PageCard,
    /// Its text; `None` where there is too much of it in the whole wiki.
    pub(crate) text: Option<Text>,
}

/// Text of a page, with its lower case for the search.
#[derive(Debug)]
pub(crate) struct Text {
    pub(crate) title: String,
    pub(crate) whole: String,
    pub(crate) lower: String,
    /// Headings, each as it is and in lower case.
    pub(crate) headings: Vec<(String, String)>,
}

impl Wiki {
    /// The pages at a revision, the newest that anybody asks for.
    pub(crate) fn shelf(&self, repo: &StateRepo, at: &Revision) -> Result<Arc<Shelf>, Error> {
        let folder = repo.folder_id(at, FOLDER)?;
        let mut known = self.0.lock();
        if known.folder != folder {
            let shelf = match folder {
                Some(folder) => read(repo, at, folder, &known.shelf)?,
                None => Shelf::default(),
            };
            *known = Known { folder, shelf: Arc::new(shelf) };
        }
        Ok(Arc::clone(&known.shelf))
    }
}

fn read(repo: &StateRepo, at: &Revision, folder: ContentId, before: &Shelf) -> Result<Shelf, Error> {
    let contents = repo.contents(folder, FOLDER, FILES)?;
    let known: HashMap<&str, &Arc<Leaf>> =
        before.pages.iter().map(|leaf| (leaf.card.path.as_str(), leaf)).collect();
    let files = repo.files(at)?;
    let mut shelf = Shelf { left_out: contents.left_out, ..Shelf::default() };
    let mut room = TEXT;
    for held in contents.files {
        let Some(path) = DocPath::of_repo(&held.path) else { continue };
        if path.kind() != DocKind::Page {
            shelf.files.push(path.below().to_owned());
            continue;
        }
        let same = known.get(path.below()).filter(|leaf| leaf.id == held.id && leaf.text.is_some());
        let leaf = match same {
            Some(leaf) => Arc::clone(leaf),
            None => {
                let content = match files.read(path.as_str())? {
                    Some(berth_repo::Plain::Read(content)) if content.len() <= room => Some(content),
                    _ => None,
                };
                Arc::new(Leaf::of(&path, held.id, content.as_deref()))
            }
        };
        room = room.saturating_sub(leaf.text.as_ref().map_or(0, |text| text.whole.len()));
        shelf.pages.push(leaf);
    }
    Ok(shelf)
}

impl Leaf {
    fn of(path: &DocPath, id: ContentId, content: Option<&[u8]>) -> Self {
        let text = content.and_then(|content| on_page(None, path.as_str(), content));
        let title = text.as_deref().map_or_else(|| name(path), |text| title(path, text));
        let text = text.map(|whole| Text {
            title: title.to_lowercase(),
            lower: whole.to_lowercase(),
            headings: headings(&whole).map(|heading| (safe(heading), heading.to_lowercase())).collect(),
            whole,
        });
        Self { id, card: PageCard { path: path.below().to_owned(), title }, text }
    }
}

/// The title of a page: its first heading, or its name.
pub(crate) fn title(path: &DocPath, text: &str) -> String {
    let found = headings(text).next().map(|heading| safe(heading.replace(['*', '`'], "")));
    let found = found.map(|title| title.chars().take(TITLE).collect::<String>());
    found.filter(|title| !title.trim().is_empty()).unwrap_or_else(|| name(path))
}

fn name(path: &DocPath) -> String {
    let name = path.below().rsplit('/').next().unwrap_or_default();
    safe(name.rsplit_once('.').map_or(name, |(name, _)| name))
}

/// The headings of a text in Markdown: lines that begin with `#`, or are underlined by `=`, outside of code.
fn headings(text: &str) -> impl Iterator<Item = &str> {
    let (mut fence, mut last): (Option<&str>, &str) = (None, "");
    text.lines().filter_map(move |line| {
        let above = std::mem::replace(&mut last, line).trim();
        let start = line.trim_start();
        let mark = ["```", "~~~"].into_iter().find(|mark| start.starts_with(mark));
        match (fence, mark) {
            (None, Some(mark)) => fence = Some(mark),
            (Some(open), Some(mark)) if open == mark => fence = None,
            _ => {}
        }
        if fence.is_some() || mark.is_some() {
            return None;
        }
        let bare = line.trim_end();
        if !bare.is_empty() && !above.is_empty() && bare.bytes().all(|byte| byte == b'=') {
            return Some(above);
        }
        let words = line.trim_start_matches('#');
        let depth = line.len() - words.len();
        let is_heading = (1..=6).contains(&depth) && words.starts_with([' ', '\t']);
        is_heading.then(|| words.trim().trim_end_matches('#').trim())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_are_outside_of_code() {
        let text = "#hash\n# One #\nZero\n==\n\n==\n```\n# no\n~~~\n```\n  \n### Two\n####### no\n~~~ x\n# no\n~~~\n## `Three`";
        assert_eq!(headings(text).collect::<Vec<_>>(), ["One", "Zero", "Two", "`Three`"]);
        let path = DocPath::read("a/first-steps.md").unwrap();
        assert_eq!(title(&path, text), "One");
        assert_eq!(title(&path, "no heading"), "first-steps");
        assert_eq!(title(&path, "# **`x`**"), "x");
    }
}
