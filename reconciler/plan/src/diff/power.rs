//! What a container's state asks for: how to take one away, and how to make one run or stop.

use crate::diff::existing;
use crate::observed::{ObservedContainer, RunState};
use crate::spec::ContainerSpec;
use crate::step::Step;

impl RunState {
    /// Whether processes of it exist, so that it has to be stopped before it can be removed.
    pub fn is_active(self) -> bool {
        matches!(self, Self::Running | Self::Restarting | Self::Paused)
    }

    /// Whether it has namespaces now: between two starts it has none.
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

/// Makes a container run that exists: `None` when it does, or will by itself.
pub(super) fn run(container: &ObservedContainer) -> Option<Step> {
    match container.state {
        RunState::Created | RunState::Exited => Some(Step::StartContainer(existing(container))),
        RunState::Paused => Some(Step::UnpauseContainer(existing(container))),
        RunState::Running | RunState::Restarting | RunState::Removing | RunState::Dead => None,
    }
}

/// Ends a container that runs and starts it again.
pub(super) fn restart(container: &ObservedContainer, spec: &ContainerSpec) -> Vec<Step> {
    let mut steps: Vec<Step> = stop(container, spec.confinement.stop_timeout).into_iter().collect();
    steps.push(Step::StartContainer(existing(container)));
    steps
}
