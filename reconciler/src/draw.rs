//! Drawing: a pass on a terminal (bars that move) or anywhere else (plain lines that stay).

use std::collections::HashMap;
use std::io::IsTerminal as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::event::{Event, Listener};
use crate::outcome::{Ended, Outcome};

/// Shows events on standard error.
pub struct Draw {
    bars: Option<Bars>,
    /// Whether the plan is shown before its changes begin.
    plan: bool,
}

struct Bars {
    screen: MultiProgress,
    by_subject: Mutex<HashMap<String, ProgressBar>>,
}

impl Draw {
    /// Bars when standard error is a terminal, lines otherwise.
    pub fn new(plan: bool) -> Self {
        let bars = std::io::stderr()
            .is_terminal()
            .then(|| Bars { screen: MultiProgress::new(), by_subject: Mutex::default() });
        Self { bars, plan }
    }

    fn say(&self, line: &str) {
        match &self.bars {
            // Bars must make room for a line.
            Some(bars) => {
                let plain = anstream::AutoStream::choice(&std::io::stderr()) == anstream::ColorChoice::Never;
                let line =
                    if plain { anstream::adapter::strip_str(line).to_string() } else { line.to_owned() };
                let _ = bars.screen.println(line);
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
                    bar.set_message(format!("{action} {subject}"));
                    bar.enable_steady_tick(Duration::from_millis(120));
                    bars.by_subject.lock().unwrap_or_else(PoisonError::into_inner).insert(subject, bar);
                }
            }
            Event::Ended(outcome) => {
                if let Some(bars) = &self.bars {
                    let mut by_subject = bars.by_subject.lock().unwrap_or_else(PoisonError::into_inner);
                    if let Some(bar) = by_subject.remove(&outcome.subject) {
                        bar.finish_and_clear();
                    }
                }
                self.say(&outcome_line(&outcome));
            }
            Event::Planned { .. } | Event::PassEnded(_) | Event::Answer { .. } => {}
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
    let seconds = Duration::from_millis(*millis).as_secs_f64();
    match result {
        Ended::Done => format!("  {GREEN}done{GREEN:#}    {action} {subject} ({seconds:.1} s)"),
        Ended::Failed { error, .. } => {
            format!("  {RED}FAILED{RED:#}  {action} {subject} after {steps_done} of {steps} steps: {error}")
        }
        Ended::Interrupted => {
            format!("  {YELLOW}stopped{YELLOW:#} {action} {subject} after {steps_done} of {steps} steps")
        }
    }
}

/// A line on standard error, where talk goes.
pub fn say(line: &str) {
    use std::io::Write as _;
    // Nobody reading us any more is no reason to stop working.
    let _ = writeln!(anstream::stderr(), "{line}");
}

/// Text on standard output, where data goes.
pub fn print(text: &str) {
    use std::io::Write as _;
    // A closed pipe means that the reader has seen enough.
    let mut out = anstream::stdout();
    let _ = out.write_all(text.as_bytes());
    if !text.ends_with('\n') {
        let _ = out.write_all(b"\n");
    }
    let _ = out.flush();
}
