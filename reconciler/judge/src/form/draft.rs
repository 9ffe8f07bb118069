//! From a form to the text of a file: what a change writes on top of `main`, field by field.
//!
//! Fields that somebody left alone keep what `main` has by now. A field that changed there as well as here is a conflict,
//! which only a person can settle.

use std::num::NonZeroU32;

use berth_repo::Edit;
use berth_schema::form::{self, FieldEdit, Input, WriteError};
use berth_schema::name::{Invalid, ServerId, UserName};
use berth_schema::{Kind, Parsed, State};
use berth_wire::web::{Change, Deed, FieldFinding, Object};

use super::blame::blame;
use super::drafted::{Draft, Drafted, Settled};
use super::error::FormError;
use super::ground::Ground;
use super::tell::{OwnFile, at_field, error_at, fields_change, summary};
use super::text::{by_path, rewrite};
use crate::outgoing;

/// Writes down what a change does. `state` is that of `main`.
pub(super) fn draft(ground: &Ground<'_>, state: &State, change: &Change) -> Result<Drafted, FormError> {
    let (kind, name) = match &change.of {
        Object::Server(name) => (Kind::Server, name.as_str()),
        Object::Domain(name) => (Kind::Domain, name.as_str()),
        Object::User(name) => (Kind::User, name.as_str()),
        Object::Platform => (Kind::Platform, ""),
        Object::File(path) => return by_path(ground, path, &change.deed),
        Object::Doc(_) => return Err(FormError::Unfit { what: "a page".to_owned() }),
    };
    if kind == Kind::User && !ground.is_admin() && name != ground.author.name.as_str() {
        return Err(FormError::NotYours { what: "that user's file".to_owned() });
    }
    let missing = || FormError::NotFound { what: format!("such {kind}") };
    let path = match (form::path(kind, name), &change.deed) {
        (Ok(path), _) => path,
        (Err(invalid), Deed::Create { .. }) => {
            return Ok(Settled::refused(vec![error_at(Some("name"), &invalid)]).into());
        }
        (Err(_), _) => return Err(missing()),
    };
    let text = ground.text(&path)?;
    match (&change.deed, kind) {
        (Deed::Create { .. } | Deed::Edit { .. } | Deed::Remove, Kind::Platform)
        | (Deed::Write { .. }, Kind::Server | Kind::Domain | Kind::User)
        | (Deed::Put { .. } | Deed::Move { .. }, _) => Err(FormError::Unfit { what: format!("a {kind}") }),
        (Deed::Create { fields }, _) => match text {
            Some(_) => {
                let invalid = Invalid::new(format!("`{path}` is there already"), "choose another name");
                Ok(Settled::refused(vec![error_at(Some("name"), &invalid)]).into())
            }
            None => create(ground, state, New { kind, path, fields }).map(Drafted::Ready),
        },
        (Deed::Edit { fields }, _) => edit(ground, state, (kind, path, text.ok_or_else(missing)?), fields),
        (Deed::Remove, _) => {
            text.ok_or_else(missing)?;
            Ok(Drafted::Ready(Draft {
                edits: vec![Edit::remove(&path)],
                summary: summary(&path, "removed"),
                own: OwnFile { kind: Some(kind), path, text: String::new() },
                merged_with: Vec::new(),
                id: None,
            }))
        }
        (Deed::Write { text: new, base }, Kind::Platform) => rewrite(ground, &path, new, base),
    }
}

/// A file that isn't there yet.
struct New<'a> {
    kind: Kind,
    path: String,
    fields: &'a [FieldEdit],
}

fn create(
    ground: &Ground<'_>,
    state: &State,
    New { kind, path, fields }: New<'_>,
) -> Result<Draft, FormError> {
    let mut values: Vec<(&str, Input)> = fields.iter().map(|edit| (&*edit.name, edit.now.normal())).collect();
    values.retain(|(_, value)| *value != Input::Unset);
    if kind == Kind::Server && !values.iter().any(|(name, _)| *name == "owner") {
        values.push(("owner", Input::Text(ground.author.name.to_string())));
    }
    let owner = values.iter().find_map(|(name, value)| match value {
        Input::Text(text) if *name == "owner" => Some(text.as_str()),
        _ => None,
    });
    let id = match kind {
        Kind::Server => Some(free_id(ground, state, owner)?),
        _ => None,
    };
    let text = form::create(kind, id, &values)?;
    Ok(Draft {
        edits: vec![Edit::write(&path, text.as_str())],
        summary: summary(&path, "new"),
        own: OwnFile { kind: Some(kind), path, text },
        merged_with: Vec::new(),
        id,
    })
}

