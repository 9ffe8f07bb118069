//! `berth lobby`: one line that somebody typed after `ssh git@<host>`. The door runs it, in their name.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use berth_door::lobby::{Applied, End, Form, Reply, Visit, serve};
use berth_repo::Revision;
use berth_schema::name::UserName;
use berth_schema::text::safe_line;
use berth_wire::client::Daemon;
use berth_wire::{Ended, Event, Listener, Outcome};
use parking_lot::Mutex;

use super::Exit;
use super::hook::{Names, follow};
use crate::draw::{print, say};
use crate::settings::Settings;

/// Characters of a failure in JSON.
const LONGEST: usize = 400;

/// A line, and who typed it.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Act in the name of this member
    #[arg(long = "as", value_name = "USER")]
    user: UserName,
    /// Address that they come from, as the door knows it
    #[arg(long, env = "BERTH_FROM", value_name = "ADDRESS", hide = true)]
    from: Option<IpAddr>,
    /// Seconds to follow how a change is applied; 0 returns at once
    #[arg(long, env = "BERTH_WAIT", value_name = "SECONDS", default_value_t = 60)]
    wait: u64,
    /// Path at which the door reads what it shall write down
    #[arg(long, env = "BERTH_NOTE", value_name = "PATH", hide = true)]
    note: Option<PathBuf>,
    /// The line
    line: String,
}

pub(super) async fn run(args: &Args, settings: &Settings) -> anyhow::Result<Exit> {
    let (user, from) = (args.user.clone(), args.from);
    let note = args.note.clone();
    let visit = Visit { settings: settings.door(), user, from, note, line: &args.line, progress: say };
    let mut reply = serve(visit).await;
    let follows = reply.follow.filter(|_| args.wait > 0);
    let wait = Duration::from_secs(args.wait);
    match (reply.form, reply.end) {
        (Form::Json, _) => {
            if let Some(revision) = follows {
                let applied = applied(&reply, revision, wait, settings).await;
                reply.add(applied);
            }
            print(&reply.json().context("cannot write the answer")?);
        }
        (Form::Text, End::Failed) => say(reply.text().trim_end()),
        (Form::Text, End::Good | End::Changes) => {
            print(reply.text());
            if let Some(revision) = follows {
                follow(revision, &Names::default(), wait, settings).await;
            }
        }
    }
    Ok(match reply.end {
        End::Good => Exit::Ok,
        End::Failed => Exit::Failed,
        End::Changes => Exit::Changes,
    })
}

/// Everything that the reconciler tells of one revision.
struct Heard {
    revision: Revision,
    of: Mutex<Told>,
}

#[derive(Default)]
struct Told {
    /// Set while a pass of another revision works.
    is_elsewhere: bool,
    outcomes: Vec<Outcome>,
    problems: Vec<String>,
}

impl Listener for Heard {
    fn hear(&self, event: Event) {
        let mut told = self.of.lock();
        match event {
            Event::Planned { revision, .. } => told.is_elsewhere = revision != self.revision.into(),
            Event::Ended(outcome) if !told.is_elsewhere => told.outcomes.push(outcome),
            // What failed is tried again.
            Event::PassEnded(record) if record.attempted == Some(self.revision.into()) => {
                (told.outcomes, told.problems) = (record.outcomes, record.problems);
            }
            _ => {}
        }
    }
}

/// Follows the commit that a reply made until it is applied, for at most `wait`.
async fn applied(reply: &Reply, revision: Revision, wait: Duration, settings: &Settings) -> Applied {
    let heard = Heard { revision, of: Mutex::default() };
    let followed = async {
        match Daemon::find(&settings.door_socket()).await {
            Ok(Some(mut daemon)) => daemon.follow(revision, &heard).await.ok(),
            _ => None,
        }
    };
    let ended = tokio::time::timeout(wait, followed).await;
    let Told { outcomes, problems, .. } = heard.of.into_inner();
    match ended {
        Err(_) => of(reply, "pending", &outcomes, &problems),
        Ok(None) => of(reply, "unknown", &[], &[]),
        Ok(Some(record)) => {
            let applied = of(reply, "applied", &record.outcomes, &record.problems);
            let is_good = applied.failures.is_empty() && record.revision.is_some();
            let attempted = record.attempted.filter(|attempted| *attempted != revision.into());
            Applied {
                state: if is_good { applied.state } else { "failed".to_owned() },
                attempted: attempted.map(|attempted| attempted.to_string()),
                ..applied
            }
        }
    }
}

/// The outcomes that concern the commit, in words.
fn of(reply: &Reply, state: &str, outcomes: &[Outcome], problems: &[String]) -> Applied {
    let ours = || outcomes.iter().filter(|outcome| reply.concerns(&outcome.subject));
    let failures = ours().filter_map(|outcome| match &outcome.result {
        Ended::Done => None,
        Ended::Failed { error, .. } => Some(format!("{} {}: {error}", outcome.action, outcome.subject)),
        Ended::Interrupted => Some(format!("{} {}: interrupted", outcome.action, outcome.subject)),
    });
    let failures = failures.chain(problems.iter().cloned());
    Applied {
        state: state.to_owned(),
        attempted: None,
        done: ours().filter(|outcome| outcome.is_done()).count(),
        failures: failures.map(|failure| safe_line(&failure, LONGEST)).collect(),
    }
}
