//! The wiki's questions: the list, one page, a picture, the search. The settings say who may ask them; it may be anybody.

use berth_repo::{Plain, Revision, StateRepo};
use berth_schema::docs::picture::PictureKind;
use berth_schema::docs::{DocKind, DocPath};
use berth_schema::veil::blackened;
use berth_schema::view::{on_page, without_hashes};
use berth_wire::web::{
    Bytes, CommitLine, DocEdit, DocFile, DocFileRead, DocRead, DocSheet, Docs, DocsCard, DocsFound,
    DocsSearch, Refusal, Words,
};

use super::panel::{Asker, Panel};
use super::read::{find, line, newest};
use super::refusals::{forbidden, not_found, signed_out, unavailable};
use super::search;
use super::wiki::title;
use crate::members::Good;

/// Names of the page that stands for a folder.
const INDEX: [&str; 2] = ["README.md", "index.md"];

/// The state that somebody reads the wiki in, if they may.
fn open(panel: &Panel, asker: Option<&Asker>) -> Result<Good, Refusal> {
    let good = match asker {
        Some(asker) => asker.good.clone(),
        None => panel.good()?,
    };
    let docs = &good.state.platform.docs;
    match (asker, docs.may_read(asker.is_some(), asker.is_some_and(Asker::is_admin))) {
        (_, true) => Ok(good),
        (None, false) => Err(signed_out()),
        (Some(_), false) => Err(forbidden("Only admins read the wiki here.", "Ask {help}.")),
    }
}

/// Somebody's way to change pages.
fn edit(asker: Option<&Asker>, good: &Good) -> DocEdit {
    match asker {
        None => DocEdit::Not,
        Some(asker) if asker.is_admin() || good.state.platform.docs.may_edit(&asker.name) => DocEdit::Freely,
        Some(_) => DocEdit::WithReview,
    }
}

/// Lists the pages.
pub(crate) fn docs(panel: &Panel, asker: Option<&Asker>, _: Docs) -> Result<DocsCard, Refusal> {
    let good = open(panel, asker)?;
    let _acting = panel.act()?;
    let shelf = panel.wiki.shelf(&panel.repo()?, &good.at).map_err(|error| unavailable(&error))?;
    Ok(DocsCard {
        pages: shelf.pages.iter().map(|leaf| leaf.card.clone()).collect(),
        files: shelf.files.clone(),
        left_out: u32::try_from(shelf.left_out).unwrap_or(u32::MAX),
        edit: edit(asker, &good),
        forge: good
            .state
            .platform
            .remote
            .as_ref()
            .filter(|remote| !remote.opens_pulls())
            .map(|remote| remote.url.to_string()),
        at: good.at,
    })
}

/// Searches the pages.
pub(crate) fn docs_search(
    panel: &Panel,
    asker: Option<&Asker>,
    asked: DocsSearch,
) -> Result<DocsFound, Refusal> {
    let good = open(panel, asker)?;
    let _acting = panel.act()?;
    let shelf = panel.wiki.shelf(&panel.repo()?, &good.at).map_err(|error| unavailable(&error))?;
    Ok(search::search(&shelf, &Words::of(&asked.words)))
}

/// The revision that is read. What was public once may not be any more, so only members look back.
fn revision(
    repo: &StateRepo,
    asker: Option<&Asker>,
    good: &Good,
    wanted: Option<Revision>,
) -> Result<Revision, Refusal> {
    let Some(wanted) = wanted else { return Ok(good.at) };
    if asker.is_none() {
        return Err(signed_out());
    }
    match repo.is_ancestor(&wanted, &good.at) {
        Ok(true) => Ok(wanted),
        Ok(false) | Err(_) => Err(not_found()),
    }
}

/// Shows one page.
pub(crate) fn doc(panel: &Panel, asker: Option<&Asker>, asked: DocRead) -> Result<DocSheet, Refusal> {
    let good = open(panel, asker)?;
    let _acting = panel.act()?;
    let repo = panel.repo()?;
    let at = revision(&repo, asker, &good, asked.revision)?;
    let (path, content) = page(&repo, &at, &asked.path)?.ok_or_else(not_found)?;
    let text = on_page(None, path.as_str(), &content).ok_or_else(not_found)?;
    let is_text = std::str::from_utf8(&content).is_ok();
    let made_by = match asker {
        None => None,
        Some(asker) if asked.revision.is_some() => past(panel, &repo, asker, &at)?,
        Some(asker) => newest(panel, &repo, asker, path.as_str())?,
    };
    Ok(DocSheet {
        title: title(&path, &text),
        is_masked: is_text && text.as_bytes() != content,
        is_text,
        path: path.below().to_owned(),
        text,
        made_by,
        is_past: asked.revision.is_some(),
        edit: edit(asker, &good),
        at,
    })
}

fn past(
    panel: &Panel,
    repo: &StateRepo,
    asker: &Asker,
    at: &Revision,
) -> Result<Option<CommitLine>, Refusal> {
    let Some(made) = find(panel, repo, at)? else { return Ok(None) };
    let told = panel.outcomes.told(repo).map_err(|error| unavailable(&error))?;
    Ok(Some(line(&told, &asker.sight(), &made)?))
}

/// Finds a page by its path, by its path without `.md`, or by its folder.
fn page(repo: &StateRepo, at: &Revision, asked: &str) -> Result<Option<(DocPath, Vec<u8>)>, Refusal> {
    let asked = asked.trim_matches('/');
    let folder = if asked.is_empty() { String::new() } else { format!("{asked}/") };
    let mut candidates = vec![asked.to_owned(), format!("{asked}.md")];
    candidates.extend(INDEX.map(|name| format!("{folder}{name}")));
    let files = repo.files(at).map_err(|error| unavailable(&error))?;
    for candidate in candidates {
        let Some(path) = DocPath::read(&candidate).filter(|path| path.kind() == DocKind::Page) else {
            continue;
        };
        match files.read(path.as_str()).map_err(|error| unavailable(&error))? {
            Some(Plain::Read(content)) => return Ok(Some((path, content))),
            Some(Plain::TooLarge(_)) | None => {}
        }
    }
    Ok(None)
}

/// Gives a picture or a drawing out.
pub(crate) fn doc_file(panel: &Panel, asker: Option<&Asker>, asked: DocFileRead) -> Result<DocFile, Refusal> {
    let good = open(panel, asker)?;
    let _acting = panel.act()?;
    let repo = panel.repo()?;
    let at = revision(&repo, asker, &good, asked.revision)?;
    let path =
        DocPath::read(&asked.path).filter(|path| path.kind() != DocKind::Page).ok_or_else(not_found)?;
    let content =
        repo.read(&at, path.as_str()).map_err(|error| unavailable(&error))?.ok_or_else(not_found)?;
    let kind = PictureKind::of(&content).filter(|_| path.kind() == DocKind::Picture);
    // A drawing is text, and no way to a secret that a page wouldn't show.
    let content = match String::from_utf8(content) {
        Ok(text) => blackened(path.as_str(), &text).ok_or_else(not_found)?.into_bytes(),
        Err(content) => {
            let content = content.into_bytes();
            without_hashes(&content).unwrap_or(content)
        }
    };
    Ok(DocFile { media_type: kind.map(|kind| kind.media_type().to_owned()), bytes: Bytes(content) })
}
