//! Members' views: made ready for git, and pushes into them judged.
//!
//! A push into a view is judged as what it would be in the state repo, by the same judge as any other push. Git moves the
//! view's branches itself; the state repo's are moved here, before that.

use std::io;
use std::os::unix::process::parent_id;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use berth_host::process::Stopped;
use berth_repo::view::{Accepted, Merging, Move, Received, Tell, ViewError, Views};
use berth_repo::{MAIN, PROPOSALS, StateRepo};
use berth_schema::name::{Invalid, UserName};
use berth_schema::organisation::addressed;
use berth_schema::policy::Actor;
use berth_schema::report::{Look, report};
use berth_schema::{Finding, Severity};

use super::combine::{Combined, Stale, combine, in_the_way};
use super::in_turn::begin_to_look;
use super::install::install_into_view;
use super::{Asker, HookError, InstallError, Judgement, Seen, judge_seen};
use crate::line::{Line, NoTurn};
use crate::refusals;
use crate::update::Update;

/// The places of this host that views need.
#[derive(Debug, Clone)]
pub struct ViewSettings {
    /// The state repo.
    pub state: PathBuf,
    /// Berth's own data, where the hooks find the reconciler.
    pub data: PathBuf,
    /// The folder of the views.
    pub views: PathBuf,
}

