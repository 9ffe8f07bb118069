//! The door itself: the people it knows, and the programs that run for them.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use berth_fault::chain;
use berth_host::{Owner, admit};
use berth_judge::hook::install;
use berth_judge::hook::view::{self, ViewHookError, ViewSettings};
use berth_repo::StateRepo;
use berth_repo::view::ViewError;
use berth_schema::door::{Command, LobbyLine, NoPlace, Place, Places, Request};
use berth_schema::name::{Prefix, UserName};
use jiff::Timestamp;

use crate::child;
use crate::members::{Members, Membership};
use crate::refusal::Refusal;
use crate::scratch::{self, Scratch};
use crate::settings::{DoorSettings, Limits};
use crate::web::{Noted, audit_restart};

/// Seconds for which a command follows a pass, unless the operator sets another number.
const FOLLOW: u64 = 60;

/// The door, before it is opened.
pub struct Door {
    settings: DoorSettings,
    repo: PathBuf,
    /// Owner of the state repo, as whom everything runs that works on it.
    owner: Owner,
    /// Our own program, for the hooks and for reviews.
    program: PathBuf,
    members: Members,
    pub(crate) limits: Limits,
    places: Arc<Places>,
}

/// A command that is ready to run.
pub(crate) struct Prepared {
    pub(crate) user: UserName,
    pub(crate) command: tokio::process::Command,
    pub(crate) place: Place,
    pub(crate) scratch: Scratch,
}

