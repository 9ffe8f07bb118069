//! History: the commits on `main` that touch what somebody may see, and of each no more than that.

use std::sync::Arc;

use berth_repo::StateRepo;
use berth_wire::web::{CommitLine, History, Page, Refusal};

use super::super::outcomes::Told;
use super::super::panel::{Asker, Panel};
use super::super::past::Made;
use super::super::refusals::{not_found, unavailable};
use super::page::page;
use super::sight::{Sight, file_of};

/// The most paths of one commit that are told.
const PATHS: usize = 100;

/// Lists commits.
pub(crate) fn history(panel: &Panel, asker: &Asker, asked: History) -> Result<Page<CommitLine>, Refusal> {
    let sight = asker.sight();
    let path = match &asked.of {
        Some(object) => {
            let path = file_of(object).filter(|path| sight.shows(path));
            Some(path.ok_or_else(not_found)?)
        }
        None => None,
    };
    let _acting = panel.act()?;
    let repo = panel.repo()?;
    let mut found: Vec<Arc<Made>> = Vec::new();
    let looked = panel.past.look(&repo, |made| {
        let is_of_it = match &path {
            Some(path) => made.touches(path),
            None => sight.sees(made),
        };
        if is_of_it {
            found.push(Arc::clone(made));
        }
        false
    });
    looked.map_err(|error| unavailable(&error))?;
    if found.is_empty() && path.is_some() {
        return Err(not_found());
    }
    let told = panel.outcomes.told(&repo).map_err(|error| unavailable(&error))?;
    let Page { rows, page, pages, all } = page(&found, asked.page, |made| line(&told, &sight, made));
    Ok(Page { rows: rows.into_iter().collect::<Result<_, _>>()?, page, pages, all })
}

/// The commit that made a file what it is in the state that the question is answered from.
pub(crate) fn newest(
    panel: &Panel,
    repo: &StateRepo,
    asker: &Asker,
    path: &str,
) -> Result<Option<CommitLine>, Refusal> {
    let (mut found, mut is_good) = (None, false);
    let looked = panel.past.look(repo, |made| {
        // A tip with mistakes made nothing what it is.
        is_good = is_good || made.revision == asker.good.at;
        if is_good && made.touches(path) {
            found = Some(Arc::clone(made));
        }
        found.is_some()
    });
    looked.map_err(|error| unavailable(&error))?;
    let told = panel.outcomes.told(repo).map_err(|error| unavailable(&error))?;
    found.map(|made| line(&told, &asker.sight(), &made)).transpose()
}

/// The commit in a line, as far as somebody may see it.
pub(crate) fn line(told: &Told<'_>, sight: &Sight, made: &Made) -> Result<CommitLine, Refusal> {
    let outcome = told.of(&made.revision).map_err(|error| unavailable(&error))?;
    Ok(CommitLine {
        revision: made.revision,
        author: made.author.clone(),
        at: made.at,
        summary: made.summary.clone(),
        door: made.door.clone(),
        paths: sight.of(made).into_iter().take(PATHS).map(berth_schema::text::safe).collect(),
        outcome,
    })
}

impl Panel {
    /// Looks at the past before anybody asks for it, unless that `ends` before. Blocks while it does.
    pub(crate) fn warm(&self, ends: &dyn Fn() -> bool) {
        let looked = || -> Result<(), Refusal> {
            let _acting = self.act()?;
            let repo = self.repo()?;
            self.past.warm(&repo, ends).map_err(|error| unavailable(&error))
        };
        // What went wrong is in the log already; whoever asks looks again.
        let _ = looked();
    }
}
