//! State of a server in words: what the reconciler last saw, beside what the state repo asks for.

use berth_plan::observed::RunState;
use berth_plan::{Action, Subject};
use berth_schema::name::ServerId;
use berth_schema::server::PowerState;
use berth_wire::Ended;
use jiff::Timestamp;
use serde::Serialize;

use crate::live::World;

/// A state as a page shows it: never by its colour alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct State {
    /// Class of its colour.
    pub(crate) look: Look,
    /// Glyph before the word.
    pub(crate) glyph: &'static str,
    /// Word.
    pub(crate) word: &'static str,
    /// Sentence that says more.
    pub(crate) sentence: String,
    /// Error that the last try came to.
    pub(crate) error: Option<String>,
}

/// Colour of a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Look {
    Good,
    Busy,
    Warn,
    Bad,
    /// Neither good nor bad, or not known.
    #[serde(rename = "")]
    Plain,
}

/// When the reconciler was heard last, for the line that says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Heard {
    /// Set while it answers.
    pub(crate) now: bool,
    /// The time.
    pub(crate) at: Option<Timestamp>,
}

impl Heard {
    /// When it was heard last.
    pub(crate) fn of(world: &World) -> Self {
        Self {
            now: world.answers && world.status.is_some(),
            at: world.heard.filter(|_| world.status.is_some()),
        }
    }
}

impl State {
    /// A state without an error.
    pub(crate) fn new(
        look: Look,
        glyph: &'static str,
        word: &'static str,
        sentence: impl Into<String>,
    ) -> Self {
        Self { look, glyph, word, sentence: sentence.into(), error: None }
    }

    /// State of a server that the state repo wants like this.
    pub(crate) fn of_server(world: &World, id: ServerId, wanted: PowerState) -> Self {
        if world.status.is_none() {
            return Self::new(
                Look::Plain,
                "?",
                "unknown",
                "The reconciler hasn’t told yet how this server is.",
            );
        }
        let row = world.server(id);
        let actual = row.and_then(|row| row.actual);
        if !world.answers {
            return last_heard(actual);
        }
        if let Some(action) = world.action_on(id) {
            let (word, sentence) = under_way(action);
            return Self::new(Look::Busy, "◐", word, sentence);
        }
        let error = error_of(world, id);
        let failed = error.is_some();
        let state = match (actual, wanted) {
            (None, PowerState::Running) if failed => bad("failed", "It couldn’t be made."),
            (None, _) if failed => bad("failed", "The last change of it failed."),
            (None, _) => Self::new(Look::Plain, "◌", "not made yet", "The reconciler makes it next."),
            (Some(RunState::Running), PowerState::Running) if failed => {
                Self::new(Look::Warn, "●", "running", "It runs, but the last change of it failed.")
            }
            (Some(RunState::Running), PowerState::Running) => good("running", "It runs, as it should."),
            (Some(RunState::Running), PowerState::Stopped) => {
                Self::new(Look::Warn, "●", "still running", "It should be stopped, and runs.")
            }
            (Some(RunState::Restarting), _) => Self::new(
                Look::Warn,
                "◐",
                "restarting",
                "Its container ends, and the engine starts it again and again.",
            ),
            (Some(RunState::Paused), _) => {
                Self::new(Look::Warn, "◑", "paused", "Somebody has frozen it on the host.")
            }
            (Some(RunState::Created | RunState::Exited), PowerState::Stopped) => Self::new(
                Look::Plain,
                "○",
                "stopped",
                "It is stopped, as it should be. Everything in it is kept.",
            ),
            (Some(RunState::Created | RunState::Exited), PowerState::Running) if failed => {
                bad("failed", "It should run, and couldn’t be started.")
            }
            (Some(RunState::Created | RunState::Exited), PowerState::Running) => Self::new(
                Look::Warn,
                "○",
                "stopped",
                "It should run, and is stopped. The reconciler starts it again.",
            ),
            (Some(RunState::Removing), _) => {
                Self::new(Look::Busy, "◐", "being removed", "The engine removes its container.")
            }
            (Some(RunState::Dead), _) => bad("dead", "Its container is half removed, and can’t be started."),
        };
        Self { error, ..state }
    }

    /// State of one of the platform's own containers.
    pub(crate) fn of_system(world: &World, actual: Option<RunState>) -> Self {
        match actual {
            _ if !world.answers => last_heard(actual),
            Some(RunState::Running) => good("running", ""),
            None => bad("missing", ""),
            Some(RunState::Restarting) => Self::new(Look::Warn, "◐", "restarting", ""),
            Some(state) => bad(state.word(), ""),
        }
    }
}

fn good(word: &'static str, sentence: &'static str) -> State {
    State::new(Look::Good, "●", word, sentence)
}

fn bad(word: &'static str, sentence: &'static str) -> State {
    State::new(Look::Bad, "✕", word, sentence)
}

/// State without a reconciler that tells: never a green one.
fn last_heard(actual: Option<RunState>) -> State {
    let word = match actual {
        Some(RunState::Running) => "last heard: running",
        Some(RunState::Created | RunState::Exited) => "last heard: stopped",
        Some(_) => "last heard: neither",
        None => "unknown",
    };
    State::new(Look::Plain, "?", word, "The reconciler doesn’t answer, so this may be out of date.")
}

/// Words for a change of a server that goes on.
pub(crate) fn under_way(action: Action) -> (&'static str, &'static str) {
    match action {
        Action::Create => ("being made", "It is being made. The first time takes a minute or two."),
        Action::Update => ("being changed", "It is being changed, and goes on running."),
        Action::Start => ("starting", "It is being started."),
        Action::Stop => ("stopping", "It is being stopped."),
        Action::Recreate => ("being made anew", "It is being made anew. Its volumes are kept."),
        Action::Entomb => ("being removed", "It is being stopped, and its data kept."),
        Action::Resurrect => ("coming back", "It comes back with its data."),
        Action::Purge => ("being erased", "Its data is being removed for good."),
        Action::Remove => ("being removed", "It is being removed."),
    }
}

/// Error that the last pass ran into with a server.
fn error_of(world: &World, id: ServerId) -> Option<String> {
    let is_it = |subject: &Subject| matches!(subject, Subject::Server { id: found, .. } if *found == id);
    let outcomes = &world.last_pass()?.outcomes;
    outcomes.iter().find_map(|outcome| match &outcome.result {
        Ended::Failed { error, .. } if is_it(&outcome.subject) => Some(error.clone()),
        _ => None,
    })
}
