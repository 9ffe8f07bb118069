//! Views of a plan: for a person, for a pull request, for a program. A view shows what the plan holds and decides
//! nothing.

mod alike;
mod digest;
mod json;
mod markdown;
mod text;

pub use digest::digest;
pub use json::json;
pub use markdown::{Comment, markdown};
pub use text::{Colour, Steps, Style, WHOLE, summary, text};

use crate::configuration::Place;
use crate::step::{Action, Plan, Step};
use crate::takeover::ProgramSpec;

/// The symbol of an action.
pub fn symbol(action: Action) -> &'static str {
    match action {
        Action::Create | Action::Resurrect => "+",
        Action::Update | Action::Start | Action::Stop => "~",
        Action::Recreate => "-/+",
        Action::Entomb | Action::Purge | Action::Remove => "-",
    }
}

/// Phrase for an action, to follow the subject.
pub fn phrase(action: Action) -> &'static str {
    match action {
        Action::Create => "is created",
        Action::Update => "changes in place",
        Action::Start => "is started",
        Action::Stop => "is stopped",
        Action::Recreate => "is made anew",
        Action::Entomb => "is stopped and kept as a tombstone",
        Action::Resurrect => "comes back, with its data",
        Action::Purge => "is purged",
        Action::Remove => "is removed",
    }
}

/// A step in a few words.
pub fn step(step: &Step) -> String {
    match step {
        Step::CreateNetwork(spec) => format!("create network {} ({})", spec.name, spec.subnet),
        Step::RemoveNetwork { name, .. } => format!("remove network {name}"),
        Step::CreateVolume(spec) => format!("create volume {}", spec.name),
        Step::PlaceIdentity(spec) => format!("place SSH keys in volume {}", spec.volume),
        Step::PlaceProgram(spec) => {
            let ProgramSpec { program, volume, digest, .. } = &**spec;
            format!("put {} {} in volume {volume}", program.file(), build(digest))
        }
        Step::ReplaceProgram(spec) => {
            let ProgramSpec { program, container, digest, .. } = &**spec;
            format!("have {} {} take over in container {container}", program.file(), build(digest))
        }
        Step::RemoveVolume { name } => format!("remove volume {name}"),
        Step::RequireAddress { address } => format!("look for address {address} of this host"),
        Step::RequireImage { image } => format!("look for image {image}"),
        Step::CreateContainer(spec) => format!("create container {} from {}", spec.name, spec.image),
        Step::StartContainer(container) => format!("start container {}", container.name),
        Step::UnpauseContainer(container) => format!("unpause container {}", container.name),
        Step::StopContainer { container, timeout } => {
            format!("stop container {} within {timeout} s", container.name)
        }
        Step::UpdateLimits { container, .. } => format!("update the limits of container {}", container.name),
        Step::RemoveContainer(container) => format!("remove container {}", container.name),
        Step::Connect { links, .. } => match links.as_slice() {
            [one] => format!("link {} at {}", one.container.name, one.link.address),
            more => format!("link {} containers", more.len()),
        },
        Step::Configure(spec) => match &spec.place {
            Place::Container { container, file, .. } => {
                format!("check {file}, load it in {container}, try it, keep it")
            }
            Place::Host { .. } => "check the host's rules, load them, try them, keep them".to_owned(),
        },
        Step::Reload { kind, container } => {
            format!("load the confirmed {} in {container} again", kind.file())
        }
        Step::WithdrawHostRules { .. } => "remove the platform's chains from the host".to_owned(),
    }
}

/// A build in a few digits.
fn build(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}

/// Numbers of changes, by the sorts that people count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counts {
    /// Made, or brought back.
    pub create: usize,
    /// Changed in place, started or stopped.
    pub update: usize,
    /// Made anew.
    pub recreate: usize,
    /// Removed: kept as a tombstone, purged, or without data to begin with.
    pub remove: usize,
    /// Held back because something is in the way.
    pub blocked: usize,
}

impl Counts {
    /// Counts a plan's changes.
    pub fn of(plan: &Plan) -> Self {
        let mut counts = Self { blocked: plan.blocked.len(), ..Self::default() };
        for change in plan.changes() {
            *match symbol(change.action) {
                "+" => &mut counts.create,
                "-/+" => &mut counts.recreate,
                "-" => &mut counts.remove,
                _ => &mut counts.update,
            } += 1;
        }
        counts
    }
}
