//! Links to the user plane: a running container that lacks its link gets it.
//!
//! A container's runtime makes its link when it starts. This module plans the repair: after a loss of the plane's
//! holder, or of a link, or for a container that another runtime started.

use std::collections::{HashMap, HashSet};
use std::net::Ipv4Addr;

use berth_schema::name::ServerId;

use crate::desired::Desired;
use crate::diff::draft::{Draft, existing};
use crate::diff::system::Plane;
use crate::inventory::Inventory;
use crate::names::server_of_port;
use crate::observed::{ObservedContainer, ObservedPlane};
use crate::plane::server_link;
use crate::spec::LinkSpec;
use crate::step::{Action, Change, Connection, Step, Subject};

/// Number of containers that a reason names at most.
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
    let restarted = restarted(draft);
    // What doesn't run, or starts again in this pass, is linked by its runtime.
    let is_asked = |container: &ObservedContainer| {
        container.state.has_namespaces() && !restarted.contains(&container.id)
    };
    let mut links = Vec::new();
    for (container, link) in services(desired, inventory) {
        let is_there = present.is_some_and(|plane| plane.ports.get(&link.port) == Some(&link.address));
        if !is_there && is_asked(container) {
            links.push(Connection { container: existing(container), link: link.clone() });
        }
    }
    // By number: no server's port has to be written out in order to be found.
    let ports = present.into_iter().flat_map(|plane| &plane.ports);
    let linked: HashMap<ServerId, Ipv4Addr> =
        ports.filter_map(|(port, address)| Some((server_of_port(port)?, *address))).collect();
    for (id, container) in servers(inventory) {
        let address = desired.platform.networks.address(id);
        let is_there = address.is_some() && linked.get(&id).copied() == address;
        if !is_there
            && is_asked(container)
            && let Some(link) = server_link(&desired.platform, id)
        {
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

/// The platform's own containers that exist and should have a link, each with its link.
fn services<'a>(
    desired: &'a Desired,
    inventory: &'a Inventory<'_>,
) -> impl Iterator<Item = (&'a ObservedContainer, &'a LinkSpec)> {
    let links = desired.links.iter();
    links.filter_map(|(name, link)| Some((inventory.system.get(name.as_str())?.container, link)))
}

/// The containers of servers, wanted or not: one whose stop or removal is held back is still somebody's server.
fn servers<'a>(inventory: &'a Inventory<'_>) -> impl Iterator<Item = (ServerId, &'a ObservedContainer)> {
    let servers = inventory.servers.iter().filter(|(_, holding)| holding.rivals.is_empty());
    servers.filter_map(|(id, holding)| Some((*id, holding.container?.container)))
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
