//! Scopes of a change: what an API token needs for it. Whoever signed in has every one.
//!
//! An admin's token without the scope `admin` sees a member's things, and the judge takes its owner for the admin that they are. So
//! what only an admin may do is refused here already.

use berth_schema::kind::Kind;
use berth_schema::user::Role;
use berth_wire::web::{Change, Deed, FieldEdit, Input, Object, Refusal, Scope};

use super::panel::Asker;

/// Refuses a change that isn't for the API token that asks for it.
pub(crate) fn may_change(asker: &Asker, change: &Change) -> Result<(), Refusal> {
    match &change.of {
        Object::Server(_) => asker.must_have(Scope::Servers)?,
        Object::Domain(_) => asker.must_have(Scope::Domains)?,
        Object::User(name) if name == asker.name.as_str() => asker.must_have(Scope::Account)?,
        Object::User(_) | Object::Platform => asker.must_have(Scope::Admin)?,
    }
    if asker.is_in_role(Role::Admin) && !asker.is_admin() && !is_a_members(asker, change) {
        asker.must_have(Scope::Admin)?;
    }
    Ok(())
}

/// Returns whether a change is one that a member could ask for.
fn is_a_members(asker: &Asker, change: &Change) -> bool {
    let fields: &[FieldEdit] = match &change.deed {
        Deed::Create { fields } | Deed::Edit { fields } => fields,
        Deed::Remove => return !matches!(change.of, Object::User(_)),
        // Of a whole text nobody can say which fields change.
        Deed::Write { .. } => return false,
    };
    let mut changed = fields.iter().filter(|field| field.was.normal() != field.now.normal());
    changed.all(|field| match (&change.of, field.name.as_str()) {
        (Object::Server(_), "owner") => field.now.normal() == Input::Text(asker.name.to_string()),
        (Object::Server(_), "allow") => false,
        (Object::Domain(_), "server") => is_theirs(asker, &field.now.normal()),
        (Object::User(_), "role") => false,
        (Object::User(_), name) => !name.starts_with("quota."),
        _ => true,
    })
}

fn is_theirs(asker: &Asker, server: &Input) -> bool {
    let Input::Text(name) = server else { return false };
    let name = name.parse().ok();
    let server = name.and_then(|name| asker.state().server(&name));
    server.is_some_and(|server| asker.changes(server))
}

/// Refuses to take back what changed one of these paths, where the API token isn't for that.
pub(crate) fn may_take_back<'p>(asker: &Asker, paths: impl Iterator<Item = &'p str>) -> Result<(), Refusal> {
    for path in paths {
        asker.must_have(match Kind::of(path) {
            Some(Kind::Server) => Scope::Servers,
            Some(Kind::Domain) => Scope::Domains,
            Some(Kind::User) => Scope::Account,
            Some(Kind::Platform) | None => Scope::Admin,
        })?;
    }
    Ok(())
}
