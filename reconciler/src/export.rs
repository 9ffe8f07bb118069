//! Export: a state repo from what runs, and drift as a change of one.
//!
//! Pure: what was seen goes in, files come out. What an engine doesn't know (people, domains, who may log in) is said in
//! comments, never guessed. A container that isn't Berth's is never made part of the state: it would be held back for ever,
//! since nothing can give it our labels. It is described below `docs/adopt/`, which the platform doesn't read.

mod drift;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::num::NonZeroU32;

use berth_engine::{Foreign, Sighting};
use berth_plan::desired::Desired;
use berth_plan::inventory::{Inventory, ServerContainer};
use berth_plan::names::{self, DATA_VOLUMES, Service};
use berth_plan::observed::{ObservedContainer, RunState};
use berth_schema::backup::ServerBackup;
use berth_schema::edit::{new_server, new_user};
use berth_schema::name::{ImageRef, Prefix, ServerId, ServerName, UserName};
use berth_schema::platform::{Defaults, Isolation};
use berth_schema::quantity::{Bytes, Cpus};
use berth_schema::server::{Limits, PowerState, Server};
use berth_schema::text::safe;
use berth_schema::user::{Quota, QuotaOverride, Role, User};
use berth_schema::{Parsed, State};

pub use drift::{Drift, drift};

/// A state repo's files.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Exported {
    /// Path and text, sorted by path.
    pub files: BTreeMap<String, String>,
    /// Things that couldn't be read, or that no state repo can express.
    pub open: Vec<String>,
}

/// The domain that stands where the real one has to be filled in.
const STUB_DOMAIN: &str = "hosting.example.org";

/// Folder for descriptions of containers that aren't Berth's.
const ADOPT: &str = "docs/adopt";

/// Writes a state repo from what was seen of the platform `prefix`.
pub fn export(prefix: &Prefix, seen: &Sighting) -> Exported {
    let mut out = Exported::default();
    let inventory = Inventory::read(&seen.observed);
    let servers = servers(&inventory, &mut out);
    let platform = platform(prefix, seen, &inventory, &mut out);
    out.files.insert("platform.toml".to_owned(), platform);
    for server in &servers {
        write_server(server, &inventory, &mut out);
    }
    let owners: BTreeSet<&UserName> = servers.iter().map(|server| &server.owner).collect();
    for owner in owners {
        let owned: Vec<&Server> = servers.iter().filter(|server| server.owner == *owner).collect();
        write_user(owner, &owned, &mut out);
    }
    for holding in inventory.servers.values() {
        if let Some(stone) = holding.tombstone() {
            out.open.push(format!(
                "server {} (id {}) of {} was removed at {}; its data is kept, and its id stays taken",
                safe(&stone.name),
                stone.id,
                safe(&stone.owner),
                stone.removed_at
            ));
        }
    }
    for (what, why) in &inventory.unreadable {
        out.open.push(format!("{}: {}; it was left out", safe(what), safe(why)));
    }
    let taken: BTreeSet<&str> = servers.iter().map(|server| server.name.as_str()).collect();
    for foreign in &seen.foreign {
        let (name, text) = adoption(prefix, foreign, &taken);
        out.files.insert(format!("{ADOPT}/{name}.toml"), text);
        out.open.push(format!(
            "container {} isn't Berth's: {ADOPT}/{name}.toml says how to take it over",
            safe(&foreign.container)
        ));
    }
    out.open.sort();
    out
}

fn servers(inventory: &Inventory<'_>, out: &mut Exported) -> Vec<Server> {
    let mut ids: Vec<ServerId> = inventory.servers.keys().copied().collect();
    ids.sort();
    let mut servers = Vec::new();
    for id in ids {
        let Some(holding) = inventory.servers.get(&id) else { continue };
        // A removed server's container stays, stopped, as long as its tombstone does.
        let Some(owned) = holding.container.as_ref().filter(|_| holding.tombstone().is_none()) else {
            continue;
        };
        if let (Some(server), true) = (server(id, owned), holding.rivals.is_empty()) {
            servers.push(server);
        } else {
            out.open.push(format!(
                "container {} was left out: its labels don't say which server it is",
                safe(&owned.container.name)
            ));
        }
    }
    servers
}

fn server(id: ServerId, owned: &ServerContainer<'_>) -> Option<Server> {
    let limits = owned.container.limits;
    Some(Server {
        name: owned.name.parse().ok()?,
        id,
        owner: owned.owner.parse().ok()?,
        members: Vec::new(),
        state: power(owned.container),
        cpus: limits.and_then(cpus),
        memory: limits.and_then(memory),
        pids: limits.and_then(pids),
        disk: None,
        image: owned.image.parse::<ImageRef>().ok(),
        reset: owned.reset,
        allow: Vec::new(),
        backup: ServerBackup::default(),
    })
}

