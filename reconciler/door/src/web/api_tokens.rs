//! API tokens: who asks with one, and the commits that make and end them. The state has their digests, so a commit ends one.

use std::cell::Cell;
use std::collections::BTreeSet;

use berth_schema::api_token::{ApiToken, PREFIX};
use berth_schema::edit::UserEdit;
use berth_schema::name::UserName;
use berth_schema::user::{Role, User};
use berth_wire::web::{
    ApiTokenCard, ApiTokenMade, ApiTokens, Done, EndApiToken, MakeApiToken, Needs, Refusal, Scope, Secret,
    Token,
};
use jiff::{SignedDuration, Timestamp};

use super::audit::Act;
use super::means::Means;
use super::panel::{Asker, Panel};
use super::refusals::{bad, not_found, signed_out, unavailable};
use super::secret::{Digest, fresh};
use super::user_file::{Writing, put, set_here};

/// The most tokens of one person.
const EACH: usize = 20;
/// The most days for which one is good.
const DAYS: u32 = 366;

impl Panel {
    /// Finds out who asks with an API token; `None` where it is none, has run out, or is in nobody's file any more.
    pub(super) fn by_api_token(&self, token: &Token) -> Result<Option<Asker>, Refusal> {
        if !token.as_str().starts_with(PREFIX) {
            return Ok(None);
        }
        let (digest, good) = (Digest::of(token.as_str()), self.good()?);
        let text = digest.to_string();
        let found = good.state.users.values().find_map(|user| {
            let token = user.tokens.iter().find(|token| token.digest() == text)?;
            Some((user.name.clone(), user.role, token.clone()))
        });
        let now = self.now().date;
        let Some((name, role, token)) = found.filter(|(.., token)| is_good(token, now)) else {
            return Ok(None);
        };
        let scopes = token.scopes();
        let role = if scopes.contains(&Scope::Admin) { role } else { Role::User };
        let scopes = Some(scopes);
        Ok(Some(Asker {
            name,
            role,
            scopes,
            good,
            token: digest,
            means: Means::default(),
            is_fresh: false,
            is_program: true,
        }))
    }

    /// Returns whether somebody's session or API token of this digest is good. Looking doesn't count as a use.
    pub(super) fn holds(&self, user: &UserName, digest: Digest) -> bool {
        let now = self.now().date;
        if self.tokens.is_good(user, digest, now) {
            return true;
        }
        let (Ok(good), text) = (self.good(), digest.to_string()) else { return false };
        let mut tokens = good.state.users.get(user).into_iter().flat_map(|user| &user.tokens);
        tokens.any(|token| token.digest() == text && is_good(token, now))
    }
}

/// Returns whether a token hasn't run out. One whose times can't be read has, and so has one that says it is good for longer than any that is
/// made here.
fn is_good(token: &ApiToken, now: Timestamp) -> bool {
    let time = |text: &str| text.parse::<Timestamp>().ok();
    let (Some(made), Some(until)) = (time(token.made()), time(token.until())) else { return false };
    now < until && until.duration_since(made) <= days_long(DAYS)
}

fn days_long(days: u32) -> SignedDuration {
    SignedDuration::from_hours(24 * i64::from(days))
}

fn card(token: &ApiToken, now: Timestamp) -> ApiTokenCard {
    let time = |text: &str| text.parse().unwrap_or(Timestamp::UNIX_EPOCH);
    ApiTokenCard {
        id: token.id().to_owned(),
        name: token.name().to_owned(),
        scopes: token.scopes().into_iter().collect(),
        made: time(token.made()),
        until: time(token.until()),
        is_over: !is_good(token, now),
    }
}

/// The person whose tokens are asked about: anybody for an admin, and oneself.
fn whose<'a>(asker: &'a Asker, asked: Option<&UserName>) -> Result<&'a User, Refusal> {
    let found = |name: &UserName| asker.state().users.get(name).map(|user| &**user);
    match asked {
        None => found(&asker.name).ok_or_else(signed_out),
        Some(name) if *name == asker.name || asker.is_admin() => found(name).ok_or_else(not_found),
        Some(_) => Err(not_found()),
    }
}

