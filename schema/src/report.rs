//! Findings as a person reads them, and as a program does.
//!
//! Renders to a `String`; printing is the caller's. Only the line that a finding points at is shown, never its
//! neighbours, and the text should be [`Parsed::source`], in which secrets are blackened.

use std::collections::{BTreeSet, HashMap};

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use serde_json::{Value, json};

use crate::brief::{Extent, FEW, LINES, form, grouped, named};
use crate::finding::{Finding, Position, Severity};
use crate::state::Parsed;
use crate::text::{capital, counted, masked, safe, shown};

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
/// findings. `source` gives the text of a path where it is at hand. More than two screens are shortened, as [`report_of`] does it.
pub fn report<'a>(findings: &[Finding], source: impl Fn(&str) -> Option<&'a str>, look: Look) -> String {
    report_of(findings, source, look, Extent::Brief { lines: LINES, whole: WHOLE })
}

/// Way to everything that a brief report leaves out.
pub const WHOLE: &str = "`berth check --all` shows everything";

/// The same in this extent. A brief report that doesn't hold all of them shows the first of each kind, and counts the others; errors come
/// first. Two findings are of one kind if their sentences differ by names and numbers alone.
pub fn report_of<'a>(
    findings: &[Finding],
    source: impl Fn(&str) -> Option<&'a str>,
    look: Look,
    extent: Extent<'_>,
) -> String {
    let renderer = match look {
        Look::Plain => Renderer::plain(),
        Look::Coloured => Renderer::styled(),
    }
    .decor_style(DecorStyle::Ascii);
    let drawn = |finding: &Finding| renderer.render(&[group(finding, source(&finding.path))]) + "\n\n";
    let mut text = match extent {
        // What can't fit isn't drawn, since thousands take long.
        Extent::Brief { lines, whole } if findings.len().saturating_mul(LEAST) > lines => {
            brief(findings, drawn, lines, whole)
        }
        Extent::Brief { lines, whole } => {
            let all: String = findings.iter().map(&drawn).collect();
            // The summary is a line more.
            if all.lines().count() < lines { all } else { brief(findings, drawn, lines, whole) }
        }
        Extent::Whole => findings.iter().map(drawn).collect(),
    };
    if !findings.is_empty() {
        text.push_str(&summary(findings));
        text.push('\n');
    }
    text
}

/// Lines that a finding takes at least: its message, its place, and an empty one.
const LEAST: usize = 3;

/// Lines for the first finding of a kind with its line, its hint and the number of others like it.
const KIND: usize = 9;

/// The first findings of each kind, and the number of the others.
fn brief(findings: &[Finding], drawn: impl Fn(&Finding) -> String, lines: usize, whole: &str) -> String {
    let mut kinds = grouped(findings, |finding| {
        (finding.severity, form(&finding.message), finding.hint.as_deref().map(form))
    });
    kinds.sort_by_key(|kind| kind.first().map(|finding| finding.severity));
    // The summary, and where everything is.
    let mut left = lines.saturating_sub(3);
    let mut text = String::new();
    let mut untold = 0;
    let number = kinds.len();
    for (place, kind) in kinds.iter().enumerate() {
        // Each kind that comes after this one leaves a part of the lines to it.
        let rest = KIND.saturating_mul(number - place - 1).min(left.saturating_sub(KIND));
        let told = told(kind, &drawn, left - rest);
        match told {
            Some(told) => {
                left = left.saturating_sub(told.lines().count());
                text.push_str(&told);
            }
            None => untold += kind.len(),
        }
    }
    if untold > 0 {
        text.push_str(&format!("… and {untold} of other kinds.\n"));
    }
    text.push_str(&format!("{}.\n", capital(whole)));
    text
}

/// Most findings of one kind that are shown whole where there are more than have room.
const SHOWN: usize = 3;

/// Findings of one kind in so many lines: the first ones, and the number and the files of the others. `None` where not even one has room.
fn told(kind: &[&Finding], drawn: impl Fn(&Finding) -> String, room: usize) -> Option<String> {
    let mut text = String::new();
    let mut number = 0;
    // One line for the number of the others, one for what is left out altogether, and an empty one.
    let room = room.checked_sub(3)?;
    for finding in kind.iter().take(if kind.len() > FEW { SHOWN } else { FEW }) {
        let one = drawn(finding);
        if text.lines().count() + one.lines().count() > room {
            break;
        }
        text.push_str(&one);
        number += 1;
    }
    if number == 0 {
        return None;
    }
    let others = kind.get(number..).unwrap_or_default();
    if let Some(first) = others.first() {
        let noun = match first.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let noun = if others.len() == 1 { noun.to_owned() } else { format!("{noun}s") };
        let paths = named(others.iter().map(|finding| shown(&finding.path)));
        text.push_str(&format!("… and {} more {noun} like this: {paths}\n\n", others.len()));
    }
    Some(text)
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
