//! The platform's own containers. They hold no data, so one that isn't right is recreated.

use std::net::Ipv4Addr;

use crate::desired::Desired;
use crate::diff::draft::{Draft, Obstacle, made};
use crate::diff::felt::felt;
use crate::diff::networks::Outcome;
use crate::diff::power;
use crate::diff::programs::{self, Wanted};
use crate::identity::PLACED;
use crate::inventory::{Inventory, System};
use crate::label;
use crate::names::holder;
use crate::observed::{Observed, ObservedPlane, RunState};
use crate::spec::ContainerSpec;
use crate::step::{Action, Change, Step, Subject};
use crate::system::on_host;

/// Fate of the user plane, for whoever is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plane {
    /// It stays as it is.
    Kept,
    /// Its holder starts again, with another network namespace and none of its links.
    Restarted,
    /// Its holder is recreated.
    Renewed,
    /// Its holder can't be made or started now.
    Blocked,
}

pub(super) fn plan(
    desired: &Desired,
    inventory: &Inventory<'_>,
    networks: &Outcome<'_>,
    observed: &Observed,
    draft: &mut Draft,
) -> Plane {
    let Observed { plane: observed, profiles, .. } = observed;
    let observed = observed.as_ref();
    let holder = holder(desired.prefix());
    let mut plane = Plane::Kept;
    for spec in desired.system.iter().filter(|spec| spec.name == holder) {
        let verdict = one(spec, desired, inventory, networks);
        let verdict = match (verdict, inventory.system.get(spec.name.as_str())) {
            (Verdict::Right, Some(system))
                if observed.is_none() && system.container.state == RunState::Running =>
            {
                let reason = "nothing knows where its network namespace is".to_owned();
                Verdict::Change(Action::Start, reason, power::restart(system.container, spec))
            }
            (verdict, _) => verdict,
        };
        plane = match &verdict {
            Verdict::Right => Plane::Kept,
            Verdict::Change(Action::Start, _, steps) => match steps.as_slice() {
                // What was frozen goes on where it was.
                [Step::UnpauseContainer(_)] => Plane::Kept,
                _ => Plane::Restarted,
            },
            Verdict::Change(..) => Plane::Renewed,
            Verdict::Wait(_) | Verdict::Blocked(..) => Plane::Blocked,
        };
        verdict.enter(spec, desired, inventory, draft, |draft| &mut draft.holder);
    }
    for spec in desired.system.iter().filter(|spec| spec.name != holder) {
        let spec = on_host(spec, desired.prefix(), profiles);
        let verdict = match &spec.joins {
            Some(_) => joined(&spec, desired, inventory, networks, (plane, observed)),
            None => one(&spec, desired, inventory, networks),
        };
        verdict.enter(&spec, desired, inventory, draft, |draft| &mut draft.system);
        if let Some(Wanted::Missing(program, why)) = programs::wanted(&spec, desired, inventory)
            && programs::obstacle(&spec, desired, inventory).is_none()
        {
            draft.note_host(program.file(), format!("{why}; the one in force stays"));
        }
    }
    if !networks.swept {
        remove_undesired(desired, inventory, draft);
    }
    plane
}

/// Steps that look for everything a container needs, before another one goes for its sake.
fn required(spec: &ContainerSpec) -> Vec<Step> {
    let mut addresses: Vec<Ipv4Addr> =
        spec.publishes.iter().filter_map(|published| published.address).collect();
    addresses.dedup();
    let image = Step::RequireImage { image: spec.image.clone() };
    [image].into_iter().chain(addresses.into_iter().map(|address| Step::RequireAddress { address })).collect()
}

