//! Usage of members against what they may use: names, and sums over all their servers.
//!
//! Stopped servers count like running ones: starting a server never fails for want of quota.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::domain::DomainFile;
use crate::invalid::Invalid;
use crate::name::{Fqdn, label_below};
use crate::parse::Parsed;
use crate::platform::Platform;
use crate::quantity::{Bytes, Cpus};
use crate::resolve::Files;
use crate::server::Server;
use crate::state::State;
use crate::text::counted;
use crate::user::{Quota, User};

/// One amount of a quota: how much of it a member uses and may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Amount {
    /// The field of the quota: `servers`, `cpus`, `memory`, `pids`, `disk` or `domains`.
    pub field: &'static str,
    /// Amount in use, in the field's smallest unit: pieces, billionths of a processor, bytes.
    pub used: u64,
    /// Amount allowed, in the same unit.
    pub allowed: u64,
    /// Amount in use, in words.
    pub used_text: String,
    /// Amount allowed, in words.
    pub allowed_text: String,
}

/// Returns what a member uses and may use. Looks at every server and domain.
pub fn amounts(state: &State, user: &User) -> Vec<Amount> {
    let own = state.servers.values().filter(|server| server.owner == user.name);
    let (mut usage, mut names) = (Usage::default(), HashSet::new());
    for server in own {
        usage.add(server, &state.platform);
        names.insert(&server.name);
    }
    let domains = state.domains.values().filter(|domain| names.contains(&domain.server)).count();
    usage.domains = u32::try_from(domains).unwrap_or(u32::MAX);
    let quota = state.quota(user);
    limits().map(|limit| limit.amount(&usage, &quota, &state.platform)).collect()
}

fn limits() -> impl Iterator<Item = &'static Limit> {
    SERVER_LIMITS.iter().chain([&DOMAIN_LIMIT])
}

/// Amounts that a member's servers and domains use together.
#[derive(Debug, Clone, Copy, Default)]
struct Usage {
    servers: u32,
    nano_cpus: u64,
    memory: u64,
    pids: u64,
    disk: u64,
    domains: u32,
}

/// Everything that belongs to one member.
#[derive(Default)]
struct Owned {
    total: Usage,
    /// Places in the list of servers.
    servers: Vec<usize>,
    /// Places in the list of domains.
    domains: Vec<usize>,
}

/// A limit that a member goes over.
struct Over<'a> {
    limit: &'static Limit,
    /// The file in which they do, and the byte offset there.
    place: (&'a Parsed, usize),
    invalid: Invalid,
}

/// Precision of an amount in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Words {
    Rounded,
    Exact,
}

impl Words {
    fn of(self, bytes: u64) -> String {
        match self {
            Self::Rounded => Bytes::new(bytes).rounded(),
            Self::Exact => Bytes::new(bytes).to_string(),
        }
    }
}

/// One limit: its field, the amounts used and allowed, and their words in a message.
struct Limit {
    field: &'static str,
    used: fn(&Usage) -> u64,
    allowed: fn(&Quota, &Platform) -> u64,
    shown: fn(u64, Words) -> String,
    /// Set if it is newer than states that hold more (`crate::strict`).
    is_strict: bool,
}

const SERVER_LIMITS: [Limit; 5] = [
    Limit {
        field: "servers",
        used: |usage| usage.servers.into(),
        allowed: |quota, _| quota.servers.into(),
        shown: |servers, _| counted(servers, "server"),
        is_strict: false,
    },
    Limit {
        field: "cpus",
        used: |usage| usage.nano_cpus,
        allowed: |quota, _| quota.cpus.nanos(),
        shown: |nanos, _| format!("{} cpus", Cpus::from_nanos(nanos)),
        is_strict: false,
    },
    Limit {
        field: "memory",
        used: |usage| usage.memory,
        allowed: |quota, _| quota.memory.get(),
        shown: |bytes, words| format!("{} of memory", words.of(bytes)),
        is_strict: false,
    },
    Limit {
        field: "pids",
        used: |usage| usage.pids,
        allowed: |quota, platform| quota.pids(platform.defaults.pids),
        shown: |pids, _| format!("{pids} processes"),
        is_strict: true,
    },
    Limit {
        field: "disk",
        used: |usage| usage.disk,
        allowed: |quota, _| quota.disk.get(),
        shown: |bytes, words| format!("{} of disk", words.of(bytes)),
        is_strict: false,
    },
];

const DOMAIN_LIMIT: Limit = Limit {
    field: "domains",
    used: |usage| usage.domains.into(),
    allowed: |quota, _| quota.domains.into(),
    shown: |domains, _| counted(domains, "domain"),
    is_strict: false,
};

