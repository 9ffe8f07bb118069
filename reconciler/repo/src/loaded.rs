//! Loaded: the outcome of reading a whole state, with the texts that show a person where it is wrong.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use berth_schema::{Finding, Parsed, Severity, State};

/// A state that was read.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The state, or everything that is wrong with it, sorted by place.
    pub state: Result<Arc<State>, Vec<Finding>>,
    /// Files that had to be read, because they were new or changed since the load before.
    pub parsed_again: usize,
    /// Files of state, parsed or refused.
    pub files: usize,
    sources: HashMap<Arc<str>, Arc<str>>,
}

impl Loaded {
    /// The text of a file that has findings, to show the line, with secrets blackened. `None` for files that have none
    /// and for those that may not be shown.
    pub fn source(&self, path: &str) -> Option<&str> {
        self.sources.get(path).map(|text| &**text)
    }

    /// Every finding: the warnings of a good state, or all that is wrong with a bad one.
    pub fn findings(&self) -> &[Finding] {
        match &self.state {
            Ok(state) => &state.warnings,
            Err(findings) => findings,
        }
    }

    /// The same for whoever reads it once more: no file had to be read for them.
    pub(crate) fn again(&self) -> Self {
        Self { parsed_again: 0, ..self.clone() }
    }

    pub(crate) fn assemble(parsed: &[&Parsed], refused: Vec<Finding>, parsed_again: usize) -> Self {
        Self::assemble_change(parsed, refused, parsed_again, |_| false)
    }

    /// The same for a change, whose files are those that `is_new` returns true for: what stood there before keeps what both claim.
    pub(crate) fn assemble_change(
        parsed: &[&Parsed],
        refused: Vec<Finding>,
        parsed_again: usize,
        is_new: impl Fn(&str) -> bool,
    ) -> Self {
        let files = parsed.len() + refused.len();
        let hopeless = refused.iter().any(|finding| finding.severity == Severity::Error);
        let state = match State::assemble_change(parsed.iter().copied(), is_new) {
            Ok(mut state) if !hopeless => {
                state.warnings.extend(refused);
                state.warnings.sort();
                Ok(Arc::new(state))
            }
            outcome => {
                let mut findings = outcome.map_or_else(|findings| findings, |state| state.warnings);
                findings.extend(refused);
                findings.sort();
                Err(findings)
            }
        };
        let mut loaded = Self { state, parsed_again, files, sources: HashMap::new() };
        let wrong: HashSet<&str> = loaded.findings().iter().map(|finding| &*finding.path).collect();
        // Most states have no findings at all, and then no file is looked at.
        let parsed = if wrong.is_empty() { &[] } else { parsed };
        let shown = parsed.iter().filter(|file| wrong.contains(file.path()));
        let sources = shown.filter_map(|file| Some((Arc::from(file.path()), Arc::from(file.source()?))));
        loaded.sources = sources.collect();
        loaded
    }
}