enum Verdict {
    Right,
    Change(Action, String, Vec<Step>),
    Blocked(Action, Obstacle),
    /// Nothing can be done now, for the reason given.
    Wait(&'static str),
}

impl Verdict {
    fn enter(
        self,
        spec: &ContainerSpec,
        desired: &Desired,
        inventory: &Inventory<'_>,
        draft: &mut Draft,
        stage: impl Fn(&mut Draft) -> &mut Vec<Change>,
    ) {
        let subject = Subject::System(spec.name.clone());
        match self {
            Self::Right => draft.unchanged += 1,
            Self::Change(action, reason, steps) => {
                let felt = felt(&spec.name, &steps, desired, inventory);
                stage(draft).push(Change {
                    subject,
                    action,
                    reasons: [reason].into_iter().chain(felt).collect(),
                    losses: Vec::new(),
                    steps,
                });
            }
            Self::Blocked(action, obstacle) => draft.block(subject, action, obstacle),
            Self::Wait(text) => draft.note_host(subject.to_string(), text),
        }
    }
}

fn one(
    spec: &ContainerSpec,
    desired: &Desired,
    inventory: &Inventory<'_>,
    networks: &Outcome<'_>,
) -> Verdict {
    let system = inventory.system.get(spec.name.as_str());
    let obstacle = obstacle(spec, system, inventory, networks);
    if let Some(obstacle) = obstacle.or_else(|| programs::obstacle(spec, desired, inventory)) {
        let action = if system.is_some() { Action::Recreate } else { Action::Create };
        if system.is_none_or(|system| needs_making(spec, system, networks)) {
            return Verdict::Blocked(action, obstacle);
        }
        return match as_it_is(system) {
            // What it was made with is gone, so it can't start; one that runs, or is frozen, has it still.
            Verdict::Change(action, _, steps) if matches!(steps[..], [Step::StartContainer(_)]) => {
                Verdict::Blocked(action, obstacle)
            }
            verdict => verdict,
        };
    }
    let prepare = || prepare(spec, desired, inventory);
    let make = || [prepare(), make(spec, desired, inventory)].concat();
    let Some(system) = system else {
        return Verdict::Change(Action::Create, "it doesn't exist".to_owned(), make());
    };
    if let Some(network) = networks.detached.get(spec.name.as_str()) {
        // The network's own change has taken it away by now.
        return Verdict::Change(Action::Recreate, format!("its network {network} is made anew"), make());
    }
    let remake = |reason: &str| {
        Verdict::Change(Action::Recreate, reason.to_owned(), remake(spec, system, desired, inventory))
    };
    match system.container.state {
        RunState::Removing => as_it_is(Some(system)),
        RunState::Dead => remake("it is half removed, and the engine can't start it"),
        _ if is_outdated(spec, system) => remake("it was made from an earlier specification"),
        _ if has_newer_image(system) => remake("its image was built anew"),
        _ if lacks_identity(spec, desired, inventory) => remake("its SSH keys are not the platform's"),
        _ => match (as_it_is(Some(system)), programs::replace(spec, system, desired, inventory)) {
            (Verdict::Right | Verdict::Wait(_), Some((action, reason, steps))) => {
                Verdict::Change(action, reason, steps)
            }
            (Verdict::Change(action, reason, steps), Some((_, _, more)))
                if matches!(steps[..], [Step::UnpauseContainer(_)]) =>
            {
                Verdict::Change(action, reason, [steps, more].concat())
            }
            (Verdict::Change(action, reason, steps), _) if matches!(steps[..], [Step::StartContainer(_)]) => {
                Verdict::Change(action, reason, [prepare(), steps].concat())
            }
            (verdict, _) => verdict,
        },
    }
}

/// Takes a container away and makes it again, once everything that it needs is there.
fn remake(
    spec: &ContainerSpec,
    system: &System<'_>,
    desired: &Desired,
    inventory: &Inventory<'_>,
) -> Vec<Step> {
    let mut steps = required(spec);
    steps.extend(prepare(spec, desired, inventory));
    steps.extend(power::remove(system.container, spec.confinement.stop_timeout));
    steps.extend(make(spec, desired, inventory));
    steps
}

/// Decides about a container that needn't be made.
fn as_it_is(system: Option<&System<'_>>) -> Verdict {
    let Some(system) = system else { return Verdict::Right };
    match (system.container.state, power::run(system.container)) {
        (RunState::Removing, _) => {
            Verdict::Wait("the engine is still removing it; a later pass makes it again")
        }
        (RunState::Restarting, _) => Verdict::Wait("keeps restarting; its log says why (`docker logs`)"),
        (state, Some(step)) => Verdict::Change(Action::Start, format!("it is {}", state.word()), vec![step]),
        (_, None) => Verdict::Right,
    }
}

/// Decides about a container that works in the plane's network namespace and so follows the plane.
fn joined(
    spec: &ContainerSpec,
    desired: &Desired,
    inventory: &Inventory<'_>,
    networks: &Outcome<'_>,
    (plane, observed): (Plane, Option<&ObservedPlane>),
) -> Verdict {
    let verdict = one(spec, desired, inventory, networks);
    let Some(system) = inventory.system.get(spec.name.as_str()) else {
        return match (plane, verdict) {
            (Plane::Blocked, Verdict::Change(action, ..)) => Verdict::Blocked(action, no_plane()),
            (_, verdict) => verdict,
        };
    };
    let remakes = matches!(verdict, Verdict::Change(Action::Recreate | Action::Create, ..));
    let waits = matches!(verdict, Verdict::Wait(_) | Verdict::Blocked(..));
    match plane {
        Plane::Blocked if matches!(verdict, Verdict::Change(..)) => {
            Verdict::Blocked(if remakes { Action::Recreate } else { Action::Start }, no_plane())
        }
        // The engine knows whose network it joins by the holder's id, which is another one then.
        Plane::Renewed if !remakes && !waits => {
            let steps = remake(spec, system, desired, inventory);
            Verdict::Change(Action::Recreate, "the network that it works in is made anew".to_owned(), steps)
        }
        Plane::Restarted if is_inside(system) && !remakes && !waits => Verdict::Change(
            Action::Start,
            "the network that it works in starts again".to_owned(),
            power::restart(system.container, spec),
        ),
        Plane::Kept if is_inside(system) && !remakes && !waits => {
            match observed.is_some_and(|plane| plane.joined.contains(&system.container.id)) {
                true => verdict,
                false => Verdict::Change(
                    Action::Start,
                    "the network that it works in is not the plane's any more".to_owned(),
                    power::restart(system.container, spec),
                ),
            }
        }
        _ => verdict,
    }
}

fn no_plane() -> Obstacle {
    Obstacle::new(
        "the network that it works in can't be had",
        "clear the way for the container that holds that network first",
    )
}

/// Returns whether it has a network namespace. A frozen one keeps the namespace of the plane that it was started in,
/// and going on wouldn't bring it into another.
fn is_inside(system: &System<'_>) -> bool {
    system.container.state.has_namespaces()
}

fn is_outdated(spec: &ContainerSpec, system: &System<'_>) -> bool {
    spec.labels.get(label::SPEC).map(String::as_str) != Some(system.spec)
}

/// Returns whether the reference that it was made of means another image by now.
fn has_newer_image(system: &System<'_>) -> bool {
    system.container.image.starts_with("sha256:")
}

fn needs_making(spec: &ContainerSpec, system: &System<'_>, networks: &Outcome<'_>) -> bool {
    is_outdated(spec, system)
        || has_newer_image(system)
        || system.container.state == RunState::Dead
        || networks.detached.contains_key(spec.name.as_str())
}

/// Returns whether it should have SSH keys, and has others or none.
fn lacks_identity(spec: &ContainerSpec, desired: &Desired, inventory: &Inventory<'_>) -> bool {
    desired.router_identity(&spec.name).is_some_and(|identity| {
        let volume = inventory.volumes.get(identity.volume.as_str());
        volume.and_then(|volume| volume.files.get(PLACED)) != Some(&identity.digest())
    })
}

/// Makes the volumes that are missing, and puts the program in its place.
fn prepare(spec: &ContainerSpec, desired: &Desired, inventory: &Inventory<'_>) -> Vec<Step> {
    let missing = spec.mounts.iter().filter(|mount| !inventory.volumes.contains_key(mount.volume.as_str()));
    let volumes = missing.map(|mount| Step::CreateVolume(desired.system_volume(&mount.volume)));
    volumes.chain(programs::place(spec, desired, inventory)).collect()
}

/// Makes the container, with its SSH keys.
fn make(spec: &ContainerSpec, desired: &Desired, inventory: &Inventory<'_>) -> Vec<Step> {
    let mut steps = Vec::new();
    if let Some(identity) = desired.router_identity(&spec.name)
        && lacks_identity(spec, desired, inventory)
    {
        steps.push(Step::PlaceIdentity(Box::new(identity)));
    }
    steps.push(Step::CreateContainer(Box::new(spec.clone())));
    steps.push(Step::StartContainer(made(&spec.name)));
    steps
}

/// Finds what is in the way of making it.
fn obstacle(
    spec: &ContainerSpec,
    system: Option<&System<'_>>,
    inventory: &Inventory<'_>,
    networks: &Outcome<'_>,
) -> Option<Obstacle> {
    let name = || {
        // Asking by name costs a map of everything that exists: only who lacks something asks.
        let holder = if system.is_none() { inventory.container_named(&spec.name) } else { None }?;
        Some(Obstacle::taken("container", &spec.name, holder.tag.as_ref()))
    };
    let volume = || {
        let mut missing =
            spec.mounts.iter().filter(|mount| !inventory.volumes.contains_key(mount.volume.as_str()));
        // The engine would hand over a stranger's volume if only the name is right.
        missing.find_map(|mount| {
            let stranger = inventory.volume_named(&mount.volume)?;
            Some(Obstacle::taken("volume", &mount.volume, stranger.tag.as_ref()))
        })
    };
    name().or_else(|| blocked_network(spec, networks)).or_else(volume)
}

/// Finds a network of it that can't be used: the engine would put our container on a stranger's network if only the
/// name is right.
fn blocked_network(spec: &ContainerSpec, networks: &Outcome<'_>) -> Option<Obstacle> {
    let network = spec.networks.iter().find(|name| networks.blocked.contains(name.as_str()))?;
    Some(Obstacle::new(
        format!("it belongs on the network {network}, which can't be used"),
        "clear the way for that network first",
    ))
}

fn remove_undesired(desired: &Desired, inventory: &Inventory<'_>, draft: &mut Draft) {
    for container in power::undesired(desired, inventory) {
        let steps = power::remove(container, power::STOP_TIMEOUT);
        let reason = "this platform made it and has no use for it any more".to_owned();
        let felt = felt(&container.name, &steps, desired, inventory);
        draft.removals.push(Change {
            subject: Subject::System(container.name.clone()),
            action: Action::Remove,
            reasons: [reason].into_iter().chain(felt).collect(),
            losses: Vec::new(),
            steps,
        });
    }
}
