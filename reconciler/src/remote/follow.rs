//! One look at the forge: where its branch is, and whether `main` may follow.
//!
//! What is new is fetched into a room of its own, which knows the state repo's objects and is gone afterwards. So nothing of a
//! tip that is refused ever reaches the state repo, however large it is and whatever is in it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use berth_repo::{Revision, StateRepo};
use berth_schema::Finding;
use berth_schema::remote::Remote;

use super::folder::Folder;
use super::git::{FETCHED, Git, GitError};
use super::standing::Refusal;
use crate::hook::{HookError, judge_fetched};

/// As many findings of a refused tip are kept for show.
const SHOWN: usize = 10;

/// What a look came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Followed {
    /// `main` is where the forge's branch is.
    Same(Revision),
    /// `main` was moved.
    Moved { from: Revision, to: Revision },
    /// `main` stays where it is.
    Refused {
        refusal: Refusal,
        /// Whose fault it is, and whether the forge is told.
        fault: Fault,
        /// Whether the look before didn't say the same.
        new: bool,
    },
}

/// What is in the way of a tip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The tip itself.
    Tip,
    /// What `main` has here and the forge hasn't. The tip was good once.
    Main,
}

/// Why a look came to nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum FollowError {
    /// Git could not do its part.
    #[error(transparent)]
    Git(#[from] GitError),
    /// There is no such branch.
    #[error("{url} has no branch `{branch}`")]
    NoBranch { url: String, branch: String },
    /// The state repo, or what was fetched, can't be read or moved.
    #[error("follow the forge with {path}")]
    Repo {
        path: PathBuf,
        #[source]
        source: berth_repo::Error,
    },
    /// There is no room for what is fetched.
    #[error("make room for what is fetched, in {path}")]
    Room {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// What is new can't be judged.
    #[error("judge what is new on the forge")]
    Judge(#[from] HookError),
}

impl Followed {
    /// Where the forge's branch is.
    pub(super) fn tip(&self) -> String {
        match self {
            Self::Same(tip) | Self::Moved { to: tip, .. } => tip.to_string(),
            Self::Refused { refusal, .. } => refusal.revision.clone(),
        }
    }
}

/// Looks once. `before` is what the look before refused: the same tip over the same `main` isn't fetched again.
pub(super) async fn follow(
    repo: &mut StateRepo,
    git: &Git,
    remote: &Remote,
    folder: &Folder,
    before: Option<&Refusal>,
) -> Result<Followed, FollowError> {
    let git_dir = repo.git_dir().to_owned();
    let failed = |source| FollowError::Repo { path: git_dir.clone(), source };
    let no_branch =
        || FollowError::NoBranch { url: remote.url.to_string(), branch: remote.branch.to_string() };
    let tip = git.tip(remote).await?.ok_or_else(no_branch)?;
    let main = repo.head().map_err(failed)?;
    // Nothing is followed before `main` has said whom; it can't be deleted while it is watched, but by hand.
    let main =
        main.ok_or_else(|| failed(berth_repo::Error::Unknown { spec: berth_repo::MAIN.to_owned() }))?;
    if tip == main {
        return Ok(Followed::Same(tip));
    }
    let behind = is_known(repo, &tip)? && git.is_ancestor(&git_dir, &tip, &main).await?;
    let fault = if behind { Fault::Main } else { Fault::Tip };
    let same = |before: &&Refusal| before.revision == tip.to_string() && before.main == main.to_string();
    if let Some(refusal) = before.filter(same) {
        return Ok(Followed::Refused { refusal: refusal.clone(), fault, new: false });
    }
    if behind {
        let message = format!("main is at {} here, which the forge doesn't have", main.short());
        let hint =
            format!("push it there: `git push {} main:{}` in the state repo", remote.url, remote.branch);
        return Ok(refused(&tip, &main, vec![message], hint, fault));
    }

    let folder_failed = |source| FollowError::Room { path: folder.path().to_owned(), source };
    let room = folder.room().map_err(folder_failed)?;
    let path = room.path().join("repo.git");
    let mut fetched =
        StateRepo::init(&path).map_err(|source| FollowError::Repo { path: path.clone(), source })?;
    know_objects_of(&git_dir, &path).map_err(folder_failed)?;
    git.fetch(remote, &path).await?;
    let tip = fetched.resolve(FETCHED).map_err(|source| FollowError::Repo { path: path.clone(), source })?;
    if !git.is_ancestor(&path, &main, &tip).await? {
        let message =
            format!("{} isn't built on main ({}): history was rewritten", tip.short(), main.short());
        let hint = format!(
            "bring main's commits back on the forge; or, if it was meant, read what is lost and take the branch as it is \
             (docs/forge.md, \"History was rewritten\"); main here is {main}"
        );
        return Ok(refused(&tip, &main, vec![message], hint, Fault::Tip));
    }
    let findings = tokio::task::block_in_place(|| judge_fetched(&mut fetched, &main, &tip))?;
    if let Some(first) = findings.first() {
        let hint = first.hint.clone().unwrap_or_default();
        let why = findings.iter().take(SHOWN).map(Finding::to_string).collect();
        return Ok(refused(&tip, &main, why, hint, Fault::Tip));
    }
    git.adopt(&path, &git_dir).await?;
    repo.advance(&main, &tip, "berth: follow the forge").map_err(failed)?;
    Ok(Followed::Moved { from: main, to: tip })
}

fn refused(tip: &Revision, main: &Revision, why: Vec<String>, hint: String, fault: Fault) -> Followed {
    let refusal = Refusal { revision: tip.to_string(), main: main.to_string(), why, hint };
    Followed::Refused { refusal, fault, new: true }
}

/// Whether the state repo has this commit already.
fn is_known(repo: &StateRepo, tip: &Revision) -> Result<bool, FollowError> {
    match repo.resolve(&tip.to_string()) {
        Ok(_) => Ok(true),
        Err(berth_repo::Error::Unknown { .. }) => Ok(false),
        Err(source) => Err(FollowError::Repo { path: repo.git_dir().to_owned(), source }),
    }
}

/// Lets the repository `room` read the state repo's objects, so that only what is new is fetched.
fn know_objects_of(git_dir: &Path, room: &Path) -> io::Result<()> {
    let objects = fs::canonicalize(git_dir.join("objects"))?;
    let mut line = objects.into_os_string().into_encoded_bytes();
    line.push(b'\n');
    fs::write(room.join("objects/info/alternates"), line)
}
