//! Programs of Berth's own in its containers: another build takes over from the one before, and the container stays.

use crate::desired::Desired;
use crate::diff::draft::Obstacle;
use crate::inventory::{Inventory, System};
use crate::observed::RunState;
use crate::program::{Found, Program};
use crate::spec::ContainerSpec;
use crate::step::{Action, Step};
use crate::takeover::ProgramSpec;

/// Program of a container that isn't in force there.
pub(super) enum Wanted {
    /// This host has another build than the container.
    Build(Box<ProgramSpec>),
    /// This host has none, for this reason; the container may have one.
    Missing(Program, String),
}

/// Returns the program that a container lacks; `None` where it has the right one, or none belongs there, or nobody looked.
pub(super) fn wanted(spec: &ContainerSpec, desired: &Desired, inventory: &Inventory<'_>) -> Option<Wanted> {
    let is_its = |program: &Program| program.service().container(desired.prefix()) == spec.name;
    let program = Program::ALL.into_iter().find(is_its)?;
    match desired.programs.0.get(&program)? {
        Found::Missing { why } => Some(Wanted::Missing(program, why.clone())),
        Found::File { path, digest } => {
            let build = ProgramSpec::new(program, path, digest, &desired.platform);
            let volume = inventory.volumes.get(build.volume.as_str());
            let confirmed = volume.and_then(|volume| volume.files.get(program.mark()));
            (confirmed != Some(&build.marked())).then(|| Wanted::Build(Box::new(build)))
        }
    }
}

/// Finds that a container can't be made, for want of a program. One that was confirmed there does.
pub(super) fn obstacle(
    spec: &ContainerSpec,
    desired: &Desired,
    inventory: &Inventory<'_>,
) -> Option<Obstacle> {
    let Some(Wanted::Missing(program, why)) = wanted(spec, desired, inventory) else { return None };
    let volume = inventory.volumes.get(crate::program::volume(&spec.name).as_str());
    let has_one = volume.is_some_and(|volume| volume.files.contains_key(program.mark()));
    (!has_one).then(|| {
        let hint = format!("{} comes with `berth` and belongs beside it", program.file());
        Obstacle::new(format!("its program can't be had: {why}"), hint)
    })
}

/// Puts the wanted build in the volume of a container that isn't running it yet.
pub(super) fn place(spec: &ContainerSpec, desired: &Desired, inventory: &Inventory<'_>) -> Option<Step> {
    match wanted(spec, desired, inventory)? {
        Wanted::Build(build) => Some(Step::PlaceProgram(build)),
        Wanted::Missing(..) => None,
    }
}

/// Replaces the program of a container that needs nothing else. Says what is done, and why.
pub(super) fn replace(
    spec: &ContainerSpec,
    system: &System<'_>,
    desired: &Desired,
    inventory: &Inventory<'_>,
) -> Option<(Action, String, Vec<Step>)> {
    let Wanted::Build(build) = wanted(spec, desired, inventory)? else { return None };
    let program = build.program;
    match system.container.state {
        // What is frozen goes on first.
        RunState::Running | RunState::Paused => {
            let reason =
                format!("this host has another build of the {}; {}", program.word(), program.goes_on());
            Some((Action::Update, reason, vec![Step::ReplaceProgram(build)]))
        }
        // The engine's next start is of this one.
        RunState::Restarting => {
            let reason =
                format!("it keeps restarting, and this host has another build of the {}", program.word());
            Some((Action::Update, reason, vec![Step::PlaceProgram(build)]))
        }
        _ => None,
    }
}
