//! Servers that are wanted: made, started, stopped, changed in place, brought back.
//!
//! Never makes a server anew unless its own image changed, its `reset` was raised or the engine can't start it, and never takes data from one
//! owner to another: an id is not reused.

use std::cell::Cell;
use std::collections::BTreeSet;

use berth_schema::server::{Limits, PowerState, Server};
use berth_schema::text::counted;

use crate::apparmor;
use crate::desired::Desired;
use crate::diff::draft::{Context, Draft, Obstacle, existing, made};
use crate::diff::power;
use crate::identity::IdentitySpec;
use crate::inventory::{Holding, Inventory, ServerContainer, expiry};
use crate::names::{DATA_VOLUMES, SSH_VOLUME, is_server_volume, server_container};
use crate::observed::{ObservedContainer, RunState};
use crate::step::{Action, Change, Step, Subject};

/// Data that is lost with a server's container.
const CONTAINER_LOSS: &str = "everything outside /apps, /home and /var/lib/docker";

pub(super) fn plan(
    desired: &Desired,
    inventory: &Inventory<'_>,
    (context, profiles): (&Context<'_>, &BTreeSet<String>),
    draft: &mut Draft,
) {
    let planner = Planner {
        desired,
        inventory,
        context,
        profiles,
        older_image: Cell::new(0),
        older_confinement: Cell::new(0),
        without_keys: Cell::new(0),
    };
    let nothing = Holding::default();
    for server in &desired.servers {
        let holding = inventory.servers.get(&server.id).unwrap_or(&nothing);
        let subject = || Subject::Server { id: server.id, name: server.name.to_string() };
        let restarts = holding.container.is_some_and(|owned| owned.container.state == RunState::Restarting);
        match planner.in_range(server, planner.one(server, holding)) {
            Verdict::Unchanged if restarts => {
                draft.note(subject().to_string(), "keeps restarting; its log says why (`docker logs`)");
            }
            Verdict::Unchanged => {
                draft.unchanged += 1;
                if let Some(note) = lower_reset(server, holding) {
                    draft.note(subject().to_string(), note);
                }
            }
            Verdict::Change(Work { action, reasons, losses, steps }) => {
                draft.servers.push(Change { subject: subject(), action, reasons, losses, steps });
            }
            Verdict::Blocked(action, obstacle) => draft.block(subject(), action, obstacle),
            Verdict::Wait(text) => draft.note(subject().to_string(), text),
        }
    }
    planner.note_older(draft);
}

enum Verdict {
    Unchanged,
    Change(Work),
    Blocked(Action, Obstacle),
    /// Nothing can be done now, for the reason given.
    Wait(&'static str),
}

/// A change in the making.
struct Work {
    action: Action,
    reasons: Vec<String>,
    losses: Vec<String>,
    steps: Vec<Step>,
}

impl Work {
    fn new(action: Action) -> Self {
        Self { action, reasons: Vec::new(), losses: Vec::new(), steps: Vec::new() }
    }
}

struct Planner<'a, 'o> {
    desired: &'a Desired,
    inventory: &'a Inventory<'o>,
    context: &'a Context<'a>,
    /// AppArmor profiles that the host has loaded.
    profiles: &'a BTreeSet<String>,
    older_image: Cell<usize>,
    older_confinement: Cell<usize>,
    /// Number of servers that were made before there were keys for the router.
    without_keys: Cell<usize>,
}

impl Planner<'_, '_> {
    fn one(&self, server: &Server, holding: &Holding<'_>) -> Verdict {
        if !holding.rivals.is_empty() {
            return Verdict::Blocked(Action::Update, rivalry(server.id, holding));
        }
        if let Some(verdict) = self.stranger(server, holding) {
            return verdict;
        }
        match self.bring(server, holding) {
            Verdict::Unchanged if holding.tombstones.is_empty() => Verdict::Unchanged,
            Verdict::Unchanged => Verdict::Change(resurrect(holding, Work::new(Action::Resurrect))),
            Verdict::Change(work) if !holding.tombstones.is_empty() => {
                Verdict::Change(resurrect(holding, work))
            }
            other => other,
        }
    }

    /// Refuses an id whose data is another server's: that server is a tombstone with another owner, or had both
    /// another name and another owner.
    fn stranger(&self, server: &Server, holding: &Holding<'_>) -> Option<Verdict> {
        let differs =
            |name: &str, owner: &str| name != server.name.as_str() && owner != server.owner.as_str();
        let id = server.id;
        if let Some(stone) = holding.tombstone() {
            // A live server may be given away; a removed one comes back to its owner only, or whoever writes its name and
            // id would get its data.
            if stone.owner == server.owner.as_str() {
                return None;
            }
            let until = expiry(stone, self.desired.platform.retention.servers.duration())
                .map_or_else(|| "for ever".to_owned(), |time| format!("until {}", time.strftime("%Y-%m-%d")));
            return Some(Verdict::Blocked(
                Action::Resurrect,
                Obstacle::new(
                    format!(
                        "id {id} is held by the tombstone of {} (owner {}) {until}",
                        stone.name, stone.owner
                    ),
                    "choose another id; or put that server back with its owner, and give it away in a later commit",
                ),
            ));
        }
        let (name, owner) = match self.context.previous.and_then(|state| state.servers.get(&id)) {
            Some(previous) if holding.identity().is_some() => {
                (previous.name.as_str(), previous.owner.as_str())
            }
            _ => holding.identity()?,
        };
        differs(name, owner).then(|| {
            Verdict::Blocked(
                if holding.container.is_some() { Action::Update } else { Action::Create },
                Obstacle::new(
                    format!("id {id} is the server {name} (owner {owner}), and an id is not reused"),
                    "choose another id; to rename a server and give it away, do one after the other, in two commits",
                ),
            )
        })
    }

    /// Refuses to start a server whose id is too large for the engine. One that runs goes on.
    fn in_range(&self, server: &Server, verdict: Verdict) -> Verdict {
        let largest = self.context.largest_id.filter(|largest| server.id.get() > *largest);
        let (Some(largest), Verdict::Change(work)) = (largest, &verdict) else { return verdict };
        if !matches!(work.action, Action::Create | Action::Start | Action::Recreate | Action::Resurrect) {
            return verdict;
        }
        Verdict::Blocked(
            work.action,
            Obstacle::new(
                format!(
                    "its id is above {largest}, and servers with larger ones have no range of ids of their own on this \
                     host"
                ),
                format!(
                    "choose an id up to {largest}; or go back to accounts with `berth engine setup --way account` and restart the \
                     engine"
                ),
            ),
        )
    }

    /// Plans what makes the server as it should be, its tombstone aside.
    fn bring(&self, server: &Server, holding: &Holding<'_>) -> Verdict {
        let Some(owned) = &holding.container else {
            let mut work = Work::new(Action::Create);
            work.reasons.push("it has no container".to_owned());
            return self.make(server, holding, work);
        };
        match owned.container.state {
            RunState::Removing => {
                return Verdict::Wait(
                    "the engine is still removing its container; a later pass makes it again",
                );
            }
            RunState::Dead => {
                let reason = "its container is half removed, and the engine can't start it".to_owned();
                return self.remake(server, holding, owned, vec![reason]);
            }
            _ => {}
        }
        if let Some(reasons) = self.renewal(server, owned) {
            return self.remake(server, holding, owned, reasons);
        }
        if server.image.is_none() && owned.image != self.desired.platform.images.server.as_str() {
            self.older_image.set(self.older_image.get() + 1);
        }
        if owned.spec != self.desired.confinement_spec {
            self.older_confinement.set(self.older_confinement.get() + 1);
        }
        // The volume comes with the container, and neither goes without the other.
        let keys = holding.ssh.iter().find(|ssh| {
            is_server_volume(ssh.volume, self.desired.prefix().as_str(), server.id, SSH_VOLUME.0)
        });
        if keys.is_none() {
            self.without_keys.set(self.without_keys.get() + 1);
        }
        let misplaced = keys.is_some_and(|keys| keys.placed != self.desired.placed(server.id));
        let identity = misplaced.then(|| self.desired.server_identity(server)).flatten();
        self.alter(server, owned.container, identity)
    }

    /// Says why a server is made anew though nothing is wrong with its container; `None` when it stays.
    fn renewal(&self, server: &Server, owned: &ServerContainer<'_>) -> Option<Vec<String>> {
        let image = self.desired.image(server);
        let is_raised = server.reset > owned.reset;
        // The platform's default changes a server's image only when it is made anew for another reason.
        let is_other = image.as_str() != owned.image && (server.image.is_some() || is_raised);
        let reasons = [
            is_raised.then(|| format!("reset {} → {}", owned.reset, server.reset)),
            is_other.then(|| format!("image {} → {image}", owned.image)),
        ];
        (is_raised || is_other).then(|| reasons.into_iter().flatten().collect())
    }

    /// Says why a server's keys, and its name beside them, are written again.
    fn misplaced(&self, server: &Server) -> String {
        let previous = self.context.previous.and_then(|state| state.servers.get(&server.id));
        match previous.map(|before| &before.name).filter(|name| **name != server.name) {
            Some(name) => format!("name {name} → {}", server.name),
            None => "its SSH keys, or its name beside them, are not the platform's".to_owned(),
        }
    }

    /// Changes a container in place.
    fn alter(
        &self,
        server: &Server,
        container: &ObservedContainer,
        identity: Option<IdentitySpec>,
    ) -> Verdict {
        let mut work = Work::new(Action::Update);
        if let Some(identity) = identity {
            work.reasons.push(self.misplaced(server));
            work.steps.push(Step::PlaceIdentity(Box::new(identity)));
        }
        let limits = self.desired.limits(server);
        if let Some(before) = container.limits
            && before != limits
        {
            work.reasons.extend(limit_reasons(before, limits));
            work.steps.push(Step::UpdateLimits { container: existing(container), limits });
        }
        let (power, action) = match server.state {
            PowerState::Running => (power::run(container), Action::Start),
            PowerState::Stopped => {
                (power::stop(container, self.desired.confinement.stop_timeout), Action::Stop)
            }
        };
        if let Some(step) = power {
            let should = match server.state {
                PowerState::Running => "running",
                PowerState::Stopped => "stopped",
            };
            work.reasons.push(format!("it is {} and should be {should}", container.state.word()));
            work.action = action;
            work.steps.push(step);
        }
        if work.steps.is_empty() { Verdict::Unchanged } else { Verdict::Change(work) }
    }

    /// Takes the container away and makes it anew; the data volumes stay.
    fn remake(
        &self,
        server: &Server,
        holding: &Holding<'_>,
        owned: &ServerContainer<'_>,
        reasons: Vec<String>,
    ) -> Verdict {
        let mut work = Work::new(Action::Recreate);
        work.reasons = reasons;
        work.losses.push(CONTAINER_LOSS.to_owned());
        // A server that runs is worth more than a new image that isn't there.
        work.steps = vec![Step::RequireImage { image: self.desired.image(server).to_string() }];
        work.steps.extend(power::remove(owned.container, self.desired.confinement.stop_timeout));
        self.make(server, holding, work)
    }

    /// Makes the volumes that are missing and the container.
    fn make(&self, server: &Server, holding: &Holding<'_>, mut work: Work) -> Verdict {
        let name = server_container(self.desired.prefix(), server.id);
        let own = holding.container.map(|owned| owned.container.name.as_str());
        if own != Some(name.as_str())
            && let Some(holder) = self.inventory.container_named(&name)
        {
            return Verdict::Blocked(work.action, Obstacle::taken("container", &name, holder.tag.as_ref()));
        }
        let mut missing = Vec::new();
        for (volume, (end, _)) in self.desired.data_volumes(server).into_iter().zip(DATA_VOLUMES) {
            if holding.data.iter().any(|data| data.volume == volume.name) {
                continue;
            }
            if let Some(holder) = self.inventory.volume_named(&volume.name) {
                // The engine would hand over a stranger's data if only the name is right.
                let obstacle = Obstacle::taken("volume", &volume.name, holder.tag.as_ref());
                return Verdict::Blocked(work.action, obstacle);
            }
            missing.push(end);
            work.steps.push(Step::CreateVolume(volume));
        }
        let volume = self.desired.ssh_volume(server);
        let placed = match holding.ssh.iter().find(|ssh| ssh.volume == volume.name) {
            Some(there) => there.placed == self.desired.placed(server.id),
            None => {
                if let Some(holder) = self.inventory.volume_named(&volume.name) {
                    let obstacle = Obstacle::taken("volume", &volume.name, holder.tag.as_ref());
                    return Verdict::Blocked(work.action, obstacle);
                }
                work.steps.push(Step::CreateVolume(volume));
                false
            }
        };
        if !placed && let Some(identity) = self.desired.server_identity(server) {
            work.steps.push(Step::PlaceIdentity(Box::new(identity)));
        }
        let volume = self.desired.restored_volume(server);
        if !holding.restored.contains(&volume.name.as_str()) {
            if let Some(holder) = self.inventory.volume_named(&volume.name) {
                let obstacle = Obstacle::taken("volume", &volume.name, holder.tag.as_ref());
                return Verdict::Blocked(work.action, obstacle);
            }
            work.steps.push(Step::CreateVolume(volume));
        }
        if missing.is_empty() {
            work.reasons.push("its data volumes are there and are kept".to_owned());
        } else if missing.len() < DATA_VOLUMES.len() {
            work.reasons
                .push(format!("data volumes that are missing are made empty: {}", missing.join(", ")));
        } else if holding.container.is_some() || !holding.tombstones.is_empty() {
            work.reasons.push("its data volumes are gone; it begins with empty ones".to_owned());
        }
        let spec = apparmor::confine(self.desired.server_spec(server), apparmor::SERVER, self.profiles);
        work.steps.push(Step::CreateContainer(Box::new(spec)));
        if server.state == PowerState::Running {
            work.steps.push(Step::StartContainer(made(&name)));
        }
        Verdict::Change(work)
    }

    fn note_older(&self, draft: &mut Draft) {
        let image = &self.desired.platform.images.server;
        if let Some(subject) = servers(self.older_image.get()) {
            draft.note_host(
                subject,
                format!("made of another image than the platform's default ({image}), which is kept"),
            );
        }
        if let Some(subject) = servers(self.older_confinement.get()) {
            draft.note_host(
                subject,
                "confined as when made; the new confinement takes effect when a server's image changes",
            );
        }
        if let Some(subject) =
            servers(self.without_keys.get()).filter(|_| self.desired.platform.services.router)
        {
            draft.note_host(
                subject,
                "made before the SSH router came, which can't log in there until its image changes",
            );
        }
    }
}

fn servers(number: usize) -> Option<String> {
    (number > 0).then(|| counted(number, "server"))
}

/// Says that a server's `reset` has to rise above what it was: whoever lowers it, or takes it out, may count on the next one.
fn lower_reset(server: &Server, holding: &Holding<'_>) -> Option<String> {
    let made = holding.container.map(|owned| owned.reset).filter(|made| server.reset < *made)?;
    Some(format!("made by `reset = {made}`: the next one has to be higher"))
}

/// Brings a server back. The mark goes last, so that the next pass repeats this after a crash.
fn resurrect(holding: &Holding<'_>, mut work: Work) -> Work {
    work.action = Action::Resurrect;
    if let Some(stone) = holding.tombstone() {
        let day = stone.removed_at.strftime("%Y-%m-%d");
        work.reasons.insert(0, format!("it was removed on {day} and is in the state repo again"));
    }
    let marks = holding.tombstones.iter();
    work.steps.extend(marks.map(|mark| Step::RemoveVolume { name: mark.volume.to_owned() }));
    work
}

/// Reports that several containers claim to be one server.
pub(super) fn rivalry(id: berth_schema::name::ServerId, holding: &Holding<'_>) -> Obstacle {
    let claimants = holding.claimants();
    Obstacle::new(
        format!("{} containers say that they are server {id}: {}", claimants.len(), claimants.join(", ")),
        "look at them, then remove those that aren't it with `docker rm`",
    )
}

fn limit_reasons(before: Limits, after: Limits) -> Vec<String> {
    use berth_schema::quantity::{Bytes, Cpus};
    let parts = [
        (
            "cpus",
            Cpus::from_nanos(before.nano_cpus).to_string(),
            Cpus::from_nanos(after.nano_cpus).to_string(),
        ),
        ("memory", Bytes::new(before.memory).to_string(), Bytes::new(after.memory).to_string()),
        ("pids", before.pids.to_string(), after.pids.to_string()),
    ];
    let changed = parts.into_iter().filter(|(_, before, after)| before != after);
    let reasons: Vec<String> =
        changed.map(|(what, before, after)| format!("{what} {before} → {after}")).collect();
    if reasons.is_empty() {
        // They differ by less than their text shows.
        return vec![format!("memory {} bytes → {} bytes", before.memory, after.memory)];
    }
    reasons
}
