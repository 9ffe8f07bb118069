//! A plan for a pull request: a table that is read at a glance, with the details folded.

use berth_schema::text;

use crate::show::{obstacles, phrase, step, summary, symbol};
use crate::step::{Change, Plan};

/// The most characters that a plan has. Forges take a comment of 65,536, and whoever posts this may add some.
const LONGEST: usize = 60_000;

/// Room that is left, in characters.
struct Room {
    left: usize,
    /// Set once something was left out.
    is_short: bool,
}

/// The plan as Markdown. Where it is too long for a forge, the steps go first, then notes, then rows, and it says so.
pub fn markdown(plan: &Plan) -> String {
    const SHORT: &str =
        "\n_The whole plan is too long for a comment: `berth plan` shows what is left out here._\n";
    let head = format!("**{}**\n", text::markdown(&summary(plan)));
    let fixed = head.chars().count() + SHORT.chars().count();
    let mut room = Room { left: LONGEST.saturating_sub(fixed), is_short: false };
    // In the order of what may not be missed.
    let losses = losses(plan, &mut room);
    let held_back = held_back(plan, &mut room);
    let changes = changes(plan, &mut room);
    let notes = notes(plan, &mut room);
    let steps = steps(plan, &mut room);
    let short = if room.is_short { SHORT } else { "" };
    [head.as_str(), &losses, short, &changes, &steps, &held_back, &notes].concat()
}

impl Room {
    /// A section: a head, as many of the items as there is room for, how many are left out, and an end. Nothing at all where there is no
    /// item, or no room.
    fn section(
        &mut self,
        head: &str,
        items: impl ExactSizeIterator<Item = String>,
        more: impl Fn(usize) -> String,
        end: &str,
    ) -> String {
        let all = items.len();
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
        let mut section = head.to_owned();
        let mut items = items;
        for number in 0..all {
            let Some(item) = items.next() else { break };
            let Some(left) = self.left.checked_sub(long(&item)) else {
                self.is_short = true;
                section.push_str(&more(all - number));
                break;
            };
            self.left = left;
            section.push_str(&item);
        }
        section.push_str(end);
        section
    }
}

/// The losses, which come above everything else, unfolded.
fn losses(plan: &Plan, room: &mut Room) -> String {
    let losing: Vec<_> = plan.changes().filter(|change| !change.losses.is_empty()).collect();
    let items = losing.iter().map(|change| {
        let losses: Vec<String> = change.losses.iter().map(|loss| text::markdown(loss)).collect();
        format!("> - {}: {}\n", subject(change), losses.join("; "))
    });
    let more = |number| format!("> - … and data of {number} more\n");
    room.section("\n> **This plan loses data:**\n", items, more, "")
}

fn changes(plan: &Plan, room: &mut Room) -> String {
    let all: Vec<_> = plan.changes().collect();
    let rows = all.iter().map(|change| {
        let reasons: Vec<String> = change.reasons.iter().map(|reason| text::markdown(reason)).collect();
        let (symbol, phrase) = (symbol(change.action), phrase(change.action));
        format!("| `{symbol}` | {} {phrase} | {} |\n", subject(change), reasons.join("<br>"))
    });
    room.section("\n| | what | why |\n| --- | --- | --- |\n", rows, more, "")
}

fn steps(plan: &Plan, room: &mut Room) -> String {
    let all: Vec<_> = plan.changes().collect();
    let items = all.iter().map(|change| {
        let steps = change.steps.iter().zip(1..);
        let steps = steps.map(|(one, number)| format!("  {number}. {}\n", text::markdown(&step(one))));
        format!("- {}\n{}", subject(change), steps.collect::<String>())
    });
    room.section("\n<details><summary>Steps</summary>\n\n", items, more, "\n</details>\n")
}

fn held_back(plan: &Plan, room: &mut Room) -> String {
    /// Subjects that are named of those that the same thing holds back.
    const NAMED: usize = 100;
    let groups = obstacles(plan);
    let items = groups.iter().map(|group| {
        let named = group.iter().take(NAMED).map(|blocked| text::markdown(&blocked.subject.to_string()));
        let named = named.collect::<Vec<_>>().join(", ");
        let others = match group.len().saturating_sub(NAMED) {
            0 => String::new(),
            others => format!(" and {others} more"),
        };
        let first = group.first();
        let words = first.map(|blocked| (text::markdown(&blocked.why), text::markdown(&blocked.hint)));
        let (why, hint) = words.unwrap_or_default();
        format!("- {named}{others}: {why}<br>Hint: {hint}\n")
    });
    room.section("\n**Held back**\n\n", items, more, "")
}

fn notes(plan: &Plan, room: &mut Room) -> String {
    let head = format!("\n<details><summary>Notes ({})</summary>\n\n", plan.notes.len());
    let items = plan.notes.iter();
    let items =
        items.map(|note| format!("- {}: {}\n", text::markdown(&note.about), text::markdown(&note.text)));
    room.section(&head, items, more, "\n</details>\n")
}

fn subject(change: &Change) -> String {
    text::markdown(&change.subject.to_string())
}

fn more(number: usize) -> String {
    format!("\n… and {number} more.\n")
}
