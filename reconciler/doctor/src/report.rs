//! The report: a matrix for people, JSON for programs, and one answer.

use std::fmt;

use anstyle::{AnsiColor, Style};
use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use crate::attempt::{Attempt, Expected, Group, Place};
use crate::threat::Threat;

/// The result of an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "result", content = "detail", rename_all = "kebab-case")]
pub enum Verdict {
    /// It got nowhere, and the witnesses who would have seen it saw nothing.
    Refused,
    /// It got no more than its share, which is this.
    Limited(String),
    /// It got everybody's share, which is known of the way in which the platform keeps servers apart.
    Shared(String),
    /// It works.
    Works,
    /// It got through, and this proves it.
    Through(String),
    /// It must work and doesn't; this is missing.
    Broken(String),
    /// It isn't tried here, for this reason.
    NotTried(String),
    /// It could not be tried, for this reason.
    CouldNot(String),
}

/// One line of the matrix.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// The attempt's subject.
    pub group: Group,
    /// The threat that it shows; `None` for a way that must work.
    pub threat: Option<Threat>,
    /// The attempt's name.
    pub attempt: String,
    /// The result that it must have.
    pub expected: Expected,
    /// The result that it had.
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// The whole matrix.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Its lines.
    pub rows: Vec<Row>,
}

/// The answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Every attempt had the result that it must have.
    Good,
    /// Something got through.
    Through,
    /// Nothing got through, but something that must work doesn't, or could not be tried.
    Unsure,
}

impl Row {
    pub(crate) fn new(attempt: &Attempt, verdict: Verdict) -> Self {
        let Attempt { group, threat, name, expected, .. } = attempt;
        Self { group: *group, threat: *threat, attempt: name.clone(), expected: *expected, verdict }
    }
}

impl Report {
    /// Returns the answer.
    pub fn answer(&self) -> Answer {
        let any = |is_it: fn(&Verdict) -> bool| self.rows.iter().any(|row| is_it(&row.verdict));
        if any(|verdict| matches!(verdict, Verdict::Through(_))) {
            return Answer::Through;
        }
        let unsure = any(|verdict| matches!(verdict, Verdict::Broken(_) | Verdict::CouldNot(_)));
        if unsure { Answer::Unsure } else { Answer::Good }
    }

    /// Draws two tables: every attempt with its result, and every threat with the results of its attempts.
    pub fn table(&self) -> String {
        let mut table = empty_table(&["GROUP", "ATTEMPT", "MUST", "RESULT"]);
        let mut group = None;
        for row in &self.rows {
            let shown = if group.replace(row.group) == Some(row.group) {
                String::new()
            } else {
                row.group.to_string()
            };
            table.add_row([shown, row.attempt.clone(), row.expected.to_string(), row.verdict.to_string()]);
        }
        format!("{}\n{}", lines(&mut table), self.threats())
    }

    /// Draws every threat that was tried.
    fn threats(&self) -> String {
        let mut table = empty_table(&["THREAT", "ITS ATTEMPTS"]);
        for threat in Threat::ALL {
            let of_it = self.rows.iter().filter(|row| row.threat == Some(threat));
            let verdicts: Vec<&Verdict> = of_it.map(|row| &row.verdict).collect();
            if !verdicts.is_empty() {
                table.add_row([threat.to_string(), counted(&verdicts)]);
            }
        }
        lines(&mut table)
    }

    /// Counts everything.
    pub fn summary(&self) -> String {
        let verdicts: Vec<&Verdict> = self.rows.iter().map(|row| &row.verdict).collect();
        format!("{} attempts: {}", verdicts.len(), counted(&verdicts))
    }
}

