//! Configurations: put in force when their text isn't the one that was confirmed last.

use berth_schema::State;
use berth_schema::domain::Domain;
use berth_schema::platform::Platform;

use crate::configuration::{ConfigurationSpec, Place};
use crate::desired::Desired;
use crate::diff::draft::{Context, Draft, Obstacle};
use crate::diff::system::Plane;
use crate::inventory::Inventory;
use crate::names::Service;
use crate::observed::{HostRules, ObservedPlane, RunState};
use crate::plane::LISTED;
use crate::render::Kind;
use crate::room::connections;
use crate::step::{Action, Change, Step, Subject};

/// Number of domains that a reason names at most.
const NAMED: usize = 10;

/// Reason for which a confirmed configuration is loaded again.
const ALTERED: &str =
    "what is in force is not what was confirmed: it was changed by hand, or a change was cut off";

pub(super) fn plan(
    desired: &Desired,
    inventory: &Inventory<'_>,
    host: &HostRules,
    context: &Context<'_>,
    draft: &mut Draft,
) {
    for configuration in &desired.configurations {
        let subject = Subject::Configuration(configuration.kind);
        let spec = match &configuration.text {
            Ok(spec) => spec,
            Err(error) => {
                let hint = "mend the template, or take it away so that the built-in one counts; until then the last \
                            configuration stays in force";
                draft.block(subject, Action::Update, Obstacle::new(error.to_string(), hint));
                continue;
            }
        };
        let before = confirmed(spec, inventory, host);
        if before == Some(spec.digest.as_str()) {
            draft.unchanged += 1;
            continue;
        }
        if let Place::Container { container, .. } = &spec.place
            && !runs(container, inventory, draft)
        {
            let obstacle = Obstacle::new(
                format!("the container {container} that reads it doesn't run"),
                "see what is said of that container",
            );
            draft.block(subject, Action::Update, obstacle);
            continue;
        }
        let (action, mut reasons) = match before {
            None if altered(spec, host) => (Action::Update, vec![ALTERED.to_owned()]),
            None => (Action::Create, vec!["none was ever confirmed".to_owned()]),
            Some(_) => (Action::Update, Vec::new()),
        };
        if let (Kind::Sites, Action::Update, Some(previous)) = (configuration.kind, action, context.previous)
        {
            reasons.extend(domain_reasons(previous, desired));
        }
        if reasons.is_empty() {
            reasons.push("its text differs from the one in force".to_owned());
        }
        let change = Change {
            subject,
            action,
            reasons,
            losses: Vec::new(),
            steps: vec![Step::Configure(Box::new(spec.clone()))],
        };
        match configuration.kind {
            Kind::Routes => draft.routes.push(change),
            _ => draft.configurations.push(change),
        }
    }
}

/// Loads confirmed configurations of the gateway again when it works by something else.
///
/// Another configuration may be wanted by now, and may wait or be refused. The confirmed one holds until then.
pub(super) fn reload(
    desired: &Desired,
    inventory: &Inventory<'_>,
    plane: Plane,
    observed: Option<&ObservedPlane>,
    draft: &mut Draft,
) {
    let container = Service::Firewall.container(desired.prefix());
    // One that starts in this pass begins with what was confirmed.
    let starts = plane != Plane::Kept || changes(&container, draft);
    let is_wanted = desired.configurations.iter().any(|configuration| configuration.kind == Kind::Firewall);
    if starts || !is_wanted {
        return;
    }
    let Some(works_by) = observed.and_then(|plane| plane.gateway.as_ref()) else { return };
    let Some(volume) = inventory.volumes.get(container.as_str()) else { return };
    let file = |name: &str| volume.files.get(name);
    let kinds = [
        (Kind::Firewall, Some(&works_by.rules), file(LISTED)),
        (Kind::Dns, works_by.resolver.as_ref(), file(Kind::Dns.file())),
    ];
    let altered: Vec<Kind> = kinds
        .into_iter()
        .filter(|(kind, in_force, confirmed)| file(kind.file()).is_some() && in_force != confirmed)
        .map(|(kind, ..)| kind)
        .collect();
    if altered.is_empty() {
        return;
    }
    draft.system.push(Change {
        subject: Subject::System(container.clone()),
        action: Action::Update,
        reasons: altered.iter().map(|kind| format!("{kind}: {ALTERED}")).collect(),
        losses: Vec::new(),
        steps: altered.into_iter().map(|kind| Step::Reload { kind, container: container.clone() }).collect(),
    });
}

