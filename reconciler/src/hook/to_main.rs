//! A push to `main`: what should exist from now on.

use berth_plan::{Plan, show};
use berth_repo::{Loaded, MAIN, Revision};
use berth_schema::name::UserName;
use berth_schema::policy::{Actor, Verdict};
use berth_schema::report::Look;
use berth_schema::{Finding, Severity, State};

use super::engine::{PREFIX_CHANGES, Planned, against};
use super::{Asked, Case, HookError, Push, Range, Resolvers, Update, between};
use crate::source::allowance;

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
            && !self.history.is_ancestor(old, &new)?
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
        let before = update.old.map(|old| self.load(&old)).transpose()?;
        self.refuse_unless_hosted_here(before.as_ref());
        let after = self.load(&new)?;
        for finding in after.findings() {
            if let Some(source) = after.source(&finding.path) {
                self.found.sources.insert(finding.path.to_string(), source.to_owned());
            }
        }
        self.found.findings.extend_from_slice(after.findings());
        let range = update.old.map_or(Range::Everything, Range::After);
        self.search_history(&new, &range)?;
        self.apply_policy(update.old.as_ref(), &new, before.as_ref(), &after)?;
        if let (Ok(after), false) = (&after.state, self.found.is_refused()) {
            self.show_plan(&new, before.as_ref(), after)?;
        }
        Ok(())
    }

    /// Where a forge hosts the state repo, `main` follows its branch, and a push here would only part the two.
    fn refuse_unless_hosted_here(&mut self, before: Option<&Loaded>) {
        let Some(Ok(state)) = before.map(|before| &before.state) else { return };
        let Some(remote) = state.platform.remote.as_ref() else { return };
        let message = remote.in_charge();
        let hint = format!("push there: `git push {} HEAD:{}`", remote.url, remote.branch);
        self.refuse_ref(MAIN, &message, &hint);
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
            self.refuse_ref(
                MAIN,
                "the door gives no good name for whoever pushes",
                "`BERTH_USER` must be a member's name",
            );
            return Ok(());
        };
        let (Some(old), Some(Ok(before))) = (old, before.map(|before| &before.state)) else {
            let message = "main holds no good state, so nobody can tell what is whose";
            self.refuse_ref(
                MAIN,
                message,
                "whoever runs the platform has to mend it first, from the machine that it is on",
            );
            return Ok(());
        };
        let Ok(after) = &after.state else { return Ok(()) };
        let paths = self.history.changed(old, new)?;
        let proven = Resolvers::of(self.asker.resolver, before).prove(&name, before, after);
        self.notes.push_str(&proven.note);
        let allowance = self.allowance(new)?;
        let asked = Asked {
            actor: Actor::Member(&name),
            repo: self.repo,
            history: &self.history,
            main: *old,
            old: *old,
            new: *new,
            before,
            after,
            proven: &proven,
            allowance: allowance.as_deref(),
        };
        let case = Case::gather(asked, paths)?;
        match case.judge().0 {
            Verdict::Allow => {}
            Verdict::Deny(mut findings) => self.found.findings.append(&mut findings),
            Verdict::NeedsReview { findings, .. } => {
                self.advice =
                    "Somebody else has to agree to this. Propose it: `git push origin HEAD:review/<topic>`\n";
                let refused = |finding| Finding { severity: Severity::Error, ..finding };
                self.found.findings.extend(findings.into_iter().map(refused));
            }
        }
        for (path, text) in case.into_texts() {
            self.found.sources.entry(path).or_insert(text);
        }
        Ok(())
    }

    fn allowance(&self, revision: &Revision) -> Result<Option<String>, HookError> {
        let path = self.repo.git_dir().to_owned();
        allowance(self.repo, revision).map_err(|source| HookError::Read { path, source })
    }

    fn show_plan(&mut self, new: &Revision, before: Option<&Loaded>, after: &State) -> Result<(), HookError> {
        let allowance = self.allowance(new)?;
        let planned = Planned { revision: new, allowance: allowance.as_deref(), state: after };
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
                self.tell_plan(&plan);
            }
            Err(why) => self.plan_between(&why, planned, before),
        }
        Ok(())
    }

    /// The plan where nobody sees the engine.
    fn plan_between(&mut self, why: &str, to: Planned<'_>, before: Option<&Loaded>) {
        let Planned { revision, allowance, state: after } = to;
        let before = before.map(|before| before.state.as_ref());
        let planned = match before {
            Some(Err(_)) => Err("what was there before has mistakes".to_owned()),
            Some(Ok(before)) => between(Some(before), after, revision, allowance),
            None => between(None, after, revision, allowance),
        };
        match planned {
            Ok(plan) => {
                self.talk.push_str(&format!("Planned from state to state; {why}.\n"));
                self.tell_plan(&plan);
            }
            Err(why) => self.talk.push_str(&format!("Not planned: {why}.\n")),
        }
    }

    fn tell_plan(&mut self, plan: &Plan) {
        let colour = match self.asker.look {
            Look::Plain => show::Colour::Never,
            Look::Coloured => show::Colour::Always,
        };
        self.talk.push_str(&show::text(plan, &show::Style { colour, ..show::Style::default() }));
    }
}
