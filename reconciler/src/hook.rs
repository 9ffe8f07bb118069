//! A push to the state repo, judged before it is accepted.
//!
//! Owns what `git receive-pack` asks of its hooks: which refs may move, whether the new state is good, whether history
//! stays free of secrets, whether the policy allows it, and what it would change. Refuses to change anything itself: git
//! moves the refs, the daemon does the rest.

mod fetched;
mod history;
mod install;

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use berth_plan::diff::{ALLOW_REMOVALS, Context, plan};
use berth_plan::{Desired, Observed, Plan, show, simulate};
use berth_repo::{LARGEST_FILE, Loaded, MAIN, Revision, StateRepo};
use berth_schema::name::{Invalid, ServerId, UserName};
use berth_schema::policy::{self, Actor, Change, Proposal, Verdict};
use berth_schema::report::{Look, report};
use berth_schema::{Finding, Severity, State};
use jiff::Timestamp;

pub use fetched::judge_fetched;
pub use history::{History, HistoryError, Range};
pub use install::{InstallError, Installed, install};

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
}

/// What became of a push, as it is told to whoever pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// Whether git may move the refs.
    pub accepted: bool,
    /// What to tell.
    pub text: String,
}

/// A push while it is judged.
struct Push<'a> {
    repo: &'a mut StateRepo,
    history: History,
    /// The name that the door gives to whoever pushes; `None` for whoever has the repository's files.
    user: Option<&'a str>,
    look: Look,
    findings: Vec<Finding>,
    sources: HashMap<String, String>,
    /// What is said besides findings.
    talk: String,
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

/// Judges a push, all of its refs together: git accepts or refuses them as one. `user` is the name that the door gives
/// to whoever pushes; without one it is somebody who has the repository's files, and could change them without asking.
pub fn judge(
    repo: &mut StateRepo,
    updates: &[Update],
    user: Option<&str>,
    look: Look,
) -> Result<Judgement, HookError> {
    let history = History::of(repo.git_dir());
    let (findings, sources, talk) = (Vec::new(), HashMap::new(), String::new());
    let mut push = Push { repo, history, user, look, findings, sources, talk };
    for update in updates {
        match update.reference.as_str() {
            MAIN => push.main(update)?,
            _ => push.another(update)?,
        }
    }
    Ok(push.end())
}

