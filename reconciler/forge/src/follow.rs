//! One look at the forge: where its branch is, and whether `main` may follow.
//!
//! New commits are fetched into a room of their own, which knows the state repo's objects and is gone afterwards. So nothing
//! of a refused tip ever reaches the state repo, however large it is and whatever it holds.

use std::io;
use std::path::PathBuf;

use berth_fault::chain;
use berth_host::Owner;
use berth_judge::hook::{HookError, judge_fetched};
use berth_repo::{Revision, StateRepo};
use berth_schema::Finding;
use berth_schema::remote::{Remote, Transport};
use berth_wire::standing::Refusal;

use crate::folder::Folder;
use crate::git::{FETCHED, Git, GitError, Obstacle};

/// Findings of a refused tip that are kept for show, at most.
const SHOWN: usize = 10;

/// The outcome of a look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Followed {
    /// `main` is where the forge's branch is.
    Same(Revision),
    /// `main` was moved.
    Moved { from: Revision, to: Revision },
    /// `main` stays where it is.
    Refused {
        refusal: Refusal,
        /// The side whose fault it is; the forge is told of the tip's.
        fault: Fault,
        /// True if the look before didn't say the same.
        new: bool,
    },
}

/// The obstacle to following a tip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The tip itself.
    Tip,
    /// Commits that `main` has here and the forge hasn't. The tip was good once.
    Main,
}

/// A look that came to nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LookError {
    /// Git could not do its part.
    #[error(transparent)]
    Git(#[from] GitError),
    /// Git doesn't get in, or not there, and what to do about it.
    #[error("{advice}")]
    Advised {
        advice: String,
        /// Git's own words, where they help.
        #[source]
        source: Option<GitError>,
    },
    /// There is no such branch.
    #[error(
        "{url} has no branch `{branch}`, or answers with something else than a repository, such as a page to sign in"
    )]
    NoBranch { url: String, branch: String },
    /// The state repo, or what was fetched, can't be read or moved.
    #[error("cannot follow the forge with {path}")]
    Repo {
        path: PathBuf,
        #[source]
        source: berth_repo::Error,
    },
    /// There is no room for what is fetched.
    #[error("cannot make room for what is fetched, in {path}")]
    Room {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The fetched objects can't be given to the owner of the state repo.
    #[error("cannot give what was fetched to the owner of {path}")]
    Owner {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The new commits can't be judged.
    #[error("cannot judge what is new on the forge")]
    Judge(#[from] HookError),
}

impl Followed {
    /// Returns the tip of the forge's branch.
    pub(crate) fn tip(&self) -> Revision {
        match self {
            Self::Same(tip) | Self::Moved { to: tip, .. } => *tip,
            Self::Refused { refusal, .. } => refusal.revision,
        }
    }
}

/// Looks once. `before` is what the look before refused: the same tip over the same `main` isn't fetched again.
pub(crate) async fn follow(
    repo: &mut StateRepo,
    git: &Git,
    remote: &Remote,
    folder: &Folder,
    before: Option<&Refusal>,
) -> Result<Followed, LookError> {
    let git_dir = repo.git_dir().to_owned();
    let failed = |source| LookError::Repo { path: git_dir.clone(), source };
    let no_branch = || LookError::NoBranch { url: remote.url.to_string(), branch: remote.branch.to_string() };
    let tip = git.tip(remote).await.map_err(|error| advised(remote, error))?.ok_or_else(no_branch)?;
    let main = repo.head().map_err(failed)?;
    // Nothing is followed before `main` has said whom; it can't be deleted while it is watched, but by hand.
    let main =
        main.ok_or_else(|| failed(berth_repo::Error::Unknown { spec: berth_repo::MAIN.to_owned() }))?;
    if tip == main {
        return Ok(Followed::Same(tip));
    }
    let behind = is_known(repo, &tip)? && repo.is_ancestor(&tip, &main).map_err(failed)?;
    let fault = if behind { Fault::Main } else { Fault::Tip };
    let same = |before: &&Refusal| before.revision == tip && before.main == main;
    if let Some(refusal) = before.filter(same) {
        return Ok(Followed::Refused { refusal: refusal.clone(), fault, new: false });
    }
    if behind {
        let message = format!("main is at {} here, which the forge doesn't have", main.short());
        let hint =
            format!("push it there: `git push {} main:{}` in the state repo", remote.url, remote.branch);
        return Ok(refused(&tip, &main, vec![message], hint, fault));
    }

    let folder_failed = |source| LookError::Room { path: folder.path().to_owned(), source };
    let room = folder.room().map_err(folder_failed)?;
    let path = room.path().join("repo.git");
    // Only what is new is fetched.
    let mut fetched = repo.beside(&path).map_err(failed)?;
    git.fetch(remote, &path).await.map_err(|error| advised(remote, error))?;
    let tip = fetched.resolve(FETCHED).map_err(|source| LookError::Repo { path: path.clone(), source })?;
    let grows = fetched.is_ancestor(&main, &tip);
    if !grows.map_err(|source| LookError::Repo { path: path.clone(), source })? {
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
    // Git wrote as whoever this process is.
    let mended = Owner::of(&git_dir).and_then(|owner| owner.mend(&git_dir));
    mended.map_err(|source| LookError::Owner { path: git_dir.clone(), source })?;
    repo.advance(&main, &tip, "berth: follow the forge").map_err(failed)?;
    Ok(Followed::Moved { from: main, to: tip })
}

/// Adds what an operator does about it, where git's words are about a terminal or about nothing at all.
fn advised(remote: &Remote, error: GitError) -> LookError {
    let (url, token, key) = (&remote.url, &remote.token, &remote.deploy_key);
    let advice = match (error.obstacle(remote, remote.branch.as_str()), remote.url.transport()) {
        (Obstacle::Moved, _) => format!(
            "{url} is elsewhere now: set `remote.url` (docs/forge.md, \"The repository was renamed\")"
        ),
        (Obstacle::Right, Transport::Https) => format!(
            "{url} doesn't let Berth in: the secret `{token}` is missing, wrong, expired or without the right to read \
             (`berth secret set {token}` stores another one)"
        ),
        (Obstacle::Right, Transport::Ssh) => {
            format!("{url} doesn't let Berth in: does the forge know the deploy key `{key}`?")
        }
        _ => return error.into(),
    };
    // Nobody here has a terminal.
    let is_about_a_terminal = chain(&error).contains("could not read Username");
    LookError::Advised { advice, source: (!is_about_a_terminal).then_some(error) }
}

fn refused(tip: &Revision, main: &Revision, why: Vec<String>, hint: String, fault: Fault) -> Followed {
    let refusal = Refusal { revision: *tip, main: *main, why, hint };
    Followed::Refused { refusal, fault, new: true }
}

/// Checks that the state repo has this commit already.
fn is_known(repo: &StateRepo, tip: &Revision) -> Result<bool, LookError> {
    match repo.resolve(&tip.to_string()) {
        Ok(_) => Ok(true),
        Err(berth_repo::Error::Unknown { .. }) => Ok(false),
        Err(source) => Err(LookError::Repo { path: repo.git_dir().to_owned(), source }),
    }
}
