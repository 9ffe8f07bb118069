//! Measuring what commits bring, before anybody reads them.

use git2::Repository;

use crate::bounds::{Budget, Excess, Stopped};
use crate::oid::oid;
use crate::tree::Trees;
use crate::{Error, Revision, StateRepo};

impl StateRepo {
    /// Counts what commits change, all together, and says what is over a bound. No file is read, and no tree twice in a row.
    pub fn excess(&self, commits: &[Revision]) -> Result<Option<Excess>, Error> {
        let trees = Trees::new(&self.repository);
        let mut budget = Budget::of_push();
        for commit in commits {
            match measure(&self.repository, &trees, commit, &mut budget) {
                Ok(()) => {}
                Err(Stopped::Excess(excess)) => return Ok(Some(excess)),
                Err(Stopped::Git(source)) => return Err(Error::ReadCommit { revision: *commit, source }),
            }
        }
        Ok(None)
    }
}

/// Pays for what a commit changes. A merge changes what differs from the parent that it is most like: the rest came with
/// commits that are counted themselves.
fn measure(
    repository: &Repository,
    trees: &Trees<'_>,
    commit: &Revision,
    budget: &mut Budget,
) -> Result<(), Stopped> {
    let commit = repository.find_commit(oid(commit))?;
    let after = commit.tree_id();
    if commit.parent_count() == 0 {
        return trees.pay(None, after, budget);
    }
    let mut best: Option<Budget> = None;
    let mut refused = None;
    for parent in commit.parents() {
        let mut left = budget.clone();
        match trees.pay(Some(parent.tree_id()), after, &mut left) {
            Ok(()) if best.as_ref().is_none_or(|best| best.paths < left.paths) => best = Some(left),
            Ok(()) => {}
            Err(Stopped::Excess(excess)) => refused = Some(excess),
            Err(error) => return Err(error),
        }
    }
    match (best, refused) {
        (Some(left), _) => *budget = left,
        (None, Some(excess)) => return Err(excess.into()),
        (None, None) => {}
    }
    Ok(())
}
