//! Binding an account at the provider to somebody's file, and taking it out: commits of the person's own.

use berth_judge::form::Via;
use berth_schema::edit::UserEdit;
use berth_schema::name::UserName;
use berth_schema::oidc::OidcAccount;
use berth_schema::user::User;
use berth_wire::web::{Done, OidcUnbind, Refusal};

use super::super::audit::Act;
use super::super::means::Means;
use super::super::panel::{Asker, Panel};
use super::super::refusals::{bad, not_found, signed_out, unavailable};
use super::super::secret::Digest;
use super::super::user_file::{Writing, put, set_here};
use crate::members::Good;

/// Binds an account that the provider has just vouched for.
pub(super) fn bind(
    panel: &Panel,
    good: &Good,
    name: &UserName,
    account: &OidcAccount,
) -> Result<(), Refusal> {
    if let Some(other) = good.state.users.values().find(|user| user.oidc.contains(account)) {
        return match other.name == *name {
            true => Ok(()),
            false => Err(bad(
                "That account at the provider is somebody else's here.",
                "Sign in there with your own. If it is yours, ask {help} to take it out of the other file.",
            )),
        };
    }
    let with = |user: &User| {
        let others = user.oidc.iter().filter(|other| *other != account).cloned();
        vec![UserEdit::Oidc(others.chain([account.clone()]).collect())]
    };
    let user = good.state.users.get(name).ok_or_else(signed_out)?;
    let writing = Writing {
        of: name,
        by: name,
        via: Via::Panel,
        standing: Digest::of_standing(user),
        summary: "account at the provider bound",
        knows: false,
        edits: &with,
    };
    put(panel, &writing).map_err(|not_set| not_set.or(signed_out))
}

/// Takes an account out, and signs out whoever is in by it.
pub(crate) fn oidc_unbind(panel: &Panel, asker: &Asker, asked: OidcUnbind) -> Result<Done, Refusal> {
    let OidcUnbind { user: of, account, knows } = asked;
    if of != asker.name && !asker.is_admin() {
        return Err(not_found());
    }
    asker.must_be_fresh()?;
    let user = asker.state().users.get(&of).ok_or_else(not_found)?;
    if !user.oidc.contains(&account) {
        return Err(not_found());
    }
    set_here(asker.state(), &of, "oidc")?;
    let oidc = asker.state().platform.panel.as_ref().and_then(|panel| panel.oidc.as_ref());
    let is_last = oidc.and_then(|oidc| oidc.only_way_of(user)) == Some(&account);
    if is_last && of == asker.name && !knows {
        return Err(bad(
            "This account is your only way into the panel: without it you can't sign in any more.",
            "Add a passkey first, ask {help} for a link with which you set a password, or say that you know.",
        ));
    }
    let without = |user: &User| {
        let left = user.oidc.iter().filter(|other| **other != account).cloned();
        vec![UserEdit::Oidc(left.collect())]
    };
    let writing = Writing {
        of: &of,
        by: &asker.name,
        via: Via::Panel,
        standing: Digest::of_standing(user),
        summary: "account at the provider taken out",
        knows,
        edits: &without,
    };
    put(panel, &writing).map_err(|not_set| not_set.or(not_found))?;
    panel.tokens.end_of(&of, &Means::account(&account)).map_err(|error| unavailable(&error))?;
    panel.note(Some(&asker.name), None, Act::UnbindAccount { user: &of });
    Ok(Done)
}
