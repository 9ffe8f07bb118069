//! The difference: what should exist against what does, as a plan.
//!
//! Decides everything and does nothing. Each kind of thing has its own module; what they decide is collected in a
//! `Draft` and put in a fixed order at the end, so that the order of the input can't show.

mod configurations;
mod draft;
mod felt;
mod links;
mod networks;
mod power;
mod programs;
mod removals;
mod servers;
mod system;

use crate::desired::Desired;
use crate::inventory::Inventory;
use crate::observed::Observed;
use crate::step::{Capacity, Plan};

pub use draft::Context;
pub use removals::ALLOW_REMOVALS;

use draft::Draft;

/// Plans what has to happen so that `observed` becomes `desired`.
pub fn plan(desired: &Desired, observed: &Observed, context: &Context<'_>) -> Plan {
    let inventory = Inventory::read(observed);
    let mut draft = Draft::default();
    for (about, why) in &inventory.unreadable {
        draft.note_host(
            about,
            format!("carries this platform's label but can't be read, so it is left alone: {why}"),
        );
    }
    let networks = networks::plan(desired, &inventory, &mut draft);
    let plane = system::plan(desired, &inventory, &networks, observed, &mut draft);
    servers::plan(desired, &inventory, (context, &observed.profiles), &mut draft);
    configurations::reload(desired, &inventory, plane, observed.plane.as_ref(), &mut draft);
    configurations::plan(desired, &inventory, &observed.host_rules, context, &mut draft);
    configurations::withdraw(desired, &observed.host_rules, &mut draft);
    configurations::measure(desired, context.previous, &mut draft);
    let removals = removals::plan(desired, &inventory, context, &mut draft);
    links::plan(desired, &inventory, plane, observed.plane.as_ref(), &mut draft);
    let total = desired.platform.networks.capacity() as usize;
    let capacity = Capacity { used: desired.servers.len(), total, more: None };
    draft.finish(removals, capacity)
}
