//! Invitations by whoever has the host: the first admin gets in this way, and nobody needs a door that runs.

use std::path::Path;

use berth_schema::State;
use berth_schema::user::User;
use berth_wire::web::{Invited, Secret};

use super::audit::{Act, Audit, Line};
use super::clock::Clock;
use super::invitations::Invitations;
use super::secret::{Digest, SecretError};
use super::store::Store;
use crate::letters;

/// Makes an invitation for somebody, among the door's records in Berth's folder `data`, and a mail with it where mails are sent.
pub fn invite(data: &Path, state: &State, user: &User, clock: &Clock) -> Result<Invited, SecretError> {
    let store = Store::open(data)?;
    let invitations = Invitations::of(store.folder("invitations")?);
    let now = clock.now().date;
    let (secret, until) = invitations.make(&user.name, Digest::of_standing(user), now)?;
    let act = Act::Invite { user: &user.name };
    Audit::of(store).write(&Line { at: now, who: None, from: None, act });
    let invited = Invited { invitation: Secret(secret), until, mailed: None };
    let mailed = letters::invitation(data, state, user, &invited, now);
    Ok(Invited { mailed, ..invited })
}
