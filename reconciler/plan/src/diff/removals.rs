//! Servers that are no longer wanted: stopped and kept under a tombstone, and purged when its time is over.
//!
//! Removing is the one thing that can't be undone by writing another state, so it is counted: a revision that removes
//! more than the budget allows removes nothing until a trailer names exactly the servers that it removes.

use std::collections::HashSet;

use berth_schema::name::ServerId;
use jiff::Timestamp;

use crate::desired::Desired;
use crate::diff::draft::{Context, Draft, Obstacle};
use crate::diff::power;
use crate::diff::servers::rivalry;
use crate::digest::fingerprint;
use crate::inventory::{Holding, Inventory, expiry};
use crate::label::{Tag, Tombstone};
use crate::names::{server_container, tombstone_volume};
use crate::observed::{ObservedContainer, RunState};
use crate::spec::VolumeSpec;
use crate::step::{Action, Change, Removals, Step, Subject};

/// The trailer of a commit that lifts the removal budget once; its value is the plan's removal hash.
pub const ALLOW_REMOVALS: &str = "Berth-Allow-Removals";

pub(super) fn plan(
    desired: &Desired,
    inventory: &Inventory<'_>,
    context: &Context<'_>,
    draft: &mut Draft,
) -> Removals {
    let wanted: HashSet<ServerId> = desired.servers.iter().map(|server| server.id).collect();
    let mut undesired: Vec<(ServerId, &Holding<'_>)> =
        inventory.servers.iter().filter(|(id, _)| !wanted.contains(id)).map(|(id, h)| (*id, h)).collect();
    undesired.sort_unstable_by_key(|(id, _)| *id);

    let planner = Planner { desired, inventory, context };
    let mut removed = Removed::default();
    for (id, holding) in undesired {
        planner.sort_out(id, holding, &mut removed, draft);
    }
    planner.tell_ended(draft);
    let removals = planner.judge(&removed);
    let over = removals.count > removals.allowed && !removals.lifted;
    let entombs = if over {
        hold_back(removed.entombs, &removals, draft);
        0
    } else {
        let number = removed.entombs.len();
        draft.removals.extend(removed.entombs);
        number
    };
    // Tombstones count as owned here, or the last server of a platform could never be purged.
    let room = desired.removal_budget().allowed(inventory.servers.len()).saturating_sub(entombs);
    purge_within(room, removed.purges, draft);
    removals
}

/// Changes to unwanted servers, sorted by what becomes of each.
#[derive(Default)]
struct Removed {
    entombs: Vec<Change>,
    purges: Vec<(Timestamp, Change)>,
    /// The servers that this revision removes or has removed.
    counted: Vec<(ServerId, String)>,
}

struct Planner<'a, 'o> {
    desired: &'a Desired,
    inventory: &'a Inventory<'o>,
    context: &'a Context<'a>,
}

impl Planner<'_, '_> {
    fn sort_out(&self, id: ServerId, holding: &Holding<'_>, removed: &mut Removed, draft: &mut Draft) {
        if !holding.rivals.is_empty() {
            let (name, _) = self.identity(id, holding);
            draft.block(Subject::Server { id, name }, Action::Entomb, rivalry(id, holding));
            return;
        }
        let Some(stone) = holding.tombstone() else {
            self.entomb(id, holding, removed, draft);
            return;
        };
        if stone.revision == self.context.revision {
            removed.counted.push((id, stone.name.clone()));
        }
        let subject = Subject::Server { id, name: stone.name.clone() };
        let end = expiry(stone, self.desired.platform.retention.servers.duration());
        let retention = &self.desired.platform.retention;
        let ended = retention.has_ended(id, &stone.revision);
        let expired = ended || end.is_some_and(|end| end <= self.context.now);
        match holding.container.map(|owned| owned.container) {
            Some(container) if container.state.is_active() => {
                // Either entombing it was cut short, or somebody started it by hand.
                let timeout = self.desired.confinement.stop_timeout;
                draft.removals.push(Change {
                    subject,
                    action: Action::Stop,
                    reasons: vec![match expired {
                        true => "it is removed, and its data waits to be purged by a later pass".to_owned(),
                        false => format!("it is removed, and {}", kept_until(end)),
                    }],
                    losses: Vec::new(),
                    steps: power::stop(container, timeout).into_iter().collect(),
                });
            }
            Some(container) if expired && container.state == RunState::Removing => draft.note(
                subject.to_string(),
                "its time as a tombstone is over; a later pass purges it, when the engine has removed its container",
            ),
            container if expired => match self.stranger_in_its_place(id, container) {
                Some(obstacle) => draft.block(subject, Action::Purge, obstacle),
                None => removed.purges.push((stone.removed_at, purge(subject, stone, ended, holding))),
            },
            _ => {}
        }
    }

    /// Tells of lines that end nothing: their servers are gone, or they were never right.
    fn tell_ended(&self, draft: &mut Draft) {
        for removal in &self.desired.platform.retention.ended {
            let mut stones =
                self.inventory.servers.get(&removal.id()).into_iter().flat_map(|holding| &holding.tombstones);
            if !stones.any(|mark| removal.is_of(mark.stone.id, &mark.stone.revision)) {
                draft.note_host(
                    format!("`retention.ended`, \"{removal}\""),
                    "no removed server is called that; take it away",
                );
            }
        }
    }

    fn entomb(&self, id: ServerId, holding: &Holding<'_>, removed: &mut Removed, draft: &mut Draft) {
        let (name, owner) = self.identity(id, holding);
        let subject = Subject::Server { id, name: name.clone() };
        let volume = tombstone_volume(self.desired.prefix(), id);
        if let Some(holder) = self.inventory.volume_named(&volume) {
            let obstacle = Obstacle::taken("volume", &volume, holder.tag.as_ref());
            draft.block(subject, Action::Entomb, obstacle);
            return;
        }
        removed.counted.push((id, name.clone()));
        let now = self.context.now;
        let stone =
            Tombstone { id, name, owner, removed_at: now, revision: self.context.revision.to_owned() };
        let end = expiry(&stone, self.desired.platform.retention.servers.duration());
        let labels = Tag::Tombstone(stone).write(self.desired.prefix());
        let mut steps = vec![Step::CreateVolume(VolumeSpec { name: volume, labels })];
        let container = holding.container.map(|owned| owned.container);
        steps.extend(container.and_then(|c| power::stop(c, self.desired.confinement.stop_timeout)));
        let reasons = vec!["it is no longer in the state repo".to_owned(), kept_until(end)];
        removed.entombs.push(Change { subject, action: Action::Entomb, reasons, losses: Vec::new(), steps });
    }

    /// Finds a container that has the server's name and isn't known to be the server: it may well have the server's
    /// data.
    fn stranger_in_its_place(&self, id: ServerId, own: Option<&ObservedContainer>) -> Option<Obstacle> {
        let name = server_container(self.desired.prefix(), id);
        let holder = self.inventory.container_named(&name)?;
        (own != Some(holder)).then(|| Obstacle::taken("container", &name, holder.tag.as_ref()))
    }

    /// The name and owner that a server had last.
    fn identity(&self, id: ServerId, holding: &Holding<'_>) -> (String, String) {
        if let Some(server) = self.context.previous.and_then(|state| state.servers.get(&id)) {
            return (server.name.to_string(), server.owner.to_string());
        }
        let (name, owner) = holding.identity().unwrap_or_default();
        (name.to_owned(), owner.to_owned())
    }

    /// Compares what this revision removes with the budget. Servers that it has removed already count too, so that
    /// neither a crash midway nor a second pass gets around the budget, or has to ask for it again.
    fn judge(&self, removed: &Removed) -> Removals {
        let mut counted = removed.counted.clone();
        counted.sort_unstable();
        let count = counted.len();
        // The servers that were wanted before, whether they exist yet or not: neither those that this revision adds
        // nor those that a pass has just made may allow a second pass what the first one refused.
        let was_wanted = |id| self.context.previous.is_none_or(|state| state.servers.contains_key(id));
        let kept = self.desired.servers.iter().filter(|server| was_wanted(&server.id)).count();
        let allowed = self.desired.removal_budget().allowed(kept + count);
        let hash = (count > 0).then(|| fingerprint(&counted));
        let lifted = count > allowed && hash.as_deref() == self.context.allowance;
        Removals { count, allowed, hash, lifted }
    }
}

fn kept_until(end: Option<Timestamp>) -> String {
    match end {
        Some(end) => format!("its data is kept until {}", end.strftime("%Y-%m-%d")),
        None => "its data is kept for ever".to_owned(),
    }
}

/// Removes the data, then the mark: until the last step, what is left is a tombstone.
fn purge(subject: Subject, stone: &Tombstone, ended: bool, holding: &Holding<'_>) -> Change {
    let mut steps = Vec::new();
    if let Some(owned) = &holding.container {
        // It isn't active, or it would be stopped now and purged in a later pass.
        steps.extend(power::remove(owned.container, 0));
    }
    let remove = |name: &str| Step::RemoveVolume { name: name.to_owned() };
    steps.extend(holding.data.iter().map(|data| remove(data.volume)));
    steps.extend(holding.ssh.iter().map(|ssh| remove(ssh.volume)));
    steps.extend(holding.restored.iter().map(|volume| remove(volume)));
    steps.extend(holding.tombstones.iter().map(|mark| remove(mark.volume)));
    let day = stone.removed_at.strftime("%Y-%m-%d");
    let losses = match holding.data.len() {
        0 => Vec::new(),
        _ => vec![format!("the data of {} (owner {}), for good", stone.name, stone.owner)],
    };
    let why = if ended { "`retention.ended` names it" } else { "its time as a tombstone is over" };
    let reasons = vec![format!("it was removed on {day}, and {why}")];
    Change { subject, action: Action::Purge, reasons, losses, steps }
}

fn hold_back(entombs: Vec<Change>, removals: &Removals, draft: &mut Draft) {
    let Removals { count, allowed, hash, .. } = removals;
    let hash = hash.as_deref().unwrap_or_default();
    for change in entombs {
        draft.block(
            change.subject,
            change.action,
            Obstacle::new(
                format!("this revision removes {count} servers, and the removal budget allows {allowed}"),
                format!(
                    "if all of them are meant, add this line to the commit message: {ALLOW_REMOVALS}: {hash}"
                ),
            ),
        );
    }
}

fn purge_within(room: usize, mut purges: Vec<(Timestamp, Change)>, draft: &mut Draft) {
    purges.sort_by(|(a, one), (b, other)| (a, &one.subject).cmp(&(b, &other.subject)));
    let waiting = purges.len().saturating_sub(room);
    if waiting > 0 {
        draft.note_host(
            if waiting == 1 { "1 tombstone".to_owned() } else { format!("{waiting} tombstones") },
            "past its time, and waits for room in the removal budget",
        );
    }
    draft.removals.extend(purges.into_iter().take(room).map(|(_, change)| change));
}
