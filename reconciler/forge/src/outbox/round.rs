//! One round: each change that is due takes its next step.

use berth_judge::outgoing::{
    Landing, Outgoing, OutgoingError, Record, Still, TOO_LATE, landing, still_allowed,
};
use berth_repo::Revision;
use berth_schema::remote::Remote;
use berth_wire::web::PullState;

use super::due::{Due, Dues};
use super::{Looked, Outbox};
use crate::api::Api;
use crate::exchange::Trouble;
use crate::git::{GitError, Obstacle};
use crate::letter;
use crate::pulls::{At, Pull, Wanted};
use crate::waits::Outlook;

/// Looks for a merged change on `main` within which nothing else is merged: some minutes.
const PATIENCE: u32 = 8;

/// A step that wasn't finished.
enum Broken {
    Trouble(Trouble),
    /// The forge doesn't show the pull request.
    Unseen(Trouble),
    Repo(OutgoingError),
}

/// State of a round, as one change after the other finds it.
struct Turn {
    main: Revision,
    platform: String,
    /// Changes that something may still happen to.
    open: usize,
    /// Set until one is merged in this round.
    may_merge: bool,
}

impl From<Trouble> for Broken {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

impl From<OutgoingError> for Broken {
    fn from(error: OutgoingError) -> Self {
        Self::Repo(error)
    }
}

impl Outbox {
    /// Lets each change that is due take its next step.
    pub(super) async fn round(
        &self,
        api: &Api,
        dues: &mut Dues,
        looked: &mut Option<Looked>,
    ) -> Result<(), OutgoingError> {
        let Some(seen) = self.look(looked)? else { return Ok(()) };
        dues.keep(&seen.changes.iter().map(name).collect::<Vec<_>>());
        let open = seen.changes.iter().filter(|change| change.record.is_open()).count();
        // What is merged next is judged on top of what was merged before, so that has to be here.
        let may_merge = seen.is_current
            && self.is_up_to_date(&seen.main)
            && !seen.changes.iter().any(|change| {
                change.record.state == PullState::Merged && dues.of(&name(change)).wait.attempts < PATIENCE
            });
        let mut turn = Turn { main: seen.main, platform: seen.platform, open, may_merge };
        let mut changes = seen.changes;
        dues.sort(&mut changes, name);
        for change in changes {
            // The others go on.
            if let Err(error) = self.turn(api, dues, &mut turn, change.clone()).await {
                let (change, error) = (name(&change), berth_fault::chain(&error));
                tracing::warn!(change, error, "a change on its way to the forge can't be looked at");
            }
        }
        Ok(())
    }

    /// Lets one change take its next step, if it is due.
    async fn turn(
        &self,
        api: &Api,
        dues: &mut Dues,
        turn: &mut Turn,
        mut change: Outgoing,
    ) -> Result<(), OutgoingError> {
        let name = name(&change);
        let mut due = dues.of(&name);
        let has_moved = due.main.map_or_else(|| due.wait.is_over(), |known| known != turn.main);
        // Its waits hold until it is a pull request.
        let may_merge = self.merges(&change) && change.record.number.is_some();
        let merges = turn.may_merge && may_merge;
        // Whatever else `main` got doesn't change what the forge says.
        let is_asked = due.wait.is_over() || (merges && (has_moved || due.is_passed_over));
        if !is_asked && !has_moved {
            return Ok(());
        }
        let before = change.clone();
        self.move_with_the_forge(&mut change);
        if has_moved {
            let found = self.find_on_main(&mut change, &turn.main);
            due.main = found.is_ok().then_some(turn.main);
            if let Err(error) = found {
                due.wait.lagged();
                dues.set(&name, due);
                return Err(error);
            }
        }
        due.is_passed_over |= may_merge && !turn.may_merge;
        let is_over = change.record.landed.is_some() || change.record.state.is_over();
        let worked = match is_over {
            true => {
                due.is_passed_over = false;
                let is_asked = is_asked && is_doubtful(&change.record, &due) && dues.pause.is_over();
                Some(if is_asked { self.look_again(api, &mut change).await } else { Ok(()) })
            }
            false if is_asked && dues.pause.is_over() => {
                Some(self.step(api, &mut change, &mut due, turn).await)
            }
            // It stays due, also one that isn't but for `main`, which won't move again.
            false => {
                due.is_passed_over |= merges;
                None
            }
        };
        if change.record.state == PullState::Merged && before.record.state != PullState::Merged {
            turn.may_merge = false;
            // `main` may have followed before the forge said so: it is looked for once more.
            due.main = None;
        }
        let mut broken = None;
        if let Some(worked) = worked {
            if !is_over && worked.is_ok() {
                dues.pause.answered();
            }
            broken = self.settle(&mut change, &mut due, worked, dues, turn.open).err();
        }
        dues.set(&name, due);
        if change != before {
            tracing::info!(
                change = name,
                state = change.record.state.word(),
                why = change.record.why,
                "a change on its way to the forge"
            );
            self.put(&change)?;
        }
        broken.map_or(Ok(()), Err)
    }

