//! Outcomes: what became of each change, one per object, told to whoever listens.

use berth_plan::{Action, Change};
use serde::{Deserialize, Serialize};

use crate::docker::Retry;

/// What became of one change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// What it was about, in words.
    pub subject: String,
    /// How it was to change, in a word.
    pub action: String,
    /// How it ended.
    pub result: Ended,
    /// How long it took, in milliseconds.
    pub millis: u64,
    /// Steps that were done.
    pub steps_done: usize,
    /// Steps that there were.
    pub steps: usize,
}

/// How a change ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "ended")]
pub enum Ended {
    /// Every step succeeded.
    Done,
    /// A step failed; those after it weren't tried.
    Failed {
        /// The whole chain of causes.
        error: String,
        /// Whether waiting may help.
        passing: bool,
    },
    /// The process was asked to end between two steps.
    Interrupted,
}

impl Outcome {
    /// Whether every step succeeded.
    pub fn is_done(&self) -> bool {
        self.result == Ended::Done
    }

    pub(crate) fn of(change: &Change, result: Ended, millis: u64, steps_done: usize) -> Self {
        Self {
            subject: change.subject.to_string(),
            action: action_word(change.action).to_owned(),
            result,
            millis,
            steps_done,
            steps: change.steps.len(),
        }
    }
}

impl Ended {
    pub(crate) fn failed(error: &crate::apply::StepError) -> Self {
        Self::Failed { error: chain(error), passing: matches!(error.retry(), Retry::After(_)) }
    }
}

/// An action in a word, as people read it.
pub fn action_word(action: Action) -> &'static str {
    match action {
        Action::Create => "create",
        Action::Update => "update",
        Action::Start => "start",
        Action::Stop => "stop",
        Action::Recreate => "recreate",
        Action::Entomb => "entomb",
        Action::Resurrect => "resurrect",
        Action::Purge => "purge",
        Action::Remove => "remove",
    }
}

/// An error and its causes in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Some libraries repeat their cause in their own message.
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
