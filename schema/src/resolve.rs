//! Files against each other: references, uniqueness and addresses.
//!
//! Owns what no file can know on its own. Files that are refused for themselves still take part with what is known of
//! them, so that one mistake doesn't show up as ten, and all mistakes show up at once. Sums are in [`crate::usage`].

use std::collections::{BTreeMap, HashMap, hash_map};
use std::sync::Arc;

use toml::de::DeTable;

use crate::docs::DocsEdit;
use crate::domain::{Domain, DomainAccess, DomainFile};
use crate::finding::{Finding, Severity};
use crate::firewall::refuse_own;
use crate::invalid::Invalid;
use crate::name::{UserName, label_below};
use crate::parse::{Content, Parsed};
use crate::platform::Platform;
use crate::server::{Server, ServerFile};
use crate::state::State;
use crate::strict::TRUSTED;
use crate::suggest;
use crate::tool::{Tool, refused};
use crate::user::{Role, User, UserFile};

/// A file of a kind, and the valid thing in it.
pub(crate) struct Entry<'a, F, T> {
    pub(crate) parsed: &'a Parsed,
    pub(crate) file: &'a F,
    pub(crate) value: Option<&'a Arc<T>>,
    /// True if a change brings it in, or writes it anew. What stood there before keeps what both claim.
    pub(crate) is_new: bool,
}

/// All files of a state repo, by kind.
#[derive(Default)]
pub(crate) struct Files<'a> {
    platform: Option<(&'a Parsed, Option<&'a Arc<Platform>>)>,
    pub(crate) users: Vec<Entry<'a, UserFile, User>>,
    pub(crate) servers: Vec<Entry<'a, ServerFile, Server>>,
    pub(crate) domains: Vec<Entry<'a, DomainFile, Domain>>,
    /// Index of each name in the lists above.
    pub(crate) users_by_name: HashMap<&'a str, usize>,
    pub(crate) servers_by_name: HashMap<&'a str, usize>,
    findings: Vec<Finding>,
    /// Searches for a near name that are left. One among thousands takes time, so later findings do without.
    suggestions_left: u32,
}

impl State {
    /// Resolves files against each other. `Err` holds every finding, sorted by place.
    pub fn assemble<'a>(files: impl IntoIterator<Item = &'a Parsed>) -> Result<Self, Vec<Finding>> {
        Files::of(files, |_| false).resolve()
    }

    /// The same for a change: the files whose paths `is_new` returns true for are the change's, and the others stood there before. Where two
    /// claim the same, it is the other's, and the finding stands at the change's own file.
    pub fn assemble_change<'a>(
        files: impl IntoIterator<Item = &'a Parsed>,
        is_new: impl Fn(&str) -> bool,
    ) -> Result<Self, Vec<Finding>> {
        Files::of(files, is_new).resolve()
    }
}

impl<'a> Files<'a> {
    pub(crate) fn of(files: impl IntoIterator<Item = &'a Parsed>, is_new: impl Fn(&str) -> bool) -> Self {
        let mut all = Self { suggestions_left: 50, ..Self::default() };
        for parsed in files {
            let is_new = is_new(parsed.path());
            all.findings.extend_from_slice(parsed.findings());
            match &parsed.content {
                Content::Other => {}
                Content::Platform(value) => all.platform = Some((parsed, value.as_ref())),
                Content::User(file, value) => {
                    all.users.push(Entry { parsed, file, value: value.as_ref(), is_new });
                }
                Content::Server(file, value) => {
                    all.servers.push(Entry { parsed, file, value: value.as_ref(), is_new });
                }
                Content::Domain(file, value) => {
                    all.domains.push(Entry { parsed, file, value: value.as_ref(), is_new });
                }
            }
        }
        // The order in which files come may not decide which of two is the offender: what stood there before comes first, and then
        // paths decide. They come from a tree, sorted, and sorting what is sorted costs one look at each.
        all.users.sort_by_key(|entry| (entry.is_new, entry.parsed.path()));
        all.servers.sort_by_key(|entry| (entry.is_new, entry.parsed.path()));
        all.domains.sort_by_key(|entry| (entry.is_new, entry.parsed.path()));
        all.users_by_name = by_name(&all.users, |file| file.name.as_str());
        all.servers_by_name = by_name(&all.servers, |file| file.name.as_str());
        all
    }

