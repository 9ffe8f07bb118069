//! `berth secret`: the secrets of this host, by name. A value comes from standard input, and is never shown again.

mod input;

use anyhow::{Context as _, bail};
use berth_fault::chain;
use berth_repo::Error as RepoError;
use berth_schema::name::NAME_MAX;
use berth_schema::secret::{Need, Reference, SecretName, form_of};
use berth_secrets::Secrets;
use berth_wire::Standing;
use clap::Subcommand;
use comfy_table::{Table, presets};
use jiff::Timestamp;
use serde::Serialize;

use super::Exit;
use crate::draw::{print, say};
use crate::settings::Settings;
use crate::source::{Source, SourceError};

/// Act on a secret.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Store a secret, or replace the one of that name. The value comes from standard input; a terminal asks for it and
    /// doesn't show it
    Set {
        #[arg(value_name = "NAME", value_parser = named)]
        name: SecretName,
    },
    /// List the secrets of this host and what refers to them, without their values
    List {
        /// Print JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// Remove a secret
    Remove {
        #[arg(value_name = "NAME", value_parser = named)]
        name: SecretName,
        /// Remove it even if the platform uses it
        #[arg(long)]
        force: bool,
    },
}

fn named(text: &str) -> Result<SecretName, String> {
    text.parse().map_err(|_| format!("use 1 to {NAME_MAX} lower-case letters, digits and hyphens"))
}

pub(super) fn run(args: &Args, settings: &Settings) -> anyhow::Result<Exit> {
    match &args.act {
        Act::Set { name } => set(name, settings),
        Act::List { json } => list(*json, settings),
        Act::Remove { name, force } => remove(name, *force, settings),
    }
}

/// The references of the state at the tip of `main`; none where there is no state repo yet.
pub(super) fn references(settings: &Settings) -> anyhow::Result<Vec<Reference>> {
    let mut source = match Source::open(&settings.state) {
        Err(SourceError::Read { source: RepoError::Missing { .. }, .. }) => return Ok(Vec::new()),
        source => source?,
    };
    let found = match source.find(None) {
        Err(SourceError::Empty { .. }) => return Ok(Vec::new()),
        found => found?,
    };
    match found.state {
        Ok(settled) => Ok(settled.state.secrets()),
        Err(_) => bail!("the state has mistakes, which `berth check` shows"),
    }
}

fn set(name: &SecretName, settings: &Settings) -> anyhow::Result<Exit> {
    let references = references(settings).unwrap_or_else(|error| {
        say(&format!("cannot tell what refers to it: {}", chain(&*error)));
        Vec::new()
    });
    let form = form_of(name, &references);
    let value = input::read(name, form)?;
    settings.make_data().with_context(|| format!("cannot make {}", settings.data.display()))?;
    Secrets::of(&settings.data).set(name, &value, form)?;
    let uses = Uses::of(name, &references);
    say(&format!("The secret `{name}` is stored; {}.", uses.words()));
    if uses.in_use && Standing::is_kept(&settings.remote()) {
        say("`berth remote` may go on with the old one: `berth down` and `berth up --detach` start it anew.");
    }
    Ok(Exit::Ok)
}

/// A line of the list.
#[derive(Serialize)]
struct Line {
    name: SecretName,
    changed: Timestamp,
    used_by: Vec<&'static str>,
}

fn list(json: bool, settings: &Settings) -> anyhow::Result<Exit> {
    let references = references(settings)?;
    let mut lines = Vec::new();
    for stored in Secrets::of(&settings.data).list()? {
        let used_by = Uses::of(&stored.name, &references).fields;
        // A file's time that is no time at all says nothing.
        let changed = Timestamp::try_from(stored.changed).unwrap_or(Timestamp::UNIX_EPOCH);
        lines.push(Line { name: stored.name, changed, used_by });
    }
    if json {
        print(&serde_json::to_string_pretty(&lines).context("cannot write the list")?);
        return Ok(Exit::Ok);
    }
    if lines.is_empty() {
        say("No secret is stored. `berth secret set <name>` stores one.");
        return Ok(Exit::Ok);
    }
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(["SECRET", "CHANGED (UTC)", "USED BY"]);
    for line in &lines {
        let used_by = if line.used_by.is_empty() { "nothing".to_owned() } else { line.used_by.join(", ") };
        let changed = line.changed.strftime("%Y-%m-%d %H:%M").to_string();
        table.add_row([line.name.to_string(), changed, used_by]);
    }
    print(&table.trim_fmt());
    Ok(Exit::Ok)
}

fn remove(name: &SecretName, force: bool, settings: &Settings) -> anyhow::Result<Exit> {
    if !force {
        let references =
            references(settings).context("cannot tell what uses the secret; --force removes it anyway")?;
        let uses = Uses::of(name, &references);
        if uses.in_use {
            bail!("cannot remove the secret `{name}`: {}; --force removes it anyway", uses.words());
        }
    }
    if !Secrets::of(&settings.data).remove(name)? {
        bail!("there is no secret `{name}`; `berth secret list` shows those that there are");
    }
    say(&format!("The secret `{name}` is removed."));
    Ok(Exit::Ok)
}

/// The fields that refer to a secret.
struct Uses {
    fields: Vec<&'static str>,
    /// One of them needs it, or could use it.
    in_use: bool,
}

impl Uses {
    fn of(name: &SecretName, references: &[Reference]) -> Self {
        let to_it = || references.iter().filter(|reference| reference.name == *name);
        Self {
            fields: to_it().map(|reference| reference.by.field).collect(),
            in_use: to_it().any(|reference| reference.need != Need::Unused),
        }
    }

    fn words(&self) -> String {
        match self.fields.as_slice() {
            [] => "nothing in the state refers to it".to_owned(),
            [field] => format!("`{field}` in platform.toml refers to it"),
            fields => format!("`{}` in platform.toml refer to it", fields.join("`, `")),
        }
    }
}
