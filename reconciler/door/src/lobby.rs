//! The lobby: the panel's actions as commands over SSH, for people without a browser and for their programs.
//!
//! Owns the words, and the answers in text and in JSON. What somebody may see is decided where the panel's questions decide it;
//! what they may change is the judge's to say, by the same forms. Runs as a command of the door's, in somebody's name: it
//! knows them only by the name that it was given.

mod answer;
mod change;
mod guest;
mod read;
mod restart;
mod restore;
mod schema;
mod tell;
mod words;

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use berth_judge::form::concerns;
use berth_judge::{Line as Waits, NoTurn};
use berth_plan::Subject;
use berth_repo::{Reading, Revision, StateRepo, Turn};
use berth_schema::name::{Invalid, UserName};
use berth_schema::text;
use berth_wire::web::Refusal;

use self::answer::Answer;
use self::guest::Guest;
use self::read::Whose;
use self::words::{Domain, Line, Manner, Verb, Words, Write};
use crate::settings::DoorSettings;

pub use answer::{Applied, Trouble};
pub use schema::schema;

/// Login at which the lobby is.
const LOGIN: &str = "git";

/// Somebody's visit: one line of theirs.
#[derive(Debug)]
pub struct Visit<'a> {
    /// Places that the door works on.
    pub settings: DoorSettings,
    /// The person.
    pub user: UserName,
    /// Address that they come from, where the door knows one by which `access.panel` may know them.
    pub from: Option<IpAddr>,
    /// Path at which the door that runs this command reads what it shall write down.
    pub note: Option<PathBuf>,
    /// The line that they typed; empty for none.
    pub line: &'a str,
    /// Tells a person that something began which takes a while. Programs, which want JSON, aren't told.
    pub progress: fn(&str),
}

/// Reply to a line.
#[derive(Debug)]
pub struct Reply {
    answer: Answer,
    text: String,
    /// The form in which it is wanted.
    pub form: Form,
    /// The end that the command came to.
    pub end: End,
    /// New tip of `main`, if somebody waits for it to be applied.
    pub follow: Option<Revision>,
}

/// Form of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Text for people.
    Text,
    /// JSON for programs.
    Json,
}

/// End of a command, which its exit code tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It did what was asked: 0.
    Good,
    /// It was refused or failed: 1.
    Failed,
    /// It is a plan that would change something: 2.
    Changes,
}

/// A reply before its form.
struct Said {
    answer: Answer,
    text: Option<String>,
    follow: Option<Revision>,
}

impl From<Answer> for Said {
    fn from(answer: Answer) -> Self {
        Self { answer, text: None, follow: None }
    }
}

impl Reply {
    /// Text for people, with a line break at its end.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// JSON document for programs.
    pub fn json(&self) -> serde_json::Result<String> {
        text::json(&self.answer)
    }

    /// Tells whether the commit may be the reason for what happens to a subject.
    pub fn concerns(&self, subject: &Subject) -> bool {
        let Answer::Change(made) = &self.answer else { return false };
        let paths: Vec<&str> = made.plan.diffs.iter().map(|diff| diff.path.as_str()).collect();
        concerns(&paths, subject)
    }

    /// Adds the outcome of the commit on the engine.
    pub fn add(&mut self, applied: Applied) {
        if let Answer::Change(made) = &mut self.answer {
            made.applied = Some(applied);
        }
    }
}

/// Answers a line. Blocks while the judge works, so it wants a runtime of several threads.
pub async fn serve(visit: Visit<'_>) -> Reply {
    let line = visit.line.trim();
    let form = if words::is_json(line) { Form::Json } else { Form::Text };
    let said = match words::read(line) {
        Ok(Line::Help(text)) => Ok(Said::from(Answer::Help { text })),
        Ok(Line::Words(words)) => reply(visit, words).await,
        Err(trouble) => Err(trouble),
    };
    let Said { answer, text, follow } = said.unwrap_or_else(|trouble| Answer::Error(trouble).into());
    let end = match &answer {
        Answer::Error(_) => End::Failed,
        Answer::Plan(plan) => match plan.standing.as_str() {
            "nothing" => End::Good,
            "allowed" | "needs-review" => End::Changes,
            _ => End::Failed,
        },
        _ => End::Good,
    };
    Reply { text: text.unwrap_or_else(|| tell::text(&answer)), answer, form, end, follow }
}

