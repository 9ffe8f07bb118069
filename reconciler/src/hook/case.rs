//! A change as the policy is asked about it, gathered in one way whichever door it comes through.

use berth_repo::{LARGEST_FILE, Revision, StateRepo};
use berth_schema::State;
use berth_schema::name::{ServerId, UserName};
use berth_schema::policy::{self, Actor, Change, Proposal, Verdict};

use super::{History, HistoryError, Proven, Range};

/// What is to be judged.
pub(crate) struct Asked<'a> {
    /// Who asks for the change.
    pub(crate) actor: Actor<'a>,
    /// Sees the objects of both revisions.
    pub(crate) repo: &'a StateRepo,
    /// That of the state repo, which knows whose an id was.
    pub(crate) history: &'a History,
    /// The tip of `main`, up to which history is asked.
    pub(crate) main: Revision,
    /// Where the change begins.
    pub(crate) old: Revision,
    /// Where it ends.
    pub(crate) new: Revision,
    /// The state at `old`.
    pub(crate) before: &'a State,
    /// The state at `new`.
    pub(crate) after: &'a State,
    /// What DNS says is the actor's.
    pub(crate) proven: &'a Proven,
    /// The removals that the commit's message allows beyond the budget.
    pub(crate) allowance: Option<&'a str>,
}

/// A change with everything that the policy wants to know of it.
pub(crate) struct Case<'a> {
    asked: Asked<'a>,
    files: Vec<File>,
    former: Vec<(ServerId, UserName)>,
}

/// A file that differs, and its text where it is text.
struct File {
    path: String,
    before: Option<String>,
    after: Option<String>,
}

impl File {
    fn change(&self) -> Change<'_> {
        Change { path: &self.path, before: self.before.as_deref(), text: self.after.as_deref() }
    }
}

/// A change that can't be looked at.
#[derive(Debug, thiserror::Error)]
pub enum CaseError {
    /// A file of it can't be read.
    #[error("read {path} in the state repo")]
    Read {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: berth_repo::Error,
    },
    /// Git's own programs can't say whose an id was.
    #[error(transparent)]
    History(#[from] HistoryError),
}

impl<'a> Case<'a> {
    /// Gathers a change of these files.
    pub(crate) fn gather(asked: Asked<'a>, paths: Vec<String>) -> Result<Self, CaseError> {
        let read = |revision: Revision, path: &str| {
            let bytes = asked.repo.read(&revision, path);
            let bytes = bytes.map_err(|source| CaseError::Read { path: path.to_owned(), source })?;
            Ok::<_, CaseError>(bytes.and_then(|bytes| String::from_utf8(bytes).ok()))
        };
        let files = paths.into_iter().map(|path| {
            let (before, after) = (read(asked.old, &path)?, read(asked.new, &path)?);
            Ok(File { path, before, after })
        });
        let files = files.collect::<Result<_, CaseError>>()?;
        let former = former(&asked)?;
        Ok(Self { asked, files, former })
    }

    /// The policy's answer, and whether the change is the actor's own, so that it needs nobody's consent.
    pub(crate) fn judge(&self) -> (Verdict, bool) {
        let changes: Vec<Change<'_>> = self.files.iter().map(File::change).collect();
        let proposal = Proposal {
            actor: self.asked.actor,
            before: self.asked.before,
            after: self.asked.after,
            changes: &changes,
            proven: &self.asked.proven.names,
            former: &self.former,
            allowance: self.asked.allowance,
        };
        (policy::judge(&proposal), policy::is_own(&proposal))
    }

    /// The texts after the change, for findings to point into.
    pub(crate) fn into_texts(self) -> impl Iterator<Item = (String, String)> {
        self.files.into_iter().filter_map(|file| Some((file.path, file.after?)))
    }
}

/// Whose the ids were that a change adds, as the history of `main` tells it. Without new ids nothing is read.
fn former(asked: &Asked<'_>) -> Result<Vec<(ServerId, UserName)>, HistoryError> {
    let mut found = Vec::new();
    if asked.after.servers.keys().all(|id| asked.before.servers.contains_key(id)) {
        return Ok(found);
    }
    let everything = Range::Everything;
    asked.history.added(&asked.main, &everything, Some("servers"), LARGEST_FILE, |added, content| {
        let text = content.map(String::from_utf8_lossy);
        found.extend(text.and_then(|text| policy::named_by(&added.path, &text)));
    })?;
    found.sort();
    found.dedup();
    Ok(found)
}
