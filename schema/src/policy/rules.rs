//! The rules for members, one function a kind of file.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::iter;

use crate::docs::{self, DocsRead};
use crate::domain::{Domain, domain_path};
use crate::finding::{About, Finding, Severity};
use crate::firewall::Exception;
use crate::invalid::Invalid;
use crate::kind::Subject;
use crate::name::{Fqdn, ServerId, ServerName, UserName, label_below};
use crate::policy::place::Texts;
use crate::policy::proof;
use crate::policy::rulings::{File, Rulings};
use crate::policy::types::{Factors, Proposal, admins_in_words, help_in_words};
use crate::register::{Claim, Holder, IdRegister};
use crate::server::Server;
use crate::state::State;
use crate::text::{any_of, shown};
use crate::user::{QuotaOverride, Role, User};

/// Stand-in for a path where a commit's message is meant.
const COMMIT_MESSAGE: &str = "the commit's message";

/// A member's proposal, prepared for questions.
pub(crate) struct Case<'a> {
    member: &'a User,
    factors: Factors,
    before: Side<'a>,
    after: Side<'a>,
    proven: &'a [Fqdn],
    ids: &'a IdRegister,
    /// Names of the people to ask, once a file wants them: thousands of files may.
    help: OnceCell<String>,
    admins: OnceCell<String>,
}

/// A state in which servers are found by name, and domains by the name that they keep from others.
pub(crate) struct Side<'a> {
    pub(crate) state: &'a State,
    servers: HashMap<&'a str, &'a Server>,
    names: OnceCell<Names<'a>>,
}

/// Domains by what they keep from others, each list in their order.
#[derive(Default)]
struct Names<'a> {
    /// Those below the platform's domain, by their label there.
    labels: HashMap<&'a str, Vec<&'a Domain>>,
    /// All, by the name without a wildcard.
    bases: HashMap<&'a str, Vec<&'a Domain>>,
}

/// Fields of a server that its owner may not change.
struct Held<'a> {
    id: ServerId,
    owner: &'a UserName,
    allow: &'a [Exception],
}

impl<'a> Held<'a> {
    fn of(server: &'a Server) -> Self {
        // Whole, so that a field which is new has to be decided here: these are the owner's, within the quota.
        let Server {
            id,
            owner,
            allow,
            name: _,
            members: _,
            state: _,
            cpus: _,
            memory: _,
            pids: _,
            disk: _,
            image: _,
            reset: _,
            backup: _,
        } = server;
        Self { id: *id, owner, allow }
    }
}

impl<'a> Side<'a> {
    pub(crate) fn new(state: &'a State) -> Self {
        let servers = state.servers.values().map(|server| (server.name.as_str(), &**server)).collect();
        Self { state, servers, names: OnceCell::new() }
    }

    fn names(&self) -> &Names<'a> {
        self.names.get_or_init(|| {
            let mut names = Names::default();
            for domain in self.state.domains.values() {
                if let Some(label) = label_below(&domain.fqdn, &self.state.platform.domain) {
                    names.labels.entry(label).or_default().push(domain);
                }
                names.bases.entry(domain.fqdn.base()).or_default().push(domain);
            }
            names
        })
    }

    pub(crate) fn server(&self, name: &ServerName) -> Option<&'a Server> {
        self.servers.get(name.as_str()).copied()
    }

    /// Returns the holder of a domain: the owner of the server that it leads to.
    pub(crate) fn holder(&self, domain: &Domain) -> Option<&'a UserName> {
        self.server(&domain.server).map(|server| &server.owner)
    }

    /// Finds somebody else's domain that keeps a name from a member: below the platform's domain, any with the same label;
    /// elsewhere, one that equals the name or lies above it.
    pub(crate) fn in_the_way(&self, fqdn: &Fqdn, member: &UserName) -> Option<(&'a Fqdn, &'a UserName)> {
        let held = |others: &Vec<&'a Domain>| {
            others.iter().find_map(|other| {
                let holder = self.holder(other)?;
                (holder != member).then_some((&other.fqdn, holder))
            })
        };
        match label_below(fqdn, &self.state.platform.domain) {
            // The label belongs to whoever came first, with everything below it.
            Some(label) => self.names().labels.get(label).and_then(held),
            None => {
                let above = iter::successors(Some(fqdn.base()), |name| Some(name.split_once('.')?.1));
                let clashes = above.filter_map(|name| self.names().bases.get(name).and_then(held));
                clashes.min_by_key(|(other, _)| *other)
            }
        }
    }
}

