//! Joining: the file of somebody whom the provider vouches for, made by the door at once or proposed to the admins.

use berth_judge::case::{Allowed, Asked, Case};
use berth_judge::form::DOOR;
use berth_judge::proofs::Proven;
use berth_judge::review::{self, Proposal, signature};
use berth_repo::{Edit, Error, Revision, StateRepo, Words};
use berth_schema::State;
use berth_schema::door::Topic;
use berth_schema::edit::new_user;
use berth_schema::name::UserName;
use berth_schema::oidc::Oidc;
use berth_schema::policy::{Actor, Verdict};
use berth_schema::text::capital;
use berth_schema::user::{Role, User, check_email};
use berth_wire::web::{OidcJoin, OidcJoined, Refusal};

use super::super::audit::Act;
use super::super::entry::give;
use super::super::means::Means;
use super::super::panel::Panel;
use super::super::refusals::{bad, forbidden, no_good_state, signed_out, too_many, unavailable};
use super::super::tokens::Place;
use super::super::user_file::to_main;
use super::provider::settings;
use super::word::Word;

/// Attempts at the commit. Each one after the first means that somebody else moved `main` meanwhile.
const ATTEMPTS: usize = 5;
/// Beginning of the topics of people who ask to join.
const TOPIC: &str = "join-";
/// The most people who wait for an admin at once. One more has to ask an admin in another way.
const WAITING: usize = 50;

/// Has somebody join under a name.
pub(crate) fn oidc_join(panel: &Panel, asked: OidcJoin) -> Result<OidcJoined, Refusal> {
    let OidcJoin { half, name, from, browser } = asked;
    let now = panel.now();
    let good = panel.good()?;
    let oidc = settings(&good.state)?;
    let attempt = panel.throttle.begin(from, None, now.steady).map_err(too_many)?;
    let word =
        panel.oidc.strangers.find(&half.0, now.steady).ok_or_else(|| {
            bad("That has taken too long, so it is over.", "Sign in by the provider again.")
        })?;
    let name: UserName = match name.trim().parse() {
        Ok(name) => name,
        Err(invalid) => {
            let invalid: berth_schema::name::Invalid = invalid;
            attempt.take_back();
            return Err(bad(
                format!("{}.", capital(&invalid.message)),
                format!("{}.", capital(&invalid.hint)),
            ));
        }
    };
    let at_once = oidc.lets_in(word.email.as_deref(), &word.groups);
    if let Err(wait) = panel.oidc.strangers.ask(from, now.steady) {
        attempt.take_back();
        return Err(too_many(wait));
    }
    match make(panel, &word, &name) {
        Ok(()) => {}
        Err(refusal) => {
            panel.oidc.strangers.take_back(from, now.steady);
            attempt.take_back();
            return Err(refusal);
        }
    }
    panel.oidc.strangers.end(&half.0);
    attempt.take_back();
    if !at_once {
        panel.note(None, Some(from), Act::ProposeJoin);
        return Ok(OidcJoined::Proposed { topic: format!("{TOPIC}{name}") });
    }
    let good = panel.good()?;
    let user = good.state.users.get(&name).ok_or_else(signed_out)?;
    // After the commit: the name may have become somebody else's. Should this fail, nobody is in by the account before it is done.
    panel.oidc.seen(user, &word.account, now.date).map_err(|error| unavailable(&error))?;
    panel.note(Some(&name), Some(from), Act::Join);
    let (means, is_old_proof) = (Means::account(&word.account), word.is_old(now.date));
    let place = Place { means, is_old_proof, ..Place::of(from, &browser) };
    Ok(OidcJoined::SignedIn(Box::new(give(panel, &good, user, place)?)))
}

/// Makes the file, or proposes it.
fn make(panel: &Panel, word: &Word, name: &UserName) -> Result<(), Refusal> {
    let _turn = panel.writing.lock();
    let _acting = panel.act()?;
    let mut repo = panel.repo()?;
    let _to_main = to_main(&repo)?;
    for _ in 0..ATTEMPTS {
        if attempt(panel, &mut repo, word, name)? {
            return Ok(());
        }
    }
    Err(unavailable(&Crowded))
}

/// `main` moves too fast.
#[derive(Debug, thiserror::Error)]
#[error("main moves too fast to commit to it")]
struct Crowded;

