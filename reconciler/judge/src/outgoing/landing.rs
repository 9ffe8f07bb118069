//! The landing of an outgoing change: its presence on `main`, however it came there.

use berth_repo::{Combined, Error, Revision, Signature, StateRepo, Words};
use berth_wire::web::PullState;

use super::keep::Outgoing;
use super::{OutgoingError, failed};

/// Revisions of `main` that are looked through for the one that brought a change.
const LOOKED_BACK: usize = 200;

/// Presence of a change on `main`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Landing {
    /// `main` leads to the change's commit, or to the one that the forge says it was merged by. This revision of `main` brought it.
    Commit(Revision),
    /// The change would change nothing any more: `main` has all of it by other commits, as after a rebase.
    Content,
    /// `main` doesn't have it.
    Not,
}

/// Looks for a change on `main`, whose tip is given.
pub fn landing(repo: &StateRepo, main: &Revision, outgoing: &Outgoing) -> Result<Landing, OutgoingError> {
    let error = |source| failed(repo, source);
    for commit in [Some(outgoing.commit), outgoing.record.merged_as].into_iter().flatten() {
        match repo.is_ancestor(&commit, main) {
            Ok(true) => return Ok(Landing::Commit(brought_by(repo, main, &commit).map_err(error)?)),
            Ok(false) => {}
            // The forge's commit isn't here before `main` is.
            Err(_) if commit != outgoing.commit => {}
            Err(source) => return Err(error(source)),
        }
    }
    // Somebody said no to it. Whoever writes the same again later makes another change.
    if outgoing.record.state == PullState::Closed {
        return Ok(Landing::Not);
    }
    let scratch = repo.scratch().map_err(error)?;
    let nobody = Signature::at("Berth", "berth@localhost", 0);
    let words = Words { author: &nobody, committer: &nobody, message: "a merge to look at\n" };
    match scratch.repo.merge(main, &outgoing.commit, &words) {
        Ok(Combined::Clean(merged)) => {
            let left = scratch.repo.changed(main, &merged).map_err(error)?;
            Ok(if left.is_empty() { Landing::Content } else { Landing::Not })
        }
        Ok(Combined::Conflicts(_)) | Err(Error::Combine { .. }) => Ok(Landing::Not),
        Err(source) => Err(error(source)),
    }
}

/// Finds the revision of `main`, by first parents, that brought a commit.
fn brought_by(repo: &StateRepo, main: &Revision, commit: &Revision) -> Result<Revision, Error> {
    let mut at = *main;
    for _ in 0..LOOKED_BACK {
        let Some(parent) = repo.commit_info(&at)?.parents.first().copied() else { break };
        if at == *commit || !repo.is_ancestor(commit, &parent)? {
            break;
        }
        at = parent;
    }
    Ok(at)
}
