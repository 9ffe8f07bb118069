//! `berth plan`: what would change, without changing it.

use std::sync::Arc;

use anyhow::Context as _;
use berth_plan::diff::{Context, plan};
use berth_plan::render::Templates;
use berth_plan::{Desired, Plan, show, simulate};
use jiff::Timestamp;

use super::{Exit, show_findings};
use crate::docker::connect;
use crate::draw::print;
use crate::identity::Identity;
use crate::observe::{Inspections, Reader};
use crate::settings::Settings;
use crate::source::{Settled, Source};

/// What to plan, and how to show it.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Plan this revision instead of the tip of main
    #[arg(long, value_name = "REVISION", conflicts_with_all = ["from", "to"])]
    at: Option<String>,
    /// Plan from this revision to --to, without an engine: what a pull request would change
    #[arg(long, value_name = "REVISION", requires = "to")]
    from: Option<String>,
    /// The revision to plan to
    #[arg(long, value_name = "REVISION", requires = "from")]
    to: Option<String>,
    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Format {
    /// For people
    Text,
    /// For a comment on a pull request
    Markdown,
    /// For programs
    Json,
}

pub(super) async fn run(args: &Args, settings: &Settings) -> anyhow::Result<Exit> {
    let mut source = Source::open(&settings.state)?;
    let plan = match (&args.from, &args.to) {
        (Some(from), Some(to)) => {
            let Some(from) = settle(&mut source, Some(from))? else { return Ok(Exit::Failed) };
            let Some(to) = settle(&mut source, Some(to))? else { return Ok(Exit::Failed) };
            between(&from, &to, &settings.configuration_templates()?)?
        }
        _ => {
            let Some(settled) = settle(&mut source, args.at.as_deref())? else { return Ok(Exit::Failed) };
            live(&mut source, &settled, settings).await?
        }
    };
    print(&match args.format {
        Format::Text => show::text(&plan, &show::Style { colour: stdout_colour(), ..show::Style::default() }),
        Format::Markdown => show::markdown(&plan),
        Format::Json => show::json(&plan).context("write the plan")?,
    });
    Ok(if plan.is_empty() && plan.blocked.is_empty() { Exit::Ok } else { Exit::Changes })
}

/// The state at a revision, or `None` after its mistakes were told.
fn settle(source: &mut Source, revision: Option<&str>) -> anyhow::Result<Option<Settled>> {
    let found = source.find(revision)?;
    show_findings(&found.loaded);
    Ok(found.state.ok())
}

/// Against the engine as it is.
async fn live(source: &mut Source, settled: &Settled, settings: &Settings) -> anyhow::Result<Plan> {
    let (docker, _) = connect(&settings.docker).await?;
    let identities = Identity::shown(&settings.data, settled.state.servers.keys().copied())?;
    let templates = settings.configuration_templates()?;
    let desired = Desired::new(&settled.state, &templates, &Arc::new(identities));
    let observed = Reader::new(docker).observe(&desired, &mut Inspections::default()).await?;
    let applied = source.applied();
    Ok(plan(&desired, &observed, &context(settled, applied.as_ref())))
}

/// Against the engine as it would be with everything of `from` in place.
fn between(from: &Settled, to: &Settled, templates: &Templates) -> anyhow::Result<Plan> {
    let before = Desired::with_templates(&from.state, templates);
    let world = simulate::settled(&before).context("imagine an engine with everything of --from in place")?;
    let observed = world.observed(before.prefix());
    Ok(plan(&Desired::with_templates(&to.state, templates), &observed, &context(to, Some(from))))
}

fn context<'a>(settled: &'a Settled, before: Option<&'a Settled>) -> Context<'a> {
    Context {
        now: Timestamp::now(),
        revision: &settled.revision,
        allowance: settled.allowance.as_deref(),
        previous: before.map(|before| &*before.state),
    }
}

fn stdout_colour() -> show::Colour {
    match anstream::AutoStream::choice(&std::io::stdout()) {
        anstream::ColorChoice::Never => show::Colour::Never,
        _ => show::Colour::Always,
    }
}
