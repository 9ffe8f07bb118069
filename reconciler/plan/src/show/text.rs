//! A plan for a person at a terminal.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style as Paint};

use berth_schema::brief::{self, Extent, FEW, Item, LINES, Section, named, named_up_to};
use berth_schema::text::safe;

use crate::show::alike::{Alike, Grain, alike, name, noun, obstacles, phrase_of_many};
use crate::show::{Counts, phrase, step, symbol};
use crate::step::{Action, Blocked, Change, Plan, Stage, StageKind};

/// Use of colours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Colour {
    /// On.
    Always,
    /// Off.
    #[default]
    Never,
}

/// Listing of each change's steps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Steps {
    /// Listed under each change that is told by itself.
    Shown,
    /// Left out: only changes and reasons are shown.
    #[default]
    Hidden,
}

/// Appearance of a plan's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Style<'a> {
    pub colour: Colour,
    pub steps: Steps,
    pub extent: Extent<'a>,
}

impl Default for Style<'_> {
    fn default() -> Self {
        let extent = Extent::Brief { lines: LINES, whole: WHOLE };
        Self { colour: Colour::Never, steps: Steps::Hidden, extent }
    }
}

/// Way to everything that a brief text leaves out.
pub const WHOLE: &str = "`berth plan --all` shows everything";

/// Names of things that lose data, or go, in a line that stands for many.
const NAMED_LOSERS: usize = 10;

/// The plan as text, with a line feed at its end.
pub fn text(plan: &Plan, style: &Style<'_>) -> String {
    let page = Page { style: *style };
    let mut text = match style.extent {
        Extent::Whole => brief::whole(&page.sections(plan, Grain::Each)),
        Extent::Brief { lines, whole } => page.brief(plan, lines, whole),
    };
    if !text.is_empty() {
        text.push('\n');
    }
    let _ = writeln!(text, "{}", summary(plan));
    text
}

/// The plan in one line.
pub fn summary(plan: &Plan) -> String {
    let Counts { create, update, recreate, remove, blocked } = Counts::of(plan);
    let mut line = if plan.is_empty() {
        format!("No changes; {} as they should be", plan.unchanged)
    } else {
        let again = if recreate > 0 { format!(", {recreate} to make anew") } else { String::new() };
        format!(
            "Plan: {create} to create, {update} to update{again}, {remove} to remove; {} unchanged",
            plan.unchanged
        )
    };
    if blocked > 0 {
        let _ = write!(line, "; {blocked} held back");
    }
    let _ = write!(line, ". Room: {} of {} addresses used.", plan.capacity.used, plan.capacity.total);
    if let Some(more) = plan.capacity.more {
        let _ = write!(line, " This host has {more}.");
    }
    if plan.removals.lifted {
        let _ = write!(
            line,
            " The removal budget ({}) is lifted for these {} servers.",
            plan.removals.allowed, plan.removals.count
        );
    }
    line
}

pub(super) fn title(kind: StageKind) -> &'static str {
    match kind {
        StageKind::Networks => "Networks",
        StageKind::System => "Platform containers",
        StageKind::Links => "Links",
        StageKind::Servers => "Servers",
        StageKind::Configurations => "Configurations",
        StageKind::Removals => "Removals",
    }
}

struct Page<'a> {
    style: Style<'a>,
}

