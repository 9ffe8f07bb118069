//! Networks: created when missing, recreated when their specification changed, removed when no longer wanted.
//!
//! A network is never changed under a container: the platform's own containers on it are taken away first, and the
//! system stage makes them again. They hold no data.

use std::collections::{HashMap, HashSet};

use crate::desired::Desired;
use crate::diff::draft::{Draft, Obstacle};
use crate::diff::power;
use crate::inventory::Inventory;
use crate::label::{self, Tag};
use crate::observed::{ObservedNetwork, RunState};
use crate::spec::{ContainerSpec, NetworkSpec};
use crate::step::{Action, Change, Step, Subject};

/// Consequences of the network stage for the stages after it.
#[derive(Debug, Default)]
pub(super) struct Outcome<'a> {
    /// Networks that can't be used.
    pub(super) blocked: HashSet<&'a str>,
    /// System containers that the network stage takes away, and the network that is the reason.
    pub(super) detached: HashMap<&'a str, &'a str>,
    /// Tells whether the network stage takes away the system containers that are no longer wanted.
    pub(super) swept: bool,
    /// Tells whether a change of networks takes away those that are no longer wanted.
    cleared: bool,
}

enum Verdict<'a> {
    Missing,
    Outdated(&'a ObservedNetwork),
    Right,
    Blocked(Obstacle),
}

pub(super) fn plan<'a>(desired: &'a Desired, inventory: &Inventory<'_>, draft: &mut Draft) -> Outcome<'a> {
    let mut outcome = Outcome::default();
    let mut outdated = Vec::new();
    let mut missing = Vec::new();
    for spec in &desired.networks {
        match verdict(spec, inventory) {
            Verdict::Right => draft.unchanged += 1,
            Verdict::Missing => missing.push(spec),
            Verdict::Outdated(network) => outdated.push((spec, network)),
            Verdict::Blocked(obstacle) => {
                outcome.blocked.insert(&spec.name);
                draft.block(Subject::Network(spec.name.clone()), Action::Create, obstacle);
            }
        }
    }
    outdated.sort_by_key(|(spec, _)| &spec.name);
    missing.sort_by_key(|spec| &spec.name);
    if outdated.is_empty() {
        for spec in missing {
            draft.networks.push(created(spec, desired, inventory, &mut outcome));
        }
    } else if let Some(other) = outcome.blocked.iter().min().copied() {
        outcome.blocked.extend(missing.iter().map(|spec| spec.name.as_str()));
        let renewed = outdated.iter().map(|(spec, _)| (*spec, Action::Recreate));
        for (spec, action) in renewed.chain(missing.into_iter().map(|spec| (spec, Action::Create))) {
            draft.block(
                Subject::Network(spec.name.clone()),
                action,
                Obstacle::new(
                    format!(
                        "networks change together, since one may want another's subnet, and {other} can't"
                    ),
                    "clear the way for that network first",
                ),
            );
        }
    } else {
        draft.networks.push(renewed(&outdated, &missing, desired, inventory, &mut outcome));
    }
    if !outcome.cleared {
        remove_unwanted(desired, inventory, draft);
    }
    outcome
}

fn verdict<'a>(spec: &NetworkSpec, inventory: &Inventory<'a>) -> Verdict<'a> {
    match inventory.networks.get(spec.name.as_str()).map(Vec::as_slice) {
        None | Some([]) => Verdict::Missing,
        Some([network]) => match &network.tag {
            Some(Tag::System { spec: made_from }) if spec.labels.get(label::SPEC) == Some(made_from) => {
                Verdict::Right
            }
            Some(Tag::System { .. }) => Verdict::Outdated(network),
            other => Verdict::Blocked(Obstacle::taken("network", &spec.name, other.as_ref())),
        },
        Some(several) => Verdict::Blocked(Obstacle::new(
            format!("{} networks are called {}", several.len(), spec.name),
            "remove all but one by their ids, which `docker network ls` shows",
        )),
    }
}