    pub(crate) fn resolve(mut self) -> Result<State, Vec<Finding>> {
        self.check_ids();
        self.check_keys();
        self.check_passkeys();
        self.check_tokens();
        self.check_accounts();
        self.check_forge_accounts();
        self.check_people();
        self.check_targets();
        let platform = match self.platform {
            None => {
                self.findings.push(missing_platform());
                None
            }
            Some((_, None)) => None,
            Some((_, Some(platform))) => {
                self.check_addresses(platform);
                self.check_exceptions(platform);
                self.check_names(platform);
                self.check_own_account(platform);
                self.check_tools(platform);
                self.check_trusted(platform);
                self.check_guarded(platform);
                self.check_usage(platform);
                self.check_editors(platform);
                Some(platform)
            }
        };
        self.findings.sort();
        self.findings.dedup();
        let refused = self.findings.iter().any(|finding| finding.severity == Severity::Error);
        match platform {
            Some(platform) if !refused => Ok(State {
                platform: Arc::clone(platform),
                users: collect(&self.users, |user| user.name.clone()),
                servers: collect(&self.servers, |server| server.id),
                domains: collect(&self.domains, |domain| domain.fqdn.clone()),
                warnings: self.findings,
            }),
            _ => Err(self.findings),
        }
    }

    /// Records an error at a byte offset of a file.
    pub(crate) fn error(&mut self, parsed: &Parsed, at: usize, message: String, hint: impl Into<String>) {
        let path = Arc::clone(parsed.shared_path());
        let invalid = Invalid::new(message, hint);
        self.findings.push(Finding::new(Severity::Error, path, parsed.position(at), invalid));
    }

    /// Records, at a byte offset of a file, what a change may not bring in (`crate::strict`).
    pub(crate) fn strict(&mut self, parsed: &Parsed, at: usize, invalid: Invalid) {
        let path = Arc::clone(parsed.shared_path());
        let finding = Finding::new(Severity::Warning, path, parsed.position(at), invalid);
        self.findings.push(Finding { is_strict: true, ..finding });
    }

    /// Tells of members' domains whose names are tools', or lie below one.
    pub(crate) fn check_tools(&mut self, platform: &Platform) {
        let taken = self.domains.iter().filter_map(|domain| {
            let fqdn = &domain.file.fqdn;
            let tool = Tool::of_label(label_below(fqdn, &platform.domain)?)?;
            Some((domain.parsed, domain.file.server.as_ref()?.at, refused(fqdn, tool)))
        });
        for (parsed, at, invalid) in taken.collect::<Vec<_>>() {
            self.strict(parsed, at, invalid);
        }
    }

    /// Tells of members' domains that programs would trust for their names.
    fn check_trusted(&mut self, platform: &Platform) {
        let taken = self.domains.iter().filter_map(|domain| {
            let fqdn = &domain.file.fqdn;
            let label = label_below(fqdn, &platform.domain).filter(|label| TRUSTED.contains(label))?;
            let owner = &self.target(domain.file)?.owner;
            let user = self.users_by_name.get(owner.as_str()).and_then(|index| self.users[*index].value)?;
            let message = format!(
                "`{fqdn}` has a name that programs, or people, take for the organisation's own: `{label}`"
            );
            let hint = "choose another name; a server of an admin's may have it";
            (user.role != Role::Admin).then_some((
                domain.parsed,
                domain.file.server.as_ref()?.at,
                Invalid::new(message, hint),
            ))
        });
        for (parsed, at, invalid) in taken.collect::<Vec<_>>() {
            self.strict(parsed, at, invalid);
        }
    }

