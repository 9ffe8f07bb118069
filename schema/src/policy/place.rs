//! Place that a refusal points at: a field, or the first difference.

use toml::de::{DeTable, DeValue};

use crate::finding::Position;

/// A file's text before and after a change, as far as they are there and at hand.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Texts<'a> {
    pub(crate) before: Option<&'a str>,
    pub(crate) after: Option<&'a str>,
}

/// The beginning of a file.
const BEGINNING: Position = Position { line: 1, column: 1 };

impl Texts<'_> {
    /// The position of a field's value after the change, or of the first difference if the field isn't there. More than
    /// one key leads into tables, and no key is no field.
    pub(crate) fn place(self, keys: &[&str]) -> Position {
        self.after.and_then(|text| of_field(text, keys)).unwrap_or_else(|| self.first_difference())
    }

    /// The first line that isn't what it was; the beginning of a file that is new, or gone. Where only lines at the end are
    /// gone, the last one that is left.
    fn first_difference(self) -> Position {
        let (Some(before), Some(after)) = (self.before, self.after) else { return BEGINNING };
        let same = before.lines().zip(after.lines()).take_while(|(before, after)| before == after).count();
        let line = (same + 1).min(after.lines().count()).max(1);
        Position { line: u32::try_from(line).unwrap_or(u32::MAX), ..BEGINNING }
    }
}

fn of_field(text: &str, keys: &[&str]) -> Option<Position> {
    let (last, tables) = keys.split_last()?;
    let (document, _) = DeTable::parse_recoverable(text);
    let mut table: &DeTable<'_> = document.get_ref();
    for key in tables {
        table = match table.get(*key)?.get_ref() {
            DeValue::Table(inner) => inner,
            _ => return None,
        };
    }
    table.get(*last).map(|value| Position::of(text, value.span().start))
}
