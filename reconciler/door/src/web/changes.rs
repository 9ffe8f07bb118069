//! Changes: forms, reverts and proposals, which the judge answers. The door says who asks, and looks at the engine for it.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use berth_judge::form::{Author, FormError};
use berth_judge::{NoTurn, Sights as _};
use berth_schema::Revision;
use berth_schema::text::capital;
use berth_wire::mail::Decision;
use berth_wire::web::{
    Approve, Change, Commit, Committed, Decided, Deed, Done, Input, Object, Plan, Planned, ProposalCard,
    ProposalRead, ProposalSheet, Proposals, Propose, ProposeRevert, Proposed, Refusal, Reject, Revert, Why,
};

use super::panel::{Asker, Panel};
use super::past::Made;
use super::read::{file_of, find};
use super::refusals::{forbidden, not_found, unavailable};
use super::scopes::{is_users, may_change, may_take_back};
use crate::asking::Asking;
use crate::letters;

/// Time for a look at the engine. Without one, the plan is from state to state.
const LOOK: Duration = Duration::from_secs(10);

/// Tells what a change comes to.
pub(crate) fn plan(panel: &Panel, asker: &Asker, asked: Plan) -> Result<Planned, Refusal> {
    seen(asker, &asked.change)?;
    may_change(asker, &asked.change)?;
    change(panel, asker, asked.from, Looks::Begun, |author| panel.forms.plan(author, &asked.change))
}

/// Makes a change that was shown.
pub(crate) fn commit(panel: &Panel, asker: &Asker, asked: Commit) -> Result<Committed, Refusal> {
    seen(asker, &asked.change)?;
    may_change(asker, &asked.change)?;
    if is_about_people(&asked.change) {
        asker.must_be_fresh()?;
    }
    change(panel, asker, asked.from, Looks::Begun, |author| panel.forms.commit(author, &asked))
}

/// Proposes a change.
pub(crate) fn propose(panel: &Panel, asker: &Asker, asked: Propose) -> Result<Proposed, Refusal> {
    seen(asker, &asked.change)?;
    may_change(asker, &asked.change)?;
    change(panel, asker, None, Looks::Begun, |author| panel.forms.propose(author, &asked.change))
}

/// Takes back what a revision changed.
pub(crate) fn revert(panel: &Panel, asker: &Asker, asked: Revert) -> Result<Committed, Refusal> {
    let made = takes_back(panel, asker, &asked.revision)?;
    // It may give a role back, or a member, or a way in.
    if asked.digest.is_some() && made.paths.iter().any(|path| is_users(path)) {
        asker.must_be_fresh()?;
    }
    change(panel, asker, asked.from, Looks::Begun, |author| panel.forms.revert(author, &asked))
}

/// Proposes to take back what a revision changed.
pub(crate) fn propose_revert(
    panel: &Panel,
    asker: &Asker,
    asked: ProposeRevert,
) -> Result<Proposed, Refusal> {
    takes_back(panel, asker, &asked.revision)?;
    change(panel, asker, None, Looks::Begun, |author| panel.forms.propose_revert(author, &asked.revision))
}

/// Checks that a revision changes nothing but what the person may change, since the plan of taking it back shows all of it.
fn takes_back(panel: &Panel, asker: &Asker, revision: &Revision) -> Result<Arc<Made>, Refusal> {
    let _acting = panel.act()?;
    let sight = asker.sight();
    let made = find(panel, &panel.repo()?, revision)?;
    let made = made.filter(|made| sight.sees(made)).ok_or_else(not_found)?;
    if !asker.is_admin() && !asker.viewer().may_revert(&made) {
        let message = "That commit changes what isn't yours, too, so you can't take it back.";
        return Err(forbidden(message, "Ask {help}."));
    }
    may_take_back(asker, made.paths.iter().map(String::as_str))?;
    Ok(made)
}

/// Lists the proposals that wait.
pub(crate) fn proposals(panel: &Panel, asker: &Asker, _: Proposals) -> Result<Vec<ProposalCard>, Refusal> {
    change(panel, asker, None, Looks::None, |author| panel.forms.proposals(author))
}

/// Shows one proposal.
pub(crate) fn proposal(panel: &Panel, asker: &Asker, asked: ProposalRead) -> Result<ProposalSheet, Refusal> {
    change(panel, asker, asked.from, Looks::None, |author| panel.forms.proposal(author, &asked.topic))
}

