//! `berth doctor`: checks this host. One subject a flag; without a flag, the host itself.

mod host;
mod names;
mod secrets;

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use berth_doctor::{Answer, Attempt, Outside, Scope, Verdict, isolation};
use berth_engine::{Inspections, Reader, connect};
use berth_plan::Desired;
use berth_schema::text;
use berth_wire::Status;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::status::way_lines;
use super::{Exit, show_findings};
use crate::draw::{print, say};
use crate::servers::way_of;
use crate::settings::Settings;
use crate::source::Source;

/// Subject of the check: without a flag, whether Berth can work on this host, before anything is installed and later. Exit code 0: all is
/// well, 2: something is to be mended, 1: Berth can't work here as it is, or an error
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Check that each secret that the state names is there, readable by root alone, and of the right form. Exit code 0: all is well, 2: something is missing or wrong, 1: an error
    #[arg(long, conflicts_with_all = ["isolation", "names"])]
    secrets: bool,
    /// Check that DNS leads each of the platform's names here, and refuse IPv6 addresses at which visitors would look like this
    /// machine. Exit code 0: all is well, 2: a record is to be changed, 1: an error
    #[arg(long, conflicts_with = "isolation")]
    names: bool,
    /// Try every way out of a server that a hostile root would try, from two canaries that are removed afterwards. Exit
    /// code 0: nothing got through, 2: something did, 1: something could not be tried
    #[arg(long)]
    isolation: bool,
    /// Make only the attempts that have these words in their group or name
    #[arg(long, value_name = "WORDS", requires = "isolation")]
    only: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Path of the installed berth-runtime. Default: beside this program
    #[arg(long, value_name = "PROGRAM", conflicts_with_all = ["secrets", "names", "isolation"])]
    runtime: Option<PathBuf>,
    /// The file that describes a lab's own internet: attempts that would contact others are made there
    #[arg(long, value_name = "FILE", requires = "isolation", hide = true)]
    outside: Option<PathBuf>,
}

pub(super) async fn run(args: &Args, settings: &Settings) -> anyhow::Result<Exit> {
    match args {
        Args { isolation: true, .. } => try_isolation(args, settings).await,
        Args { names: true, .. } => names::run(args.json, settings),
        Args { secrets: true, .. } => secrets::run(args.json, settings),
        _ => host::run(args.runtime.as_deref(), args.json, settings).await,
    }
}

async fn try_isolation(args: &Args, settings: &Settings) -> anyhow::Result<Exit> {
    let mut source = Source::open(&settings.state)?;
    let found = source.find(None)?;
    let Ok(settled) = found.state else {
        show_findings(&found.loaded);
        return Ok(Exit::Failed);
    };
    let outside = args.outside.as_deref().map(Outside::read).transpose()?;
    let (engine, facts) = connect(&settings.docker).await?;
    if !rustix::process::geteuid().is_root() {
        bail!("the doctor looks into network namespaces, which only root may: run it as root");
    }
    let desired = Desired::from_state(&settled.state);
    let bar = Bar::new();
    let way = Status::way(&desired, facts.way);
    let scope = Scope { outside, only: args.only.clone(), way };
    let report =
        isolation(&engine, &desired, scope, &|attempt, verdict, of| bar.show(attempt, verdict, of)).await;
    bar.bar.finish_and_clear();
    let report = report?;
    if args.json {
        print(&text::json(&report).context("cannot write the report")?);
    } else {
        print(report.table().trim_end());
    }
    say(&report.summary());
    let observed = Reader::new(&engine).observe(&desired, &mut Inspections::default()).await?;
    let status = Status::of(&desired, &observed, facts.way, way_of);
    status.way.iter().flat_map(|way| way_lines(*way, &status.servers)).for_each(|line| say(&line));
    Ok(match report.answer() {
        Answer::Good => Exit::Ok,
        Answer::Through => Exit::Changes,
        Answer::Unsure => Exit::Failed,
    })
}

/// Progress of the attempts: a bar on a terminal; elsewhere nothing moves, and the matrix follows.
struct Bar {
    bar: ProgressBar,
}

impl Bar {
    fn new() -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("  {bar:24} {pos}/{len}  {wide_msg:.dim}") {
            bar.set_style(style);
        }
        if bar.is_hidden() {
            say("trying every way out of a server …");
        }
        Self { bar }
    }

    fn show(&self, attempt: &Attempt, verdict: Option<&Verdict>, of: usize) {
        self.bar.set_length(of as u64);
        match verdict {
            None => self.bar.set_message(format!("{}: {}", attempt.group, attempt.name)),
            Some(verdict) => {
                self.bar.inc(1);
                if let Verdict::Through(_) | Verdict::Broken(_) | Verdict::CouldNot(_) = verdict {
                    self.bar.suspend(|| say(&format!("  {}: {}: {verdict}", attempt.group, attempt.name)));
                }
            }
        }
    }
}
