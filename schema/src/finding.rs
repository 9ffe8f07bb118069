//! Findings: what is wrong in a state repo, where, and how to mend it.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use serde::Serialize;

use crate::name::Invalid;

/// How much a finding weighs.
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
    /// How much it weighs.
    pub severity: Severity,
    /// Path in the state repo.
    pub path: Arc<str>,
    /// Where in the file; `None` when the file as a whole is meant.
    pub position: Option<Position>,
    /// What is wrong.
    pub message: String,
    /// How to mend it.
    pub hint: Option<String>,
}

impl Finding {
    /// A finding made of a refusal.
    pub fn new(
        severity: Severity,
        path: impl Into<Arc<str>>,
        position: Option<Position>,
        invalid: Invalid,
    ) -> Self {
        let Invalid { message, hint } = invalid;
        Self { severity, path: path.into(), position, message, hint: (!hint.is_empty()).then_some(hint) }
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
        write!(f, ": {}", self.message)
    }
}

/// The longest piece of somebody's file that a message repeats, in characters.
const SHOWN_MAX: usize = 80;

/// A value as a message may repeat it: cut when it is long, and with control characters escaped, since a message ends
/// up in terminals and logs.
pub(crate) fn shown(value: &str) -> String {
    let mut shown: String = value.chars().take(SHOWN_MAX).flat_map(escape).collect();
    if value.chars().nth(SHOWN_MAX).is_some() {
        shown.push('…');
    }
    shown
}

fn escape(c: char) -> impl Iterator<Item = char> {
    // Direction overrides and invisible characters make a text read as something that it isn't.
    let deceives = c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
    let (escaped, plain) = if deceives { (Some(c.escape_unicode()), None) } else { (None, Some(c)) };
    escaped.into_iter().flatten().chain(plain)
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

    /// Records a warning at a byte offset.
    pub(crate) fn warning(&mut self, at: Option<usize>, invalid: Invalid) {
        self.record(Severity::Warning, at, invalid);
    }

    /// Remembers that the text there must not be shown.
    pub(crate) fn hide(&mut self, span: Range<usize>) {
        self.secrets.push(span);
    }

    /// Whether more findings of that weight would only be dropped.
    pub(crate) fn is_full(&self, severity: Severity) -> bool {
        self.findings.iter().filter(|finding| finding.severity == severity).count() >= FINDINGS_MAX
    }

    pub(crate) fn position(&self, at: usize) -> Position {
        Position::of(self.text, at)
    }

    /// Whether anything so far refuses the file.
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