async fn reply(visit: Visit<'_>, words: Words) -> Result<Said, Trouble> {
    let progress = if words::is_json(visit.line.trim()) { |_: &str| () } else { visit.progress };
    // A program hears nothing meanwhile, so it is told in time that it has to come again.
    let waits = if words::is_json(visit.line.trim()) { Waits::silent() } else { Waits::told(progress) };
    // Before anything is read: whoever waits holds no state in memory.
    let turn = Waited::of(&words, &visit.settings.state, waits)?;
    let guest = Guest::find(visit.settings, visit.user, visit.from, visit.note)?;
    let contact = guest.good.state.platform.organisation.contact();
    said(&guest, visit.line.trim(), words, (progress, &turn))
        .await
        .map_err(|trouble| trouble.addressed(contact))
}

/// Place for which a command waited.
enum Waited {
    /// The turn to move `main`.
    Turn(Turn),
    /// A place among those who read, where the command needs one.
    Place { _reading: Option<Reading> },
}

impl Waited {
    /// Waits for what a command needs.
    fn of(words: &Words, state: &Path, waits: Waits) -> Result<Self, Trouble> {
        let repo = StateRepo::open(state).map_err(|error| guest::failed(&error))?;
        let taken = match &words.verb {
            Some(Verb::Write(write)) if !matches!(write, Write::Domain(Domain::Ls { .. })) => {
                waits.to_main(repo.git_dir()).map(Self::Turn)
            }
            // They wait for others, and not with much in memory.
            Some(Verb::Restart { .. } | Verb::Restore { .. }) => Ok(Self::Place { _reading: None }),
            _ => waits.to_read(repo.git_dir()).map(|reading| Self::Place { _reading: Some(reading) }),
        };
        match taken {
            Err(NoTurn::Repo(error)) => Err(guest::failed(&error)),
            Err(crowded @ NoTurn::Crowded { .. }) => Err(crowded.in_words().into()),
            Ok(taken) => Ok(taken),
        }
    }
}

async fn said(
    guest: &Guest,
    line: &str,
    words: Words,
    (progress, waited): (fn(&str), &Waited),
) -> Result<Said, Trouble> {
    let answer = match &words.verb {
        None => {
            let list = read::list(guest, Whose::Theirs).await?;
            let platform = &guest.good.state.platform;
            let (host, port) = platform.public_ssh();
            let clone = format!("ssh://{LOGIN}@{host}:{port}/state");
            let text = tell::greeting(&list, &platform.ssh_line(&LOGIN), &clone);
            return Ok(Said { text: Some(text), ..Answer::List(list).into() });
        }
        Some(Verb::Ls { all }) => Answer::List(read::list(guest, Whose::of(*all)).await?),
        Some(Verb::Write(Write::Domain(Domain::Ls { all }))) => {
            Answer::Domains(read::domains(guest, Whose::of(*all))?)
        }
        Some(Verb::Pulls) => Answer::Pulls(change::pulls(guest)?),
        Some(Verb::Withdraw { topic }) => {
            change::withdraw(guest, topic)?;
            Answer::Pulls(change::pulls(guest)?)
        }
        Some(Verb::Log { of, number }) => Answer::Log(read::log(guest, of.as_deref(), usize::from(*number))?),
        Some(Verb::Plan { write }) => {
            if write.manner() != Manner::default() {
                let hint = "leave `--propose`, `--yes`, `--allow-lockout` and `--no-wait` away";
                return Err(Trouble::new("a plan changes nothing, so there is nothing to confirm", hint));
            }
            let order = change::order(guest, write)?;
            Answer::Plan(Box::new(change::plan(guest, &order)?))
        }
        Some(Verb::Restart { server }) => Answer::Restart(restart::restart(guest, server, progress).await?),
        Some(Verb::Restore { server, at, path }) => {
            Answer::Restore(restore::restore(guest, server, *at, path.clone(), progress).await?)
        }
        Some(Verb::Write(write)) => {
            let (order, manner) = (change::order(guest, write)?, write.manner());
            let Waited::Turn(turn) = waited else {
                return Err(Trouble::new("it isn't your turn", "try again"));
            };
            let ended = change::make(guest, &order, manner, line, turn)?;
            let follow = ended.revision.filter(|_| !manner.no_wait);
            return Ok(Said { follow, ..Answer::Change(Box::new(ended.made)).into() });
        }
    };
    Ok(answer.into())
}

impl From<Invalid> for Trouble {
    fn from(Invalid { message, hint }: Invalid) -> Self {
        Self::new(message, hint)
    }
}

impl From<Refusal> for Trouble {
    fn from(Refusal { message, hint, .. }: Refusal) -> Self {
        Self::new(message, hint.unwrap_or_else(|| "try again in a moment".to_owned()))
    }
}
