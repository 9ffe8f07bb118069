//! Findings: what is wrong in a state repo, where, and how to mend it.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use serde::Serialize;

use crate::invalid::Invalid;
use crate::text::{safe, shown};

/// Weight of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The revision is refused.
    Error,
    /// The revision is accepted; somebody should look.
    Warning,
}

/// A place in a file, counted from 1; columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Position {
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

impl Position {
    /// The position of a byte in `text`; an offset past the end is the end.
    pub fn of(text: &str, offset: usize) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        // A byte-order mark takes no column in any editor.
        let before = before.strip_prefix('\u{feff}').unwrap_or(before);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.bytes().filter(|&byte| byte == b'\n').count() + 1;
        let column = before[line_start..].chars().count() + 1;
        let narrow = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Self { line: narrow(line), column: narrow(column) }
    }
}

/// One mistake, its place, and the way to mend it. They sort by place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Weight of the finding.
    pub severity: Severity,
    /// Path in the state repo.
    pub path: Arc<str>,
    /// Place in the file; `None` when the file as a whole is meant.
    pub position: Option<Position>,
    /// Sentence that tells what is wrong.
    pub message: String,
    /// Way to mend it.
    pub hint: Option<String>,
    /// Part of the file that it is about, for whoever shows it at a field.
    #[serde(skip)]
    pub about: About,
    /// Set on a warning by a rule that may be newer than what stands on `main`: a change that brings this in is refused.
    #[serde(skip)]
    pub is_strict: bool,
}

/// Part of a file that a finding is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum About {
    /// The field at its position.
    #[default]
    Place,
    /// A field, by its name (`memory`, `quota.memory`), wherever the position points: the file may not have it.
    Field(String),
    /// The file as a whole, wherever the position points.
    Whole,
}

impl Finding {
    /// The same as an error: what some doors ask about, others refuse.
    pub fn into_error(self) -> Self {
        Self { severity: Severity::Error, ..self }
    }

    /// A finding made of a refusal.
    pub fn new(
        severity: Severity,
        path: impl Into<Arc<str>>,
        position: Option<Position>,
        invalid: Invalid,
    ) -> Self {
        let Invalid { message, hint } = invalid;
        let hint = (!hint.is_empty()).then_some(hint);
        Self { severity, path: path.into(), position, message, hint, about: About::Place, is_strict: false }
    }

    /// The same finding, about this part of the file.
    #[must_use]
    pub fn about(self, about: About) -> Self {
        Self { about, ..self }
    }
}

impl Ord for Finding {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let place = |finding: &Self| (finding.position, finding.severity);
        self.path
            .cmp(&other.path)
            .then_with(|| place(self).cmp(&place(other)))
            .then_with(|| self.message.cmp(&other.message))
            .then_with(|| self.hint.cmp(&other.hint))
    }
}

impl PartialOrd for Finding {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", shown(&self.path))?;
        if let Some(Position { line, column }) = self.position {
            write!(f, ":{line}:{column}")?;
        }
        write!(f, ": {}", safe(&self.message))
    }
}

/// The findings of one file while it is read, and the places in it that nobody may repeat.
pub(crate) struct Collector<'a> {
    path: &'a Arc<str>,
    text: &'a str,
    findings: Vec<Finding>,
    secrets: Vec<Range<usize>>,
}

/// A file with more errors, or more warnings, than this is not one that somebody means to mend line by line.
pub(crate) const FINDINGS_MAX: usize = 100;

impl<'a> Collector<'a> {
    pub(crate) fn new(path: &'a Arc<str>, text: &'a str) -> Self {
        Self { path, text, findings: Vec::new(), secrets: Vec::new() }
    }

    /// An empty collector for the same file.
    pub(crate) fn like(other: &Self) -> Self {
        Self::new(other.path, other.text)
    }

    /// Takes over another's secrets, and those of its findings whose position passes.
    pub(crate) fn absorb(&mut self, other: Collector<'_>, passes: impl Fn(Option<Position>) -> bool) {
        self.secrets.extend(other.secrets);
        self.findings.extend(other.findings.into_iter().filter(|finding| passes(finding.position)));
    }

    /// Records an error at a byte offset, or about the file as a whole.
    pub(crate) fn error(&mut self, at: Option<usize>, invalid: Invalid) {
        self.record(Severity::Error, at, invalid);
    }

    /// Records that a field is missing.
    pub(crate) fn missing(&mut self, field: &str, invalid: Invalid) {
        if !self.is_full(Severity::Error) {
            let finding = Finding::new(Severity::Error, Arc::clone(self.path), None, invalid);
            self.findings.push(finding.about(About::Field(field.to_owned())));
        }
    }

    /// Records a warning at a byte offset.
    pub(crate) fn warning(&mut self, at: Option<usize>, invalid: Invalid) {
        self.record(Severity::Warning, at, invalid);
    }

    /// Records a warning that is an error in whatever brings it in.
    pub(crate) fn strict(&mut self, at: Option<usize>, invalid: Invalid) {
        if !self.is_full(Severity::Warning) {
            let position = at.map(|at| self.position(at));
            let finding = Finding::new(Severity::Warning, Arc::clone(self.path), position, invalid);
            self.findings.push(Finding { is_strict: true, ..finding });
        }
    }

    /// Remembers that the text there must not be shown.
    pub(crate) fn hide(&mut self, span: Range<usize>) {
        self.secrets.push(span);
    }

    /// Returns the texts that must not be shown.
    pub(crate) fn hidden(&self) -> &[Range<usize>] {
        &self.secrets
    }

    /// Returns whether more findings of that weight would only be dropped.
    pub(crate) fn is_full(&self, severity: Severity) -> bool {
        self.findings.iter().filter(|finding| finding.severity == severity).count() >= FINDINGS_MAX
    }

    pub(crate) fn position(&self, at: usize) -> Position {
        Position::of(self.text, at)
    }

    /// Returns whether anything so far refuses the file.
    pub(crate) fn has_errors(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity == Severity::Error)
    }

    fn record(&mut self, severity: Severity, at: Option<usize>, invalid: Invalid) {
        if !self.is_full(severity) {
            let position = at.map(|at| self.position(at));
            self.findings.push(Finding::new(severity, Arc::clone(self.path), position, invalid));
        }
    }

    /// The findings, and the text with its secrets blackened.
    pub(crate) fn finish(mut self) -> (Vec<Finding>, Arc<str>) {
        self.findings.sort();
        if self.secrets.is_empty() {
            return (self.findings, self.text.into());
        }
        let mut hidden = vec![false; self.text.len()];
        for span in self.secrets {
            if let Some(part) = hidden.get_mut(span) {
                part.fill(true);
            }
        }
        // As many bytes and characters as before, so that every place stays where it is.
        let blacken = |(at, c): (usize, char)| match c.len_utf8() {
            _ if c == '\n' || !hidden[at] => c,
            1 => '*',
            2 => '·',
            3 => '•',
            _ => '🞄',
        };
        let text: String = self.text.char_indices().map(blacken).collect();
        (self.findings, text.into())
    }
}
