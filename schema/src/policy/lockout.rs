//! Lockouts: a change that takes a way in, or the role of an admin, from the very person who makes it.
//!
//! Nobody is refused for that. They are asked, or have to say beforehand that they know, since a slip of this kind is noticed by
//! whoever can't mend it any more.

use std::net::IpAddr;

use crate::access::Admission;
use crate::finding::{Finding, Severity};
use crate::invalid::Invalid;
use crate::name::UserName;
use crate::policy::types::admins;
use crate::state::State;
use crate::user::{Role, User};

/// Trailer by which the author of a commit says that they know of its lockouts; its value is their name.
pub const ALLOW_LOCKOUT: &str = "Berth-Allow-Lockout";

/// Lists the lockouts of a change that somebody makes: what they could do before, and can't after. `from` is their address as
/// `access.panel` and `access.panel_countries` would see it; without one they aren't asked. The findings are warnings, sorted by path.
pub fn lockouts(name: &UserName, from: Option<IpAddr>, before: &State, after: &State) -> Vec<Finding> {
    let Some(was) = before.users.get(name) else { return Vec::new() };
    let file = format!("users/{name}.toml");
    let Some(is) = after.users.get(name) else {
        return vec![finding(name, file, "isn't a member any more", "the file goes")];
    };
    let mut found = Vec::new();
    if was.role == Role::Admin && is.role != Role::Admin {
        found.push(finding(name, file, "isn't an admin any more", "the role changes"));
    }
    let from = from.map(|from| from.to_canonical());
    found.extend(panel_closes(name, (before, was), (after, is), from));
    if ssh_is_closed(before, was).is_none()
        && let Some(why) = ssh_is_closed(after, is)
    {
        found.push(why.finding(name, "can't log in over SSH any more"));
    }
    if before.platform.ssh.password_of(is).is_some()
        && after.platform.ssh.password_of(is).is_none()
        && is.ssh_keys.is_empty()
    {
        let why = Why::Everybodys(
            "`ssh.passwords` closes it to their password, and they have no SSH key".to_owned(),
        );
        found.push(why.finding(name, "can't log in to servers over SSH any more"));
    }
    found.sort();
    found
}

/// Warns that nobody is an admin after a change, where somebody was before it, or nothing was. Whoever isn't an admin could agree to nothing
/// then. Members and admins are refused such a change; this is for whoever has the repository's files, who can mend it and need not be
/// held up.
pub fn without_admins(before: Option<&State>, after: &State) -> Option<Finding> {
    let had = before.map(admins);
    if !admins(after).is_empty() || had.as_ref().is_some_and(Vec::is_empty) {
        return None;
    }
    let last = had.iter().flatten().next();
    let path = last.map_or_else(|| "users".to_owned(), |name| format!("users/{name}.toml"));
    let message = match last {
        Some(name) => format!("without `{name}` nobody is an admin, so nobody can agree to anything"),
        None => "nobody is an admin, so nobody can agree to anything".to_owned(),
    };
    let hint = "write `role = \"admin\"` in somebody's file; only whoever has the repository's files can do that now";
    Some(Finding::new(Severity::Warning, path, None, Invalid::new(message, hint)))
}

/// Reason for which a way in is closed to somebody: something in their own file, or in the platform's.
enum Why {
    Theirs(&'static str),
    Everybodys(String),
}

impl Why {
    fn finding(&self, name: &UserName, loss: &str) -> Finding {
        match self {
            Self::Theirs(why) => finding(name, format!("users/{name}.toml"), loss, why),
            Self::Everybodys(why) => finding(name, "platform.toml".to_owned(), loss, why),
        }
    }
}

/// Finds that the panel closes to somebody, or may: nobody here knows in which country an address is.
fn panel_closes(
    name: &UserName,
    (before, was): (&State, &User),
    (after, is): (&State, &User),
    from: Option<IpAddr>,
) -> Option<Finding> {
    let loses = "can't open the panel any more";
    match (panel_way(before, was, from), panel_way(after, is, from)) {
        (Way::Closed(_), _) | (_, Way::Open) => None,
        (_, Way::Closed(why)) => Some(why.finding(name, loses)),
        // Whom one of the countries lets in, more of them let in too.
        (Way::OfCountry(_), Way::OfCountry(_)) if keeps_countries(before, after) => None,
        (_, Way::OfCountry(from)) => {
            let why = format!(
                "{from} is in none of the networks of `access.panel`, and whether it is in one of the countries of \
                 `access.panel_countries` isn't known here"
            );
            Some(Why::Everybodys(why).finding(name, "perhaps can't open the panel any more"))
        }
    }
}

fn keeps_countries(before: &State, after: &State) -> bool {
    let [before, after] = [before, after].map(|state| &state.platform.access.panel_countries);
    before.iter().all(|country| after.contains(country))
}

/// Somebody's way to the panel.
enum Way {
    Open,
    /// Open if this address is in one of the countries.
    OfCountry(IpAddr),
    Closed(Why),
}

fn panel_way(state: &State, user: &User, from: Option<IpAddr>) -> Way {
    let platform = &state.platform;
    let Some(panel) = &platform.panel else {
        let why = "without the table `[panel]` there is none, for anybody";
        return Way::Closed(Why::Everybodys(why.to_owned()));
    };
    if user.password_hash.is_none() && user.passkeys.is_empty() {
        match &panel.oidc {
            Some(oidc) if oidc.account_of(user).is_some() => {}
            _ if user.oidc.is_empty() => {
                return Way::Closed(Why::Theirs("neither a password nor a passkey is left"));
            }
            _ => {
                let why = "they sign in by an account at a provider that `[panel.oidc]` doesn't name";
                return Way::Closed(Why::Everybodys(why.to_owned()));
            }
        }
    }
    let Some(from) = from else { return Way::Open };
    let nowhere = format!("{from} is in none of the networks of `access.panel`");
    match platform.access.to_panel(from) {
        Admission::Open => Way::Open,
        Admission::ByCountry => Way::OfCountry(from),
        Admission::Shut if platform.access.panel_countries.is_empty() => {
            Way::Closed(Why::Everybodys(nowhere))
        }
        Admission::Shut => {
            Way::Closed(Why::Everybodys(format!("{nowhere}, and such an address is in no country")))
        }
    }
}

fn ssh_is_closed(state: &State, user: &User) -> Option<Why> {
    if !state.platform.services.router {
        return Some(Why::Everybodys(
            "`services.router = false` ends the SSH router, for everybody".to_owned(),
        ));
    }
    user.ssh_keys.is_empty().then_some(Why::Theirs("no SSH key is left"))
}

fn finding(name: &UserName, path: String, loss: &str, why: &str) -> Finding {
    let message = format!("after this change of their own, `{name}` {loss}: {why}");
    let hint = format!(
        "if that is meant, say so in the newest commit: `git commit --amend --trailer \"{ALLOW_LOCKOUT}: {name}\"`"
    );
    Finding::new(Severity::Warning, path, None, Invalid::new(message, hint))
}