/// Recreates outdated networks and creates the missing ones in one change: one may want a subnet that another still has,
/// and they may share containers.
fn renewed<'a>(
    outdated: &[(&'a NetworkSpec, &ObservedNetwork)],
    missing: &[&'a NetworkSpec],
    desired: &'a Desired,
    inventory: &Inventory<'_>,
    outcome: &mut Outcome<'a>,
) -> Change {
    let mut steps = Vec::new();
    let mut reasons = Vec::new();
    let renewed = outdated.iter().map(|(spec, _)| (*spec, "was made from an earlier specification"));
    let made = missing.iter().map(|spec| (*spec, "doesn't exist"));
    let all: Vec<(&NetworkSpec, &str)> = renewed.chain(made).collect();
    for (spec, reason) in &all {
        reasons.push(format!("{} {reason}", spec.name));
        for (name, detached) in detach(&spec.name, desired, inventory, outcome) {
            reasons.push(format!("{name} is on it and is made again afterwards"));
            steps.extend(detached);
        }
    }
    // Nobody sees who is on a network without asking for each one, so what has to go anyway goes first.
    for system in power::undesired(desired, inventory) {
        reasons.push(format!("{} may be on it, and isn't needed any more", system.name));
        steps.extend(power::remove(system, power::STOP_TIMEOUT));
    }
    outcome.swept = true;
    // One of them may have the subnet that another is to have.
    for network in unwanted(desired, inventory) {
        reasons.push(format!("{} isn't needed any more", network.name));
        steps.push(removed(network));
    }
    outcome.cleared = true;
    steps.extend(outdated.iter().map(|(_, network)| removed(network)));
    steps.extend(all.iter().map(|(spec, _)| Step::CreateNetwork((*spec).clone())));
    let names: Vec<&str> = all.iter().map(|(spec, _)| spec.name.as_str()).collect();
    Change {
        subject: Subject::Network(names.join(", ")),
        action: Action::Recreate,
        reasons,
        losses: Vec::new(),
        steps,
    }
}

fn created<'a>(
    spec: &'a NetworkSpec,
    desired: &'a Desired,
    inventory: &Inventory<'_>,
    outcome: &mut Outcome<'a>,
) -> Change {
    let mut reasons = vec!["it doesn't exist".to_owned()];
    let mut steps = Vec::new();
    // A container that was on a network of this name is on one that is gone, and the engine wouldn't start it.
    for (name, detached) in detach(&spec.name, desired, inventory, outcome) {
        reasons.push(format!("{name} was on it and is made again afterwards"));
        steps.extend(detached);
    }
    steps.push(Step::CreateNetwork(spec.clone()));
    Change {
        subject: Subject::Network(spec.name.clone()),
        action: Action::Create,
        reasons,
        losses: Vec::new(),
        steps,
    }
}

/// Takes away the system containers that belong on a network, each at most once.
fn detach<'a>(
    network: &'a str,
    desired: &'a Desired,
    inventory: &Inventory<'_>,
    outcome: &mut Outcome<'a>,
) -> Vec<(&'a str, Vec<Step>)> {
    let mut on_it: Vec<&ContainerSpec> =
        desired.system.iter().filter(|spec| spec.networks.iter().any(|name| name == network)).collect();
    on_it.sort_by_key(|spec| &spec.name);
    let mut detached = Vec::new();
    for spec in on_it {
        let Some(system) = inventory.system.get(spec.name.as_str()) else { continue };
        if system.container.state == RunState::Removing || outcome.detached.contains_key(spec.name.as_str()) {
            continue;
        }
        outcome.detached.insert(&spec.name, network);
        detached.push((spec.name.as_str(), power::remove(system.container, spec.confinement.stop_timeout)));
    }
    detached
}

/// The platform's networks that are no longer wanted, sorted by name.
fn unwanted<'a>(desired: &Desired, inventory: &Inventory<'a>) -> Vec<&'a ObservedNetwork> {
    let wanted: HashSet<&str> = desired.networks.iter().map(|spec| spec.name.as_str()).collect();
    let ours = inventory.networks.values().flatten().filter(|n| matches!(n.tag, Some(Tag::System { .. })));
    let mut unwanted: Vec<_> =
        ours.copied().filter(|network| !wanted.contains(network.name.as_str())).collect();
    unwanted.sort_unstable_by_key(|network| (&network.name, &network.id));
    unwanted
}

fn removed(network: &ObservedNetwork) -> Step {
    Step::RemoveNetwork { name: network.name.clone(), id: network.id.clone() }
}

fn remove_unwanted(desired: &Desired, inventory: &Inventory<'_>, draft: &mut Draft) {
    for network in unwanted(desired, inventory) {
        draft.network_removals.push(Change {
            subject: Subject::Network(network.name.clone()),
            action: Action::Remove,
            reasons: vec!["this platform made it and has no use for it any more".to_owned()],
            losses: Vec::new(),
            steps: vec![removed(network)],
        });
    }
}