impl Push<'_> {
    fn main(&mut self, update: &Update) -> Result<(), HookError> {
        let Some(new) = update.new else {
            self.refuse_ref(
                MAIN,
                "main can't be deleted: it is what should exist",
                "push a commit that says what should exist instead",
            );
            return Ok(());
        };
        if let Some(old) = &update.old
            && !self.history.is_ancestor(old, &new)?
        {
            let message = format!(
                "main can't go from {} to {}, which isn't built on it: history only grows",
                old.short(),
                new.short()
            );
            self.refuse_ref(
                MAIN,
                &message,
                "`git pull --rebase`, look at what others changed, and push again without force",
            );
            return Ok(());
        }
        let before = update.old.map(|old| self.load(&old)).transpose()?;
        self.refuse_unless_hosted_here(before.as_ref());
        let after = self.load(&new)?;
        for finding in after.findings() {
            if let Some(source) = after.source(&finding.path) {
                self.sources.insert(finding.path.to_string(), source.to_owned());
            }
        }
        self.findings.extend_from_slice(after.findings());
        let range = update.old.map_or(Range::Everything, Range::After);
        self.search_history(&new, &range)?;
        self.apply_policy(update.old.as_ref(), &new, before.as_ref(), &after)?;
        if let (Ok(after), false) = (&after.state, self.is_refused()) {
            self.show_plan(&new, before.as_ref(), after)?;
        }
        Ok(())
    }

    /// Where a forge hosts the state repo, `main` follows its branch, and a push here would only part the two.
    fn refuse_unless_hosted_here(&mut self, before: Option<&Loaded>) {
        let Some(Ok(state)) = before.map(|before| &before.state) else { return };
        let Some(remote) = state.platform.remote.as_ref() else { return };
        let message = format!("main follows {}: `[remote]` in platform.toml says so", remote.url);
        let hint = format!("push there: `git push {} HEAD:{}`", remote.url, remote.branch);
        self.refuse_ref(MAIN, &message, &hint);
    }

    /// Any other ref: nobody works towards it, but it is history all the same.
    fn another(&mut self, update: &Update) -> Result<(), HookError> {
        if !self.may_move_any_ref()? {
            let message = format!("only main takes pushes, and this goes to `{}`", update.reference);
            self.refuse_ref(&update.reference, &message, "`git push origin HEAD:main`");
            return Ok(());
        }
        match &update.new {
            Some(new) => self.search_history(new, &Range::NewToRepository),
            None => Ok(()),
        }
    }

    fn may_move_any_ref(&mut self) -> Result<bool, HookError> {
        let Some(user) = self.user else { return Ok(true) };
        let path = self.repo.git_dir().to_owned();
        let head = self.repo.head().map_err(|source| HookError::Read { path, source })?;
        let Some(head) = head else { return Ok(false) };
        let loaded = self.load(&head)?;
        let (Ok(state), Ok(name)) = (&loaded.state, user.parse::<UserName>()) else { return Ok(false) };
        Ok(Actor::Member(&name).is_admin(state))
    }

    fn load(&mut self, revision: &Revision) -> Result<Loaded, HookError> {
        let path = self.repo.git_dir().to_owned();
        self.repo.load(revision).map_err(|source| HookError::Read { path, source })
    }

    /// Looks at every version of every file that the push adds, however soon it is gone again.
    fn search_history(&mut self, new: &Revision, range: &Range) -> Result<(), HookError> {
        let told: HashSet<(String, u32)> = self
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
        self.findings.append(&mut found);
        Ok(())
    }

    fn apply_policy(
        &mut self,
        old: Option<&Revision>,
        new: &Revision,
        before: Option<&Loaded>,
        after: &Loaded,
    ) -> Result<(), HookError> {
        let Some(user) = self.user else { return Ok(()) };
        let Ok(name) = user.parse::<UserName>() else {
            self.refuse_ref(
                MAIN,
                "the door gives no good name for whoever pushes",
                "`BERTH_USER` must be a member's name",
            );
            return Ok(());
        };
        let (Some(old), Some(Ok(before))) = (old, before.map(|before| &before.state)) else {
            let message = "main holds no good state, so nobody can tell what is whose";
            self.refuse_ref(
                MAIN,
                message,
                "whoever runs the platform has to mend it first, from the machine that it is on",
            );
            return Ok(());
        };
        let Ok(after) = &after.state else { return Ok(()) };
        let paths = self.history.changed(old, new)?;
        let mut changes = Vec::with_capacity(paths.len());
        for path in &paths {
            let git_dir = self.repo.git_dir().to_owned();
            let bytes =
                self.repo.read(new, path).map_err(|source| HookError::Read { path: git_dir, source })?;
            if let Some(text) = bytes.and_then(|bytes| String::from_utf8(bytes).ok()) {
                self.sources.entry(path.clone()).or_insert(text);
            }
        }
        for path in &paths {
            changes.push(Change { path, text: self.sources.get(path).map(String::as_str) });
        }
        let former = former(&self.history, old, before, after)?;
        let actor = Actor::Member(&name);
        match policy::judge(&Proposal {
            actor,
            before,
            after,
            changes: &changes,
            proven: &[],
            former: &former,
        }) {
            Verdict::Allow => {}
            Verdict::Deny(mut findings) => self.findings.append(&mut findings),
            Verdict::NeedsReview { findings, .. } => {
                // There is no place yet where a proposal could wait: what needs review isn't accepted.
                let refused = |finding| Finding { severity: Severity::Error, ..finding };
                self.findings.extend(findings.into_iter().map(refused));
            }
        }
        Ok(())
    }

    fn show_plan(&mut self, new: &Revision, before: Option<&Loaded>, after: &State) -> Result<(), HookError> {
        let path = self.repo.git_dir().to_owned();
        let info = self.repo.commit_info(new).map_err(|source| HookError::Read { path, source })?;
        let allowance = info.trailers.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(ALLOW_REMOVALS));
        let allowance = allowance.map(|(_, hash)| hash);
        let before = before.map(|before| before.state.as_ref());
        let planned = match before {
            Some(Err(_)) => Err("what was there before has mistakes".to_owned()),
            Some(Ok(before)) if before.platform.prefix != after.platform.prefix => {
                Err("the prefix changes, and a platform that has made anything keeps its prefix".to_owned())
            }
            Some(Ok(before)) => between(Some(before), after, new, allowance.as_deref()),
            None => between(None, after, new, allowance.as_deref()),
        };
        match planned {
            Ok(plan) => {
                let colour = match self.look {
                    Look::Plain => show::Colour::Never,
                    Look::Coloured => show::Colour::Always,
                };
                let text = show::text(&plan, &show::Style { colour, ..show::Style::default() });
                self.talk.push_str("Planned from state to state; the engine wasn't asked.\n");
                self.talk.push_str(&text);
            }
            Err(why) => self.talk.push_str(&format!("Not planned: {why}.\n")),
        }
        Ok(())
    }

    fn refuse_ref(&mut self, reference: &str, message: &str, hint: &str) {
        self.findings.push(Finding::new(Severity::Error, reference, None, Invalid::new(message, hint)));
    }

    fn is_refused(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity == Severity::Error)
    }

    fn end(mut self) -> Judgement {
        self.findings.sort();
        self.findings.dedup();
        let accepted = !self.is_refused();
        let mut text = report(&self.findings, |path| self.sources.get(path).map(String::as_str), self.look);
        if accepted {
            text.push_str(&self.talk);
        } else {
            text.push_str("Refused; nothing was changed.\n");
        }
        Judgement { accepted, text }
    }
}

/// Whose the ids were that a change adds, as the history up to `old` tells it. Without new ids nothing is read.
pub fn former(
    history: &History,
    old: &Revision,
    before: &State,
    after: &State,
) -> Result<Vec<(ServerId, UserName)>, HistoryError> {
    let mut found = Vec::new();
    if after.servers.keys().all(|id| before.servers.contains_key(id)) {
        return Ok(found);
    }
    history.added(old, &Range::Everything, Some("servers"), LARGEST_FILE, |added, content| {
        let text = content.map(String::from_utf8_lossy);
        found.extend(text.and_then(|text| policy::named_by(&added.path, &text)));
    })?;
    found.sort();
    found.dedup();
    Ok(found)
}

/// The plan from one state to another, against the engine as it would be with everything of the first in place.
fn between(
    before: Option<&State>,
    after: &State,
    revision: &Revision,
    allowance: Option<&str>,
) -> Result<Plan, String> {
    let desired = Desired::from_state(after);
    let observed = match before {
        Some(before) => {
            let before = Desired::from_state(before);
            simulate::settled(&before).map_err(|error| error.to_string())?.observed(before.prefix())
        }
        None => Observed::default(),
    };
    let revision = revision.to_string();
    let context = Context { now: Timestamp::now(), revision: &revision, allowance, previous: before };
    Ok(plan(&desired, &observed, &context))
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
