//! A push that stands on an earlier `main`, merged with the one that there is: files that only one side changed don't conflict.

use berth_plan::diff::ALLOW_REMOVALS;
use berth_repo::{Combined as Merged, Revision, StateRepo, Words};
use berth_schema::name::Invalid;
use berth_schema::policy::{ALLOW_LOCKOUT, Actor};
use berth_schema::text::{counted, safe_line};
use berth_schema::{Finding, Severity};

use super::HookError;
use crate::review::signature;

/// Commits of others that are named.
const NAMED: usize = 3;
/// Commits of others that are counted.
const COUNTED: usize = 1000;
/// Longest first line of a commit that is told.
const LINE: usize = 80;

/// A push that stands on an earlier `main`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stale {
    /// The earlier `main`.
    pub(super) seen: Revision,
    /// `main` as it is now.
    pub(super) main: Revision,
    /// The commit that was pushed.
    pub(super) pushed: Revision,
}

/// The merge of both.
pub(super) struct Combined {
    /// The merge.
    pub(super) merged: Revision,
    /// The commit that was pushed.
    pub(super) pushed: Revision,
    /// The text for whoever pushed, with a line break at its end.
    pub(super) told: String,
}

/// Merges both in `room`, or returns a finding for each file that both sides changed. `repo` reads the state.
pub(super) fn combine(
    room: &StateRepo,
    repo: &mut StateRepo,
    Stale { seen, main, pushed }: Stale,
    actor: Actor<'_>,
) -> Result<Result<Combined, Vec<Finding>>, HookError> {
    let path = repo.git_dir().to_owned();
    let failed = |source| HookError::Read { path: path.clone(), source };
    let state = repo.load(&main).map_err(failed)?.state.ok();
    let by = signature(actor, state.as_deref());
    let message = message(room, &pushed, &by.name).map_err(failed)?;
    let words = Words { author: &by, committer: &by, message: &message };
    match room.merge(&main, &pushed, &words).map_err(failed)? {
        Merged::Clean(merged) => {
            let told = told(repo, &main, &seen).map_err(failed)?;
            Ok(Ok(Combined { merged, pushed, told }))
        }
        Merged::Conflicts(paths) => Ok(Err(paths.iter().map(|path| in_the_way(path)).collect())),
    }
}

/// The finding that `main` changed a file as well.
pub(super) fn in_the_way(path: &str) -> Finding {
    let message = "main has changed this as well since you fetched it";
    let hint = "`git pull`, choose what holds where git marks both, commit that, and push again";
    Finding::new(Severity::Error, path, None, Invalid::new(message, hint))
}

/// The message of the merge. What the commit that was pushed allows, it allows as well: both are the same person's.
fn message(room: &StateRepo, pushed: &Revision, name: &str) -> Result<String, berth_repo::Error> {
    let info = room.commit_info(pushed)?;
    let mut message = format!("Merge what {name} pushed: {}\n", safe_line(&info.summary, LINE));
    let allows = |key: &str| [ALLOW_REMOVALS, ALLOW_LOCKOUT].iter().any(|one| key.eq_ignore_ascii_case(one));
    let allowed: Vec<_> = info.trailers.iter().filter(|(key, _)| allows(key)).collect();
    if !allowed.is_empty() {
        message.push('\n');
    }
    for (key, value) in allowed {
        message.push_str(&format!("{key}: {value}\n"));
    }
    Ok(message)
}

/// Tells what came to `main` meanwhile.
fn told(repo: &StateRepo, main: &Revision, seen: &Revision) -> Result<String, berth_repo::Error> {
    let commits = repo.commits(main, Some(seen), COUNTED)?;
    let mut text = format!(
        "main had moved on: what you pushed is combined with {} of others. `git pull` brings you the result.\n",
        counted(commits.len(), "commit")
    );
    for commit in commits.iter().take(NAMED) {
        text.push_str(&format!("  {}\n", safe_line(&commit.summary, LINE)));
    }
    if commits.len() > NAMED {
        text.push_str(&format!("  and {} more\n", commits.len() - NAMED));
    }
    Ok(text)
}
