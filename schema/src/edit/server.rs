//! Edits of a server's file.

use std::num::NonZeroU32;
use std::sync::Arc;

use toml_edit::DocumentMut;

use crate::backup::{Pause, ServerBackup};
use crate::edit::document::{put, put_list};
use crate::edit::list::Layout;
use crate::edit::{Edit, EditError, bytes, create, edit, processors, put_or_unset};
use crate::firewall::Exception;
use crate::name::{ImageRef, ServerName, UserName};
use crate::parse::{Content, Parsed};
use crate::quantity::{Bytes, Cpus};
use crate::server::{PowerState, Server};

/// A change of a server's file. `None` takes the field out, so that the default holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerEdit {
    /// `owner`
    Owner(UserName),
    /// `members`, all of them; an empty list takes the field out.
    Members(Vec<UserName>),
    /// `state`
    State(Option<PowerState>),
    /// `cpus`
    Cpus(Option<Cpus>),
    /// `memory`
    Memory(Option<Bytes>),
    /// `pids`
    Pids(Option<NonZeroU32>),
    /// `disk`
    Disk(Option<Bytes>),
    /// `image`
    Image(Option<ImageRef>),
    /// `reset`; 0 takes the field out.
    Reset(u32),
    /// `allow`, all of it; an empty list takes the field out.
    Allow(Vec<Exception>),
    /// `backup`, all of it; what is as by default is taken out.
    Backup(ServerBackup),
}

/// Edits the text of a server's file.
pub fn server(name: &ServerName, text: &str, edits: &[ServerEdit]) -> Result<String, EditError> {
    edit(&server_path(name), text, edits)
}

/// The text of a new server's file.
pub fn new_server(server: &Server) -> Result<String, EditError> {
    let mut document = DocumentMut::new();
    put(&mut document, None, "id", i64::from(server.id.get()).into());
    let edits = [
        ServerEdit::Owner(server.owner.clone()),
        ServerEdit::Members(server.members.clone()),
        ServerEdit::State((server.state != PowerState::default()).then_some(server.state)),
        ServerEdit::Cpus(server.cpus),
        ServerEdit::Memory(server.memory),
        ServerEdit::Pids(server.pids),
        ServerEdit::Disk(server.disk),
        ServerEdit::Image(server.image.clone()),
        ServerEdit::Reset(server.reset),
        ServerEdit::Allow(server.allow.clone()),
        ServerEdit::Backup(server.backup.clone()),
    ];
    create::<ServerEdit>(&server_path(&server.name), document, &edits, server)
}

fn server_path(name: &ServerName) -> String {
    format!("servers/{name}.toml")
}

impl Edit for ServerEdit {
    type Of = Server;

    fn read(parsed: &Parsed) -> Option<&Arc<Server>> {
        match &parsed.content {
            Content::Server(_, server) => server.as_ref(),
            _ => None,
        }
    }

    fn apply(&self, server: &mut Server) {
        match self.clone() {
            Self::Owner(owner) => {
                // Who owns it is no member besides.
                server.members.retain(|member| *member != owner);
                server.owner = owner;
            }
            Self::Members(members) => server.members = members,
            Self::State(state) => server.state = state.unwrap_or_default(),
            Self::Cpus(cpus) => server.cpus = cpus,
            Self::Memory(memory) => server.memory = memory,
            Self::Pids(pids) => server.pids = pids,
            Self::Disk(disk) => server.disk = disk,
            Self::Image(image) => server.image = image,
            Self::Reset(reset) => server.reset = reset,
            Self::Allow(allow) => server.allow = allow,
            Self::Backup(backup) => server.backup = backup,
        }
    }

    fn write(&self, document: &mut DocumentMut) {
        match self {
            Self::Owner(owner) => put(document, None, "owner", owner.as_str().into()),
            Self::Members(members) => {
                let members: Vec<&str> = members.iter().map(UserName::as_str).collect();
                put_list(document, "members", &members, Layout::OneLine, str::to_owned);
            }
            Self::State(state) => put_or_unset(
                document,
                None,
                "state",
                state.map(|state| match state {
                    PowerState::Running => "running".into(),
                    PowerState::Stopped => "stopped".into(),
                }),
            ),
            Self::Cpus(cpus) => put_or_unset(document, None, "cpus", cpus.map(processors)),
            Self::Memory(memory) => put_or_unset(document, None, "memory", memory.map(bytes)),
            Self::Pids(pids) => {
                put_or_unset(document, None, "pids", pids.map(|pids| i64::from(pids.get()).into()));
            }
            Self::Disk(disk) => put_or_unset(document, None, "disk", disk.map(bytes)),
            Self::Image(image) => {
                put_or_unset(document, None, "image", image.as_ref().map(|image| image.as_str().into()));
            }
            Self::Reset(reset) => {
                put_or_unset(document, None, "reset", (*reset > 0).then(|| i64::from(*reset).into()));
            }
            Self::Allow(allow) => {
                let allow: Vec<String> = allow.iter().map(Exception::to_string).collect();
                let allow: Vec<&str> = allow.iter().map(String::as_str).collect();
                // The same destination in other words, such as with a leading zero in a port, stays as it is written.
                let normal = |text: &str| {
                    text.parse().map_or_else(|_| text.to_owned(), |it: Exception| it.to_string())
                };
                put_list(document, "allow", &allow, Layout::OneLine, normal);
            }
            Self::Backup(backup) => write_backup(document, backup),
        }
    }

    fn is_unset(&self) -> bool {
        match self {
            Self::Owner(_) => false,
            Self::Members(members) => members.is_empty(),
            Self::State(state) => state.is_none(),
            Self::Cpus(cpus) => cpus.is_none(),
            Self::Memory(amount) | Self::Disk(amount) => amount.is_none(),
            Self::Pids(pids) => pids.is_none(),
            Self::Image(image) => image.is_none(),
            Self::Reset(reset) => *reset == 0,
            Self::Allow(allow) => allow.is_empty(),
            Self::Backup(backup) => backup.is_default(),
        }
    }
}

fn write_backup(document: &mut DocumentMut, backup: &ServerBackup) {
    let ServerBackup { enabled, pause, before, after } = backup;
    let pause = (*pause != Pause::default()).then(|| match pause {
        Pause::None => "none".into(),
        Pause::Freeze => "freeze".into(),
        Pause::Stop => "stop".into(),
    });
    let fields = [
        ("enabled", (!enabled).then(|| false.into())),
        ("pause", pause),
        ("before", before.as_deref().map(Into::into)),
        ("after", after.as_deref().map(Into::into)),
    ];
    for (key, value) in fields {
        put_or_unset(document, Some("backup"), key, value);
    }
}