/// Lists somebody's tokens.
pub(crate) fn api_tokens(
    panel: &Panel,
    asker: &Asker,
    asked: ApiTokens,
) -> Result<Vec<ApiTokenCard>, Refusal> {
    let user = whose(asker, asked.user.as_ref())?;
    let now = panel.now().date;
    Ok(user.tokens.iter().map(|token| card(token, now)).collect())
}

/// Makes a token for oneself.
pub(crate) fn make_api_token(
    panel: &Panel,
    asker: &Asker,
    asked: MakeApiToken,
) -> Result<ApiTokenMade, Refusal> {
    asker.must_be_fresh()?;
    let MakeApiToken { name: called, scopes, days, from } = asked;
    let name = &asker.name;
    set_here(asker.state(), name, "tokens")?;
    let scopes: BTreeSet<Scope> = scopes.into_iter().collect();
    if scopes.is_empty() {
        return Err(bad("A token without a scope may do nothing.", "Choose one scope at least."));
    }
    if scopes.contains(&Scope::Admin) && !asker.is_admin() {
        return Err(bad(
            "A token never may more than its owner, and you are no admin.",
            "Leave `admin` out.",
        ));
    }
    if days == 0 || days > DAYS {
        return Err(bad(format!("A token is good for 1 to {DAYS} days."), "Choose a number between them."));
    }
    let user = asker.state().users.get(name).ok_or_else(signed_out)?;
    let now = panel.now().date;
    let secret = format!("{PREFIX}{}", fresh().map_err(|error| unavailable(&error))?);
    let until = now + days_long(days);
    let time = |at: Timestamp| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let digest = Digest::of(&secret).to_string();
    let token = ApiToken::new(&digest, &scopes, &time(now), &time(until), &called);
    let token = token.map_err(|error| unavailable(&error))?;
    // Counted where it is written, since others may be made meanwhile. Those that have run out go with it.
    let has_room = Cell::new(true);
    let with = |user: &User| {
        let left: Vec<ApiToken> = user.tokens.iter().filter(|token| is_good(token, now)).cloned().collect();
        has_room.set(left.len() < EACH);
        match has_room.get() {
            true => vec![UserEdit::Tokens([left, vec![token.clone()]].concat())],
            false => Vec::new(),
        }
    };
    let standing = Digest::of_standing(user);
    let (via, summary) = (asker.via(), "new API token");
    let writing = Writing { of: name, by: name, via, standing, summary, knows: false, edits: &with };
    put(panel, &writing).map_err(|not_set| not_set.or(signed_out))?;
    if !has_room.get() {
        return Err(bad(format!("You have {EACH} tokens already."), "Revoke one that you don't use."));
    }
    panel.note(Some(name), Some(from), Act::MakeApiToken);
    Ok(ApiTokenMade { token: Secret(secret), card: card(&token, now) })
}

/// Ends a token.
pub(crate) fn end_api_token(panel: &Panel, asker: &Asker, asked: EndApiToken) -> Result<Done, Refusal> {
    let user = whose(asker, asked.user.as_ref())?;
    let of = &user.name;
    if *of != asker.name {
        asker.must_meet(Needs::Session)?;
        asker.must_be_fresh()?;
    }
    if !user.tokens.iter().any(|token| token.id() == asked.id) {
        return Err(not_found());
    }
    set_here(asker.state(), of, "tokens")?;
    let without = |user: &User| {
        let left = user.tokens.iter().filter(|token| token.id() != asked.id).cloned();
        vec![UserEdit::Tokens(left.collect())]
    };
    let standing = Digest::of_standing(user);
    let (by, via, summary) = (&asker.name, asker.via(), "API token revoked");
    let writing = Writing { of, by, via, standing, summary, knows: false, edits: &without };
    put(panel, &writing).map_err(|not_set| not_set.or(if of == by { signed_out } else { not_found }))?;
    panel.note(Some(by), None, Act::EndApiToken { user: of });
    Ok(Done)
}