/// Merges a proposal.
pub(crate) fn approve(panel: &Panel, asker: &Asker, asked: Approve) -> Result<Decided, Refusal> {
    if !asker.is_fresh {
        let sheet =
            change(panel, asker, None, Looks::None, |author| panel.forms.proposal(author, &asked.topic))?;
        if sheet.diffs.iter().any(|diff| is_users(&diff.path)) {
            asker.must_be_fresh()?;
        }
    }
    let (proposal, mut conflicts) = (proposed(panel, asker, &asked.topic)?, false);
    let done = change(panel, asker, asked.from, Looks::None, |author| {
        let done = panel.forms.approve(author, &asked);
        conflicts = matches!(done, Err(FormError::Conflicts { .. }));
        done
    });
    let decision = if conflicts { Decision::Conflicts } else { Decision::Merged };
    if let Some(proposal) = proposal.filter(|_| conflicts || done.is_ok()) {
        proposal.tell(&panel.door.settings().data, asker.state(), decision, Some(&asker.name));
    }
    done
}

/// A proposal before it is decided, where its author is to hear of that.
fn proposed(panel: &Panel, asker: &Asker, topic: &str) -> Result<Option<letters::Decided>, Refusal> {
    let _acting = panel.act()?;
    // What is no topic is no proposal's, which the judge says.
    let Ok(topic) = topic.parse() else { return Ok(None) };
    Ok(letters::Decided::find(&panel.repo()?, asker.state(), &topic))
}

/// Closes a proposal.
pub(crate) fn reject(panel: &Panel, asker: &Asker, asked: Reject) -> Result<Done, Refusal> {
    let proposal = proposed(panel, asker, &asked.topic)?;
    let done =
        change(panel, asker, None, Looks::None, |author| panel.forms.reject(author, &asked).map(|()| Done))?;
    if let Some(proposal) = proposal {
        proposal.tell(&panel.door.settings().data, asker.state(), Decision::Rejected, Some(&asker.name));
    }
    Ok(done)
}

/// Returns whether a change gives or takes a role, or removes somebody: only whoever has just proved who they are may make it.
fn is_about_people(change: &Change) -> bool {
    match &change.of {
        Object::User(_) => {}
        // Of a whole text nobody can say which fields change.
        Object::File(path) => return is_users(path),
        Object::Server(_) | Object::Domain(_) | Object::Platform | Object::Doc(_) => return false,
    }
    let is_admin = |value: &Input| value.normal() == Input::Text("admin".to_owned());
    match &change.deed {
        Deed::Create { fields } | Deed::Edit { fields } => {
            fields.iter().any(|field| field.name == "role" && is_admin(&field.was) != is_admin(&field.now))
        }
        Deed::Remove => true,
        Deed::Write { .. } | Deed::Put { .. } | Deed::Move { .. } => false,
    }
}

/// Checks that the person may see what they change. A new thing is nobody's yet.
fn seen(asker: &Asker, change: &Change) -> Result<(), Refusal> {
    // Whoever writes files by their paths may write any.
    if matches!(change.of, Object::File(_)) {
        return asker.must_be_admin();
    }
    let is_seen = || file_of(&change.of).is_some_and(|path| asker.sight().shows(&path));
    match change.deed {
        Deed::Create { .. } => Ok(()),
        _ if asker.is_admin() || is_seen() => Ok(()),
        Deed::Edit { .. } | Deed::Remove | Deed::Write { .. } | Deed::Put { .. } | Deed::Move { .. } => {
            // A path that no page can have is refused at its field, to whoever sees pages at all.
            let is_page =
                matches!(change.of, Object::Doc(_)) && asker.state().platform.docs.may_read(true, false);
            if is_page { Ok(()) } else { Err(not_found()) }
        }
    }
}

/// Looks at the engine that a question needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Looks {
    /// One, most likely: it is begun at once, and the state is read meanwhile.
    Begun,
    None,
}

/// Lets `work` ask the judge in somebody's name.
pub(crate) fn change<T>(
    panel: &Panel,
    asker: &Asker,
    from: Option<IpAddr>,
    looks: Looks,
    work: impl FnOnce(Author<'_>) -> Result<T, FormError>,
) -> Result<T, Refusal> {
    let _acting = panel.act()?;
    let engine = Asking::new(socket(&panel.door.settings().data), LOOK);
    if looks == Looks::Begun {
        engine.begin();
    }
    work(Author { name: &asker.name, engine: &engine, from, via: asker.via() })
        .map_err(|error| refused(&error))
}

/// The reconciler's socket for the door.
pub(crate) fn socket(data: &Path) -> std::path::PathBuf {
    data.join("door.sock")
}

fn refused(error: &FormError) -> Refusal {
    match error {
        // Nobody learns whether it is somebody else's or nobody's.
        FormError::NotFound { .. } | FormError::NotYours { .. } => not_found(),
        FormError::Busy => Refusal { message: sentence(error), ..unavailable(error) },
        FormError::Line(NoTurn::Crowded { .. }) => {
            let hint = error.advice().map(|hint| capital(&hint) + ".");
            Refusal { why: Why::Unavailable, message: sentence(error), hint }
        }
        _ => match error.why() {
            Why::Unavailable => unavailable(error),
            why => Refusal { why, message: sentence(error), hint: error.advice() },
        },
    }
}

fn sentence(error: &FormError) -> String {
    format!("{}.", capital(&error.to_string()))
}
