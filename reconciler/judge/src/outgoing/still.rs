//! The policy's second answer to an outgoing change: on top of `main` as it is now.

use berth_repo::{Combined, Signature, StateRepo, Words};
use berth_schema::report::Look;
use berth_schema::text::{any_of, safe};
use berth_schema::{Finding, Severity};

use super::keep::Outgoing;
use super::{OutgoingError, failed};
use crate::hook::{Acts, Asker, judge_made};
use crate::sights::Unseen;

/// Answer of the policy to a change that was allowed once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Still {
    /// It is allowed, and merges.
    Allowed,
    /// It isn't any more, or doesn't merge: why, as a clause.
    Not(String),
}

/// Judges a change anew, merged into `main`, in its author's name.
pub fn still_allowed(repo: &StateRepo, outgoing: &Outgoing) -> Result<Still, OutgoingError> {
    let error = |source| failed(repo, source);
    let Some(main) = repo.head().map_err(error)? else {
        return Ok(Still::Not("there is no main".to_owned()));
    };
    let message = repo.commit_info(&outgoing.commit).map_err(error)?.message;
    let mut scratch = repo.scratch().map_err(error)?;
    let nobody = Signature::at("Berth", "berth@localhost", 0);
    // With the same trailers: what its author said that they know, they know.
    let words = Words { author: &nobody, committer: &nobody, message: &message };
    let merged = match scratch.repo.merge(&main, &outgoing.commit, &words).map_err(error)? {
        Combined::Clean(merged) => merged,
        Combined::Conflicts(files) => {
            return Ok(Still::Not(format!("main has changed {} as well since", files.join(", "))));
        }
    };
    let asker = Asker {
        user: Some(outgoing.user.as_str()),
        look: Look::Plain,
        engine: &Unseen,
        resolver: None,
        from: None,
        acts: if outgoing.record.as_member { Acts::AsMember } else { Acts::AsThemselves },
    };
    let made = judge_made(&mut scratch.repo, &main, &merged, asker)?;
    let first = |findings: &[Finding]| findings.first().map(|finding| safe(&finding.message));
    let mistakes: Vec<Finding> =
        made.findings.iter().filter(|finding| finding.severity == Severity::Error).cloned().collect();
    let why = first(&mistakes)
        .or_else(|| {
            made.approvers.map(|approvers| format!("{} has to agree to it by now", any_of(&approvers)))
        })
        .or_else(|| first(&made.unconfirmed));
    Ok(why.map_or(Still::Allowed, Still::Not))
}
