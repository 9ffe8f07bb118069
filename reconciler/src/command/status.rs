//! `berth status`: how things are.

use anyhow::Context as _;
use berth_plan::Desired;
use berth_schema::quantity::{Bytes, Cpus};
use comfy_table::{Table, presets};

use super::apply::{short, tell};
use super::{Exit, show_findings};
use crate::client::Daemon;
use crate::docker::connect;
use crate::draw::{print, say};
use crate::figures::CacheFigures;
use crate::observe::{Inspections, Reader};
use crate::settings::Settings;
use crate::source::Source;
use crate::status::Status;

/// How to show it.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Print JSON, for programs
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: &Args, settings: &Settings) -> anyhow::Result<Exit> {
    let status = match Daemon::find(&settings.socket()).await? {
        Some(mut daemon) => match daemon.status().await? {
            Some(status) => status,
            None => {
                say("The reconciler's first pass is still running; ask again in a moment.");
                return Ok(Exit::Failed);
            }
        },
        None => match look(settings).await? {
            Some(status) => status,
            None => return Ok(Exit::Failed),
        },
    };
    if args.json {
        print(&serde_json::to_string_pretty(&status).context("write the status")?);
    } else {
        show(&status);
    }
    let as_wanted = status.servers.iter().all(|row| row.wanted == row.actual);
    let fine = as_wanted && status.engine_answers;
    Ok(if fine && status.last_pass.is_none_or(|pass| pass.is_clean()) { Exit::Ok } else { Exit::Failed })
}

/// Without a daemon: look for ourselves.
async fn look(settings: &Settings) -> anyhow::Result<Option<Status>> {
    let mut source = Source::open(&settings.state)?;
    let last_applied = source.applied().map(|applied| applied.revision);
    let found = source.find(None)?;
    show_findings(&found.loaded);
    let Ok(settled) = found.state else { return Ok(None) };
    let (docker, engine) = connect(&settings.docker).await?;
    let desired = Desired::from_state(&settled.state);
    let observed = Reader::new(docker).observe(&desired, &mut Inspections::default()).await?;
    Ok(Some(Status { engine: engine.version, last_applied, ..Status::of(&desired, &observed) }))
}

fn show(status: &Status) {
    let daemon = match status.pid {
        Some(pid) => format!("reconciler {} runs (pid {pid})", status.version),
        None => "no reconciler runs (start it with `berth up`)".to_owned(),
    };
    let applied = status.last_applied.as_deref().map_or("none yet", short);
    print(&format!(
        "platform {}: {daemon}, engine {}, last applied revision {applied}",
        status.platform, status.engine
    ));
    if !status.engine_answers {
        print("THE ENGINE DOES NOT ANSWER. What follows is how things were when it last did.");
    }
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(["ID", "SERVER", "OWNER", "WANTED", "IS", "CPUS", "MEMORY", "IMAGE"]);
    for row in &status.servers {
        table.add_row([
            row.id.to_string(),
            row.name.clone(),
            row.owner.clone(),
            row.wanted.clone(),
            row.actual.clone(),
            Cpus::from_nanos(row.nano_cpus).to_string(),
            Bytes::new(row.memory).to_string(),
            row.image.clone(),
        ]);
    }
    for row in &status.tombstones {
        let until = row.purge_after.strftime("%Y-%m-%d");
        let state = format!("removed, kept until {until}");
        table.add_row([&row.id.to_string(), &row.name, &row.owner, &state, "tombstone", "", "", ""]);
    }
    print(&table.trim_fmt());
    for row in status.system.iter().filter(|row| row.actual != "running") {
        print(&format!("system container {} is {}", row.name, row.actual));
    }
    if let Some(cache) = &status.cache {
        print(&cache_line(cache));
    }
    if let Some(pass) = status.last_pass.as_ref().filter(|pass| !pass.is_clean()) {
        say("The last pass left something to look at:");
        for outcome in pass.outcomes.iter().filter(|outcome| !outcome.is_done()) {
            say(&crate::draw::outcome_line(outcome));
        }
        tell(pass);
    }
}

/// The image cache in a line.
fn cache_line(cache: &CacheFigures) -> String {
    let mut line = "image cache: ".to_owned();
    match &cache.usage {
        Some(usage) => {
            let size = Bytes::new(usage.bytes);
            line.push_str(&format!("{size} stored, {} hits, {} misses", usage.hits, usage.misses));
        }
        None => line.push_str("nothing known of it yet"),
    }
    if let Some(limit) = &cache.rate_limit {
        let asked = limit.at.strftime("%H:%M");
        match (limit.remaining, limit.limit) {
            (Some(remaining), Some(limit)) => {
                line.push_str(&format!(
                    "; Docker Hub allows {remaining} more of {limit} pulls (asked {asked} UTC)"
                ));
            }
            _ => line.push_str(&format!("; Docker Hub sets no limit (asked {asked} UTC)")),
        }
    }
    if let Some(trouble) = &cache.trouble {
        line.push_str(&format!("; {trouble}"));
    }
    line
}
