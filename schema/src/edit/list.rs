//! A list of texts, entry by entry: those that stay keep their place in the layout and their comments.

use toml_edit::{Array, RawString, Value};

use crate::edit::quoted::quoted;

/// Layout of a list that isn't there yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// `["a", "b"]`
    OneLine,
    /// Each entry on a line of its own.
    LineEach,
}

/// An entry and what surrounds it: the comment lines above, and the comment behind it on its line.
struct Entry {
    value: Value,
    above: String,
    behind: String,
}

/// The list with these entries, in this order.
pub(crate) fn arrange(
    before: &Array,
    wanted: &[&str],
    layout: Layout,
    normal: impl Fn(&str) -> String,
) -> Array {
    let mut opening = String::new();
    let mut entries: Vec<Entry> = Vec::new();
    for value in before {
        let (behind, above) = split(&text(value.decor().prefix()));
        match entries.last_mut() {
            Some(last) => last.behind.push_str(&behind),
            None => opening = behind,
        }
        let mut value = value.clone();
        let suffix = text(value.decor().suffix());
        value.decor_mut().clear();
        // Without a comma behind it, the last entry has its comment to itself.
        let behind = if suffix.contains('#') { suffix.trim_end().to_owned() } else { String::new() };
        entries.push(Entry { value, above, behind });
    }
    let (behind, mut closing) = split(&text(Some(before.trailing())));
    match entries.last_mut() {
        Some(last) => last.behind.push_str(&behind),
        None => opening.push_str(&behind),
    }
    let has_comments = !opening.is_empty() || entries.iter().any(|entry| !entry.behind.is_empty());
    let lines = match entries.last() {
        Some(last) => has_comments || last.above.contains('\n') || closing.contains('\n'),
        None => layout == Layout::LineEach || has_comments,
    };
    let indent =
        entries.iter().rev().find_map(|entry| Some(entry.above[entry.above.rfind('\n')?..].to_owned()));
    let indent = indent.unwrap_or_else(|| "\n    ".to_owned());
    let mut after: Vec<Entry> = Vec::with_capacity(wanted.len());
    for text in wanted {
        let is_it = |entry: &Entry| entry.value.as_str().is_some_and(|value| normal(value) == normal(text));
        let kept = entries.iter().position(is_it).map(|at| entries.remove(at));
        let new = || Entry {
            value: quoted(text),
            above: if lines { indent.clone() } else { String::new() },
            behind: String::new(),
        };
        after.push(kept.unwrap_or_else(new));
    }
    if lines && !closing.contains('\n') {
        closing = "\n".to_owned();
    }
    put_together(after, opening, closing, if lines { Layout::LineEach } else { Layout::OneLine })
}

fn put_together(entries: Vec<Entry>, opening: String, closing: String, layout: Layout) -> Array {
    let mut array = Array::new();
    let mut pending = opening;
    for (number, Entry { mut value, above, behind }) in entries.into_iter().enumerate() {
        let above = match (layout, number) {
            (Layout::LineEach, _) => above,
            (Layout::OneLine, 0) => String::new(),
            (Layout::OneLine, _) => " ".to_owned(),
        };
        value.decor_mut().set_prefix(join(&pending, &above));
        array.push_formatted(value);
        pending = behind;
    }
    array.set_trailing(join(&pending, if layout == Layout::LineEach { &closing } else { "" }));
    array.set_trailing_comma(layout == Layout::LineEach);
    array
}

/// Joins a comment and the text behind it, on a new line where the comment needs one.
fn join(comment: &str, rest: &str) -> String {
    match comment.contains('#') && !rest.starts_with(['\n', '\r']) {
        true => format!("{comment}\n{rest}"),
        false => format!("{comment}{rest}"),
    }
}

/// Splits the text between two entries into the comment behind the first and the text above the second.
fn split(between: &str) -> (String, String) {
    let line = between.find('\n').unwrap_or(between.len());
    match between[..line].contains('#') {
        true => (between[..line].trim_end().to_owned(), between[line..].to_owned()),
        false => (String::new(), between.to_owned()),
    }
}

/// Returns the text before or behind something in a document.
pub(crate) fn text(raw: Option<&RawString>) -> String {
    raw.and_then(RawString::as_str).unwrap_or_default().to_owned()
}
