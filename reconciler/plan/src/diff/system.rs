//! The platform's own containers: they hold no data, so whatever is wrong with one, it is made anew.

use std::collections::HashSet;

use crate::desired::Desired;
use crate::diff::networks::Outcome;
use crate::diff::{Draft, Obstacle, made, power};
use crate::inventory::{Inventory, System};
use crate::label;
use crate::observed::{ObservedContainer, RunState};
use crate::spec::ContainerSpec;
use crate::step::{Action, Change, Step, Subject};

/// Seconds that a container gets to stop whose specification nobody has any more.
pub(super) const STOP_TIMEOUT: u32 = 10;

pub(super) fn plan(desired: &Desired, inventory: &Inventory<'_>, networks: &Outcome<'_>, draft: &mut Draft) {
    for spec in &desired.system {
        one(spec, inventory, networks, draft);
    }
    if !networks.swept {
        remove_undesired(desired, inventory, draft);
    }
}

fn one(spec: &ContainerSpec, inventory: &Inventory<'_>, networks: &Outcome<'_>, draft: &mut Draft) {
    let change = |action, reason: String, steps| Change {
        subject: Subject::System(spec.name.clone()),
        action,
        reasons: vec![reason],
        losses: Vec::new(),
        steps,
    };
    let Some(system) = inventory.system.get(spec.name.as_str()) else {
        match obstacle(spec, inventory, networks) {
            Some(obstacle) => draft.block(Subject::System(spec.name.clone()), Action::Create, obstacle),
            None => draft.system.push(change(Action::Create, "it doesn't exist".to_owned(), make(spec))),
        }
        return;
    };
    if let Some(network) = networks.detached.get(spec.name.as_str()) {
        // The network's own change has taken it away by now.
        draft.system.push(change(
            Action::Recreate,
            format!("its network {network} is made anew"),
            make(spec),
        ));
        return;
    }
    let state = system.container.state;
    let outdated = spec.labels.get(label::SPEC).map(String::as_str) != Some(system.spec);
    match state {
        RunState::Removing => draft.note(
            format!("system container {}", spec.name),
            "the engine is still removing it; a later pass makes it again",
        ),
        RunState::Dead => draft.system.push(change(
            Action::Recreate,
            "it is half removed, and the engine can't start it".to_owned(),
            remake(spec, system),
        )),
        _ if outdated => match blocked_network(spec, networks) {
            Some(obstacle) => draft.block(Subject::System(spec.name.clone()), Action::Recreate, obstacle),
            None => draft.system.push(change(
                Action::Recreate,
                "it was made from an earlier specification".to_owned(),
                remake(spec, system),
            )),
        },
        RunState::Restarting => draft.note(
            format!("system container {}", spec.name),
            "keeps restarting; its log says why (`docker logs`)",
        ),
        _ => match power::run(system.container) {
            Some(step) => {
                draft.system.push(change(Action::Start, format!("it is {}", state.word()), vec![step]));
            }
            None => draft.unchanged += 1,
        },
    }
}

fn make(spec: &ContainerSpec) -> Vec<Step> {
    vec![Step::CreateContainer(Box::new(spec.clone())), Step::StartContainer(made(&spec.name))]
}

fn remake(spec: &ContainerSpec, system: &System<'_>) -> Vec<Step> {
    let mut steps = vec![Step::RequireImage { image: spec.image.clone() }];
    steps.extend(power::remove(system.container, spec.confinement.stop_timeout));
    steps.extend(make(spec));
    steps
}

fn obstacle(spec: &ContainerSpec, inventory: &Inventory<'_>, networks: &Outcome<'_>) -> Option<Obstacle> {
    inventory
        .container_named(&spec.name)
        .map(|holder| Obstacle::taken("container", &spec.name, holder.tag.as_ref()))
        .or_else(|| blocked_network(spec, networks))
}

/// The engine would put our container on a stranger's network if only the name is right.
fn blocked_network(spec: &ContainerSpec, networks: &Outcome<'_>) -> Option<Obstacle> {
    let network = spec.networks.iter().find(|name| networks.blocked.contains(name.as_str()))?;
    Some(Obstacle::new(
        format!("it belongs on the network {network}, which can't be used"),
        "clear the way for that network first",
    ))
}

fn remove_undesired(desired: &Desired, inventory: &Inventory<'_>, draft: &mut Draft) {
    for container in undesired(desired, inventory) {
        draft.removals.push(Change {
            subject: Subject::System(container.name.clone()),
            action: Action::Remove,
            reasons: vec!["this platform made it and has no use for it any more".to_owned()],
            losses: Vec::new(),
            steps: power::remove(container, STOP_TIMEOUT),
        });
    }
}

/// The platform's own containers that nobody wants any more, by name.
pub(super) fn undesired<'a>(desired: &Desired, inventory: &Inventory<'a>) -> Vec<&'a ObservedContainer> {
    let wanted: HashSet<&str> = desired.system.iter().map(|spec| spec.name.as_str()).collect();
    let all = inventory.system.values().map(|system| system.container);
    let mut undesired: Vec<_> = all
        .filter(|container| !wanted.contains(container.name.as_str()))
        .filter(|container| container.state != RunState::Removing)
        .collect();
    undesired.sort_unstable_by_key(|container| &container.name);
    undesired
}
