//! `restart`: an order to the reconciler, for whoever may change the server. It is no commit.

use std::fs;
use std::time::Duration;

use berth_schema::kind::Kind;
use berth_schema::server::{PowerState, Server};
use berth_schema::text::safe_line;
use berth_wire::Ended;
use berth_wire::client::{ClientError, Daemon};
use berth_wire::power::PowerOrder;
use berth_wire::web::Act as Deed;
use hyper::StatusCode;
use jiff::Timestamp;

use super::answer::{Restarted, Trouble};
use super::guest::{Guest, failed, not_yours};
use crate::scratch::tell;
use crate::web::{Noted, audit_restart};

/// Longest wait for its end: a server has a minute to stop, after as long as an order may wait for its turn. The reconciler goes on
/// without whoever asked.
const PATIENCE: Duration = Duration::from_secs(90);
/// Characters of what the reconciler says.
const LONGEST: usize = 300;

/// Restarts a server that runs.
pub(super) async fn restart(guest: &Guest, name: &str, progress: fn(&str)) -> Result<Restarted, Trouble> {
    let server = find(guest, name)?;
    let no_reconciler = || {
        Trouble::new(
            "no reconciler runs, so nobody can restart it",
            "tell whoever runs the platform: `berth up` starts it",
        )
    };
    let daemon = Daemon::find(&guest.socket()).await.map_err(|error| failed(&error))?;
    let mut daemon = daemon.ok_or_else(no_reconciler)?;
    // Before it is done, since this command may be killed meanwhile.
    note(guest, server)?;
    let order = PowerOrder { server: server.id, act: Deed::Restart, by: guest.name.clone() };
    progress(&format!("restarting {} …", server.name));
    let restarted = |is_done| Restarted { server: server.name.to_string(), is_done };
    match tokio::time::timeout(PATIENCE, daemon.power(&order)).await {
        Err(_) => Ok(restarted(false)),
        Ok(Ok(record)) => match record.result {
            Ended::Done => Ok(restarted(true)),
            Ended::Failed { error, .. } => Err(not_done(&error)),
            Ended::Interrupted => Err(broken("the restart was interrupted".to_owned())),
        },
        // The engine's words are the host's.
        Ok(Err(ClientError::Refused { status, message, .. })) if status == StatusCode::BAD_GATEWAY => {
            Err(not_done(&message))
        }
        Ok(Err(ClientError::Refused { message, .. })) => {
            take_back(guest);
            Err(refused(&safe_line(&message, LONGEST)))
        }
        Ok(Err(error)) => Err(failed(&error)),
    }
}

/// The server, if it runs and is theirs to restart.
fn find<'g>(guest: &'g Guest, name: &str) -> Result<&'g Server, Trouble> {
    let viewer = guest.viewer();
    let servers = guest.good.state.servers.values().map(|server| &**server);
    let server = servers.into_iter().find(|server| server.name.as_str() == name && viewer.sees(server));
    let server = server.ok_or_else(|| not_yours(Kind::Server, name))?;
    if !viewer.changes(server) {
        let message = format!("only `{}` and admins may restart `{}`", server.owner, server.name);
        return Err(Trouble::new(message, format!("ask `{}`", server.owner)));
    }
    if server.state == PowerState::Stopped {
        let message = format!("`{}` is stopped, as its file says", server.name);
        return Err(Trouble::new(message, format!("start it: `start {}`", server.name)));
    }
    Ok(server)
}

/// Writes it down where the panel's restarts stand, or lets the door do so that this command runs for.
fn note(guest: &Guest, server: &Server) -> Result<(), Trouble> {
    match &guest.note {
        Some(note) => tell(note, server.id).map_err(|error| failed(&error)),
        None => {
            let (at, user) = (Timestamp::now(), &guest.name);
            audit_restart(&guest.settings.data, Noted { at, user, from: guest.from, server: server.id });
            Ok(())
        }
    }
}

/// Takes the note of a restart back that wasn't one.
fn take_back(guest: &Guest) {
    if let Some(note) = &guest.note
        && let Err(error) = fs::remove_file(note)
    {
        tracing::warn!(%error, "the audit log gets a restart that was refused");
    }
}

/// Refusal of the reconciler's; its sentences end with the next step.
fn refused(sentence: &str) -> Trouble {
    match sentence.split_once("; ") {
        Some((message, hint)) => Trouble::new(message, hint),
        None => broken(sentence.to_owned()),
    }
}

fn not_done(why: &str) -> Trouble {
    tracing::error!(why, "a restart failed");
    broken("the restart failed; the platform's log says why".to_owned())
}

fn broken(message: String) -> Trouble {
    Trouble::new(message, "try again in a moment, or ask an admin")
}
