//! The open door: takes connections until it is asked to close. Commands that run then finish, while another door may take its place.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use berth_tasks::{TaskError, Tasks};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::door::Door;
use crate::housekeeping::housekeeping;
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
/// Time that commands have to end once they are told to.
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

/// A door that is closed to newcomers. Commands that came before run on, each within its own limits, and need nothing that another door
/// would have to itself.
#[must_use = "commands still run"]
pub struct Finishing {
    room: Arc<Semaphore>,
    places: u32,
    ending: CancellationToken,
    tasks: Tasks,
}

impl Finishing {
    /// Number of connections that are still served.
    pub fn left(&self) -> usize {
        (self.places as usize).saturating_sub(self.room.available_permits())
    }

    /// Returns once all commands have ended. `now` has those end that still run.
    pub async fn finish(self, now: impl Future<Output = ()>) -> Result<(), DoorError> {
        let Self { room, places, ending, tasks } = self;
        tokio::select! {
            _ = room.acquire_many(places) => {}
            () = now => {
                ending.cancel();
                let _ = tokio::time::timeout(CLOSING, room.acquire_many(places)).await;
            }
        }
        Ok(tasks.end().await?)
    }
}

/// Serves `<folder>/git.sock` until `tasks` are asked to end. Whoever waits there for the last commands finishes them.
/// `panel` gave out the tickets that are redeemed here; without one, none is.
pub async fn serve(
    door: Arc<Door>,
    panel: Option<Arc<Panel>>,
    folder: &Path,
    tasks: &Tasks,
) -> Result<Finishing, DoorError> {
    let mut listening = Listening::open(folder, SOCKET)?;
    tracing::info!(socket = %listening.path().display(), "the git door is open");
    let all = door.limits.commands + WAITING;
    let room = Arc::new(Semaphore::new(all));
    let ending = CancellationToken::new();
    let redeeming = Arc::new(Redeeming { panel, room: Semaphore::new(LEASES), stop: tasks.stop().clone() });
    tasks.keep("the housekeeping of the git door", housekeeping(Arc::clone(&door)));
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
    tracing::info!("the git door is closed");
    Ok(Finishing { room, places: u32::try_from(all).unwrap_or(u32::MAX), ending, tasks: tasks.clone() })
}
