//! Scopes of a change: what an API token needs for it. Whoever signed in has every one.
//!
//! Scopes say which files a token may change. What its owner may change in them is the judge's to say, and by a token without the scope
//! `admin` the judge takes everybody for a member.

use berth_schema::kind::Kind;
use berth_wire::web::{Change, Deed, FieldEdit, Input, Object, Refusal, Scope};

use super::panel::Asker;
use super::refusals::sign_in_first;

/// Fields of a member's file that let somebody in. Whoever has got hold of a token would have a way in that outlives it.
const WAYS_IN: [&str; 7] =
    ["ssh_keys", "password_hash", "passkeys", "oidc", "forge_accounts", "second_factor", "tokens"];

/// Refuses a change that isn't for the API token that asks for it.
pub(crate) fn may_change(asker: &Asker, change: &Change) -> Result<(), Refusal> {
    match &change.of {
        Object::Server(_) => asker.must_have(Scope::Servers),
        Object::Domain(_) => asker.must_have(Scope::Domains),
        // No scope is for pages alone.
        Object::Platform | Object::Doc(_) => asker.must_have(Scope::Admin),
        Object::File(path) => {
            asker.must_be_admin()?;
            asker.must_have(Scope::Admin)?;
            match asker.scopes.is_some() && is_users(path) {
                true => Err(sign_in_first()),
                false => Ok(()),
            }
        }
        Object::User(name) => {
            let is_own = name == asker.name.as_str();
            asker.must_have(if is_own { Scope::Account } else { Scope::Admin })?;
            match asker.scopes.is_some() && lets_in(&change.deed) {
                true => Err(sign_in_first()),
                false => Ok(()),
            }
        }
    }
}

/// Returns whether a path is a member's file, whose text may hold a way in.
pub(crate) fn is_users(path: &str) -> bool {
    Kind::of(path) == Some(Kind::User)
}

/// Returns whether a change of a member's file is one of the ways in.
fn lets_in(deed: &Deed) -> bool {
    let is_way = |field: &&FieldEdit| WAYS_IN.contains(&field.name.as_str());
    match deed {
        Deed::Create { fields } => {
            fields.iter().filter(is_way).any(|field| field.now.normal() != Input::Unset)
        }
        Deed::Edit { fields } => {
            fields.iter().filter(is_way).any(|field| field.was.normal() != field.now.normal())
        }
        Deed::Remove => false,
        // Of a whole text nobody can say which fields change.
        Deed::Write { .. } | Deed::Put { .. } | Deed::Move { .. } => true,
    }
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
        // It may give a way in back.
        if asker.scopes.is_some() && is_users(path) {
            return Err(sign_in_first());
        }
    }
    Ok(())
}
