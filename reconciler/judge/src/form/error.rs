//! Questions about forms that can't be answered.

use std::path::PathBuf;

use berth_fault::{Fault, Kind};
use berth_schema::form::WriteError;
use berth_wire::web::Why;

use crate::hook::HookError;
use crate::line::NoTurn;
use crate::outgoing::OutgoingError;
use crate::review::ReviewError;

/// A change that can't even be planned, or a question about proposals that has no answer. A change with mistakes, or one that
/// somebody may not make, is an answer.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub enum FormError {
    /// The repository can't be read or written.
    #[error("cannot work on the state repo {path}")]
    Repo {
        path: PathBuf,
        #[source]
        source: berth_repo::Error,
    },
    /// There is no commit on `main`.
    #[error("the state repo {path} has no commit on main yet, so no form can change it")]
    Empty { path: PathBuf },
    /// The change can't be judged.
    #[error("cannot judge the change")]
    Judge(#[from] HookError),
    /// A proposal can't be read or decided.
    #[error(transparent)]
    Review(#[from] ReviewError),
    /// A change that goes to the forge can't be kept or read.
    #[error(transparent)]
    Outgoing(#[from] OutgoingError),
    /// A change can't be compared with what was shown.
    #[error("cannot compare the change with what was shown")]
    Compare(#[source] serde_json::Error),
    /// There is no such file, revision or proposal for this person.
    #[error("there is no {what}")]
    NotFound { what: String },
    /// Somebody else's, which this person may not even read.
    #[error("{what} isn't yours")]
    NotYours { what: String },
    /// The question names a field that no form has.
    #[error(transparent)]
    Field(#[from] WriteError),
    /// The question doesn't fit the object.
    #[error("cannot do that with {what}")]
    Unfit { what: String },
    /// The reason why the request was not carried out.
    #[error("{message}")]
    Refused { message: String, advice: Option<String> },
    /// A proposal that somebody agreed to doesn't merge any more.
    #[error("{message}")]
    Conflicts { message: String },
    /// It isn't this person's turn.
    #[error("{0}")]
    Line(#[from] NoTurn),
    /// Somebody else is always faster.
    #[error("main moves too fast for this change: try again")]
    Busy,
}

impl FormError {
    /// Returns the reason by which the panel chooses a page.
    pub fn why(&self) -> Why {
        match self {
            Self::NotFound { .. } => Why::NotFound,
            Self::NotYours { .. } | Self::Refused { .. } | Self::Conflicts { .. } => Why::Forbidden,
            Self::Field(_) | Self::Unfit { .. } => Why::BadQuestion,
            Self::Repo { .. }
            | Self::Empty { .. }
            | Self::Judge(_)
            | Self::Review(_)
            | Self::Outgoing(_)
            | Self::Compare(_)
            | Self::Line(_)
            | Self::Busy => Why::Unavailable,
        }
    }

    /// Returns the person's next step, where there is one.
    pub fn advice(&self) -> Option<String> {
        match self {
            Self::Refused { advice, .. } => advice.clone(),
            other => other.hint().map(str::to_owned),
        }
    }
}

impl Fault for FormError {
    fn kind(&self) -> Kind {
        match self {
            Self::NotFound { .. }
            | Self::NotYours { .. }
            | Self::Field(_)
            | Self::Unfit { .. }
            | Self::Refused { .. }
            | Self::Conflicts { .. }
            | Self::Line(NoTurn::Crowded { .. })
            | Self::Busy => Kind::User,
            Self::Repo { source, .. } => source.kind(),
            Self::Compare(_) => Kind::Internal,
            Self::Empty { .. }
            | Self::Judge(_)
            | Self::Review(_)
            | Self::Outgoing(_)
            | Self::Line(NoTurn::Repo(_)) => Kind::Configuration,
        }
    }

    fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Empty { .. } => Some("push a commit with a platform.toml first"),
            Self::Repo { source, .. } => source.hint(),
            Self::Line(NoTurn::Crowded { .. }) => Some("try again in a moment"),
            _ => None,
        }
    }
}
