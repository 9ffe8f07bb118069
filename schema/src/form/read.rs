//! Values of a file, as a form shows them.

use serde::Serialize;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::{Field, Input, Known, of};
use crate::backup::Pause;
use crate::domain::{DomainAccess, Tls};
use crate::kind::Kind;
use crate::platform::Platform;
use crate::server::PowerState;
use crate::user::Role;

/// Reads the fields of a file from its text, in the order of a form: each with its value as it is written there, and with the
/// one that holds without it. What can't be read of a broken file is unset.
pub fn fields(kind: Kind, text: &str, platform: &Platform) -> Vec<Field> {
    let field = |(name, value): (&'static str, Input)| Field {
        name: name.to_owned(),
        value,
        default: default(kind, name, platform),
    };
    read(kind, text).into_iter().map(field).collect()
}

/// Reads the values of a file's fields, in the order of a form.
pub fn read(kind: Kind, text: &str) -> Vec<(&'static str, Input)> {
    let (document, _) = DeTable::parse_recoverable(text);
    let value = |field: &Known| {
        find(document.get_ref(), *field).map_or(Input::Unset, |(_, value)| input(text, value))
    };
    of(kind).iter().map(|field| (field.name, value(field))).collect()
}

/// Finds a field in a document: its key and its value.
pub(super) fn find<'d, 'i>(
    document: &'d DeTable<'i>,
    field: Known,
) -> Option<(&'d Spanned<DeString<'i>>, &'d Spanned<DeValue<'i>>)> {
    let (table, key) = field.keys();
    let table = match table {
        Some(table) => document.get(table)?.get_ref().as_table()?,
        None => document,
    };
    table.get_key_value(key)
}

fn input(text: &str, value: &Spanned<DeValue<'_>>) -> Input {
    match value.get_ref() {
        DeValue::Array(entries) => Input::List(entries.iter().map(|entry| scalar(text, entry)).collect()),
        _ => Input::Text(scalar(text, value)),
    }
}

/// A value in the words of the file, without quotes.
fn scalar(text: &str, value: &Spanned<DeValue<'_>>) -> String {
    match value.get_ref() {
        DeValue::String(string) => string.to_string(),
        _ => text.get(value.span()).unwrap_or_default().to_owned(),
    }
}

/// The value that holds while the file doesn't have the field; empty for none.
pub(crate) fn default(kind: Kind, name: &str, platform: &Platform) -> String {
    let (defaults, quota) = (&platform.defaults, &platform.quota);
    match (kind, name) {
        (Kind::Server, "state") => written(&PowerState::default()),
        (Kind::Server, "cpus") => defaults.cpus.to_string(),
        (Kind::Server, "memory") => defaults.memory.to_string(),
        (Kind::Server, "pids") => defaults.pids.to_string(),
        (Kind::Server, "disk") => defaults.disk.to_string(),
        (Kind::Server, "image") => platform.images.server.to_string(),
        (Kind::Server, "backup.enabled") => true.to_string(),
        (Kind::Server, "backup.pause") => written(&Pause::default()),
        (Kind::Domain, "port") => crate::domain::http().to_string(),
        (Kind::Domain, "tls") => written(&Tls::default()),
        (Kind::Domain, "access") => written(&DomainAccess::default()),
        (Kind::Domain, "cloudflare") => false.to_string(),
        (Kind::User, "role") => written(&Role::default()),
        (Kind::User, "quota.servers") => quota.servers.to_string(),
        (Kind::User, "quota.cpus") => quota.cpus.to_string(),
        (Kind::User, "quota.memory") => quota.memory.to_string(),
        (Kind::User, "quota.pids") => quota.pids(defaults.pids).to_string(),
        (Kind::User, "quota.disk") => quota.disk.to_string(),
        (Kind::User, "quota.domains") => quota.domains.to_string(),
        (Kind::User, "quota.certificates") => quota.certificates.to_string(),
        (Kind::User, "quota.custom_domains") => quota.custom_domains.to_string(),
        _ => String::new(),
    }
}

/// The name of an enum's variant, as files have it.
fn written(variant: &impl Serialize) -> String {
    match serde_json::to_value(variant) {
        Ok(serde_json::Value::String(name)) => name,
        _ => String::new(),
    }
}
