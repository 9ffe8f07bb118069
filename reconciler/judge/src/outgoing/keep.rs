//! Marks of outgoing changes in the state repo, and how many there may be.

use std::time::Duration;

use berth_host::{FileLock, Owner, critical};
use berth_repo::{FORGE_WAY, Mark, OUTGOING, Revision, Signature, StateRepo};
use berth_schema::Kind;
use berth_schema::door::Topic;
use berth_schema::name::{Invalid, ServerId, UserName};
use berth_wire::web::PullState;
use serde::{Deserialize, Serialize};

use super::record::Record;
use super::{OutgoingError, failed};

/// Open changes of one member.
const OPEN_EACH: usize = 10;
/// Open changes of all together.
const OPEN_ALL: usize = 300;
/// Changes of one member that are over and kept, the newest.
const OVER_EACH: usize = 20;

/// Lock of whoever keeps another change, in the repository's folder.
const LOCK: &str = "berth-outgoing.lock";
/// Time to wait for it: it is held for some small files.
const PATIENCE: Duration = Duration::from_secs(30);

/// A change on its way to the forge, or there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// Its author.
    pub user: UserName,
    /// Its topic, the only one of that name among the author's.
    pub topic: Topic,
    /// Its commit.
    pub commit: Revision,
    /// Author's signature, with the time at which they asked for it.
    pub by: Signature,
    /// Everything else.
    pub record: Record,
}

/// The way to the forge, as `berth remote` found it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Way {
    /// Reason that nothing can be brought there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

impl Outgoing {
    /// Name of its mark.
    fn reference(&self) -> String {
        format!("{OUTGOING}{}/{}", self.user, self.topic)
    }

    fn mark(&self) -> Result<Mark, OutgoingError> {
        Ok(Mark { on: self.commit, by: self.by.clone(), message: toml::to_string(&self.record)? })
    }
}

/// Every outgoing change, the newest first. A ref whose name is none's is none.
pub fn all(repo: &StateRepo) -> Result<Vec<Outgoing>, OutgoingError> {
    let marks = repo.references(OUTGOING).map_err(|source| failed(repo, source))?;
    let mut found = Vec::new();
    for (name, commit) in marks {
        let Some((user, topic)) = name.split_once('/') else { continue };
        let (Ok(user), Ok(topic)) = (user.parse(), topic.parse()) else { continue };
        found.extend(read(repo, user, topic, commit)?);
    }
    found.sort_by(|one, other| other.by.seconds.cmp(&one.by.seconds).then(one.topic.cmp(&other.topic)));
    Ok(found)
}

/// One of somebody's.
pub fn find(repo: &StateRepo, user: &UserName, topic: &Topic) -> Result<Option<Outgoing>, OutgoingError> {
    let name = format!("{OUTGOING}{user}/{topic}");
    let commit = repo.find_reference(&name).map_err(|source| failed(repo, source))?;
    match commit {
        Some(commit) => read(repo, user.clone(), topic.clone(), commit),
        None => Ok(None),
    }
}

fn read(
    repo: &StateRepo,
    user: UserName,
    topic: Topic,
    commit: Revision,
) -> Result<Option<Outgoing>, OutgoingError> {
    let mark = repo.read_mark(&format!("{OUTGOING}{user}/{topic}"));
    let Some(mark) = mark.map_err(|source| failed(repo, source))? else { return Ok(None) };
    // Nobody can tell what it was to be, and it isn't lost by that.
    let broken = |error: toml::de::Error| Record {
        state: PullState::Failed,
        why: Some(format!("what is known of it can't be read: {}", error.message())),
        title: format!("{topic} ({})", commit.short()),
        ..Record::default()
    };
    let record = toml::from_str::<Record>(&mark.message).unwrap_or_else(broken);
    Ok(Some(Outgoing { user, topic, commit, by: mark.by, record }))
}

