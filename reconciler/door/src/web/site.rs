//! Guarded sites: who may open one, the way into it, and the grant for it.
//!
//! A grant is given to the gate alone. The panel gets a way in for whoever asked it, which is worth nothing in another browser.

use berth_count::{Counts, Process};
use berth_schema::State;
use berth_schema::domain::{Domain, DomainAccess};
use berth_schema::name::{Fqdn, UserName};
use berth_schema::route::may_enter;
use berth_schema::server::Server;
use berth_schema::user::Role;
use berth_wire::grant::SessionId;
use berth_wire::web::{Done, Enter, GateCounted, Granted, Open, Opened, Refusal, Renew, Secret};

use super::audit::Act;
use super::grants::Way;
use super::panel::{Asker, Panel};
use super::read::{server_of, site_url};
use super::refusals::{forbidden, not_found, signed_out, unavailable, used_up};
use crate::GATE_COUNTS;

/// Length of a challenge: a SHA-256 digest in base64.
const CHALLENGE: usize = 43;

/// Opens a way into a site, for somebody who is signed in at the panel.
pub(crate) fn open(panel: &Panel, asker: &Asker, asked: Open) -> Result<Opened, Refusal> {
    let Open { host, challenge } = asked;
    let host: Fqdn = host.parse().map_err(|_| not_found())?;
    let is_digest = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    if challenge.len() != CHALLENGE || !challenge.bytes().all(is_digest) {
        return Err(not_found());
    }
    let site = guarded(asker.state(), &host).ok_or_else(not_found)?;
    if !may_open(asker.state(), &site, &asker.name) {
        return Err(not_theirs(&site, &host));
    }
    let url = site_url(&asker.state().platform, &host);
    let way = Way { user: asker.name.clone(), token: asker.token, host, challenge };
    let code = panel.grants.codes.open(way, panel.now().date).map_err(|error| unavailable(&error))?;
    Ok(Opened { url: Secret(format!("{url}/.berth/enter?code={code}")) })
}

/// Gives a grant for a way in, which is used up by that.
pub(crate) fn enter(panel: &Panel, asked: Enter) -> Result<Granted, Refusal> {
    let Enter { host, code, challenge } = asked;
    let way = panel.grants.codes.take(&code.0, panel.now().date).ok_or_else(used_up)?;
    if way.host != host || way.challenge != challenge {
        return Err(used_up());
    }
    let granted = grant(panel, &way.user, way.token.session(), host)?;
    panel.note(Some(&way.user), None, Act::OpenSite { host: &way.host });
    Ok(granted)
}

/// Gives a newer grant in the place of another, for as long as its holder is signed in and may open the site.
pub(crate) fn renew(panel: &Panel, asked: Renew) -> Result<Granted, Refusal> {
    let old = panel.grants.read(&asked.grant.0).ok_or_else(signed_out)?;
    grant(panel, &old.user, old.session, old.host)
}

/// Writes down what the gate counts, for whoever gathers that.
pub(crate) fn gate_counted(panel: &Panel, asked: GateCounted) -> Result<Done, Refusal> {
    let counts = Counts::of_text(&asked.counts).unwrap_or_default().only(Process::Gate);
    panel.leave_counts(GATE_COUNTS, &counts).map_err(|error| unavailable(&error))?;
    Ok(Done)
}

fn grant(panel: &Panel, user: &UserName, session: SessionId, host: Fqdn) -> Result<Granted, Refusal> {
    let now = panel.now().date;
    panel.grants.hold(user, &session, &host, now);
    let (token, found) = panel.tokens.of_session(user, &session, now).ok_or_else(signed_out)?;
    let good = panel.good()?;
    let person = good.state.users.get(user);
    if person.is_none_or(|person| !found.standing.stands(&good.state, person, &found.means)) {
        panel.tokens.end(user, token).map_err(|error| unavailable(&error))?;
        return Err(signed_out());
    }
    let site = guarded(&good.state, &host).ok_or_else(not_found)?;
    if !may_open(&good.state, &site, user) {
        return Err(not_theirs(&site, &host));
    }
    Ok(Granted { grant: Secret(panel.grants.sign(user, session, host, now)) })
}

/// A site that not everybody may open.
pub(crate) struct Guarded<'s> {
    access: DomainAccess,
    server: Option<&'s Server>,
}

impl<'s> Guarded<'s> {
    fn of(state: &'s State, domain: &Domain) -> Option<Self> {
        let server = server_of(state, domain);
        (domain.access != DomainAccess::Public).then_some(Self { access: domain.access, server })
    }
}

/// The site that a host belongs to, if not everybody may open it. The table looks in the same order: a server's own page, the name
/// itself, then the wildcard above it.
pub(crate) fn guarded<'s>(state: &'s State, host: &Fqdn) -> Option<Guarded<'s>> {
    if let Some(site) = state.tool_at(host) {
        return Some(Guarded { access: DomainAccess::Owner, server: Some(site.server) });
    }
    let exact = state.domains.get(host).filter(|_| !host.is_wildcard());
    let wildcard = || {
        let (_, above) = host.as_str().split_once('.')?;
        state.domains.get(&format!("*.{above}").parse().ok()?)
    };
    Guarded::of(state, exact.or_else(wildcard)?)
}

/// Returns whether somebody may open a guarded site: any member one for users, and those who may log in to its server one for owners.
pub(crate) fn may_open(state: &State, site: &Guarded<'_>, user: &UserName) -> bool {
    let Some(person) = state.users.get(user) else { return false };
    match site.access {
        DomainAccess::Public | DomainAccess::Users => true,
        DomainAccess::Owner => site.server.is_some_and(|server| {
            may_enter(user, person.role == Role::Admin, &server.owner, &server.members)
        }),
    }
}

fn not_theirs(site: &Guarded<'_>, host: &Fqdn) -> Refusal {
    let message = format!("`{host}` is for the owner and the members of its server, and you are neither.");
    let hint = match site.server {
        Some(server) => format!("Ask `{}`, who owns the server, to make you a member of it.", server.owner),
        None => "Ask {help}.".to_owned(),
    };
    forbidden(message, hint)
}
