//! Questions about passkeys: a challenge for one, and adding and removing them by commits.

use berth_judge::form::Via;
use berth_schema::edit::UserEdit;
use berth_schema::user::{Passkey, User};
use berth_wire::web::{AddPasskey, BeginPasskey, Ceremony, Challenge, Done, Refusal, RemovePasskey};

use super::super::audit::Act;
use super::super::gate::source;
use super::super::means::Means;
use super::super::panel::{Asker, Panel};
use super::super::refusals::{bad, not_found, signed_out, too_many, unavailable, wrong_passkey};
use super::super::secret::Digest;
use super::super::user_file::{Writing, put, set_here};
use super::ceremonies::{Party, Purpose};
use super::passkey::{Made, Refused, Site};

/// The most passkeys of one person.
const EACH: usize = 20;

/// Gives anybody a challenge for a passkey to sign.
pub(crate) fn challenge(panel: &Panel, asked: Challenge) -> Result<Ceremony, Refusal> {
    let now = panel.now().steady;
    // It costs no guess, but whoever guesses waits.
    panel.throttle.begin(asked.from, None, now).map_err(too_many)?.take_back();
    let good = panel.good()?;
    let site = Site::of(&good.state.platform, &asked.host).map_err(|why| refused(&why))?;
    let (state, options) = site.ask().map_err(|why| refused(&why))?;
    panel.ceremonies.begin(Party::Network(source(asked.from)), Purpose::Use(state), now);
    Ok(Ceremony { options })
}

/// Gives somebody what their browser needs to make a passkey.
pub(crate) fn begin_passkey(panel: &Panel, asker: &Asker, asked: BeginPasskey) -> Result<Ceremony, Refusal> {
    asker.must_be_fresh()?;
    set_here(asker.state(), &asker.name, "passkeys")?;
    let user = asker.state().users.get(&asker.name).ok_or_else(signed_out)?;
    if user.passkeys.len() >= EACH {
        return Err(bad(format!("You have {EACH} passkeys already."), "Remove one that you don't use."));
    }
    let site = Site::of(&asker.state().platform, &asked.host).map_err(|why| refused(&why))?;
    let (state, options) = site.make(user).map_err(|why| refused(&why))?;
    panel.ceremonies.begin(Party::Token(asker.token), Purpose::Make(state), panel.now().steady);
    Ok(Ceremony { options })
}

/// Adds a passkey that a browser made to the person's own file.
pub(crate) fn add_passkey(panel: &Panel, asker: &Asker, asked: AddPasskey) -> Result<Done, Refusal> {
    asker.must_be_fresh()?;
    let name = &asker.name;
    let made = || -> Result<(Passkey, [u8; 7]), Refused> {
        let site = Site::of(&asker.state().platform, &asked.host)?;
        let (made, challenge) = Made::read(&asked.response.0)?;
        let party = Party::Token(asker.token);
        let state = panel.ceremonies.take_make(challenge, party, panel.now().steady);
        site.made(state.ok_or(Refused::Challenge)?, &made, &asked.name)
    };
    let (passkey, dynamic) = made().map_err(|why| refused(&why))?;
    let kept = panel.kept.change(name, |record| {
        record.passkeys.insert(passkey.id().to_owned(), dynamic);
    });
    kept.map_err(|error| unavailable(&error))?;
    let with = |user: &User| {
        let others = user.passkeys.iter().filter(|other| other.id() != passkey.id()).cloned();
        vec![UserEdit::Passkeys(others.chain([passkey.clone()]).collect())]
    };
    let user = asker.state().users.get(name).ok_or_else(signed_out)?;
    let writing = Writing {
        of: name,
        by: name,
        via: Via::Panel,
        standing: Digest::of_standing(user),
        summary: "new passkey",
        knows: false,
        edits: &with,
    };
    put(panel, &writing).map_err(|not_set| not_set.or(signed_out))?;
    panel.note(Some(name), None, Act::AddPasskey);
    Ok(Done)
}

/// Removes a passkey, and signs out whoever is in by it.
pub(crate) fn remove_passkey(panel: &Panel, asker: &Asker, asked: RemovePasskey) -> Result<Done, Refusal> {
    let RemovePasskey { user: of, id } = asked;
    if of != asker.name && !asker.is_admin() {
        return Err(not_found());
    }
    asker.must_be_fresh()?;
    let user = asker.state().users.get(&of).ok_or_else(not_found)?;
    if !user.passkeys.iter().any(|passkey| passkey.id() == id) {
        return Err(not_found());
    }
    let without = |user: &User| {
        let left = user.passkeys.iter().filter(|passkey| passkey.id() != id).cloned();
        vec![UserEdit::Passkeys(left.collect())]
    };
    let writing = Writing {
        of: &of,
        by: &asker.name,
        via: Via::Panel,
        standing: Digest::of_standing(user),
        summary: "passkey removed",
        knows: false,
        edits: &without,
    };
    put(panel, &writing).map_err(|not_set| not_set.or(not_found))?;
    panel.tokens.end_of(&of, &Means::passkey(&id)).map_err(|error| unavailable(&error))?;
    let forgotten = panel.kept.change(&of, |record| _ = record.passkeys.remove(&id));
    forgotten.map_err(|error| unavailable(&error))?;
    panel.note(Some(&asker.name), None, Act::RemovePasskey { user: &of });
    Ok(Done)
}

/// The words for what can't be done with a passkey; the reason stays in the log.
fn refused(why: &Refused) -> Refusal {
    tracing::info!(%why, "a passkey was refused");
    match why {
        Refused::Site(_) => bad(
            "Passkeys don't work at this address.",
            "Open the panel by its own name: `panel.domain` in platform.toml.",
        ),
        _ => wrong_passkey(),
    }
}
