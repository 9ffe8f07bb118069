//! One round: each change that is due takes its next step.

use berth_judge::outgoing::{Landing, Outgoing, OutgoingError, Still, landing, still_allowed};
use berth_repo::Revision;
use berth_wire::web::PullState;

use super::due::{Due, Dues};
use super::{Looked, Outbox, Seen};
use crate::api::Api;
use crate::exchange::Trouble;
use crate::git::GitError;
use crate::letter;
use crate::pulls::{At, Pull, Wanted};

/// Looks for a merged change on `main` within which nothing else is merged: some minutes.
const PATIENCE: u32 = 8;

/// A step that wasn't finished.
enum Broken {
    Trouble(Trouble),
    Repo(OutgoingError),
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
        let Some(Seen { main, platform, changes }) = self.look(looked)? else { return Ok(()) };
        dues.keep(&changes.iter().map(name).collect::<Vec<_>>());
        let open = changes.iter().filter(|change| change.record.is_open()).count();
        // What is merged next is judged on top of what was merged before, so that has to be here.
        let mut may_merge = self.is_up_to_date(&main)
            && !changes.iter().any(|change| {
                change.record.state == PullState::Merged && dues.of(&name(change)).attempts < PATIENCE
            });
        for mut change in changes {
            let mut due = dues.of(&name(&change));
            if !due.is_now(&main) {
                continue;
            }
            let before = change.clone();
            self.move_with_the_forge(&mut change);
            if due.main != Some(main) {
                self.find_on_main(&mut change, &main)?;
                due.main = Some(main);
            }
            let worked = match change.record.landed.is_some() {
                true => Some(Ok(())),
                false if dues.may_ask() => Some(self.step(api, &mut change, &platform, may_merge).await),
                // It stays due.
                false => None,
            };
            if change.record.state == PullState::Merged && before.record.state != PullState::Merged {
                may_merge = false;
                // `main` may have followed before the forge said so: it is looked for once more.
                due.main = None;
            }
            if let Some(worked) = worked {
                self.settle(&mut change, &mut due, worked, dues, open)?;
            }
            if change != before {
                tracing::info!(
                    change = name(&change),
                    state = change.record.state.word(),
                    why = change.record.why,
                    "a change on its way to the forge"
                );
                self.put(&change)?;
            }
            dues.set(&name(&change), due);
        }
        Ok(())
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
                due.lagged();
                self.bell.notify_one();
            }
            Ok(()) => {
                due.settled(self.remote.poll.duration(), open);
                if dues.may_ask() {
                    dues.answers();
                }
            }
            Err(Broken::Repo(error)) => return Err(error),
            Err(Broken::Trouble(Trouble::Away { why, wait })) => {
                dues.hold(wait);
                record.why = Some(why);
            }
            Err(Broken::Trouble(Trouble::Ailing(why))) => {
                due.lagged();
                record.why = Some(why);
            }
            Err(Broken::Trouble(Trouble::Lagging(why))) => {
                if due.lagged() && record.number.is_none() {
                    record.state = PullState::Failed;
                }
                record.why = Some(why);
            }
            Err(Broken::Trouble(Trouble::Refused(why))) => {
                due.refused();
                if record.number.is_none() {
                    record.state = PullState::Failed;
                }
                record.why = Some(why);
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
            (Landing::Content, PullState::Merged) => record.landed = Some(*main),
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
        platform: &str,
        may_merge: bool,
    ) -> Result<(), Broken> {
        if change.record.state.is_over() {
            return Ok(());
        }
        let pull = match change.record.number {
            None => {
                self.bring(change).await?;
                let (title, text) =
                    (letter::title(change), letter::text(change, platform, self.merges(change)));
                let target = self.remote.branch.to_string();
                let wanted =
                    Wanted { title: &title, text: &text, branch: &change.record.branch, target: &target };
                api.open_pull(&wanted).await?
            }
            Some(number) => api.pull(number).await?,
        };
        self.take(change, &pull)?;
        if pull.at == At::Open && self.merges(change) && may_merge {
            self.merge(api, change, pull.number).await?;
        }
        Ok(())
    }

    /// Writes down what the forge says of a pull request.
    fn take(&self, change: &mut Outgoing, pull: &Pull) -> Result<(), OutgoingError> {
        let is_new = change.record.number.is_none();
        let record = &mut change.record;
        record.number = Some(pull.number);
        record.url = pull.url.clone().or(record.url.take());
        match pull.at {
            At::Open => (record.state, record.why) = (PullState::Open, None),
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
                .map_err(|error| git_trouble(&error))?;
            if tip.is_none() {
                let pushed = self.git.push(&self.remote, &self.state, &change.commit, &branch).await;
                pushed.map_err(|error| git_trouble(&error))?;
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
    async fn merge(&self, api: &Api, change: &mut Outgoing, number: u64) -> Result<(), Broken> {
        match self.with(|repo| still_allowed(repo, change))? {
            Still::Allowed => {}
            Still::Not(why) => {
                let why = format!("Berth doesn't merge it by itself any more: {why}");
                change.record.why = Some(why);
                return Ok(());
            }
        }
        match api.merge_pull(number, change.commit).await {
            Ok(()) => {
                (change.record.state, change.record.why) = (PullState::Merged, None);
                self.put(change)?;
                self.bell.notify_one();
                // By which commit, the pull request says.
                if let Ok(Pull { at: At::Merged(commit), .. }) = api.pull(number).await {
                    change.record.merged_as = commit;
                }
                Ok(())
            }
            Err(Trouble::Lagging(why)) => {
                Err(Trouble::Lagging(format!("Berth can't merge it yet: {why}")).into())
            }
            Err(Trouble::Refused(why)) => {
                Err(Trouble::Refused(format!("Berth may not merge it: {why}")).into())
            }
            Err(away) => Err(away.into()),
        }
    }
}

fn name(change: &Outgoing) -> String {
    format!("{}/{}", change.user, change.topic)
}

/// Takes a failure of git's: a right that is missing is told from a forge that is away.
fn git_trouble(error: &GitError) -> Trouble {
    /// Words of git and of forges for a right that is missing.
    const RIGHTS: [&str; 12] = [
        "403",
        "401",
        "denied",
        "Denied",
        "not allowed",
        "not authorized",
        "read only",
        "read-only",
        "could not read Username",
        "protected",
        "declined",
        "Authentication failed",
    ];
    let why = berth_fault::chain(error);
    match error {
        GitError::Secret(_) => Trouble::Refused(why),
        GitError::Program(_) if RIGHTS.iter().any(|words| why.contains(words)) => Trouble::Refused(format!(
            "{why}. The token, or over SSH the deploy key, needs the right to push branches"
        )),
        // It answers, and doesn't want this one.
        GitError::Program(_) if why.contains("failed to push") => Trouble::Lagging(why),
        GitError::Program(_) => Trouble::Away { why, wait: None },
    }
}