/// A door that can't be opened.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub enum OpenError {
    /// The state repo can't be read.
    #[error("cannot read the state repo {path}")]
    Read {
        path: PathBuf,
        #[source]
        source: berth_repo::Error,
    },
    /// The owner of the state repo can't be told, or let through to the views.
    #[error("cannot let the owner of the state repo in")]
    Owner(#[source] std::io::Error),
    /// Our own program or our folders can't be found.
    #[error("cannot find the program `berth` and its folders")]
    Path(#[source] std::io::Error),
    /// No good state says what the platform's prefix is.
    #[error("cannot tell where the door is: the state repo {path} holds no good state")]
    NoPrefix { path: PathBuf },
}

impl Door {
    /// A door to the state repo that `settings` names, whose hooks find the reconciler by the data folder.
    pub fn new(settings: &DoorSettings, limits: Limits) -> Result<Self, OpenError> {
        let failed = |source| OpenError::Read { path: settings.state.clone(), source };
        let absolute = |path: &Path| std::path::absolute(path).map_err(OpenError::Path);
        // Hooks and reviews run elsewhere than we do.
        let state = absolute(&settings.state)?;
        let (data, views) = (absolute(&settings.data)?, absolute(&settings.views)?);
        let settings = DoorSettings { state, data, views, resolver: settings.resolver };
        let repo = StateRepo::open(&settings.state).map_err(failed)?.git_dir().to_owned();
        let owner = Owner::of(&repo).map_err(OpenError::Owner)?;
        admit(owner, &settings.data, &settings.views).map_err(OpenError::Owner)?;
        if let Err(error) = scratch::sweep(&settings.views, owner, limits.whole) {
            tracing::warn!(%error, "what commands of an earlier door left behind can't be removed");
        }
        let program = std::env::current_exe().map_err(OpenError::Path)?;
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
            places: Places::new(limits.commands, limits.commands_each),
            owner,
            limits,
        })
    }

    /// The prefix of the platform, as the state repo says it.
    pub fn prefix(&self) -> Result<Prefix, OpenError> {
        let failed = |source| OpenError::Read { path: self.repo.clone(), source };
        let good = self.members.good().map_err(failed)?;
        let good = good.ok_or_else(|| OpenError::NoPrefix { path: self.repo.clone() })?;
        Ok(good.state.platform.prefix.clone())
    }

    /// Finds out who asks, and makes ready what is to run for them and their place among those that run. It runs as the owner
    /// of the state repo.
    pub(crate) fn prepare(&self, request: &Request) -> Result<Prepared, Refusal> {
        let failed = |source| Refusal::Start { source };
        let acting = self.owner.act().map_err(failed)?;
        let (user, mut command, place) = self.prepare_as_owner(request)?;
        drop(acting);
        let scratch = Scratch::make(&self.settings.views, self.owner).map_err(failed)?;
        match request.command {
            Command::ReceivePack | Command::UploadPack => {}
            Command::Lobby(_) => {
                command.env("BERTH_NOTE", scratch.note()).env("BERTH_LOG_FILE", scratch.log());
            }
            _ => {
                command.env("BERTH_LOG_FILE", scratch.log());
            }
        }
        self.owner.run(command.as_std_mut());
        Ok(Prepared { user, command, place, scratch })
    }

    /// Takes a command's scratch folder away, and writes down what the command noted there.
    pub(crate) fn tidy(&self, request: &Request, user: &UserName, scratch: Scratch) {
        for line in scratch.logged().lines() {
            tracing::warn!(%user, line, "a command's log");
        }
        match scratch.noted() {
            Ok(None) => {}
            Ok(Some((server, at))) => {
                let at = Timestamp::try_from(at).unwrap_or_else(|_| Timestamp::now());
                audit_restart(&self.settings.data, Noted { at, user, from: self.seen_from(request), server });
            }
            Err(error) => tracing::error!(%error, "the audit log may lack a restart"),
        }
        if let Err(error) = scratch.end() {
            tracing::warn!(%error, "a command's temporary files can't be removed");
        }
    }

    fn prepare_as_owner(
        &self,
        request: &Request,
    ) -> Result<(UserName, tokio::process::Command, Place), Refusal> {
        let (user, membership) = self.members.membership(&request.user)?;
        let place = match membership {
            Membership::Admin => self.places.take(&user),
            Membership::Member => self.places.take_for_member(&user),
        };
        let place = place.map_err(|taken| match taken {
            NoPlace::Full => Refusal::Busy,
            NoPlace::Yours { running } => Refusal::Yours { running },
        })?;
        let mut command = match &request.command {
            Command::ReceivePack => {
                let repository = self.judged_repository(&user, membership)?;
                self.with_resolver(child::git("receive-pack", &repository, self.limits.whole))
            }
            Command::UploadPack => {
                child::git("upload-pack", &self.repository(&user, membership)?, self.limits.whole)
            }
            Command::ReviewList => self.review(&user, &["list"]),
            Command::ReviewListWhole => self.review(&user, &["list", "--all"]),
            Command::ReviewShow(topic) => self.review(&user, &["show", topic.as_str()]),
            Command::ReviewShowWhole(topic) => self.review(&user, &["show", topic.as_str(), "--all"]),
            Command::ReviewApprove { topic, at, knows } => {
                let mut command = self.review(&user, &["approve", topic.as_str(), at.as_str()]);
                command.args(knows.then_some("--allow-lockout"));
                command
            }
            Command::ReviewReject(topic) => self.review(&user, &["reject", topic.as_str()]),
            Command::Lobby(line) => self.lobby(&user, line),
        };
        if let Some(from) = self.seen_from(request) {
            command.env("BERTH_FROM", from.to_string());
        }
        if let Some(protocol) = &request.protocol
            && Command::protocol(protocol.as_bytes()).is_some()
        {
            command.env("GIT_PROTOCOL", protocol);
        }
        Ok((user, command, place))
    }

    /// The person's address, if it is one by which `access.panel` may know them: people who come over IPv6 or from the machine
    /// itself look like the host's end of the router's network.
    fn seen_from(&self, request: &Request) -> Option<IpAddr> {
        let good = self.members.good().ok()??;
        let from = request.from.to_canonical();
        let external = good.state.platform.networks.external;
        let is_masked = matches!(from, IpAddr::V4(from) if external.contains(&from));
        (!is_masked).then_some(from)
    }

    pub(crate) fn settings(&self) -> &DoorSettings {
        &self.settings
    }

    pub(crate) fn owner(&self) -> Owner {
        self.owner
    }

    pub(crate) fn members(&self) -> &Members {
        &self.members
    }

    fn view_settings(&self) -> ViewSettings {
        let DoorSettings { state, data, views, .. } = self.settings.clone();
        ViewSettings { state, data, views }
    }

    /// The repository that somebody works on. The state repo itself holds what isn't a member's to read.
    fn repository(&self, user: &UserName, membership: Membership) -> Result<PathBuf, Refusal> {
        match membership {
            Membership::Admin => Ok(self.repo.clone()),
            Membership::Member => match view::prepare(&self.view_settings(), &self.program, user) {
                Ok(path) => Ok(path),
                Err(ViewHookError::View(ViewError::Busy { after, .. })) => Err(Refusal::ViewBusy { after }),
                Err(error) => Err(Box::new(error).into()),
            },
        }
    }

    /// The repository that somebody pushes to. Its hooks judge what is pushed; without them nothing is let in.
    fn judged_repository(&self, user: &UserName, membership: Membership) -> Result<PathBuf, Refusal> {
        let path = self.repository(user, membership)?;
        if membership == Membership::Admin {
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

    /// Lets a command follow a pass for no longer than the door bears its silence: a change that was made is told in any case.
    fn following(&self, mut command: tokio::process::Command) -> tokio::process::Command {
        let wanted = std::env::var("BERTH_WAIT").ok().and_then(|wait| wait.parse().ok()).unwrap_or(FOLLOW);
        command.env("BERTH_WAIT", wanted.min(self.limits.idle.as_secs() / 2).to_string());
        command
    }

    /// `berth review`, in somebody's name.
    fn review(&self, user: &UserName, words: &[&str]) -> tokio::process::Command {
        let mut command = child::clean(&self.program);
        command.arg("--state").arg(&self.settings.state).arg("--data").arg(&self.settings.data);
        command.args(["review", "--as", user.as_str()]).args(words);
        self.following(self.with_resolver(command))
    }

    /// `berth lobby`, in somebody's name. It reads the line itself.
    fn lobby(&self, user: &UserName, line: &LobbyLine) -> tokio::process::Command {
        let mut command = child::clean(&self.program);
        command.arg("--state").arg(&self.settings.state).arg("--data").arg(&self.settings.data);
        command.args(["lobby", "--as", user.as_str(), "--", line.as_str()]);
        self.following(self.with_resolver(command))
    }
}