    /// Writes down how a step ended, and when the next one is due.
    fn settle(
        &self,
        change: &mut Outgoing,
        due: &mut Due,
        worked: Result<(), Broken>,
        dues: &mut Dues,
        open: usize,
    ) -> Result<(), OutgoingError> {
        let record = &mut change.record;
        match worked {
            Ok(()) if record.state == PullState::Merged && record.landed.is_none() => {
                // `main` follows once it is looked at; the forge's git may be behind its API.
                due.wait.lagged();
                self.bell.ring();
            }
            Ok(()) => due.settled(self.remote.poll.duration(), open),
            Err(Broken::Repo(error)) => {
                due.wait.lagged();
                return Err(error);
            }
            Err(Broken::Trouble(trouble)) => {
                let outlook = due.wait.failed(&trouble, &mut dues.pause);
                if outlook == Outlook::NeedsSomebody && record.number.is_none() {
                    record.state = PullState::Failed;
                }
                record.why = Some(trouble.to_string());
            }
            Err(Broken::Unseen(trouble)) => {
                let outlook = due.wait.failed(&trouble, &mut dues.pause);
                // Somebody has deleted it, for instance. Its author may take it back then, and it takes up no place any more.
                if outlook == Outlook::NeedsSomebody && matches!(trouble, Trouble::Lagging(_)) {
                    record.state = PullState::Failed;
                }
                record.why = Some(format!("the forge doesn't show its pull request: {trouble}"));
            }
        }
        Ok(())
    }

    /// Lets a change begin anew where the state repo is at another forge by now: a number means another pull request there. One that is
    /// open there for the change's branch, after a repository was renamed, is found again.
    fn move_with_the_forge(&self, change: &mut Outgoing) {
        let url = self.remote.url.to_string();
        let record = &mut change.record;
        if record.forge == url || !record.is_open() {
            return;
        }
        (record.forge, record.number, record.url, record.state) = (url, None, None, PullState::Waiting);
    }

    /// Returns whether `main` is where the forge's branch was when it was looked at last.
    fn is_up_to_date(&self, main: &Revision) -> bool {
        let standing = self.folder.standing();
        standing.tip == Some(*main) && standing.trouble.is_none()
    }

    /// Looks for a change on `main`.
    fn find_on_main(&self, change: &mut Outgoing, main: &Revision) -> Result<(), OutgoingError> {
        let found = self.with(|repo| landing(repo, main, change))?;
        let record = &mut change.record;
        match (found, record.state) {
            (Landing::Commit(commit), _) => {
                (record.state, record.landed, record.why) = (PullState::Merged, Some(commit), None);
            }
            // Merged by a commit of the forge's that nobody named: a squash, or a rebase.
            (Landing::Content, PullState::Merged) => (record.landed, record.why) = (Some(*main), None),
            // It never was there, so nobody can have merged it there.
            (Landing::Content, PullState::Waiting | PullState::Failed) if record.number.is_none() => {
                record.state = PullState::Superseded;
                (record.landed, record.why) = (Some(*main), None);
            }
            (Landing::Content | Landing::Not, _) => {}
        }
        Ok(())
    }

    /// Takes the next step of a change.
    async fn step(
        &self,
        api: &Api,
        change: &mut Outgoing,
        due: &mut Due,
        turn: &mut Turn,
    ) -> Result<(), Broken> {
        let pull = match change.record.number {
            None => {
                self.bring(change).await?;
                let (title, text) =
                    (letter::title(change), letter::text(change, &turn.platform, self.merges(change)));
                let target = self.remote.branch.to_string();
                let wanted =
                    Wanted { title: &title, text: &text, branch: &change.record.branch, target: &target };
                api.open_pull(&wanted).await?
            }
            Some(number) => api.pull(number).await.map_err(Broken::Unseen)?,
        };
        self.take(change, &pull)?;
        due.is_passed_over = pull.at == At::Open && self.merges(change) && !turn.may_merge;
        if pull.at == At::Open && self.merges(change) && turn.may_merge {
            self.merge(api, change, pull.number, turn).await?;
        }
        Ok(())
    }

    /// Looks again at a pull request that was merged, as the forge said, and isn't on `main`: by which commit that was, or whether it was.
    async fn look_again(&self, api: &Api, change: &mut Outgoing) -> Result<(), Broken> {
        let Some(number) = change.record.number else { return Ok(()) };
        let pull = api.pull(number).await?;
        Ok(self.take(change, &pull)?)
    }

