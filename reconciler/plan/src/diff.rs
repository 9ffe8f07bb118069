//! The difference: what should exist against what does, as a plan.
//!
//! Decides everything and does nothing. Each kind of thing has its own module; what they decide is collected in a
//! `Draft` and put in a fixed order at the end, so that the order of the input can't show.

mod configurations;
mod links;
mod networks;
mod power;
mod removals;
mod servers;
mod system;

use berth_schema::State;
use jiff::Timestamp;

use crate::desired::Desired;
use crate::inventory::Inventory;
use crate::label::Tag;
use crate::observed::{Observed, ObservedContainer};
use crate::step::{
    Action, Blocked, Capacity, Change, ContainerRef, Note, Plan, Removals, Stage, StageKind, Subject,
};

pub use removals::ALLOW_REMOVALS;

/// What a plan depends on besides what should exist and what does.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The time, which decides which tombstones have had theirs.
    pub now: Timestamp,
    /// The revision that is planned, which tombstones name.
    pub revision: &'a str,
    /// The hash in the `Berth-Allow-Removals` trailer of that revision, if it has one.
    pub allowance: Option<&'a str>,
    /// The state that was applied last, if it is known. It knows names and owners that changed after a container's
    /// labels were written. A state whose plan was blocked for reusing an id must not become this.
    pub previous: Option<&'a State>,
}

/// What has to happen so that `observed` becomes `desired`.
pub fn plan(desired: &Desired, observed: &Observed, context: &Context<'_>) -> Plan {
    let inventory = Inventory::read(observed);
    let mut draft = Draft::default();
    for (about, why) in &inventory.unreadable {
        draft.note(
            about,
            format!("carries this platform's label but can't be read, so it is left alone: {why}"),
        );
    }
    let networks = networks::plan(desired, &inventory, &mut draft);
    let plane = system::plan(desired, &inventory, &networks, observed.plane.as_ref(), &mut draft);
    servers::plan(desired, &inventory, context, &mut draft);
    configurations::reload(desired, &inventory, plane, observed.plane.as_ref(), &mut draft);
    configurations::plan(desired, &inventory, &observed.host_rules, context, &mut draft);
    configurations::withdraw(desired, &observed.host_rules, &mut draft);
    configurations::measure(desired, &mut draft);
    let removals = removals::plan(desired, &inventory, context, &mut draft);
    links::plan(desired, &inventory, plane, observed.plane.as_ref(), &mut draft);
    let total = desired.platform.networks.capacity() as usize;
    let capacity = Capacity { used: desired.servers.len(), total };
    draft.finish(removals, capacity)
}

/// A plan in the making.
#[derive(Debug, Default)]
struct Draft {
    networks: Vec<Change>,
    /// The container whose network namespace the others work in or are linked to.
    holder: Vec<Change>,
    system: Vec<Change>,
    links: Vec<Change>,
    servers: Vec<Change>,
    /// Who may log in. It goes before whatever may take long: who was shut out should be out.
    routes: Vec<Change>,
    /// One after the other: a later one is tried over what an earlier one opens.
    configurations: Vec<Change>,
    /// Removals of containers and of servers.
    removals: Vec<Change>,
    /// Removals of networks, which can only go once their containers have.
    network_removals: Vec<Change>,
    blocked: Vec<Blocked>,
    notes: Vec<Note>,
    unchanged: usize,
}

impl Draft {
    fn note(&mut self, about: impl Into<String>, text: impl Into<String>) {
        self.notes.push(Note { about: about.into(), text: text.into() });
    }

    fn block(&mut self, subject: Subject, action: Action, obstacle: Obstacle) {
        let Obstacle { why, hint } = obstacle;
        self.blocked.push(Blocked { subject, action, why, hint });
    }

    fn finish(mut self, removals: Removals, capacity: Capacity) -> Plan {
        self.blocked.sort_by(|a, b| (&a.subject, a.action, &a.why).cmp(&(&b.subject, b.action, &b.why)));
        self.notes.sort_by(|a, b| (&a.about, &a.text).cmp(&(&b.about, &b.text)));
        let stages = [
            (StageKind::Networks, self.networks),
            (StageKind::System, self.holder),
            // The links before anything that takes longer: without them servers are cut off.
            (StageKind::Links, self.links),
            (StageKind::System, self.system),
            (StageKind::Configurations, self.routes),
            (StageKind::Servers, self.servers),
        ];
        let configurations =
            self.configurations.into_iter().map(|change| (StageKind::Configurations, vec![change]));
        let last = [(StageKind::Removals, self.removals), (StageKind::Removals, self.network_removals)];
        let stages = stages
            .into_iter()
            .chain(configurations)
            .chain(last)
            .filter(|(_, changes)| !changes.is_empty())
            .map(|(kind, mut changes)| {
                // Removals read tombstones first, purges after; everything else reads by subject.
                let rank = |change: &Change| (kind == StageKind::Removals).then_some(change.action);
                changes.sort_by(|a, b| (rank(a), &a.subject).cmp(&(rank(b), &b.subject)));
                Stage { kind, changes }
            })
            .collect();
        Plan {
            stages,
            blocked: self.blocked,
            notes: self.notes,
            unchanged: self.unchanged,
            removals,
            capacity,
        }
    }
}

/// What is in the way of a change, and how to get it out of the way.
#[derive(Debug)]
struct Obstacle {
    why: String,
    hint: String,
}

impl Obstacle {
    fn new(why: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { why: why.into(), hint: hint.into() }
    }

    /// A name that we want is somebody else's.
    fn taken(what: &str, name: &str, tag: Option<&Tag>) -> Self {
        let holder = match tag {
            None => format!("a {what} that isn't this platform's"),
            Some(Tag::Unreadable { .. }) => format!("a {what} whose labels can't be read"),
            Some(_) => format!("a {what} of this platform with another role"),
        };
        let hint = match what {
            "container" => format!("look at it, then `docker rename {name} …` or remove it"),
            "volume" => {
                format!("look at what is in it; `docker volume rm {name}` frees the name and loses that")
            }
            _ => format!("look at what is on it; `docker {what} rm {name}` frees the name"),
        };
        Self::new(format!("the name {name} is taken by {holder}"), hint)
    }
}

/// The reference of a container that exists.
fn existing(container: &ObservedContainer) -> ContainerRef {
    ContainerRef { name: container.name.clone(), id: Some(container.id.clone()) }
}

/// The reference of a container that an earlier step of the same change makes.
fn made(name: &str) -> ContainerRef {
    ContainerRef { name: name.to_owned(), id: None }
}
