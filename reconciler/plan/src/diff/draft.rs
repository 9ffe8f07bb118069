//! A plan in the making: what its modules decide is collected here, and put in a fixed order at the end.

use berth_schema::State;
use jiff::Timestamp;

use crate::label::Tag;
use crate::observed::ObservedContainer;
use crate::step::{
    Action, Audience, Blocked, Capacity, Change, ContainerRef, Note, Plan, Removals, Stage, StageKind,
    Subject,
};

/// Circumstances that a plan depends on, besides what should exist and what does.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The time, which decides which tombstones have expired.
    pub now: Timestamp,
    /// The revision that is planned, which tombstones name.
    pub revision: &'a str,
    /// The hash in the `Berth-Allow-Removals` trailer of that revision, if it has one.
    pub allowance: Option<&'a str>,
    /// The state that was applied last, if it is known. It knows names and owners that changed after a container's
    /// labels were written. A state whose plan was blocked for reusing an id must not become this.
    pub previous: Option<&'a State>,
    /// The largest id of a server that the engine can start; `None` where any will do.
    pub largest_id: Option<u32>,
}

/// A plan in the making.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) networks: Vec<Change>,
    /// The container whose network namespace the others work in or are linked to.
    pub(super) holder: Vec<Change>,
    pub(super) system: Vec<Change>,
    pub(super) links: Vec<Change>,
    pub(super) servers: Vec<Change>,
    /// Changes to who may log in. They go before anything that may take long, so that whoever was shut out is out soon.
    pub(super) routes: Vec<Change>,
    /// Configurations, put in force one after the other: a later one is tried over what an earlier one opens.
    pub(super) configurations: Vec<Change>,
    /// Removals of containers and of servers.
    pub(super) removals: Vec<Change>,
    /// Removals of networks, which can only go once their containers have.
    pub(super) network_removals: Vec<Change>,
    pub(super) blocked: Vec<Blocked>,
    pub(super) notes: Vec<Note>,
    pub(super) unchanged: usize,
}

impl Draft {
    pub(super) fn note(&mut self, about: impl Into<String>, text: impl Into<String>) {
        let audience = Audience::Everybody;
        self.notes.push(Note { about: about.into(), text: text.into(), audience });
    }

    /// Notes something about the host or the engine, for those who run it.
    pub(super) fn note_host(&mut self, about: impl Into<String>, text: impl Into<String>) {
        let audience = Audience::Operators;
        self.notes.push(Note { about: about.into(), text: text.into(), audience });
    }

    pub(super) fn block(&mut self, subject: Subject, action: Action, obstacle: Obstacle) {
        let Obstacle { why, hint } = obstacle;
        self.blocked.push(Blocked { subject, action, why, hint });
    }

    pub(super) fn finish(mut self, removals: Removals, capacity: Capacity) -> Plan {
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

/// Reason why a change can't be made, and a hint how to clear the way.
#[derive(Debug)]
pub(super) struct Obstacle {
    pub(super) why: String,
    pub(super) hint: String,
}

impl Obstacle {
    pub(super) fn new(why: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { why: why.into(), hint: hint.into() }
    }

    /// Reports that a name that we want is somebody else's.
    pub(super) fn taken(what: &str, name: &str, tag: Option<&Tag>) -> Self {
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
pub(super) fn existing(container: &ObservedContainer) -> ContainerRef {
    ContainerRef { name: container.name.clone(), id: Some(container.id.clone()) }
}

/// The reference of a container that an earlier step of the same change makes.
pub(super) fn made(name: &str) -> ContainerRef {
    ContainerRef { name: name.to_owned(), id: None }
}
