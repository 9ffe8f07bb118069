//! Drift: what somebody changed by hand, as a change of the state repo that would make it last.

use berth_plan::Desired;
use berth_plan::inventory::Inventory;
use berth_schema::edit::{ServerEdit, server as edit};

use super::{cpus, memory, pids, power};

/// Drift of servers, as edits of their files.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Drift {
    /// Path and new text.
    pub files: Vec<(String, String)>,
    /// Differences, a line each.
    pub told: Vec<String>,
    /// Differences that no file can express.
    pub unsaid: Vec<String>,
}

/// Compares the servers with what runs. `text` gives a file's text. Limits and power differ by drift; what is missing or
/// made of another image differs because nobody has applied it yet, and is left to the plan.
pub fn drift(desired: &Desired, inventory: &Inventory<'_>, text: impl Fn(&str) -> Option<String>) -> Drift {
    let mut drift = Drift::default();
    for server in &desired.servers {
        let holding = inventory.servers.get(&server.id);
        let Some(owned) = holding.and_then(|holding| holding.container) else { continue };
        let path = format!("servers/{}.toml", server.name);
        let (wanted, found) = (desired.limits(server), owned.container.limits);
        let mut edits = Vec::new();
        let mut differ = |what: &str, is: String, was: String, edit: Option<ServerEdit>| match edit {
            Some(edit) => {
                drift.told.push(format!("{}: {what} is {is}, and should be {was}", server.name));
                edits.push(edit);
            }
            None => drift.unsaid.push(format!("{}: {what} is {is}, which no file can say", server.name)),
        };
        if let Some(found) = found {
            if found.nano_cpus != wanted.nano_cpus {
                let edit = cpus(found).map(|cpus| ServerEdit::Cpus(Some(cpus)));
                differ("cpus", amount(cpus(found)), amount(cpus(wanted)), edit);
            }
            if found.memory != wanted.memory {
                let edit = memory(found).map(|memory| ServerEdit::Memory(Some(memory)));
                differ("memory", amount(memory(found)), amount(memory(wanted)), edit);
            }
            if found.pids != wanted.pids {
                let edit = pids(found).map(|pids| ServerEdit::Pids(Some(pids)));
                differ("pids", amount(pids(found)), amount(pids(wanted)), edit);
            }
        }
        let is = power(owned.container);
        if is != server.state {
            let word = |state| format!("{state:?}").to_lowercase();
            differ("state", word(is), word(server.state), Some(ServerEdit::State(Some(is))));
        }
        if edits.is_empty() {
            continue;
        }
        match text(&path).map(|text| edit(&server.name, &text, &edits)) {
            Some(Ok(text)) => drift.files.push((path, text)),
            Some(Err(error)) => drift.unsaid.push(berth_fault::chain(&error)),
            None => drift.unsaid.push(format!("{path} can't be read")),
        }
    }
    drift
}

fn amount(amount: Option<impl std::fmt::Display>) -> String {
    amount.map_or_else(|| "without a limit".to_owned(), |amount| amount.to_string())
}