/// The id of a new server for `owner`. Where none is left it is one without an address, which the state refuses.
fn free_id(ground: &Ground<'_>, state: &State, owner: Option<&str>) -> Result<ServerId, FormError> {
    let ids = ground.repo.ids(&ground.main).map_err(|source| ground.failed(source))?;
    // A name that nobody can have is refused with the file.
    let owner = owner.and_then(|owner| owner.parse::<UserName>().ok());
    // Two pull requests with one id would both be good, and `main` couldn't take the second.
    let promised = match state.platform.remote {
        Some(_) => outgoing::promised(ground.repo)?.iter().map(|one| one.id).collect(),
        None => Vec::new(),
    };
    let found = ids.free_besides(state, owner.as_ref().unwrap_or(ground.author.name), &promised);
    let beyond = NonZeroU32::MIN.saturating_add(state.platform.networks.capacity());
    Ok(found.unwrap_or(ServerId(beyond)))
}

/// The fields of a form, as they stand against `main`.
#[derive(Default)]
struct Merge<'a> {
    /// Fields to write: what `main` has, and what it is to have.
    changes: Vec<(&'a str, Input, Input)>,
    /// Fields that changed on `main` and that the person left alone.
    left_alone: Vec<&'a str>,
    /// Fields that both changed, with the person's value.
    clashes: Vec<(&'a str, Input)>,
}

fn merge<'a>(kind: Kind, text: &str, fields: &'a [FieldEdit]) -> Result<Merge<'a>, FormError> {
    let values = form::read(kind, text);
    let mut merge = Merge::default();
    for FieldEdit { name, was, now } in fields {
        let Some((_, is)) = values.iter().find(|(known, _)| known == name) else {
            return Err(WriteError::NotAField { kind, name: name.clone() }.into());
        };
        let (was, now, is) = (was.normal(), now.normal(), is.normal());
        match (was == now, is == was, is == now) {
            (true, true, _) | (false, _, true) => {}
            (true, false, _) => merge.left_alone.push(name),
            (false, true, false) => merge.changes.push((name, is, now)),
            (false, false, false) => merge.clashes.push((name, now)),
        }
    }
    Ok(merge)
}

fn edit(
    ground: &Ground<'_>,
    state: &State,
    (kind, path, text): (Kind, String, String),
    fields: &[FieldEdit],
) -> Result<Drafted, FormError> {
    let Merge { changes, left_alone, clashes } = merge(kind, &text, fields)?;
    if !clashes.is_empty() {
        let names: Vec<&str> = clashes.iter().map(|(name, _)| *name).collect();
        let mut findings = Vec::new();
        for blamed in blame(ground, kind, &path, &names)? {
            for field in &blamed.fields {
                let message = format!("`{}` changed this meanwhile, at {}", blamed.who, blamed.when);
                let hint = "look at both values, and choose one of them";
                findings.push(error_at(Some(field), &Invalid::new(message, hint)));
            }
        }
        let mut fields = form::fields(kind, &text, &state.platform);
        fields.retain(|field| names.contains(&field.name.as_str()));
        return Ok(Settled::conflict(fields, findings).into());
    }
    let merged_with = blame(ground, kind, &path, &left_alone)?.into_iter().map(|blamed| {
        let fields: Vec<String> = blamed.fields.iter().map(|field| format!("`{field}`")).collect();
        format!("`{}` changed {}, at {}", blamed.who, fields.join(", "), blamed.when)
    });
    let merged_with: Vec<String> = merged_with.collect();
    if changes.is_empty() {
        return Ok(Settled { merged_with, ..Settled::nothing() }.into());
    }
    let values: Vec<(&str, Input)> = changes.iter().map(|(name, _, now)| (*name, now.clone())).collect();
    let after = match form::write(kind, &text, &values) {
        Ok(after) => after,
        Err(error @ (WriteError::NotAField { .. } | WriteError::Fixed { .. })) => return Err(error.into()),
        Err(error) => return Ok(Settled::refused(broken(kind, &path, &text, &error)).into()),
    };
    Ok(Drafted::Ready(Draft {
        edits: vec![Edit::write(&path, after.as_str())],
        summary: fields_change(kind, &path, &changes),
        own: OwnFile { kind: Some(kind), path, text: after },
        merged_with,
        id: None,
    }))
}

/// The mistakes of a file that no field can be written into.
fn broken(kind: Kind, path: &str, text: &str, error: &WriteError) -> Vec<FieldFinding> {
    let own = OwnFile { kind: Some(kind), path: path.to_owned(), text: text.to_owned() };
    let parsed = Parsed::parse(path, text);
    let mut findings: Vec<FieldFinding> =
        parsed.findings().iter().map(|finding| at_field(finding, Some(&own))).collect();
    let hint = "write the file by hand, and push it";
    findings.push(error_at(None, &Invalid::new(error.to_string(), hint)));
    findings
}
