//! Tables: the files of a kind as rows, found, filtered and sorted.

use std::cmp::Ordering;

use berth_schema::form::path;
use berth_schema::kind::Kind;
use berth_schema::table::{Cell, columns, rows};
use berth_wire::web::{Page, Refusal, Rows, StateTable, TableCell, TableRow, TableSheet};

use super::super::panel::{Asker, Panel};
use super::super::read::page;

/// Makes a table. It reads no git object: everything is in the state that the door has in memory.
pub(crate) fn table(_: &Panel, asker: &Asker, asked: StateTable) -> Result<TableSheet, Refusal> {
    let kind = match asked.kind {
        Rows::Servers => Kind::Server,
        Rows::Users => Kind::User,
        Rows::Domains => Kind::Domain,
    };
    let columns = columns(kind);
    let place = |name: &str| columns.iter().position(|column| column == name);
    let mut unknown = Vec::new();
    let mut having = Vec::new();
    for (name, value) in &asked.having {
        match place(name) {
            Some(place) => having.push((place, value)),
            None => unknown.push(name.clone()),
        }
    }
    let sort = place(&asked.sort);
    if sort.is_none() && !asked.sort.is_empty() {
        unknown.push(asked.sort.clone());
    }
    let search = asked.search.trim().to_lowercase();
    let is_wanted = |row: &Vec<Cell>| {
        let is_found =
            search.is_empty() || row.iter().any(|cell| cell.text().to_lowercase().contains(&search));
        is_found && having.iter().all(|(place, value)| row.get(*place).is_some_and(|cell| cell.is(value)))
    };
    let mut all = rows(asker.state(), kind);
    all.retain(is_wanted);
    if let Some(place) = sort {
        let rank = |row: &Vec<Cell>| row.get(place).map(Cell::rank);
        all.sort_by(|one, other| {
            let order = rank(one).partial_cmp(&rank(other)).unwrap_or(Ordering::Equal);
            if asked.is_falling { order.reverse() } else { order }
        });
    }
    let row = |cells: &Vec<Cell>| TableRow {
        path: cells.first().and_then(|name| path(kind, &name.text()).ok()).unwrap_or_default(),
        cells: cells
            .iter()
            .map(|cell| TableCell { text: cell.text(), is_default: cell.is_default })
            .collect(),
    };
    let rows = match asked.page {
        Some(number) => page(&all, number, row),
        None => {
            let count = u32::try_from(all.len()).unwrap_or(u32::MAX);
            Page { rows: all.iter().map(row).collect(), page: 1, pages: 1, all: count }
        }
    };
    Ok(TableSheet { columns, rows, unknown })
}
