//! The proposals that there are, and what is kept of each: a branch, and a mark that says who opened it and when.

use berth_host::critical;
use berth_repo::{Mark, Revision, Signature, StateRepo};
use berth_schema::door::Topic;
use berth_schema::name::{Invalid, UserName};

use super::ReviewError;
use crate::refusals;

/// Prefix of the branches.
pub const BRANCHES: &str = berth_repo::PROPOSALS;
/// Prefix of the marks that say who opened each, annotated tags: `git for-each-ref refs/berth/review`.
pub const OPEN: &str = berth_repo::OPENED;
/// Prefix of the tips of closed proposals, kept as annotated tags that say who closed them, when and why.
pub const CLOSED: &str = "refs/berth/closed/";

/// Proposals that a member may have open at once.
const OPEN_EACH: usize = 10;
/// Proposals that somebody took back themselves: so many of each person's are kept, the newest ones.
const TAKEN_BACK_EACH: usize = 20;
/// Reason with which those are kept.
pub(super) const TAKEN_BACK: &str = "its branch was deleted";

/// Seconds for which what was closed is kept at least: 180 days.
const CLOSED_KEPT: i64 = 180 * 24 * 3600;

/// A proposal that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// Its topic.
    pub topic: Topic,
    /// Its newest commit.
    pub tip: Revision,
    /// The user who opened it; `None` for whoever has the repository's files.
    pub author: Option<UserName>,
    /// When it was opened, in seconds since 1970; `None` when nothing is known of that.
    pub opened: Option<i64>,
}

/// The topic that a ref's full name stands for, or why it is no proposal's.
pub fn topic_of(reference: &str) -> Result<Topic, Invalid> {
    // Once alone: what is left of `review/refs/heads/review/x` is no topic.
    reference.strip_prefix(BRANCHES).unwrap_or_default().parse()
}

/// Every proposal, by topic. A branch whose name is no topic is none.
pub fn all(repo: &StateRepo) -> Result<Vec<Proposal>, ReviewError> {
    let branches = repo.references(BRANCHES).map_err(|source| failed(repo, source))?;
    let topics = branches.into_iter().filter_map(|(name, tip)| Some((name.parse::<Topic>().ok()?, tip)));
    topics.map(|(topic, tip)| read(repo, topic, tip)).collect()
}

/// The proposal of a topic.
pub fn find(repo: &StateRepo, topic: &Topic) -> Result<Option<Proposal>, ReviewError> {
    let tip = repo.find_reference(&format!("{BRANCHES}{topic}")).map_err(|source| failed(repo, source))?;
    tip.map(|tip| read(repo, topic.clone(), tip)).transpose()
}

fn read(repo: &StateRepo, topic: Topic, tip: Revision) -> Result<Proposal, ReviewError> {
    let mark = repo.read_mark(&format!("{OPEN}{topic}")).map_err(|source| failed(repo, source))?;
    let author = mark.as_ref().and_then(|mark| mark.by.name.parse().ok());
    Ok(Proposal { topic, tip, author, opened: mark.map(|mark| mark.by.seconds) })
}

/// Returns why somebody may open no other proposal; `None` where they may.
pub(crate) fn enough_open(
    repo: &StateRepo,
    author: &UserName,
    help: &str,
) -> Result<Option<Invalid>, ReviewError> {
    let theirs = all(repo)?.into_iter().filter(|proposal| proposal.author.as_ref() == Some(author));
    Ok((theirs.count() >= OPEN_EACH).then(|| refusals::enough_open(OPEN_EACH, help)))
}

/// Remembers who opened a proposal.
pub(super) fn open(
    repo: &StateRepo,
    topic: &Topic,
    tip: Revision,
    author: Signature,
) -> Result<(), ReviewError> {
    let mark = Mark { on: tip, by: author, message: format!("review/{topic} was opened\n") };
    repo.set_mark(&format!("{OPEN}{topic}"), &mark).map_err(|source| failed(repo, source))
}

/// Opens a proposal that isn't pushed but made here.
pub fn propose(repo: &StateRepo, topic: &Topic, tip: Revision, author: Signature) -> Result<(), ReviewError> {
    // A branch without its author would be nobody's.
    let _section = critical::enter();
    let made = repo.create_branch(&format!("review/{topic}"), &tip, "berth: proposed");
    made.map_err(|source| failed(repo, source))?;
    open(repo, topic, tip, author)
}

/// Keeps the tip of a proposal that ends without being merged, and says under which name.
pub(super) fn keep(
    repo: &StateRepo,
    topic: &Topic,
    tip: Revision,
    by: Signature,
    why: &str,
) -> Result<String, ReviewError> {
    let error = |source| failed(repo, source);
    let (mut last, now) = (0_u32, by.seconds);
    for (name, _) in repo.references(CLOSED).map_err(error)? {
        if let Some((of, number)) = name.rsplit_once('-')
            && of == topic.as_str()
        {
            last = last.max(number.parse().unwrap_or(0));
        }
        // What is older than the retention goes when something new comes, so that it needs no clock of its own.
        let reference = format!("{CLOSED}{name}");
        if let Some(mark) = repo.read_mark(&reference).map_err(error)?
            && mark.by.seconds.saturating_add(CLOSED_KEPT) < now
        {
            repo.remove_reference(&reference, &mark.on).map_err(error)?;
        }
    }
    let name = format!("{CLOSED}{topic}-{}", last.saturating_add(1));
    let who = by.name.clone();
    repo.set_mark(&name, &Mark { on: tip, by, message: format!("{}\n", why.trim()) }).map_err(error)?;
    if why == TAKEN_BACK {
        drop_oldest(repo, &who)?;
    }
    Ok(name)
}

/// Drops the oldest proposals that somebody took back, beyond so many.
fn drop_oldest(repo: &StateRepo, who: &str) -> Result<(), ReviewError> {
    let error = |source| failed(repo, source);
    let mut theirs = Vec::new();
    for (name, _) in repo.references(CLOSED).map_err(error)? {
        let reference = format!("{CLOSED}{name}");
        if let Some(mark) = repo.read_mark(&reference).map_err(error)?
            && mark.by.name == who
            && mark.message.trim() == TAKEN_BACK
        {
            theirs.push((mark.by.seconds, reference, mark.on));
        }
    }
    theirs.sort();
    for (_, reference, on) in theirs.iter().rev().skip(TAKEN_BACK_EACH) {
        repo.remove_reference(reference, on).map_err(error)?;
    }
    Ok(())
}

/// Takes a proposal's branch away if it is still where it was. What is known of it goes too.
pub(super) fn remove(repo: &StateRepo, topic: &Topic, tip: &Revision) -> Result<bool, ReviewError> {
    let _section = critical::enter();
    let gone =
        repo.remove_reference(&format!("{BRANCHES}{topic}"), tip).map_err(|source| failed(repo, source))?;
    if gone {
        forget(repo, topic)?;
    }
    Ok(gone)
}

/// Forgets who opened a proposal that is gone.
pub(super) fn forget(repo: &StateRepo, topic: &Topic) -> Result<(), ReviewError> {
    let error = |source| failed(repo, source);
    let name = format!("{OPEN}{topic}");
    if let Some(on) = repo.find_reference(&name).map_err(error)? {
        repo.remove_reference(&name, &on).map_err(error)?;
    }
    Ok(())
}

pub(super) fn failed(repo: &StateRepo, source: berth_repo::Error) -> ReviewError {
    ReviewError::Repo { path: repo.git_dir().to_owned(), source }
}
