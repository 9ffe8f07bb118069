//! The policy's own answer, without git.

use std::time::SystemTime;

use berth_schema::Finding;
use berth_schema::name::{Fqdn, UserName};
use berth_schema::policy::{self, Actor, Change, Proposal, Verdict};

use super::answer::{Answer, Word};
use super::files::{FILES, Files, PROVED, differing, former, state, taken};

/// The policy's own answer.
pub(super) fn without_git(user: &UserName, after: &Files) -> Answer {
    let messages = |findings: &[Finding]| findings.iter().map(|finding| finding.message.clone()).collect();
    let before = state(&FILES).unwrap();
    let good = match state(after) {
        Ok(good) => good,
        Err(findings) => return Answer { verdict: Word::Deny, reasons: messages(&findings) },
    };
    let changed = differing(&FILES, after);
    let changes: Vec<Change<'_>> =
        changed.iter().map(|(path, text)| change_of(path, text.as_deref())).collect();
    let proved: Fqdn = PROVED.parse().unwrap();
    let proven = if user.as_str() == "bob" { vec![proved] } else { Vec::new() };
    let (ids, certificates) = (former(), taken());
    let proposal = Proposal {
        actor: Actor::Member(user),
        before: &before,
        after: &good,
        changes: &changes,
        proven: &proven,
        ids: &ids,
        certificates: Some(&certificates),
        now: SystemTime::now(),
        allowance: None,
        from: None,
        knows: None,
    };
    let verdict = policy::judge(&proposal);
    let word = match &verdict {
        Verdict::Allow => Word::Allow,
        Verdict::NeedsReview { .. } => Word::Review,
        Verdict::Unconfirmed(_) => Word::Confirm,
        Verdict::Deny(_) => Word::Deny,
    };
    Answer { verdict: word, reasons: messages(verdict.findings()) }
}

fn change_of<'a>(path: &'a str, text: Option<&'a str>) -> Change<'a> {
    Change { path, before: FILES.get(path).map(String::as_str), text }
}
