//! Values of a form, written into the text of a file. Everything else of the text stays as somebody wrote it.

use toml_edit::{DocumentMut, Value};

use super::{Input, Known, Sort, of, read};
use crate::edit::document::{put, put_list, unset};
use crate::edit::list::{Layout, arrange};
use crate::edit::quoted::{plain, quoted};
use crate::kind::Kind;
use crate::name::ServerId;

/// Values that aren't written.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub enum WriteError {
    /// No form of this kind has the field.
    #[error("a form of a {kind} has no field `{name}`")]
    NotAField { kind: Kind, name: String },
    /// The field can't change.
    #[error("`{name}` of a {kind} can't change")]
    Fixed { kind: Kind, name: String },
    /// The file isn't TOML.
    #[error("the file isn't TOML, so no field of it can be written")]
    Unreadable(#[source] Box<toml_edit::TomlError>),
    /// The file has something else where the field would be.
    #[error("`{name}` can't be written into the file as it is")]
    NoPlace { name: String },
}

/// Writes the text of a new file. A server needs an id.
pub fn create(kind: Kind, id: Option<ServerId>, values: &[(&str, Input)]) -> Result<String, WriteError> {
    let mut document = DocumentMut::new();
    if let Some(id) = id {
        put(&mut document, None, "id", i64::from(id.get()).into());
    }
    finish(kind, document, values)
}

/// Writes values into a file's text. Fields that aren't named keep theirs, and a text without a value to write stays as it is.
pub fn write(kind: Kind, text: &str, values: &[(&str, Input)]) -> Result<String, WriteError> {
    if values.is_empty() {
        return Ok(text.to_owned());
    }
    let document: DocumentMut = text.parse().map_err(|error| WriteError::Unreadable(Box::new(error)))?;
    let mut after = finish(kind, document, values)?;
    if text.contains("\r\n") {
        after = after.replace("\r\n", "\n").replace('\n', "\r\n");
    }
    let mark = '\u{feff}';
    if text.starts_with(mark) && !after.starts_with(mark) {
        after.insert(0, mark);
    }
    Ok(after)
}

fn finish(kind: Kind, mut document: DocumentMut, values: &[(&str, Input)]) -> Result<String, WriteError> {
    for (name, _) in values {
        let name = || (*name).to_owned();
        match of(kind).iter().find(|field| field.name == name()) {
            None => return Err(WriteError::NotAField { kind, name: name() }),
            Some(field) if field.sort == Sort::Fixed => return Err(WriteError::Fixed { kind, name: name() }),
            Some(_) => {}
        }
    }
    // In the order of a form, which is that of a new file.
    for field in of(kind) {
        if let Some((_, value)) = values.iter().rev().find(|(name, _)| *name == field.name) {
            put_value(&mut document, *field, &value.normal());
        }
    }
    let text = document.to_string();
    let said = read(kind, &text);
    for (name, value) in values {
        let says_it = said.iter().any(|(field, said)| field == name && said.normal() == value.normal());
        if !says_it {
            return Err(WriteError::NoPlace { name: (*name).to_owned() });
        }
    }
    Ok(text)
}

fn put_value(document: &mut DocumentMut, field: Known, value: &Input) {
    let (table, key) = field.keys();
    let layout = if field.sort == Sort::Lines { Layout::LineEach } else { Layout::OneLine };
    match (value, field.sort) {
        (Input::Unset, _) => unset(document, table, key),
        (Input::Text(text), sort) => put(document, table, key, scalar(text, sort)),
        (Input::List(entries), sort) => {
            let entries: Vec<&str> = entries.iter().map(String::as_str).collect();
            match (sort, table) {
                (Sort::Words | Sort::Lines, None) => put_list(document, key, &entries, layout, str::to_owned),
                // Where one value belongs, the schema refuses a list.
                _ => {
                    let list = arrange(&toml_edit::Array::new(), &entries, Layout::OneLine, str::to_owned);
                    put(document, table, key, Value::Array(list));
                }
            }
        }
    }
}

/// Typed text as a value of the sort that the field wants, or as a text where it is none.
fn scalar(text: &str, sort: Sort) -> Value {
    let is_number = |value: &Value| match sort {
        Sort::Whole => value.is_integer(),
        Sort::Number => value.is_integer() || value.is_float(),
        Sort::Flag => value.is_bool(),
        Sort::Text | Sort::Words | Sort::Lines | Sort::Fixed => false,
    };
    // Without a space, a comment or a bracket, so that it is one value and nothing else.
    let is_one = text.chars().all(|c| c.is_ascii_alphanumeric() || "+-._".contains(c));
    let value = if is_one { text.parse::<Value>().ok().filter(is_number) } else { None };
    value.map_or_else(|| quoted(text), plain)
}
