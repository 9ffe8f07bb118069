//! Drawing: a pass on a terminal (bars that move) or anywhere else (plain lines that stay).

use std::collections::HashMap;
use std::io::IsTerminal as _;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use berth_plan::Subject;
use berth_schema::text::{page, safe};
use berth_wire::{Ended, Event, Listener, Outcome, PowerRecord};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use parking_lot::Mutex;

/// Shows events on standard error.
pub struct Draw {
    bars: Option<Bars>,
    tally: Mutex<Tally>,
    /// Shows the plan before its changes begin.
    plan: bool,
}

struct Bars {
    screen: MultiProgress,
    by_subject: Mutex<HashMap<Subject, ProgressBar>>,
}

impl Draw {
    /// Bars when standard error is a terminal, lines otherwise.
    pub fn new(plan: bool) -> Self {
        let bars = std::io::stderr()
            .is_terminal()
            .then(|| Bars { screen: MultiProgress::new(), by_subject: Mutex::default() });
        Self { bars, tally: Mutex::default(), plan }
    }

    fn say(&self, line: &str) {
        match &self.bars {
            // Bars must make room for a line.
            Some(bars) => {
                let plain = anstream::AutoStream::choice(&std::io::stderr()) == anstream::ColorChoice::Never;
                let line =
                    if plain { anstream::adapter::strip_str(line).to_string() } else { line.to_owned() };
                let _ = bars.screen.println(page(&line));
            }
            None => say(line),
        }
    }
}

impl Listener for Draw {
    fn hear(&self, event: Event) {
        match event {
            Event::Planned { text, changes, .. } if self.plan && changes > 0 => {
                for line in text.lines() {
                    self.say(&tinted(line));
                }
            }
            Event::Begun { subject, action } => {
                if let Some(bars) = &self.bars {
                    let bar = bars.screen.add(ProgressBar::new_spinner());
                    if let Ok(style) = ProgressStyle::with_template("  {spinner} {msg} {elapsed:.dim}") {
                        bar.set_style(style);
                    }
                    bar.set_message(safe(format_args!("{action} {subject}")));
                    bar.enable_steady_tick(Duration::from_millis(120));
                    bars.by_subject.lock().insert(subject, bar);
                }
            }
            Event::Ended(outcome) => {
                if let Some(bars) = &self.bars {
                    let mut by_subject = bars.by_subject.lock();
                    if let Some(bar) = by_subject.remove(&outcome.subject) {
                        bar.finish_and_clear();
                    }
                }
                let line = self.tally.lock().line(&outcome);
                line.iter().for_each(|line| self.say(line));
            }
            Event::Power(record) => self.say(&power_line(&record)),
            Event::PassEnded(_) => {
                let others = self.tally.lock().end();
                others
                    .iter()
                    .for_each(|line| self.say(&format!("{line} (`berth status --json` has them all)")));
            }
            Event::Planned { .. } | Event::Answer { .. } => {}
        }
    }
}

const GREEN: Style = AnsiColor::Green.on_default();
const YELLOW: Style = AnsiColor::Yellow.on_default();
const RED: Style = AnsiColor::Red.on_default().bold();

/// A line of a plan in the colour of its symbol. Plans travel as plain text; colour is the terminal's business.
fn tinted(line: &str) -> String {
    let style = match line.split_whitespace().next() {
        Some("+") => GREEN,
        Some("~") => YELLOW,
        Some("-" | "-/+" | "!") => RED,
        _ => return line.to_owned(),
    };
    format!("{style}{line}{style:#}")
}

/// An outcome in one line, coloured for a stream that strips what isn't wanted.
pub fn outcome_line(outcome: &Outcome) -> String {
    let Outcome { subject, action, result, millis, steps_done, steps } = outcome;
    let (subject, action) = (safe(subject), safe(action));
    let seconds = Duration::from_millis(*millis).as_secs_f64();
    match result {
        Ended::Done => format!("  {GREEN}done{GREEN:#}    {action} {subject} ({seconds:.1} s)"),
        Ended::Failed { error, .. } => {
            format!(
                "  {RED}FAILED{RED:#}  {action} {subject} after {steps_done} of {steps} steps: {}",
                safe(error)
            )
        }
        Ended::Interrupted => {
            format!("  {YELLOW}stopped{YELLOW:#} {action} {subject} after {steps_done} of {steps} steps")
        }
    }
}

