//! The rule about certificates: what a member may take of the CA's week.

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, SystemTime};

use crate::certificate_register::{CertificateRegister, Counted, counted};
use crate::domain::domain_path;
use crate::finding::{About, Finding, Severity};
use crate::invalid::Invalid;
use crate::name::{Fqdn, UserName};
use crate::policy::place::Texts;
use crate::policy::types::Proposal;
use crate::policy::types::admins_in_words;
use crate::state::State;
use crate::text::counted as counted_words;
use crate::user::User;

/// Field of a domain that decides whether it gets a certificate.
const TLS: &str = "tls";
/// Field that stands in a server's file as long as its name does.
const NAME: &str = "owner";

/// A member's part of the CA's week, as it stands at a moment.
pub struct Budget<'a> {
    member: &'a UserName,
    register: CertificateRegister,
    now: SystemTime,
    taken: usize,
    allowed: usize,
}

impl<'a> Budget<'a> {
    /// The budget of a member while `state` holds. `kept` is the register as the last pass wrote it, or `None` where there is none.
    pub fn of(member: &'a User, state: &State, kept: Option<&CertificateRegister>, now: SystemTime) -> Self {
        // As the next pass will write it: what a push brought since the last one is taken, too.
        let register = match kept {
            None => CertificateRegister::beginning_with(state),
            Some(kept) => {
                let mut register = kept.clone();
                register.learn(state, now);
                register
            }
        };
        let member_name = &member.name;
        let taken = register.taken(member_name, now);
        let allowed = usize::try_from(state.quota(member).certificates).unwrap_or(usize::MAX);
        Self { member: member_name, register, now, taken, allowed }
    }

    fn room(&self) -> usize {
        self.allowed.saturating_sub(self.taken)
    }

    /// Time from which the next name can be taken, once there is no room; `None` where none ever can.
    fn next(&self) -> Option<String> {
        (self.allowed > 0).then(|| on_the_hour(self.register.next(self.member, self.allowed, self.now)))
    }

    /// The budget in a sentence.
    pub fn sentence(&self) -> String {
        let Self { member, taken, allowed, .. } = self;
        let names = counted_words(taken, "name");
        let sentence = format!(
            "Within the last seven days `{member}` took {names} with a new certificate, and may take {allowed}"
        );
        match self.next().filter(|_| self.room() == 0) {
            Some(next) => format!("{sentence}; the next from {next} on."),
            None => format!("{sentence}."),
        }
    }
}

/// Finds the first name with which a member would take more of the CA's week than they may.
pub(super) fn over_budget(
    member: &User,
    proposal: &Proposal<'_>,
    files: &BTreeMap<String, Texts<'_>>,
) -> Option<Finding> {
    let new = new_names(&member.name, proposal);
    if new.is_empty() {
        return None;
    }
    let budget = Budget::of(member, proposal.before, proposal.certificates, proposal.now);
    let is_taken = |fqdn: &Fqdn| budget.register.has_taken(&member.name, fqdn, proposal.now);
    let new: Vec<Counted<'_>> = new.into_iter().filter(|name| !is_taken(&name.fqdn)).collect();
    let first = new.get(budget.room())?;
    let (path, field) = match first.tool_of {
        Some(server) => (format!("servers/{server}.toml"), NAME),
        None => (domain_path(&first.fqdn), TLS),
    };
    let place = files.get(&path).copied().unwrap_or_default().place(&[field]);
    let needed = counted_words(new.len(), "new certificate");
    let what = match first.tool_of {
        Some(_) => format!("{needed}, with those of servers' Dockge and Files"),
        None => needed,
    };
    let message = format!(
        "this change needs {what}: `{}` took {} within the last seven days, and may take {}",
        budget.member, budget.taken, budget.allowed
    );
    let hint = hint(&budget, proposal, first.tool_of.is_none());
    let finding = Finding::new(Severity::Error, path, Some(place), Invalid::new(message, hint));
    Some(finding.about(About::Field(field.to_owned())))
}

fn hint(budget: &Budget<'_>, proposal: &Proposal<'_>, is_domain: bool) -> String {
    let wait = match (budget.next(), budget.room()) {
        (None, _) => String::new(),
        (Some(next), 0) => format!("take the next from {next} on; until then, "),
        (Some(next), room) => format!("take {room} now, and the next from {next} on; until then, "),
    };
    let instead = if is_domain { "write `tls = \"internal\"`, or let" } else { "let" };
    format!(
        "{wait}{instead} {} raise `quota.certificates` in users/{}.toml",
        admins_in_words(proposal.before),
        budget.member
    )
}

/// The names with a certificate of their own that a member has after the change, and didn't have before it.
fn new_names<'a>(member: &UserName, proposal: &Proposal<'a>) -> Vec<Counted<'a>> {
    let (before, after) = (proposal.before, proposal.after);
    if before.domains == after.domains && before.servers == after.servers {
        return Vec::new();
    }
    let theirs = |name: &Counted<'_>| name.owner == member;
    let had: HashSet<Fqdn> = counted(before).filter(theirs).map(|name| name.fqdn).collect();
    counted(after).filter(theirs).filter(|name| !had.contains(&name.fqdn)).collect()
}

/// A time in words, rounded up to whole hours.
fn on_the_hour(time: SystemTime) -> String {
    const HOUR: u64 = 60 * 60;
    let seconds = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let hours = Duration::from_secs(seconds.div_ceil(HOUR).saturating_mul(HOUR));
    let text = humantime::format_rfc3339_seconds(SystemTime::UNIX_EPOCH + hours).to_string();
    let (date, hour) = (text.get(..10).unwrap_or_default(), text.get(11..16).unwrap_or_default());
    format!("{date} {hour} UTC")
}
