//! Values that a form sends, as a change of fields.

use berth_wire::web::{FieldEdit, Input};

use super::shape::{Control, Place, Shape};
use crate::visitor::Sent;

/// The edit of a field that was sent; `None` where the form didn't have it.
pub(super) fn edit(shape: &Shape, sent: &Sent) -> Option<FieldEdit> {
    // The name of a new file isn't in it, and a typed confirmation is nothing of it.
    if matches!(shape.name, "name" | "confirm") {
        return None;
    }
    let (was, now) = resolved(shape, sent)?;
    Some(FieldEdit { name: shape.name.to_owned(), was, now })
}

/// The value that a field came with and the one that was sent, once somebody has chosen where both differ.
pub(super) fn resolved(shape: &Shape, sent: &Sent) -> Option<(Input, Input)> {
    let now = read(shape.control, sent.get(shape.name)?);
    let kept = |prefix: &str| {
        let text = sent.get(&format!("{prefix}.{}", shape.name))?;
        serde_json::from_str::<Input>(text).ok()
    };
    let was = kept("was").unwrap_or(Input::Unset);
    let (was, now) = match (sent.get(&format!("pick.{}", shape.name)), kept("main")) {
        (Some("mine"), Some(main)) => (main, now),
        (Some("theirs"), Some(main)) => (main.clone(), main),
        // Nobody has chosen, so the door finds the same again.
        _ => (was, now),
    };
    // A value that wasn't touched goes back as it came.
    let is_same = shape.place != Place::Carried && text_of(&now) == text_of(&was);
    Some(if is_same { (was.clone(), was) } else { (was, now) })
}

/// A value as somebody typed it.
fn read(control: Control, typed: &str) -> Input {
    let typed = lines(typed);
    match control {
        Control::List => {
            let entries: Vec<String> =
                typed.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
            if entries.is_empty() { Input::Unset } else { Input::List(entries) }
        }
        Control::Text => Input::Text(typed),
        _ if typed.trim().is_empty() => Input::Unset,
        _ => Input::Text(typed.trim().to_owned()),
    }
}

/// A value as somebody would type it.
pub(super) fn text_of(value: &Input) -> String {
    match value {
        Input::Unset => String::new(),
        Input::Text(text) => text.clone(),
        Input::List(entries) => entries.join("\n"),
    }
}

/// Text with the line ends of a file: browsers send others.
pub(super) fn lines(text: &str) -> String {
    text.replace("\r\n", "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMORY: Shape =
        Shape { name: "memory", label: "Memory", help: "", control: Control::Amount, place: Place::Open };
    const MEMBERS: Shape =
        Shape { name: "members", label: "Members", help: "", control: Control::List, place: Place::Open };

    fn sent(pairs: &[(&str, &str)]) -> Sent {
        Sent(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    fn text(text: &str) -> Input {
        Input::Text(text.to_owned())
    }

    #[test]
    fn a_field_that_was_not_sent_is_no_edit() {
        assert_eq!(edit(&MEMORY, &sent(&[("cpus", "1")])), None);
    }

    #[test]
    fn an_untouched_value_goes_back_as_it_came() {
        let was = r#"{"list":["bob","cy"]}"#;
        let edit = edit(&MEMBERS, &sent(&[("members", "bob\r\ncy\r\n"), ("was.members", was)])).unwrap();
        assert_eq!(edit.was, edit.now);
        assert_eq!(edit.now, Input::List(vec!["bob".to_owned(), "cy".to_owned()]));
    }

    #[test]
    fn an_emptied_field_is_unset() {
        let edit = edit(&MEMORY, &sent(&[("memory", "  "), ("was.memory", r#"{"text":"2GiB"}"#)])).unwrap();
        assert_eq!((edit.was, edit.now), (text("2GiB"), Input::Unset));
    }

    #[test]
    fn where_both_changed_it_the_choice_decides() {
        let both =
            [("memory", "2GiB"), ("was.memory", r#"{"text":"1GiB"}"#), ("main.memory", r#"{"text":"4GiB"}"#)];
        let pick = |pick| resolved(&MEMORY, &sent(&[&both[..], pick].concat())).unwrap();
        assert_eq!(pick(&[("pick.memory", "mine")]), (text("4GiB"), text("2GiB")));
        assert_eq!(pick(&[("pick.memory", "theirs")]), (text("4GiB"), text("4GiB")));
        assert_eq!(pick(&[]), (text("1GiB"), text("2GiB")), "without a choice it is a conflict again");
    }
}
