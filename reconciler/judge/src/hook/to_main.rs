//! A push to `main`, which says what should exist from now on.

use berth_plan::{Plan, show};
use berth_repo::{Loaded, MAIN, Revision};
use berth_schema::brief::{Extent, LINES};
use berth_schema::name::UserName;
use berth_schema::policy::{self, Verdict};
use berth_schema::report::Look;
use berth_schema::{Finding, State};

use super::{Consent, HookError, Push, Searched};
use crate::case::{Allowed, Asked, Case};
use crate::history::Range;
use crate::planned::{PREFIX_CHANGES, Planned, against, between};
use crate::proofs::Resolvers;
use crate::refusals;
use crate::update::Update;

impl Push<'_> {
    /// Judges a push to `main`.
    pub(super) fn main(&mut self, update: &Update) -> Result<(), HookError> {
        let Some(new) = update.new else {
            self.refuse_ref(
                MAIN,
                "main can't be deleted: it is what should exist",
                "push a commit that says what should exist instead",
            );
            return Ok(());
        };
        if let Some(old) = &update.old
            && !self.is_ancestor(old, &new)?
        {
            let message = format!(
                "main can't go from {} to {}, which isn't built on it: history only grows",
                old.short(),
                new.short()
            );
            self.refuse_ref(
                MAIN,
                &message,
                "`git pull --rebase`, look at what others changed, and push again without force",
            );
            return Ok(());
        }
        let range = update.old.map_or(Range::Everything, Range::After);
        if !self.is_measured(&new, &range)? {
            return Ok(());
        }
        let (before, after) = self.weigh(update.old.as_ref(), &new)?;
        if let Some(consent) = self.consent.take() {
            self.advice =
                "Somebody else has to agree to this. Propose it: `git push origin HEAD:review/<topic>`\n";
            self.found.findings.extend(consent.findings.into_iter().map(Finding::into_error));
        }
        // A push can't be asked, so it says beforehand that its author knows.
        self.found
            .findings
            .extend(std::mem::take(&mut self.unconfirmed).into_iter().map(Finding::into_error));
        if let (Ok(after), false) = (&after.state, self.found.is_refused()) {
            self.show_plan(&new, before.as_ref(), after)?;
        }
        Ok(())
    }

    /// Looks at what `main` would become, and for all that forbids it. Returns what was read before and after.
    pub(super) fn weigh(
        &mut self,
        old: Option<&Revision>,
        new: &Revision,
    ) -> Result<(Option<Loaded>, Loaded), HookError> {
        let before = old.map(|old| self.load(old)).transpose()?;
        self.refuse_unless_hosted_here(before.as_ref());
        let after = match old {
            Some(old) => self.load_change(old, new)?,
            None => self.load(new)?,
        };
        for finding in after.findings() {
            if let Some(source) = after.source(&finding.path) {
                self.found.sources.insert(finding.path.to_string(), source.to_owned());
            }
        }
        self.found.findings.extend_from_slice(after.findings());
        self.from = old.copied();
        self.warn_without_admins(before.as_ref(), &after);
        let range = old.map_or(Range::Everything, |old| Range::After(*old));
        self.search_history(new, &range)?;
        self.apply_policy(old, new, before.as_ref(), &after)?;
        Ok((before, after))
    }

    /// Warns whoever has the repository's files that nobody will be an admin. Everybody else is refused by the policy.
    fn warn_without_admins(&mut self, before: Option<&Loaded>, after: &Loaded) {
        if let (None, Ok(after)) = (self.asker.user, &after.state) {
            let before = before.and_then(|before| before.state.as_deref().ok());
            self.found.findings.extend(policy::without_admins(before, after));
        }
    }

    /// Refuses a push where a forge hosts the state repo: `main` follows its branch, and a push here would only part the two.
    fn refuse_unless_hosted_here(&mut self, before: Option<&Loaded>) {
        let Some(Ok(state)) = before.map(|before| &before.state) else { return };
        let Some(remote) = state.platform.remote.as_ref() else { return };
        // A commit that Berth makes for somebody goes to the forge, where that can be.
        if self.searched == Searched::One {
            return;
        }
        self.refuse(MAIN, refusals::hosted_elsewhere(remote));
    }

    fn apply_policy(
        &mut self,
        old: Option<&Revision>,
        new: &Revision,
        before: Option<&Loaded>,
        after: &Loaded,
    ) -> Result<(), HookError> {
        let Some(user) = self.asker.user else { return Ok(()) };
        let Ok(name) = user.parse::<UserName>() else {
            self.refuse(MAIN, refusals::no_good_name());
            return Ok(());
        };
        let (Some(old), Some(Ok(before))) = (old, before.map(|before| &before.state)) else {
            self.refuse(MAIN, refusals::no_good_state());
            return Ok(());
        };
        let Ok(after) = &after.state else { return Ok(()) };
        let path = self.repo.git_dir().to_owned();
        let paths = self.repo.changed(old, new).map_err(|source| HookError::Read { path, source })?;
        let proven = Resolvers::of(self.asker.resolver, before).prove(self.asker.actor(&name), before, after);
        self.notes.push_str(&proven.note);
        let allowed = self.allowed(new)?;
        let asked = Asked {
            actor: self.asker.actor(&name),
            repo: self.repo,
            main: *old,
            old: *old,
            new: *new,
            before,
            after,
            proven: &proven,
            allowed: &allowed,
            from: self.asker.from,
        };
        let case = Case::gather(asked, paths)?;
        match case.judge().0 {
            Verdict::Allow => {}
            Verdict::Deny(mut findings) => self.found.findings.append(&mut findings),
            Verdict::Unconfirmed(findings) => self.unconfirmed = findings,
            Verdict::NeedsReview { approvers, findings } => {
                self.consent = Some(Consent { approvers, findings });
            }
        }
        for (path, text) in case.into_texts() {
            self.found.sources.entry(path).or_insert(text);
        }
        Ok(())
    }

    fn allowed(&self, revision: &Revision) -> Result<Allowed, HookError> {
        let path = self.repo.git_dir().to_owned();
        Allowed::by(self.repo, revision).map_err(|source| HookError::Read { path, source })
    }

    /// Plans the new state, and tells the plan.
    pub(super) fn show_plan(
        &mut self,
        new: &Revision,
        before: Option<&Loaded>,
        after: &State,
    ) -> Result<(), HookError> {
        let allowed = self.allowed(new)?;
        let planned = Planned { revision: new, allowance: allowed.removals.as_deref(), state: after };
        let engine = self.asker.engine;
        let seen = engine.look(after.platform.services.firewall);
        match seen.and_then(|sight| Ok((sight, engine.identities(after)?))) {
            Ok((sight, _)) if sight.platform != after.platform.prefix.as_str() => {
                self.talk.push_str(&format!("Not planned: {PREFIX_CHANGES}.\n"));
            }
            Ok((sight, identities)) => {
                let plan = against(&sight, identities, planned, self.repo);
                let digest = show::digest(&plan).unwrap_or_default();
                self.talk.push_str(&format!("Planned against the engine as it is now (plan {digest}).\n"));
                self.tell_plan(plan, new, before);
            }
            Err(why) => self.plan_between(&why, planned, before),
        }
        Ok(())
    }

    /// The plan where nobody sees the engine.
    fn plan_between(&mut self, why: &str, to: Planned<'_>, before: Option<&Loaded>) {
        let Planned { revision, allowance, state: after } = to;
        let good = before;
        let before = before.map(|before| before.state.as_ref());
        let planned = match before {
            Some(Err(_)) => Err("what was there before has mistakes".to_owned()),
            Some(Ok(before)) => between(Some(before), after, revision, allowance),
            None => between(None, after, revision, allowance),
        };
        match planned {
            Ok(plan) => {
                self.talk.push_str(&format!("Planned from state to state; {why}.\n"));
                self.tell_plan(plan, revision, good);
            }
            Err(why) => self.talk.push_str(&format!("Not planned: {why}.\n")),
        }
    }

    fn tell_plan(&mut self, mut plan: Plan, new: &Revision, before: Option<&Loaded>) {
        let good = before.and_then(|before| before.state.as_deref().ok());
        let runs_it = self.asker.user.is_none() || good.is_some_and(|good| self.asker.is_admin(good));
        if !runs_it {
            plan.keep_from_members();
        }
        let whole = match self.from.filter(|_| runs_it && self.searched == Searched::Push) {
            Some(old) => {
                format!("`berth plan --from {} --to {} --all` shows everything", old.short(), new.short())
            }
            None => {
                "`berth plan --from <before> --to <after> --all`, on the platform's host, shows everything"
                    .to_owned()
            }
        };
        let colour = match self.asker.look {
            Look::Plain => show::Colour::Never,
            Look::Coloured => show::Colour::Always,
        };
        let extent = Extent::Brief { lines: LINES / 2, whole: &whole };
        self.talk.push_str(&show::text(&plan, &show::Style { colour, extent, ..show::Style::default() }));
        self.plan = Some(plan);
    }
}
