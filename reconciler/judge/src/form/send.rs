//! The way of a change that a form makes: to `main` here, or to the forge that hosts the state repo.

use std::sync::Arc;

use berth_repo::{Revision, Signature};
use berth_schema::State;
use berth_schema::name::Invalid;
use berth_schema::remote::{PullRequests, Remote};
use berth_schema::text::safe_line;
use berth_wire::web::{Planned, Proposed, PullState, Standing};

use super::error::FormError;
use super::ground::{Ground, Via};
use super::topic;
use crate::outgoing::{self, Outgoing, Record, Sent};
use crate::refusals;

/// Topics that are tried for a change: nobody has so many of one file.
const TOPICS: usize = 1000;
/// Longest line of a finding.
const LINE: usize = 400;

/// The way of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Goes {
    /// `main` moves here.
    ToMain,
    /// It becomes a pull request.
    ToForge,
}

/// Finds the state that a form may change, and the way of a change; or why it may change none.
pub(super) fn way(ground: &Ground<'_>) -> Result<Result<(Arc<State>, Goes), Invalid>, FormError> {
    let Some(state) = ground.state.clone() else { return Ok(Err(refusals::no_good_state())) };
    let goes = match &state.platform.remote {
        None => Ok(Goes::ToMain),
        Some(remote) => to_forge(ground, remote)?.map(|()| Goes::ToForge),
    };
    Ok(goes.map(|goes| (state, goes)))
}

fn to_forge(ground: &Ground<'_>, remote: &Remote) -> Result<Result<(), Invalid>, FormError> {
    if remote.pull_requests == PullRequests::Off {
        return Ok(Err(refusals::hosted_elsewhere(remote)));
    }
    if remote.forge.is_none() {
        return Ok(Err(refusals::unknown_forge(remote, ground.help())));
    }
    // Where `berth remote` never looked, the change waits until it does.
    let trouble = outgoing::way(ground.repo)?.and_then(|way| way.trouble);
    Ok(trouble.map_or(Ok(()), |trouble| Err(refusals::no_way(remote, &trouble))))
}

/// Refuses somebody who has enough changes waiting: before anything of another one is written.
pub(super) fn may_send(ground: &Ground<'_>) -> Result<(), FormError> {
    outgoing::enough(ground.repo, ground.author.name, ground.is_admin(), ground.help())?
        .map_or(Ok(()), refused)
}

fn refused<T>(invalid: Invalid) -> Result<T, FormError> {
    Err(FormError::Refused { message: invalid.message, advice: Some(invalid.hint) })
}

/// A commit that is to go to the forge.
pub(super) struct Sending {
    pub(super) commit: Revision,
    pub(super) by: Signature,
    /// The beginning of its topic.
    pub(super) words: String,
    /// Set if its author committed it; otherwise they propose it.
    pub(super) is_committed: bool,
}

/// Sends a commit on its way to the forge.
pub(super) fn send(ground: &Ground<'_>, planned: Planned, sending: Sending) -> Result<Proposed, FormError> {
    let author = ground.author;
    let Sending { commit, by, words, is_committed } = sending;
    let Some(first) = topic::numbered(&words).next() else { return Err(FormError::Busy) };
    let forge = ground.state.as_ref().and_then(|state| state.platform.remote.as_ref());
    let forge = forge.map(|remote| remote.url.to_string()).unwrap_or_default();
    let outgoing = Outgoing {
        user: author.name.clone(),
        topic: first,
        commit,
        by,
        record: Record { forge, ..record(author.via, planned, is_committed) },
    };
    let topics = topic::numbered(&words).take(TOPICS);
    match outgoing::send(ground.repo, outgoing, topics, ground.is_admin(), ground.help())? {
        Sent::Kept(topic) => Ok(Proposed { topic: topic.to_string(), revision: commit, is_sent: true }),
        Sent::Refused(invalid) => refused(invalid),
        Sent::Crowded => Err(FormError::Busy),
    }
}

fn record(via: Via, planned: Planned, is_committed: bool) -> Record {
    let approvers = match planned.standing {
        Standing::NeedsReview { approvers } => Some(approvers),
        _ => None,
    };
    let finding = |message: &str, place: Option<&str>| match place {
        Some(place) => safe_line(&format!("{place}: {message}"), LINE),
        None => safe_line(message, LINE),
    };
    Record {
        state: PullState::Waiting,
        title: planned.summary,
        door: via.word().to_owned(),
        as_member: via == Via::NarrowToken,
        is_allowed: approvers.is_none(),
        is_committed,
        approvers: approvers.unwrap_or_default(),
        findings: planned.findings.iter().map(|one| finding(&one.message, one.place.as_deref())).collect(),
        losses: planned.losses,
        plan: planned.plan,
        ..Record::default()
    }
}
