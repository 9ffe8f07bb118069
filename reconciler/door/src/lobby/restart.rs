//! `restart`: an order to the reconciler, for whoever may change the server. It is no commit.

use std::time::Duration;

use berth_schema::kind::Kind;
use berth_schema::server::{PowerState, Server};
use berth_schema::text::safe_line;
use berth_wire::client::{ClientError, Daemon};
use berth_wire::power::PowerOrder;
use berth_wire::web::Act as Deed;
use berth_wire::{Ended, Status};
use jiff::Timestamp;

use super::answer::{Restarted, Trouble};
use super::guest::{Guest, failed, not_yours};
use crate::web::{Act, Audit, Line, Store};

/// Time between two restarts of one server, whoever asks for them.
const PAUSE: Duration = Duration::from_secs(60);
/// Longest wait for its end: a server has a minute to stop, after as long as an order may wait for its turn. The reconciler goes on
/// without whoever asked.
const PATIENCE: Duration = Duration::from_secs(90);
/// Characters of what the reconciler says.
const LONGEST: usize = 300;

/// Restarts a server that runs.
pub(super) async fn restart(guest: &Guest, name: &str) -> Result<Restarted, Trouble> {
    let server = find(guest, name)?;
    let no_reconciler = || {
        Trouble::new(
            "no reconciler runs, so nobody can restart it",
            "tell whoever runs the platform: `berth up` starts it",
        )
    };
    let status = guest.status().await.ok_or_else(no_reconciler)?;
    if let Some(left) = pause(&status, server) {
        let message = format!("`{}` was restarted less than a minute ago", server.name);
        return Err(Trouble::new(message, format!("try again in {left} s")));
    }
    let daemon = Daemon::find(&guest.socket()).await.map_err(|error| failed(&error))?;
    let mut daemon = daemon.ok_or_else(no_reconciler)?;
    note(guest, server);
    let order = PowerOrder { server: server.id, act: Deed::Restart, by: guest.name.clone() };
    let restarted = |is_done| Restarted { server: server.name.to_string(), is_done };
    match tokio::time::timeout(PATIENCE, daemon.power(&order)).await {
        Err(_) => Ok(restarted(false)),
        Ok(Ok(record)) => match record.result {
            Ended::Done => Ok(restarted(true)),
            Ended::Failed { error, .. } => {
                Err(broken(format!("the restart failed: {}", safe_line(&error, LONGEST))))
            }
            Ended::Interrupted => Err(broken("the restart was interrupted".to_owned())),
        },
        Ok(Err(ClientError::Refused { message, .. })) => Err(broken(safe_line(&message, LONGEST))),
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

/// Seconds until a server may be restarted again; `None` where it may be now.
fn pause(status: &Status, server: &Server) -> Option<u64> {
    let subject = |record: &berth_wire::PowerRecord| matches!(&record.subject, berth_plan::Subject::Server { id, .. } if *id == server.id);
    let last = status.power.iter().rev().find(|record| subject(record))?;
    let passed = Timestamp::now().duration_since(last.at);
    let passed = Duration::try_from(passed).unwrap_or_default();
    let left = PAUSE.checked_sub(passed).filter(|left| !left.is_zero())?;
    Some(left.as_secs() + u64::from(left.subsec_nanos() > 0))
}

/// Writes it down where the panel's restarts stand.
fn note(guest: &Guest, server: &Server) {
    // Without its folder there is no log to add to, and the panel's door has said so.
    if let Ok(store) = Store::open(&guest.settings.data) {
        let act = Act::Restart { server: server.id };
        Audit::of(store).write(&Line { at: Timestamp::now(), who: Some(&guest.name), from: guest.from, act });
    }
}

fn broken(message: String) -> Trouble {
    Trouble::new(message, "try again in a moment, or ask an admin")
}
