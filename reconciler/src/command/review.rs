//! `berth review`: the proposals that wait, and what becomes of them.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use berth_door::letters::Decided;
use berth_judge::review::{Answer, Approval, Ask, Format, answer, looked_at};
use berth_repo::StateRepo;
use berth_schema::State;
use berth_schema::door::Topic;
use berth_schema::name::UserName;
use berth_schema::policy::Actor;
use berth_schema::report::Look;
use berth_wire::mail::Decision;
use clap::{Subcommand, ValueEnum};

use super::Exit;
use super::hook::{Names, follow};
use crate::draw::{print, say};
use crate::settings::Settings;

/// Act on proposals, in somebody's name.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Act in the name of this member. Default: as somebody with the repository's files, who may do everything
    #[arg(long = "as", value_name = "USER", global = true)]
    user: Option<UserName>,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the proposals that wait
    List {
        /// Output format
        #[arg(long, value_enum, default_value_t = Form::Text)]
        format: Form,
        /// List them all, however many they are
        #[arg(long)]
        all: bool,
    },
    /// Show a proposal: its commits, files, findings and plan, and who may approve it
    Show {
        /// The topic of `review/<topic>`
        topic: Topic,
        /// Output format
        #[arg(long, value_enum, default_value_t = Form::Text)]
        format: Form,
        /// Show everything, however long it is
        #[arg(long)]
        all: bool,
    },
    /// Approve a proposal: merge it into the present main, and show how it is applied
    Approve {
        /// The topic of `review/<topic>`
        topic: Topic,
        /// The commit that `review show` printed, so that nothing newer is merged; required over SSH
        revision: Option<String>,
        /// Lift the removal budget for this merge: the hash that its plan shows
        #[arg(long, value_name = "HASH", value_parser = hash)]
        allow_removals: Option<String>,
        /// Merge it although you lose a way in, or your role, by it yourself
        #[arg(long)]
        allow_lockout: bool,
        /// Address that you come from, as the door knows it
        #[arg(long, env = "BERTH_FROM", value_name = "ADDRESS", hide = true)]
        from: Option<IpAddr>,
        /// Seconds to follow how it is applied; 0 returns at once
        #[arg(long, env = "BERTH_WAIT", value_name = "SECONDS", default_value_t = 60)]
        wait: u64,
    },
    /// Close a proposal without merging it. Its commits are kept
    Reject {
        /// The topic of `review/<topic>`
        topic: Topic,
        /// The reason, for the author to read
        #[arg(short = 'm', long, value_name = "TEXT")]
        reason: Option<String>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// Text for people
    Text,
    /// Markdown for a comment on a pull request
    Markdown,
    /// JSON for programs
    Json,
}

/// The proposal that is about to be decided, where its author is to hear of that, and the state that says who they are.
fn author_of(repo: &mut StateRepo, ask: &Ask) -> anyhow::Result<Option<(Decided, Arc<State>)>> {
    let topic = match ask {
        Ask::Approve(approval) => &approval.topic,
        Ask::Reject { topic, .. } => topic,
        Ask::List | Ask::Show(_) => return Ok(None),
    };
    let Some(tip) = repo.head()? else { return Ok(None) };
    let Ok(state) = repo.load(&tip)?.state else { return Ok(None) };
    Ok(Decided::find(repo, &state, topic).map(|proposal| (proposal, state)))
}

/// The decision that an answer is; `None` where nothing was decided.
fn decision(ask: &Ask, answer: &Answer) -> Option<Decision> {
    match ask {
        _ if answer.conflicts => Some(Decision::Conflicts),
        _ if !answer.good => None,
        Ask::Approve(_) => Some(Decision::Merged),
        Ask::Reject { .. } => Some(Decision::Rejected),
        Ask::List | Ask::Show(_) => None,
    }
}

/// Parses the hash of an allowance, which becomes a line of the merge's message.
fn hash(text: &str) -> Result<String, String> {
    match !text.is_empty() && text.chars().all(|c| c.is_ascii_hexdigit()) {
        true => Ok(text.to_owned()),
        false => Err("not the hash that a plan shows, which is of hexadecimal digits".to_owned()),
    }
}

pub(super) async fn run(args: &Args, settings: &Settings) -> anyhow::Result<Exit> {
    let mut repo = StateRepo::open(&settings.state)?;
    let actor = args.user.as_ref().map_or(Actor::Operator, Actor::Member);
    let is_whole = matches!(&args.verb, Verb::List { all: true, .. } | Verb::Show { all: true, .. });
    let (ask, form, wait) = match &args.verb {
        Verb::List { format, .. } => (Ask::List, *format, 0),
        Verb::Show { topic, format, .. } => (Ask::Show(topic.clone()), *format, 0),
        Verb::Approve { topic, revision, allow_removals, allow_lockout, from, wait } => {
            let at = match (actor, revision) {
                (_, None) => None,
                (Actor::Operator, Some(revision)) => Some(repo.resolve(revision)?),
                (Actor::Member(_) | Actor::AsMember(_), Some(digits)) => {
                    match looked_at(&repo, actor, topic, digits)? {
                        Ok(tip) => Some(tip),
                        Err(why) => {
                            say(&why);
                            return Ok(Exit::Failed);
                        }
                    }
                }
            };
            let (topic, allowance) = (topic.clone(), allow_removals.clone());
            let approval = Approval { topic, at, allowance, from: *from, knows: *allow_lockout };
            (Ask::Approve(approval), Form::Text, *wait)
        }
        Verb::Reject { topic, reason } => {
            (Ask::Reject { topic: topic.clone(), reason: reason.clone() }, Form::Text, 0)
        }
    };
    let format = match form {
        Form::Markdown => Format::Markdown,
        Form::Json => Format::Json,
        Form::Text => {
            let look = match anstream::AutoStream::choice(&std::io::stdout()) {
                anstream::ColorChoice::Never => Look::Plain,
                _ => Look::Coloured,
            };
            if is_whole { Format::Whole(look) } else { Format::Text(look) }
        }
    };
    let author = author_of(&mut repo, &ask)?;
    let answered = answer(&repo, actor, &ask, format, settings.resolver)?;
    if let Some((proposal, state)) = author
        && let Some(decision) = decision(&ask, &answered)
    {
        proposal.tell(&settings.data, &state, decision, actor.name());
    }
    if !answered.good {
        say(answered.text.trim_end());
        return Ok(Exit::Failed);
    }
    print(&answered.text);
    if let Some(merged) = answered.merged.filter(|_| wait > 0) {
        follow(merged, &Names::default(), Duration::from_secs(wait), settings).await;
    }
    Ok(Exit::Ok)
}