/// Outcomes of a pass as they are told while it runs: the first ones in a line each, and the others by their number at its end.
#[derive(Debug, Default)]
pub struct Tally {
    done: usize,
    failed: usize,
}

impl Tally {
    /// Most outcomes of a kind that have a line each.
    const TOLD: usize = 30;

    /// The line of an outcome, unless there were enough like it.
    pub fn line(&mut self, outcome: &Outcome) -> Option<String> {
        let told = if outcome.is_done() { &mut self.done } else { &mut self.failed };
        *told += 1;
        (*told <= Self::TOLD).then(|| outcome_line(outcome))
    }

    /// The number of those that had no line; begins anew.
    pub fn end(&mut self) -> Option<String> {
        let Self { done, failed } = std::mem::take(self);
        let others = |number: usize, word: &str| {
            let others = number.saturating_sub(Self::TOLD);
            (others > 0).then(|| format!("{others} more {word}"))
        };
        let others: Vec<String> = others(done, "done").into_iter().chain(others(failed, "FAILED")).collect();
        (!others.is_empty()).then(|| format!("  … and {}", others.join(", ")))
    }
}

/// An order to a server in one line, in the same colours.
fn power_line(record: &PowerRecord) -> String {
    let (subject, act) = (safe(&record.subject), record.act.word());
    let seconds = Duration::from_millis(record.millis).as_secs_f64();
    match &record.result {
        Ended::Failed { error, .. } => {
            format!("  {RED}FAILED{RED:#}  {act} {subject} for {}: {}", record.by, safe(error))
        }
        _ => format!("  {GREEN}done{GREEN:#}    {act} {subject} for {} ({seconds:.1} s)", record.by),
    }
}

/// A line on standard error, where talk goes.
pub fn say(line: &str) {
    use std::io::Write as _;
    // Nobody reading us any more is no reason to stop working.
    let _ = writeln!(anstream::stderr(), "{}", page(line));
}

/// Text on standard output, where data goes.
pub fn print(text: &str) {
    use std::io::Write as _;
    // A closed pipe means that the reader has seen enough.
    let mut out = anstream::stdout();
    let _ = out.write_all(page(text).as_bytes());
    if !text.ends_with('\n') {
        let _ = out.write_all(b"\n");
    }
    let _ = out.flush();
}

#[cfg(test)]
mod tests {
    use berth_plan::Action;
    use berth_schema::testing::{harm, hostile_text};
    use berth_wire::Retry;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_first_outcomes_are_told_and_the_others_are_counted() {
        let of = |number: u32, result: Ended| Outcome {
            subject: Subject::Network(number.to_string()),
            action: Action::Create,
            result,
            millis: 1,
            steps_done: 1,
            steps: 1,
        };
        let mut tally = Tally::default();
        let told = (0..100).filter(|number| tally.line(&of(*number, Ended::Done)).is_some()).count();
        assert_eq!(told, 30);
        assert!(tally.line(&of(100, Ended::Interrupted)).is_some(), "what went wrong has lines of its own");
        assert_eq!(tally.end().unwrap(), "  … and 70 more done");
        assert_eq!(tally.end(), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn no_outcome_harms_its_reader(typed in hostile_text()) {
            let failed = Ended::Failed { error: typed.clone(), retry: Retry::SOON };
            for (result, word) in [
                (failed, format!("  {RED}FAILED{RED:#} ")),
                (Ended::Interrupted, format!("  {YELLOW}stopped{YELLOW:#}")),
                (Ended::Done, format!("  {GREEN}done{GREEN:#} ")),
            ] {
                let subject = Subject::Network(typed.clone());
                let outcome = Outcome { subject, action: Action::Create, result, millis: 1, steps_done: 0, steps: 1 };
                let line = outcome_line(&outcome);
                let rest = line.strip_prefix(&*word);
                prop_assert!(rest.is_some_and(|rest| harm(rest).is_none() && !rest.contains('\n')), "{line:?}");
            }
        }
    }
}
