//! `berth alarms`: what is wrong, and who was told; silences; a test; and the process that tells.

mod look;
mod shown;

use std::time::Duration;

use anyhow::{Context as _, bail};
use berth_alarms::{AlarmSettings, Record, Silences, Target};
use berth_fault::{Fault as _, chain};
use berth_repo::StateRepo;
use berth_schema::alarms::Silenced;
use berth_schema::quantity::Span;
use clap::Subcommand;
use jiff::Timestamp;

use super::Exit;
use super::following::{self, platform};
use super::up::alarms::read;
use crate::draw::{print, say};
use crate::settings::Settings;

/// Longest time for which a command silences an alarm.
const LONGEST: Duration = Duration::from_secs(31 * 24 * 3600);

/// Alarms of the platform.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Args {
    /// Print JSON, for programs
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Tell nobody of some alarms for a while: of a kind (`oom`), a thing (`server/shop`), both, or `all`
    Silence {
        /// The alarms
        #[arg(required = true, num_args = 1..=2, value_name = "ALARM")]
        alarms: Vec<String>,
        /// Time for which nobody is told, such as 2h
        #[arg(long = "for", value_name = "TIME", default_value = "1h", value_parser = span, conflicts_with = "end")]
        time: Span,
        /// End such a silence
        #[arg(long)]
        end: bool,
    },
    /// Send a message to each target that tries whether it arrives, and show the answers
    Test,
    /// Tell the targets of alarms, until SIGTERM
    Send(following::Args),
}

impl Args {
    /// Returns whether it is the process that tells.
    pub(super) fn is_process(&self) -> bool {
        matches!(self.verb, Some(Verb::Send(_)))
    }
}

fn span(text: &str) -> Result<Span, String> {
    let span = text.parse::<Span>().map_err(|_| "write a time with its unit, such as 2h".to_owned())?;
    match span.duration() <= LONGEST && !span.duration().is_zero() {
        true => Ok(span),
        false => Err("that is no time for a silence: 31 days are the most, and `[alarms] silence` in platform.toml has no such bound".to_owned()),
    }
}

pub(super) async fn run(args: &Args, settings: &Settings) -> anyhow::Result<Exit> {
    match &args.verb {
        None => list(args.json, settings),
        Some(Verb::Silence { alarms, time, end }) => silence(&alarms.join(" "), *time, *end, settings),
        Some(Verb::Test) => test(settings).await,
        Some(Verb::Send(process)) => send(*process, settings).await,
    }
}

fn list(json: bool, settings: &Settings) -> anyhow::Result<Exit> {
    let folder = settings.alarms_folder();
    let record = Record::read(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let hushed = Silences::of(&folder).lasting(Timestamp::now()).context("cannot read the silences")?;
    let rules = settings.alarms(platform(settings)?.as_ref());
    let runs = berth_host::FileLock::is_held(&settings.alive("alarms"));
    let shown = shown::Shown { record: &record, hushed: &hushed, rules: rules.as_ref(), runs };
    match json {
        true => print(&shown.json()?),
        false => print(&shown.text()),
    }
    Ok(if record.on.iter().any(berth_alarms::Entry::is_on) { Exit::Failed } else { Exit::Ok })
}

fn silence(alarms: &str, time: Span, end: bool, settings: &Settings) -> anyhow::Result<Exit> {
    let of: Silenced = match alarms.parse() {
        Ok(of) => of,
        Err(invalid) => bail!(
            "{invalid}; write a kind (`oom`), a thing (`server/shop`), both or `all`: `berth alarms` lists what is on"
        ),
    };
    settings.make_data().with_context(|| format!("cannot make {}", settings.data.display()))?;
    let (silences, now) = (Silences::of(&settings.alarms_folder()), Timestamp::now());
    if end {
        return match silences.end(&of, now).context("cannot write the silences")? {
            true => {
                say(&format!("Whoever is told of alarms is told of `{of}` again."));
                Ok(Exit::Ok)
            }
            false => bail!("no command has silenced `{of}`; `berth alarms` lists the silences"),
        };
    }
    let until = now.saturating_add(time.duration()).unwrap_or(Timestamp::MAX);
    silences.begin(&of, until, now).context("cannot write the silences")?;
    say(&format!(
        "Nobody is told of `{of}` until {} UTC. `berth alarms silence {of} --end` ends that.",
        until.strftime("%Y-%m-%d %H:%M")
    ));
    Ok(Exit::Ok)
}

async fn test(settings: &Settings) -> anyhow::Result<Exit> {
    let platform = platform(settings)?;
    let wanted = wanted(settings)?;
    let targets = wanted.targets();
    if targets.is_empty() {
        bail!(
            "`[alarms]` names no target: add `[alarms.webhook]`, `[alarms.chat]` or `mail` (docs/alarms.md)"
        );
    }
    let mut exit = Exit::Ok;
    for target in &targets {
        let words = target.words();
        let (answer, hint) = match target {
            Target::Mail { address, .. } => {
                let mail = settings.mail(&platform).context("the platform sends no mails")?;
                match berth_mail::test(&mail, address).await {
                    Ok(taken) => (Ok(format!("{} answered {}", taken.server, taken.answer)), None),
                    Err(error) => (Err(chain(&error)), error.hint()),
                }
            }
            Target::Webhook | Target::Chat => match berth_alarms::test(&wanted, target).await {
                Ok(answer) => (Ok(format!("it answered {}", answer.said)), None),
                Err(error) => (Err(chain(&error)), error.hint()),
            },
        };
        match answer {
            Ok(said) => say(&format!("{words}: {said}")),
            Err(why) => {
                exit = Exit::Failed;
                say(&format!("{words}: FAILED: {why}"));
                hint.iter().for_each(|hint| say(&format!("  hint: {hint}")));
            }
        }
    }
    Ok(exit)
}

async fn send(process: following::Args, settings: &Settings) -> anyhow::Result<Exit> {
    let begun = process.begin(settings, "alarms")?;
    let work = |tasks| async move {
        let look = look::of(settings, &*platform(settings)?);
        Ok(berth_alarms::run(wanted(settings)?, look, &tasks).await?)
    };
    begun.run(|repo: &StateRepo| read(repo), work).await
}

fn wanted(settings: &Settings) -> anyhow::Result<AlarmSettings> {
    let wanted = settings.alarms(platform(settings)?.as_ref());
    wanted.context("platform.toml has no [alarms]: commit one first, with a target (docs/alarms.md)")
}
