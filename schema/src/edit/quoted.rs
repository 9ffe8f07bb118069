//! A text as a TOML string that stays on one line, whatever is in it.

use std::fmt::Write as _;

use toml_edit::Value;

use crate::text::is_invisible;

/// The text as a value. Characters that nobody would see are escaped, so that the file shows them and no line breaks in two.
pub(crate) fn quoted(text: &str) -> Value {
    if !text.contains(is_invisible) {
        return text.into();
    }
    let mut literal = String::with_capacity(text.len() + 16);
    literal.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => literal.extend(['\\', c]),
            // A `String` takes everything.
            c if is_invisible(c) => _ = write!(literal, "\\U{:08X}", u32::from(c)),
            c => literal.push(c),
        }
    }
    literal.push('"');
    literal.parse().map_or_else(|_| text.into(), plain)
}

/// The value without the spaces that it was read with.
pub(crate) fn plain(mut value: Value) -> Value {
    value.decor_mut().clear();
    value
}