impl Page<'_> {
    /// The plan in so many lines, without its summary.
    fn brief(&self, plan: &Plan, lines: usize, whole: &str) -> String {
        // The summary and the line before it; the sentence on where everything is and the line before that.
        let room = lines.saturating_sub(4);
        let sections = self.sections(plan, Grain::Same);
        let is_short = brief::length(&sections) <= room;
        let mut text = match is_short {
            true => brief::whole(&sections),
            false => brief::fitted(&self.sections(plan, Grain::Like), room, |count, grave| {
                let losing =
                    if grave > 0 { format!(", {grave} of which lose data or go") } else { String::new() };
                format!("      … and {count} more{losing}\n")
            }),
        };
        let is_folded = stages(plan)
            .iter()
            .any(|stages| alike(stages, Grain::Same).iter().any(|one| one.changes.len() > 1));
        let is_folded = is_folded || obstacles(plan).iter().any(|group| group.len() > FEW);
        if !is_short || is_folded {
            let _ = write!(text, "\n{}.\n", berth_schema::text::capital(whole));
        }
        text
    }

    fn sections(&self, plan: &Plan, grain: Grain) -> Vec<Section> {
        let mut sections: Vec<Section> = stages(plan)
            .iter()
            .map(|stages| {
                let kind = stages.first().map_or(StageKind::Networks, |stage| stage.kind);
                let items = alike(stages, grain).iter().map(|alike| self.changes(alike)).collect();
                Section { head: self.heading(title(kind)), items }
            })
            .collect();
        let held_back = obstacles(plan).iter().map(|group| self.obstacle(group, grain)).collect();
        sections.push(Section { head: self.heading("Held back"), items: held_back });
        let notes = plan.notes.iter();
        let notes = notes
            .map(|note| Item::one(line(2, &format!("· {}: {}", safe(&note.about), safe(&note.text)))))
            .collect();
        sections.push(Section { head: self.heading("Notes"), items: notes });
        sections
    }

    fn heading(&self, title: &str) -> String {
        line(0, &self.paint(Paint::new().bold(), title))
    }

    fn changes(&self, alike: &Alike<'_>) -> Item {
        let Some(first) = alike.first() else { return Item::one(String::new()) };
        let goes = |change: &&&Change| {
            !change.losses.is_empty() || matches!(change.action, Action::Entomb | Action::Purge)
        };
        let text = match alike.changes.len() {
            1 => self.change(first),
            _ => self.many(first, alike),
        };
        Item { text, count: alike.changes.len(), grave: alike.changes.iter().filter(goes).count() }
    }

    /// One change, with everything that there is to say of it.
    fn change(&self, change: &Change) -> String {
        let subject = safe(&change.subject);
        let mut text =
            line(2, &format!("{} {subject} {}", self.symbol(change.action), phrase(change.action)));
        for reason in &change.reasons {
            text.push_str(&line(6, &safe(reason)));
        }
        for loss in &change.losses {
            text.push_str(&self.loss("LOST", loss));
        }
        if self.style.steps == Steps::Shown {
            for (number, one) in change.steps.iter().enumerate() {
                let one = format!("{}. {}", number + 1, safe(step(one)));
                text.push_str(&line(8, &self.paint(Paint::new().dimmed(), &one)));
            }
        }
        text
    }

    /// Many changes that are alike: "memory 1 GiB → 2 GiB: 9173 servers (a, b, c, …)".
    fn many(&self, first: &Change, alike: &Alike<'_>) -> String {
        let mut reasons: Vec<String> = first.reasons.iter().map(safe).collect();
        if alike.differ {
            reasons.push("and the like".to_owned());
        }
        let why = if reasons.is_empty() { String::new() } else { format!("{}: ", reasons.join("; ")) };
        let goes = !first.losses.is_empty() || matches!(first.action, Action::Entomb | Action::Purge);
        let names = alike.changes.iter().map(|change| safe(name(&change.subject)));
        let names = if goes { named_up_to(NAMED_LOSERS, names) } else { named(names) };
        // The symbol of a change in place says as much.
        let does = match first.action {
            Action::Update => String::new(),
            action => format!(" {}", phrase_of_many(action)),
        };
        let subjects = noun(&first.subject, alike.changes.len());
        let mut text = line(2, &format!("{} {why}{subjects} ({names}){does}", self.symbol(first.action)));
        for loss in &first.losses {
            text.push_str(&self.loss("LOST by each", loss));
        }
        text
    }

    fn loss(&self, word: &str, loss: &str) -> String {
        let loss = format!("{word}: {}", safe(loss));
        line(6, &self.paint(AnsiColor::Red.on_default().bold(), &loss))
    }

    /// Things that are held back for one reason: the reason once, under all of them.
    fn obstacle(&self, group: &[&Blocked], grain: Grain) -> Item {
        let mark = self.paint(AnsiColor::Yellow.on_default().bold(), "!");
        let mut text = String::new();
        let row = |action: Action, subject: &str| line(2, &format!("{mark} {:<3} {subject}", symbol(action)));
        if grain == Grain::Each || group.len() <= FEW {
            group.iter().for_each(|blocked| text.push_str(&row(blocked.action, &safe(&blocked.subject))));
        } else {
            let kinds = brief::grouped(group.iter().copied(), |blocked| {
                (std::mem::discriminant(&blocked.subject), blocked.action)
            });
            for kind in kinds {
                let Some(first) = kind.first() else { continue };
                let names = kind.iter().map(|blocked| safe(name(&blocked.subject)));
                let goes = matches!(first.action, Action::Entomb | Action::Purge);
                let names = if goes { named_up_to(NAMED_LOSERS, names) } else { named(names) };
                text.push_str(&row(first.action, &format!("{} ({names})", noun(&first.subject, kind.len()))));
            }
        }
        if let Some(blocked) = group.first() {
            text.push_str(&line(8, &safe(&blocked.why)));
            text.push_str(&line(8, &format!("hint: {}", safe(&blocked.hint))));
        }
        Item { count: group.len(), ..Item::one(text) }
    }

    /// The symbol of an action, in its colour.
    fn symbol(&self, action: Action) -> String {
        let colour = match action {
            Action::Create | Action::Resurrect => AnsiColor::Green,
            Action::Update | Action::Start | Action::Stop => AnsiColor::Cyan,
            Action::Recreate | Action::Entomb | Action::Purge | Action::Remove => AnsiColor::Red,
        };
        self.paint(colour.on_default().bold(), &format!("{:<3}", symbol(action)))
    }

    fn paint(&self, paint: Paint, text: &str) -> String {
        match self.style.colour {
            Colour::Always => format!("{paint}{text}{paint:#}"),
            Colour::Never => text.to_owned(),
        }
    }
}

/// The stages as a reader sees them: the last one may come in two parts, and to a reader it is one.
fn stages(plan: &Plan) -> Vec<Vec<&Stage>> {
    let mut stages: Vec<Vec<&Stage>> = Vec::new();
    for stage in &plan.stages {
        match stages.last_mut().filter(|last| last.last().is_some_and(|last| last.kind == stage.kind)) {
            Some(last) => last.push(stage),
            None => stages.push(vec![stage]),
        }
    }
    stages
}

fn line(indent: usize, text: &str) -> String {
    format!("{:indent$}{}\n", "", text.trim_end())
}