impl Usage {
    fn add(&mut self, server: &Server, platform: &Platform) {
        let limits = server.limits(&platform.defaults);
        self.servers = self.servers.saturating_add(1);
        self.nano_cpus = self.nano_cpus.saturating_add(limits.nano_cpus);
        self.memory = self.memory.saturating_add(limits.memory);
        self.pids = self.pids.saturating_add(limits.pids.into());
        self.disk = self.disk.saturating_add(server.disk(&platform.defaults).get());
    }
}

impl Limit {
    fn amount(&self, usage: &Usage, quota: &Quota, platform: &Platform) -> Amount {
        let (used, allowed) = ((self.used)(usage), (self.allowed)(quota, platform));
        let [used_text, allowed_text] = self.texts(used, allowed);
        Amount { field: self.field, used, allowed, used_text, allowed_text }
    }

    /// Both amounts in words, which differ where the amounts do.
    fn texts(&self, used: u64, allowed: u64) -> [String; 2] {
        let texts = |words| [used, allowed].map(|amount| (self.shown)(amount, words));
        let rounded = texts(Words::Rounded);
        if used != allowed && rounded[0] == rounded[1] { texts(Words::Exact) } else { rounded }
    }

    fn is_over(&self, usage: &Usage, quota: &Quota, platform: &Platform) -> bool {
        (self.used)(usage) > (self.allowed)(quota, platform)
    }

    /// The message for a total that is over.
    fn message(&self, user: &User, total: &Usage, quota: &Quota, platform: &Platform) -> String {
        let Amount { used_text: used, allowed_text: allowed, .. } = self.amount(total, quota, platform);
        format!("`{}` has {used} in all, and may have {allowed}", user.name)
    }

    fn hint(&self, user: &User, platform: &Platform) -> String {
        let help = platform.organisation.help();
        format!("take some away, or ask {help} to raise `quota.{}` in users/{}.toml", self.field, user.name)
    }
}

impl<'a> Files<'a> {
    /// Sums per member. The finding stands at the first thing that goes over, in the order of ids or names, and what stood there before
    /// a change comes first.
    pub(crate) fn check_usage(&mut self, platform: &Platform) {
        let mut over: Vec<Over<'a>> = Vec::new();
        for (owner, owned) in self.owned_beyond(platform) {
            over.extend(self.goes_over(owner, &owned, platform));
        }
        for Over { limit, place: (parsed, at), invalid } in over {
            match limit.is_strict {
                true => self.strict(parsed, at, invalid),
                false => self.error(parsed, at, invalid.message, invalid.hint),
            }
        }
    }

    /// Everything that the members have who go over a limit. Two walks over the servers and the domains find it for all of them.
    fn owned_beyond(&self, platform: &Platform) -> Vec<(&'a User, Owned)> {
        let mut totals: HashMap<&str, Usage> = HashMap::with_capacity(self.users_by_name.len());
        for (_, server) in self.servers_owned() {
            totals.entry(server.owner.as_str()).or_default().add(server, platform);
        }
        for (_, server) in self.domains_owned() {
            let total = totals.entry(server.owner.as_str()).or_default();
            total.domains = total.domains.saturating_add(1);
        }
        let over = totals.into_iter().filter_map(|(owner, total)| {
            let user = &**self.users_by_name.get(owner).and_then(|index| self.users[*index].value)?;
            let quota = user.quota.over(&platform.quota);
            let goes_over = limits().any(|limit| limit.is_over(&total, &quota, platform));
            goes_over.then(|| (owner, (user, Owned { total, ..Owned::default() })))
        });
        let mut over: HashMap<&str, (&User, Owned)> = over.collect();
        if over.is_empty() {
            return Vec::new();
        }
        for (index, server) in self.servers_owned() {
            if let Some((_, owned)) = over.get_mut(server.owner.as_str()) {
                owned.servers.push(index);
            }
        }
        for (index, server) in self.domains_owned() {
            if let Some((_, owned)) = over.get_mut(server.owner.as_str()) {
                owned.domains.push(index);
            }
        }
        over.into_values().collect()
    }

    /// The place of each server in the list, and the server.
    fn servers_owned(&self) -> impl Iterator<Item = (usize, &'a Arc<Server>)> {
        let servers = self.servers.iter().enumerate();
        servers.filter_map(|(index, entry)| Some((index, entry.value?))).inspect(|_| counted_work())
    }

