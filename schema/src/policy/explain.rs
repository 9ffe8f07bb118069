//! Explanation of what somebody may do with a path: the rules, told instead of applied.

use crate::docs::{self, DocsRead};
use crate::kind::Subject;
use crate::name::{Fqdn, ServerName, UserName, label_below};
use crate::policy::proof;
use crate::policy::rules::Side;
use crate::policy::types::Actor;
use crate::policy::types::{admins_in_words, help_in_words};
use crate::state::State;
use crate::text::shown;
use crate::tool::Tool;

/// Extent to which somebody may change a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum May {
    /// Everything that makes a good state.
    Yes,
    /// Parts of it.
    InPart,
    /// If somebody else agrees.
    WithReview,
    /// Nothing.
    No,
}

/// Permission to change a path, with its reasons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The permission in a word.
    pub may: May,
    /// The reasons in sentences.
    pub why: Vec<String>,
}

impl Answer {
    fn new(may: May, why: impl IntoIterator<Item = String>) -> Self {
        Self { may, why: why.into_iter().collect() }
    }
}

impl std::fmt::Display for May {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Yes => "yes",
            Self::InPart => "in part",
            Self::WithReview => "with review",
            Self::No => "no",
        })
    }
}

/// Explains what `actor` may do with `path` while `state` holds.
pub fn explain(actor: Actor<'_>, state: &State, path: &str) -> Answer {
    let me = match actor {
        Actor::Operator => {
            return Answer::new(
                May::Yes,
                ["Whoever has the repository's files may change everything.".to_owned()],
            );
        }
        Actor::Member(name) | Actor::AsMember(name) => name,
    };
    if !state.users.contains_key(me) {
        let why = format!("There is no user `{me}`: {} can add `users/{me}.toml`.", help_in_words(state));
        return Answer::new(May::No, [why]);
    }
    if actor.is_admin(state) {
        return Answer::new(May::Yes, [format!("`{me}` is an admin, and admins may change everything.")]);
    }
    let side = Side::new(state);
    match Subject::of(path) {
        Err(invalid) => Answer::new(May::No, [format!("{}: {}.", invalid.message, invalid.hint)]),
        Ok(None) if docs::is_below(path) && state.platform.docs.read == DocsRead::Admins => Answer::new(
            May::No,
            [format!(
                "Nobody but admins reads the pages of the wiki, or changes them: ask {}.",
                admins_in_words(state)
            )],
        ),
        Ok(None) if docs::is_below(path) && state.platform.docs.may_edit(me) => Answer::new(
            May::Yes,
            [format!("`{}` is a page of the wiki, and `docs.edit` names `{me}`.", shown(path))],
        ),
        Ok(None) => Answer::new(
            May::WithReview,
            [format!("`{}` is everybody's: {} has to agree.", shown(path), admins_in_words(state))],
        ),
        Ok(Some(Subject::Platform)) => Answer::new(
            May::No,
            [format!("The platform's settings are the admins': ask {}.", help_in_words(state))],
        ),
        Ok(Some(Subject::User(name))) => user(me, &name, state),
        Ok(Some(Subject::Server(name))) => server(me, &name, &side),
        Ok(Some(Subject::Domain(fqdn))) => domain(me, &fqdn, &side),
    }
}

fn user(me: &UserName, name: &UserName, state: &State) -> Answer {
    if name == me {
        let why = [
            "It is their own file: `email`, `password_hash` and `ssh_keys` are theirs to change.".to_owned(),
            "`passkeys`, `oidc`, `tokens` and `second_factor` change in the panel, which asks first who it is."
                .to_owned(),
            format!("`role`, `quota`, `forge_accounts` and removing the file are up to {}.", admins_in_words(state)),
        ];
        return Answer::new(May::InPart, why);
    }
    let help = help_in_words(state);
    let why =
        format!("It is `{name}`'s file. Only `{name}` and admins may change it: ask `{name}`, or {help}.");
    Answer::new(May::No, [why])
}

