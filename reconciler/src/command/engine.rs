//! `berth engine`: gives the Docker engine the settings that servers need, and says what it has.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use super::Exit;
use crate::docker::connect;
use crate::draw::say;
use crate::engine::keys::{QUOTAS, Quota};
use crate::engine::settings::{Swarm, merge};
use crate::engine::subordinate::{self, Subordinate};
use crate::engine::{Needs, put};
use crate::settings::Settings;

/// The engine.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Show what the engine's settings lack, and with --yes add it. Exit code 0: nothing to do, 2: not written yet, or
    /// the engine must be restarted, 1: an error
    Setup(Setup),
    /// Show what the running engine lacks
    Check(Check),
}

#[derive(Debug, clap::Args)]
struct Setup {
    /// Write what is shown; without this, nothing is written
    #[arg(long)]
    yes: bool,
    /// The engine's settings
    #[arg(long, default_value = "/etc/docker/daemon.json", value_name = "FILE")]
    config: PathBuf,
    /// Where berth-runtime is installed
    #[arg(long, default_value = "/usr/local/bin/berth-runtime", value_name = "PROGRAM")]
    runtime: PathBuf,
}

#[derive(Debug, clap::Args)]
struct Check {
    /// Where berth-runtime is installed
    #[arg(long, default_value = "/usr/local/bin/berth-runtime", value_name = "PROGRAM")]
    runtime: PathBuf,
}

const SYSCTL_FILE: &str = "/etc/sysctl.d/60-berth.conf";
const SYSCTL_HEAD: &str = "# Written by `berth engine setup`: all servers share the kernel's room for session keys and for connections.\n";
/// Modules are loaded before settings are made, so that those of a module are there to be made.
const MODULES_FILE: &str = "/etc/modules-load.d/60-berth.conf";
const ID_FILES: [&str; 2] = ["/etc/subuid", "/etc/subgid"];

pub(super) async fn run(args: &Args, settings: &Settings) -> anyhow::Result<Exit> {
    match &args.command {
        Command::Setup(args) => setup(args, settings).await,
        Command::Check(args) => check(args, settings).await,
    }
}

async fn check(args: &Check, settings: &Settings) -> anyhow::Result<Exit> {
    let (_, facts) = connect(&settings.docker).await?;
    let lacks = facts.lacks(&Needs::new(std::path::absolute(&args.runtime)?));
    for lack in &lacks {
        say(&format!("  {lack}"));
    }
    if lacks.is_empty() {
        say("The engine has what servers need.");
        return Ok(Exit::Ok);
    }
    say("Run `berth engine setup` to mend it.");
    Ok(Exit::Failed)
}

async fn setup(args: &Setup, settings: &Settings) -> anyhow::Result<Exit> {
    // The engine looks it up from a folder of its own.
    let runtime = std::path::absolute(&args.runtime).context("find berth-runtime")?;
    let needs = Needs::new(&runtime);
    if !runtime.is_file() {
        bail!(
            "{} is not there: install berth-runtime, or say where it is with --runtime",
            args.runtime.display()
        );
    }
    // An engine that doesn't run yet is the usual case on a new host.
    let running = match connect(&settings.docker).await {
        Ok((_, facts)) => Some(facts),
        Err(_) => None,
    };
    let swarm = running.as_ref().map_or(Swarm::Inactive, |facts| facts.swarm);
    let before = read(&args.config)?;
    let merged = merge(before.as_deref(), &needs, swarm)
        .with_context(|| format!("merge Berth's needs into {}", args.config.display()))?;
    let user = needs.remap_user();
    let ranges = missing_ranges(user)?;
    let no_user = !subordinate::user_exists(&read(Path::new("/etc/passwd"))?.unwrap_or_default(), user);

    if !merged.is_unchanged() {
        say(&format!("{}:\n{}", args.config.display(), indented(&merged.difference())));
        if running.is_some() && merged.difference().contains("userns-remap") {
            say(
                "  Containers and images that the engine has now belong to no mapping: they are kept, and out of sight\n  \
                 as long as this setting stands.",
            );
        }
    }
    for (file, line, ..) in &ranges {
        say(&format!("{file}:\n  + {line}"));
    }
    if no_user {
        say(&format!("user {user} is made"));
    }
    let quotas = missing_quotas()?;
    for (quota, line) in &quotas {
        say(&format!(
            "{SYSCTL_FILE}:\n  + {line}   (now {})",
            read(Path::new(quota.file))?.unwrap_or_default().trim()
        ));
    }
    let complete = merged.is_unchanged() && ranges.is_empty() && !no_user && quotas.is_empty();
    if !complete && !args.yes {
        say("Nothing was written; add --yes to write it.");
        return Ok(Exit::Changes);
    }
    if no_user {
        make_user(user).await?;
    }
    raise(&quotas)?;
    for (file, _, before, text) in &ranges {
        tell_copy(put(Path::new(file), before.as_deref(), text)?);
    }
    if !merged.is_unchanged() {
        tell_copy(put(&args.config, before.as_deref(), &merged.text)?);
    }
    match running {
        // Whoever starts it starts it with these settings.
        None => Ok(Exit::Ok),
        Some(facts) if facts.lacks(&needs).is_empty() => {
            say("The engine has what servers need.");
            Ok(Exit::Ok)
        }
        Some(_) => {
            say("The engine must be restarted: systemctl restart docker");
            Ok(Exit::Changes)
        }
    }
}

