//! Backups and restores that failed.

use std::io;
use std::path::PathBuf;

use berth_fault::{Fault, Kind};
use berth_schema::name::ServerId;
use berth_wire::client::ClientError;
use jiff::Timestamp;

use crate::vault::VaultError;

/// A backup, or a restore, that failed.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum BackupError {
    #[error("another backup or restore runs on this host")]
    Busy,
    #[error("cannot use {path}")]
    Folder {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(transparent)]
    Vault(#[from] VaultError),
    #[error("cannot ask the reconciler")]
    Daemon(#[source] ClientError),
    #[error("no reconciler runs, which knows where the servers' data lies")]
    NoDaemon,
    #[error("the reconciler has only just started, and doesn't know the servers yet")]
    TooEarly,
    #[error("cannot copy the state repo: {why}")]
    State { why: String },
    #[error("server{0} has no data on this host yet")]
    NoData(ServerId),
    #[error("there is no backup of server{0}")]
    NoCopy(ServerId),
    #[error("there is no backup of server{id} from {at} or before; the oldest is from {oldest}")]
    TooOld { id: ServerId, at: Timestamp, oldest: Timestamp },
    #[error("server{0} was made before restored data had a place in it")]
    NoPlace(ServerId),
    #[error("{path} is not in the backup from {at}")]
    NotInCopy { path: String, at: Timestamp },
    #[error("server{id} has {count} restored copies already, as many as it may have at a time")]
    TooMany { id: ServerId, count: usize },
    #[error("the copy takes {size}, and the host has {free} left")]
    NoSpace { size: String, free: String },
    #[error("cannot put the restored data in place at {path}")]
    Place {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("there is no copy of any server that could be tried")]
    NothingToTry,
    #[error("cannot choose a server by chance")]
    Chance(#[source] io::Error),
    #[error("a task broke off")]
    Broken,
}

impl Fault for BackupError {
    fn kind(&self) -> Kind {
        match self {
            Self::Vault(error) => error.kind(),
            Self::Daemon(error) => error.kind(),
            Self::Folder { .. } | Self::NoDaemon | Self::NoSpace { .. } | Self::Place { .. } => {
                Kind::Configuration
            }
            Self::Broken | Self::Chance(_) => Kind::Internal,
            _ => Kind::User,
        }
    }

    fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Vault(error) => error.hint(),
            Self::Busy => Some("wait until it is done; `berth backup list` shows what it made"),
            Self::NoDaemon | Self::TooEarly => Some("start it by `berth up`, and try again in a minute"),
            Self::NoData(_) => Some("the next pass makes its volumes; `berth status` shows it"),
            Self::NoCopy(_) => {
                Some("`berth backup list` shows what there is, and `berth backup run` makes one")
            }
            Self::NothingToTry => Some("`berth backup run` makes the first copies"),
            Self::TooOld { .. } => Some("leave `--at` out, or name a later time"),
            Self::NoPlace(_) => Some(
                "`--over` restores it in place of the present data; or raise `reset` in its file, which makes its system anew",
            ),
            Self::NotInCopy { .. } => {
                Some("write the path as it is in the server, below /apps, /home or /var/lib/docker")
            }
            Self::TooMany { .. } => Some("`berth restore <server> --clear` removes them"),
            Self::NoSpace { .. } => Some("restore one folder (`--path`), or make room on the host"),
            Self::Folder { .. }
            | Self::Daemon(_)
            | Self::State { .. }
            | Self::Place { .. }
            | Self::Chance(_)
            | Self::Broken => None,
        }
    }
}