    /// Writes down what the forge says of a pull request.
    fn take(&self, change: &mut Outgoing, pull: &Pull) -> Result<(), OutgoingError> {
        let is_new = change.record.number.is_none();
        let record = &mut change.record;
        record.number = Some(pull.number);
        record.url = pull.url.clone().or(record.url.take());
        match pull.at {
            At::Open => {
                record.state = PullState::Open;
                record.why = record.withdrawn.then(|| TOO_LATE.to_owned());
            }
            At::Merged(commit) => {
                (record.state, record.merged_as, record.why) = (PullState::Merged, commit, None);
            }
            At::Closed => {
                record.state = PullState::Closed;
                record.why = Some("it was closed at the forge without being merged".to_owned());
            }
        }
        // A crash from here on must not open another one.
        if is_new { self.put(change) } else { Ok(()) }
    }

    /// Brings the commit to a branch of the forge's.
    async fn bring(&self, change: &mut Outgoing) -> Result<(), Broken> {
        let own = format!("berth/{}/{}", change.user, change.topic);
        let other = format!("{own}-{}", change.commit.short());
        for branch in [own, other] {
            let tip = self
                .git
                .tip_of(&self.remote, &format!("refs/heads/{branch}"))
                .await
                .map_err(|error| git_trouble(&self.remote, &branch, &error))?;
            if tip.is_none() {
                let pushed = self.git.push(&self.remote, &self.state, &change.commit, &branch).await;
                pushed.map_err(|error| push_trouble(&self.remote, &branch, &error))?;
            }
            if tip.is_none_or(|tip| tip == change.commit) {
                change.record.branch = branch;
                return Ok(());
            }
            // Somebody else's, or left by an earlier change of this name.
        }
        let why = format!("the forge has branches of its name with other commits: {}", change.record.branch);
        Err(Trouble::Refused(why).into())
    }

    /// Merges a change, if the policy allows it still.
    async fn merge(
        &self,
        api: &Api,
        change: &mut Outgoing,
        number: u64,
        turn: &mut Turn,
    ) -> Result<(), Broken> {
        // The last look at the branch may be a whole `poll` old, and what it got since decides, too.
        let tip = self.git.tip(&self.remote).await;
        let tip = tip.map_err(|error| git_trouble(&self.remote, self.remote.branch.as_str(), &error))?;
        if tip != Some(turn.main) {
            turn.may_merge = false;
            self.bell.ring();
            return Ok(());
        }
        match self.with(|repo| still_allowed(repo, change))? {
            Still::Allowed => {}
            Still::Not(why) => {
                let why = format!("Berth doesn't merge it by itself any more: {why}");
                change.record.why = Some(why);
                return Ok(());
            }
        }
        // Even a forge that doesn't answer may have merged it.
        turn.may_merge = false;
        match api.merge_pull(number, change.commit).await {
            Ok(()) => {
                (change.record.state, change.record.why) = (PullState::Merged, None);
                self.put(change)?;
                self.bell.ring();
                // By which commit, the pull request says.
                if let Ok(Pull { at: At::Merged(commit), .. }) = api.pull(number).await {
                    change.record.merged_as = commit;
                }
                Ok(())
            }
            Err(Trouble::Lagging(why) | Trouble::Contended(why)) => {
                Err(Trouble::Lagging(format!("Berth can't merge it yet: {why}")).into())
            }
            Err(Trouble::Refused(why)) => {
                Err(Trouble::Refused(format!("Berth may not merge it: {why}")).into())
            }
            Err(away) => Err(away.into()),
        }
    }
}

/// Returns whether the forge is asked again about a change that is over there: nobody has seen it on `main` for some looks.
fn is_doubtful(record: &Record, due: &Due) -> bool {
    let is_missing = record.state == PullState::Merged && record.landed.is_none() && record.number.is_some();
    is_missing && due.wait.attempts > 0 && (record.merged_as.is_none() || due.wait.attempts < PATIENCE)
}

fn name(change: &Outgoing) -> String {
    format!("{}/{}", change.user, change.topic)
}

/// Takes a failure of a push to a forge that has just answered: it doesn't want this commit, and perhaps it wants others.
fn push_trouble(remote: &Remote, branch: &str, error: &GitError) -> Trouble {
    match git_trouble(remote, branch, error) {
        Trouble::Away { why, .. } => Trouble::Lagging(why),
        other => other,
    }
}

/// Takes a failure of git's: a right that is missing is told from a forge that is away.
fn git_trouble(remote: &Remote, branch: &str, error: &GitError) -> Trouble {
    let why = berth_fault::chain(error);
    match error.obstacle(remote, branch) {
        Obstacle::Secret | Obstacle::Moved => Trouble::Refused(why),
        Obstacle::Right => Trouble::Refused(format!(
            "{why}. The token, or over SSH the deploy key, needs the right to push branches"
        )),
        Obstacle::Other => Trouble::Away { why, wait: None },
    }
}

#[cfg(test)]
mod tests;