fn power(container: &ObservedContainer) -> PowerState {
    match container.state {
        RunState::Running | RunState::Restarting | RunState::Paused => PowerState::Running,
        RunState::Created | RunState::Exited | RunState::Removing | RunState::Dead => PowerState::Stopped,
    }
}

fn cpus(limits: Limits) -> Option<Cpus> {
    (limits.nano_cpus > 0).then(|| Cpus::from_nanos(limits.nano_cpus))
}

fn memory(limits: Limits) -> Option<Bytes> {
    (limits.memory > 0).then(|| Bytes::new(limits.memory))
}

fn pids(limits: Limits) -> Option<NonZeroU32> {
    NonZeroU32::new(limits.pids)
}

fn write_server(server: &Server, inventory: &Inventory<'_>, out: &mut Exported) {
    let path = format!("servers/{}.toml", server.name);
    let text = match new_server(server) {
        Ok(text) => text,
        Err(error) => {
            out.open.push(format!("{path} was left out: {}", berth_fault::chain(&error)));
            return;
        }
    };
    let container = inventory.servers.get(&server.id).and_then(|holding| holding.container);
    let container = container.map_or("", |owned| owned.container.name.as_str());
    let comment = format!(
        "# As container {} is. An engine doesn't know `members`, `disk` and `allow`: add them if there were any.\n",
        safe(container)
    );
    out.files.insert(path, comment + &text);
}

/// A member who owns what is theirs, with a quota that it fits in.
fn write_user(owner: &UserName, owned: &[&Server], out: &mut Exported) {
    let (defaults, quota) = (Defaults::default(), Quota::default());
    let count = u32::try_from(owned.len()).unwrap_or(u32::MAX);
    let nanos: u64 = owned.iter().map(|server| server.limits(&defaults).nano_cpus).sum();
    let memory: u64 = owned.iter().map(|server| server.limits(&defaults).memory).sum();
    let pids: u64 = owned.iter().map(|server| u64::from(server.limits(&defaults).pids)).sum();
    let usual =
        QuotaOverride { servers: Some(count.max(quota.servers)), ..QuotaOverride::default() }.over(&quota);
    let disk: u64 = owned.iter().map(|server| server.disk(&defaults).get()).sum();
    let user = User {
        name: owner.clone(),
        role: Role::default(),
        email: None,
        password_hash: None,
        ssh_keys: Vec::new(),
        passkeys: Vec::new(),
        tokens: Vec::new(),
        oidc: Vec::new(),
        forge_accounts: Vec::new(),
        second_factor: None,
        quota: QuotaOverride {
            servers: (count > quota.servers).then_some(count),
            cpus: (nanos > quota.cpus.nanos()).then(|| Cpus::from_nanos(nanos)),
            memory: (memory > quota.memory.get()).then(|| Bytes::new(memory)),
            pids: (pids > usual.pids(defaults.pids)).then(|| u32::try_from(pids).unwrap_or(u32::MAX)),
            disk: (disk > quota.disk.get()).then(|| Bytes::new(disk)),
            domains: None,
            certificates: None,
            custom_domains: None,
        },
    };
    let path = format!("users/{owner}.toml");
    match new_user(&user) {
        Ok(text) => {
            let comment =
                "# To be filled in: `email`, `ssh_keys`, and `role = \"admin\"` for at least one member.\n";
            out.files.insert(path, comment.to_owned() + &text);
        }
        Err(error) => out.open.push(format!("{path} was left out: {}", berth_fault::chain(&error))),
    }
}