/// Returns whether it is done; if not, another commit was first.
fn attempt(panel: &Panel, repo: &mut StateRepo, word: &Word, name: &UserName) -> Result<bool, Refusal> {
    let failed = |error: Error| unavailable(&error);
    let main = repo.head().map_err(failed)?.ok_or_else(no_good_state)?;
    let before = repo.load(&main).map_err(failed)?.state.map_err(|_| no_good_state())?;
    // It may have changed since the round began.
    let oidc = settings(&before)?;
    may_join(&before, oidc, word, name)?;
    if let Some(member) = panel.oidc.joined.member(&word.account, &before) {
        return Err(bad(
            format!("You are here already, as `{member}`, and this account has been taken out."),
            format!(
                "Sign in as `{member}` in another way and bind it again, or ask {{help}} for a link to set a password."
            ),
        ));
    }
    let at_once = oidc.lets_in(word.email.as_deref(), &word.groups);
    // Before anything is written: whoever is refused leaves nothing behind.
    let topic = if at_once { None } else { Some(free_topic(repo, word, name)?) };
    let path = format!("users/{name}.toml");
    let text = new_user(&of(word, name)).map_err(|error| unavailable(&error))?;
    let by = signature(Actor::Operator, Some(&before));
    let host = oidc.issuer.host();
    let message = format!("{name}: joins by an account at {host}\n\n{DOOR}: panel\n");
    let words = Words { author: &by, committer: &by, message: &message };
    // No ref leads to it yet; git clears it away if none ever does.
    let new = repo.write(Some(&main), &[Edit::write(&path, text)], &words).map_err(failed)?;
    let after = repo.load(&new).map_err(failed)?.state.map_err(|found| {
        let first = found.first().map(|finding| finding.message.clone()).unwrap_or_default();
        bad(format!("That name can't be had: {first}."), "Choose another one.")
    })?;
    judge(repo, (main, &before), (new, &after), path)?;
    if let Some(topic) = topic {
        review::propose(repo, &topic, new, by).map_err(|error| unavailable(&error))?;
        return Ok(true);
    }
    match repo.advance(&main, &new, "berth panel: join") {
        Ok(()) => Ok(true),
        Err(Error::Moved { .. }) => Ok(false),
        Err(error) => Err(failed(error)),
    }
}

fn may_join(state: &State, oidc: &Oidc, word: &Word, name: &UserName) -> Result<(), Refusal> {
    use berth_schema::oidc::Join;
    let closed = || forbidden("Nobody joins by the provider any more.", "Ask {help} to invite you.");
    if state.platform.remote.is_some()
        || oidc.join == Join::Invite
        || word.account.issuer() != oidc.issuer.as_str()
    {
        return Err(closed());
    }
    if oidc.join == Join::Allowed && !oidc.lets_in(word.email.as_deref(), &word.groups) {
        return Err(closed());
    }
    if state.users.values().any(|user| user.oidc.contains(&word.account)) {
        return Err(bad("You have joined already.", "Sign in by the provider."));
    }
    if state.users.contains_key(name) {
        return Err(bad(format!("`{name}` is somebody else's name."), "Choose another one."));
    }
    Ok(())
}

/// The new member.
fn of(word: &Word, name: &UserName) -> User {
    User {
        name: name.clone(),
        role: Role::User,
        // One that a provider takes and the schema doesn't, such as `ann@localhost`, is left out.
        email: word.email.clone().filter(|email| check_email(email).is_ok()),
        password_hash: None,
        ssh_keys: Vec::new(),
        passkeys: Vec::new(),
        oidc: vec![word.account.clone()],
        forge_accounts: Vec::new(),
        tokens: Vec::new(),
        second_factor: None,
        quota: Default::default(),
    }
}

/// Asks what an admin's own commit is asked: the door makes it because the admins' settings say so.
fn judge(
    repo: &StateRepo,
    (main, before): (Revision, &State),
    (new, after): (Revision, &State),
    path: String,
) -> Result<(), Refusal> {
    let asked = Asked {
        actor: Actor::Operator,
        repo,
        main,
        old: main,
        new,
        before,
        after,
        proven: &Proven::default(),
        allowed: &Allowed::default(),
        from: None,
    };
    let case = Case::gather(asked, vec![path]).map_err(|error| unavailable(&error))?;
    match case.judge().0 {
        Verdict::Allow => Ok(()),
        verdict => {
            let finding = verdict.findings().first();
            let why = finding.map(|finding| finding.message.clone()).unwrap_or_default();
            Err(bad(format!("That name can't be had: {why}."), "Choose another one."))
        }
    }
}

/// Finds the topic under which the file is left to the admins, unless too many wait, or this person does.
fn free_topic(repo: &StateRepo, word: &Word, name: &UserName) -> Result<Topic, Refusal> {
    let failed = |error: Error| unavailable(&error);
    let waiting = review::all(repo).map_err(|error| unavailable(&error))?;
    // Members may call a proposal of their own so, too.
    let is_stranger = |one: &&Proposal| one.author.is_none() && one.topic.as_str().starts_with(TOPIC);
    let joining: Vec<_> = waiting.iter().filter(is_stranger).collect();
    let topic: Topic = format!("{TOPIC}{name}")
        .parse()
        .map_err(|_| bad("That name can't be had.", "Choose another one."))?;
    if waiting.iter().any(|one| one.topic == topic) {
        return Err(bad(format!("Somebody has asked for `{name}` already."), "Choose another name."));
    }
    if joining.len() >= WAITING {
        return Err(forbidden(
            format!("{WAITING} people wait for an admin already, so nobody more can ask here."),
            "Ask {help} in another way, or come back later.",
        ));
    }
    for one in joining {
        let Some(of) = one.topic.as_str().strip_prefix(TOPIC) else { continue };
        let text = repo.read(&one.tip, &format!("users/{of}.toml")).map_err(failed)?.unwrap_or_default();
        if String::from_utf8_lossy(&text).contains(&format!("\"{}\"", word.account)) {
            return Err(bad(
                format!("You have asked already, under the name `{of}`."),
                "An admin has to agree. Then sign in by the provider again.",
            ));
        }
    }
    Ok(topic)
}
