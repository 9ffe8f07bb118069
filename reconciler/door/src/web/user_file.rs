//! The commits that the door makes itself to somebody's file: a password, a passkey, a second factor. They are made in the name of
//! whoever asked, once they have proved who they are, and judged as a push of theirs is.

use berth_judge::case::{Allowed, Asked, Case};
use berth_judge::form::{DOOR, Via};
use berth_judge::proofs::Proven;
use berth_judge::review::signature;
use berth_judge::{Line, NoTurn, set_there};
use berth_repo::{Edit, Error, Revision, StateRepo, Turn, Words};
use berth_schema::State;
use berth_schema::edit::{self, UserEdit};
use berth_schema::name::UserName;
use berth_schema::policy::{ALLOW_LOCKOUT, Actor, Verdict};
use berth_schema::text::capital;
use berth_schema::user::User;
use berth_wire::web::{Refusal, Why};

use super::panel::Panel;
use super::refusals::{forbidden, no_good_state, unavailable};
use super::secret::Digest;

/// Attempts at the commit. Each one after the first means that somebody moved `main` meanwhile without a turn.
const ATTEMPTS: usize = 5;

/// A commit to somebody's file.
pub(crate) struct Writing<'a> {
    /// Person whose file it is.
    pub(crate) of: &'a UserName,
    /// Person who makes it.
    pub(crate) by: &'a UserName,
    /// Way in which it comes.
    pub(crate) via: Via,
    /// Digest of the standing that the file gives them, without which nothing is written.
    pub(crate) standing: Digest,
    /// Rest of the commit's first line, after the name.
    pub(crate) summary: &'a str,
    /// Set if they know what they lose by it ([`ALLOW_LOCKOUT`]).
    pub(crate) knows: bool,
    /// The change, given what the file says on `main`.
    pub(crate) edits: &'a dyn Fn(&User) -> Vec<UserEdit>,
}

/// A file that wasn't written.
pub(crate) enum NotSet {
    /// The person's standing isn't any more what it was, or they are gone.
    Changed,
    /// The change is refused, for this reason.
    Refused(Refusal),
}

impl NotSet {
    /// The refusal, or this one where the person's standing has changed.
    pub(crate) fn or(self, changed: fn() -> Refusal) -> Refusal {
        match self {
            Self::Changed => changed(),
            Self::Refused(refusal) => refusal,
        }
    }
}

impl From<Refusal> for NotSet {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// Writes somebody's file, if their standing on `main` is still what it was.
pub(crate) fn put(panel: &Panel, writing: &Writing<'_>) -> Result<(), NotSet> {
    let _turn = panel.writing.lock();
    let _acting = panel.act()?;
    let mut repo = panel.repo()?;
    let _to_main = to_main(&repo)?;
    for _ in 0..ATTEMPTS {
        match attempt(&mut repo, writing)? {
            Attempted::Done => return Ok(()),
            Attempted::Moved => {}
        }
    }
    Err(NotSet::Refused(unavailable(&Crowded)))
}

/// Waits for the turn to move `main`.
pub(crate) fn to_main(repo: &StateRepo) -> Result<Turn, Refusal> {
    Line::silent().to_main(repo.git_dir()).map_err(|error| match error {
        NoTurn::Crowded { .. } => {
            let invalid = error.in_words();
            Refusal {
                why: Why::Unavailable,
                message: capital(&invalid.message) + ".",
                hint: Some(capital(&invalid.hint) + "."),
            }
        }
        NoTurn::Repo(_) => unavailable(&error),
    })
}

/// Refuses where a forge hosts the state repo: a commit that is made here would part the two.
pub(crate) fn set_here(state: &State, name: &UserName, field: &str) -> Result<(), Refusal> {
    let Some(remote) = &state.platform.remote else { return Ok(()) };
    let invalid = set_there(remote, name, field, "{help}");
    Err(forbidden(invalid.message, invalid.hint))
}

/// `main` moves too fast.
#[derive(Debug, thiserror::Error)]
#[error("main moves too fast to commit to it")]
struct Crowded;

enum Attempted {
    Done,
    /// Another commit was first.
    Moved,
}

fn attempt(repo: &mut StateRepo, writing: &Writing<'_>) -> Result<Attempted, NotSet> {
    let Writing { of: name, by: author, via, standing, summary, knows, edits } = *writing;
    let failed = |error: Error| NotSet::Refused(unavailable(&error));
    let main = repo.head().map_err(failed)?.ok_or_else(no_good_state)?;
    let before = repo.load(&main).map_err(failed)?.state.map_err(|_| no_good_state())?;
    set_here(&before, name, "password_hash")?;
    let user = before.users.get(name).filter(|user| Digest::of_standing(user) == standing);
    let Some(user) = user else { return Err(NotSet::Changed) };
    let path = format!("users/{name}.toml");
    let text = repo.read(&main, &path).map_err(failed)?.and_then(|bytes| String::from_utf8(bytes).ok());
    let was = text.unwrap_or_default();
    let text = edit::user(name, &was, &edits(user)).map_err(|error| unavailable(&error))?;
    if text == was {
        return Ok(Attempted::Done);
    }
    let by = signature(Actor::Member(author), Some(&before));
    let knows = if knows { format!("{ALLOW_LOCKOUT}: {author}\n") } else { String::new() };
    let message = format!("{name}: {summary}\n\n{DOOR}: {}\n{knows}", via.word());
    let words = Words { author: &by, committer: &by, message: &message };
    // No ref leads to it yet; git clears it away if none ever does.
    let new = repo.write(Some(&main), &[Edit::write(&path, text)], &words).map_err(failed)?;
    let after = repo.load(&new).map_err(failed)?.state.map_err(|_| no_good_state())?;
    judge(repo, (main, &before), (new, &after), author, path)?;
    match repo.advance(&main, &new, &format!("berth panel: {author}")) {
        Ok(()) => Ok(Attempted::Done),
        Err(Error::Moved { .. }) => Ok(Attempted::Moved),
        Err(error) => Err(failed(error)),
    }
}

/// Asks the policy, as for a push to `main` of the member's own.
fn judge(
    repo: &StateRepo,
    (main, before): (Revision, &State),
    (new, after): (Revision, &State),
    name: &UserName,
    path: String,
) -> Result<(), Refusal> {
    let allowed = Allowed::by(repo, &new).map_err(|error| unavailable(&error))?;
    let asked = Asked {
        actor: Actor::Member(name),
        repo,
        main,
        old: main,
        new,
        before,
        after,
        proven: &Proven::default(),
        allowed: &allowed,
        from: None,
    };
    let case = Case::gather(asked, vec![path]).map_err(|error| unavailable(&error))?;
    match case.judge_confirmed() {
        Verdict::Allow => Ok(()),
        verdict => {
            let finding = verdict.findings().first();
            let why = finding.map(|finding| finding.message.clone()).unwrap_or_default();
            Err(forbidden(format!("That may not be changed: {why}."), "Ask {help}."))
        }
    }
}
