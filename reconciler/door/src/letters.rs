//! Letters to members, put into the spool of `berth mail`: links by which they set a password, and decisions on their proposals.
//!
//! The door sends nothing itself. Where `platform.toml` has no `[mail]`, or somebody no `email`, there is no letter.

use std::path::Path;

use berth_repo::StateRepo;
use berth_schema::State;
use berth_schema::door::Topic;
use berth_schema::name::UserName;
use berth_schema::user::User;
use berth_wire::mail::{Content, Decision, Letter, LostMail, Spool, masked};
use berth_wire::web::{Invited, Secret};
use jiff::Timestamp;

use crate::web::{audit_lost, letter_id};

/// A proposal that somebody is about to decide, and its author. With the decision both are gone.
#[derive(Debug, Clone)]
pub struct Decided {
    topic: Topic,
    author: UserName,
}

/// Puts a link by which somebody sets their password into the spool. Returns their address, most of it hidden, if a mail is on its way.
pub fn invitation(
    data: &Path,
    state: &State,
    user: &User,
    invited: &Invited,
    now: Timestamp,
) -> Option<String> {
    let origin = state.platform.panel_origins()?;
    let link = Secret(format!("{}/invite/{}", origin.first(), invited.invitation.0));
    put(data, state, user, Content::Invitation { link, until: invited.until }, now)
}

/// Takes the links out of the spool that somebody doesn't need any more, since they have used one.
pub(crate) fn invitation_used(data: &Path, user: &UserName) {
    if let Err(error) = Spool::of(data).end_invitations(user) {
        tracing::warn!(%error, to = %user, "a mail with a used link can't be taken out of the spool");
    }
}

impl Decided {
    /// Finds the author of a proposal; `None` where there is none whom a mail could reach, or mails aren't sent.
    pub fn find(repo: &StateRepo, state: &State, topic: &Topic) -> Option<Self> {
        state.platform.mail.as_ref()?;
        let author = berth_judge::review::find(repo, topic).ok()??.author?;
        state.users.get(&author)?.email.as_ref()?;
        Some(Self { topic: topic.clone(), author })
    }

    /// Puts the decision into the spool. Whoever decides on their own proposal knows.
    pub fn tell(self, data: &Path, state: &State, decision: Decision, by: Option<&UserName>) {
        let Self { topic, author } = self;
        if by == Some(&author) {
            return;
        }
        let Some(user) = state.users.get(&author) else { return };
        // A proposal that is gone has no page.
        let has_page = decision == Decision::Conflicts;
        let origin = state.platform.panel_origins().filter(|_| has_page);
        let link = origin.map(|origin| format!("{}/reviews/{topic}", origin.first()));
        let content = Content::Decision { topic: topic.to_string(), decision, by: by.cloned(), link };
        put(data, state, user, content, Timestamp::now());
    }
}

/// Writes a letter that was given up into the audit log.
pub fn lost(data: &Path, mail: &LostMail) {
    // Alarms aren't about accounts.
    if let Some(user) = &mail.user {
        audit_lost(data, user, mail.at);
    }
}

/// Puts a letter into the spool. That it can't be is told in the log, and stops nobody: what it is about has happened.
fn put(data: &Path, state: &State, user: &User, content: Content, made: Timestamp) -> Option<String> {
    state.platform.mail.as_ref()?;
    let to = user.email.clone()?;
    let hidden = masked(&to);
    let letter = |id| Letter { id, user: Some(user.name.clone()), to, made, content };
    let put = letter_id().map_err(std::io::Error::other).and_then(|id| Spool::of(data).put(letter(id)));
    put.inspect_err(|error| tracing::error!(%error, to = %user.name, "a mail can't be put into the spool"))
        .ok()?;
    Some(hidden)
}
