//! Changes that went to the forge, as the panel shows them. Somebody else's isn't there for a member.

use berth_schema::door::Topic;
use berth_schema::name::UserName;
use berth_schema::remote::PullRequests;
use berth_schema::text::safe;
use berth_wire::web::{PullCard, PullSheet};
use jiff::Timestamp;

use super::error::FormError;
use super::ground::Ground;
use super::tell::diffs;
use crate::outgoing::{self, Outgoing};

/// All that somebody may read, the newest first.
pub(super) fn all(ground: &Ground<'_>) -> Result<Vec<PullCard>, FormError> {
    let mut found = outgoing::all(ground.repo)?;
    found.retain(|outgoing| may_see(ground, &outgoing.user));
    Ok(found.iter().map(|outgoing| card(ground, outgoing)).collect())
}

/// One of them, whole.
pub(super) fn one(ground: &Ground<'_>, user: &UserName, topic: &str) -> Result<PullSheet, FormError> {
    let missing = || FormError::NotFound { what: "such pull request".to_owned() };
    let topic: Topic = topic.parse().map_err(|_| missing())?;
    if !may_see(ground, user) {
        return Err(missing());
    }
    let outgoing = outgoing::find(ground.repo, user, &topic)?.ok_or_else(missing)?;
    let info = ground.repo.commit_info(&outgoing.commit).map_err(|source| ground.failed(source))?;
    let diffs = match info.parents.first() {
        Some(parent) => diffs(ground.repo, &ground.sight(), parent, &outgoing.commit),
        None => Ok(Vec::new()),
    };
    Ok(PullSheet {
        card: card(ground, &outgoing),
        branch: safe(&outgoing.record.branch),
        plan: outgoing.record.plan.clone(),
        losses: outgoing.record.losses.iter().map(safe).collect(),
        diffs: diffs.map_err(|source| ground.failed(source))?,
    })
}

/// Takes one of them back that the forge doesn't have.
pub(super) fn withdraw(ground: &Ground<'_>, user: &UserName, topic: &str) -> Result<(), FormError> {
    let missing = || FormError::NotFound { what: "such pull request".to_owned() };
    let topic: Topic = topic.parse().map_err(|_| missing())?;
    if !may_see(ground, user) {
        return Err(missing());
    }
    let found = outgoing::find(ground.repo, user, &topic)?.ok_or_else(missing)?;
    if outgoing::withdraw(ground.repo, user, &topic)?.is_some() {
        return Ok(());
    }
    let (message, advice) = match found.record.is_open() {
        true => ("it is at the forge already", "close its pull request there"),
        false => ("nothing more happens to it", "to undo what came of it, take back the change on main"),
    };
    Err(FormError::Refused { message: message.to_owned(), advice: Some(advice.to_owned()) })
}

fn may_see(ground: &Ground<'_>, user: &UserName) -> bool {
    user == ground.author.name || ground.is_admin()
}

fn card(ground: &Ground<'_>, outgoing: &Outgoing) -> PullCard {
    let Outgoing { user, topic, commit, by, record } = outgoing;
    let remote = ground.state.as_ref().and_then(|state| state.platform.remote.as_ref());
    let merges = remote.is_some_and(|remote| remote.pull_requests == PullRequests::Merge);
    PullCard {
        user: user.clone(),
        topic: topic.to_string(),
        summary: safe(&record.title),
        revision: *commit,
        asked: Timestamp::from_second(by.seconds).unwrap_or_default(),
        state: record.state,
        why: record.why.as_ref().map(safe),
        forge: safe(&record.forge),
        number: record.number,
        url: record.url.as_ref().filter(|url| is_web(url)).map(safe),
        is_allowed: record.is_allowed,
        is_merged_here: merges && record.is_allowed && record.is_committed,
        approvers: record.approvers.clone(),
        landed: record.landed,
        may_withdraw: record.may_withdraw(),
    }
}

/// Returns whether a forge's word for a page is one that people can open.
fn is_web(url: &str) -> bool {
    url.starts_with("https://") || url.starts_with("http://")
}
