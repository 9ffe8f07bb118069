//! The plan of a push: against the engine as the reconciler sees it or, where nobody sees it, as it would be with everything
//! of the state before in place.

use std::sync::Arc;

use berth_plan::diff::{Context, plan};
use berth_plan::render::Templates;
use berth_plan::{Desired, Identities, Observed, Plan, simulate};
use berth_repo::{Revision, StateRepo};
use berth_schema::State;
use berth_wire::Sight;
use jiff::Timestamp;

/// Reason for no plan, as a clause.
pub(crate) const PREFIX_CHANGES: &str =
    "the prefix changes, and a platform that has made anything keeps its prefix";

/// The revision that is planned.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Planned<'a> {
    pub(crate) revision: &'a Revision,
    /// The hash in its trailer.
    pub(crate) allowance: Option<&'a str>,
    pub(crate) state: &'a State,
}

/// The plan that a pass would make now.
pub(crate) fn against(
    sight: &Sight,
    identities: Identities,
    planned: Planned<'_>,
    repo: &mut StateRepo,
) -> Plan {
    let desired = Desired::new(planned.state, &sight.templates, &Arc::new(identities))
        .with_programs(sight.programs.clone());
    // One that can't be read any more isn't known to the reconciler either.
    let applied = sight.applied.and_then(|applied| repo.load(&applied.revision()?).ok()?.state.ok());
    make(&desired, &sight.observed, planned, applied.as_ref().map(Arc::as_ref))
}

/// The plan from one state to another, against the engine as it would be with everything of the first in place; or why
/// there is none, as a clause.
pub(crate) fn between(
    before: Option<&State>,
    after: &State,
    revision: &Revision,
    allowance: Option<&str>,
) -> Result<Plan, String> {
    if before.is_some_and(|before| before.platform.prefix != after.platform.prefix) {
        return Err(PREFIX_CHANGES.to_owned());
    }
    // The same keys on both sides, so that whatever stays is worked out once.
    let servers = before.into_iter().chain([after]).flat_map(|state| state.servers.keys().copied());
    let (templates, identities) = (Templates::default(), Arc::new(Identities::example(servers)));
    let was = before.map(|before| Desired::new(before, &templates, &identities));
    let desired = Desired::after(was.as_ref(), after, &templates, &identities);
    let observed = match &was {
        Some(was) => simulate::settled(was).map_err(|error| error.to_string())?.observed(was.prefix()),
        None => Observed::default(),
    };
    Ok(make(&desired, &observed, Planned { revision, allowance, state: after }, before))
}

fn make(desired: &Desired, observed: &Observed, planned: Planned<'_>, previous: Option<&State>) -> Plan {
    let revision = planned.revision.to_string();
    let context = Context {
        now: Timestamp::now(),
        revision: &revision,
        allowance: planned.allowance,
        previous,
        largest_id: None,
    };
    plan(desired, observed, &context)
}