    /// Tells of domains that nobody can open, since there is no panel to sign in at.
    fn check_guarded(&mut self, platform: &Platform) {
        if platform.panel.is_some() {
            return;
        }
        let guarded = self
            .domains
            .iter()
            .filter(|entry| entry.value.is_some_and(|domain| domain.access != DomainAccess::Public));
        let warnings = guarded.map(|entry| {
            let message = format!("nobody can open `{}`: there is no panel to sign in at", entry.file.fqdn);
            let hint = "write a `[panel]` table in platform.toml (docs/panel.md), or `access = \"public\"`";
            let path = Arc::clone(entry.parsed.shared_path());
            Finding::new(Severity::Warning, path, None, Invalid::new(message, hint))
        });
        self.findings.extend(warnings.collect::<Vec<_>>());
    }

    pub(crate) fn user(&self, name: &UserName) -> Option<&'a Arc<User>> {
        self.users_by_name.get(name.as_str()).and_then(|index| self.users[*index].value)
    }

    fn check_ids(&mut self) {
        let mut holders = HashMap::with_capacity(self.servers.len());
        let mut clashes = Vec::new();
        for (index, server) in self.servers.iter().enumerate() {
            let Some(id) = server.file.id else { continue };
            // The first keeps it.
            match holders.entry(id.value) {
                hash_map::Entry::Occupied(holder) => clashes.push((index, id, *holder.get())),
                hash_map::Entry::Vacant(free) => _ = free.insert((index, id.at)),
            }
        }
        let highest = holders.keys().map(|id| id.get()).max().unwrap_or(0);
        for (index, id, (holder, holder_at)) in clashes {
            let message =
                format!("id {} is taken by {}", id.value, place(self.servers[holder].parsed, holder_at));
            let newer = if Self::is_later(&self.servers[index], &self.servers[holder]) {
                "this"
            } else {
                "the newer"
            };
            let hint = format!(
                "an id is for ever: give {newer} server another, such as {}",
                highest.saturating_add(1)
            );
            self.error(self.servers[index].parsed, id.at, message, hint);
        }
    }

    fn check_keys(&mut self) {
        let mut holders = HashMap::with_capacity(self.users.len());
        let mut clashes = Vec::new();
        for (index, user) in self.users.iter().enumerate() {
            for key in &user.file.keys {
                match holders.entry(key.value.key_data()) {
                    hash_map::Entry::Occupied(holder) => clashes.push((index, key.at, *holder.get())),
                    hash_map::Entry::Vacant(free) => _ = free.insert((index, key.at)),
                }
            }
        }
        for (index, at, (holder, holder_at)) in clashes {
            let place = place(self.users[holder].parsed, holder_at);
            let (message, hint) = if holder == index {
                (format!("this SSH key is listed twice, first at {place}"), "remove one of the two")
            } else {
                let message = format!("this SSH key is `{}`'s, at {place}", self.users[holder].file.name);
                let hint = match Self::is_later(&self.users[index], &self.users[holder]) {
                    true => "a key logs in one person, and was theirs first: take it out of this file",
                    false => "a key logs in one person: remove it from one of the two files",
                };
                (message, hint)
            };
            self.error(self.users[index].parsed, at, message, hint);
        }
    }

    fn check_passkeys(&mut self) {
        self.check_holders(
            |user| user.passkeys.iter().map(|passkey| (passkey.value.id(), passkey.at)).collect(),
            "a passkey of this id",
            "a passkey is one person's: remove one of the two",
        );
    }

    fn check_accounts(&mut self) {
        self.check_holders(
            |user| user.oidc.iter().map(|account| (account.value.as_str(), account.at)).collect(),
            "this account at a provider",
            "an account signs in one person: remove one of the two",
        );
    }

    fn check_forge_accounts(&mut self) {
        self.check_holders(
            |user| user.forge_accounts.iter().map(|account| (account.value.as_str(), account.at)).collect(),
            "this account at the forge",
            "an account is one person's: remove it from one of the two files",
        );
    }

    /// Refuses Berth's own account at the forge as a member's: what Berth pushes for others would be judged as theirs.
    fn check_own_account(&mut self, platform: &Platform) {
        let Some(ours) = platform.remote.as_ref().and_then(|remote| remote.account.as_ref()) else { return };
        let held = |(index, user): (usize, &Entry<'_, UserFile, User>)| {
            Some((index, user.file.forge_accounts.iter().find(|account| account.value == *ours)?.at))
        };
        let found: Vec<_> = self.users.iter().enumerate().filter_map(held).collect();
        for (index, at) in found {
            let message = "this is Berth's own account at the forge, by `remote.account` in platform.toml";
            let hint = "give Berth an account that is nobody's: what it pushes there for others would be judged as this member's";
            self.error(self.users[index].parsed, at, message.to_owned(), hint);
        }
    }

    fn check_tokens(&mut self) {
        self.check_holders(
            |user| user.tokens.iter().map(|token| (token.value.digest(), token.at)).collect(),
            "a token of this digest",
            "a token is one person's: remove one of the two",
        );
    }

    /// Refuses what a second line holds. `held` collects a user's values, each with its place in the file.
    fn check_holders(&mut self, held: fn(&UserFile) -> Vec<(&str, usize)>, what: &str, hint: &str) {
        let mut holders = HashMap::new();
        let mut clashes = Vec::new();
        for (index, user) in self.users.iter().enumerate() {
            for (value, at) in held(user.file) {
                match holders.entry(value) {
                    hash_map::Entry::Occupied(holder) => clashes.push((index, at, *holder.get())),
                    hash_map::Entry::Vacant(free) => _ = free.insert((index, at)),
                }
            }
        }
        for (index, at, (holder, holder_at)) in clashes {
            let place = place(self.users[holder].parsed, holder_at);
            let message = format!("{what} is `{}`'s, at {place}", self.users[holder].file.name);
            let theirs = "it is one person's, and was theirs first: take it out of this file";
            let hint = if Self::is_later(&self.users[index], &self.users[holder]) { theirs } else { hint };
            self.error(self.users[index].parsed, at, message, hint);
        }
    }

    /// Returns whether a change brings one of the two in, and the other was there.
    fn is_later<F, T>(one: &Entry<'_, F, T>, other: &Entry<'_, F, T>) -> bool {
        one.is_new && !other.is_new
    }

    fn check_people(&mut self) {
        let mut unknown = Vec::new();
        for server in &self.servers {
            let named = server.file.owner.iter().map(|owner| (owner, "the owner"));
            let named = named.chain(server.file.members.iter().map(|member| (member, "a member")));
            for (person, role) in named {
                if !self.users_by_name.contains_key(person.value.as_str()) {
                    unknown.push((server.parsed, person, role));
                }
            }
        }
        for (parsed, person, role) in unknown {
            let name = person.value.as_str();
            let otherwise = format!("add `users/{name}.toml`, or name somebody who has a file there");
            let hint = self.suggest(name, |files| &files.users_by_name, otherwise);
            self.error(parsed, person.at, format!("there is no user `{name}`, who is named as {role}"), hint);
        }
    }

    /// Checks that `docs.edit` names members.
    fn check_editors(&mut self, platform: &Platform) {
        let DocsEdit::These(names) = &platform.docs.edit else { return };
        let unknown: Vec<_> =
            names.iter().filter(|name| !self.users_by_name.contains_key(name.as_str())).collect();
        let Some((parsed, _)) = self.platform.filter(|_| !unknown.is_empty()) else { return };
        let at = parsed.source().and_then(|text| offset(text, "docs", "edit")).unwrap_or_default();
        for name in unknown {
            let otherwise = format!("add `users/{name}.toml`, or take the name out");
            let hint = self.suggest(name.as_str(), |files| &files.users_by_name, otherwise);
            self.error(parsed, at, format!("there is no user `{name}`, who is named in `docs.edit`"), hint);
        }
    }

    fn check_targets(&mut self) {
        let mut unknown = Vec::new();
        for domain in &self.domains {
            if let Some(server) = &domain.file.server
                && !self.servers_by_name.contains_key(server.value.as_str())
            {
                unknown.push((domain.parsed, server));
            }
        }
        for (parsed, server) in unknown {
            let name = server.value.as_str();
            let otherwise = format!("add `servers/{name}.toml`, or name a server that has a file there");
            let hint = self.suggest(name, |files| &files.servers_by_name, otherwise);
            self.error(parsed, server.at, format!("there is no server `{name}`"), hint);
        }
    }

    fn suggest(
        &mut self,
        name: &str,
        known: impl Fn(&Self) -> &HashMap<&'a str, usize>,
        otherwise: String,
    ) -> String {
        match self.suggestions_left.checked_sub(1) {
            Some(left) => {
                self.suggestions_left = left;
                suggest::hint(name, known(self).keys().copied(), otherwise)
            }
            None => otherwise,
        }
    }

    fn check_addresses(&mut self, platform: &Platform) {
        let networks = &platform.networks;
        let without = self.servers.iter().filter_map(|server| {
            let id = server.file.id?;
            networks.address(id.value).is_none().then_some((server.parsed, id))
        });
        for (parsed, id) in without.collect::<Vec<_>>() {
            let message = format!("id {} has no address in {}", id.value, networks.users);
            let room = networks.how_to_make_room_for(id.value);
            let hint = format!("use an id up to {}{room}", networks.capacity());
            self.error(parsed, id.at, message, hint);
        }
    }

    /// Checks that no exception opens a way around the firewall, through the platform's own networks.
    fn check_exceptions(&mut self, platform: &Platform) {
        let exceptions =
            self.servers.iter().flat_map(|server| server.file.allow.iter().map(|at| (server.parsed, at)));
        let refused = exceptions.filter_map(|(parsed, exception)| {
            Some((parsed, exception.at, refuse_own(&exception.value, &platform.networks)?))
        });
        for (parsed, at, invalid) in refused.collect::<Vec<_>>() {
            self.error(parsed, at, invalid.message, invalid.hint);
        }
    }

    /// The server that a domain leads to, if it is known whole.
    pub(crate) fn target(&self, domain: &DomainFile) -> Option<&'a Arc<Server>> {
        let index = self.servers_by_name.get(domain.server.as_ref()?.value.as_str())?;
        self.servers[*index].value
    }
}

