//! Power: what somebody does to a running server. The door judges who may; the reconciler does it.

use std::time::Duration;

use berth_fault::chain;
use berth_schema::server::PowerState;
use berth_wire::Ended;
use berth_wire::client::{ClientError, Daemon};
use berth_wire::power::{PowerOrder, PowerRecord};
use berth_wire::web::{Act as Deed, Done, Power, Question, Refusal};
use hyper::StatusCode;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::audit::Act;
use super::changes::socket;
use super::panel::{Asker, Panel};
use super::refusals::{bad, failed, forbidden, not_found, too_many, unavailable};

/// Part of the question's own time that is kept for the answer.
const MARGIN: Duration = Duration::from_secs(5);
/// Characters of what the reconciler says.
const LONGEST: usize = 300;

/// Does something to a running server, for its owner or an admin.
pub(crate) fn power(panel: &Panel, asker: &Asker, asked: Power) -> Result<Done, Refusal> {
    let server = asker.state().servers.get(&asked.server);
    let server = server.filter(|server| asker.sees(server)).ok_or_else(not_found)?;
    if !asker.changes(server) {
        let message = format!("Only `{}` and admins may restart `{}`.", server.owner, server.name);
        return Err(forbidden(message, format!("Ask `{}`, or {{help}}.", server.owner)));
    }
    if server.state == PowerState::Stopped {
        let message = format!("`{}` is stopped, as its file says.", server.name);
        return Err(bad(message, "Set its state to running, and it starts."));
    }
    let Deed::Restart = asked.act;
    let order = PowerOrder { server: server.id, act: asked.act, by: asker.name.clone() };
    let socket = socket(&panel.door.settings().data);
    Handle::current().block_on(async {
        let daemon = Daemon::find(&socket).await.map_err(|error| unavailable(&error))?;
        let Some(mut daemon) = daemon else { return Err(unavailable(&NoReconciler)) };
        let (tell, told) = oneshot::channel();
        tokio::spawn(async move {
            let ended = daemon.power(&order).await;
            match &ended {
                Ok(PowerRecord { result, millis, .. }) => {
                    tracing::info!(server = %order.server, user = %order.by, ?result, millis, "a server was restarted");
                }
                Err(error) => {
                    tracing::error!(server = %order.server, error = chain(error), "a restart failed");
                }
            }
            // Whoever asked may have gone on without it.
            let _ = tell.send(ended);
        });
        let ended = tokio::time::timeout(<Power as Question>::PATIENCE - MARGIN, told).await;
        let is_refused = matches!(
            &ended,
            Ok(Ok(Err(ClientError::Refused { status, .. }))) if *status != StatusCode::BAD_GATEWAY
        );
        if !is_refused {
            panel.note(Some(&asker.name), None, Act::Restart { server: server.id });
        }
        match ended {
            // It goes on; its page shows how.
            Err(_) => Ok(Done),
            Ok(Ok(Ok(PowerRecord { result: Ended::Done, .. }))) => Ok(Done),
            Ok(Ok(Ok(PowerRecord { result, .. }))) => Err(not_done(&result)),
            Ok(Ok(Err(ClientError::Refused { wait: Some(seconds), .. }))) => {
                Err(too_many(Duration::from_secs(seconds)))
            }
            // A sentence for the person.
            Ok(Ok(Err(ClientError::Refused { message, .. }))) => {
                Err(failed(berth_schema::text::safe_line(&message, LONGEST)))
            }
            Ok(Ok(Err(error))) => Err(unavailable(&error)),
            Ok(Err(error)) => Err(unavailable(&error)),
        }
    })
}

/// A platform without a reconciler.
#[derive(Debug, thiserror::Error)]
#[error("no reconciler runs")]
pub(crate) struct NoReconciler;

fn not_done(result: &Ended) -> Refusal {
    match result {
        Ended::Failed { error, .. } => {
            failed(format!("The restart failed: {}.", berth_schema::text::safe_line(error, LONGEST)))
        }
        _ => failed("The restart was interrupted."),
    }
}