    /// The place of each domain in the list, and the server that it leads to.
    fn domains_owned(&self) -> impl Iterator<Item = (usize, &'a Arc<Server>)> {
        let domains = self.domains.iter().enumerate();
        domains
            .filter_map(|(index, domain)| Some((index, self.target(domain.file)?)))
            .inspect(|_| counted_work())
    }

    /// The limits that a member goes over, each with the place where.
    fn goes_over(&self, user: &User, owned: &Owned, platform: &Platform) -> Vec<Over<'a>> {
        let (total, quota) = (&owned.total, user.quota.over(&platform.quota));
        // Where nobody has said, too many servers have too many processes: one of the two findings is enough.
        let told = quota.pids.is_none() && total.servers > quota.servers;
        let over = limits()
            .filter(|limit| limit.is_over(total, &quota, platform) && !(told && limit.field == "pids"))
            .filter_map(|limit| {
                let place = match limit.field {
                    "domains" => self.domain_that_goes_over(owned, &quota),
                    _ => self.server_that_goes_over(owned, &quota, limit, platform),
                };
                let (message, hint) =
                    (limit.message(user, total, &quota, platform), limit.hint(user, platform));
                let invalid = Invalid::new(message, hint);
                Some(Over { limit, place: place?, invalid })
            });
        over.collect()
    }

    fn server_that_goes_over(
        &self,
        owned: &Owned,
        quota: &Quota,
        limit: &Limit,
        platform: &Platform,
    ) -> Option<(&'a Parsed, usize)> {
        let entries = owned.servers.iter().map(|index| &self.servers[*index]);
        let mut own: Vec<_> = entries.filter_map(|entry| Some((entry, entry.value?))).collect();
        own.sort_by_key(|(entry, server)| (entry.is_new, server.id));
        let mut usage = Usage::default();
        let (entry, _) = own.into_iter().find(|(_, server)| {
            usage.add(server, platform);
            limit.is_over(&usage, quota, platform)
        })?;
        let field = match limit.field {
            "cpus" => entry.file.cpus,
            "memory" => entry.file.memory,
            "pids" => entry.file.pids,
            "disk" => entry.file.disk,
            _ => None,
        };
        // A server that leaves the amount to the default is named at its owner.
        field.or(entry.file.owner.as_ref().map(|owner| owner.at)).map(|at| (entry.parsed, at))
    }

    fn domain_that_goes_over(&self, owned: &Owned, quota: &Quota) -> Option<(&'a Parsed, usize)> {
        let mut own: Vec<_> = owned.domains.iter().map(|index| &self.domains[*index]).collect();
        own.sort_by_key(|entry| entry.is_new);
        let entry = own.get(quota.domains as usize)?;
        entry.file.server.as_ref().map(|server| (entry.parsed, server.at))
    }

    /// Checks that members may have the names of their domains. Below the platform's domain they may have any free label,
    /// but no reserved one, not the domain itself, and nothing below somebody else's name. Elsewhere they need leave for
    /// names of their own.
    pub(crate) fn check_names(&mut self, platform: &Platform) {
        let labels = self.label_owners(platform);
        let mut refused = Vec::new();
        for domain in &self.domains {
            let Some(target) = &domain.file.server else { continue };
            let refusal = match label_below(&domain.file.fqdn, &platform.domain) {
                _ if is_panel(&domain.file.fqdn, platform) => {
                    let message = format!("`{}` is the panel's name, or leads there", domain.file.fqdn);
                    let hint = "an app of that name would get the cookies of everybody who is signed in to the panel; choose another \
                                name (`panel.domain` in platform.toml)";
                    Some((message, hint.to_owned()))
                }
                Some(label) => self.refuse_label(domain.file, label, platform, &labels),
                None => self.refuse_outside(domain.file, platform),
            };
            refused.extend(refusal.map(|refusal| (domain.parsed, target.at, refusal)));
        }
        for (parsed, at, (message, hint)) in refused {
            self.error(parsed, at, message, hint);
        }
    }

    /// Returns the name with each label below the platform's domain that its owner has it by, and its server: one that stood there before
    /// the change, and the shortest of those.
    fn label_owners(&self, platform: &Platform) -> HashMap<&'a str, (&'a Fqdn, &'a Arc<Server>)> {
        let mut owners: HashMap<&str, (_, &Fqdn, &Arc<Server>)> = HashMap::with_capacity(self.domains.len());
        for domain in &self.domains {
            let fqdn = &domain.file.fqdn;
            let (Some(label), Some(server)) = (label_below(fqdn, &platform.domain), self.target(domain.file))
            else {
                continue;
            };
            // A name changes hands with its server, too.
            let is_new = domain.is_new || self.leads_to_new(domain.file);
            let rank = (is_new, fqdn.base().len(), fqdn.is_wildcard());
            let holder = owners.entry(label).or_insert((rank, fqdn, server));
            if rank < holder.0 {
                *holder = (rank, fqdn, server);
            }
        }
        owners.into_iter().map(|(label, (_, fqdn, server))| (label, (fqdn, server))).collect()
    }

    fn leads_to_new(&self, domain: &DomainFile) -> bool {
        let target =
            domain.server.as_ref().and_then(|server| self.servers_by_name.get(server.value.as_str()));
        target.is_some_and(|index| self.servers[*index].is_new)
    }

    fn refuse_label(
        &self,
        domain: &DomainFile,
        label: &str,
        platform: &Platform,
        labels: &HashMap<&str, (&Fqdn, &Arc<Server>)>,
    ) -> Option<(String, String)> {
        let fqdn = &domain.fqdn;
        if platform.access.is_reserved(label) {
            let message = format!("`{fqdn}` is reserved for the platform");
            return Some((
                message,
                "choose another name; `access.reserved` in platform.toml lists these".to_owned(),
            ));
        }
        let owner = &self.target(domain)?.owner;
        let (holder, server) = labels.get(label)?;
        (server.owner != *owner).then(|| {
            let (own, other) = (format!("{label}.{}", platform.domain), &server.owner);
            let with = if holder.as_str() == own { String::new() } else { format!(", who has `{holder}`") };
            let message = match fqdn.as_str() == own {
                true => format!("`{fqdn}` and everything below it is `{other}`'s{with}"),
                false => format!("`{fqdn}` lies within `{own}`, which is `{other}`'s{with}"),
            };
            (message, format!("choose a name outside it, or a server of `{other}`'s"))
        })
    }

    fn refuse_outside(&self, domain: &DomainFile, platform: &Platform) -> Option<(String, String)> {
        let (fqdn, own) = (&domain.fqdn, &platform.domain);
        if fqdn == own {
            // The organisation's own: the policy lets admins alone lead it anywhere.
            return None;
        }
        if fqdn.base() == own.as_str() {
            let message = format!("`{fqdn}` is the platform's own");
            return Some((message, format!("choose a name below it, such as `shop.{own}`")));
        }
        let owner = &self.target(domain)?.owner;
        let quota = self.user(owner)?.quota.over(&platform.quota);
        (!quota.custom_domains).then(|| {
            let message = format!("`{fqdn}` is outside `{own}`, and `{owner}` may not use such names");
            let help = platform.organisation.help();
            let hint = format!("choose a name below `{own}`, or ask {help} to set `quota.custom_domains` in users/{owner}.toml");
            (message, hint)
        })
    }
}

