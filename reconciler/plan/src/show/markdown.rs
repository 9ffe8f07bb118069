//! A plan for a pull request: a table that is read at a glance, with the details folded.

use berth_schema::brief::{FEW, LINES, grouped, named, named_up_to};
use berth_schema::text;

use crate::show::alike::{Alike, Grain, alike, kind, name, noun, obstacles, phrase_of_many};
use crate::show::{phrase, step, summary, symbol};
use crate::step::{Action, Change, Plan, Stage};

/// The most characters that a plan has. Forges take a comment of 65,536, and whoever posts this may add some.
const LONGEST: usize = 60_000;

/// Lines that a section has in a brief comment. Sections that are folded away have as many.
const SECTION: usize = LINES / 6;

/// Names of things that lose data in a line that stands for many.
const NAMED_LOSERS: usize = 10;

/// Extent of a comment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comment {
    /// Tells once what is alike, and no section is longer than a third of a screen.
    Brief,
    /// Each change by itself, as far as a forge takes it.
    Whole,
}

/// Room that is left.
struct Room {
    /// Characters.
    left: usize,
    /// Lines of each section.
    lines: usize,
    /// Set once something was left out.
    is_short: bool,
}

/// The plan as Markdown. Where it is too long, the steps go first, then notes, then rows, and it says so.
pub fn markdown(plan: &Plan, comment: Comment) -> String {
    const SHORT: &str = "\n_This is the short form: `berth plan --all` shows everything._\n";
    let head = format!("**{}**\n", text::markdown(&summary(plan)));
    let fixed = head.chars().count() + SHORT.chars().count();
    let (lines, grain) = match comment {
        Comment::Brief => (SECTION, grain(plan)),
        Comment::Whole => (usize::MAX, Grain::Each),
    };
    let mut room = Room { left: LONGEST.saturating_sub(fixed), lines, is_short: false };
    let stages: Vec<&Stage> = plan.stages.iter().collect();
    let told = alike(&stages, grain);
    room.is_short = told.iter().any(|alike| alike.changes.len() > 1);
    // In the order of what may not be missed.
    let losses = losses(&stages, grain, &mut room);
    let held_back = held_back(plan, grain, &mut room);
    let changes = changes(&told, &mut room);
    let notes = notes(plan, &mut room);
    let steps = steps(&told, &mut room);
    let short = if room.is_short { SHORT } else { "" };
    [head.as_str(), &losses, short, &changes, &steps, &held_back, &notes].concat()
}

/// The finest grain in which the changes have room.
fn grain(plan: &Plan) -> Grain {
    let stages: Vec<&Stage> = plan.stages.iter().collect();
    if alike(&stages, Grain::Same).len() <= SECTION { Grain::Same } else { Grain::Like }
}

impl Room {
    /// A section: a head, as many of the items as there is room for, how many things are left out, and an end. Each item comes with the
    /// number of things that it stands for. Nothing at all where there is no item, or no room.
    fn section(
        &mut self,
        head: &str,
        items: Vec<(String, usize)>,
        more: impl Fn(usize) -> String,
        end: &str,
    ) -> String {
        let all: usize = items.iter().map(|(_, count)| count).sum();
        if all == 0 {
            return String::new();
        }
        let long = |text: &str| text.chars().count();
        let fixed = long(head) + long(&more(all)) + long(end);
        let Some(left) = self.left.checked_sub(fixed) else {
            self.is_short = true;
            return String::new();
        };
        self.left = left;
        let (mut section, mut told, mut lines) = (head.to_owned(), 0, 0_usize);
        for (item, count) in items {
            lines += item.lines().count();
            let left = self.left.checked_sub(long(&item)).filter(|_| lines <= self.lines);
            let Some(left) = left else {
                self.is_short = true;
                section.push_str(&more(all - told));
                break;
            };
            self.left = left;
            told += count;
            section.push_str(&item);
        }
        section.push_str(end);
        section
    }
}

