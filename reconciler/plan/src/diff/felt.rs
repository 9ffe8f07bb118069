//! Words for what people notice when one of the platform's own containers ends: a plan says so before it is carried out.

use crate::desired::Desired;
use crate::inventory::Inventory;
use crate::names::{Service, holder};
use crate::observed::Sessions;
use crate::step::Step;

/// Number of people who are named at most.
const NAMED: usize = 10;

/// Says what people notice of these steps on a container; `None` where nobody does.
pub(super) fn felt(
    container: &str,
    steps: &[Step],
    desired: &Desired,
    inventory: &Inventory<'_>,
) -> Option<String> {
    let runs = inventory.system.get(container)?.container.state.has_namespaces();
    let ends = steps.iter().any(|step| matches!(step, Step::StopContainer { .. }));
    if !(runs && ends) {
        return None;
    }
    let prefix = desired.prefix();
    let is = |service: Service| service.container(prefix) == container;
    if is(Service::Router) {
        Some(sessions(inventory.sessions))
    } else if is(Service::Caddy) {
        Some("visitors' connections end, WebSockets too".to_owned())
    } else if is(Service::Cache) {
        Some("downloads from the image cache break off".to_owned())
    } else if is(Service::Firewall) {
        Some("names aren't answered for a moment; servers' connections go on".to_owned())
    } else if container == holder(prefix) {
        Some("every server is cut off until it is back".to_owned())
    } else {
        None
    }
}

fn sessions(known: Option<&Sessions>) -> String {
    let Some(Sessions(people)) = known else { return "every open SSH session ends".to_owned() };
    let count: u64 = people.values().map(|sessions| u64::from(*sessions)).sum();
    let names: Vec<&str> = people.keys().map(String::as_str).take(NAMED).collect();
    let mut who = names.join(", ");
    if people.len() > NAMED {
        who = format!("{who} and {} more people", people.len() - NAMED);
    }
    match count {
        0 => "nobody has an SSH session open".to_owned(),
        1 => format!("1 SSH session ends ({who})"),
        _ => format!("{count} SSH sessions end ({who})"),
    }
}
