//! Judging facts: pure, and all at once.

mod engine;
mod machine;

use super::diagnosis::{Diagnosis, Weight};
use super::facts::HostFacts;

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

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
