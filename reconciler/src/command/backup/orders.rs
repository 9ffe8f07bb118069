//! Orders of the door to restore something beside a server's data.

use std::io;
use std::path::Path;

use berth_backup::{Request, Restored, Way, restore};
use berth_fault::{Fault as _, chain};
use berth_host::{Owner, StagedSocket};
use berth_tasks::Tasks;
use berth_wire::restore::{RestoreAnswer, RestoreOrder, SOCKET, answer, hear};
use jiff::{SignedDuration, Timestamp};
use tokio::net::{UnixListener, UnixStream};

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
                    others.serve("a restore", serve(stream, settings.clone()));
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

async fn serve(mut stream: UnixStream, settings: Settings) {
    let order = match hear(&mut stream).await {
        Ok(order) => order,
        Err(error) => {
            tracing::warn!(%error, "an order to restore could not be read");
            return;
        }
    };
    let RestoreOrder { server, by, .. } = &order;
    tracing::info!(%server, %by, path = order.path.as_deref().unwrap_or_default(), "data is to be restored");
    let ended = obey(&order, &settings).await.unwrap_or_else(|refused| refused);
    if let RestoreAnswer::Refused { message, .. } = &ended {
        tracing::warn!(%server, message, "no data was restored");
    }
    // Whoever asked may have gone.
    let _ = answer(&mut stream, &ended).await;
}

async fn obey(order: &RestoreOrder, settings: &Settings) -> Result<RestoreAnswer, RestoreAnswer> {
    let refused = |message: String, hint: Option<&str>| RestoreAnswer::Refused {
        message,
        hint: hint.map(str::to_owned),
    };
    let path = order.path.as_deref().map(str::parse).transpose();
    let path = path.map_err(|error: berth_backup::NoServerPath| refused(error.to_string(), None))?;
    let read = tokio::task::block_in_place(|| wanted(settings));
    let (wanted, _) = read.map_err(|error| {
        tracing::error!(error = %chain(error.as_ref()), "cannot restore");
        refused("backups don't work at the moment".to_owned(), None)
    })?;
    let request = Request { server: order.server, at: order.at, path, way: Way::Beside };
    let kept = SignedDuration::try_from(wanted.restored).unwrap_or(SignedDuration::MAX);
    let Restored { from, beside, .. } = restore(wanted.means(), request).await.map_err(|error| {
        // The chain of causes is the host's.
        tracing::error!(error = %chain(&error), "cannot restore");
        refused(error.to_string(), error.hint())
    })?;
    let until = Timestamp::now().saturating_add(kept).unwrap_or(Timestamp::MAX);
    Ok(RestoreAnswer::Restored { from, folder: beside.unwrap_or_default(), until })
}
