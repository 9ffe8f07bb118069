//! Commands that read: what is somebody's, and what happened to it. Each shows what the panel shows the same person.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use berth_schema::kind::Kind;
use berth_schema::name::ServerName;
use berth_schema::server::{PowerState, Server};
use berth_schema::{form, text};
use berth_wire::status::word;
use berth_wire::web::{CommitLine, ServerCard};

use super::answer::{DomainRow, List, Log, LogRow, QuotaRow, ServerRow, Trouble};
use super::guest::{Guest, failed};
use crate::web::{Extent, Made, Outcomes, domain_card, line, quota, server_cards};

/// State of a server that nobody could be asked about.
pub(super) const UNKNOWN: &str = "unknown";

/// End of a sentence about the past where only its newest part was seen.
pub(super) const NOT_OLDER: &str = "; older changes weren't looked through";

/// Servers that are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    /// The person's own, and those that they are a member of.
    Theirs,
    /// Everybody's, for an admin.
    Everybody,
}

impl Whose {
    /// Everybody's where `all` is said.
    pub(super) fn of(all: bool) -> Self {
        if all { Self::Everybody } else { Self::Theirs }
    }
}

/// Lists servers and domains, and what is left of the quota.
pub(super) async fn list(guest: &Guest, whose: Whose) -> Result<List, Trouble> {
    let servers = servers(guest, whose)?;
    let state = &guest.good.state;
    let status = guest.status().await;
    let seen: Option<HashMap<u32, &str>> =
        status.as_ref().map(|status| status.servers.iter().map(|row| (row.id, word(row.actual))).collect());
    let actual = |id: u32| match &seen {
        // It is newer than the reconciler's last look.
        Some(seen) => seen.get(&id).copied().unwrap_or(UNKNOWN),
        None => UNKNOWN,
    };
    let cards = server_cards(state, &servers);
    let domains = cards.iter().flat_map(|card| card.domains.iter().cloned()).map(DomainRow::from);
    let mut domains: Vec<DomainRow> = domains.collect();
    domains.sort_by(|one, other| one.fqdn.cmp(&other.fqdn));
    let user = state.users.get(&guest.name);
    let quota = user.map(|user| quota(state, user)).unwrap_or_default();
    Ok(List {
        user: guest.name.to_string(),
        is_admin: guest.viewer().is_admin,
        servers: cards.into_iter().map(|card| row(card, actual)).collect(),
        domains,
        quota: quota.into_iter().map(QuotaRow::from).collect(),
    })
}

/// Lists domains.
pub(super) fn domains(guest: &Guest, whose: Whose) -> Result<Vec<DomainRow>, Trouble> {
    let servers = servers(guest, whose)?;
    let state = &guest.good.state;
    let names: HashSet<&ServerName> = servers.iter().map(|server| &server.name).collect();
    let of_them = state.domains.values().filter(|domain| names.contains(&domain.server));
    Ok(of_them.map(|domain| domain_card(&state.platform, domain).into()).collect())
}

fn servers(guest: &Guest, whose: Whose) -> Result<Vec<&Server>, Trouble> {
    if whose == Whose::Everybody && !guest.viewer().is_admin {
        return Err(Trouble::new("only admins see everybody's servers", "`ls` without `--all` lists yours"));
    }
    let is_theirs = |server: &&Server| server.owner == guest.name || server.members.contains(&guest.name);
    let all = guest.good.state.servers.values().map(|server| &**server);
    Ok(all.filter(|server| whose == Whose::Everybody || is_theirs(server)).collect())
}

fn row<'s>(card: ServerCard, actual: impl Fn(u32) -> &'s str) -> ServerRow {
    let wanted = match card.wanted {
        PowerState::Running => "running",
        PowerState::Stopped => "stopped",
    };
    ServerRow {
        id: card.id.get(),
        actual: actual(card.id.get()).to_owned(),
        name: card.name.to_string(),
        owner: card.owner.to_string(),
        members: card.members.iter().map(ToString::to_string).collect(),
        wanted: wanted.to_owned(),
        nano_cpus: card.nano_cpus,
        memory: card.memory,
        pids: card.pids,
        disk: card.disk,
        ssh: card.ssh,
    }
}

/// Lists the changes that touched what is somebody's, or one object of that.
pub(super) fn log(guest: &Guest, of: Option<&str>, number: usize) -> Result<Log, Trouble> {
    let sight = guest.viewer().sight();
    let path = of.map(path_of).transpose()?;
    let repo = guest.repo()?;
    let mut found: Vec<Arc<Made>> = Vec::new();
    let looked = guest.past.look(&repo, |made| {
        let is_of_it = match &path {
            Some(path) => sight.of(made).contains(&path.as_str()),
            None => sight.sees(made),
        };
        if is_of_it {
            found.push(Arc::clone(made));
        }
        found.len() >= number
    });
    let is_whole = looked.map_err(|error| failed(&error))? == Extent::Whole;
    if let Some(of) = of.filter(|_| found.is_empty()) {
        let older = if is_whole { "" } else { NOT_OLDER };
        let what = format!("no change of `{}` touched what is yours{older}", text::safe(of));
        return Err(Trouble::new(what, "`ls` lists what is yours, and `log` all changes of it"));
    }
    let outcomes = Outcomes::default();
    let told = outcomes.told(&repo).map_err(|error| failed(&error))?;
    let lines = found.iter().map(|made| line(&told, &sight, made));
    let lines = lines.map(|line| line.map(LogRow::from).map_err(Trouble::from));
    Ok(Log { changes: lines.collect::<Result<_, _>>()?, is_whole })
}

/// The path of a server's or a domain's file: only the name of a domain has a dot.
fn path_of(name: &str) -> Result<String, Trouble> {
    let kind = if name.contains('.') { Kind::Domain } else { Kind::Server };
    form::path(kind, name).map_err(Trouble::from)
}

impl From<CommitLine> for LogRow {
    fn from(line: CommitLine) -> Self {
        Self {
            revision: line.revision.to_string(),
            author: line.author,
            at: line.at.to_string(),
            summary: line.summary,
            door: line.door,
            paths: line.paths,
            outcome: line.outcome,
        }
    }
}
