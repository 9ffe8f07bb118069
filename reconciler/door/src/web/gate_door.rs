//! The gate's door: a folder that the web server's container sees and can't change. In it the gate finds the public key of grants, the
//! list of what has ended, and `gate.sock`, where it asks for grants.
//!
//! Owns that an end is told: whoever signs out, or loses a role, a password or a right by a commit, is in that list at once.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use berth_fault::chain;
use berth_host::file;
use berth_repo::Revision;
use berth_schema::name::UserName;
use berth_tasks::Tasks;
use berth_wire::grant::{CONTACT_FILE, ENDED_FILE, GATE_SOCKET, KEY_FILE};
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::{MissedTickBehavior, interval};

use super::converse::converse;
use super::means::Means;
use super::panel::Panel;
use super::questions::gate_questions;
use super::secret::Digest;
use super::site::{guarded, may_open};
use crate::listen::{ListenError, Listening};

/// Time between two looks at `main`, and at the files in the folder.
const LOOK: Duration = Duration::from_millis(250);
/// Connections of the gate at once.
const CONNECTIONS: usize = 64;

/// The gate's door, opened.
pub(super) struct GateDoor {
    panel: Arc<Panel>,
    folder: PathBuf,
    listening: Listening,
}

/// Knowledge of the last look.
#[derive(Debug, Default)]
struct Told {
    /// Revision whose people and domains the grants and tokens agree with.
    at: Option<Revision>,
    /// Text of the list, as it was written.
    ended: Option<String>,
}

impl GateDoor {
    /// Opens `gate.sock` in the folder, and writes the files beside it.
    pub(super) fn open(panel: Arc<Panel>, folder: &Path) -> Result<Self, ListenError> {
        let listening = Listening::open(folder, GATE_SOCKET)?;
        Ok(Self { panel, folder: folder.to_owned(), listening })
    }

    /// Keeps the door open as tasks of these.
    pub(super) fn keep(self, tasks: &Tasks) {
        let Self { panel, folder, listening } = self;
        tasks.keep("the gate's door", answer(Arc::clone(&panel), listening, tasks.clone()));
        tasks.keep("the list of what has ended", tell(panel, folder));
    }
}

/// Answers the gate.
async fn answer(panel: Arc<Panel>, mut listening: Listening, tasks: Tasks) {
    tracing::info!(socket = %listening.path().display(), "the gate's door is open");
    let (routes, room) = (Arc::new(gate_questions()), Arc::new(Semaphore::new(CONNECTIONS)));
    loop {
        let Ok(place) = Arc::clone(&room).acquire_owned().await else { return };
        match listening.accept().await {
            Ok(stream) => {
                let conversation = converse(stream, Arc::clone(&panel), Arc::clone(&routes), Arc::new(place));
                tasks.serve("a question of the gate", conversation);
            }
            Err(error) => {
                tracing::error!(error = chain(&error), "the gate's door can't take a connection");
                tokio::time::sleep(LOOK).await;
            }
        }
    }
}

/// Tells the gate what has ended, whenever something has.
async fn tell(panel: Arc<Panel>, folder: PathBuf) {
    let told = Arc::new(Mutex::new(Told::default()));
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut failing = false;
    loop {
        tokio::select! {
            () = panel.tokens.gone.some() => {}
            _ = looks.tick() => {}
        }
        let (panel, folder, told) = (Arc::clone(&panel), folder.clone(), Arc::clone(&told));
        // It may read the repository.
        let looked = tokio::task::spawn_blocking(move || look(&panel, &folder, &mut told.lock())).await;
        let error = match looked {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(chain(error.as_ref()).to_string()),
            Err(error) => Some(error.to_string()),
        };
        if let (Some(error), false) = (&error, failing) {
            tracing::error!(
                error,
                "the gate can't be told what has ended; grants end by themselves within minutes"
            );
        }
        failing = error.is_some();
    }
}

type Failed = Box<dyn std::error::Error + Send + Sync>;

fn look(panel: &Panel, folder: &Path, told: &mut Told) -> Result<(), Failed> {
    let now = panel.now().date;
    // A state that can't be read ends nothing: whoever asks is refused meanwhile.
    let settled = settle(panel, folder, told);
    let gone = panel.tokens.gone.take();
    panel.grants.end_sessions(gone.into_iter().map(Digest::session), now)?;
    let ended = panel.grants.ledger.text(now);
    let is_there = |name: &str| folder.join(name).exists();
    if told.ended.as_ref() != Some(&ended) || !is_there(ENDED_FILE) {
        put(folder, ENDED_FILE, &ended)?;
        told.ended = Some(ended);
    }
    if !is_there(KEY_FILE) {
        put(folder, KEY_FILE, &panel.grants.public_key())?;
    }
    settled
}

/// Tells the gate whom its visitors ask; ends tokens and grants of people who have lost their standing or a right, if `main` has moved.
fn settle(panel: &Panel, folder: &Path, told: &mut Told) -> Result<(), Failed> {
    let good = {
        let _acting = panel.door.owner().act()?;
        panel.door.members().good()?
    };
    let Some(good) = good.filter(|good| told.at != Some(good.at)) else { return Ok(()) };
    let state = &good.state;
    put(folder, CONTACT_FILE, state.platform.organisation.contact().unwrap_or_default())?;
    let stands = |user: &UserName, standing: Digest, means: &Means| {
        state.users.get(user).is_some_and(|user| standing.stands(state, user, means))
    };
    panel.tokens.end_stale(stands)?;
    let may = |user: &_, host: &_| guarded(state, host).is_none_or(|site| may_open(state, &site, user));
    panel.grants.end_unless(may, panel.now().date)?;
    told.at = Some(good.at);
    Ok(())
}

/// Puts a file into the folder by its name alone: what lies there is somebody else's.
fn put(folder: &Path, name: &str, text: &str) -> io::Result<()> {
    let parent = folder.parent().unwrap_or(folder);
    let owner = folder.file_name().unwrap_or_default().to_string_lossy();
    let next = parent.join(format!(".{owner}-{name}"));
    file::replace_for_now(&next, text.as_bytes(), 0o644)?;
    fs::rename(next, folder.join(name))
}
