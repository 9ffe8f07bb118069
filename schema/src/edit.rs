//! Edits: one field of one file changes, and everything else in it stays as somebody wrote it.
//!
//! Owns how a typed value becomes text: comments, order and layout of a file survive. An edit names one of the fields
//! that exist, so nobody can write an unknown one. The result is read again, and is handed out only if it says exactly
//! what was meant. A server's id and the name of a file aren't edited: they are permanent.

pub(crate) mod document;
mod domain;
pub(crate) mod list;
pub(crate) mod quoted;
mod server;
mod user;

use std::sync::Arc;

use toml_edit::{DocumentMut, Value};

use crate::edit::document::{put, unset};
use crate::finding::{Finding, Severity};
use crate::parse::Parsed;
use crate::quantity::{Bytes, Cpus};

pub use domain::{DomainEdit, domain, new_domain};
pub use server::{ServerEdit, new_server, server};
pub use user::{QuotaEdit, UserEdit, new_user, user};

/// An edit that isn't made.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub enum EditError {
    /// The file has mistakes already; those come first.
    #[error("{path} has mistakes, and only a good file can be edited")]
    Broken { path: String, findings: Vec<Finding> },
    /// The file would have mistakes.
    #[error("{path} would have mistakes")]
    Refused { path: String, findings: Vec<Finding> },
    /// No text says exactly this, such as a share of a processor finer than a thousandth.
    #[error("{path} can't say exactly what was asked for")]
    Inexact { path: String },
    /// The editor reads the file differently than we do.
    #[error("{path} can't be edited")]
    Unreadable {
        path: String,
        #[source]
        source: toml_edit::TomlError,
    },
}

/// Edit of a user's, a server's or a domain's file.
trait Edit {
    /// Content of a file of the kind.
    type Of: Clone + PartialEq;
    /// Returns the content of a file, if the file is good.
    fn read(parsed: &Parsed) -> Option<&Arc<Self::Of>>;
    /// Makes the edit in the file's content.
    fn apply(&self, value: &mut Self::Of);
    /// Makes the edit in the file's text.
    fn write(&self, document: &mut DocumentMut);
    /// Returns whether the edit takes the field out.
    fn is_unset(&self) -> bool;
}

fn edit<E: Edit>(path: &str, text: &str, edits: &[E]) -> Result<String, EditError> {
    let parsed = Parsed::parse(path, text);
    let Some(before) = E::read(&parsed) else {
        return Err(EditError::Broken { path: path.to_owned(), findings: parsed.findings().to_vec() });
    };
    let unreadable = |source| EditError::Unreadable { path: path.to_owned(), source };
    let mut document: DocumentMut = text.parse().map_err(unreadable)?;
    let mut meant = E::Of::clone(before);
    for edit in edits {
        let had = meant.clone();
        edit.apply(&mut meant);
        // A field that says the same in other words keeps them.
        if edit.is_unset() || had != meant {
            edit.write(&mut document);
        }
    }
    let mut text_after = document.to_string();
    if text.contains("\r\n") {
        text_after = text_after.replace("\r\n", "\n").replace('\n', "\r\n");
    }
    check::<E>(path, text_after, &meant)
}

fn create<E: Edit>(
    path: &str,
    mut document: DocumentMut,
    edits: &[E],
    meant: &E::Of,
) -> Result<String, EditError> {
    for edit in edits {
        edit.write(&mut document);
    }
    check::<E>(path, document.to_string(), meant)
}

/// Hands out the text if it says what was meant.
fn check<E: Edit>(path: &str, text: String, meant: &E::Of) -> Result<String, EditError> {
    let parsed = Parsed::parse(path, &text);
    match E::read(&parsed) {
        Some(said) if **said == *meant => Ok(text),
        Some(_) => Err(EditError::Inexact { path: path.to_owned() }),
        None => {
            let is_error = |finding: &&Finding| finding.severity == Severity::Error;
            let findings = parsed.findings().iter().filter(is_error).cloned().collect();
            Err(EditError::Refused { path: path.to_owned(), findings })
        }
    }
}

fn put_or_unset(document: &mut DocumentMut, table: Option<&str>, field: &str, value: Option<Value>) {
    match value {
        Some(value) => put(document, table, field, value),
        None => unset(document, table, field),
    }
}

/// Processors, as a whole number where it is one.
fn processors(cpus: Cpus) -> Value {
    match cpus.nanos() % 1_000_000_000 {
        // At most 1024, so it fits.
        0 => i64::try_from(cpus.nanos() / 1_000_000_000).unwrap_or(i64::MAX).into(),
        _ => (cpus.nanos() as f64 / 1e9).into(),
    }
}

fn bytes(bytes: Bytes) -> Value {
    bytes.to_string().into()
}
