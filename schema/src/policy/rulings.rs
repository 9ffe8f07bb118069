//! Findings against a proposal: those by which it is denied, and those for which somebody has to agree.

use crate::finding::{About, Finding, Severity};
use crate::invalid::Invalid;
use crate::name::UserName;
use crate::policy::place::Texts;
use crate::policy::types::{Verdict, admins, help_in_words};
use crate::state::State;
use crate::text::shown;

/// Findings against a proposal so far.
#[derive(Debug, Default)]
pub(crate) struct Rulings {
    pub(super) denied: Vec<Finding>,
    to_review: Vec<Finding>,
    /// Points that say the same of one file each: that it is everybody's.
    pub(super) everybodys: Vec<Finding>,
}

/// The most files that are told one by one to be everybody's.
const FEW: usize = 3;

/// One file while it is judged.
pub(super) struct File<'r, 'a> {
    pub(super) path: &'r str,
    pub(super) texts: Texts<'a>,
    pub(super) rulings: &'r mut Rulings,
}

impl Rulings {
    /// Denies the proposal for what was found of it as a whole.
    pub(crate) fn deny(&mut self, found: Option<Finding>) {
        self.denied.extend(found);
    }

    /// Denies the proposal of somebody whom the door knows and the state doesn't.
    pub(crate) fn deny_stranger(&mut self, name: &UserName, before: &State) {
        let invalid = Invalid::new(
            format!("there is no user `{name}`, so nothing may be changed in that name"),
            format!("ask {} to add the file", help_in_words(before)),
        );
        self.denied.push(Finding::new(Severity::Error, format!("users/{name}.toml"), None, invalid));
    }

    pub(crate) fn verdict(mut self, before: &State) -> Verdict {
        self.everybodys.sort();
        let others = self.everybodys.len().saturating_sub(1);
        if others >= FEW {
            self.everybodys.truncate(1);
            for first in &mut self.everybodys {
                first.message = format!(
                    "`{}` and {others} other files are everybody's, so somebody else has to look at them",
                    shown(&first.path)
                );
            }
        }
        self.to_review.append(&mut self.everybodys);
        if !self.denied.is_empty() {
            // Points that would only need review are told too: they are in the way just as well.
            self.denied.append(&mut self.to_review);
            self.denied.sort();
            return Verdict::Deny(self.denied);
        }
        if !self.to_review.is_empty() {
            self.to_review.sort();
            return Verdict::NeedsReview { approvers: admins(before), findings: self.to_review };
        }
        Verdict::Allow
    }
}

impl File<'_, '_> {
    pub(super) fn deny(&mut self, field: &[&str], message: String, hint: String) {
        let place = self.texts.place(field);
        let invalid = Invalid::new(message, hint);
        let finding = Finding::new(Severity::Error, self.path, Some(place), invalid);
        self.rulings.denied.push(finding.about(about(field)));
    }

    pub(super) fn review(&mut self, field: &[&str], message: String, hint: String) {
        let place = self.texts.place(field);
        let invalid = Invalid::new(message, hint);
        let finding = Finding::new(Severity::Warning, self.path, Some(place), invalid);
        self.rulings.to_review.push(finding.about(about(field)));
    }
}

fn about(field: &[&str]) -> About {
    if field.is_empty() { About::Whole } else { About::Field(field.join(".")) }
}