/// Returns whether a name equals the other or lies below it.
fn is_below(name: &str, other: &str) -> bool {
    name.strip_suffix(other).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

impl<'a> Case<'a> {
    pub(crate) fn new(member: &'a User, proposal: &Proposal<'a>, factors: Factors) -> Self {
        let (before, after) = (Side::new(proposal.before), Side::new(proposal.after));
        let (help, admins) = (OnceCell::new(), OnceCell::new());
        Self { member, factors, before, after, proven: proposal.proven, ids: proposal.ids, help, admins }
    }

    /// Judges one file.
    pub(crate) fn rule(&self, path: &str, texts: Texts<'_>, rulings: &mut Rulings) {
        let mut file = File { path, texts, rulings };
        match Subject::of(path) {
            Ok(Some(Subject::User(name))) => self.rule_user(&name, &mut file),
            Ok(Some(Subject::Server(name))) => self.rule_server(&name, &mut file),
            Ok(Some(Subject::Domain(fqdn))) => self.rule_domain(&fqdn, &mut file),
            Ok(Some(Subject::Platform)) => {
                let message = "the platform's settings are the admins'".to_owned();
                file.deny(&[], message, format!("ask {} to change them", self.help()));
            }
            Ok(None) if docs::is_below(path) && self.before.state.platform.docs.read == DocsRead::Admins => {
                // No place: where a guess differs from the page isn't theirs to know.
                let message = "nobody but admins reads the pages of the wiki, or changes them";
                let invalid = Invalid::new(message, format!("ask {} to change it", self.admins()));
                let finding = Finding::new(Severity::Error, path, None, invalid);
                file.rulings.denied.push(finding.about(About::Whole));
            }
            Ok(None)
                if docs::is_below(path) && self.before.state.platform.docs.may_edit(&self.member.name) => {}
            Ok(None) => {
                let message = format!("`{}` is everybody's, so somebody else has to look at it", shown(path));
                let hint = format!("propose it: {} can agree to it", self.admins());
                let (severity, place) = (Severity::Warning, Some(file.texts.place(&[])));
                let finding = Finding::new(severity, path, place, Invalid::new(message, hint));
                file.rulings.everybodys.push(finding.about(About::Whole));
            }
            Err(invalid) => file.deny(&[], invalid.message, invalid.hint),
        }
    }

    /// Denies a member's allowance: the removal budget protects everybody's servers from a slip.
    pub(crate) fn rule_allowance(&self, allowance: Option<&str>, rulings: &mut Rulings) {
        if allowance.is_none() {
            return;
        }
        let me = &self.member.name;
        let invalid = Invalid::new(
            format!(
                "`{me}` may not lift the removal budget, as `Berth-Allow-Removals` in the commit's message would"
            ),
            format!(
                "take that line out (`git commit --amend`); once the removals are held back, {} can push a commit with it",
                self.admins()
            ),
        );
        rulings.denied.push(Finding::new(Severity::Error, COMMIT_MESSAGE, None, invalid));
    }

    fn rule_user(&self, name: &UserName, file: &mut File<'_, '_>) {
        let me = &self.member.name;
        if !self.before.state.users.contains_key(name) {
            let message = format!("`{me}` may not add a member");
            file.deny(&[], message, format!("ask {} to add `{name}`", self.help()));
            return;
        }
        if name != me {
            let message = format!("`{name}` has this file, and `{me}` may not change it");
            file.deny(&[], message, self.ask(name));
            return;
        }
        let Some(after) = self.after.state.users.get(name) else {
            let message = format!("`{me}` may change this file, and may not remove it");
            file.deny(&[], message, format!("ask {} to remove it", self.help()));
            return;
        };
        // Whole, so that a field which is new has to be decided here: those that aren't named below are the member's own.
        let User {
            name: _,
            role,
            email: _,
            password_hash: _,
            ssh_keys: _,
            passkeys,
            oidc,
            forge_accounts,
            tokens,
            second_factor,
            quota,
        } = &**after;
        // Whoever has one is judged as this member, so it is a way in; and nobody here can ask the forge whose it is.
        if forge_accounts.iter().any(|account| !self.member.forge_accounts.contains(account)) {
            let message = format!("`{me}` may not add an account at the forge to `{me}`");
            file.deny(&["forge_accounts"], message, format!("ask {} to add it", self.help()));
        }
        if self.factors == Factors::Kept {
            let change =
                "change it in the panel, under Account, which asks for your password and a code first";
            if *second_factor != self.member.second_factor {
                let message = format!("`{me}` may not change the second factor of `{me}` like this");
                file.deny(&["second_factor"], message, change.to_owned());
            }
            if passkeys.iter().any(|passkey| !self.member.passkeys.contains(passkey)) {
                let message = format!("`{me}` may not add a passkey of `{me}` like this");
                file.deny(&["passkeys"], message, change.replacen("change", "add", 1));
            }
            // Whoever says so could name any account, also one of somebody else's: only the provider's word binds one.
            if oidc.iter().any(|account| !self.member.oidc.contains(account)) {
                let message = format!("`{me}` may not bind an account at a provider like this");
                let hint = "bind it in the panel, under Account, which has you sign in at the provider first";
                file.deny(&["oidc"], message, hint.to_owned());
            }
            if tokens.iter().any(|token| !self.member.tokens.contains(token)) {
                let message = format!("`{me}` may not add a token of `{me}` like this");
                file.deny(&["tokens"], message, change.replacen("change", "add", 1));
            }
        }
        if *role != self.member.role {
            let message = format!("`{me}` may not change the role of `{me}`");
            file.deny(&["role"], message, format!("ask {} for another role", self.help()));
        }
        let had = &self.member.quota;
        let QuotaOverride { servers, cpus, memory, pids, disk, domains, certificates, custom_domains } =
            quota;
        let parts = [
            ("servers", had.servers == *servers),
            ("cpus", had.cpus == *cpus),
            ("memory", had.memory == *memory),
            ("pids", had.pids == *pids),
            ("disk", had.disk == *disk),
            ("domains", had.domains == *domains),
            ("certificates", had.certificates == *certificates),
            ("custom_domains", had.custom_domains == *custom_domains),
        ];
        for (part, _) in parts.iter().filter(|(_, same)| !same) {
            let message = format!("`{me}` may not change `quota.{part}` of `{me}`");
            file.deny(&["quota", part], message, format!("ask {} for another quota", self.help()));
        }
    }

    fn rule_server(&self, name: &ServerName, file: &mut File<'_, '_>) {
        let me = &self.member.name;
        match (self.before.server(name), self.after.server(name)) {
            (Some(before), _) if before.owner != *me => {
                let logs_in = if before.members.contains(me) {
                    "log in to it, and may not change it"
                } else {
                    "not change it"
                };
                let message = format!("server `{name}` is `{}`'s: `{me}` may {logs_in}", before.owner);
                file.deny(&[], message, self.ask(&before.owner));
            }
            // Its data is kept until the retention ends.
            (Some(_), None) => {}
            (Some(before), Some(after)) => {
                let Held { id, owner, allow } = Held::of(after);
                if owner != me {
                    let message = format!("`{me}` may not give server `{name}` to `{owner}`");
                    let hint = format!("ask {} to do it; it counts against another quota then", self.help());
                    file.deny(&["owner"], message, hint);
                }
                if id != before.id {
                    let message =
                        format!("the id of server `{name}` can't change from {} to {id}", before.id);
                    file.deny(&["id"], message, format!("an id is for ever: write {} again", before.id));
                }
                self.rule_exceptions(allow, &before.allow, file);
            }
            (None, Some(after)) => self.rule_new_server(after, file),
            (None, None) => {
                let message = format!("there is no server `{name}`, before or after");
                file.deny(&[], message, "leave the file alone".to_owned());
            }
        }
    }

    fn rule_new_server(&self, after: &Server, file: &mut File<'_, '_>) {
        let me = &self.member.name;
        let Held { id, owner, allow } = Held::of(after);
        if owner != me {
            let message = format!("`{me}` may not make a server for `{owner}`");
            file.deny(&["owner"], message, format!("write \"{me}\", or ask {} to make it", self.admins()));
        }
        let held = self.before.state.servers.get(&id);
        let granted = held.filter(|holder| holder.owner == *me).map_or(&[][..], |holder| &holder.allow);
        self.rule_exceptions(allow, granted, file);
        // The same id under another name and the same owner is a server that was renamed.
        if let Some(holder) = held {
            if holder.owner != *me {
                let message =
                    format!("id {id} is of server `{}`, which is `{}`'s", holder.name, holder.owner);
                file.deny(&["id"], message, self.other_id());
            }
            return;
        }
        match self.ids.claim(id, me) {
            Claim::New if self.ids.has_enough(self.before.state, me) => {
                let spare = self.ids.spare(self.before.state, me).map(|id| id.to_string());
                let message = format!("`{me}` has enough ids that no server has");
                let hint = format!("use one of them again: {}", any_of(spare));
                file.deny(&["id"], message, hint);
            }
            Claim::New | Claim::Again => {}
            // With its id and its name, a removed server comes back with its data, whoever writes the file.
            Claim::Foreign(Holder::Member(owner)) => {
                file.deny(&["id"], format!("id {id} was a server of `{owner}`'s"), self.other_id());
            }
            Claim::Foreign(Holder::Former { former }) => {
                let message = format!("id {id} was a server of `{former}`'s, who isn't a member any more");
                file.deny(&["id"], message, self.other_id());
            }
        }
    }

    fn other_id(&self) -> String {
        match self.ids.free(self.before.state, &self.member.name) {
            Some(id) => format!("an id is for ever: use another, such as {id}"),
            None => format!("an id is for ever, and no other is left: ask {} for one", self.help()),
        }
    }

    /// Denies a change of a server's exceptions, which only admins grant. A renamed server keeps its own.
    fn rule_exceptions(&self, allow: &[Exception], granted: &[Exception], file: &mut File<'_, '_>) {
        if allow != granted {
            let message = format!("`{}` may not change `allow`, the firewall's exceptions", self.member.name);
            file.deny(&["allow"], message, format!("ask {} for them", self.help()));
        }
    }

    fn rule_domain(&self, fqdn: &Fqdn, file: &mut File<'_, '_>) {
        let me = &self.member.name;
        if *fqdn == self.before.state.platform.domain {
            let message = format!("`{fqdn}` is the organisation's own, and only admins lead it to a server");
            file.deny(&[], message, format!("ask {} to do it, or choose a name below it", self.help()));
            return;
        }
        let before = self.before.state.domains.get(fqdn);
        let after = self.after.state.domains.get(fqdn);
        if let Some(holder) =
            before.and_then(|domain| self.before.holder(domain)).filter(|holder| *holder != me)
        {
            let message = format!("`{fqdn}` is `{holder}`'s, and `{me}` may not change it");
            file.deny(&[], message, format!("choose another name, or {}", self.ask(holder)));
            return;
        }
        match (before, after) {
            (None, None) => {
                let message = format!("there is no domain `{fqdn}`, before or after");
                file.deny(&[], message, "leave the file alone".to_owned());
            }
            (Some(_), None) => {}
            (_, Some(after)) => {
                // Whole, so that a field which is new has to be decided here: how a name is served is its holder's.
                let Domain { fqdn: _, server, port: _, tls: _, access: _, cloudflare: _ } = &**after;
                let target = self.after.server(server);
                if let Some(server) = target.filter(|server| server.owner != *me) {
                    let message = format!(
                        "server `{}` is `{}`'s, so `{me}` may not lead a name to it",
                        server.name, server.owner
                    );
                    file.deny(&["server"], message, "name a server of your own".to_owned());
                }
                if before.is_none() {
                    self.rule_new_name(fqdn, file);
                }
            }
        }
    }

    fn rule_new_name(&self, fqdn: &Fqdn, file: &mut File<'_, '_>) {
        let me = &self.member.name;
        let platform = &self.before.state.platform.domain;
        if let Some((other, holder)) = self.before.in_the_way(fqdn, me) {
            let message = format!("`{fqdn}` lies within what `{other}` holds, which is `{holder}`'s");
            file.deny(
                &["server"],
                message,
                format!("choose a name outside it, or ask `{holder}`; see {}", domain_path(other)),
            );
            return;
        }
        let is_proven = || self.proven.iter().any(|proven| is_below(fqdn.base(), proven.base()));
        if label_below(fqdn, platform).is_none() && !is_proven() {
            let message =
                format!("nobody has proved yet that `{fqdn}` is `{me}`'s: it is outside `{platform}`");
            let record = proof(fqdn, me, platform);
            let hint = format!(
                "publish the DNS record `{}. TXT \"{}\"` and try again, or let {} agree to it; names below \
                 `{platform}` need no proof",
                record.record,
                record.text,
                self.admins()
            );
            file.review(&["server"], message, hint);
        }
    }

    /// Returns a hint that names the people to ask for something that somebody else has.
    fn ask(&self, holder: &UserName) -> String {
        let admins = self.help();
        match self.before.state.users.get(holder) {
            Some(user) if user.role == Role::User => format!("ask `{holder}`, or {admins}"),
            _ => format!("ask {admins}"),
        }
    }

    fn admins(&self) -> &str {
        self.admins.get_or_init(|| admins_in_words(self.before.state))
    }

    /// Names the people whom the member asks, as the object of "ask".
    fn help(&self) -> &str {
        self.help.get_or_init(|| help_in_words(self.before.state))
    }
}
