//! `berth why`: what somebody may do with a path, and why.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::SystemTime;

use anyhow::{anyhow, bail};
use berth_judge::case::{Allowed, Asked, Case};
use berth_judge::proofs::Resolvers;
use berth_schema::Kind;
use berth_schema::name::UserName;
use berth_schema::policy::{self, Actor, Budget, Verdict};
use berth_schema::report::{Look, report};

use super::{Exit, show_findings};
use crate::draw::{print, say};
use crate::settings::Settings;
use crate::source::{Settled, Source};

/// Member and file of the question.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The member
    user: String,
    /// A path in the state repo, such as servers/shop.toml; it needn't exist
    #[arg(required_unless_present = "from", conflicts_with = "from")]
    path: Option<String>,
    /// Judge the change from this revision to --to, as if the member had pushed it
    #[arg(long, value_name = "REVISION", requires = "to")]
    from: Option<String>,
    /// The revision at the end of the change
    #[arg(long, value_name = "REVISION", requires = "from")]
    to: Option<String>,
}

pub(super) fn run(args: &Args, settings: &Settings) -> anyhow::Result<Exit> {
    let name: UserName = args.user.parse().map_err(|invalid| anyhow!("{invalid}"))?;
    let mut source = Source::open(&settings.state)?;
    match (&args.path, &args.from, &args.to) {
        (_, Some(from), Some(to)) => {
            let Some(from) = settle(&mut source, Some(from))? else { return Ok(Exit::Failed) };
            let Some(to) = settle(&mut source, Some(to))? else { return Ok(Exit::Failed) };
            judge(&source, &name, &from, &to, settings.resolver)
        }
        (Some(path), ..) => {
            let Some(tip) = settle(&mut source, None)? else { return Ok(Exit::Failed) };
            let mut answer = policy::explain(Actor::Member(&name), &tip.state, path);
            answer.why.extend(budget(&source, &name, &tip, path)?);
            print(&format!("{name} may change {path}: {}\n  {}", answer.may, answer.why.join("\n  ")));
            Ok(Exit::Ok)
        }
        _ => bail!("say a path, or --from and --to"),
    }
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

fn judge(
    source: &Source,
    name: &UserName,
    from: &Settled,
    to: &Settled,
    resolver: Option<SocketAddr>,
) -> anyhow::Result<Exit> {
    let Source::Repository(repo) = source else { bail!("a plain folder has no revisions") };
    let (Some(old), Some(new)) = (from.revision.revision(), to.revision.revision()) else {
        bail!("a plain folder has no revisions")
    };
    let proven = Resolvers::of(resolver, &from.state).prove(Actor::Member(name), &from.state, &to.state);
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
        before: &from.state,
        after: &to.state,
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
            (format!("{name} may make {change} if {approvers} agrees"), Exit::Failed)
        }
        Verdict::Unconfirmed(_) => {
            (format!("{name} may make {change}, once they say that they know what they lose"), Exit::Failed)
        }
        Verdict::Deny(_) => (format!("{name} may not make {change}"), Exit::Failed),
    };
    print(&format!("{findings}{answer}"));
    Ok(exit)
}
