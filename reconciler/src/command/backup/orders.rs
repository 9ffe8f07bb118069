//! Orders of the door to restore something beside a server's data.

use std::io;
use std::path::Path;

use berth_backup::{BackupError, Request, Restored, Way, restore};
use berth_fault::{Fault as _, chain};
use berth_host::{Owner, StagedSocket};
use berth_tasks::Tasks;
use berth_wire::restore::{RestoreAnswer, RestoreOrder, SOCKET, answer, hear};
use jiff::{SignedDuration, Timestamp};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;

use super::asked::wanted;
use crate::settings::Settings;

/// Opens the socket for the owner of the state repo, as whom the door's commands run, and answers until `tasks` are asked to end.
pub(super) fn listen(settings: &Settings, tasks: &Tasks) -> io::Result<()> {
    let staged = StagedSocket::make(&settings.data)?;
    Owner::of(&settings.state)?.give(staged.path())?;
    let listener = UnixListener::from_std(staged.put(&settings.data.join(SOCKET))?)?;
    let (settings, others) = (settings.clone(), tasks.clone());
    tasks.keep("the socket for restores", async move {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    others.serve("a restore", serve(stream, settings.clone(), others.stop().clone()));
                }
                Err(error) => {
                    tracing::error!(%error, "the socket for restores broke");
                    return;
                }
            }
        }
    });
    Ok(())
}

/// Removes the socket.
pub(super) fn close(data: &Path) {
    let _ = std::fs::remove_file(data.join(SOCKET));
}

async fn serve(mut stream: UnixStream, settings: Settings, stop: CancellationToken) {
    let order = match hear(&mut stream).await {
        Ok(order) => order,
        Err(error) => {
            tracing::warn!(%error, "an order to restore could not be read");
            return;
        }
    };
    let RestoreOrder { server, by, .. } = &order;
    tracing::info!(%server, %by, path = order.path.as_deref().unwrap_or_default(), "data is to be restored");
    let ended = obey(&order, &settings, stop).await.unwrap_or_else(|refused| refused);
    if let RestoreAnswer::Refused { message, .. } = &ended {
        tracing::warn!(%server, message, "no data was restored");
    }
    // Whoever asked may have gone.
    let _ = answer(&mut stream, &ended).await;
}

async fn obey(
    order: &RestoreOrder,
    settings: &Settings,
    stop: CancellationToken,
) -> Result<RestoreAnswer, RestoreAnswer> {
    let refused = |message: String, hint: Option<&str>| RestoreAnswer::Refused {
        message,
        hint: hint.map(str::to_owned),
    };
    let path = order.path.as_deref().map(str::parse).transpose();
    let path = path.map_err(|error: berth_backup::NoServerPath| refused(error.to_string(), None))?;
    let read = tokio::task::block_in_place(|| wanted(settings));
    let hosts = || {
        refused("backups don't work at the moment".to_owned(), Some("ask an admin; the host's log says why"))
    };
    let (wanted, _) = read.map_err(|error| {
        tracing::error!(error = %chain(error.as_ref()), "cannot restore");
        hosts()
    })?;
    let wanted = wanted.until(stop).map_err(|error| {
        tracing::error!(%error, "cannot restore");
        hosts()
    })?;
    let request = Request { server: order.server, at: order.at, path, way: Way::Beside };
    let kept = SignedDuration::try_from(wanted.restored).unwrap_or(SignedDuration::MAX);
    let Restored { from, beside, .. } = restore(wanted.means(), request).await.map_err(|error| {
        tracing::error!(error = %chain(&error), "cannot restore");
        match error {
            // Words of restic's and paths of the host are the host's.
            BackupError::Vault(_)
            | BackupError::Daemon(_)
            | BackupError::Folder { .. }
            | BackupError::Place { .. }
            | BackupError::Broken => hosts(),
            _ => refused(error.to_string(), error.hint()),
        }
    })?;
    let until = Timestamp::now().saturating_add(kept).unwrap_or(Timestamp::MAX);
    Ok(RestoreAnswer::Restored { from, folder: beside.unwrap_or_default(), until })
}
