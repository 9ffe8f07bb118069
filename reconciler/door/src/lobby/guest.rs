//! The person in the lobby: who they are, what is theirs, and the places that their commands read from.

use std::error::Error;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use berth_fault::chain;
use berth_judge::form::Forms;
use berth_repo::StateRepo;
use berth_schema::kind::Kind;
use berth_schema::name::UserName;
use berth_schema::policy::Actor;
use berth_schema::text::safe;
use berth_wire::Status;
use berth_wire::client::Daemon;

use super::answer::Trouble;
use crate::members::{Good, Members};
use crate::settings::DoorSettings;
use crate::web::{Past, Viewer, socket};

/// Time for the reconciler to tell how things are.
const STATUS: Duration = Duration::from_secs(5);

/// Somebody whom the router knows by their key.
pub(super) struct Guest {
    pub(super) name: UserName,
    /// Address that they come from, as `access.panel` sees it.
    pub(super) from: Option<IpAddr>,
    pub(super) good: Good,
    pub(super) past: Past,
    pub(super) settings: DoorSettings,
    /// Place at which the door reads what it shall write down.
    pub(super) note: Option<PathBuf>,
    members: Members,
}

impl Guest {
    /// Finds somebody in the last good state.
    pub(super) fn find(
        settings: DoorSettings,
        name: UserName,
        from: Option<IpAddr>,
        note: Option<PathBuf>,
    ) -> Result<Self, Trouble> {
        let members = Members::open(&settings.state).map_err(|error| failed(&error))?;
        let good = members.good().map_err(|error| failed(&error))?.ok_or_else(|| {
            Trouble::new(
                "the platform's state is not good yet, so nobody can tell who you are",
                "tell {help}: `berth check` lists the mistakes",
            )
            .addressed(None)
        })?;
        if !good.state.users.contains_key(&name) {
            let stranger = Trouble::new(
                "the state knows no such user",
                "ask {help} to add `users/<you>.toml`, with your key in it",
            );
            return Err(stranger.addressed(good.state.platform.organisation.contact()));
        }
        Ok(Self { name, from, good, past: Past::default(), settings, note, members })
    }

    pub(super) fn viewer(&self) -> Viewer<'_> {
        let is_admin = Actor::Member(&self.name).is_admin(&self.good.state);
        Viewer { name: &self.name, is_admin, state: &self.good.state }
    }

    /// The state repo, which knows what was parsed already.
    pub(super) fn repo(&self) -> Result<StateRepo, Trouble> {
        let repo = StateRepo::open(&self.settings.state).map_err(|error| failed(&error))?;
        Ok(repo.knowing(self.members.memory()))
    }

    /// The judge's forms, on the same ground.
    pub(super) fn forms(&self) -> Forms {
        Forms::of(&self.settings.state, self.settings.resolver).knowing(self.members.memory())
    }

    /// The reconciler's socket for the door.
    pub(super) fn socket(&self) -> PathBuf {
        socket(&self.settings.data)
    }

    /// Asks the reconciler how things are; `None` where it can't say.
    pub(super) async fn status(&self) -> Option<Status> {
        let socket = self.socket();
        let asked = async { Daemon::find(&socket).await.ok()??.status().await.ok()? };
        tokio::time::timeout(STATUS, asked).await.ok()?
    }
}

/// The trouble of something that broke here. Its causes name what is the host's, so they are for the door's log.
pub(super) fn failed(error: &(dyn Error + 'static)) -> Trouble {
    tracing::error!(error = chain(error), "a command of the lobby can't be answered");
    Trouble::new(
        "the platform can't answer that now; its log says why",
        "try again in a moment; if it stays so, tell whoever runs the platform",
    )
}

/// The trouble of a name that isn't there, or isn't theirs to see: nobody learns which.
pub(super) fn not_yours(kind: Kind, name: &str) -> Trouble {
    let list = if kind == Kind::Domain { "domain ls" } else { "ls" };
    Trouble::new(format!("you have no {kind} `{}`", safe(name)), format!("`{list}` lists yours"))
}
