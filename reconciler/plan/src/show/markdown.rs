//! A plan for a pull request: a table that is read at a glance, with the details folded.

use std::fmt::Write as _;

use berth_schema::text;

use crate::show::{obstacles, phrase, step, summary, symbol};
use crate::step::Plan;

/// A forge cuts a comment off near 65,000 characters; a table of this many rows stays below.
const ROWS: usize = 100;

/// The plan as Markdown.
pub fn markdown(plan: &Plan) -> String {
    let mut out = format!("**{}**\n", text::markdown(&summary(plan)));
    losses(plan, &mut out);
    changes(plan, &mut out);
    if !plan.blocked.is_empty() {
        out.push_str("\n**Held back**\n\n");
        let groups = obstacles(plan);
        for group in groups.iter().take(ROWS) {
            let subjects: Vec<String> =
                group.iter().take(ROWS).map(|blocked| text::markdown(&blocked.subject.to_string())).collect();
            let others = match group.len().saturating_sub(ROWS) {
                0 => String::new(),
                others => format!(" and {others} more"),
            };
            if let Some(blocked) = group.first() {
                let (why, hint) = (text::markdown(&blocked.why), text::markdown(&blocked.hint));
                let _ = writeln!(out, "- {}{others}: {why}<br>Hint: {hint}", subjects.join(", "));
            }
        }
        more(groups.len(), &mut out);
    }
    if !plan.notes.is_empty() {
        let _ = write!(out, "\n<details><summary>Notes ({})</summary>\n\n", plan.notes.len());
        for note in plan.notes.iter().take(ROWS) {
            let _ = writeln!(out, "- {}: {}", text::markdown(&note.about), text::markdown(&note.text));
        }
        more(plan.notes.len(), &mut out);
        out.push_str("\n</details>\n");
    }
    out
}

/// Writes the losses above everything else, unfolded and complete.
fn losses(plan: &Plan, out: &mut String) {
    let losing: Vec<_> = plan.changes().filter(|change| !change.losses.is_empty()).collect();
    if losing.is_empty() {
        return;
    }
    out.push_str("\n> **This plan loses data:**\n");
    for change in losing {
        let subject = text::markdown(&change.subject.to_string());
        let losses: Vec<String> = change.losses.iter().map(|loss| text::markdown(loss)).collect();
        let _ = writeln!(out, "> - {subject}: {}", losses.join("; "));
    }
}

fn changes(plan: &Plan, out: &mut String) {
    let number = plan.changes().count();
    if number == 0 {
        return;
    }
    out.push_str("\n| | what | why |\n| --- | --- | --- |\n");
    for change in plan.changes().take(ROWS) {
        let subject = text::markdown(&change.subject.to_string());
        let reasons: Vec<String> = change.reasons.iter().map(|reason| text::markdown(reason)).collect();
        let (symbol, phrase) = (symbol(change.action), phrase(change.action));
        let _ = writeln!(out, "| `{symbol}` | {subject} {phrase} | {} |", reasons.join("<br>"));
    }
    more(number, out);
    out.push_str("\n<details><summary>Steps</summary>\n\n");
    for change in plan.changes().take(ROWS) {
        let _ = writeln!(out, "- {}", text::markdown(&change.subject.to_string()));
        for (number, one) in change.steps.iter().enumerate() {
            let _ = writeln!(out, "  {}. {}", number + 1, text::markdown(&step(one)));
        }
    }
    more(number, out);
    out.push_str("\n</details>\n");
}

fn more(number: usize, out: &mut String) {
    if number > ROWS {
        let _ = writeln!(out, "\n… and {} more.", number - ROWS);
    }
}
