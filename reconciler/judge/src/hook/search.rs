//! The search of a history for what may not pass through it: secrets, files that are too large, text that steers a terminal.

use std::collections::HashSet;

use berth_repo::{LARGEST_FILE, Plain, Revision};
use berth_schema::name::Invalid;
use berth_schema::{Finding, Severity, docs, policy};

use super::{HookError, Push, Searched};
use crate::history::{Added, Content, Range};
use crate::spelling::{self, LARGEST_COMMIT};

/// Findings of a search so far.
struct Search {
    /// Lines of files of the new state that have errors already: what they say needs no second telling.
    told: HashSet<(String, u32)>,
    searched: Searched,
    found: Vec<Finding>,
}

impl Push<'_> {
    /// Looks at every commit that the push adds, and at every version of every file, however soon it is gone again.
    pub(super) fn search_history(&mut self, new: &Revision, range: &Range) -> Result<(), HookError> {
        let errors = self.found.findings.iter().filter(|finding| finding.severity == Severity::Error);
        let told = errors.filter_map(|finding| Some((finding.path.to_string(), finding.position?.line)));
        let mut search = Search { told: told.collect(), searched: self.searched, found: Vec::new() };
        match (self.searched, range) {
            (Searched::One, Range::After(old)) => self.search_made(old, new, &mut search)?,
            _ => {
                self.history.added(new, range, None, LARGEST_FILE, |added, content| {
                    search.version(added, content);
                })?;
                self.history.texts(new, range, LARGEST_COMMIT, |commit, text| search.commit(commit, text))?;
            }
        }
        self.found.findings.append(&mut search.found);
        Ok(())
    }

    /// The same for the one commit between two revisions.
    fn search_made(&self, old: &Revision, new: &Revision, search: &mut Search) -> Result<(), HookError> {
        let path = self.repo.git_dir();
        let error = |source| HookError::Read { path: path.to_owned(), source };
        let files = self.repo.files(new).map_err(error)?;
        for path in self.repo.changed(old, new).map_err(error)? {
            let content = files.read(&path).map_err(error)?;
            let added = Added { commit: *new, path };
            match &content {
                Some(Plain::Read(content)) => search.version(&added, Content::Plain(content)),
                Some(Plain::TooLarge(size)) => search.version(&added, Content::TooLarge(*size)),
                // It is gone, or no plain file, which the state's own findings say.
                None => search.version(&added, Content::Other),
            }
        }
        let text = self.repo.raw_commit(new).map_err(error)?;
        search.commit(*new, (text.len() <= LARGEST_COMMIT).then_some(&text));
        Ok(())
    }
}

impl Search {
    fn version(&mut self, added: &Added, content: Content<'_>) {
        let whole = format!("{}:{}", added.commit.short(), added.path);
        self.found.extend(spelling::of_path(&added.commit, &added.path));
        let content = match content {
            Content::Plain(content) => content,
            Content::TooLarge(size) => {
                let message = format!(
                    "{size} bytes, more than the {LARGEST_FILE} that a file may have, for ever in history"
                );
                let hint = "take it out of every commit (`git rebase -i`) and keep large files elsewhere";
                self.found.push(Finding::new(Severity::Error, whole, None, Invalid::new(message, hint)));
                return;
            }
            Content::Other => return,
        };
        if let Some(invalid) = docs::too_large(&added.path, content.len()) {
            self.found.push(Finding::new(Severity::Error, whole.as_str(), None, invalid));
        }
        for finding in policy::secrets(&added.path, content) {
            let line = finding.position.map_or(0, |position| position.line);
            if self.told.contains(&(added.path.clone(), line)) {
                continue;
            }
            self.found.push(match self.searched {
                // Nobody has that commit, so there is nothing to take out of it.
                Searched::One => finding,
                Searched::Push => {
                    let more = "; take it out of every commit with `git rebase -i`, since a later commit doesn't hide it";
                    Finding { path: whole.as_str().into(), hint: finding.hint.map(|hint| hint + more), ..finding }
                }
            });
        }
    }

    fn commit(&mut self, commit: Revision, text: Option<&[u8]>) {
        self.found.extend(spelling::of_commit(&commit, text));
        // What people write into a message, history keeps like a file.
        self.found.extend(
            text.and_then(|text| policy::secrets(&commit.short(), text).into_iter().next())
                .map(|finding| Finding { position: None, ..finding }),
        );
    }
}
