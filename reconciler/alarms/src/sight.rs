//! Sight: everything that alarms are judged by, at one moment. What couldn't be seen is missing, and not empty.

use std::sync::Arc;

use berth_schema::State;
use berth_schema::name::UserName;
use berth_wire::facts::Facts;
use berth_wire::trouble::Trouble;
use jiff::Timestamp;

/// Everything that alarms are judged by.
#[derive(Debug, Clone)]
pub struct Sight {
    /// The moment.
    pub at: Timestamp,
    /// The reconciler's word, or why it gave none.
    pub facts: Result<Facts, String>,
    /// The last good state; `None` where it can't be read.
    pub state: Option<Arc<State>>,
    /// Proposals that wait; `None` where they can't be read.
    pub proposals: Option<Vec<Waiting>>,
    /// The platform's processes that have to run.
    pub processes: Vec<Process>,
    /// Work that failed, as others told it; `None` where that can't be read.
    pub troubles: Option<Vec<Trouble>>,
}

/// A proposal that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Topic of `review/<topic>`.
    pub topic: String,
    /// Person who opened it; `None` for whoever has the host.
    pub by: Option<UserName>,
    /// Moment at which it was opened.
    pub since: Timestamp,
}

/// A process of the platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process {
    /// Its name.
    pub name: &'static str,
    /// Set if it gives a sign of life.
    pub runs: bool,
}