/// Counts results, in words.
fn counted(verdicts: &[&Verdict]) -> String {
    let count = |is_it: fn(&Verdict) -> bool| verdicts.iter().filter(|verdict| is_it(verdict)).count();
    let counts = [
        (count(|verdict| *verdict == Verdict::Works), "allowed and working"),
        (count(|verdict| matches!(verdict, Verdict::Refused)), "refused"),
        (count(|verdict| matches!(verdict, Verdict::Limited(_))), "limited"),
        (count(|verdict| matches!(verdict, Verdict::Shared(_))), "shared"),
        (count(|verdict| matches!(verdict, Verdict::Through(_))), "GOT THROUGH"),
        (count(|verdict| matches!(verdict, Verdict::Broken(_))), "allowed and not working"),
        (count(|verdict| matches!(verdict, Verdict::CouldNot(_))), "could not be tried"),
        (count(|verdict| matches!(verdict, Verdict::NotTried(_))), "not tried here"),
    ];
    let told =
        counts.iter().filter(|(number, _)| *number > 0).map(|(number, what)| format!("{number} {what}"));
    told.collect::<Vec<_>>().join(", ")
}

fn empty_table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header);
    table
}

fn lines(table: &mut Table) -> String {
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (colour, words, detail) = match self {
            Self::Refused => (AnsiColor::Green, "refused", ""),
            Self::Limited(share) => (AnsiColor::Green, "limited", share.as_str()),
            Self::Shared(share) => (AnsiColor::Yellow, "shared", share.as_str()),
            Self::Works => (AnsiColor::Green, "works", ""),
            Self::Through(how) => (AnsiColor::Red, "GOT THROUGH", how.as_str()),
            Self::Broken(what) => (AnsiColor::Red, "does not work", what.as_str()),
            Self::CouldNot(why) => (AnsiColor::Yellow, "could not be tried", why.as_str()),
            Self::NotTried(why) => (AnsiColor::BrightBlack, "not tried here", why.as_str()),
        };
        let style = Style::new().fg_color(Some(colour.into()));
        write!(f, "{style}{words}{style:#}")?;
        if detail.is_empty() { Ok(()) } else { write!(f, ": {detail}") }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refused => "be refused",
            Self::Limited => "be limited",
            Self::Shared => "may be shared",
            Self::Works => "work",
        })
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Allowed => "allowed",
            Self::Machine => "the machine",
            Self::Gateway => "the gateway",
            Self::Services => "services",
            Self::Control => "a panel",
            Self::Neighbour => "a neighbour",
            Self::Wire => "a shared wire",
            Self::Identity => "in another's name",
            Self::Internet => "not the internet",
            Self::Names => "names",
            Self::Floods => "floods",
            Self::Shares => "shares",
        })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Attacker => "the attacker",
            Self::Neighbour => "the neighbour",
            Self::Plane => "the gateway",
            Self::Host => "the machine",
            Self::Caddy => "Caddy",
            Self::Router => "the SSH router",
            Self::Cache => "the image cache",
            Self::Control => "the panel's stand-in",
            Self::Outside => "the internet",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(verdicts: &[Verdict]) -> Report {
        let row = |verdict: &Verdict| Row {
            group: Group::Machine,
            threat: Some(Threat::MachinePorts),
            attempt: "x".to_owned(),
            expected: Expected::Refused,
            verdict: verdict.clone(),
        };
        Report { rows: verdicts.iter().map(row).collect() }
    }

    #[test]
    fn one_that_got_through_outweighs_all_others() {
        let (through, broken) = (Verdict::Through("x".to_owned()), Verdict::Broken("x".to_owned()));
        let not_tried = Verdict::NotTried("x".to_owned());
        assert_eq!(report(&[Verdict::Refused, broken.clone(), through]).answer(), Answer::Through);
        assert_eq!(report(&[Verdict::Refused, broken]).answer(), Answer::Unsure);
        let shared = Verdict::Shared("x".to_owned());
        assert_eq!(report(&[Verdict::Refused, Verdict::Works, not_tried, shared]).answer(), Answer::Good);
    }

    #[test]
    fn everything_is_counted() {
        let report = report(&[Verdict::Refused, Verdict::Refused, Verdict::NotTried("x".to_owned())]);
        assert_eq!(report.summary(), "3 attempts: 2 refused, 1 not tried here");
    }
}
