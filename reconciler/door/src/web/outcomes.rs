//! Outcomes: what became of revisions, as the reconciler's notes tell it. A note is read once, until another is written.

use std::cell::OnceCell;
use std::collections::HashMap;

use berth_judge::note::{Fate, Note};
use berth_repo::{Error, NOTES, Notes, Revision, StateRepo};
use parking_lot::Mutex;

/// Outcomes that were read before.
#[derive(Debug, Default)]
pub(crate) struct Outcomes(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// The notes, as a whole, that all of this is from.
    tip: Option<Revision>,
    fates: HashMap<Revision, Option<Fate>>,
}

/// The outcomes as they are at one moment.
pub(crate) struct Told<'r> {
    outcomes: &'r Outcomes,
    repo: &'r StateRepo,
    tip: Option<Revision>,
    notes: OnceCell<Notes<'r>>,
}

impl Outcomes {
    /// Looks which notes there are now.
    pub(crate) fn told<'r>(&'r self, repo: &'r StateRepo) -> Result<Told<'r>, Error> {
        let tip = repo.find_reference(NOTES)?;
        let mut known = self.0.lock();
        if known.tip != tip {
            *known = Known { tip, ..Known::default() };
        }
        Ok(Told { outcomes: self, repo, tip, notes: OnceCell::new() })
    }
}

impl Told<'_> {
    /// The outcome of a revision in a word or two; `None` where no note tells it.
    pub(crate) fn of(&self, revision: &Revision) -> Result<Option<String>, Error> {
        let Some(tip) = &self.tip else { return Ok(None) };
        let known = self.outcomes.0.lock();
        // Another question may have seen newer notes by now.
        let fate = known.fates.get(revision).filter(|_| known.tip == self.tip).copied();
        drop(known);
        let fate = match fate {
            Some(fate) => fate,
            None => self.read(tip, revision)?,
        };
        Ok(fate.map(|fate| fate.word().replace('-', " ")))
    }

    fn read(&self, tip: &Revision, revision: &Revision) -> Result<Option<Fate>, Error> {
        let notes = match self.notes.get() {
            Some(notes) => notes,
            None => {
                let notes = self.repo.notes(tip)?;
                self.notes.get_or_init(|| notes)
            }
        };
        let fate = notes.on(revision)?.and_then(|text| Note::parse(&text)).map(|note| note.result);
        let mut known = self.outcomes.0.lock();
        if known.tip == self.tip {
            known.fates.insert(*revision, fate);
        }
        Ok(fate)
    }
}
