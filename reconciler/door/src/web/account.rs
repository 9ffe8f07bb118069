//! Invitations and passwords: who may set one, and the commit that does.

use std::net::IpAddr;

use berth_judge::form::Via;
use berth_password::{Unfit, check, hash};
use berth_schema::edit::UserEdit;
use berth_schema::name::UserName;
use berth_schema::user::User;
use berth_wire::web::{
    Entered, Invitation, Invite, Invited, Person, Redeem, Refusal, Secret, SetPassword, SignedIn,
};

use super::audit::Act;
use super::entry::begin_anew;
use super::factors::enter;
use super::invitations::Record;
use super::panel::{Asker, Panel};
use super::read::person;
use super::refusals::{
    bad, busy, dead_invitation, not_found, signed_out, too_many, unavailable, wrong_password,
};
use super::secret::{Digest, random};
use super::tokens::Place;
use super::user_file::{Writing, put, set_here};
use crate::letters;
use crate::members::Good;

/// Tells whom an invitation is for. It stays good.
pub(crate) fn invitation(panel: &Panel, asked: Invitation) -> Result<Person, Refusal> {
    let attempt = panel.throttle.begin(asked.from, None, panel.now().steady).map_err(too_many)?;
    let good = panel.good()?;
    let record = find(panel, &good, &asked.invitation)?;
    attempt.take_back();
    let user = good.state.users.get(&record.user).ok_or_else(dead_invitation)?;
    Ok(person(&good.state, user))
}

/// Uses an invitation up. It has ended once the commit with the new password is on `main`, and not before.
///
/// It takes a second factor away whose secret this host has lost: nobody would ever get in by it, and whoever made the invitation has
/// vouched for the person. One that works stays, and is asked for. It ends the person's API tokens, too: whoever needs a new password in this
/// way may have lost more than that.
pub(crate) fn redeem(panel: &Panel, asked: Redeem) -> Result<Entered, Refusal> {
    let attempt = panel.throttle.begin(asked.from, None, panel.now().steady).map_err(too_many)?;
    let record = find(panel, &panel.good()?, &asked.invitation)?;
    attempt.take_back();
    let hash = new_hash(panel, &asked.password, &record.user, asked.from)?;
    let name = record.user;
    let is_lost = panel.kept.recovery(&name).map_err(|error| unavailable(&error))?.is_none();
    let edits = |user: &User| {
        let mut edits = vec![UserEdit::PasswordHash(Some(hash.clone()))];
        if is_lost && user.second_factor.is_some() {
            edits.push(UserEdit::SecondFactor(None));
        }
        if !user.tokens.is_empty() {
            edits.push(UserEdit::Tokens(Vec::new()));
        }
        edits
    };
    let writing = password_of(&name, record.standing, &edits);
    put(panel, &writing).map_err(|not_set| not_set.or(dead_invitation))?;
    if let Err(error) = panel.invitations.end(&asked.invitation.0) {
        // It is for a standing that is no more.
        tracing::warn!(error = berth_fault::chain(&error), "a used invitation can't be cleared away");
    }
    letters::invitation_used(&panel.door.settings().data, &name);
    panel.note(Some(&name), Some(asked.from), Act::Redeem);
    panel.tokens.end_others(&name, None).map_err(|error| unavailable(&error))?;
    let good = panel.good()?;
    let user = good.state.users.get(&name).ok_or_else(signed_out)?;
    enter(panel, &good, user, Place::of(asked.from, &asked.browser))
}

/// The commit that sets somebody's password.
fn password_of<'a>(
    name: &'a UserName,
    standing: Digest,
    edits: &'a dyn Fn(&User) -> Vec<UserEdit>,
) -> Writing<'a> {
    Writing { of: name, by: name, via: Via::Panel, standing, summary: "new password", knows: false, edits }
}

/// Changes one's own password.
pub(crate) fn set_password(panel: &Panel, asker: &Asker, asked: SetPassword) -> Result<SignedIn, Refusal> {
    let SetPassword { old, new, from, browser } = asked;
    let name = &asker.name;
    let begun = panel.throttle.begin(from, Some(name.as_str()), panel.now().steady);
    let attempt = begun.map_err(too_many)?;
    let user = asker.state().users.get(name).ok_or_else(signed_out)?;
    let Some(current) = user.password_hash.as_deref() else { return Err(signed_out()) };
    match panel.checks.pass(from, || berth_password::matches(&old.0, current)) {
        Ok(true) => attempt.succeeded(),
        Ok(false) => {
            panel.note(Some(name), Some(from), Act::SignInRefused);
            let message = "The password so far is wrong.".to_owned();
            return Err(Refusal { message, ..wrong_password() });
        }
        Err(_) => {
            attempt.take_back();
            return Err(busy());
        }
    }
    let hash = new_hash(panel, &new, name, from)?;
    let edits = |_: &User| vec![UserEdit::PasswordHash(Some(hash.clone()))];
    let writing = password_of(name, Digest::of_standing(user), &edits);
    put(panel, &writing).map_err(|not_set| not_set.or(signed_out))?;
    panel.note(Some(name), Some(from), Act::SetPassword);
    begin_anew(panel, name, Place::of(from, &browser))
}

/// Makes an invitation.
pub(crate) fn invite(panel: &Panel, asker: &Asker, asked: Invite) -> Result<Invited, Refusal> {
    let user = asker.state().users.get(&asked.user).ok_or_else(not_found)?;
    asker.must_be_fresh()?;
    set_here(asker.state(), &asked.user, "password_hash")?;
    let standing = Digest::of_standing(user);
    let made = panel.invitations.make(&asked.user, standing, panel.now().date);
    let (secret, until) = made.map_err(|error| unavailable(&error))?;
    panel.note(Some(&asker.name), None, Act::Invite { user: &asked.user });
    let invited = Invited { invitation: Secret(secret), until, mailed: None };
    let data = &panel.door.settings().data;
    let mailed = letters::invitation(data, asker.state(), user, &invited, panel.now().date);
    Ok(Invited { mailed, ..invited })
}

/// The invitation of a secret, if it is good and its person's standing is as it was.
fn find(panel: &Panel, good: &Good, secret: &Secret) -> Result<Record, Refusal> {
    let found = panel.invitations.find(&secret.0, panel.now().date);
    let found = found.map_err(|error| unavailable(&error))?;
    let stands = |record: &Record| {
        let user = good.state.users.get(&record.user);
        user.is_some_and(|user| Digest::of_standing(user) == record.standing)
    };
    found.filter(stands).ok_or_else(dead_invitation)
}

fn new_hash(panel: &Panel, password: &Secret, name: &UserName, from: IpAddr) -> Result<String, Refusal> {
    check(&password.0, name.as_str()).map_err(unfit_words)?;
    let salt = random().map_err(|error| unavailable(&error))?;
    let hashed = panel.checks.pass(from, || hash(&password.0, &salt)).map_err(|_| busy())?;
    hashed.map_err(|error| unavailable(&error))
}

fn unfit_words(unfit: Unfit) -> Refusal {
    let message = format!("{}.", berth_schema::text::capital(&unfit.to_string()));
    let hint = match unfit {
        Unfit::Short => "Four or five words that don't belong together make a good one.",
        Unfit::Long => "Choose a shorter one.",
        Unfit::Name => "Choose one that nobody guesses first.",
    };
    bad(message, hint)
}