/// The losses, which come above everything else, unfolded.
fn losses(stages: &[&Stage], grain: Grain, room: &mut Room) -> String {
    let losing = stages.iter().flat_map(|stage| &stage.changes).filter(|change| !change.losses.is_empty());
    let groups = match grain {
        Grain::Each => losing.map(|change| vec![change]).collect(),
        Grain::Same | Grain::Like => grouped(losing, |change| (kind(&change.subject), &change.losses)),
    };
    let mut items = Vec::new();
    let losses = |change: &Change| {
        change.losses.iter().map(|loss| text::markdown(loss)).collect::<Vec<_>>().join("; ")
    };
    for group in groups {
        match group.first() {
            Some(first) if group.len() > FEW => {
                let names = named_up_to(
                    NAMED_LOSERS,
                    group.iter().map(|change| text::markdown(&name(&change.subject))),
                );
                let subjects = noun(&first.subject, group.len());
                items.push((format!("> - {subjects} ({names}): {}\n", losses(first)), group.len()));
            }
            _ => items.extend(
                group.iter().map(|change| (format!("> - {}: {}\n", subject(change), losses(change)), 1)),
            ),
        }
    }
    let more = |number| format!("> - … and data of {number} more\n");
    room.section("\n> **This plan loses data:**\n", items, more, "")
}

fn changes(told: &[Alike<'_>], room: &mut Room) -> String {
    let row = |alike: &Alike<'_>| {
        let first = alike.first()?;
        let mut reasons: Vec<String> = first.reasons.iter().map(|reason| text::markdown(reason)).collect();
        if alike.differ {
            reasons.push("and the like".to_owned());
        }
        let (symbol, number) = (symbol(first.action), alike.changes.len());
        let what = match number {
            1 => format!("{} {}", subject(first), phrase(first.action)),
            _ => {
                let names = alike.changes.iter().map(|change| text::markdown(&name(&change.subject)));
                let goes = !first.losses.is_empty() || matches!(first.action, Action::Entomb | Action::Purge);
                let names = if goes { named_up_to(NAMED_LOSERS, names) } else { named(names) };
                format!("{} ({names}) {}", noun(&first.subject, number), phrase_of_many(first.action))
            }
        };
        Some((format!("| `{symbol}` | {what} | {} |\n", reasons.join("<br>")), number))
    };
    let rows = told.iter().filter_map(row).collect();
    room.section("\n| | what | why |\n| --- | --- | --- |\n", rows, more, "")
}

/// The steps of changes that are told by themselves.
fn steps(told: &[Alike<'_>], room: &mut Room) -> String {
    let items = told.iter().filter(|alike| alike.changes.len() == 1).filter_map(|alike| {
        let change = alike.first()?;
        let steps = change.steps.iter().zip(1..);
        let steps = steps.map(|(one, number)| format!("  {number}. {}\n", text::markdown(&step(one))));
        Some((format!("- {}\n{}", subject(change), steps.collect::<String>()), 1))
    });
    room.section("\n<details><summary>Steps</summary>\n\n", items.collect(), more, "\n</details>\n")
}

fn held_back(plan: &Plan, grain: Grain, room: &mut Room) -> String {
    /// Subjects that are named of those that the same thing holds back, in a whole comment.
    const NAMED: usize = 100;
    let groups = obstacles(plan);
    let most = if grain == Grain::Each { NAMED } else { NAMED_LOSERS };
    let items = groups.iter().map(|group| {
        let named = group.iter().take(most).map(|blocked| text::markdown(&blocked.subject.to_string()));
        let named = named.collect::<Vec<_>>().join(", ");
        let others = match group.len().saturating_sub(most) {
            0 => String::new(),
            others => format!(" and {others} more"),
        };
        let first = group.first();
        let words = first.map(|blocked| (text::markdown(&blocked.why), text::markdown(&blocked.hint)));
        let (why, hint) = words.unwrap_or_default();
        (format!("- {named}{others}: {why}<br>Hint: {hint}\n"), group.len())
    });
    room.section("\n**Held back**\n\n", items.collect(), more, "")
}

fn notes(plan: &Plan, room: &mut Room) -> String {
    let head = format!("\n<details><summary>Notes ({})</summary>\n\n", plan.notes.len());
    let items = plan
        .notes
        .iter()
        .map(|note| (format!("- {}: {}\n", text::markdown(&note.about), text::markdown(&note.text)), 1));
    room.section(&head, items.collect(), more, "\n</details>\n")
}

fn subject(change: &Change) -> String {
    text::markdown(&change.subject.to_string())
}

fn more(number: usize) -> String {
    format!("\n… and {number} more.\n")
}
