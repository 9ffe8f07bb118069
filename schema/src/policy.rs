//! The policy: who may change what.
//!
//! Owns the one judgement that every door asks for (push, pull request, form, API, SSH). Pure: two states, the paths that
//! differ and the actor go in, and a verdict comes out. [`crate::State::assemble`] has judged already whether the new
//! state holds together (references, quotas, reserved names); one that doesn't never comes here.

mod budget;
mod explain;
mod lockout;
mod place;
mod proof;
mod rules;
mod rulings;
mod secret;
mod strict;
mod types;

use std::collections::{BTreeMap, BTreeSet};

use self::place::Texts;
use crate::domain::domain_path;
use crate::finding::{Finding, Severity};
use crate::invalid::Invalid;
use crate::name::{ServerId, UserName};
use crate::parse::{Content, Parsed};

pub use budget::Budget;
pub use explain::{Answer, May, explain};
pub use lockout::{ALLOW_LOCKOUT, lockouts, without_admins};
pub use proof::{Proof, proof, proofs, to_prove};
pub use secret::secrets;
pub(crate) use secret::{PRIVATE_KEYS, is_secret_field, may_be_secret};
use types::Factors;
pub use types::{Actor, Change, Proposal, Verdict, admins};

/// Judges a proposal. The order of its files doesn't matter.
pub fn judge(proposal: &Proposal<'_>) -> Verdict {
    judge_as(proposal, Factors::Kept)
}

/// Judges a proposal, and returns besides whether it touches only the actor's own things and needs nobody's consent. An admin's power over
/// the things of others doesn't count for that, and somebody without a name owns nothing.
pub fn judge_with_own(proposal: &Proposal<'_>) -> (Verdict, bool) {
    let Some(name) = proposal.actor.name() else { return (judge(proposal), false) };
    let as_member = judge_member(name, proposal, Factors::Kept);
    let is_own = as_member == Verdict::Allow;
    match proposal.actor.is_admin(proposal.before) {
        true => (judge(proposal), is_own),
        false => (strictly(as_member, proposal), is_own),
    }
}

fn judge_as(proposal: &Proposal<'_>, factors: Factors) -> Verdict {
    let verdict = match proposal.actor {
        Actor::Operator => Verdict::Allow,
        Actor::Member(name) if proposal.actor.is_admin(proposal.before) => judge_admin(name, proposal),
        Actor::Member(name) | Actor::AsMember(name) => judge_member(name, proposal, factors),
    };
    strictly(verdict, proposal)
}

/// The verdict with what is refused to everybody, and what its author has to confirm.
fn strictly(verdict: Verdict, proposal: &Proposal<'_>) -> Verdict {
    let mut refused = strict::refused_now(proposal.before, proposal.after);
    if refused.is_empty() {
        return with_lockouts(verdict, proposal);
    }
    refused.extend_from_slice(verdict.findings());
    refused.sort();
    Verdict::Deny(refused)
}

/// The verdict, unless the author loses a way in and doesn't say that they know. Whoever has the repository's files loses none.
fn with_lockouts(verdict: Verdict, proposal: &Proposal<'_>) -> Verdict {
    let Some(name) = proposal.actor.name() else { return verdict };
    if matches!(verdict, Verdict::Deny(_)) || proposal.knows == Some(name.as_str()) {
        return verdict;
    }
    let mut found = lockouts(name, proposal.from, proposal.before, proposal.after);
    match verdict {
        Verdict::Allow if !found.is_empty() => Verdict::Unconfirmed(found),
        // Somebody looks at it in any case, and sees this too.
        Verdict::NeedsReview { approvers, mut findings } => {
            findings.append(&mut found);
            findings.sort();
            Verdict::NeedsReview { approvers, findings }
        }
        verdict => verdict,
    }
}

/// Judges by the one rule for admins: somebody has to be left who can agree to anything.
fn judge_admin(name: &UserName, proposal: &Proposal<'_>) -> Verdict {
    if !admins(proposal.after).is_empty() {
        return Verdict::Allow;
    }
    let message = format!("without `{name}` nobody is an admin, so nobody could agree to anything");
    let hint = "make somebody else an admin first: `role = \"admin\"` in their file";
    let path = format!("users/{name}.toml");
    Verdict::Deny(vec![Finding::new(Severity::Error, path, None, Invalid::new(message, hint))])
}

/// Judges a change that the door makes itself, for somebody whom it has just asked for a password and a second factor, or for a
/// passkey: they may also change by which factors they get in.
pub fn judge_confirmed(proposal: &Proposal<'_>) -> Verdict {
    judge_as(proposal, Factors::Confirmed)
}

/// Judges by the rules for members, whatever their role is.
fn judge_member(name: &UserName, proposal: &Proposal<'_>, factors: Factors) -> Verdict {
    let files = touched(proposal);
    let mut rulings = rulings::Rulings::default();
    match proposal.before.users.get(name) {
        Some(member) => {
            let case = rules::Case::new(member, proposal, factors);
            for (path, texts) in &files {
                case.rule(path, *texts, &mut rulings);
            }
            rulings.deny(budget::over_budget(member, proposal, &files));
            case.rule_allowance(proposal.allowance, &mut rulings);
        }
        None => rulings.deny_stranger(name, proposal.before),
    }
    rulings.verdict(proposal.before)
}

/// The id and the owner that a server's file names, from some time ago and perhaps with mistakes: what a register of
/// ids is gathered from where none was kept.
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

/// Entries that are in only one of the two, or that differ.
fn differences<'a, K: Ord, T: PartialEq>(
    before: &'a BTreeMap<K, T>,
    after: &'a BTreeMap<K, T>,
) -> impl Iterator<Item = (&'a K, &'a T)> {
    let changed = before.iter().filter(|(key, value)| after.get(key) != Some(value));
    changed.chain(after.iter().filter(|(key, _)| !before.contains_key(key)))
}
