//! `restore`: data from a backup, beside a server's own, for whoever may change the server. It is no commit.

use std::time::Duration;

use berth_schema::kind::Kind;
use berth_wire::restore::{RestoreAnswer, RestoreOrder, SOCKET, ask};
use jiff::Timestamp;

use super::answer::{Restored, Trouble};
use super::guest::{Guest, failed, not_yours};

/// Longest wait for its end. It goes on without whoever asked.
const PATIENCE: Duration = Duration::from_secs(80);

/// Restores something of a server beside its data.
pub(super) async fn restore(
    guest: &Guest,
    name: &str,
    at: Option<Timestamp>,
    path: Option<String>,
    progress: fn(&str),
) -> Result<Restored, Trouble> {
    let viewer = guest.viewer();
    let server = guest.good.state.servers.values().find(|server| server.name.as_str() == name);
    let server = server.filter(|server| viewer.sees(server)).ok_or_else(|| not_yours(Kind::Server, name))?;
    if !viewer.changes(server) {
        let message = format!("only `{}` and admins may restore data of `{}`", server.owner, server.name);
        return Err(Trouble::new(message, format!("ask `{}`", server.owner)));
    }
    if guest.good.state.platform.backup.is_none() {
        return Err(Trouble::new("this platform makes no backups", "ask {help}"));
    }
    let order = RestoreOrder { server: server.id, at, path, by: guest.name.clone() };
    progress(&format!("restoring data of {} …", server.name));
    let restored = |folder, until| Restored { server: server.name.to_string(), folder, until };
    match tokio::time::timeout(PATIENCE, ask(&guest.settings.data.join(SOCKET), &order)).await {
        Err(_) => Ok(restored(None, None)),
        Ok(Err(error)) => Err(failed(&error)),
        Ok(Ok(None)) => Err(Trouble::new(
            "nobody who could restore it runs at the moment",
            "try again in a minute, or ask {help}",
        )),
        Ok(Ok(Some(RestoreAnswer::Restored { folder, until, .. }))) => {
            Ok(restored(Some(folder), Some(until.strftime("%Y-%m-%d").to_string())))
        }
        Ok(Ok(Some(RestoreAnswer::Refused { message, hint }))) => {
            Err(Trouble::new(message, hint.unwrap_or_else(|| "ask {help}".to_owned())))
        }
    }
}