fn server(me: &UserName, name: &ServerName, side: &Side<'_>) -> Answer {
    let (admins, help) = (admins_in_words(side.state), help_in_words(side.state));
    match side.server(name) {
        None => {
            let why = [
                format!(
                    "There is no server `{name}`: `{me}` may make it, as its owner and within the quota."
                ),
                "Its `id` must be one that no other server has or had.".to_owned(),
            ];
            Answer::new(May::Yes, why)
        }
        Some(server) if server.owner == *me => {
            let why = [
                format!(
                    "`{me}` is the owner: limits, members, image, `state` and removing it are theirs, within the quota."
                ),
                format!("`id` is for ever; a new `owner`, and `allow`, are up to {admins}."),
            ];
            Answer::new(May::InPart, why)
        }
        Some(server) if server.members.contains(me) => {
            let why = format!(
                "`{me}` is a member and may log in; only its owner `{0}` and admins may change it: ask `{0}`, or {help}.",
                server.owner
            );
            Answer::new(May::No, [why])
        }
        Some(server) => Answer::new(
            May::No,
            [format!(
                "The server is `{0}`'s. Only `{0}` and admins may change it: ask `{0}`, or {help}.",
                server.owner
            )],
        ),
    }
}

fn domain(me: &UserName, fqdn: &Fqdn, side: &Side<'_>) -> Answer {
    let (platform, help) = (&side.state.platform, help_in_words(side.state));
    if *fqdn == platform.domain {
        let led = side
            .state
            .domains
            .get(fqdn)
            .map_or_else(String::new, |led| format!(", and leads to `{}`", led.server));
        let why = [
            format!("`{fqdn}` is the organisation's own{led}."),
            format!("Only admins lead it to a server: ask {}.", help_in_words(side.state)),
        ];
        return Answer::new(May::No, why);
    }
    if let Some(domain) = side.state.domains.get(fqdn) {
        return match side.holder(domain) {
            Some(holder) if holder == me => {
                let why = format!(
                    "It leads to `{}`, a server of `{me}`'s: it may change, go, or lead to another server of theirs.",
                    domain.server
                );
                Answer::new(May::Yes, [why])
            }
            Some(holder) => {
                let why = format!("`{fqdn}` is `{holder}`'s: it leads to `{}`.", domain.server);
                Answer::new(May::No, [why, format!("Choose another name, or ask `{holder}` or {help}.")])
            }
            None => {
                let why = format!("`{fqdn}` leads to `{}`, which nobody has.", domain.server);
                Answer::new(May::No, [why, format!("Choose another name, or ask {help}.")])
            }
        };
    }
    if let Some((other, holder)) = side.in_the_way(fqdn, me) {
        return Answer::new(
            May::No,
            [
                format!("`{fqdn}` lies within what `{other}` holds, which is `{holder}`'s."),
                format!("Choose a name outside it, or ask `{holder}`."),
            ],
        );
    }
    if platform.panel.as_ref().is_some_and(|panel| panel.is_met_by(fqdn)) {
        let why = format!("`{fqdn}` is the panel's name, or leads there.");
        return Answer::new(May::No, [why, "Choose another name.".to_owned()]);
    }
    match label_below(fqdn, &platform.domain) {
        Some(label) if Tool::of_label(label).is_some() => Answer::new(
            May::No,
            [
                "Names that begin with `dockge--` or `files--` are those of servers' own pages.".to_owned(),
                "Choose another name.".to_owned(),
            ],
        ),
        Some(label) if platform.access.is_reserved(label) => Answer::new(
            May::No,
            [
                format!("`{label}` is reserved for the platform (`access.reserved` in platform.toml)."),
                format!("Choose another name, or ask {help}."),
            ],
        ),
        Some(_) => {
            let why = format!("Nobody has `{fqdn}`: the first to lead it to a server of their own has it.");
            Answer::new(May::Yes, [why])
        }
        None if fqdn.base() == platform.domain.as_str() => Answer::new(
            May::No,
            [format!("`{fqdn}` is the platform's own."), "Choose a name below it.".to_owned()],
        ),
        None => outside(me, fqdn, side),
    }
}

fn outside(me: &UserName, fqdn: &Fqdn, side: &Side<'_>) -> Answer {
    let platform = &side.state.platform.domain;
    let allowed = side.state.users.get(me).is_some_and(|user| side.state.quota(user).custom_domains);
    let admins = admins_in_words(side.state);
    match allowed {
        true => {
            let record = proof(fqdn, me, platform);
            let why = [
                format!("`{fqdn}` is outside `{platform}`, and nobody has proved yet that it is `{me}`'s."),
                format!(
                    "The DNS record `{}. TXT \"{}\"` proves it; without it {admins} can agree.",
                    record.record, record.text
                ),
            ];
            Answer::new(May::WithReview, why)
        }
        false => {
            let why = format!(
                "`{fqdn}` is outside `{platform}`, and `{me}` may not use such names: {admins} can set `quota.custom_domains`."
            );
            Answer::new(May::No, [why])
        }
    }
}
