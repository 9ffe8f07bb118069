//! Tickets for the SSH router: who gets one, who may redeem it, and what ends the lease that it becomes.

use berth_schema::name::UserName;
use berth_schema::route::may_enter;
use berth_schema::server::PowerState;
use berth_schema::ticket::{Act as Deed, Errand, Redeem};
use berth_schema::user::Role;
use berth_wire::web::{Needs, Refusal, Scope, Ticket, TicketGiven};

use super::audit::Act;
use super::means::Means;
use super::panel::{Asker, Panel};
use super::refusals::{bad, forbidden, not_found, too_many, unavailable};
use super::secret::{Digest, fresh};
use super::tickets::Leased;

/// Gives a ticket to somebody who may log in to the server; for a clean-up, to somebody who may restart it.
pub(crate) fn ticket(panel: &Panel, asker: &Asker, asked: Ticket) -> Result<TicketGiven, Refusal> {
    match asked.act {
        Deed::CleanUp => asker.must_have(Scope::Servers)?,
        // A terminal is the whole server, and its log is the apps' words: no program gets either by a token.
        Deed::Terminal | Deed::LogTail | Deed::LogFollow | Deed::LogFile => {
            asker.must_meet(Needs::Session)?;
        }
    }
    let server = asker.state().servers.get(&asked.server);
    let server = server.filter(|server| asker.sees(server)).ok_or_else(not_found)?;
    if server.state == PowerState::Stopped {
        let message = format!("`{}` is stopped, as its file says.", server.name);
        return Err(bad(message, "Set its state to running, and it starts."));
    }
    if asked.act == Deed::CleanUp {
        if !asker.changes(server) {
            let message = format!("Only `{}` and admins may clean `{}` up.", server.owner, server.name);
            return Err(forbidden(message, format!("Ask `{}`, or {{help}}.", server.owner)));
        }
        panel.clean_ups.begin(server.id, panel.now().steady).map_err(too_many)?;
    }
    let ticket = fresh().map_err(|error| unavailable(&error))?;
    let errand = Errand {
        user: asker.name.clone(),
        server: server.id,
        act: asked.act,
        from: asked.from.to_canonical(),
    };
    let person = asker.state().users.get(&asker.name).ok_or_else(not_found)?;
    let standing = Digest::of_standing(person);
    let leased = Leased { errand, token: asker.token, standing, means: asker.means.clone() };
    panel.tickets.keep(Digest::of(&ticket), leased, panel.now().steady).map_err(too_many)?;
    match asked.act {
        Deed::Terminal => {
            panel.note(Some(&asker.name), Some(asked.from), Act::Terminal { server: server.id });
        }
        Deed::CleanUp => panel.note(Some(&asker.name), Some(asked.from), Act::CleanUp { server: server.id }),
        // Looking at a log changes nothing, and its page does it all the time.
        Deed::LogTail | Deed::LogFollow | Deed::LogFile => {}
    }
    Ok(TicketGiven { ticket })
}

impl Panel {
    /// Redeems a ticket. The error is a sentence for the person.
    pub(crate) fn redeem(&self, asked: &Redeem) -> Result<Leased, String> {
        let leased = self.tickets.take(Digest::of(&asked.redeem), self.now().steady);
        let leased = leased.ok_or("the panel's ticket is used or too old; open the page again")?;
        match self.ended(&leased) {
            None => Ok(leased),
            Some(why) => Err(why.to_owned()),
        }
    }

    /// The reason why a lease has ended, once it has: a sentence for the person. A state that can't be read ends none.
    pub(crate) fn ended(&self, leased: &Leased) -> Option<&'static str> {
        let Errand { user, server, .. } = &leased.errand;
        let signed_out = || Some("you signed out, or the session ended");
        let is_good = self.holds(user, leased.token);
        let Ok(good) = self.good() else { return if is_good { None } else { signed_out() } };
        let Some(found) = good.state.users.get(user) else { return Some("your account is gone") };
        // That has ended the session too, perhaps a moment ago.
        if !leased.standing.stands(&good.state, found, &leased.means) {
            return Some(match leased.standing.stands(&good.state, found, &Means::default()) {
                true if leased.means.oidc.is_some() => {
                    "the account that you signed in by isn't bound any more; sign in again"
                }
                true => "the passkey that you signed in by was removed; sign in again",
                false => "your password, role or second factor was changed; sign in again",
            });
        }
        if !is_good {
            return signed_out();
        }
        let may = |name: &UserName| {
            let server = good.state.servers.get(server)?;
            let is_admin = found.role == Role::Admin;
            Some(may_enter(name, is_admin, &server.owner, &server.members))
        };
        match may(user) {
            Some(true) => None,
            Some(false) => Some("you may no longer log in to this server"),
            None => Some("this server was removed"),
        }
    }
}
