//! (e) From a git repository to a plan, without an engine: cold, and after one changed file.

use std::path::Path;

use anyhow::{Context as _, anyhow, ensure};
use berth::source::{Settled, Source};
use berth_plan::render::Templates;
use berth_plan::{Context, Desired, Observed, simulate};
use berth_repo::{Edit, Signature, StateRepo, Words};
use jiff::Timestamp;

use crate::organisation;
use crate::table;
use crate::times::Times;

/// Servers, and rounds from nothing.
const SIZES: [(usize, usize); 3] = [(1_000, 11), (10_000, 7), (100_000, 3)];
const CHANGES: usize = 11;

/// Times from the state repo to the plan, and what they are made of.
#[derive(Default)]
struct Stages {
    all: Times,
    load: Times,
    desired: Times,
    plan: Times,
}

pub(crate) fn run() -> anyhow::Result<()> {
    let mut rows = Vec::new();
    for (servers, rounds) in SIZES {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("state.git");
        organisation::make(&path, servers, "[networks]\nusers = \"10.0.0.0/8\"\n")?;
        let observed = world(&path)?;

        let mut cold = Stages::default();
        for _ in 0..rounds {
            cold.measure(|| Source::open(&path), |source| source.find(None), (None, &observed))?;
        }
        let mut changed = Stages::default();
        let mut source = Source::open(&path)?;
        let before = Desired::from_state(&settled(&source.find(None)?)?.state);
        let writer = StateRepo::open(&path)?;
        for round in 0..CHANGES {
            let id = 1 + round * (servers / CHANGES);
            commit(&writer, id, "0.25")?;
            let changes = changed.measure(
                || Ok::<_, anyhow::Error>(&mut source),
                |source| source.find(None),
                (Some(&before), &observed),
            )?;
            ensure!(changes == 1, "one change should be planned, not {changes}");
            commit(&writer, id, "0.5")?;
            source.find(None)?;
        }
        for (what, stages) in [("cold", cold), ("one file changed", changed)] {
            rows.push(vec![
                servers.to_string(),
                what.to_owned(),
                stages.all.to_string(),
                stages.load.to_string(),
                stages.desired.to_string(),
                stages.plan.to_string(),
                stages.all.rounds().to_string(),
            ]);
        }
    }
    table::print(
        "(e) From the repository to the plan",
        &["servers", "what", "all", "read, parse, resolve", "desired", "plan", "rounds"],
        &rows,
    );
    Ok(())
}

impl Stages {
    /// Measures one way from the repository to the plan, and returns the number of planned changes. A daemon knows what
    /// should exist from its last pass.
    fn measure<S, E: Into<anyhow::Error>>(
        &mut self,
        open: impl FnOnce() -> Result<S, E>,
        find: impl FnOnce(&mut S) -> Result<berth::source::Found, berth::source::SourceError>,
        (before, observed): (Option<&Desired>, &Observed),
    ) -> anyhow::Result<usize> {
        let Self { all, load, desired, plan } = self;
        let (kept, changes) = all.measure(|| -> anyhow::Result<_> {
            let (source, found) = load.measure(|| -> anyhow::Result<_> {
                let mut source = open().map_err(Into::into)?;
                let found = find(&mut source)?;
                Ok((source, found))
            })?;
            let settled = settled(&found)?;
            let desired = desired.measure(|| match before {
                Some(before) => {
                    Desired::after(Some(before), &settled.state, &Templates::default(), &before.identities)
                }
                None => Desired::from_state(&settled.state),
            });
            let revision = settled.revision.to_string();
            let context = Context {
                now: Timestamp::now(),
                revision: &revision,
                allowance: None,
                previous: Some(&settled.state),
                largest_id: None,
            };
            let plan = plan.measure(|| berth_plan::plan(&desired, observed, &context));
            let changes = plan.changes().count();
            // What a pass drops in the end isn't between anybody and their plan.
            Ok(((source, found, desired, plan), changes))
        })?;
        drop(kept);
        Ok(changes)
    }
}

fn settled(found: &berth::source::Found) -> anyhow::Result<&Settled> {
    found.state.as_ref().map_err(|findings| anyhow!("the organisation has mistakes: {findings:?}"))
}

/// The world in which everything is as the tip says.
fn world(path: &Path) -> anyhow::Result<Observed> {
    let found = Source::open(path)?.find(None)?;
    let desired = Desired::from_state(&settled(&found)?.state);
    Ok(simulate::settled(&desired)?.observed(desired.prefix()))
}

/// Commits another number of cpus for one server.
pub(crate) fn commit(repo: &StateRepo, id: usize, cpus: &str) -> anyhow::Result<()> {
    let tip = repo.head()?.context("the state repo is empty")?;
    let edit =
        Edit::write(format!("servers/{}.toml", organisation::name(id)), organisation::server(id, cpus));
    let ada = Signature::now("Ada", "ada@example.org");
    repo.commit(Some(&tip), &[edit], &Words { author: &ada, committer: &ada, message: "cpus" })?;
    Ok(())
}
