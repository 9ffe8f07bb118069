//! Findings as a person reads them, and as a program does.
//!
//! Renders to a `String`; printing is the caller's. Only the line that a finding points at is shown, never its
//! neighbours, and the text should be [`Parsed::source`], in which secrets are blackened.

use std::collections::{BTreeSet, HashMap};

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use serde_json::{Value, json};

use crate::finding::{Finding, Position, Severity};
use crate::state::Parsed;
use crate::text::{counted, masked, safe, shown};

/// Look of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// Characters only, for files, logs and a git client's terminal.
    Plain,
    /// Characters with ANSI colours.
    Coloured,
}

/// The texts to show findings in, by path.
pub fn sources<'a>(files: impl IntoIterator<Item = &'a Parsed>) -> HashMap<&'a str, &'a str> {
    files.into_iter().filter_map(|file| Some((file.path(), file.source()?))).collect()
}

/// Each finding with its line, a caret under the place and the hint, and a summary at the end. Empty when there are no
/// findings. `source` gives the text of a path where it is at hand.
pub fn report<'a>(findings: &[Finding], source: impl Fn(&str) -> Option<&'a str>, look: Look) -> String {
    let renderer = match look {
        Look::Plain => Renderer::plain(),
        Look::Coloured => Renderer::styled(),
    }
    .decor_style(DecorStyle::Ascii);
    let mut text = String::new();
    for finding in findings {
        text.push_str(&renderer.render(&[group(finding, source(&finding.path))]));
        text.push_str("\n\n");
    }
    if !findings.is_empty() {
        text.push_str(&summary(findings));
        text.push('\n');
    }
    text
}

/// "3 errors, 1 warning in 2 files"
pub fn summary(findings: &[Finding]) -> String {
    let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let paths: BTreeSet<&str> = findings.iter().map(|finding| &*finding.path).collect();
    let parts = [(count(Severity::Error), "error"), (count(Severity::Warning), "warning")];
    let parts: Vec<String> =
        parts.into_iter().filter(|(count, _)| *count > 0).map(|(count, noun)| counted(count, noun)).collect();
    match parts.is_empty() {
        true => "no findings".to_owned(),
        false => format!("{} in {}", parts.join(", "), counted(paths.len(), "file")),
    }
}

/// Findings for programs: `{"errors": 1, "warnings": 0, "findings": [{"severity", "path", "position", "message",
/// "hint"}]}`.
pub fn json(findings: &[Finding]) -> Value {
    let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    json!({
        "errors": count(Severity::Error),
        "warnings": count(Severity::Warning),
        "findings": findings,
    })
}

fn group<'a>(finding: &'a Finding, source: Option<&'a str>) -> Group<'a> {
    let level = match finding.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(safe(&finding.message));
    let line = finding.position.and_then(|position| Some((position, masked(line_of(source?, position)?))));
    let group = match (line, finding.position) {
        (Some((position, line)), _) => {
            let start = line
                .char_indices()
                .nth((position.column as usize).saturating_sub(1))
                .map_or(line.len(), |(at, _)| at);
            let place = AnnotationKind::Primary.span(start..start + token_length(&line[start..]));
            let snippet = Snippet::source(line).line_start(position.line as usize).path(shown(&finding.path));
            title.element(snippet.annotation(place))
        }
        (None, Some(Position { line, column })) => {
            let origin = Origin::path(shown(&finding.path)).line(line as usize).char_column(column as usize);
            title.element(origin)
        }
        (None, None) => title.element(Origin::path(shown(&finding.path))),
    };
    match &finding.hint {
        Some(hint) => group.element(Level::HELP.message(safe(hint))),
        None => group,
    }
}

/// The line of a position, if the text has it.
fn line_of(source: &str, position: Position) -> Option<&str> {
    let source = source.strip_prefix('\u{feff}').unwrap_or(source);
    let line = source.split('\n').nth((position.line as usize).saturating_sub(1))?;
    Some(line.strip_suffix('\r').unwrap_or(line))
}

/// Returns the length of the name or value that the text begins with, to the closing quote or the end of the word.
fn token_length(text: &str) -> usize {
    let end = match text.chars().next() {
        Some(quote @ ('"' | '\'')) => text[1..].find(quote).map(|end| end + 2),
        Some('[' | '{') => Some(1),
        Some(_) => text.find(|c: char| c.is_whitespace() || ",]}=#".contains(c)),
        None => Some(0),
    };
    end.unwrap_or(text.len()).max(text.chars().next().map_or(0, char::len_utf8))
}