/// Writes down what became of a change. Whoever has taken it back meanwhile isn't overruled.
pub fn put(repo: &StateRepo, outgoing: &Outgoing) -> Result<(), OutgoingError> {
    let _turn = turn(repo)?;
    let mut record = outgoing.record.clone();
    let known = find(repo, &outgoing.user, &outgoing.topic)?;
    if known.is_some_and(|known| known.record.withdrawn) && !record.withdrawn {
        record.withdraw();
    }
    set(repo, &Outgoing { record, ..outgoing.clone() })
}

/// Takes a change back; returns it as it is then, or `None` where it is over or at the forge.
pub fn withdraw(repo: &StateRepo, user: &UserName, topic: &Topic) -> Result<Option<Outgoing>, OutgoingError> {
    let _turn = turn(repo)?;
    let Some(mut outgoing) = find(repo, user, topic)?.filter(|found| found.record.may_withdraw()) else {
        return Ok(None);
    };
    outgoing.record.withdraw();
    set(repo, &outgoing)?;
    Ok(Some(outgoing))
}

fn set(repo: &StateRepo, outgoing: &Outgoing) -> Result<(), OutgoingError> {
    let bounded = Outgoing { record: outgoing.record.clone().bounded(), ..outgoing.clone() };
    repo.set_mark(&bounded.reference(), &bounded.mark()?).map_err(|source| failed(repo, source))
}

/// End of an attempt to send a change.
pub(crate) enum Sent {
    /// It is on its way, by this topic.
    Kept(Topic),
    /// It may not go now, for this reason.
    Refused(Invalid),
    /// All of its topics are taken.
    Crowded,
}

/// Sends a change on its way, by the first of these topics that isn't taken. One after the other, so that no two that come at once
/// get past a limit, or have the same id for two servers.
pub(crate) fn send(
    repo: &StateRepo,
    outgoing: Outgoing,
    topics: impl Iterator<Item = Topic>,
    is_admin: bool,
    help: &str,
) -> Result<Sent, OutgoingError> {
    let _turn = turn(repo)?;
    if let Some(invalid) = enough(repo, &outgoing.user, is_admin, help)? {
        return Ok(Sent::Refused(invalid));
    }
    if let Some(taken) = taken(&promised(repo)?, &promises(repo, &outgoing.commit)?) {
        return Ok(Sent::Refused(taken));
    }
    drop_oldest(repo, &outgoing.user)?;
    let _section = critical::enter();
    for topic in topics {
        let branch = format!("berth/{}/{topic}", outgoing.user);
        let record = Record { branch, ..outgoing.record.clone() }.bounded();
        let named = Outgoing { topic, record, ..outgoing.clone() };
        if repo.new_mark(&named.reference(), &named.mark()?).map_err(|source| failed(repo, source))? {
            return Ok(Sent::Kept(named.topic));
        }
    }
    Ok(Sent::Crowded)
}

/// Waits until nobody else keeps a change, in this process or another.
fn turn(repo: &StateRepo) -> Result<FileLock, OutgoingError> {
    let path = repo.git_dir().join(LOCK);
    let error = |source| OutgoingError::Lock { path: path.clone(), source };
    // The file is the repository's owner's, whoever is first.
    let _acting = Owner::of(repo.git_dir()).and_then(Owner::act).map_err(error)?;
    FileLock::take(&path, PATIENCE).map_err(error)
}

/// Refuses the id of another new server's.
fn taken(promised: &[Promised], wanted: &[Promised]) -> Option<Invalid> {
    let is_same = |one: &&Promised| promised.iter().any(|other| other.id == one.id && other.path != one.path);
    wanted.iter().find(is_same).map(|one| {
        let message = format!("another new server that waits at the forge has the id {}", one.id.get());
        Invalid::new(message, "ask for it again: it gets another id then; or write another one")
    })
}

/// Drops the oldest changes of somebody that are over, beyond so many.
fn drop_oldest(repo: &StateRepo, user: &UserName) -> Result<(), OutgoingError> {
    let over = all(repo)?.into_iter().filter(|outgoing| outgoing.user == *user && !outgoing.record.is_open());
    // Room for the one that comes.
    for outgoing in over.skip(OVER_EACH - 1) {
        let gone = repo.remove_reference(&outgoing.reference(), &outgoing.commit);
        gone.map_err(|source| failed(repo, source))?;
    }
    Ok(())
}

