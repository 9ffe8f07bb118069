//! `servers/<name>.toml`: a virtual server.

use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::backup::ServerBackup;
use crate::fields::{At, Fields};
use crate::firewall::{Exception, keep_exceptions};
use crate::invalid::Invalid;
use crate::name::{ImageRef, ServerId, ServerName, UserName};
use crate::platform::Defaults;
use crate::quantity::{Bytes, Cpus, Pids};
use crate::value::choice_values;

/// A virtual server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Server {
    /// Name of the server, from the file's name.
    #[schemars(skip)]
    pub name: ServerName,
    /// A whole number from 1 on that no other server has or had: it names the container, the address and the SSH login
    /// `server<id>`.
    pub id: ServerId,
    /// The member who answers for it and whose quota it counts against.
    pub owner: UserName,
    /// Members who may log in too, besides the owner.
    #[schemars(default)]
    pub members: Vec<UserName>,
    /// Power state. A stopped server keeps everything.
    #[schemars(default)]
    pub state: PowerState,
    /// Processors, such as 1 or 0.5. The platform's default holds for amounts that the file doesn't set. Changes
    /// without a restart.
    pub cpus: Option<Cpus>,
    /// Memory with its unit, at least 64 MiB. Changes without a restart.
    pub memory: Option<Bytes>,
    /// Processes and threads, at least 64. Changes without a restart.
    #[schemars(range(min = 64, max = 4_194_304))]
    pub pids: Option<NonZeroU32>,
    /// Disk with its unit, at least 64 MiB. Counted against the owner's quota.
    pub disk: Option<Bytes>,
    /// The image. By default the platform's at the time of creation. A change recreates the server, and everything
    /// outside its volumes is lost.
    pub image: Option<ImageRef>,
    /// A number that makes the server's system anew when it is raised: everything outside its volumes is lost, as with
    /// another image. A lower one does nothing.
    #[schemars(default)]
    pub reset: u32,
    /// Destinations that the firewall lets this server reach although it refuses them to others, such as
    /// `10.1.2.3/32:5432/tcp`. Only an admin may change the list.
    #[schemars(default)]
    pub allow: Vec<Exception>,
    /// Its part in backups, where the platform makes any.
    #[schemars(default)]
    pub backup: ServerBackup,
}

/// Power state of a server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PowerState {
    /// Running.
    #[default]
    Running,
    /// Stopped, with everything kept.
    Stopped,
}

/// The limits that Docker can change in place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Limits {
    /// Billionths of a processor.
    pub nano_cpus: u64,
    /// Bytes.
    pub memory: u64,
    /// Processes and threads.
    pub pids: u32,
}

impl Server {
    /// The limits that hold: the server's own, else the platform's defaults.
    pub fn limits(&self, defaults: &Defaults) -> Limits {
        Limits {
            nano_cpus: self.cpus.unwrap_or(defaults.cpus).nanos(),
            memory: self.memory.unwrap_or(defaults.memory).get(),
            pids: self.pids.unwrap_or(defaults.pids).get(),
        }
    }
}

impl Server {
    /// The disk that holds: the server's own, else the platform's default.
    pub fn disk(&self, defaults: &Defaults) -> Bytes {
        self.disk.unwrap_or(defaults.disk)
    }
}

/// Known parts of a server's file, even of a refused one, with their places.
#[derive(Debug, Clone)]
pub(crate) struct ServerFile {
    pub(crate) name: ServerName,
    pub(crate) id: Option<At<ServerId>>,
    pub(crate) owner: Option<At<UserName>>,
    pub(crate) members: Vec<At<UserName>>,
    pub(crate) allow: Vec<At<Exception>>,
    pub(crate) cpus: Option<usize>,
    pub(crate) memory: Option<usize>,
    pub(crate) pids: Option<usize>,
    pub(crate) disk: Option<usize>,
}

choice_values! {
    PowerState, "a state": "\"running\" or \"stopped\"",
}

impl ServerFile {
    pub(crate) fn read(name: ServerName, fields: &mut Fields<'_, '_>) -> (Self, Option<Server>) {
        let id = fields.required::<ServerId>("id");
        let owner = fields.required::<UserName>("owner");
        let members = fields.list::<UserName>("members").unwrap_or_default();
        let state = fields.value("state").unwrap_or_default();
        let cpus = fields.optional::<Cpus>("cpus");
        let memory = fields.optional_if("memory", Bytes::suits_server);
        let pids = fields.optional::<Pids>("pids");
        let disk = fields.optional_if("disk", Bytes::suits_server);
        let image = fields.image("image");
        let reset = fields.value("reset").unwrap_or_default();
        let allow = fields.list::<Exception>("allow").unwrap_or_default();
        let backup = fields.table("backup", "`[backup]`", ServerBackup::read);
        let exceptions = keep_exceptions(&allow, fields);
        check_login_names(&name, id, fields);
        let kept = keep_members(owner.as_ref(), &members, fields);
        let server = match (id, owner.as_ref()) {
            (Some(id), Some(owner)) => Some(Server {
                name: name.clone(),
                id: id.value,
                owner: owner.value.clone(),
                members: kept,
                state,
                cpus: cpus.map(|found| found.value),
                memory: memory.map(|found| found.value),
                pids: pids.map(|found| found.value.0),
                disk: disk.map(|found| found.value),
                image,
                reset,
                allow: exceptions,
                backup,
            }),
            _ => None,
        };
        let (cpus, memory) = (cpus.map(|f| f.at), memory.map(|f| f.at));
        let (pids, disk) = (pids.map(|f| f.at), disk.map(|f| f.at));
        (Self { name, id, owner, members, allow, cpus, memory, pids, disk }, server)
    }
}

/// Checks that no server takes another's login: people log in as `<name>` or `server<id>`, and push as `git`.
fn check_login_names(name: &ServerName, id: Option<At<ServerId>>, fields: &mut Fields<'_, '_>) {
    let digits = name.as_str().strip_prefix("server").filter(|rest| !rest.is_empty());
    let numbered = digits.is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()));
    if name.as_str() == "git" {
        let message = "a server can't be called `git`: that is the login for the state repo";
        fields.found().error(None, Invalid::new(message, "rename the file"));
    }
    if let (true, Some(id)) = (numbered, id)
        && name.as_str() != format!("server{}", id.value)
    {
        let message = format!("`{name}` is the login of another server: this one has id {}", id.value);
        let hint = format!("rename the file; `server{}` would do", id.value);
        fields.found().error(Some(id.at), Invalid::new(message, hint));
    }
}

/// The members without the owner and without repetitions, which are worth a warning.
fn keep_members(
    owner: Option<&At<UserName>>,
    members: &[At<UserName>],
    fields: &mut Fields<'_, '_>,
) -> Vec<UserName> {
    let mut kept: Vec<UserName> = Vec::with_capacity(members.len());
    for At { value: member, at } in members {
        let message = if owner.is_some_and(|owner| owner.value == *member) {
            format!("`{member}` is the owner, and listed as a member too")
        } else if kept.contains(member) {
            format!("`{member}` is listed as a member twice")
        } else {
            kept.push(member.clone());
            continue;
        };
        fields.found().warning(Some(*at), Invalid::new(message, "remove it from `members`"));
    }
    kept
}
