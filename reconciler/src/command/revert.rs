//! `berth revert`: takes back what a revision changed, by a commit like any other.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::bail;
use berth_plan::show;
use berth_repo::{Combined, Error, Revision, StateRepo, Words};
use berth_schema::name::UserName;
use berth_schema::policy::Actor;
use berth_schema::report::{Look, report};

use super::hook::{Names, follow};
use super::{Exit, counted};
use crate::draw::{print, say};
use crate::review::{Assessor, Standing, signature};
use crate::settings::Settings;

/// What to take back.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The revision to take back: an id, its beginning, `main~3`, …
    revision: String,
    /// Show what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// In the name of this member, as a door does; without it as whoever has the repository's files
    #[arg(long = "as", value_name = "USER")]
    user: Option<UserName>,
    /// How long to watch it being applied, in seconds; 0 doesn't
    #[arg(long, env = "BERTH_WAIT", value_name = "SECONDS", default_value_t = 60)]
    wait: u64,
}

pub(super) async fn run(args: &Args, settings: &Settings) -> anyhow::Result<Exit> {
    let repo = StateRepo::open(&settings.state)?;
    let Some(reverted) = revert(args, &repo, settings.resolver)? else { return Ok(Exit::Failed) };
    if args.dry_run {
        say("Nothing was changed.");
        return Ok(Exit::Ok);
    }
    if args.wait > 0 {
        follow(&reverted.to_string(), &Names::default(), Duration::from_secs(args.wait), settings).await;
    }
    Ok(Exit::Ok)
}

/// Makes the commit, or only shows it; `None` after it was told why not.
fn revert(args: &Args, repo: &StateRepo, resolver: Option<SocketAddr>) -> anyhow::Result<Option<Revision>> {
    let undone = repo.resolve(&args.revision)?;
    let mut assessor = Assessor::new(repo, resolver)?;
    let main = assessor.main();
    if !repo.is_ancestor(&undone, &main)? {
        bail!("{} is not in main, so there is nothing of it to take back", undone.short());
    }
    let info = repo.commit_info(&undone)?;
    if info.parents.is_empty() {
        bail!("{} is the first commit of all: taking it back would leave nothing", undone.short());
    }
    let actor = args.user.as_ref().map_or(Actor::Operator, Actor::Member);
    let by = signature(actor, assessor.state());
    let message = format!("Revert \"{}\"\n\nThis reverts commit {undone}.\n", info.summary);
    let words = Words { author: &by, committer: &by, message: &message };
    let tried = match assessor.revert(&undone, &words)? {
        Combined::Clean(tried) => tried,
        Combined::Conflicts(files) => {
            say(&format!(
                "{} can't be taken back by itself: later revisions changed {} as well. Change {} by hand and push.",
                undone.short(),
                files.join(", "),
                if files.len() == 1 { "it" } else { "them" }
            ));
            return Ok(None);
        }
    };
    let assessment = assessor.assess(&tried, args.user.as_ref())?;
    if assessment.files.is_empty() && assessment.standing != Standing::Refused {
        say(&format!("main has nothing of {} any more; nothing to take back.", undone.short()));
        return Ok(None);
    }
    let source = |path: &str| assessment.sources.get(path).map(String::as_str);
    let found = report(&assessment.findings, source, Look::Plain);
    if !found.is_empty() {
        say(found.trim_end());
    }
    if !assessment.note.is_empty() {
        say(assessment.note.trim_end());
    }
    let is_admin = actor == Actor::Operator || assessor.state().is_some_and(|state| actor.is_admin(state));
    match &assessment.standing {
        Standing::Refused => {
            say("Refused; nothing was changed.");
            return Ok(None);
        }
        Standing::NeedsReview { .. } if !is_admin => {
            say(
                "Somebody else has to agree to this: revert it in a clone (`git revert`) and push it to review/<topic>.",
            );
            return Ok(None);
        }
        Standing::NeedsReview { .. } | Standing::Own => {}
    }
    say(&format!("{} changes:", counted(assessment.files.len(), "file")));
    for file in &assessment.files {
        say(&format!("  {} +{} -{}", file.path, file.added, file.removed));
    }
    match &assessment.plan {
        Ok(plan) => print(&show::text(plan, &show::Style::default())),
        Err(why) => say(&format!("Not planned: {why}.")),
    }
    if args.dry_run {
        return Ok(Some(tried));
    }
    // The same again, where it counts.
    let Combined::Clean(reverted) = repo.revert(&undone, &main, &words)? else { return Ok(None) };
    match repo.advance(&main, &reverted, &format!("berth revert: {}", undone.short())) {
        Ok(()) => {}
        Err(error @ Error::Moved { .. }) => {
            return Err(anyhow::Error::new(error).context("somebody pushed meanwhile; try again"));
        }
        Err(error) => return Err(error.into()),
    }
    say(&format!("main is at {}: it takes back {}.", reverted.short(), undone.short()));
    Ok(Some(reverted))
}