/// Returns why somebody may send no other change; `None` where they may. Admins may have any number of their own.
pub(crate) fn enough(
    repo: &StateRepo,
    user: &UserName,
    is_admin: bool,
    help: &str,
) -> Result<Option<Invalid>, OutgoingError> {
    let open: Vec<Outgoing> = all(repo)?.into_iter().filter(|outgoing| outgoing.record.is_open()).collect();
    if open.len() >= OPEN_ALL {
        let message = format!("{OPEN_ALL} changes wait at the forge, and there may be no more");
        return Ok(Some(Invalid::new(
            message,
            format!(
                "ask {help} to decide some of them at the forge, or to take back those that have no number there (docs/forge.md, \
                 \"What members do\")"
            ),
        )));
    }
    let theirs = open.iter().filter(|outgoing| outgoing.user == *user).count();
    Ok((!is_admin && theirs >= OPEN_EACH).then(|| {
        Invalid::new(
            format!("you have {OPEN_EACH} changes waiting at the forge, and nobody may have more"),
            format!(
                "close a pull request there that you don't need, or ask {help} to decide one; take back one that has no number \
                 yet: on its page, or by `withdraw <topic>` over SSH"
            ),
        )
    }))
}

/// A new server of a change that isn't on `main` yet.
pub(crate) struct Promised {
    pub(crate) path: String,
    pub(crate) id: ServerId,
}

/// Lists the new servers of changes that wait, or that were merged at the forge and aren't on `main` yet.
pub(crate) fn promised(repo: &StateRepo) -> Result<Vec<Promised>, OutgoingError> {
    let comes =
        |record: &Record| record.is_open() || (record.state == PullState::Merged && record.landed.is_none());
    let mut found = Vec::new();
    for outgoing in all(repo)?.iter().filter(|outgoing| comes(&outgoing.record)) {
        found.extend(promises(repo, &outgoing.commit)?);
    }
    Ok(found)
}

/// Lists the new servers of a commit.
fn promises(repo: &StateRepo, commit: &Revision) -> Result<Vec<Promised>, OutgoingError> {
    let error = |source| failed(repo, source);
    let mut found = Vec::new();
    let info = repo.commit_info(commit).map_err(error)?;
    let Some(parent) = info.parents.first() else { return Ok(found) };
    for path in repo.changed(parent, commit).map_err(error)? {
        if Kind::of(&path) != Some(Kind::Server) || repo.read(parent, &path).map_err(error)?.is_some() {
            continue;
        }
        let text = repo.read(commit, &path).map_err(error)?.unwrap_or_default();
        let table = toml::from_str::<toml::Table>(&String::from_utf8_lossy(&text)).unwrap_or_default();
        let id = table.get("id").and_then(toml::Value::as_integer);
        let id = id.and_then(|id| u32::try_from(id).ok()?.try_into().ok()).map(ServerId);
        found.extend(id.map(|id| Promised { path, id }));
    }
    Ok(found)
}

/// Returns what `berth remote` found of the way to the forge; `None` where it never looked.
pub fn way(repo: &StateRepo) -> Result<Option<Way>, OutgoingError> {
    let mark = repo.read_mark(FORGE_WAY).map_err(|source| failed(repo, source))?;
    Ok(mark.and_then(|mark| toml::from_str(&mark.message).ok()))
}

/// Writes down what was found of the way to the forge, where that is news.
pub fn tell_way(repo: &StateRepo, found: &Way) -> Result<(), OutgoingError> {
    if way(repo)?.as_ref() == Some(found) {
        return Ok(());
    }
    let error = |source| failed(repo, source);
    let Some(on) = repo.head().map_err(error)? else { return Ok(()) };
    let by = Signature::now("Berth", "berth@localhost");
    repo.set_mark(FORGE_WAY, &Mark { on, by, message: toml::to_string(found)? }).map_err(error)
}
