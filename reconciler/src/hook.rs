//! A push to the state repo, judged before it is accepted.
//!
//! Owns what `git receive-pack` asks of its hooks: which refs may move, whether the new state is good, whether history
//! stays free of secrets, whether the policy allows it, and what it would change. Refuses to change anything itself: git
//! moves the refs, the daemon does the rest.

mod case;
mod engine;
mod fetched;
mod history;
mod install;
mod names;
mod proposal;
mod seen;
mod to_main;
pub mod view;

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::path::PathBuf;

use berth_repo::{LARGEST_FILE, Loaded, MAIN, Revision, StateRepo};
use berth_schema::name::{Invalid, UserName};
use berth_schema::policy::{self, Actor};
use berth_schema::report::{Look, report};
use berth_schema::{Finding, Severity};

use crate::review::BRANCHES;

pub use case::CaseError;
pub(crate) use case::{Asked, Case};
pub(crate) use engine::between;
pub use engine::{Engine, Unseen};
pub use fetched::judge_fetched;
pub use history::{History, HistoryError, Range};
pub use install::{InstallError, Installed, install};
pub use names::{Proven, Resolvers};
pub use seen::Seen;

/// One ref that a push moves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    /// Where it is; `None` when it is new.
    pub old: Option<Revision>,
    /// Where it would be; `None` when it is deleted.
    pub new: Option<Revision>,
    /// Its full name.
    pub reference: String,
}

/// A push that can't be judged. It is refused then.
#[derive(Debug, thiserror::Error)]
pub enum HookError {
    /// What git said isn't what it says to a hook.
    #[error("'{line}' is not what git tells a hook: run this from git's hooks (`berth hook install`)")]
    NotAnUpdate {
        /// What it said.
        line: String,
    },
    /// The repository can't be read.
    #[error("read the state repo {path}")]
    Read {
        /// Where it is.
        path: PathBuf,
        /// Why.
        #[source]
        source: berth_repo::Error,
    },
    /// Git's own programs can't say what is new.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// The change can't be looked at.
    #[error(transparent)]
    Case(#[from] CaseError),
    /// A proposal can't be looked at.
    #[error(transparent)]
    Review(#[from] crate::review::ReviewError),
}

/// Refs that only Berth writes: what it remembers, and what it noted.
const KEPT: [&str; 2] = ["refs/berth/", "refs/notes/berth"];

/// What became of a push, as it is told to whoever pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// Whether git may move the refs.
    pub accepted: bool,
    /// What to tell.
    pub text: String,
}

/// Who pushes, and whom the judge may ask besides.
#[derive(Clone, Copy)]
pub struct Asker<'a> {
    /// The name that the door gives to whoever pushes. `None` is somebody who has the repository's files, and could change
    /// them without asking.
    pub user: Option<&'a str>,
    /// How they are told.
    pub look: Look,
    /// Who sees the engine.
    pub engine: &'a dyn Engine,
    /// The resolver that is asked for proofs, in place of the platform's.
    pub resolver: Option<SocketAddr>,
}

/// A push while it is judged.
struct Push<'a> {
    repo: &'a mut StateRepo,
    history: History,
    asker: Asker<'a>,
    /// What was found in the refs before the one that is being judged: the same path may have another text there.
    before: Vec<Found>,
    found: Found,
    /// What is said besides findings where the push is accepted.
    talk: String,
    /// What is said besides findings in any case.
    notes: String,
    /// How whoever pushes sees what is judged.
    seen: Option<&'a Seen>,
    /// What to do instead, where it is refused.
    advice: &'static str,
}

/// What was found in one ref of a push.
#[derive(Default)]
struct Found {
    findings: Vec<Finding>,
    /// The texts that the findings point into, by path.
    sources: HashMap<String, String>,
}

impl Found {
    fn is_refused(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity == Severity::Error)
    }
}

impl Update {
    /// Reads a line of a hook's input: `<old> <new> <ref>`.
    pub fn parse(line: &str) -> Result<Self, HookError> {
        let not_one = || HookError::NotAnUpdate { line: line.to_owned() };
        let mut words = line.splitn(3, ' ');
        let (Some(old), Some(new), Some(reference)) = (words.next(), words.next(), words.next()) else {
            return Err(not_one());
        };
        let revision = |text: &str| match text.bytes().all(|byte| byte == b'0') {
            true => Ok(None),
            false => text.parse::<Revision>().map(Some).map_err(|_| not_one()),
        };
        Ok(Self { old: revision(old)?, new: revision(new)?, reference: reference.to_owned() })
    }
}

/// Judges a push, all of its refs together: git accepts or refuses them as one.
pub fn judge(repo: &mut StateRepo, updates: &[Update], asker: Asker<'_>) -> Result<Judgement, HookError> {
    judge_seen(repo, updates, asker, None)
}

/// The same for a push whose commits were made again: what is told is told as whoever pushes sees it.
pub fn judge_seen(
    repo: &mut StateRepo,
    updates: &[Update],
    asker: Asker<'_>,
    seen: Option<&Seen>,
) -> Result<Judgement, HookError> {
    let git_dir = repo.git_dir();
    let history =
        seen.map_or_else(|| History::of_push(git_dir), |seen| History::beside(git_dir, &seen.objects));
    let mut push = Push::new(repo, history, asker);
    push.seen = seen;
    for update in updates {
        match update.reference.as_str() {
            MAIN => push.main(update)?,
            name if name.starts_with(BRANCHES) => push.proposal(update)?,
            _ => push.another(update)?,
        }
        let found = std::mem::take(&mut push.found);
        push.before.push(found);
    }
    Ok(push.end())
}