fn by_name<'a, F, T>(
    entries: &[Entry<'a, F, T>],
    name: impl Fn(&'a F) -> &'a str,
) -> HashMap<&'a str, usize> {
    entries.iter().enumerate().map(|(index, entry)| (name(entry.file), index)).collect()
}

fn collect<F, T, K: Ord>(entries: &[Entry<'_, F, T>], key: impl Fn(&T) -> K) -> BTreeMap<K, Arc<T>> {
    entries.iter().filter_map(|entry| entry.value).map(|value| (key(value), Arc::clone(value))).collect()
}

/// The byte offset of a field's value in a table.
fn offset(text: &str, table: &str, field: &str) -> Option<usize> {
    let (document, _) = DeTable::parse_recoverable(text);
    let fields = document.get_ref().get(table)?.get_ref().as_table()?;
    fields.get(field).map(|value| value.span().start)
}

/// `servers/shop.toml:3:6`
fn place(parsed: &Parsed, at: usize) -> String {
    match parsed.position(at) {
        Some(position) => format!("{}:{}:{}", parsed.path(), position.line, position.column),
        None => parsed.path().to_owned(),
    }
}

fn missing_platform() -> Finding {
    let hint = "add it; all that it must say is `domain = \"hosting.example.org\"`";
    let invalid = Invalid::new("the repository has no platform.toml", hint);
    Finding::new(Severity::Error, "platform.toml", None, invalid)
}
