//! Outcomes: how each change ended, one per object, told to whoever listens.

use berth_plan::{Action, Change, Subject, subject};
use serde::{Deserialize, Serialize};

use crate::retry::Retry;

/// The outcome of one change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The object that it was about.
    #[serde(with = "subject::text")]
    pub subject: Subject,
    /// The change that was to be made.
    pub action: Action,
    /// The end that it came to.
    pub result: Ended,
    /// Milliseconds that it took.
    pub millis: u64,
    /// Steps that were done.
    pub steps_done: usize,
    /// Steps that there were.
    pub steps: usize,
}

/// The end of a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "ended")]
pub enum Ended {
    /// Every step succeeded.
    Done,
    /// A step failed; those after it weren't tried.
    Failed {
        /// The whole chain of causes.
        error: String,
        /// When to try again.
        #[serde(default)]
        retry: Retry,
    },
    /// The process was asked to end between two steps.
    Interrupted,
}

impl Outcome {
    /// Outcome of a change that ended like this.
    pub fn of(change: &Change, result: Ended, millis: u64, steps_done: usize) -> Self {
        Self {
            subject: change.subject.clone(),
            action: change.action,
            result,
            millis,
            steps_done,
            steps: change.steps.len(),
        }
    }

    /// Checks that every step succeeded.
    pub fn is_done(&self) -> bool {
        self.result == Ended::Done
    }
}
