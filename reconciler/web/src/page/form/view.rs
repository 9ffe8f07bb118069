//! A field as a page shows it: with its value, its mistakes, and somebody else's value where both have changed it.

use berth_wire::web::{Field, FieldFinding, Input};
use serde::Serialize;

use super::sent::{resolved, text_of};
use super::shape::{Control, Place, Shape};
use crate::visitor::Sent;

/// The file that a form is about.
#[derive(Debug, Clone, Copy)]
pub(super) struct File<'a> {
    /// Values of its fields.
    pub(super) fields: &'a [Field],
    /// Set if it isn't there yet.
    pub(super) is_new: bool,
    /// Set if it is changed field by field.
    pub(super) has_fields: bool,
}

/// A field as its template shows it.
#[derive(Debug, Serialize)]
pub(crate) struct View<'a> {
    pub(crate) name: &'static str,
    pub(crate) id: String,
    pub(crate) label: &'static str,
    help: &'static str,
    kind: &'static str,
    value: String,
    /// Value that the form came with, as it travels.
    was: Option<String>,
    placeholder: String,
    choices: Vec<Choice>,
    pub(crate) findings: Vec<&'a FieldFinding>,
    /// Set if one of the findings forbids the change.
    wrong: bool,
    required: bool,
    pub(crate) folded: bool,
    short: bool,
    /// Set if somebody has given it another value than the file has.
    pub(crate) is_touched: bool,
    /// Value that somebody else has given it meanwhile.
    theirs: Option<Theirs>,
}

#[derive(Debug, Serialize)]
struct Choice {
    value: String,
    label: String,
}

#[derive(Debug, Serialize)]
struct Theirs {
    text: String,
    /// The value as it travels.
    json: String,
}

impl<'a> View<'a> {
    /// The field as it is in `file`, unless it was sent.
    pub(super) fn of(
        shape: &'static Shape,
        file: &File<'_>,
        sent: &Sent,
        findings: &'a [FieldFinding],
        conflicts: &[Field],
    ) -> Self {
        let known = file.fields.iter().find(|field| field.name == shape.name);
        let (was, now) = resolved(shape, sent).unwrap_or_else(|| {
            let value = known.map_or(Input::Unset, |field| field.value.clone());
            // A new file has nothing yet, whatever the form suggests.
            let was = if file.is_new { Input::Unset } else { value.clone() };
            (was, value)
        });
        let theirs = conflicts.iter().find(|field| field.name == shape.name);
        let theirs = theirs.map(|field| Theirs { text: text_of(&field.value), json: json(&field.value) });
        let findings: Vec<_> =
            findings.iter().filter(|finding| finding.field.as_deref() == Some(shape.name)).collect();
        let default = known.map(|field| field.default.as_str()).unwrap_or_default();
        let value = text_of(&now);
        Self {
            name: shape.name,
            id: format!("f-{}", shape.name.replace('.', "-")),
            label: shape.label,
            help: shape.help,
            kind: match shape.control {
                _ if shape.place == Place::Carried => "carried",
                Control::Line | Control::Amount => "line",
                Control::Number => "number",
                Control::List => "list",
                Control::Choice(_) => "choice",
                Control::Text => "text",
            },
            was: (file.has_fields && shape.name != "name").then(|| json(&was)),
            placeholder: default.to_owned(),
            choices: choices(shape.control, default, &value),
            wrong: findings.iter().any(|finding| finding.is_error),
            findings,
            required: shape.place == Place::Needed,
            folded: shape.place == Place::Folded,
            short: matches!(shape.control, Control::Amount | Control::Number),
            is_touched: sent.get(shape.name).is_some()
                && now != known.map_or(Input::Unset, |field| field.value.clone()),
            value,
            theirs,
        }
    }
}

/// Choices of a field: nothing, which is the default; each value; and a value of the file that is none of them.
fn choices(control: Control, default: &str, value: &str) -> Vec<Choice> {
    let Control::Choice(values) = control else { return Vec::new() };
    let words = |value: &str| values.iter().find(|(found, _)| *found == value).map(|(_, words)| *words);
    let nothing = match words(default) {
        Some(words) => format!("{words} (the default)"),
        None => "The default".to_owned(),
    };
    let mut choices = vec![Choice { value: String::new(), label: nothing }];
    choices.extend(
        values.iter().map(|(value, words)| Choice { value: (*value).to_owned(), label: (*words).to_owned() }),
    );
    if !value.is_empty() && words(value).is_none() {
        choices.push(Choice { value: value.to_owned(), label: value.to_owned() });
    }
    choices
}

fn json(value: &Input) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
