//! Links to the user plane: a container that runs without the one that it should have gets it.
//!
//! A container's runtime makes its link when it starts. What is planned here is the repair: after a loss of the plane's
//! holder, or of a link, or for a container that another runtime started.

use std::collections::HashSet;

use crate::desired::Desired;
use crate::diff::system::Plane;
use crate::diff::{Draft, existing};
use crate::inventory::Inventory;
use crate::observed::{ObservedContainer, ObservedPlane};
use crate::plane::server_link;
use crate::spec::LinkSpec;
use crate::step::{Action, Change, Connection, Step, Subject};

/// As many are named in a reason.
const NAMED: usize = 5;

pub(super) fn plan(
    desired: &Desired,
    inventory: &Inventory<'_>,
    plane: Plane,
    observed: Option<&ObservedPlane>,
    draft: &mut Draft,
) {
    let present = match plane {
        Plane::Blocked => return,
        Plane::Kept => observed,
        // Whatever links there were end with the namespace that they end in.
        Plane::Restarted | Plane::Renewed => None,
    };
    let is_there =
        |link: &LinkSpec| present.is_some_and(|plane| plane.ports.get(&link.port) == Some(&link.address));
    let restarted = restarted(draft);
    let mut links = Vec::new();
    for (container, link) in wanted(desired, inventory) {
        // What doesn't run, or starts again in this pass, is linked by its runtime.
        if container.state.has_namespaces() && !is_there(&link) && !restarted.contains(&container.id) {
            links.push(Connection { container: existing(container), link });
        }
    }
    if links.is_empty() {
        return;
    }
    links.sort_by(|a, b| (a.link.address, &a.container.name).cmp(&(b.link.address, &b.container.name)));
    let mut names: Vec<&str> = links.iter().take(NAMED).map(|one| one.container.name.as_str()).collect();
    let more = format!("and {} more", links.len().saturating_sub(NAMED));
    if links.len() > NAMED {
        names.push(&more);
    }
    let reasons = vec![match present {
        Some(_) => format!("running without a link: {}", names.join(", ")),
        None => format!("the network that their links end in starts again: {}", names.join(", ")),
    }];
    draft.links.push(Change {
        subject: Subject::Links(desired.prefix().to_string()),
        action: Action::Update,
        reasons,
        losses: Vec::new(),
        steps: vec![Step::Connect { plane: desired.prefix().to_string(), links }],
    });
}

/// The containers that should have a link and are there, with the link.
fn wanted<'a>(
    desired: &'a Desired,
    inventory: &'a Inventory<'_>,
) -> impl Iterator<Item = (&'a ObservedContainer, LinkSpec)> {
    let services = desired
        .links
        .iter()
        .filter_map(|(name, link)| Some((inventory.system.get(name.as_str())?.container, link.clone())));
    // One whose stop or removal is held back is still somebody's server.
    let servers = inventory.servers.iter().filter(|(_, holding)| holding.rivals.is_empty());
    let servers = servers.filter_map(|(id, holding)| {
        let container = holding.container?.container;
        Some((container, server_link(&desired.platform, *id)?))
    });
    services.chain(servers)
}

/// The ids of containers that this plan ends, so that their runtime links them anew if they start again.
fn restarted(draft: &Draft) -> HashSet<String> {
    let changes = draft.networks.iter().chain(&draft.system).chain(&draft.servers).chain(&draft.removals);
    let steps = changes.flat_map(|change| &change.steps);
    let ended = steps.filter_map(|step| match step {
        Step::StopContainer { container, .. } | Step::RemoveContainer(container) => container.id.clone(),
        _ => None,
    });
    ended.collect()
}
