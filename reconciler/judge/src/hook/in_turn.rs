//! A push to the state repo itself, judged when it is its turn. Git moves `main` after that through the hook `proc-receive`, since what
//! lands may be another commit than the one that was pushed.

use std::os::unix::process::parent_id;

use berth_repo::{Landing, MAIN, Revision, StateRepo};
use berth_schema::name::UserName;
use berth_schema::policy::Actor;
use berth_schema::report::report;
use berth_schema::{Finding, Severity};

use super::combine::{Combined, Stale, combine};
use super::{Asker, HookError, Judgement, judge_seen};
use crate::line::{Line, NoTurn};
use crate::refusals;
use crate::update::Update;

/// The place of `main` in a push, once it is known where `main` is.
enum Placed {
    /// It moves from where it is.
    At(Update, Option<Combined>),
    Refused(Vec<Finding>),
}

/// Judges a push when it is its turn, and leaves word of where `main` goes if it is accepted.
pub fn judge(
    repo: &mut StateRepo,
    updates: &[Update],
    asker: Asker<'_>,
    line: Line,
) -> Result<Judgement, HookError> {
    // Before the turn: whoever waits for it may lose their git meanwhile, and has another parent then.
    let git = parent_id();
    let refused = |findings: &[Finding]| Judgement {
        accepted: false,
        text: report(findings, |_| None, asker.look) + "Refused; nothing was changed.\n",
    };
    let _turn = match line.to_main(repo.git_dir()) {
        Ok(turn) => turn,
        Err(crowded @ NoTurn::Crowded { .. }) => {
            return Ok(refused(&[Finding::new(Severity::Error, MAIN, None, crowded.in_words())]));
        }
        Err(NoTurn::Repo(source)) => {
            return Err(HookError::Read { path: repo.git_dir().to_owned(), source });
        }
    };
    if parent_id() != git {
        return Ok(refused(&[Finding::new(Severity::Error, MAIN, None, refusals::gone())]));
    }
    begin_to_look(updates, asker);
    let (mut placed, mut combined) = (Vec::with_capacity(updates.len()), None);
    for update in updates {
        if update.reference != MAIN {
            placed.push(update.clone());
            continue;
        }
        match place(repo, update, asker)? {
            Placed::At(update, merge) => {
                placed.push(update);
                combined = merge;
            }
            Placed::Refused(findings) => return Ok(refused(&findings)),
        }
    }
    let mut judgement = judge_seen(repo, &placed, asker, None)?;
    if !judgement.accepted {
        return Ok(judgement);
    }
    judgement.text.push_str(&combined.map(|combined| combined.told).unwrap_or_default());
    let moved = updates.iter().zip(&placed).find(|(update, _)| update.reference == MAIN);
    if let Some((Update { new: Some(pushed), .. }, Update { old, new: Some(tip), .. })) = moved {
        let landing = Landing { process: git, pushed: *pushed, base: *old, tip: *tip };
        let path = repo.git_dir().to_owned();
        landing.announce(&path).map_err(|source| HookError::Read { path, source })?;
    }
    Ok(judgement)
}

/// Begins to look at the engine where the plan will be wanted. Not before the turn: whoever waits would see it as it was.
pub(super) fn begin_to_look(updates: &[Update], asker: Asker<'_>) {
    if updates.iter().any(|update| update.reference == MAIN && update.new.is_some()) {
        asker.engine.begin();
    }
}

/// Finds from where `main` moves, and where to: what was pushed is merged with what came meanwhile.
fn place(repo: &mut StateRepo, update: &Update, asker: Asker<'_>) -> Result<Placed, HookError> {
    let path = repo.git_dir().to_owned();
    let failed = |source| HookError::Read { path: path.clone(), source };
    let main = repo.head().map_err(failed)?;
    if main == update.old {
        return Ok(Placed::At(update.clone(), None));
    }
    let moved = Placed::Refused(vec![Finding::new(Severity::Error, MAIN, None, refusals::moved_meanwhile())]);
    let (Some(main), Some(seen), Some(pushed)) = (main, update.old, update.new) else { return Ok(moved) };
    let built_on =
        |repo: &StateRepo, old: &Revision, new: &Revision| repo.is_ancestor(old, new).map_err(failed);
    if !built_on(repo, &seen, &main)? {
        return Ok(moved);
    }
    let at = |new| Update { old: Some(main), new: Some(new), ..update.clone() };
    // One that goes back is refused as such.
    if !built_on(repo, &seen, &pushed)? || built_on(repo, &main, &pushed)? {
        return Ok(Placed::At(at(pushed), None));
    }
    // It came in another way, as a proposal does.
    if built_on(repo, &pushed, &main)? {
        return Ok(Placed::At(at(main), None));
    }
    let user = asker.user.map(str::parse::<UserName>).transpose();
    // The judge refuses a name that is none.
    let Ok(user) = user else { return Ok(Placed::At(at(pushed), None)) };
    let actor = user.as_ref().map_or(Actor::Operator, Actor::Member);
    let room = repo.room().map_err(failed)?;
    Ok(match combine(&room.repo, repo, Stale { seen, main, pushed }, actor)? {
        Ok(combined) => {
            // Git keeps them if the push is accepted, and throws them away otherwise.
            room.keep_in(&repo.incoming()).map_err(failed)?;
            Placed::At(at(combined.merged), Some(combined))
        }
        Err(conflicts) => Placed::Refused(conflicts),
    })
}

/// Moves `main` for git, after a push to it was accepted. Returns why not, where that can't be.
pub fn land(repo: &StateRepo, update: &Update) -> Result<Result<(), String>, HookError> {
    let path = repo.git_dir().to_owned();
    let failed = |source| HookError::Read { path: path.clone(), source };
    let again = || Ok(Err("main has moved meanwhile; pull and push again".to_owned()));
    let landing = Landing::announced(&path).map_err(failed)?;
    let landed = match landing.filter(|landing| Some(landing.pushed) == update.new) {
        Some(landing) => {
            let landed = repo.land(&landing);
            landing.forget(&path).map_err(failed)?;
            landed
        }
        // Nobody judged it: an operator has moved the other hook away, and means it.
        None => repo.put_main(update.old.as_ref(), update.new.as_ref()),
    };
    match landed {
        Ok(()) => Ok(Ok(())),
        Err(berth_repo::Error::Moved { .. }) => again(),
        Err(source) => Err(failed(source)),
    }
}
