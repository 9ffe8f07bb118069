//! Backups as `main` asks for them, and the servers that people name.

use std::sync::Arc;

use anyhow::{Context as _, bail};
use berth_schema::State;
use berth_schema::name::{ServerId, ServerName};

use crate::backups::{self, Wanted};
use crate::settings::Settings;
use crate::source::Source;

/// Reads what `main` says of backups, and its state; `None` where it makes none.
pub(super) fn find(settings: &Settings) -> anyhow::Result<Option<(Wanted, Arc<State>)>> {
    let found = Source::open(&settings.state)?.find(None)?;
    let Ok(settled) = found.state else { bail!("main has mistakes: `berth check` says which") };
    let state = settled.state;
    let Some(backup) = &state.platform.backup else { return Ok(None) };
    let wanted = backups::wanted(settings, backup, &state)?;
    Ok(Some((wanted, state)))
}

/// The same, where there have to be backups.
pub(in crate::command) fn wanted(settings: &Settings) -> anyhow::Result<(Wanted, Arc<State>)> {
    find(settings)?.context(
        "platform.toml has no [backup]: commit one first, with the place in `repository` (docs/backup.md)",
    )
}

/// The server that somebody names: one of the state, or one that is removed, as `server<id>`.
pub(in crate::command) fn server_of(state: &State, name: &str) -> anyhow::Result<ServerId> {
    let named = name.parse::<ServerName>().ok().and_then(|name| state.server(&name).map(|server| server.id));
    let numbered = || name.strip_prefix("server")?.parse().ok().map(ServerId);
    named.or_else(numbered).with_context(|| {
        format!("there is no server `{}`: `berth status` lists them", berth_schema::text::safe(name))
    })
}
