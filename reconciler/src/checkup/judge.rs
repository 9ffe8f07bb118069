//! Judging facts: pure, and all at once.

mod engine;
mod machine;

use serde::Serialize;

use super::facts::HostFacts;

/// Something about a host that should be otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnosis {
    /// Its weight.
    pub weight: Weight,
    /// The part of the host.
    pub about: &'static str,
    /// What is the matter, and what comes of it.
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

/// Diagnoses of a host, the most important first.
pub fn judge(facts: &HostFacts) -> Vec<Diagnosis> {
    let mut all = Vec::new();
    // In the order in which somebody would mend them.
    machine::kernel(facts, &mut all);
    engine::engine(facts, &mut all);
    machine::apparmor(facts, &mut all);
    machine::settings(facts, &mut all);
    machine::ports(facts, &mut all);
    machine::disks(facts, &mut all);
    machine::memory(facts, &mut all);
    machine::clock(facts, &mut all);
    machine::name(facts, &mut all);
    engine::holes(facts, &mut all);
    if !facts.is_root {
        let what = "this isn't root: who holds a port, and which profiles are loaded, can't be seen";
        all.push(Diagnosis::new(Weight::Advice, "check-up", what, "run `sudo berth doctor`"));
    }
    all.sort_by_key(|diagnosis| diagnosis.weight);
    all
}

impl Diagnosis {
    fn new(weight: Weight, about: &'static str, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { weight, about, what: what.into(), remedy: remedy.into() }
    }
}

/// The numbers that a version begins with, as many as are asked for; missing ones are 0. `None` where it begins with none.
fn version<const N: usize>(text: &str) -> Option<[u32; N]> {
    let mut numbers = [0; N];
    let parts = text.trim_start_matches('v').split(|letter: char| !letter.is_ascii_digit());
    let mut found = 0;
    for (place, part) in numbers.iter_mut().zip(parts) {
        match part.parse() {
            Ok(number) => *place = number,
            Err(_) => break,
        }
        found += 1;
    }
    (found > 0).then_some(numbers)
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
