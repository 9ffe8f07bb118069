//! A plan for a person at a terminal.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style as Paint};

use berth_schema::text::safe;

use crate::show::{Counts, obstacles, phrase, step, symbol};
use crate::step::{Action, Blocked, Change, Plan, StageKind};

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
    /// Listed under each change.
    Shown,
    /// Left out: only changes and reasons are shown.
    #[default]
    Hidden,
}

/// Appearance of a plan's text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Style {
    pub colour: Colour,
    pub steps: Steps,
}

/// The plan as text, with a line feed at its end.
pub fn text(plan: &Plan, style: &Style) -> String {
    let mut page = Page { out: String::new(), style: *style };
    let mut last = None;
    for stage in &plan.stages {
        // The last stage may come in two parts; to a reader it is one.
        if last != Some(stage.kind) {
            page.heading(title(stage.kind));
            last = Some(stage.kind);
        }
        for change in &stage.changes {
            page.change(change);
        }
    }
    if !plan.blocked.is_empty() {
        page.heading("Held back");
        for group in obstacles(plan) {
            page.obstacle(&group);
        }
    }
    if !plan.notes.is_empty() {
        page.heading("Notes");
        for note in &plan.notes {
            page.line(2, &format!("· {}: {}", safe(&note.about), safe(&note.text)));
        }
    }
    if !page.out.is_empty() {
        page.out.push('\n');
    }
    let _ = writeln!(page.out, "{}", summary(plan));
    page.out
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

struct Page {
    out: String,
    style: Style,
}

impl Page {
    fn heading(&mut self, title: &str) {
        if !self.out.is_empty() {
            self.out.push('\n');
        }
        let title = self.paint(Paint::new().bold(), title);
        self.line(0, &title);
    }

    fn change(&mut self, change: &Change) {
        let colour = match change.action {
            Action::Create | Action::Resurrect => AnsiColor::Green,
            Action::Update | Action::Start | Action::Stop => AnsiColor::Cyan,
            Action::Recreate | Action::Entomb | Action::Purge | Action::Remove => AnsiColor::Red,
        };
        let symbol = self.paint(colour.on_default().bold(), &format!("{:<3}", symbol(change.action)));
        let subject = safe(&change.subject);
        self.line(2, &format!("{symbol} {subject} {}", phrase(change.action)));
        for reason in &change.reasons {
            self.line(6, &safe(reason));
        }
        for loss in &change.losses {
            let loss = format!("LOST: {}", safe(loss));
            let loss = self.paint(AnsiColor::Red.on_default().bold(), &loss);
            self.line(6, &loss);
        }
        if self.style.steps == Steps::Shown {
            for (number, one) in change.steps.iter().enumerate() {
                let line = format!("{}. {}", number + 1, safe(step(one)));
                let line = self.paint(Paint::new().dimmed(), &line);
                self.line(8, &line);
            }
        }
    }

    /// Things that are held back for one reason: the reason once, under all of them.
    fn obstacle(&mut self, group: &[&Blocked]) {
        for blocked in group {
            let mark = self.paint(AnsiColor::Yellow.on_default().bold(), "!");
            let subject = safe(&blocked.subject);
            self.line(2, &format!("{mark} {:<3} {subject}", symbol(blocked.action)));
        }
        if let Some(blocked) = group.first() {
            self.line(8, &safe(&blocked.why));
            self.line(8, &format!("hint: {}", safe(&blocked.hint)));
        }
    }

    fn line(&mut self, indent: usize, text: &str) {
        let _ = writeln!(self.out, "{:indent$}{}", "", text.trim_end());
    }

    fn paint(&self, paint: Paint, text: &str) -> String {
        match self.style.colour {
            Colour::Always => format!("{paint}{text}{paint:#}"),
            Colour::Never => text.to_owned(),
        }
    }
}
