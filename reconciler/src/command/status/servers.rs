//! The servers of a status, in a table that ends.

use std::collections::HashMap;

use berth_schema::quantity::{Bytes, Cpus};
use berth_schema::text::safe;
use berth_wire::figures::Sample;
use berth_wire::status::{ServerRow, Status, TombstoneRow, word};
use comfy_table::{Table, presets};

/// Use of the servers, by id, where it is known.
pub(super) type Used = HashMap<u32, Sample>;

/// Digits of a revision that are shown of a removal. `retention.ended` wants no more.
const REVISION_DIGITS: usize = 10;

/// Rows in a brief status.
const SERVERS: usize = 30;
const TOMBSTONES: usize = 10;

/// Extent of the status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Length {
    /// Two screens: servers that aren't as they should be come first, and the others are counted.
    Brief,
    /// Everything.
    Whole,
}

/// The servers in a table, with what they use of what they may, and those that were removed.
pub(super) fn servers(status: &Status, used: &Used, length: Length) -> String {
    let mut rows: Vec<&ServerRow> = status.servers.iter().collect();
    let mut stones: Vec<_> = status.tombstones.iter().collect();
    let mut more = Vec::new();
    if length == Length::Brief && rows.len() > SERVERS {
        // Those that need somebody come first.
        rows.sort_by_key(|row| row.is_as_wanted());
        let (all, wrong) = (rows.len(), rows.iter().filter(|row| !row.is_as_wanted()).count());
        rows.truncate(SERVERS);
        more.push(format!(
            "… and {} more servers, {all} in all, {wrong} not as they should be",
            all - SERVERS
        ));
    }
    if length == Length::Brief && stones.len() > TOMBSTONES {
        more.push(format!("… and {} more tombstones, {} in all", stones.len() - TOMBSTONES, stones.len()));
        stones.truncate(TOMBSTONES);
    }
    if !more.is_empty() {
        more.push("`berth status --all` shows every one".to_owned());
    }
    [table(&rows, &stones, used)].into_iter().chain(more).collect::<Vec<_>>().join("\n")
}

fn table(rows: &[&ServerRow], stones: &[&TombstoneRow], used: &Used) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(["ID", "SERVER", "OWNER", "WANTED", "IS", "CPUS", "MEMORY", "IMAGE"]);
    for row in rows {
        let (cpus, memory) = (Cpus::from_nanos(row.nano_cpus), Bytes::new(row.memory));
        let (cpus, memory) = match used.get(&row.id) {
            Some(used) => (
                format!("{:.2} of {cpus}", f64::from(used.cpu_millis) / 1000.0),
                format!("{} MiB of {memory}", used.memory >> 20),
            ),
            None => (cpus.to_string(), memory.to_string()),
        };
        table.add_row([
            row.id.to_string(),
            safe(&row.name),
            safe(&row.owner),
            word(Some(row.wanted_state())).to_owned(),
            word(row.actual).to_owned(),
            cpus,
            memory,
            safe(&row.image),
        ]);
    }
    for row in stones {
        let until = row.purge_after.strftime("%Y-%m-%d");
        let by =
            row.revision.get(..REVISION_DIGITS).map(|digits| format!(" by {digits}")).unwrap_or_default();
        let state = format!("removed{}, kept until {until}", safe(&by));
        let (name, owner) = (safe(&row.name), safe(&row.owner));
        table.add_row([&row.id.to_string(), &name, &owner, &state, "tombstone", "", "", ""]);
    }
    table.trim_fmt()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]
mod tests {
    use berth_plan::observed::RunState;

    use super::super::tests::status;
    use super::*;

    #[test]
    fn a_server_that_runs_is_told_with_what_it_uses() {
        let mut status = status("shop");
        status.servers[0] =
            ServerRow { nano_cpus: 500_000_000, memory: 1 << 30, ..status.servers[0].clone() };
        let sample =
            Sample { cpu_millis: 250, memory: 200 << 20, processes: 7, network: None, io: None, disk: None };
        let shown = servers(&status, &Used::from([(1, sample)]), Length::Brief);
        assert!(shown.contains("0.25 of 0.5") && shown.contains("200 MiB of 1 GiB"), "{shown}");
        let shown = servers(&status, &Used::new(), Length::Brief);
        assert!(!shown.contains(" of "), "{shown}");
    }

    #[test]
    fn many_servers_are_counted_and_those_that_need_somebody_come_first() {
        let mut status = status("shop");
        let row = status.servers[0].clone();
        status.servers = (1..=1000)
            .map(|id| ServerRow {
                id,
                name: format!("s{id}"),
                actual: Some(if id == 777 { RunState::Exited } else { RunState::Running }),
                ..row.clone()
            })
            .collect();
        let brief = servers(&status, &Used::new(), Length::Brief);
        assert!(brief.lines().count() < 50 && brief.contains("s777"), "{brief}");
        assert!(brief.contains("970 more servers, 1000 in all, 1 not as they should be"), "{brief}");
        assert_eq!(servers(&status, &Used::new(), Length::Whole).matches("s777").count(), 1);
        assert_eq!(servers(&status, &Used::new(), Length::Whole).lines().count(), 1002);
    }
}
