//! A revert: what a revision changed is taken back, by a commit of the person's own.

use berth_repo::{Combined, Error, Revision, Signature, Words};
use berth_schema::name::{Invalid, UserName};
use berth_wire::web::Planned;

use super::drafted::Settled;
use super::error::FormError;
use super::ground::Ground;
use super::judged::{Tried, judge, message, sealed, settled};
use super::send::{Goes, way};
use super::tell::error_at;

/// Parts of the commit.
pub(super) struct Ready {
    summary: String,
    pub(super) by: Signature,
    pub(super) goes: Goes,
}

/// Plans it. There is nothing to commit where it can't be judged.
pub(super) fn look(ground: &Ground<'_>, revision: &Revision) -> Result<(Planned, Option<Ready>), FormError> {
    let failed = |source| ground.failed(source);
    let unknown = || FormError::NotFound { what: format!("revision {} on main", revision.short()) };
    let end = |settled_as: Settled| Ok((sealed(revision, settled(settled_as))?, None));
    let goes = match way(ground)? {
        Ok((_, goes)) => goes,
        // A revert may mend a state that isn't good.
        Err(_) if ground.state.is_none() => Goes::ToMain,
        Err(invalid) => return end(Settled::refused(vec![error_at(None, &invalid)])),
    };
    if !ground.repo.is_ancestor(revision, &ground.main).map_err(|_| unknown())? {
        return Err(unknown());
    }
    let info = ground.repo.commit_info(revision).map_err(failed)?;
    if info.parents.is_empty() {
        let why = format!("{} is the first commit of all", revision.short());
        let invalid = Invalid::new(why, "taking it back would leave nothing: change what is wrong");
        return end(Settled::refused(vec![error_at(None, &invalid)]));
    }
    let summary = format!("Revert \"{}\"", berth_schema::text::safe(&info.summary));
    let by = ground.signature();
    let text = message(ground.author.via, &summary, &body(revision), None);
    let words = Words { author: &by, committer: &by, message: &text };
    let scratch = ground.repo.scratch().map_err(failed)?;
    let new = match scratch.repo.revert(revision, &ground.main, &words).map_err(failed)? {
        Combined::Clean(new) => new,
        Combined::Conflicts(files) => {
            let message = format!(
                "{} can't be taken back by itself: later revisions changed {} as well",
                revision.short(),
                files.join(", ")
            );
            let hint = format!("change {} by hand", if files.len() == 1 { "it" } else { "them" });
            let findings = vec![error_at(None, &Invalid::new(message, hint))];
            return end(Settled::conflict(Vec::new(), findings));
        }
    };
    if scratch.repo.changed(&ground.main, &new).map_err(failed)?.is_empty() {
        return end(Settled::nothing());
    }
    let planned = judge(ground, Tried { scratch, new, own: None, summary: summary.clone() })?;
    Ok((sealed(revision, planned)?, Some(Ready { summary, by, goes })))
}

/// Makes it the tip of `main`; `None` when that moved. `knows` is the person who knows what they lose by it.
pub(super) fn make(
    ground: &Ground<'_>,
    revision: &Revision,
    ready: &Ready,
    knows: Option<&UserName>,
) -> Result<Option<Revision>, FormError> {
    let Some(new) = taken_back(ground, revision, ready, knows)? else { return Ok(None) };
    match ground.repo.advance(&ground.main, &new, &format!("berth revert: {}", revision.short())) {
        Ok(()) => Ok(Some(new)),
        Err(Error::Moved { .. }) => Ok(None),
        Err(source) => Err(ground.failed(source)),
    }
}

/// Writes the commit, which nothing leads to yet; `None` where `main` moved into its way.
pub(super) fn taken_back(
    ground: &Ground<'_>,
    revision: &Revision,
    Ready { summary, by, .. }: &Ready,
    knows: Option<&UserName>,
) -> Result<Option<Revision>, FormError> {
    let text = message(ground.author.via, summary, &body(revision), knows);
    let words = Words { author: by, committer: by, message: &text };
    // The scratch repository took the same back a moment ago.
    match ground.repo.revert(revision, &ground.main, &words).map_err(|source| ground.failed(source))? {
        Combined::Clean(new) => Ok(Some(new)),
        Combined::Conflicts(_) => Ok(None),
    }
}

fn body(revision: &Revision) -> String {
    format!("This reverts commit {revision}.\n\n")
}
