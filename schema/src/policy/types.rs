//! A change that is judged, who asks for it, and the verdict.

use std::net::IpAddr;
use std::time::SystemTime;

use crate::certificate_register::CertificateRegister;
use crate::finding::Finding;
use crate::name::{Fqdn, UserName};
use crate::register::IdRegister;
use crate::state::State;
use crate::text::any_of;
use crate::user::Role;

/// Person who asks for a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor<'a> {
    /// Somebody who has the repository's files. They could write into them anyway, so a refusal would gain nothing.
    Operator,
    /// Somebody whom the door knows. The state before the change tells what they may do.
    Member(&'a UserName),
    /// The same person where they may do no more than a member, whatever role the state gives them: by an API token without the
    /// scope `admin`.
    AsMember(&'a UserName),
}

/// One file of a change.
#[derive(Debug, Clone, Copy)]
pub struct Change<'a> {
    /// Path from the root of the repo, with `/`.
    pub path: &'a str,
    /// The text before the change, so that a finding can point at what differs; `None` when the file is new, or isn't at hand.
    pub before: Option<&'a str>,
    /// The text after the change, so that a finding can point into it; `None` when the file is gone, or isn't at hand.
    pub text: Option<&'a str>,
}

/// A change that wants to become the tip of `main`.
#[derive(Debug, Clone, Copy)]
pub struct Proposal<'a> {
    /// Person who asks.
    pub actor: Actor<'a>,
    /// The state that holds.
    pub before: &'a State,
    /// The state that would hold.
    pub after: &'a State,
    /// The files that differ, in any order. State that differs is judged even where its file is missing here.
    pub changes: &'a [Change<'a>],
    /// Names outside the platform's domain that the actor has proved to be theirs.
    pub proven: &'a [Fqdn],
    /// Register of whose ids were, of all that servers had: their data may still be there, and comes back with a server of the same id. Needed
    /// for the ids that the change adds.
    pub ids: &'a IdRegister,
    /// Register of the names with certificates of their own. Needed where the change adds any. `None` where none is kept yet: then
    /// nothing has been taken.
    pub certificates: Option<&'a CertificateRegister>,
    /// Time at which the change would be made.
    pub now: SystemTime,
    /// The removals that the change's last commit allows beyond the removal budget (`Berth-Allow-Removals`). The budget guards
    /// everybody's servers, so only an admin lifts it.
    pub allowance: Option<&'a str>,
    /// Address that the actor comes from, as `access.panel` would see it; `None` where nobody knows it, or nothing shuts it out.
    pub from: Option<IpAddr>,
    /// Person who says by the change's last commit that they know what they lose by it ([`super::ALLOW_LOCKOUT`]).
    pub knows: Option<&'a str>,
}

/// Outcome of a proposal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It may become the tip.
    Allow,
    /// It may, once the actor says that they know what they lose by it. Warnings, sorted by place.
    Unconfirmed(Vec<Finding>),
    /// Somebody else has to agree.
    NeedsReview {
        /// Members of whom one must agree. Empty if the state has no admin: then whoever runs the platform must.
        approvers: Vec<UserName>,
        /// Points that need agreement: warnings, sorted by place.
        findings: Vec<Finding>,
    },
    /// It may not, whoever agrees; the admins would have to make the change themselves. Errors, sorted by place.
    Deny(Vec<Finding>),
}

impl<'a> Actor<'a> {
    /// The person's name; `None` for whoever has the repository's files.
    pub fn name(&self) -> Option<&'a UserName> {
        match self {
            Self::Operator => None,
            Self::Member(name) | Self::AsMember(name) => Some(name),
        }
    }

    /// Returns whether they may do everything. A role that the change itself gives doesn't count.
    pub fn is_admin(&self, before: &State) -> bool {
        match self {
            Self::Operator => true,
            Self::AsMember(_) => false,
            Self::Member(name) => before.users.get(*name).is_some_and(|user| user.role == Role::Admin),
        }
    }
}

impl Verdict {
    /// Returns the findings that the verdict rests on.
    pub fn findings(&self) -> &[Finding] {
        match self {
            Self::Allow => &[],
            Self::NeedsReview { findings, .. } | Self::Unconfirmed(findings) | Self::Deny(findings) => {
                findings
            }
        }
    }
}

/// Permission for somebody's own factors. Whoever has nothing but a stolen key or session must not add a way in, or take a
/// second factor away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Factors {
    /// They stay as they are, but that a passkey may go.
    Kept,
    /// They may change.
    Confirmed,
}

/// The admins of a state, by name.
pub fn admins(state: &State) -> Vec<UserName> {
    state.users.values().filter(|user| user.role == Role::Admin).map(|user| user.name.clone()).collect()
}

/// The admins who may agree to something.
pub(crate) fn admins_in_words(state: &State) -> String {
    any_of(admins(state))
}

/// Names the people whom somebody asks, as the object of "ask": the organisation's contact, or the admins where it names none.
pub(crate) fn help_in_words(state: &State) -> String {
    let contact = state.platform.organisation.contact.as_ref();
    contact.map_or_else(|| admins_in_words(state), ToString::to_string)
}
