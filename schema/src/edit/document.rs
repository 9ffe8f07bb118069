//! One field of a TOML document: put in place, or taken out, with the comments around it kept.

use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, TableLike, Value};

use crate::edit::list::{Layout, arrange, text};

/// Gives a field of the document, or of a table in it, a value.
pub(crate) fn put(document: &mut DocumentMut, table: Option<&str>, field: &str, value: Value) {
    if let Some(table) = table {
        // A table may be written with a header, in braces or with dots.
        let item = document.entry(table).or_insert_with(|| Item::Table(Table::new()));
        if let Some(table) = item.as_inline_table_mut().filter(|table| !table.contains_key(field)) {
            put_last(table, field, value);
        } else if let Some(table) = item.as_table_like_mut() {
            put_in(table, field, value);
        }
        return;
    }
    if document.contains_key(field) {
        put_in(document.as_table_mut(), field, value);
        return;
    }
    let has_fields = document.iter().any(|(_, item)| item.is_value() || is_dotted(item));
    document.insert(field, Item::Value(value));
    if !has_fields {
        // What stands above the first field stays above it.
        let heading = take_heading(document, field);
        if let Some(mut key) = document.key_mut(field).filter(|_| !heading.is_empty()) {
            key.leaf_decor_mut().set_prefix(heading);
        }
    }
}

fn put_in(table: &mut dyn TableLike, field: &str, value: Value) {
    match table.get_mut(field).and_then(Item::as_value_mut) {
        Some(old) => {
            // The spaces before a value and the comment behind it belong to the line, not to the value.
            let decor = old.decor().clone();
            *old = value;
            *old.decor_mut() = decor;
        }
        None => _ = table.insert(field, Item::Value(value)),
    }
}

/// Adds a field to a table in braces. The space before the closing brace is the last value's.
fn put_last(table: &mut InlineTable, field: &str, mut value: Value) {
    let mut space = String::new();
    if let Some((_, last)) = table.iter_mut().last() {
        space = text(last.decor().suffix());
        last.decor_mut().set_suffix("");
    }
    value.decor_mut().set_prefix(" ");
    value.decor_mut().set_suffix(space);
    table.insert(field, value);
}

/// Gives a field a list of texts; those that are in it already stay as they are written. `normal` says when two mean the
/// same. An empty list takes the field out.
pub(crate) fn put_list(
    document: &mut DocumentMut,
    field: &str,
    wanted: &[&str],
    layout: Layout,
    normal: impl Fn(&str) -> String,
) {
    if wanted.is_empty() {
        return unset(document, None, field);
    }
    let before = document.get(field).and_then(Item::as_array).cloned();
    let after = arrange(&before.unwrap_or_else(Array::new), wanted, layout, normal);
    put(document, None, field, Value::Array(after));
}

/// Takes a field out. A comment on its line goes with it; those above it stay.
pub(crate) fn unset(document: &mut DocumentMut, table: Option<&str>, field: &str) {
    let mut orphans = String::new();
    match table {
        None => {
            let next = next_field(document.as_table(), field);
            if let Some((key, _)) = document.remove_entry(field) {
                orphans = text(key.leaf_decor().prefix());
            }
            if let Some(next) = next.filter(|_| orphans.contains('#')) {
                adopt(document.as_table_mut(), &next, &mut orphans);
            }
        }
        Some(table) => match document.get_mut(table) {
            Some(Item::Table(table)) => {
                let next = next_field(table, field);
                if let Some((key, _)) = table.remove_entry(field) {
                    orphans = text(key.leaf_decor().prefix());
                }
                if let Some(next) = next.filter(|_| orphans.contains('#')) {
                    adopt(table, &next, &mut orphans);
                }
            }
            Some(item) => {
                if let Some(table) = item.as_table_like_mut() {
                    table.remove(field);
                }
            }
            None => {}
        },
    }
    if orphans.contains('#') {
        let trailing = orphans + &text(Some(document.trailing()));
        document.set_trailing(trailing);
    }
}

fn next_field(table: &Table, field: &str) -> Option<String> {
    let mut fields = table.iter().map(|(key, _)| key).skip_while(|key| *key != field);
    fields.nth(1).map(str::to_owned)
}

/// Puts comments above a field, or above a table's header.
fn adopt(table: &mut Table, field: &str, orphans: &mut String) {
    let has_header = |item: &Item| item.as_table().is_some_and(|table| !table.is_dotted());
    if table.get(field).is_some_and(has_header) {
        if let Some(inner) = table.get_mut(field).and_then(Item::as_table_mut) {
            let prefix = std::mem::take(orphans) + &text(inner.decor().prefix());
            inner.decor_mut().set_prefix(prefix);
        }
        return;
    }
    if let Some(inner) = table.get_mut(field).and_then(Item::as_table_mut) {
        let first = inner.iter().next().map(|(key, _)| key.to_owned());
        if let Some(first) = first {
            adopt(inner, &first, orphans);
        }
        return;
    }
    if let Some(mut key) = table.key_mut(field) {
        let prefix = std::mem::take(orphans) + &text(key.leaf_decor().prefix());
        key.leaf_decor_mut().set_prefix(prefix);
    }
}

/// Takes what stands at the very top of a document without fields: all of its comments where there is nothing else, or the
/// lines for editors (`#:schema …`) above its first table.
fn take_heading(document: &mut DocumentMut, besides: &str) -> String {
    let first = document.iter().map(|(key, _)| key.to_owned()).find(|key| key != besides);
    let Some(table) = first.and_then(|first| document.get_mut(&first)?.as_table_mut()) else {
        let heading = text(Some(document.trailing()));
        document.set_trailing("");
        return match heading.is_empty() || heading.ends_with('\n') {
            true => heading,
            false => heading + "\n",
        };
    };
    let prefix = text(table.decor().prefix());
    let end: usize =
        prefix.split_inclusive('\n').take_while(|line| line.starts_with("#:")).map(str::len).sum();
    table.decor_mut().set_prefix(&prefix[end..]);
    prefix[..end].to_owned()
}

fn is_dotted(item: &Item) -> bool {
    item.as_table().is_some_and(Table::is_dotted)
}
