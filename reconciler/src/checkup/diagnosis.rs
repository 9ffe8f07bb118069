//! Diagnoses: what a check-up says of a host.

use serde::Serialize;

/// Something about a host that should be otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnosis {
    /// Its weight.
    pub weight: Weight,
    /// The part of the host.
    pub about: &'static str,
    /// The fault, and what comes of it.
    pub what: String,
    /// The next step.
    pub remedy: String,
}

/// Weight of a diagnosis. The heaviest comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Weight {
    /// Berth can't work here as it is, and nothing that Berth does changes it.
    Stops,
    /// Some of it doesn't work, or isn't safe.
    Wrong,
    /// It works, and could be better.
    Advice,
}

impl Diagnosis {
    /// Makes one.
    pub(super) fn new(
        weight: Weight,
        about: &'static str,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { weight, about, what: what.into(), remedy: remedy.into() }
    }
}
