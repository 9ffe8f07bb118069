//! Drafts: a change as it is to be committed, or its end before that.

use berth_repo::Edit;
use berth_schema::name::ServerId;
use berth_wire::web::{Field, FieldFinding, Standing};

use super::tell::OwnFile;

/// A change as it is to be committed, or its end before that.
pub(super) enum Drafted {
    Ready(Draft),
    /// It isn't committed, whoever asks.
    Settled(Settled),
}

/// A change that can be judged.
pub(super) struct Draft {
    pub(super) edits: Vec<Edit>,
    pub(super) own: OwnFile,
    /// First line of the message.
    pub(super) summary: String,
    /// The changes of others that it is merged with.
    pub(super) merged_with: Vec<String>,
    /// The id of a new server.
    pub(super) id: Option<ServerId>,
}

/// A change that has no commit.
pub(super) struct Settled {
    pub(super) standing: Standing,
    pub(super) findings: Vec<FieldFinding>,
    pub(super) merged_with: Vec<String>,
}

impl Settled {
    pub(super) fn nothing() -> Self {
        Self { standing: Standing::Nothing, findings: Vec::new(), merged_with: Vec::new() }
    }

    pub(super) fn refused(findings: Vec<FieldFinding>) -> Self {
        Self { standing: Standing::Refused, findings, merged_with: Vec::new() }
    }

    pub(super) fn conflict(fields: Vec<Field>, findings: Vec<FieldFinding>) -> Self {
        Self { standing: Standing::Conflict { fields }, findings, merged_with: Vec::new() }
    }
}

impl From<Settled> for Drafted {
    fn from(settled: Settled) -> Self {
        Self::Settled(settled)
    }
}
