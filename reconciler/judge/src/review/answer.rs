//! Answers a question about proposals, for the command line and the SSH door alike.

use std::net::SocketAddr;

use berth_repo::{Revision, StateRepo};
use berth_schema::brief::{Extent, LINES};
use berth_schema::door::Topic;
use berth_schema::policy::Actor;
use berth_schema::report::Look;
use berth_schema::text;

use super::assess::Assessor;
use super::decide::{self, Decided, missing};
use super::hidden::Member;
use super::{Ask, ReviewError, tell};

/// Form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Text for people, of two screens at most.
    Text(Look),
    /// Text for people, however long.
    Whole(Look),
    /// Markdown for a comment on a forge. A list has no such form, and is text then.
    Markdown,
    /// JSON for programs.
    Json,
}

/// The answer to a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// True if it was answered as it was asked; `false` where somebody may not, or it can't be.
    pub good: bool,
    /// Text to show, with a line break at its end.
    pub text: String,
    /// The new tip of `main`, whose outcome whoever asked wants to see.
    pub merged: Option<Revision>,
    /// True if somebody agreed to a proposal that doesn't merge any more.
    pub conflicts: bool,
}

/// Answers `ask` for `actor`. `resolver` is asked whose names are, in place of the platform's. Blocks while it does, and
/// while it reads and writes the repository.
pub fn answer(
    repo: &StateRepo,
    actor: Actor<'_>,
    ask: &Ask,
    format: Format,
    resolver: Option<SocketAddr>,
) -> Result<Answer, ReviewError> {
    match ask {
        Ask::List => list(repo, actor, format, resolver),
        Ask::Show(topic) => {
            let mut assessor = Assessor::new(repo, resolver)?;
            let Some(proposal) = decide::seen(repo, actor, &assessor, topic)? else {
                return Ok(Answer::refusal(missing(topic)));
            };
            let mut assessment = assessor.assess(&proposal.tip, proposal.author.as_ref())?;
            if let Some(member) = Member::of(actor, assessor.state()) {
                assessment.hide_from(member);
            }
            Ok(Answer::good(match format {
                Format::Text(look) => tell::brief(&proposal, &assessment, look),
                Format::Whole(look) => tell::whole(&proposal, &assessment, look),
                Format::Markdown => tell::markdown(&proposal, &assessment),
                Format::Json => lines(&tell::json(&proposal, &assessment)?)?,
            }))
        }
        Ask::Approve(approval) => {
            let ended = decide::approve(repo, actor, approval, resolver)?;
            Ok(decided(ended, &approval.topic, format))
        }
        Ask::Reject { topic, reason } => {
            Ok(decided(decide::reject(repo, actor, topic, reason.as_deref())?, topic, format))
        }
    }
}

fn list(
    repo: &StateRepo,
    actor: Actor<'_>,
    format: Format,
    resolver: Option<SocketAddr>,
) -> Result<Answer, ReviewError> {
    let found = decide::all_seen(repo, actor, resolver)?;
    Ok(Answer::good(match format {
        Format::Text(_) | Format::Markdown => tell::table(&found, LINES),
        Format::Whole(_) => tell::table(&found, usize::MAX),
        Format::Json => {
            let rows = found.iter().map(|(proposal, assessment)| tell::row(proposal, assessment));
            lines(&rows.collect::<Result<serde_json::Value, _>>()?)?
        }
    }))
}

fn decided(decided: Decided, topic: &Topic, format: Format) -> Answer {
    match decided {
        Decided::Merged(merged, assessment) => {
            let look = if let Format::Text(look) | Format::Whole(look) = format { look } else { Look::Plain };
            let whole = format!(
                "`berth plan --from {}^ --to {} --all` shows everything",
                merged.short(),
                merged.short()
            );
            let extent = Extent::Brief { lines: LINES, whole: &whole };
            let plan = tell::plan(&assessment, look, extent);
            let text = format!("{plan}review/{topic} is merged: main is at {}\n", merged.short());
            Answer { merged: Some(merged), ..Answer::good(text) }
        }
        Decided::Closed(kept) => Answer::good(format!(
            "review/{topic} is closed; its commits are kept for 180 days at least: `git show {kept}`\n"
        )),
        Decided::Unconfirmed(lockouts) => Answer::refusal(tell::unconfirmed(topic, &lockouts)),
        Decided::Conflicts(why) => Answer { conflicts: true, ..Answer::refusal(why) },
        Decided::Not(why) => Answer::refusal(why),
    }
}

pub(super) fn lines(value: &serde_json::Value) -> Result<String, ReviewError> {
    Ok(text::json(value)? + "\n")
}

impl Answer {
    fn good(text: String) -> Self {
        Self { good: true, text, merged: None, conflicts: false }
    }

    fn refusal(why: String) -> Self {
        Self { good: false, text: why + "\n", merged: None, conflicts: false }
    }
}
