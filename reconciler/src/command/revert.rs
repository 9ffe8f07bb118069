//! `berth revert`: takes back what a revision changed, by a commit like any other.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::bail;
use berth_judge::review::{Assessment, Assessor, Need, signature};
use berth_plan::show;
use berth_repo::{Combined, Error, Revision, StateRepo, Words};
use berth_schema::brief::{Extent, LINES};
use berth_schema::name::UserName;
use berth_schema::policy::{ALLOW_LOCKOUT, Actor};

use super::Exit;
use super::assessed::{say_files, say_findings};
use super::hook::{Names, follow};
use crate::draw::{print, say};
use crate::settings::Settings;

/// Revision to take back.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The revision: an id, the beginning of one, `main~3`, …
    revision: String,
    /// Only show what would change
    #[arg(long)]
    dry_run: bool,
    /// Act in the name of this member. Default: as somebody with the repository's files, who may do everything
    #[arg(long = "as", value_name = "USER")]
    user: Option<UserName>,
    /// Take it back although the member loses a way in, or their role, by it
    #[arg(long)]
    allow_lockout: bool,
    /// Seconds to follow how it is applied; 0 returns at once
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
        follow(reverted, &Names::default(), Duration::from_secs(args.wait), settings).await;
    }
    Ok(Exit::Ok)
}

/// Makes the commit, or only shows it; `None` after it was told why not.
fn revert(args: &Args, repo: &StateRepo, resolver: Option<SocketAddr>) -> anyhow::Result<Option<Revision>> {
    let mut assessor = Assessor::new(repo, resolver)?;
    let main = assessor.main();
    let (undone, message) = to_undo(args, repo, &main)?;
    let actor = args.user.as_ref().map_or(Actor::Operator, Actor::Member);
    let by = signature(actor, assessor.state());
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
    if assessment.files.is_empty() && assessment.need != Need::Refused {
        say(&format!("main has nothing of {} any more; nothing to take back.", undone.short()));
        return Ok(None);
    }
    let is_admin = actor == Actor::Operator || assessor.state().is_some_and(|state| actor.is_admin(state));
    if !is_allowed(&assessment, is_admin) {
        return Ok(None);
    }
    if !args.allow_lockout && !assessment.lockouts(actor, None).is_empty() {
        say("Nothing was changed. If that is meant, say so: `--allow-lockout`.");
        return Ok(None);
    }
    say_files(&assessment);
    match &assessment.plan {
        Ok(plan) => {
            let whole =
                "`--dry-run` and then `berth plan --from <before> --to <after> --all` show everything";
            let extent = Extent::Brief { lines: LINES, whole };
            print(&show::text(plan, &show::Style { extent, ..show::Style::default() }));
        }
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

/// Finds the revision that is to be taken back, and the message of the commit that does it.
fn to_undo(args: &Args, repo: &StateRepo, main: &Revision) -> anyhow::Result<(Revision, String)> {
    let undone = repo.resolve(&args.revision)?;
    if !repo.is_ancestor(&undone, main)? {
        bail!("{} is not in main, so there is nothing of it to take back", undone.short());
    }
    let info = repo.commit_info(&undone)?;
    if info.parents.is_empty() {
        bail!("{} is the first commit of all: taking it back would leave nothing", undone.short());
    }
    let knows = args.user.as_ref().filter(|_| args.allow_lockout);
    let knows = knows.map(|user| format!("\n{ALLOW_LOCKOUT}: {user}\n")).unwrap_or_default();
    Ok((undone, format!("Revert \"{}\"\n\nThis reverts commit {undone}.\n{knows}", info.summary)))
}

/// Checks that the change may be made right away; tells its findings, and why it may not.
fn is_allowed(assessment: &Assessment, is_admin: bool) -> bool {
    say_findings(assessment);
    match &assessment.need {
        Need::Refused => say("Refused; nothing was changed."),
        Need::NeedsReview { .. } if !is_admin => say(
            "Somebody else has to agree to this: revert it in a clone (`git revert`) and push it to review/<topic>.",
        ),
        Need::NeedsReview { .. } | Need::Own => return true,
    }
    false
}
