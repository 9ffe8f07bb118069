//! `berth why`: what somebody may do with a path, and why.

mod account;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::SystemTime;

use anyhow::{anyhow, bail};
use berth_judge::case::{Allowed, Asked, Case};
use berth_judge::hook::judge_fetched;
use berth_judge::proofs::Resolvers;
use berth_repo::{Combined, Revision, Signature, StateRepo, Words};
use berth_schema::forge_account::ForgeAccount;
use berth_schema::name::{Invalid, UserName};
use berth_schema::policy::{self, Actor, Budget, Verdict};
use berth_schema::report::{Look, report};
use berth_schema::text::safe;
use berth_schema::{Kind, State};

use super::{Exit, show_findings};
use crate::draw::{print, say};
use crate::settings::Settings;
use crate::source::{Settled, Source};

/// Member and file of the question.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The member
    #[arg(required_unless_present = "forge_account")]
    user: Option<String>,
    /// A path in the state repo, such as servers/shop.toml; it needn't exist
    #[arg(required_unless_present = "from", conflicts_with = "from")]
    path: Option<String>,
    /// Judge the change from this revision to --to, as if the member had pushed it
    #[arg(long, value_name = "REVISION", requires = "to")]
    from: Option<String>,
    /// The revision at the end of the change
    #[arg(long, value_name = "REVISION", requires = "from")]
    to: Option<String>,
    /// Judge the change, merged into --from, as that of the member whose account at the forge this is, such as github.com/anna
    #[arg(long, value_name = "ACCOUNT", requires = "from", conflicts_with = "user")]
    forge_account: Option<String>,
}

/// A change, with the states at both ends of it.
struct Asking<'a> {
    repo: &'a StateRepo,
    old: Revision,
    new: Revision,
    before: &'a State,
    after: &'a State,
    resolver: Option<SocketAddr>,
}

/// Ends with 0 where the change may be made, with 2 where somebody else has to agree, and with 1 where it may not.
pub(super) fn run(args: &Args, settings: &Settings) -> anyhow::Result<Exit> {
    let mut source = Source::open(&settings.state)?;
    if let (Some(from), Some(to)) = (&args.from, &args.to) {
        let Some(from) = settle(&mut source, Some(from))? else { return Ok(Exit::Failed) };
        if let Some(account) = &args.forge_account {
            let account = account
                .parse()
                .map_err(|invalid: Invalid| anyhow!("{}: {}", invalid.message, invalid.hint))?;
            return from_the_forge(&source, &account, &from, to, settings.resolver);
        }
        let Some(to) = settle(&mut source, Some(to))? else { return Ok(Exit::Failed) };
        let (repo, old, new) = (repository(&source)?, revision(&from)?, revision(&to)?);
        let (before, after, resolver) = (&from.state, &to.state, settings.resolver);
        return judge(&member(args)?, &Asking { repo, old, new, before, after, resolver });
    }
    let Some(path) = &args.path else { bail!("say a path, or --from and --to") };
    let name = member(args)?;
    let Some(tip) = settle(&mut source, None)? else { return Ok(Exit::Failed) };
    let mut answer = policy::explain(Actor::Member(&name), &tip.state, path);
    answer.why.extend(budget(&source, &name, &tip, path)?);
    print(&format!("{name} may change {path}: {}\n  {}", answer.may, answer.why.join("\n  ")));
    Ok(Exit::Ok)
}

fn member(args: &Args) -> anyhow::Result<UserName> {
    let Some(user) = &args.user else { bail!("say whom: a member, or --forge-account") };
    user.parse().map_err(|invalid| anyhow!("{invalid}"))
}

fn repository(source: &Source) -> anyhow::Result<&StateRepo> {
    match source {
        Source::Repository(repo) => Ok(repo),
        Source::Folder(_) => bail!("a plain folder has no revisions"),
    }
}

fn revision(settled: &Settled) -> anyhow::Result<Revision> {
    settled.revision.revision().ok_or_else(|| anyhow!("a plain folder has no revisions"))
}