fn is_panel(fqdn: &Fqdn, platform: &Platform) -> bool {
    platform.panel.as_ref().is_some_and(|panel| panel.is_met_by(fqdn))
}

/// Counts a look at something of a member's, for the test that compares how many there are.
#[cfg(not(test))]
fn counted_work() {}

#[cfg(test)]
use tests::counted_work;

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use crate::parse::Parsed;
    use crate::state::State;

    thread_local! {
        static LOOKS: Cell<usize> = const { Cell::new(0) };
    }

    pub(super) fn counted_work() {
        LOOKS.set(LOOKS.get() + 1);
    }

    /// The findings of a state in which so many members go over every quota, and the looks that they took.
    fn over(members: usize) -> (usize, usize) {
        let quota = "[quota]\nservers = 0\ndomains = 0\n";
        let platform = format!("domain = \"h.org\"\n[networks]\nusers = \"10.0.0.0/8\"\n{quota}");
        let mut files = vec![Parsed::parse("platform.toml", &platform)];
        for n in 1..=members {
            files.push(Parsed::parse(&format!("users/u{n}.toml"), ""));
            files
                .push(Parsed::parse(&format!("servers/s{n}.toml"), &format!("id = {n}\nowner = \"u{n}\"\n")));
            let domain = format!("domains/d{n}.h.org.toml");
            files.push(Parsed::parse(&domain, &format!("server = \"s{n}\"\n")));
        }
        LOOKS.set(0);
        let findings = State::assemble(&files).expect_err("everybody has too much");
        (findings.len(), LOOKS.get())
    }

    #[test]
    fn twice_the_members_over_their_quota_take_twice_the_looks() {
        let ((few, looks), (many, more)) = (over(50), over(100));
        assert_eq!((few, many), (2 * 50, 2 * 100), "each member has two findings of their own");
        assert_eq!(more, 2 * looks);
    }
}
