//! Where a field stands in a file's text, so that a refusal can point at it.

use toml::de::{DeTable, DeValue};

use crate::finding::Position;

/// The position of a field's value; `None` where the text doesn't have it. More than one key leads into tables.
pub(crate) fn of_field(text: Option<&str>, keys: &[&str]) -> Option<Position> {
    let text = text?;
    let (document, _) = DeTable::parse_recoverable(text);
    let (last, tables) = keys.split_last()?;
    let mut table: &DeTable<'_> = document.get_ref();
    for key in tables {
        table = match table.get(*key)?.get_ref() {
            DeValue::Table(inner) => inner,
            _ => return None,
        };
    }
    table.get(*last).map(|value| Position::of(text, value.span().start))
}
