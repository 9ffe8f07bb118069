//! The person who asks, and the lists. None of them reads a git object: everything is in the state that the door has in
//! memory.

use std::collections::HashMap;

use berth_schema::domain::Domain;
use berth_schema::name::UserName;
use berth_schema::server::Server;
use berth_schema::user::User;
use berth_wire::web::{
    DomainCard, Domains, Me, Page, Person, Refusal, ServerCard, Servers, UserCard, Users, UsersOf,
};

use super::super::panel::{Asker, Panel};
use super::super::refusals::signed_out;
use super::cards::{domain_card, person, server_cards, user_card};
use super::page::page;
use super::sight::server_of;

/// Tells who one is.
pub(crate) fn me(_: &Panel, asker: &Asker, _: Me) -> Result<Person, Refusal> {
    let user = asker.state().users.get(&asker.name).ok_or_else(signed_out)?;
    let scopes = asker.scopes.as_ref().map(|scopes| scopes.iter().copied().collect());
    Ok(Person { scopes, ..person(asker.state(), user) })
}

/// Lists servers: one's own, or everybody's for an admin.
pub(crate) fn servers(_: &Panel, asker: &Asker, asked: Servers) -> Result<Page<ServerCard>, Refusal> {
    if asked.everybody {
        asker.must_be_admin()?;
    }
    let search = asked.search.trim().to_lowercase();
    let is_theirs = |server: &Server| server.owner == asker.name || server.members.contains(&asker.name);
    let is_found = |server: &Server| {
        search.is_empty()
            || server.name.as_str().contains(&search)
            || server.owner.as_str().contains(&search)
            || server.id.to_string() == search
    };
    let all = asker.state().servers.values().map(|server| &**server);
    let all: Vec<&Server> =
        all.filter(|server| (asked.everybody || is_theirs(server)) && is_found(server)).collect();
    let Page { rows, page, pages, all } = page(&all, asked.page, |server| *server);
    Ok(Page { rows: server_cards(asker.state(), &rows), page, pages, all })
}

/// Lists domains: those of one's own servers, or everybody's for an admin.
pub(crate) fn domains(_: &Panel, asker: &Asker, asked: Domains) -> Result<Page<DomainCard>, Refusal> {
    if asked.everybody {
        asker.must_be_admin()?;
    }
    let state = asker.state();
    let search = asked.search.trim().to_lowercase();
    let is_theirs = |domain: &Domain| {
        let server = server_of(state, domain);
        server.is_some_and(|server| server.owner == asker.name || server.members.contains(&asker.name))
    };
    let is_found = |domain: &Domain| {
        search.is_empty()
            || domain.fqdn.as_str().contains(&search)
            || domain.server.as_str().contains(&search)
    };
    let all = state.domains.values().map(|domain| &**domain);
    let all: Vec<&Domain> =
        all.filter(|domain| (asked.everybody || is_theirs(domain)) && is_found(domain)).collect();
    Ok(page(&all, asked.page, |domain| domain_card(&state.platform, domain)))
}

/// Lists everybody, or the part of them that is asked for.
pub(crate) fn users(panel: &Panel, asker: &Asker, asked: Users) -> Result<Page<UserCard>, Refusal> {
    let (state, now) = (asker.state(), panel.now().date);
    let oidc = state.platform.panel.as_ref().and_then(|panel| panel.oidc.as_ref());
    let is_away = |user: &User| oidc.is_some_and(|oidc| panel.oidc.seen.is_away(user, oidc, now));
    let search = asked.search.trim().to_lowercase();
    let is_found = |user: &User| {
        let email = || user.email.as_ref().is_some_and(|email| email.to_lowercase().contains(&search));
        user.name.as_str().contains(&search) || email()
    };
    let is_meant = |user: &User| match asked.of {
        UsersOf::All => true,
        UsersOf::Away => is_away(user),
        UsersOf::Unbound => oidc.is_some_and(|oidc| oidc.account_of(user).is_none()),
    };
    let all = state.users.values().map(|user| &**user);
    let all: Vec<&User> = all.filter(|user| is_found(user) && is_meant(user)).collect();
    let mut owned: HashMap<&UserName, usize> = HashMap::new();
    for server in state.servers.values() {
        *owned.entry(&server.owner).or_default() += 1;
    }
    Ok(page(&all, asked.page, |user| UserCard {
        seen: panel.oidc.seen.last(user),
        is_away: is_away(user),
        ..user_card(user, owned.get(&user.name).copied().unwrap_or_default())
    }))
}
