//! The git door: git and reviews for people who come through the SSH router.
//!
//! Owns who may run what on which repository, and how it ends. Refuses to judge what is pushed (the repository's hooks
//! do), to know anybody by more than the name that the router gives, and to run anything but git's own two programs and
//! ours. No engine is needed, and none is reached.

mod child;
mod frame;
mod listen;
mod members;
mod session;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use berth_repo::StateRepo;
use berth_repo::view::ViewError;
use berth_schema::door::{Command, Request};
use berth_schema::name::{Prefix, UserName};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use self::listen::Listening;
use self::members::{Members, Standing};
use crate::hook::view::{self, ViewHookError};
use crate::hook::{InstallError, install};
use crate::outcome::chain;
use crate::settings::Settings;

pub use self::listen::ListenError;

/// Connections that wait for a refusal, or to say what they want, beside those whose commands run.
const WAITING: usize = 32;
/// How long commands that run have to end by themselves when the door closes.
const CLOSING: Duration = Duration::from_secs(20);

/// What commands may take.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Commands at once.
    pub commands: usize,
    /// Commands at once of one user.
    pub commands_each: usize,
    /// The longest without a byte in either direction. Git itself speaks every five seconds while its hooks work.
    pub idle: Duration,
    /// The longest in all.
    pub whole: Duration,
}

/// The door, before it is opened.
pub struct Door {
    settings: Settings,
    repo: PathBuf,
    /// Our own program, for the hooks and for reviews.
    program: PathBuf,
    members: Members,
    limits: Limits,
    places: Arc<Semaphore>,
    by_user: Arc<Mutex<HashMap<UserName, usize>>>,
}

/// The door can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum DoorError {
    /// The state repo can't be read.
    #[error("read the state repo {path}")]
    Read {
        /// Where it is.
        path: PathBuf,
        /// Why.
        #[source]
        source: berth_repo::Error,
    },
    /// Our own program or our folders can't be found.
    #[error("find the program `berth` and its folders")]
    Path(#[source] std::io::Error),
    /// There is no good state, and it says what the platform's prefix is.
    #[error("the state repo {path} holds no good state, which says where the door is")]
    NoPrefix {
        /// Where it is.
        path: PathBuf,
    },
    /// The socket can't be made.
    #[error(transparent)]
    Listen(#[from] ListenError),
}

/// Why a command doesn't run, or ran no further. Told to whoever asked.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("the state knows no such user; ask an admin to add `users/<you>.toml`, with your key in it")]
    Stranger,
    #[error(
        "the platform's state is not good yet, so nobody can tell who you are; whoever runs it has to mend that"
    )]
    NoGoodState,
    #[error("the state repo can't be read; whoever runs the platform finds the reason in its log")]
    Repo(#[from] berth_repo::Error),
    #[error("pushes can't be judged; whoever runs the platform finds the reason in its log")]
    Hooks(#[from] InstallError),
    #[error(
        "{running} of your commands are running, which is all that one may have at once; try again when one has ended"
    )]
    Yours { running: usize },
    #[error("too many commands are running; try again in a moment")]
    Busy,
    #[error("what you may see can't be made ready; whoever runs the platform finds the reason in its log")]
    View(#[from] ViewHookError),
    #[error(
        "another of your commands has made ready what you may see for {} s; try again when it is done", after.as_secs()
    )]
    ViewBusy { after: Duration },
    #[error("the command can't be run; whoever runs the platform finds the reason in its log")]
    Start {
        #[source]
        source: std::io::Error,
    },
    #[error("nothing moved for {} s, so the command was ended", after.as_secs())]
    Idle { after: Duration },
    #[error("the command took longer than {} s, so it was ended", after.as_secs())]
    TooLong { after: Duration },
    #[error("the platform's git door is closing; try again in a moment")]
    Ending,
    #[error("something broke here; whoever runs the platform finds it in its log")]
    Broken,
}

/// A command's place among those that may run at once.
struct Places {
    user: UserName,
    by_user: Arc<Mutex<HashMap<UserName, usize>>>,
    _place: OwnedSemaphorePermit,
}

impl Drop for Places {
    fn drop(&mut self) {
        let mut by_user = self.by_user.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = by_user.get_mut(&self.user) {
            *running -= 1;
            if *running == 0 {
                by_user.remove(&self.user);
            }
        }
    }
}

impl Door {
    /// A door to the state repo that `settings` names, whose hooks find the reconciler by the data folder.
    pub fn new(settings: &Settings, limits: Limits) -> Result<Self, DoorError> {
        let failed = |source| DoorError::Read { path: settings.state.clone(), source };
        let absolute = |path: &Path| std::path::absolute(path).map_err(DoorError::Path);
        // Hooks and reviews run elsewhere than we do.
        let state = absolute(&settings.state)?;
        let settings = Settings { data: absolute(&settings.data)?, state, ..settings.clone() };
        let repo = StateRepo::open(&settings.state).map_err(failed)?.git_dir().to_owned();
        let program = std::env::current_exe().map_err(DoorError::Path)?;
        if let Err(error) = install(&repo, &program, &settings.data) {
            // Reading needs no hooks, and members' pushes are judged in their views.
            tracing::error!(
                error = chain(&error),
                "the hooks can't be installed, so admins' pushes are refused"
            );
        }
        Ok(Self {
            repo,
            members: Members::open(&settings.state).map_err(failed)?,
            settings,
            program,
            places: Arc::new(Semaphore::new(limits.commands)),
            by_user: Arc::default(),
            limits,
        })
    }

