//! Loaded: the outcome of reading a whole state, with what a person needs to see where it is wrong.

use std::collections::HashMap;
use std::sync::Arc;

use berth_schema::{Finding, Parsed, Severity, State};

/// A state that was read.
#[derive(Debug)]
pub struct Loaded {
    /// What it says, or everything that is wrong with it, sorted by place.
    pub state: Result<State, Vec<Finding>>,
    /// What deserves a look although the state holds, sorted by place. Empty when `state` is an error, which then holds
    /// these too.
    pub warnings: Vec<Finding>,
    /// Files that had to be read, because they were new or changed since the load before.
    pub parsed_again: usize,
    /// Files of state, parsed or refused.
    pub files: usize,
    sources: HashMap<Arc<str>, Arc<str>>,
}

impl Loaded {
    /// The text of a file that has findings, to show the line. Other texts are not kept: a hundred thousand good files
    /// would cost memory for nothing.
    pub fn source(&self, path: &str) -> Option<&str> {
        self.sources.get(path).map(|text| &**text)
    }

    /// Every finding, errors and warnings.
    pub fn findings(&self) -> &[Finding] {
        match &self.state {
            Ok(_) => &self.warnings,
            Err(findings) => findings,
        }
    }

    pub(crate) fn assemble<E>(
        parsed: Vec<&Parsed>,
        mut refused: Vec<Finding>,
        parsed_again: usize,
        mut text: impl FnMut(&str) -> Result<Option<Arc<str>>, E>,
    ) -> Result<Self, E> {
        let files = parsed.len() + refused.len();
        let hopeless = refused.iter().any(|finding| finding.severity == Severity::Error);
        let mut warnings = Vec::new();
        let state = match State::assemble(parsed) {
            Ok(state) if !hopeless => {
                warnings = refused;
                sort(&mut warnings);
                Ok(state)
            }
            outcome => {
                refused.extend(outcome.err().unwrap_or_default());
                sort(&mut refused);
                Err(refused)
            }
        };
        let mut loaded = Self { state, warnings, parsed_again, files, sources: HashMap::new() };
        let mut sources = HashMap::new();
        for finding in loaded.findings() {
            if !sources.contains_key(&finding.path)
                && let Some(text) = text(&finding.path)?
            {
                sources.insert(Arc::clone(&finding.path), text);
            }
        }
        loaded.sources = sources;
        Ok(loaded)
    }
}

fn sort(findings: &mut [Finding]) {
    findings.sort_by(|a, b| (&a.path, a.position, &a.message).cmp(&(&b.path, b.position, &b.message)));
}