fn platform(prefix: &Prefix, seen: &Sighting, inventory: &Inventory<'_>, out: &mut Exported) -> String {
    let mut text = format!(
        "# To be filled in: the real domain, and what an engine doesn't know (`berth schema platform` lists everything).\n\
         domain = \"{STUB_DOMAIN}\"\nprefix = \"{prefix}\"\n"
    );
    let isolation_at = text.len();
    out.open.push(format!(
        "platform.toml: the domain is a stub ({STUB_DOMAIN}); [acme], [access], [quota], firewall rules and limits are the defaults"
    ));
    out.open.push("domains/: an engine doesn't know which domains lead where".to_owned());
    out.open.push("users/: keys, addresses and roles are to be filled in; nobody is an admin yet".to_owned());
    let mut networks = String::new();
    if let Some(users) = seen.users {
        let _ = writeln!(networks, "users = \"{users}\"");
    }
    if let Some(external) = seen.subnets.get("external") {
        let _ = writeln!(networks, "external = \"{external}\"");
    }
    if !networks.is_empty() {
        let _ = write!(text, "\n[networks]\n{networks}");
    }
    let services = [
        ("firewall", Service::Firewall),
        ("cache", Service::Cache),
        ("web", Service::Caddy),
        ("router", Service::Router),
    ]
    .map(|(field, service)| (field, service.container(prefix)));
    let mut images = String::new();
    let holder = ("holder", names::holder(prefix));
    let images_of = ["firewall", "cache", "caddy", "router"].into_iter().zip(&services);
    let named = std::iter::once(holder).chain(images_of.map(|(field, (_, name))| (field, name.clone())));
    for (field, container) in named {
        if let Some(found) = inventory.system.get(container.as_str())
            && let Ok(image) = found.container.image.parse::<ImageRef>()
        {
            let _ = writeln!(images, "{field} = \"{image}\"");
        }
    }
    if !images.is_empty() {
        let _ = write!(text, "\n[images]\n{images}");
    }
    text.push_str("\n[services]\n");
    for (field, container) in &services {
        let _ = writeln!(text, "{field} = {}", inventory.system.contains_key(container.as_str()));
    }
    if !seen.dns.is_empty() {
        let dns: Vec<String> = seen.dns.iter().map(|address| format!("\"{address}\"")).collect();
        let _ = write!(text, "\n[firewall]\ndns = [{}]\n", dns.join(", "));
    }
    if let Some((http, https)) = seen.ports {
        let _ = write!(text, "\n[web]\nhttp_port = {http}\nhttps_port = {https}\n");
    }
    if let Some(port) = seen.ssh {
        let _ = write!(text, "\n[ssh]\nport = {port}\n");
    }
    if let Some(isolation) = isolation(&text, inventory) {
        text.insert_str(isolation_at, &format!("isolation = \"{isolation}\"\n"));
    }
    text
}

/// The isolation under which the servers were made: the one that comes to the fingerprint that they carry.
fn isolation(platform: &str, inventory: &Inventory<'_>) -> Option<&'static str> {
    let specs: BTreeSet<&str> =
        inventory.servers.values().filter_map(|holding| Some(holding.container?.spec)).collect();
    let parsed = Parsed::parse("platform.toml", platform);
    let state = State::assemble([&parsed]).ok()?;
    let kinds = [
        (Isolation::Userns, "userns"),
        (Isolation::Sysbox, "sysbox"),
        (Isolation::Capabilities, "capabilities"),
    ];
    kinds.into_iter().find_map(|(isolation, word)| {
        let mut platform = (*state.platform).clone();
        platform.isolation = isolation;
        let state = State { platform: platform.into(), ..state.clone() };
        specs.contains(Desired::from_state(&state).confinement_spec.as_str()).then_some(word)
    })
}

/// Describes how to take over a container that isn't Berth's: the file that it would have, and the way there.
fn adoption(prefix: &Prefix, foreign: &Foreign, taken: &BTreeSet<&str>) -> (String, String) {
    let id = foreign.id;
    let name = foreign.hostname.parse::<ServerName>().ok();
    let name = name.filter(|name| !taken.contains(name.as_str()) && new_name(name, id));
    let name = name.map_or_else(|| format!("server{id}"), |name| name.to_string());
    let container = safe(&foreign.container);
    let new = names::server_container(prefix, id);
    let volumes =
        DATA_VOLUMES.map(|(end, folder)| format!("{} ({folder})", names::server_volume(prefix, id, end)));
    let volumes = volumes.join(", ");
    let mut text = format!(
        "# Container {container} looks like a server and isn't Berth's, which leaves it alone. Its data moves like this:\n\
         #   1. docker stop {container} && docker rename {container} {container}-old\n\
         #   2. Fill in the owner, move this file to servers/{name}.toml, push, and wait for `berth status`.\n\
         #   3. docker stop {new}, and copy the data that is to be kept into its volumes:\n\
         #      {volumes}.\n\
         #   4. `berth apply` starts it again. When all is well: docker rm {container}-old\n"
    );
    for (from, to) in &foreign.mounts {
        let _ = writeln!(text, "# It mounts {} at {}.", safe(from), safe(to));
    }
    let _ = writeln!(text, "id = {id}\nowner = \"\" # whose is it?");
    if !foreign.runs {
        text.push_str("state = \"stopped\"\n");
    }
    let limits = foreign.limits;
    if let Some(cpus) = cpus(limits) {
        let _ = writeln!(text, "cpus = {}", cpus.nanos() as f64 / 1e9);
    }
    if let Some(memory) = memory(limits) {
        let _ = writeln!(text, "memory = \"{memory}\"");
    }
    if let Some(pids) = pids(limits) {
        let _ = writeln!(text, "pids = {pids}");
    }
    let _ = writeln!(
        text,
        "# It was made of the image {}; Berth's own is used unless `image` says otherwise.",
        safe(&foreign.image)
    );
    (name, text)
}

/// Checks that the name is free to be a server's login: `server<n>` is for the server with that number.
fn new_name(name: &ServerName, id: ServerId) -> bool {
    let name = name.as_str();
    name != "git" && (!name.starts_with("server") || name == format!("server{id}"))
}
