//! `berth plan`: what would change, without changing it.

use std::sync::Arc;

use anyhow::Context as _;
use berth_engine::{Identity, Inspections, Reader, connect};
use berth_plan::diff::{Context, plan};
use berth_plan::render::Templates;
use berth_plan::room::More;
use berth_plan::{Desired, Identities, Observed, Plan, show, simulate};
use berth_schema::brief::{Extent, LINES};
use berth_schema::text::safe;
use jiff::Timestamp;

use super::{Exit, show_findings};
use crate::draw::print;
use crate::room::left;
use crate::settings::Settings;
use crate::source::{Settled, Source};

/// Subject and form of the plan.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Plan this revision. Default: the tip of main
    #[arg(long, value_name = "REVISION", conflicts_with_all = ["from", "to"])]
    at: Option<String>,
    /// Plan from this revision to --to, without an engine, as for a pull request
    #[arg(long, value_name = "REVISION", requires = "to")]
    from: Option<String>,
    /// The revision at the end of the plan
    #[arg(long, value_name = "REVISION", requires = "from")]
    to: Option<String>,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Show each change by itself, however many are alike
    #[arg(long)]
    all: bool,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Format {
    /// Text for people
    Text,
    /// Markdown for a comment on a pull request
    Markdown,
    /// JSON for programs
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
    let whole = whole(args);
    let (extent, comment) = match args.all {
        true => (Extent::Whole, show::Comment::Whole),
        false => (Extent::Brief { lines: LINES, whole: &whole }, show::Comment::Brief),
    };
    let style = show::Style { colour: stdout_colour(), extent, ..show::Style::default() };
    print(&match args.format {
        Format::Text => show::text(&plan, &style),
        Format::Markdown => show::markdown(&plan, comment),
        Format::Json => show::json(&plan).context("cannot write the plan")?,
    });
    Ok(if plan.is_empty() && plan.blocked.is_empty() { Exit::Ok } else { Exit::Changes })
}

/// The command that shows all of the same plan, in a sentence.
fn whole(args: &Args) -> String {
    let of = match (&args.at, &args.from, &args.to) {
        (_, Some(from), Some(to)) => format!(" --from {from} --to {to}"),
        (Some(at), ..) => format!(" --at {at}"),
        _ => String::new(),
    };
    format!("`berth plan{} --all` shows everything", safe(of))
}

/// The state at a revision, or `None` after its mistakes were told.
fn settle(source: &mut Source, revision: Option<&str>) -> anyhow::Result<Option<Settled>> {
    let found = source.find(revision)?;
    show_findings(&found.loaded);
    Ok(found.state.ok())
}

/// Plans against the engine as it is.
async fn live(source: &mut Source, settled: &Settled, settings: &Settings) -> anyhow::Result<Plan> {
    let (engine, facts) = connect(&settings.docker).await?;
    let identities = Identity::shown(&settings.data, settled.state.servers.keys().copied())?;
    let templates = settings.configuration_templates()?;
    let desired = Desired::new(&settled.state, &templates, &Arc::new(identities));
    let desired = desired.with_programs(settings.programs().look());
    let reader = Reader::new(&engine);
    let mut observed = reader.observe(&desired, &mut Inspections::default()).await?;
    // Whoever can ask the engine may know who is there.
    observed.sessions = reader.sessions(desired.prefix(), &observed).await?;
    let applied = source.applied();
    let mut plan = planned(&desired, &observed, settled, applied.as_ref(), facts.largest_id());
    let addresses = plan.capacity.total.saturating_sub(plan.capacity.used);
    // Of no weight for the plan itself, and an engine may be on another host.
    plan.capacity.more = left(&facts.root).ok().map(|left| More::of(&left, addresses));
    Ok(plan)
}

/// Plans against the engine as it would be with everything of `from` in place.
fn between(from: &Settled, to: &Settled, templates: &Templates) -> anyhow::Result<Plan> {
    // The same keys on both sides, so that whatever stays is worked out once.
    let servers = [from, to].into_iter().flat_map(|settled| settled.state.servers.keys().copied());
    let identities = Arc::new(Identities::example(servers));
    let before = Desired::new(&from.state, templates, &identities);
    let world =
        simulate::settled(&before).context("cannot imagine an engine with everything of --from in place")?;
    let observed = world.observed(before.prefix());
    let desired = Desired::after(Some(&before), &to.state, templates, &identities);
    Ok(planned(&desired, &observed, to, Some(from), None))
}

fn planned(
    desired: &Desired,
    observed: &Observed,
    settled: &Settled,
    before: Option<&Settled>,
    largest_id: Option<u32>,
) -> Plan {
    let revision = settled.revision.to_string();
    let context = Context {
        now: Timestamp::now(),
        revision: &revision,
        allowance: settled.allowance.as_deref(),
        previous: before.map(|before| &*before.state),
        largest_id,
    };
    plan(desired, observed, &context)
}

fn stdout_colour() -> show::Colour {
    match anstream::AutoStream::choice(&std::io::stdout()) {
        anstream::ColorChoice::Never => show::Colour::Never,
        _ => show::Colour::Always,
    }
}
