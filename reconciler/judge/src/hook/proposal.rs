//! A push to `review/<topic>`: a proposal. Anybody whom the door knows may open one; it is judged as a push to `main` is,
//! and kept where `main` would want somebody's consent.

use berth_repo::Revision;
use berth_schema::name::UserName;

use super::{HookError, Push};
use crate::history::Range;
use crate::refusals;
use crate::review::{Assessor, enough_open, find, proposed, topic_of};
use crate::update::Update;

impl Push<'_> {
    /// Judges a push to a proposal's branch.
    pub(super) fn proposal(&mut self, update: &Update) -> Result<(), HookError> {
        let name = update.reference.as_str();
        let topic = match topic_of(name) {
            Ok(topic) => topic,
            Err(invalid) => {
                self.refuse(name, invalid);
                return Ok(());
            }
        };
        let user = match self.asker.user.map(str::parse::<UserName>).transpose() {
            Ok(user) => user,
            Err(_) => {
                self.refuse(name, refusals::no_good_name());
                return Ok(());
            }
        };
        let known = update.old.map(|_| find(self.repo, &topic)).transpose()?.flatten();
        let Some(main) = self.head()? else {
            self.refuse_ref(
                name,
                "there is no main yet that anything could be proposed for",
                "push main first",
            );
            return Ok(());
        };
        if !self.may_push_to(name, &main, user.as_ref(), known.as_ref())? {
            return Ok(());
        }
        let Some(new) = update.new else { return Ok(()) };
        if !self.is_measured(&new, &Range::After(main))? {
            return Ok(());
        }
        self.search_history(&new, &Range::After(main))?;
        // Whose it is decides what it may change, whoever pushes to it.
        let author = match &known {
            Some(known) => known.author.clone(),
            None => user,
        };
        let mut assessor = Assessor::new(self.repo, self.asker.resolver)?;
        let mut assessment = assessor.assess(&new, author.as_ref())?;
        if !assessor.state().is_some_and(|state| self.asker.is_admin(state))
            && let Ok(plan) = &mut assessment.plan
        {
            plan.keep_from_members();
        }
        self.notes.push_str(&assessment.note);
        self.found.findings.extend_from_slice(&assessment.findings);
        for (path, text) in &assessment.sources {
            self.found.sources.entry(path.clone()).or_insert_with(|| text.clone());
        }
        let text = proposed(&topic, author.as_ref(), &assessment, self.asker.look);
        self.talk.push_str(&text);
        Ok(())
    }

    /// Checks that somebody may open this proposal, or push to it when there is one; tells why not.
    fn may_push_to(
        &mut self,
        name: &str,
        main: &Revision,
        user: Option<&UserName>,
        known: Option<&crate::review::Proposal>,
    ) -> Result<bool, HookError> {
        let Some(user) = user else { return Ok(true) };
        let loaded = self.load(main)?;
        let Ok(state) = &loaded.state else {
            self.refuse(name, refusals::no_good_state());
            return Ok(false);
        };
        if !state.users.contains_key(user) {
            let message = format!("there is no user `{user}`, so nothing may be proposed in that name");
            let hint = format!("ask {} to add the file", state.platform.organisation.help());
            self.refuse_ref(name, &message, &hint);
            return Ok(false);
        }
        if self.asker.actor(user).is_admin(state) {
            return Ok(true);
        }
        let enough = match known {
            None => enough_open(self.repo, user, state.platform.organisation.help())?,
            Some(_) => None,
        };
        if let Some(invalid) = enough {
            self.refuse(name, invalid);
            return Ok(false);
        }
        let theirs = known.is_none_or(|known| known.author.as_ref() == Some(user));
        if !theirs {
            self.refuse(name, refusals::not_theirs(name));
            return Ok(false);
        }
        Ok(true)
    }
}
