//! `berth lobby`: one line that somebody typed after `ssh git@<host>`. The door runs it, in their name.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::Context as _;
use berth_door::lobby::{Applied, End, Form, Visit, serve};
use berth_repo::Revision;
use berth_schema::name::UserName;
use berth_schema::text::safe_line;
use berth_wire::client::Daemon;
use berth_wire::{Ended, Event, Listener, PassRecord};

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
    /// The line
    line: String,
}

pub(super) async fn run(args: &Args, settings: &Settings) -> anyhow::Result<Exit> {
    let (user, from) = (args.user.clone(), args.from);
    let mut reply = serve(Visit { settings: settings.door(), user, from, line: &args.line }).await;
    let follows = reply.follow.filter(|_| args.wait > 0);
    let wait = Duration::from_secs(args.wait);
    match (reply.form, reply.end) {
        (Form::Json, _) => {
            if let Some(revision) = follows {
                reply.add(applied(revision, wait, settings).await);
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

/// A listener for whoever wants to know the end alone.
struct Quiet;

impl Listener for Quiet {
    fn hear(&self, _: Event) {}
}

/// Follows a commit until it is applied, for at most `wait`.
async fn applied(revision: Revision, wait: Duration, settings: &Settings) -> Applied {
    let ends = |state: &str| Applied { state: state.to_owned(), done: 0, failures: Vec::new() };
    let followed = async {
        match Daemon::find(&settings.door_socket()).await {
            Ok(Some(mut daemon)) => daemon.follow(revision, &Quiet).await.ok(),
            _ => None,
        }
    };
    match tokio::time::timeout(wait, followed).await {
        Err(_) => ends("pending"),
        Ok(None) => ends("unknown"),
        Ok(Some(record)) => of(&record),
    }
}

fn of(record: &PassRecord) -> Applied {
    let failures = record.outcomes.iter().filter_map(|outcome| match &outcome.result {
        Ended::Done => None,
        Ended::Failed { error, .. } => Some(format!("{} {}: {error}", outcome.action, outcome.subject)),
        Ended::Interrupted => Some(format!("{} {}: interrupted", outcome.action, outcome.subject)),
    });
    let failures = failures.chain(record.problems.iter().cloned());
    Applied {
        state: if record.is_clean() { "applied" } else { "failed" }.to_owned(),
        done: record.outcomes.iter().filter(|outcome| outcome.is_done()).count(),
        failures: failures.map(|failure| safe_line(&failure, LONGEST)).collect(),
    }
}