/// A view that can't be made ready, or a push into one that can't be judged. It is refused then.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields' names say it")]
pub enum ViewHookError {
    /// The view itself.
    #[error(transparent)]
    View(#[from] ViewError),
    /// Its hooks.
    #[error(transparent)]
    Install(#[from] InstallError),
    /// The judge.
    #[error(transparent)]
    Judge(#[from] HookError),
    /// The state repo, where what was pushed is merged with `main`.
    #[error(transparent)]
    Repo(#[from] berth_repo::Error),
    /// A folder that the hooks need.
    #[error("cannot find {what}")]
    Find {
        what: &'static str,
        #[source]
        source: io::Error,
    },
}

/// Makes a member's view show what the state repo holds now, with hooks that judge what is pushed into it, and returns its
/// path: `git upload-pack` and `git receive-pack` may run on it. `program` is `berth`, which the hooks call.
pub fn prepare(settings: &ViewSettings, program: &Path, user: &UserName) -> Result<PathBuf, ViewHookError> {
    prepare_telling(settings, program, user, &|_| {})
}

/// Does the same, and tells how far it has come.
pub fn prepare_telling(
    settings: &ViewSettings,
    program: &Path,
    user: &UserName,
    tell: Tell<'_>,
) -> Result<PathBuf, ViewHookError> {
    with_hooks(settings, program, user, views(settings)?.prepare_telling(user, tell)?)
}

/// Makes a member's view ready for a push: it shows `main` as the member last saw it, so that git doesn't refuse what stands on that.
pub fn prepare_to_push(
    settings: &ViewSettings,
    program: &Path,
    user: &UserName,
) -> Result<PathBuf, ViewHookError> {
    prepare_to_push_telling(settings, program, user, &|_| {})
}

/// Does the same, and tells how far it has come.
pub fn prepare_to_push_telling(
    settings: &ViewSettings,
    program: &Path,
    user: &UserName,
    tell: Tell<'_>,
) -> Result<PathBuf, ViewHookError> {
    with_hooks(settings, program, user, views(settings)?.prepare_to_push_telling(user, tell)?)
}

fn with_hooks(
    settings: &ViewSettings,
    program: &Path,
    user: &UserName,
    path: PathBuf,
) -> Result<PathBuf, ViewHookError> {
    let find = |what| move |source| ViewHookError::Find { what, source };
    let state = std::path::absolute(&settings.state).map_err(find("the state repo"))?;
    let data = std::path::absolute(&settings.data).map_err(find("the data folder"))?;
    install_into_view(&path, program, &state, &data, user)?;
    Ok(path)
}

/// Puts together what pushes left in the state repo and in the views, until somebody drops the other half of `stopped`. Returns how many
/// repositories were packed.
pub fn tidy(settings: &ViewSettings, stopped: Stopped) -> Result<usize, ViewHookError> {
    Ok(views(settings)?.tidy(&Arc::new(stopped))?)
}

/// Judges a push into a member's view when it is its turn, and moves the state repo's branches if it is accepted. `quarantine` is
/// where git keeps the pushed objects.
pub fn judge(
    settings: &ViewSettings,
    updates: &[Update],
    quarantine: Option<&Path>,
    (user, asker): (&UserName, Asker<'_>),
    line: Line,
) -> Result<Judgement, ViewHookError> {
    // Before the turn: whoever waits for it may lose their git meanwhile, and has another parent then.
    let git = parent_id();
    let (look, asker) = (asker.look, Asker { user: Some(user.as_str()), ..asker });
    let others: Vec<Finding> = updates.iter().filter_map(not_a_branch).collect();
    if !others.is_empty() {
        return Ok(refused(&others, look));
    }
    let views = views(settings)?;
    if views.is_pushed_into(user) {
        line.say("Waiting: another push of yours is before this one.");
    }
    // Before the turn: nobody else waits for what somebody does in their own view.
    let entered = match views.enter(user, quarantine, line.patience()) {
        Ok(entered) => entered,
        Err(error @ (ViewError::Admin { .. } | ViewError::Stranger { .. })) => {
            let invalid = Invalid::new(error.to_string(), "clone again from where you cloned this");
            return Ok(refused(&[Finding::new(Severity::Error, MAIN, None, invalid)], look));
        }
        Err(error @ ViewError::Busy { .. }) => {
            let invalid = Invalid::new(error.to_string(), "push again when your other push is done");
            return Ok(refused(&[Finding::new(Severity::Error, "the push", None, invalid)], look));
        }
        Err(error @ ViewError::Changed { .. }) => {
            let invalid = Invalid::new(error.to_string(), "`git fetch`, rebase and push again");
            return Ok(refused(&[Finding::new(Severity::Error, "the push", None, invalid)], look));
        }
        Err(error) => return Err(error.into()),
    };
    let _turn = match line.to_main(StateRepo::open(&settings.state)?.git_dir()) {
        Ok(turn) => turn,
        Err(crowded @ NoTurn::Crowded { .. }) => {
            return Ok(refused(&[Finding::new(Severity::Error, MAIN, None, crowded.in_words())], look));
        }
        Err(NoTurn::Repo(error)) => return Err(error.into()),
    };
    if parent_id() != git {
        return Ok(refused(&[Finding::new(Severity::Error, MAIN, None, refusals::gone())], look));
    }
    begin_to_look(updates, asker);
    let mut received = entered.receive(&moves(updates))?;
    if !received.refused.is_empty() {
        return Ok(refused(&addressed_on(&settings.state, received.refused), look));
    }
    let mut repo = received.state_repo()?;
    let combined = match merged(&mut received, &mut repo, user)? {
        Ok(combined) => combined,
        Err(conflicts) => return Ok(refused(&conflicts, look)),
    };
    let seen = Seen::of(&received)
        .standing_for(combined.as_ref().map(|combined| (combined.merged, combined.pushed)));
    let real: Vec<Update> = received.moves.iter().map(update).collect();
    let judgement = judge_seen(&mut repo, &real, asker, Some(&seen))?;
    if !judgement.accepted {
        return Ok(judgement);
    }
    if !received.unclear.is_empty() {
        return Ok(refused(&received.unclear, look));
    }
    let told = combined.map(|combined| combined.told).unwrap_or_default();
    match received.accept(git)? {
        Accepted::Moved => Ok(Judgement { text: judgement.text + &told, ..judgement }),
        Accepted::Late(findings) => Ok(refused(&findings, look)),
    }
}

/// Merges what was pushed with `main`, where that has moved meanwhile; or says which files stand in the way.
fn merged(
    received: &mut Received,
    repo: &mut StateRepo,
    user: &UserName,
) -> Result<Result<Option<Combined>, Vec<Finding>>, ViewHookError> {
    let Some(Merging { seen, main, pushed, .. }) = received.merging else { return Ok(Ok(None)) };
    let room = received.room()?;
    let stale = Stale { seen, main, pushed };
    Ok(match combine(&room, repo, stale, Actor::Member(user))? {
        Ok(combined) => {
            received.merged_as(combined.merged);
            Ok(Some(combined))
        }
        Err(mut conflicts) => {
            conflicts.retain(|finding| !received.hides(&finding.path));
            if conflicts.is_empty() {
                conflicts.push(in_the_way(MAIN));
            }
            Err(conflicts)
        }
    })
}

/// Finds what an accepted push into a member's view moved in the state repo.
pub fn real(
    settings: &ViewSettings,
    user: &UserName,
    updates: &[Update],
) -> Result<Vec<Update>, ViewHookError> {
    Ok(views(settings)?.real(user, &moves(updates))?.iter().map(update).collect())
}

fn views(settings: &ViewSettings) -> Result<Views, ViewError> {
    Views::open(&settings.state, &settings.views)
}

fn not_a_branch(update: &Update) -> Option<Finding> {
    if update.reference == MAIN || update.reference.starts_with(PROPOSALS) {
        return None;
    }
    let invalid = refusals::not_a_branch(&update.reference, "`git push origin HEAD:main`");
    Some(Finding::new(Severity::Error, update.reference.as_str(), None, invalid))
}

fn refused(findings: &[Finding], look: Look) -> Judgement {
    let text = report(findings, |_| None, look) + "Refused; nothing was changed.\n";
    Judgement { accepted: false, text }
}

/// Names whom a member asks in the hints of findings that were made without a look at the organisation.
fn addressed_on(state: &Path, findings: Vec<Finding>) -> Vec<Finding> {
    // While no state is good, that is an admin.
    let good = StateRepo::open(state).and_then(|mut repo| match repo.head()? {
        Some(main) => Ok(repo.load(&main)?.state.ok()),
        None => Ok(None),
    });
    let good = good.ok().flatten();
    let contact = good.as_ref().and_then(|state| state.platform.organisation.contact());
    let named = |finding: Finding| {
        let hint = finding.hint.as_ref().map(|hint| addressed(hint, contact));
        Finding { hint, ..finding }
    };
    findings.into_iter().map(named).collect()
}

fn moves(updates: &[Update]) -> Vec<Move> {
    let of = |update: &Update| Move { reference: update.reference.clone(), old: update.old, new: update.new };
    updates.iter().map(of).collect()
}

fn update(moved: &Move) -> Update {
    Update { reference: moved.reference.clone(), old: moved.old, new: moved.new }
}
