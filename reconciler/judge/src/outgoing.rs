//! Outgoing changes: what members change by forms, the API and SSH where a forge hosts the state repo.
//!
//! Each is a commit in the state repo that no branch leads to, with a mark at `refs/berth/outgoing/<user>/<topic>`, which says
//! who asked for what, and how far it has come. Owns these marks, how many there may be, and the two questions that `main`
//! decides: whether it has the change already, and whether the policy allows it still. Refuses to talk to a forge: `berth remote`
//! does, and writes down here what came of it.

mod keep;
mod landing;
mod record;
mod still;

use std::path::PathBuf;

use berth_repo::StateRepo;

use crate::hook::HookError;

pub use keep::{Outgoing, Way, all, find, put, tell_way, way, withdraw};
pub use landing::{Landing, landing};
pub use record::{Record, TOO_LATE};
pub use still::{Still, still_allowed};

pub(crate) use keep::{Sent, enough, promised, send};

/// An outgoing change that can't be read, written or looked at.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub enum OutgoingError {
    /// The repository can't be read or written.
    #[error("cannot work on the state repo {path}")]
    Repo {
        path: PathBuf,
        #[source]
        source: berth_repo::Error,
    },
    /// Others that keep changes can't be held off.
    #[error("cannot lock {path}, so nobody else is held off while the change is kept")]
    Lock {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// The record of a change can't be written down.
    #[error("cannot write down what is known of a change")]
    Write(#[from] toml::ser::Error),
    /// The change can't be judged anew.
    #[error(transparent)]
    Judge(#[from] HookError),
}

fn failed(repo: &StateRepo, source: berth_repo::Error) -> OutgoingError {
    OutgoingError::Repo { path: repo.git_dir().to_owned(), source }
}
