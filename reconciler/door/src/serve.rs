//! The open door: takes connections until it is asked to close, and lets commands that run then end by themselves.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use berth_tasks::{TaskError, Tasks};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::door::Door;
use crate::lease::Redeeming;
use crate::listen::{ListenError, Listening};
use crate::session;
use crate::web::Panel;

/// The socket's name in its folder.
const SOCKET: &str = "git.sock";
/// Connections that wait for a refusal, or to say what they want, beside those whose commands run.
const WAITING: usize = 32;
/// Leases of the panel's tickets at once, beside these: terminals and logs that people have open.
const LEASES: usize = 512;
/// Time that running commands have to end by themselves when the door closes.
const CLOSING: Duration = Duration::from_secs(20);

/// A door that can't go on.
#[derive(Debug, thiserror::Error)]
pub enum DoorError {
    /// The socket can't be made.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// A task that the door needs has ended.
    #[error(transparent)]
    Task(#[from] TaskError),
}

/// Serves `<folder>/git.sock` until `tasks` are asked to end. Commands that run then may end by themselves for a while.
/// `panel` gave out the tickets that are redeemed here; without one, none is.
pub async fn serve(
    door: Arc<Door>,
    panel: Option<Arc<Panel>>,
    folder: &Path,
    tasks: &Tasks,
) -> Result<(), DoorError> {
    let mut listening = Listening::open(folder, SOCKET)?;
    tracing::info!(socket = %listening.path().display(), "the git door is open");
    let room = Arc::new(Semaphore::new(door.limits.commands + WAITING));
    let all = door.limits.commands + WAITING;
    let ending = CancellationToken::new();
    let redeeming = Arc::new(Redeeming { panel, room: Semaphore::new(LEASES), stop: tasks.stop().clone() });
    loop {
        let stream = tokio::select! {
            stream = tasks.pulse().wait(listening.accept()) => stream?,
            () = tasks.stop().cancelled() => break,
        };
        // Only the router connects; beyond what it could ever need, the connection is dropped unread.
        let Ok(place) = Arc::clone(&room).try_acquire_owned() else { continue };
        let session =
            session::serve(Arc::clone(&door), Arc::clone(&redeeming), stream, ending.clone(), place);
        tasks.serve("a session of the git door", session);
    }
    drop(listening);
    let wanted = u32::try_from(all).unwrap_or(u32::MAX);
    if tokio::time::timeout(CLOSING, room.acquire_many(wanted)).await.is_err() {
        ending.cancel();
        let _ = tokio::time::timeout(CLOSING, room.acquire_many(wanted)).await;
    }
    tracing::info!("the git door is closed");
    Ok(tasks.end().await?)
}
