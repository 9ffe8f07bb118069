//! Everything that a request may need, in one value.

use std::time::Duration;

use berth_wire::web::{AskError, Door, Question};

use crate::carry::Apps;
use crate::live::Grants;
use crate::seal::Seal;

/// Time in which the door answers.
const PATIENCE: Duration = Duration::from_secs(10);

/// Everything that a request may need.
pub(crate) struct Gate {
    pub(crate) grants: Grants,
    pub(crate) seal: Seal,
    pub(crate) apps: Apps,
    pub(crate) door: Door,
}

impl Gate {
    /// Asks the door something; `None` if it takes too long.
    pub(crate) async fn ask<Q: Question>(&self, question: &Q) -> Option<Result<Q::Answer, AskError>> {
        tokio::time::timeout(PATIENCE, self.door.ask(None, question)).await.ok()
    }
}