impl<'a> Push<'a> {
    fn new(repo: &'a mut StateRepo, history: History, asker: Asker<'a>) -> Self {
        let (talk, notes) = (String::new(), String::new());
        let (before, found) = (Vec::new(), Found::default());
        Self { repo, history, asker, before, found, talk, notes, seen: None, advice: "" }
    }

    /// Any other ref: nobody works towards it, but it is history all the same.
    fn another(&mut self, update: &Update) -> Result<(), HookError> {
        let name = update.reference.as_str();
        if !self.may_move_any_ref()? {
            let message = format!("only main and review/<topic> take pushes, and this goes to `{name}`");
            self.refuse_ref(
                name,
                &message,
                "`git push origin HEAD:main`, or `git push origin HEAD:review/<topic>`",
            );
            return Ok(());
        }
        if self.asker.user.is_some() && KEPT.iter().any(|kept| name.starts_with(kept)) {
            let message = format!("`{name}` is kept by Berth itself");
            self.refuse_ref(name, &message, "push branches and tags");
            return Ok(());
        }
        // Git's own refusals would hold for proposals too, which may be pushed anew and deleted.
        let grows = match (&update.old, &update.new) {
            (Some(old), Some(new)) => self.history.is_ancestor(old, new)?,
            (Some(_), None) => false,
            (None, _) => true,
        };
        if !grows {
            let message = format!("`{name}` can't be deleted or rewritten: history only grows");
            self.refuse_ref(name, &message, "push under another name");
            return Ok(());
        }
        match &update.new {
            Some(new) => self.search_history(new, &Range::NewToRepository),
            None => Ok(()),
        }
    }

    fn may_move_any_ref(&mut self) -> Result<bool, HookError> {
        let Some(user) = self.asker.user else { return Ok(true) };
        let Some(head) = self.head()? else { return Ok(false) };
        let loaded = self.load(&head)?;
        let (Ok(state), Ok(name)) = (&loaded.state, user.parse::<UserName>()) else { return Ok(false) };
        Ok(Actor::Member(&name).is_admin(state))
    }

    fn head(&self) -> Result<Option<Revision>, HookError> {
        let path = self.repo.git_dir().to_owned();
        self.repo.head().map_err(|source| HookError::Read { path, source })
    }

    fn load(&mut self, revision: &Revision) -> Result<Loaded, HookError> {
        let path = self.repo.git_dir().to_owned();
        self.repo.load(revision).map_err(|source| HookError::Read { path, source })
    }

    /// Looks at every version of every file that the push adds, however soon it is gone again.
    fn search_history(&mut self, new: &Revision, range: &Range) -> Result<(), HookError> {
        let told: HashSet<(String, u32)> = self
            .found
            .findings
            .iter()
            .filter(|finding| finding.severity == Severity::Error)
            .filter_map(|finding| Some((finding.path.to_string(), finding.position?.line)))
            .collect();
        let mut found = Vec::new();
        self.history.added(new, range, None, LARGEST_FILE, |added, content| {
            let place = format!("{}:{}", added.commit.short(), added.path);
            let Some(content) = content else {
                let message = format!("{} bytes, more than the {LARGEST_FILE} that a file may have, for ever in history", added.size);
                let hint = "take it out of every commit (`git rebase -i`) and keep large files elsewhere";
                found.push(Finding::new(Severity::Error, place, None, Invalid::new(message, hint)));
                return;
            };
            for finding in policy::secrets(&added.path, &String::from_utf8_lossy(content)) {
                let line = finding.position.map_or(0, |position| position.line);
                // What the tip's own findings say already needs no second telling.
                if !told.contains(&(added.path.clone(), line)) {
                    let path = place.as_str().into();
                    let more = "; take it out of every commit with `git rebase -i`, since a later commit doesn't hide it";
                    found.push(Finding { path, hint: finding.hint.map(|hint| hint + more), ..finding });
                }
            }
        })?;
        self.found.findings.append(&mut found);
        Ok(())
    }

    fn refuse_ref(&mut self, reference: &str, message: &str, hint: &str) {
        let invalid = Invalid::new(message, hint);
        self.found.findings.push(Finding::new(Severity::Error, reference, None, invalid));
    }

    fn end(self) -> Judgement {
        let accepted = !self.before.iter().any(Found::is_refused);
        let mut text = String::new();
        let mut told: Vec<Finding> = Vec::new();
        for Found { mut findings, mut sources } in self.before {
            if let Some(seen) = self.seen {
                seen.place(&mut findings, &mut sources);
            }
            findings.sort();
            findings.dedup();
            // What was found in a commit that two refs lead to is told once.
            findings.retain(|finding| !told.contains(finding));
            let source = |path: &str| sources.get(path).map(String::as_str);
            text.push_str(&report(&findings, source, self.asker.look));
            told.append(&mut findings);
        }
        text.push_str(&self.notes);
        if accepted {
            text.push_str(&self.talk);
        } else {
            text.push_str("Refused; nothing was changed.\n");
            text.push_str(self.advice);
        }
        let text = self.seen.map_or_else(|| text.clone(), |seen| seen.say(&text));
        Judgement { accepted, text }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_a_hooks_input_is_an_update() {
        let (one, zero) = ("1".repeat(40), "0".repeat(40));
        let update = Update::parse(&format!("{zero} {one} refs/heads/a b")).unwrap();
        assert_eq!((update.old, update.reference.as_str()), (None, "refs/heads/a b"));
        assert_eq!(update.new.unwrap().to_string(), one);
        for line in ["", "a b c", &format!("{zero} {one}"), &format!("{zero} 123 refs/heads/main")] {
            assert!(Update::parse(line).is_err(), "{line}");
        }
    }
}