/// The file, the line to add, and its text before and after.
type Range = (&'static str, String, Option<String>, String);

fn missing_ranges(user: &str) -> anyhow::Result<Vec<Range>> {
    let mut missing = Vec::new();
    for file in ID_FILES {
        let before = read(Path::new(file))?;
        let found = subordinate::ensure(before.as_deref().unwrap_or_default(), user).context(file)?;
        match found {
            Subordinate::Append { line, text } => missing.push((file, line, before, text)),
            Subordinate::Present { shared_with } if !shared_with.is_empty() => say(&format!(
                "{file}: {} has some of the ids of {user} too, and could touch the servers' files",
                shared_with.join(", ")
            )),
            Subordinate::Present { .. } => {}
        }
    }
    Ok(missing)
}

/// The host's settings that are too small for many servers, with the line that mends each.
fn missing_quotas() -> anyhow::Result<Vec<(&'static Quota, String)>> {
    let mut missing = Vec::new();
    for quota in QUOTAS {
        let found = read(Path::new(quota.file))?.unwrap_or_default();
        missing.extend(quota.wanted(&found).map(|line| (quota, line)));
    }
    Ok(missing)
}

/// Raises the settings now and for every boot to come.
fn raise(quotas: &[(&Quota, String)]) -> anyhow::Result<()> {
    if quotas.is_empty() {
        return Ok(());
    }
    let path = Path::new(SYSCTL_FILE);
    let before = read(path)?;
    let mut text = before.clone().unwrap_or_else(|| SYSCTL_HEAD.to_owned());
    for (quota, line) in quotas {
        if let Some(module) = quota.module {
            load(module, Path::new(quota.file))?;
        }
        fs::write(quota.file, quota.least.to_string()).with_context(|| format!("write {}", quota.file))?;
        text.push_str(line);
        text.push('\n');
    }
    if !before.is_some_and(|before| quotas.iter().all(|(_, line)| before.contains(line.as_str()))) {
        put(path, read(path)?.as_deref(), &text)?;
    }
    Ok(())
}

/// Loads a module now, if its setting isn't there, and at every start of the machine.
fn load(module: &str, setting: &Path) -> anyhow::Result<()> {
    if !setting.exists() {
        let status = std::process::Command::new("modprobe").arg(module).status().context("run modprobe")?;
        if !status.success() {
            bail!("modprobe {module} ended with {status}");
        }
    }
    let path = Path::new(MODULES_FILE);
    let before = read(path)?;
    let text = before.clone().unwrap_or_default();
    if !text.lines().any(|line| line == module) {
        put(path, before.as_deref(), &format!("{text}{module}\n"))?;
    }
    Ok(())
}

async fn make_user(user: &str) -> anyhow::Result<()> {
    let status = tokio::process::Command::new("useradd")
        .args(["--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"])
        .args(["--shell", "/usr/sbin/nologin", user])
        .status()
        .await
        .context("run useradd")?;
    if !status.success() {
        bail!("useradd {user} ended with {status}");
    }
    Ok(())
}

fn read(path: &Path) -> anyhow::Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("read {}", path.display())),
    }
}

fn tell_copy(copy: Option<PathBuf>) {
    if let Some(copy) = copy {
        say(&format!("  the file as it was: {}", copy.display()));
    }
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}
