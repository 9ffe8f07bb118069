//! The field that a finding is about.

use toml::de::DeTable;

use super::read::find;
use super::{Known, of};
use crate::finding::{About, Finding, Position};
use crate::kind::Kind;

/// Returns the field of a file with this text that a finding in it is about; `None` for the file as a whole, or for a part of
/// it that is in no form.
pub fn field_of(kind: Kind, text: &str, finding: &Finding) -> Option<&'static str> {
    let fields = of(kind).iter();
    match &finding.about {
        About::Whole => None,
        About::Field(name) => fields.map(|field| field.name).find(|known| known == name),
        About::Place => {
            let position = finding.position?;
            let (document, _) = DeTable::parse_recoverable(text);
            let is_there = |field: &&Known| {
                let Some((key, value)) = find(document.get_ref(), **field) else { return false };
                let (from, to) = (Position::of(text, key.span().start), Position::of(text, value.span().end));
                (from..to).contains(&position)
            };
            fields.into_iter().find(is_there).map(|field| field.name)
        }
    }
}
