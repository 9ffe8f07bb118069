//! The tables of `docs/architecture.md`.

use std::collections::BTreeMap;

/// A row: its cells, by the names of their columns.
pub type Row = BTreeMap<String, String>;

/// Returns the rows of the first table below a heading.
pub fn table(page: &str, heading: &str) -> Vec<Row> {
    let below = page.lines().skip_while(|line| *line != heading).skip(1);
    let mut lines = below.skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let columns = lines.next().map(cells).unwrap_or_default();
    let row = |line: &str| columns.iter().cloned().zip(cells(line)).collect();
    lines.skip(1).map(row).collect()
}

fn cells(line: &str) -> Vec<String> {
    line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
}

/// Returns the words of a cell, which stand between commas.
pub fn words(row: &Row, column: &str) -> Vec<String> {
    let cell = row.get(column).map(String::as_str).unwrap_or_default();
    cell.split(',')
        .map(|word| word.trim().trim_matches('`').to_owned())
        .filter(|word| !word.is_empty())
        .collect()
}
