//! Steps that a container's state asks for: to take it away, to make it run, or to stop it.

use std::collections::HashSet;

use crate::desired::Desired;
use crate::diff::draft::existing;
use crate::inventory::Inventory;
use crate::observed::{ObservedContainer, RunState};
use crate::spec::ContainerSpec;
use crate::step::Step;

/// Seconds that a container gets to stop when its specification is no longer known.
pub(super) const STOP_TIMEOUT: u32 = 10;

impl RunState {
    /// All states.
    pub const ALL: [Self; 7] = [
        Self::Created,
        Self::Running,
        Self::Restarting,
        Self::Paused,
        Self::Exited,
        Self::Removing,
        Self::Dead,
    ];

    /// The state as a report shows it: a container that was never started is stopped.
    pub fn as_seen(self) -> Self {
        match self {
            Self::Created => Self::Exited,
            seen => seen,
        }
    }

    /// Returns whether it has processes, so that it must be stopped before it can be removed.
    pub fn is_active(self) -> bool {
        matches!(self, Self::Running | Self::Restarting | Self::Paused)
    }

    /// Returns whether it has namespaces now; it has none between two starts.
    pub fn has_namespaces(self) -> bool {
        matches!(self, Self::Running | Self::Paused)
    }

    /// The state as a word in a sentence.
    pub fn word(self) -> &'static str {
        match self {
            Self::Created => "made and not started",
            Self::Running => "running",
            Self::Restarting => "restarting",
            Self::Paused => "paused",
            Self::Exited => "stopped",
            Self::Removing => "being removed",
            Self::Dead => "dead",
        }
    }
}

/// Stops a container, if it has to be.
pub(super) fn stop(container: &ObservedContainer, timeout: u32) -> Option<Step> {
    container.state.is_active().then(|| Step::StopContainer { container: existing(container), timeout })
}

/// Stops a container if it has to be, then removes it.
pub(super) fn remove(container: &ObservedContainer, timeout: u32) -> Vec<Step> {
    stop(container, timeout).into_iter().chain([Step::RemoveContainer(existing(container))]).collect()
}

/// Makes an existing container run; `None` when it runs or will by itself, or can't be started.
pub(super) fn run(container: &ObservedContainer) -> Option<Step> {
    match container.state {
        RunState::Created | RunState::Exited => Some(Step::StartContainer(existing(container))),
        RunState::Paused => Some(Step::UnpauseContainer(existing(container))),
        RunState::Running | RunState::Restarting | RunState::Removing | RunState::Dead => None,
    }
}

/// Stops a container, if it has to be, then starts it again.
pub(super) fn restart(container: &ObservedContainer, spec: &ContainerSpec) -> Vec<Step> {
    let mut steps: Vec<Step> = stop(container, spec.confinement.stop_timeout).into_iter().collect();
    steps.push(Step::StartContainer(existing(container)));
    steps
}

/// The platform's own containers that are no longer wanted, sorted by name.
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
