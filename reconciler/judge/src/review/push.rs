//! The steps after a push that was accepted: who opened a proposal is remembered, and what is its author's own is merged.

use std::net::SocketAddr;

use berth_repo::{Revision, StateRepo};
use berth_schema::name::UserName;
use berth_schema::policy::Actor;

use super::ReviewError;
use super::assess::Assessor;
use super::decide::{Own, merge_own, signature};
use super::proposals::{self, topic_of};
use crate::line::Line;
use crate::update::Update;

/// The outcome of those steps.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AfterPush {
    /// Text for whoever pushed, with a line break at its end, or nothing.
    pub text: String,
    /// The new tip of `main`, where a proposal merged itself.
    pub merged: Option<Revision>,
}

/// Goes through the refs that a push moved, after they moved. `user` is the name that the door gave; without one it was
/// whoever has the repository's files. `resolver` is asked whose names are, in place of the platform's. What merges itself waits in `line`.
pub fn after_push(
    repo: &StateRepo,
    updates: &[Update],
    user: Option<&UserName>,
    resolver: Option<SocketAddr>,
    line: Line,
) -> Result<AfterPush, ReviewError> {
    let mut after = AfterPush::default();
    for update in updates {
        let Ok(topic) = topic_of(&update.reference) else { continue };
        let by = signature(user.map_or(Actor::Operator, Actor::Member), Assessor::new(repo, None)?.state());
        match (&update.old, &update.new) {
            (Some(old), None) => {
                let name = proposals::keep(repo, &topic, *old, by, proposals::TAKEN_BACK)?;
                proposals::forget(repo, &topic)?;
                after.text.push_str(&format!(
                    "review/{topic} is closed; its commits are kept as {name}, for 180 days or until you have closed 20 more.\n"
                ));
                continue;
            }
            // A proposal whose first push nobody lived to write down has no author, and only an admin can push to it.
            (None, Some(new)) => proposals::open(repo, &topic, *new, by)?,
            _ => {}
        }
        match merge_own(repo, &topic, resolver, line)? {
            Own::Merged(merged) => {
                after.text.push_str(&format!("review/{topic} is merged: main is at {}.\n", merged.short()));
                after.merged = Some(merged);
            }
            Own::Unmerged(why) => after.text.push_str(&format!(
                "review/{topic} isn't merged yet: {why}. It needs nobody's consent; merge it with `review approve {topic} {}`.\n",
                update.new.map(|tip| tip.short()).unwrap_or_default()
            )),
            Own::Waits => after.text.push_str(&format!(
                "review/{topic} waits: `review show {topic}` shows how it stands, `git push origin :review/{topic}` takes it back.\n"
            )),
        }
    }
    Ok(after)
}
