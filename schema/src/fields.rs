//! Reads a TOML table field by field and records every mistake in it with its place.
//!
//! A reader asks for the fields it knows; whatever is left over is unknown. Every value that is read carries its byte
//! offset, so that a mistake found later, between files, still points at it.

use std::fmt;

use toml::de::{DeTable, DeValue};

use crate::finding::{Collector, Severity};
use crate::invalid::Invalid;
use crate::name::ImageRef;
use crate::strict;
use crate::suggest;
use crate::text::{capital, shown};
use crate::value::Value;

/// A value and the byte offset at which it stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct At<T> {
    pub(crate) value: T,
    pub(crate) at: usize,
}

/// Place of a value, for messages.
#[derive(Clone, Copy)]
enum Place {
    Field(&'static str),
    Entry(&'static str),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(key) => write!(f, "`{key}`"),
            Self::Entry(key) => write!(f, "an entry of `{key}`"),
        }
    }
}

/// One table while it is read.
pub(crate) struct Fields<'a, 'f> {
    /// `None` when the file doesn't have the table: every field is absent then.
    table: Option<&'a DeTable<'a>>,
    /// Words for the table in messages: `a server`, `[acme]`.
    of: &'static str,
    known: Vec<&'static str>,
    /// Fields that are still read and mean nothing: no hint names them.
    obsolete: Vec<&'static str>,
    found: &'f mut Collector<'a>,
}

impl<'a, 'f> Fields<'a, 'f> {
    /// Lets `body` read the fields it knows, and refuses the others.
    pub(crate) fn read<T>(
        table: Option<&'a DeTable<'a>>,
        of: &'static str,
        found: &'f mut Collector<'a>,
        body: impl FnOnce(&mut Fields<'a, '_>) -> T,
    ) -> T {
        let mut fields = Fields { table, of, known: Vec::with_capacity(12), obsolete: Vec::new(), found };
        let result = body(&mut fields);
        fields.refuse_unknown();
        result
    }

    /// Returns whether the file has the table.
    pub(crate) fn is_there(&self) -> bool {
        self.table.is_some()
    }