/// Reasons that name the domains that changed since a state was last applied.
fn domain_reasons(previous: &State, desired: &Desired) -> Vec<String> {
    let target = |domain: &Domain| format!("{}, port {}", domain.server, domain.port);
    let now = desired.domains.iter().filter_map(|(name, domain)| match previous.domains.get(name) {
        None => Some(format!("{name} → {}", target(domain))),
        Some(before) if before != domain => Some(match (target(before), target(domain)) {
            (from, to) if from != to => format!("{name}: {from} → {to}"),
            _ => format!("{name} changes"),
        }),
        Some(_) => None,
    });
    let gone = previous.domains.keys().filter(|name| !desired.domains.contains_key(*name));
    let mut reasons: Vec<String> = now.chain(gone.map(|name| format!("{name} goes"))).collect();
    if reasons.len() > NAMED {
        let more = reasons.len() - NAMED;
        reasons.truncate(NAMED);
        reasons.push(format!("and {more} more domains"));
    }
    reasons
}

/// Notes when this plan has servers together have more connections than the kernel's table has room for. What stood before is
/// told by `berth status` and `berth doctor`, and isn't this plan's.
pub(super) fn measure(desired: &Desired, previous: Option<&State>, draft: &mut Draft) {
    let now = (desired.servers.len(), &*desired.platform);
    let before = previous.map(|previous| (previous.servers.len(), &*previous.platform));
    let each = |(servers, platform): (usize, &Platform)| {
        (servers, platform.firewall.connections, platform.services.firewall)
    };
    if before.map(each) == Some(each(now)) {
        return;
    }
    if let Some(excess) = connections(now.0, now.1) {
        draft.note_host("the kernel's table of connections", excess.to_string());
    }
}

/// Removes the chains on the host when they are no longer wanted.
pub(super) fn withdraw(desired: &Desired, observed: &HostRules, draft: &mut Draft) {
    let wanted = desired.configurations.iter().any(|configuration| configuration.kind == Kind::Host);
    if wanted || *observed == HostRules::Absent {
        return;
    }
    draft.configurations.push(Change {
        subject: Subject::Configuration(Kind::Host),
        action: Action::Remove,
        reasons: vec!["the host's rules are not Berth's business any more".to_owned()],
        losses: Vec::new(),
        steps: vec![Step::WithdrawHostRules { platform: desired.prefix().clone() }],
    });
}

/// The digest of the text that was confirmed last.
fn confirmed<'a>(
    spec: &ConfigurationSpec,
    inventory: &'a Inventory<'_>,
    host: &'a HostRules,
) -> Option<&'a str> {
    match &spec.place {
        Place::Container { volume, file, .. } => {
            inventory.volumes.get(volume.as_str())?.files.get(file).map(String::as_str)
        }
        Place::Host { .. } => host.confirmed(),
    }
}

/// Returns whether the host's rules in force aren't the confirmed ones.
fn altered(spec: &ConfigurationSpec, host: &HostRules) -> bool {
    matches!(spec.place, Place::Host { .. }) && *host == HostRules::Altered
}

/// Returns whether a container runs, or will when this plan has been carried out.
fn runs(container: &str, inventory: &Inventory<'_>, draft: &Draft) -> bool {
    let starts = |step: &Step| matches!(step, Step::StartContainer(_) | Step::UnpauseContainer(_));
    draft
        .system
        .iter()
        .filter(|change| is_about(change, container))
        .flat_map(|change| &change.steps)
        .any(starts)
        || inventory.system.get(container).is_some_and(|found| found.container.state == RunState::Running)
}

/// Returns whether this plan starts or changes one of the platform's own containers.
fn changes(container: &str, draft: &Draft) -> bool {
    draft.system.iter().any(|change| is_about(change, container))
}

fn is_about(change: &Change, container: &str) -> bool {
    matches!(&change.subject, Subject::System(name) if name == container)
}