    /// The prefix of the platform, as the state repo says it.
    pub fn prefix(&self) -> Result<Prefix, DoorError> {
        let failed = |source| DoorError::Read { path: self.repo.clone(), source };
        let state = self.members.state().map_err(failed)?;
        let state = state.ok_or_else(|| DoorError::NoPrefix { path: self.repo.clone() })?;
        Ok(state.platform.prefix.clone())
    }

    /// Serves `<folder>/git.sock` until `stop`. Commands that run then may end by themselves for a while.
    pub async fn serve(self, folder: &Path, stop: CancellationToken) -> Result<(), DoorError> {
        let mut listening = Listening::open(folder)?;
        tracing::info!(socket = %listening.path().display(), "the git door is open");
        let room = Arc::new(Semaphore::new(self.limits.commands + WAITING));
        let all = self.limits.commands + WAITING;
        let ending = CancellationToken::new();
        let door = Arc::new(self);
        loop {
            let stream = tokio::select! {
                stream = listening.accept() => stream?,
                () = stop.cancelled() => break,
            };
            // Only the router connects; beyond what it could ever need, the connection is dropped unread.
            let Ok(place) = Arc::clone(&room).try_acquire_owned() else { continue };
            let session = session::serve(Arc::clone(&door), stream, ending.clone());
            tokio::spawn(async move {
                session.await;
                drop(place);
            });
        }
        listening.close();
        let wanted = u32::try_from(all).unwrap_or(u32::MAX);
        if tokio::time::timeout(CLOSING, room.acquire_many(wanted)).await.is_err() {
            ending.cancel();
            let _ = tokio::time::timeout(CLOSING, room.acquire_many(wanted)).await;
        }
        tracing::info!("the git door is closed");
        Ok(())
    }

    /// Who asks, what is to run for them, and their place among those that run.
    fn prepare(&self, request: &Request) -> Result<(UserName, tokio::process::Command, Places), Refusal> {
        let (user, standing) = self.members.standing(&request.user)?;
        let places = self.take_place(&user)?;
        let mut command = match &request.command {
            Command::ReceivePack => {
                let repository = self.judged_repository(&user, standing)?;
                self.with_resolver(child::git("receive-pack", &repository))
            }
            Command::UploadPack => child::git("upload-pack", &self.repository(&user, standing)?),
            Command::ReviewList => self.review(&user, &["list"]),
            Command::ReviewShow(topic) => self.review(&user, &["show", topic.as_str()]),
            Command::ReviewApprove { topic, at } => {
                self.review(&user, &["approve", topic.as_str(), at.as_str()])
            }
            Command::ReviewReject(topic) => self.review(&user, &["reject", topic.as_str()]),
        };
        if let Some(protocol) = &request.protocol
            && Command::protocol(protocol.as_bytes()).is_some()
        {
            command.env("GIT_PROTOCOL", protocol);
        }
        Ok((user, command, places))
    }

    fn take_place(&self, user: &UserName) -> Result<Places, Refusal> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| Refusal::Busy)?;
        let mut by_user = self.by_user.lock().unwrap_or_else(PoisonError::into_inner);
        let running = by_user.entry(user.clone()).or_default();
        if *running >= self.limits.commands_each {
            return Err(Refusal::Yours { running: *running });
        }
        *running += 1;
        Ok(Places { user: user.clone(), by_user: Arc::clone(&self.by_user), _place: place })
    }

    /// The repository that somebody works on. The state repo itself holds what isn't a member's to read.
    fn repository(&self, user: &UserName, standing: Standing) -> Result<PathBuf, Refusal> {
        match standing {
            Standing::Admin => Ok(self.repo.clone()),
            Standing::Member => match view::prepare(&self.settings, &self.program, user) {
                Ok(path) => Ok(path),
                Err(ViewHookError::View(ViewError::Busy { after, .. })) => Err(Refusal::ViewBusy { after }),
                Err(error) => Err(error.into()),
            },
        }
    }

    /// The repository that somebody pushes to. Its hooks judge what is pushed; without them nothing is let in.
    fn judged_repository(&self, user: &UserName, standing: Standing) -> Result<PathBuf, Refusal> {
        let path = self.repository(user, standing)?;
        if standing == Standing::Admin {
            // They are there since the door opened, unless somebody moved them away.
            install(&path, &self.program, &self.settings.data)?;
        }
        Ok(path)
    }

    /// The resolver that is asked whose a domain is, where that is said for this host.
    fn with_resolver(&self, mut command: tokio::process::Command) -> tokio::process::Command {
        if let Some(resolver) = self.settings.resolver {
            command.env("BERTH_RESOLVER", resolver.to_string());
        }
        command
    }

    /// `berth review`, in somebody's name.
    fn review(&self, user: &UserName, words: &[&str]) -> tokio::process::Command {
        let mut command = child::clean(&self.program);
        command.arg("--state").arg(&self.settings.state).arg("--data").arg(&self.settings.data);
        command.args(["review", "--as", user.as_str()]).args(words);
        self.with_resolver(command)
    }
}
