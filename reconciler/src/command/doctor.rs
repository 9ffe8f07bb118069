//! `berth doctor`: tries whether servers are kept from what they must not reach.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use berth_plan::Desired;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{Exit, show_findings};
use crate::docker::connect;
use crate::doctor::{Answer, Attempt, Outside, Scope, Verdict, isolation};
use crate::draw::{print, say};
use crate::settings::Settings;
use crate::source::Source;

/// What to look at.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Try every way out of a server that a hostile root would try, from two canaries that are removed afterwards. Exit
    /// code 0: nothing got through, 2: something did, 1: something could not be tried
    #[arg(long, required = true)]
    isolation: bool,
    /// Only attempts in whose group or name these words are
    #[arg(long, value_name = "WORDS")]
    only: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// A lab's own internet, described by this file: what would contact others is tried there
    #[arg(long, value_name = "FILE", hide = true)]
    outside: Option<PathBuf>,
}

pub(super) async fn run(args: &Args, settings: &Settings) -> anyhow::Result<Exit> {
    let mut source = Source::open(&settings.state)?;
    let found = source.find(None)?;
    let Ok(settled) = found.state else {
        show_findings(&found.loaded);
        return Ok(Exit::Failed);
    };
    let outside = args.outside.as_deref().map(Outside::read).transpose()?;
    let (docker, _) = connect(&settings.docker).await?;
    if !rustix::process::geteuid().is_root() {
        bail!("the doctor looks into network namespaces, which only root may: run it as root");
    }
    let desired = Desired::from_state(&settled.state);
    let bar = Bar::new();
    let scope = Scope { outside, only: args.only.clone() };
    let report =
        isolation(&docker, &desired, scope, &|attempt, verdict, of| bar.show(attempt, verdict, of)).await;
    bar.bar.finish_and_clear();
    let report = report?;
    if args.json {
        print(&serde_json::to_string_pretty(&report).context("write the report")?);
    } else {
        print(report.table().trim_end());
    }
    say(&report.summary());
    Ok(match report.answer() {
        Answer::Good => Exit::Ok,
        Answer::Through => Exit::Changes,
        Answer::Unsure => Exit::Failed,
    })
}

/// What is being tried: a bar on a terminal; elsewhere nothing moves, and the matrix follows.
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
