//! The ways in that a change gives to somebody: none goes to a forge, by whichever form.

use berth_repo::{Revision, StateRepo};
use berth_schema::name::Invalid;
use berth_schema::user::User;

use super::error::FormError;
use super::ground::Ground;
use crate::refusals::set_there;

/// Finds the ways in that a commit would give to somebody where a forge hosts the state repo: each file's first, as a refusal.
/// A pull request is read by everybody who reads the repository there, before anybody has agreed to it. To take one away shows
/// nothing.
pub(super) fn keys_for_the_forge(
    ground: &Ground<'_>,
    repo: &mut StateRepo,
    new: &Revision,
) -> Result<Vec<Invalid>, FormError> {
    let Some((before, remote)) =
        ground.state.as_ref().and_then(|state| Some((state, state.platform.remote.as_ref()?)))
    else {
        return Ok(Vec::new());
    };
    // A state with mistakes is refused for them, and goes nowhere.
    let Ok(after) = repo.load(new).map_err(|source| ground.failed(source))?.state else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    for (name, user) in &after.users {
        let before = before.users.get(name).map(|user| &**user);
        found.extend(given(before, user).map(|field| set_there(remote, name, field, ground.help())));
    }
    Ok(found)
}

/// The first field by which a member's file lets somebody in who couldn't get in that way before.
fn given(before: Option<&User>, after: &User) -> Option<&'static str> {
    fn has_more<T: PartialEq>(before: Option<&[T]>, after: &[T]) -> bool {
        after.iter().any(|one| !before.is_some_and(|before| before.contains(one)))
    }
    let was = |field: fn(&User) -> bool| before.is_some_and(field);
    let password = after.password_hash.as_ref();
    let is_kept = before.is_some_and(|before| before.password_hash.as_ref() == password);
    [
        ("password_hash", password.is_some() && !is_kept),
        ("second_factor", after.second_factor.is_some() && !was(|user| user.second_factor.is_some())),
        ("passkeys", has_more(before.map(|user| &user.passkeys[..]), &after.passkeys)),
        ("oidc", has_more(before.map(|user| &user.oidc[..]), &after.oidc)),
        ("tokens", has_more(before.map(|user| &user.tokens[..]), &after.tokens)),
    ]
    .into_iter()
    .find_map(|(field, is_given)| is_given.then_some(field))
}
