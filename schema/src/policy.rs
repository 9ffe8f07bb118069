//! The policy: who may change what.
//!
//! Owns the one judgement that every door asks for (push, pull request, form, API, SSH). Pure: two states, the paths
//! that differ, and who did it go in, a verdict comes out. Whether the new state holds together (references, quotas,
//! reserved names) is judged before, by [`State::assemble`]; a state that doesn't is never asked about here.

mod explain;
mod place;
mod proof;
mod rules;
mod secret;

use std::collections::{BTreeMap, BTreeSet};

use self::place::Texts;
use crate::finding::Finding;
use crate::name::{Fqdn, ServerId, UserName};
use crate::parse::{Content, Parsed};
use crate::state::State;
use crate::user::Role;

pub use explain::{Answer, May, explain};
pub use proof::{Proof, proof, proofs, to_prove};
pub use secret::secrets;

/// Who asks for a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor<'a> {
    /// Whoever has the repository's files: could write into them anyway, so nothing would be gained by refusing.
    Operator,
    /// Somebody whom the door knows. What they may do is looked up in the state before the change.
    Member(&'a UserName),
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
    /// Who asks.
    pub actor: Actor<'a>,
    /// The state that holds.
    pub before: &'a State,
    /// The state that would hold.
    pub after: &'a State,
    /// The files that differ, in any order. State that differs is judged even where its file is missing here.
    pub changes: &'a [Change<'a>],
    /// Names outside the platform's domain that the actor has proved to be theirs.
    pub proven: &'a [Fqdn],
    /// Ids that servers had before, in the state or long ago, and whose they were: their data may still be there, and
    /// comes back with a server of the same id. Needed for the ids that the change adds.
    pub former: &'a [(ServerId, UserName)],
    /// The removals that the change's last commit allows beyond the removal budget (`Berth-Allow-Removals`). The budget guards
    /// everybody's servers, so only an admin lifts it.
    pub allowance: Option<&'a str>,
}

/// What becomes of a proposal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It may become the tip.
    Allow,
    /// Somebody else has to agree.
    NeedsReview {
        /// Any one of these. Empty where the state has no admin: then whoever runs the platform.
        approvers: Vec<UserName>,
        /// What has to be agreed to: warnings, sorted by place.
        findings: Vec<Finding>,
    },
    /// It may not, whoever agrees; the admins would have to make the change themselves. Errors, sorted by place.
    Deny(Vec<Finding>),
}

impl Actor<'_> {
    /// Whether everything is allowed to them. A role that the change itself gives doesn't count.
    pub fn is_admin(&self, before: &State) -> bool {
        match self {
            Self::Operator => true,
            Self::Member(name) => before.users.get(*name).is_some_and(|user| user.role == Role::Admin),
        }
    }
}

impl Verdict {
    /// What it rests on.
    pub fn findings(&self) -> &[Finding] {
        match self {
            Self::Allow => &[],
            Self::NeedsReview { findings, .. } | Self::Deny(findings) => findings,
        }
    }
}

/// The admins of a state, by name.
pub fn admins(state: &State) -> Vec<UserName> {
    state.users.values().filter(|user| user.role == Role::Admin).map(|user| user.name.clone()).collect()
}

/// Judges a proposal. The order of its files doesn't matter.
pub fn judge(proposal: &Proposal<'_>) -> Verdict {
    match proposal.actor {
        actor if actor.is_admin(proposal.before) => Verdict::Allow,
        Actor::Operator => Verdict::Allow,
        Actor::Member(name) => judge_member(name, proposal),
    }
}

/// Whether a proposal touches only what is the actor's own, and needs nobody's consent: what an admin may do to the things
/// of others doesn't count. Whoever has no name owns nothing.
pub fn is_own(proposal: &Proposal<'_>) -> bool {
    match proposal.actor {
        Actor::Operator => false,
        Actor::Member(name) => judge_member(name, proposal) == Verdict::Allow,
    }
}

/// Judges by the rules for members, whatever their role is.
fn judge_member(name: &UserName, proposal: &Proposal<'_>) -> Verdict {
    let files = touched(proposal);
    let mut rulings = rules::Rulings::default();
    match proposal.before.users.get(name) {
        Some(member) => {
            let case = rules::Case::new(member, proposal);
            for (path, texts) in files {
                case.rule(&path, texts, &mut rulings);
            }
            case.rule_allowance(proposal.allowance, &mut rulings);
        }
        None => rulings.deny_stranger(name, proposal.before),
    }
    rulings.verdict(proposal.before)
}

/// The id and the owner that a server's file names, from some time ago and perhaps with mistakes: what doors gather for
/// [`Proposal::former`].
pub fn named_by(path: &str, text: &str) -> Option<(ServerId, UserName)> {
    match Parsed::parse(path, text).content {
        Content::Server(file, _) => Some((file.id?.value, file.owner?.value)),
        _ => None,
    }
}

/// Every path that the proposal names, and every path whose state differs: a door that forgets a file opens nothing.
fn touched<'a>(proposal: &Proposal<'a>) -> BTreeMap<String, Texts<'a>> {
    let (before, after) = (proposal.before, proposal.after);
    let named = proposal.changes.iter();
    let mut paths: BTreeMap<String, Texts<'_>> = named
        .map(|change| (change.path.to_owned(), Texts { before: change.before, after: change.text }))
        .collect();
    let mut differing = BTreeSet::new();
    if before.platform != after.platform {
        differing.insert("platform.toml".to_owned());
    }
    for (name, _) in differences(&before.users, &after.users) {
        differing.insert(format!("users/{name}.toml"));
    }
    for (fqdn, _) in differences(&before.domains, &after.domains) {
        differing.insert(domain_path(fqdn));
    }
    for (id, server) in differences(&before.servers, &after.servers) {
        differing.insert(format!("servers/{}.toml", server.name));
        let other = after.servers.get(id).filter(|other| other.name != server.name);
        differing.extend(other.map(|other| format!("servers/{}.toml", other.name)));
    }
    for path in differing {
        paths.entry(path).or_default();
    }
    paths
}

/// What is in one of the two only, or not the same in both.
fn differences<'a, K: Ord, T: PartialEq>(
    before: &'a BTreeMap<K, T>,
    after: &'a BTreeMap<K, T>,
) -> impl Iterator<Item = (&'a K, &'a T)> {
    let changed = before.iter().filter(|(key, value)| after.get(key) != Some(value));
    changed.chain(after.iter().filter(|(key, _)| !before.contains_key(key)))
}

/// The path of a domain's file.
pub(crate) fn domain_path(fqdn: &Fqdn) -> String {
    match fqdn.is_wildcard() {
        true => format!("domains/_.{}.toml", fqdn.base()),
        false => format!("domains/{fqdn}.toml"),
    }
}
