//! `berth export`: a state repo from what runs, or what drifted as a proposal.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use berth_engine::{Inspections, Reader, connect};
use berth_judge::review::{find, propose, signature};
use berth_plan::Desired;
use berth_plan::inventory::Inventory;
use berth_repo::{Edit, StateRepo, Words, load_directory};
use berth_schema::door::Topic;
use berth_schema::name::Prefix;
use berth_schema::policy::Actor;
use berth_schema::text::counted;
use jiff::Timestamp;

use super::{Exit, show_findings};
use crate::draw::say;
use crate::export::{Drift, drift, export};
use crate::settings::Settings;
use crate::source::Source;

/// Subject and place of the export.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A new or empty folder for the files
    #[arg(default_value = "state", value_name = "FOLDER")]
    folder: PathBuf,
    /// The platform to read, by the prefix of its containers
    #[arg(long, default_value = "hosting")]
    prefix: Prefix,
    /// Propose changes made by hand to limits and power of servers, as review/drift-<date> in --state
    #[arg(long, conflicts_with_all = ["folder", "prefix"])]
    drift: bool,
}

pub(super) async fn run(args: &Args, settings: &Settings) -> anyhow::Result<Exit> {
    match args.drift {
        true => propose_drift(settings).await,
        false => write(args, settings).await,
    }
}

async fn write(args: &Args, settings: &Settings) -> anyhow::Result<Exit> {
    let folder = &args.folder;
    if folder.exists() && fs::read_dir(folder).map_or(true, |mut entries| entries.next().is_some()) {
        bail!("{} isn't an empty folder; choose a new one", folder.display());
    }
    let (engine, _) = connect(&settings.docker).await?;
    let seen = Reader::new(&engine).sight(&args.prefix).await?;
    let exported = export(&args.prefix, &seen);
    for (path, text) in &exported.files {
        put(&folder.join(path), text)?;
    }
    let loaded = load_directory(folder)?;
    show_findings(&loaded);
    say(&format!("{}: {} written", folder.display(), counted(exported.files.len(), "file")));
    say("To look at or to fill in:");
    for open in &exported.open {
        say(&format!("  {open}"));
    }
    say(&format!("Then: berth plan --state {} (nothing to do, if all is well)", folder.display()));
    Ok(if loaded.state.is_ok() { Exit::Ok } else { Exit::Failed })
}

fn put(path: &Path, text: &str) -> anyhow::Result<()> {
    let failed = || format!("cannot write {}", path.display());
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(failed)?;
    }
    fs::write(path, text).with_context(failed)
}

async fn propose_drift(settings: &Settings) -> anyhow::Result<Exit> {
    let mut source = Source::open(&settings.state)?;
    let found = source.find(None)?;
    show_findings(&found.loaded);
    let Ok(settled) = found.state else { return Ok(Exit::Failed) };
    let repo = StateRepo::open(&settings.state).context("drift is proposed to a git repository")?;
    let Some(main) = settled.revision.revision() else { bail!("a plain folder has no proposals") };
    let (engine, _) = connect(&settings.docker).await?;
    let desired = Desired::from_state(&settled.state);
    let observed = Reader::new(&engine).observe(&desired, &mut Inspections::default()).await?;
    let text = |path: &str| String::from_utf8(repo.read(&main, path).ok()??).ok();
    let Drift { files, told, unsaid } = drift(&desired, &Inventory::read(&observed), text);
    for line in told.iter().chain(&unsaid) {
        say(&format!("  {line}"));
    }
    if files.is_empty() {
        say("Nothing to propose.");
        return Ok(Exit::Ok);
    }
    let topic = free_topic(&repo)?;
    let by = signature(Actor::Operator, Some(&settled.state));
    let edits: Vec<Edit> = files.into_iter().map(|(path, text)| Edit::write(path, text)).collect();
    let message = format!("servers: keep what was changed by hand\n\n{}\n", told.join("\n"));
    let tip = repo.write(Some(&main), &edits, &Words { author: &by, committer: &by, message: &message })?;
    propose(&repo, &topic, tip, by)?;
    say(&format!(
        "Proposed as review/{topic}: `berth review show {topic}`, then approve it to keep the change, or reject it and `berth apply`."
    ));
    Ok(Exit::Ok)
}

/// `drift-2026-01-31`, or with a number behind it where that one waits already.
fn free_topic(repo: &StateRepo) -> anyhow::Result<Topic> {
    let day = Timestamp::now().strftime("%Y-%m-%d").to_string();
    let names = std::iter::once(format!("drift-{day}")).chain((2..).map(|n| format!("drift-{day}-{n}")));
    for name in names {
        let topic: Topic =
            name.parse().map_err(|invalid: berth_schema::name::Invalid| anyhow::anyhow!("{invalid}"))?;
        if find(repo, &topic)?.is_none() {
            return Ok(topic);
        }
    }
    bail!("too many proposals of today's drift wait")
}