/// Judges a change that comes from a forge as the forge would merge it: what it was made on may have other rules than what holds now.
fn from_the_forge(
    source: &Source,
    account: &ForgeAccount,
    from: &Settled,
    to: &str,
    resolver: Option<SocketAddr>,
) -> anyhow::Result<Exit> {
    let repo = repository(source)?;
    let (main, tip) = (revision(from)?, repo.resolve(to)?);
    let name = match account::member(repo, &from.state, account, &main, &tip)? {
        Ok(name) => name,
        Err(why) => {
            print(&why);
            return Ok(Exit::Failed);
        }
    };
    let message = repo.commit_info(&tip)?.message;
    let nobody = Signature::at("Berth", "berth@localhost", 0);
    let words = Words { author: &nobody, committer: &nobody, message: &message };
    let mut scratch = repo.scratch()?;
    let merged = match scratch.repo.merge(&main, &tip, &words)? {
        Combined::Clean(merged) => merged,
        Combined::Conflicts(files) => {
            let files: Vec<String> = files.iter().map(safe).collect();
            print(&format!("{} doesn't merge: {} differ on both sides", tip.short(), files.join(", ")));
            return Ok(Exit::Failed);
        }
    };
    let loaded = scratch.repo.load(&merged)?;
    show_findings(&loaded);
    let Ok(after) = loaded.state else { return Ok(Exit::Failed) };
    // A green check lets it merge, and then `main` has to follow: a secret in one of its commits would stop that for everybody.
    let refused = judge_fetched(&mut scratch.repo, &main, &merged)?;
    if !refused.is_empty() {
        let findings = report(&refused, |_| None, Look::Plain);
        print(&format!("{findings}main would not follow {}", tip.short()));
        return Ok(Exit::Failed);
    }
    print(&format!("{account} is {name}'s"));
    let (repo, before) = (&scratch.repo, &from.state);
    judge(&name, &Asking { repo, old: main, new: merged, before, after: &after, resolver })
}

/// The state at a revision, or `None` after its mistakes were told.
fn settle(source: &mut Source, revision: Option<&str>) -> anyhow::Result<Option<Settled>> {
    let found = source.find(revision)?;
    if found.state.is_err() {
        show_findings(&found.loaded);
    }
    Ok(found.state.ok())
}

/// Part of the CA's week that a member has left, where it binds them and the path is a domain's.
fn budget(source: &Source, name: &UserName, tip: &Settled, path: &str) -> anyhow::Result<Option<String>> {
    let Source::Repository(repo) = source else { return Ok(None) };
    let Some(user) = tip.state.users.get(name) else { return Ok(None) };
    if Kind::of(path) != Some(Kind::Domain) || Actor::Member(name).is_admin(&tip.state) {
        return Ok(None);
    }
    let kept = repo.kept_certificates()?;
    Ok(Some(Budget::of(user, &tip.state, kept.as_ref(), SystemTime::now()).sentence()))
}

fn judge(name: &UserName, asking: &Asking<'_>) -> anyhow::Result<Exit> {
    let Asking { repo, old, new, before, after, resolver } = *asking;
    let proven = Resolvers::of(resolver, before).prove(Actor::Member(name), before, after);
    if !proven.note.is_empty() {
        say(proven.note.trim_end());
    }
    let allowed = Allowed::by(repo, &new)?;
    let asked = Asked {
        actor: Actor::Member(name),
        repo,
        main: old,
        old,
        new,
        before,
        after,
        proven: &proven,
        allowed: &allowed,
        // Nobody knows from where they would have pushed it.
        from: None,
    };
    let case = Case::gather(asked, repo.changed(&old, &new)?)?;
    let (verdict, _) = case.judge();
    let texts: HashMap<String, String> = case.into_texts().collect();
    let findings = report(verdict.findings(), |path: &str| texts.get(path).map(String::as_str), Look::Plain);
    let change = format!("the change from {} to {}", old.short(), new.short());
    let (answer, exit) = match &verdict {
        Verdict::Allow => (format!("{name} may make {change}"), Exit::Ok),
        Verdict::NeedsReview { approvers, .. } => {
            let approvers: Vec<&str> = approvers.iter().map(UserName::as_str).collect();
            let approvers = if approvers.is_empty() {
                "whoever runs the platform".to_owned()
            } else {
                approvers.join(" or ")
            };
            (format!("{name} may make {change} if {approvers} agrees"), Exit::Changes)
        }
        Verdict::Unconfirmed(_) => {
            (format!("{name} may make {change}, once they say that they know what they lose"), Exit::Failed)
        }
        Verdict::Deny(_) => (format!("{name} may not make {change}"), Exit::Failed),
    };
    print(&format!("{findings}{answer}"));
    Ok(exit)
}