    /// Returns the collector of the findings.
    pub(crate) fn found(&mut self) -> &mut Collector<'a> {
        self.found
    }

    /// The value of a field that may be absent. `None` too when the value is refused, which is recorded.
    pub(crate) fn optional<T: Value>(&mut self, key: &'static str) -> Option<At<T>> {
        self.optional_if(key, |_| Ok(()))
    }

    /// The value of a field that may be absent and must pass a rule of this field.
    pub(crate) fn optional_if<T: Value>(
        &mut self,
        key: &'static str,
        rule: impl FnOnce(&T) -> Result<(), Invalid>,
    ) -> Option<At<T>> {
        let value = self.take(key)?;
        self.convert(Place::Field(key), value, rule)
    }

    /// The value of a field, without its place.
    pub(crate) fn value<T: Value>(&mut self, key: &'static str) -> Option<T> {
        self.optional(key).map(|found| found.value)
    }

    /// The image that a field names, without its place. What no engine takes is told of.
    pub(crate) fn image(&mut self, key: &'static str) -> Option<ImageRef> {
        let At { value: image, at } = self.optional::<ImageRef>(key)?;
        if let Some(invalid) = strict::of_image(&image) {
            self.found.strict(Some(at), invalid);
        }
        Some(image)
    }

    /// The value of a field that must be there.
    pub(crate) fn required<T: Value>(&mut self, key: &'static str) -> Option<At<T>> {
        if self.table.is_some_and(|table| !table.contains_key(key)) {
            let message = format!("{} needs `{key}`, which is missing", self.of);
            let hint = format!("add `{key}`: write {}", T::WANTED);
            self.found.missing(key, Invalid::new(capital(&message), hint));
        }
        self.optional(key)
    }

    /// The values of a list, empty when it is absent.
    pub(crate) fn list<T: Value>(&mut self, key: &'static str) -> Option<Vec<At<T>>> {
        let value = self.take(key)?;
        let Some(list) = value.get_ref().as_array() else {
            // A key pasted where a list belongs is first of all a key.
            if T::SECRET
                && let Some(Err(invalid)) = T::read(value.get_ref())
            {
                self.found.hide(value.span());
                self.found.error(Some(value.span().start), invalid);
                return None;
            }
            self.wrong_type(Place::Field(key), value, "a list in brackets, such as [\"one\", \"two\"]");
            return None;
        };
        Some(list.iter().filter_map(|element| self.convert(Place::Entry(key), element, |_| Ok(()))).collect())
    }

    /// Lets `body` read a table below this one; when it is absent, every field of it is.
    pub(crate) fn table<T>(
        &mut self,
        key: &'static str,
        of: &'static str,
        body: impl FnOnce(&mut Fields<'a, '_>) -> T,
    ) -> T {
        let value = self.take(key);
        let table = value.and_then(|value| value.get_ref().as_table());
        if let (Some(value), None) = (value, table) {
            self.wrong_type(
                Place::Field(key),
                value,
                "a table: a line `[…]` with the name, and its fields below",
            );
        }
        Fields::read(table, of, self.found, body)
    }

    /// Warns of a field that is still there and has no meaning any more.
    pub(crate) fn obsolete(&mut self, key: &'static str, hint: &'static str) {
        let Some(value) = self.table.and_then(|table| table.get(key)) else { return };
        self.obsolete.push(key);
        let message = format!("`{key}` has no meaning any more");
        self.found.warning(Some(value.span().start), Invalid::new(message, hint));
    }

    fn take(&mut self, key: &'static str) -> Option<&'a toml::Spanned<DeValue<'a>>> {
        self.known.push(key);
        self.table?.get(key)
    }

    fn convert<T: Value>(
        &mut self,
        place: Place,
        value: &toml::Spanned<DeValue<'_>>,
        rule: impl FnOnce(&T) -> Result<(), Invalid>,
    ) -> Option<At<T>> {
        let at = value.span().start;
        let Some(read) = T::read(value.get_ref()) else {
            if T::SECRET {
                self.found.hide(value.span());
            }
            self.wrong_type(place, value, T::WANTED);
            return None;
        };
        match read.and_then(|value| rule(&value).map(|()| value)) {
            Ok(value) => Some(At { value, at }),
            Err(invalid) => {
                if T::SECRET {
                    self.found.hide(value.span());
                }
                self.found.error(Some(at), invalid);
                None
            }
        }
    }

    fn wrong_type(&mut self, place: Place, value: &toml::Spanned<DeValue<'_>>, wanted: &str) {
        let message = format!("{place} can't be {}", type_name(value.get_ref()));
        self.found.error(Some(value.span().start), Invalid::new(message, format!("write {wanted}")));
    }

    fn refuse_unknown(&mut self) {
        let Some(table) = self.table else { return };
        let is_known = |key: &str| self.known.contains(&key) || self.obsolete.contains(&key);
        for (key, value) in table.iter().filter(|(key, _)| !is_known(key.get_ref().as_ref())) {
            // Nobody knows what it holds, and `password = "…"` is an easy slip. (A table's span is its header.)
            if value.span().start >= key.span().end {
                self.found.hide(value.span());
            }
            if self.found.is_full(Severity::Error) {
                continue;
            }
            let name = key.get_ref().as_ref();
            let fields = self.known.iter().map(|known| format!("`{known}`")).collect::<Vec<_>>().join(", ");
            let hint = suggest::hint(name, self.known.iter().copied(), format!("the fields are {fields}"));
            let message = format!("`{}` is not a field of {}", shown(name), self.of);
            self.found.error(Some(key.span().start), Invalid::new(message, hint));
        }
    }
}

fn type_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text in quotes",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
