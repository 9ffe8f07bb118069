//! `berth engine`: gives the Docker engine the settings that servers need, and says what it has.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use berth_engine::{Facts, Swarm, connect};
use berth_host::Way;

use super::Exit;
use crate::draw::say;
use crate::settings::Settings;
use crate::setup::apparmor::{self, MissingProfile};
use crate::setup::keys::{QUOTAS, Quota};
use crate::setup::probe::Probed;
use crate::setup::settings::{Merged, merge};
use crate::setup::subordinate::{self, Subordinate};
use crate::setup::{Needs, lacks, put};
use crate::source::Source;

/// The engine.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Show the settings that the engine lacks; --yes adds them. Exit code 0: nothing to do, 2: not written yet, or the
    /// engine must be restarted, 1: an error
    Setup(Setup),
    /// Show the settings that the running engine lacks
    Check(Check),
}

#[derive(Debug, clap::Args)]
struct Setup {
    /// Write the settings that are shown
    #[arg(long)]
    yes: bool,
    /// The file of the engine's settings
    #[arg(long, default_value = "/etc/docker/daemon.json", value_name = "FILE")]
    config: PathBuf,
    /// Path of the installed berth-runtime. Default: beside this program
    #[arg(long, value_name = "PROGRAM")]
    runtime: Option<PathBuf>,
    /// Way in which servers are kept apart from their next start on: own, account or shared (docs/isolation.md)
    #[arg(long, value_name = "WAY", value_parser = way)]
    way: Option<Way>,
}

#[derive(Debug, clap::Args)]
struct Check {
    /// Path of the installed berth-runtime. Default: beside this program
    #[arg(long, value_name = "PROGRAM")]
    runtime: Option<PathBuf>,
}

const SYSCTL_FILE: &str = "/etc/sysctl.d/60-berth.conf";
const SYSCTL_HEAD: &str =
    "# Written by `berth engine setup`: the kernel counts what all servers use of these together.\n";
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
    let runtime = installed(args.runtime.as_deref())?;
    let missing = lacks(&facts, &Needs::new(&runtime));
    for lack in &missing {
        say(&format!("  {lack}"));
    }
    let servers = servers(settings);
    let mut has_room = true;
    for quota in QUOTAS {
        let found = read(&quota.file())?.unwrap_or_default();
        let Some(room) = quota.room(&found, servers) else { continue };
        has_room = false;
        say(&format!(
            "  {} is {}: enough for about {room} idle servers, and the state repo has {servers}",
            quota.sysctl,
            found.trim()
        ));
    }
    let profiles = apparmor::missing()?;
    for profile in &profiles {
        say(&format!("  the AppArmor profile {} isn't loaded as this release has it", profile.name));
    }
    let keeps = !facts.remapped || ways(&runtime, &facts).await?;
    if facts.has_old_runc() == Some(true) {
        say(&format!(
            "  runc {} is older than the mends for CVE-2025-31133, CVE-2025-52565 and CVE-2025-52881 (1.2.8, 1.3.3): ask your \
             distribution's security tracker whether it has them, and install a newer one if not (docs/isolation.md)",
            facts.runc
        ));
    }
    if missing.is_empty() && has_room && profiles.is_empty() && keeps {
        say("The engine has what servers need.");
        return Ok(Exit::Ok);
    }
    if !missing.is_empty() || !has_room || !profiles.is_empty() {
        say("Run `berth engine setup` to mend it.");
    }
    Ok(Exit::Failed)
}

/// Absolute path of the runtime: the one that is given, or the one beside this program.
pub(super) fn installed(runtime: Option<&Path>) -> anyhow::Result<PathBuf> {
    match runtime {
        Some(runtime) => std::path::absolute(runtime).context("cannot find berth-runtime"),
        None => Ok(std::env::current_exe()
            .context("cannot find our own program")?
            .with_file_name("berth-runtime")),
    }
}

/// Says how servers are kept apart, and how they could be. Returns whether this host can do what the engine is set up for.
async fn ways(runtime: &Path, facts: &Facts) -> anyhow::Result<bool> {
    let probed = Probed::ask(runtime, &facts.root).await?;
    let way = facts.way;
    if !probed.allows(way) {
        let advice = match probed.best {
            Some(best) => format!("`berth engine setup --way {best}` asks for what this host can"),
            None => "see docs/isolation.md for what the runtime needs".to_owned(),
        };
        say(&format!("  servers are to be kept apart by `{way}`, and none can start:{probed}\n  {advice}"));
        return Ok(false);
    }
    say(&format!("  servers are kept apart by `{way}`: {}", words(way)));
    if way != Way::Own && probed.allows(Way::Own) {
        say("  this host can do better, see docs/isolation.md: `berth engine setup --way own`");
    } else if way != Way::Own {
        say(&format!("  this host can't do better:{probed}"));
    }
    Ok(true)
}

/// Reads the name of a way.
fn way(name: &str) -> Result<Way, String> {
    name.parse().map_err(|_| format!("a way is one of {}", Way::ALL.map(Way::name).join(", ")))
}

fn words(way: Way) -> &'static str {
    match way {
        Way::Own => "each has an account with the kernel and a range of ids of its own",
        Way::Account => "each has an account of its own with the kernel",
        Way::Shared => "all of them, and the host's root, share one account with the kernel",
    }
}

async fn setup(args: &Setup, settings: &Settings) -> anyhow::Result<Exit> {
    let missing = Missing::find(args, settings).await?;
    missing.show(&args.config)?;
    if !missing.is_nothing() && !args.yes {
        say("Nothing was written; add --yes to write it.");
        return Ok(Exit::Changes);
    }
    missing.put(&args.config).await?;
    match &missing.running {
        // Whoever starts it starts it with these settings.
        None => Ok(Exit::Ok),
        Some(facts) if lacks(facts, &missing.needs).is_empty() => {
            say("The engine has what servers need.");
            Ok(Exit::Ok)
        }
        Some(_) => {
            say("The engine must be restarted: systemctl restart docker");
            Ok(Exit::Changes)
        }
    }
}

/// Everything that this host lacks.
struct Missing {
    needs: Needs,
    /// Settings of the engine that runs, if one does.
    running: Option<Facts>,
    /// The engine's configuration as it is.
    before: Option<String>,
    merged: Merged,
    /// The name under which the runtime has to be there, too.
    link: Option<PathBuf>,
    ranges: Vec<Range>,
    /// Set where the mapped user has to be made.
    user: bool,
    quotas: Vec<(&'static Quota, u64)>,
    profiles: Vec<MissingProfile>,
}

impl Missing {
    async fn find(args: &Setup, settings: &Settings) -> anyhow::Result<Self> {
        // The engine looks it up from a folder of its own.
        let runtime = installed(args.runtime.as_deref())?;
        let needs = Needs { way: args.way, ..Needs::new(&runtime) };
        if !runtime.is_file() {
            bail!(
                "{} is not there: install berth-runtime, or say where it is with --runtime",
                runtime.display()
            );
        }
        // An engine that doesn't run yet is the usual case on a new host.
        let running = connect(&settings.docker).await.ok().map(|(_, facts)| facts);
        if args.way == Some(Way::Own) {
            allow_ranges(&runtime, running.as_ref()).await?;
        }
        let swarm = running.as_ref().map_or(Swarm::Inactive, |facts| facts.swarm);
        let before = read(&args.config)?;
        let merged = merge(before.as_deref(), &needs, swarm)
            .with_context(|| format!("cannot merge Berth's needs into {}", args.config.display()))?;
        let ranges = missing_ranges(needs.remap_user())?;
        let passwd = read(Path::new("/etc/passwd"))?.unwrap_or_default();
        let user = !subordinate::user_exists(&passwd, needs.remap_user());
        let quotas = missing_quotas(servers(settings))?;
        let link = needs.way.map(|way| way.program(&runtime)).filter(|program| !program.is_file());
        let profiles = apparmor::missing()?;
        Ok(Self { needs, running, before, merged, link, ranges, user, quotas, profiles })
    }

    fn is_nothing(&self) -> bool {
        self.merged.is_unchanged()
            && self.link.is_none()
            && self.ranges.is_empty()
            && !self.user
            && self.quotas.is_empty()
            && self.profiles.is_empty()
    }

    fn show(&self, config: &Path) -> anyhow::Result<()> {
        if !self.merged.is_unchanged() {
            let difference = self.merged.difference();
            say(&format!("{}:\n{}", config.display(), indented(&difference)));
            if self.running.is_some() && difference.contains("userns-remap") {
                say(
                    "  Containers and images that the engine has now belong to no mapping: they are kept, and out of sight\n  \
                     as long as this setting stands.",
                );
            }
        }
        if let Some(link) = &self.link {
            say(&format!("{}: a link to {}", link.display(), self.needs.runtime.display()));
        }
        for (file, line, ..) in &self.ranges {
            say(&format!("{file}:\n  + {line}"));
        }
        if self.user {
            say(&format!("user {} is made", self.needs.remap_user()));
        }
        for profile in &self.profiles {
            say(&format!("{}: the AppArmor profile {}, and loaded", profile.path().display(), profile.name));
        }
        if !self.quotas.is_empty() {
            say(&format!("{SYSCTL_FILE}:"));
        }
        for (quota, least) in &self.quotas {
            let found = read(&quota.file())?.unwrap_or_default();
            say(&format!("  + {}   (now {})", line(quota, *least), found.trim()));
        }
        Ok(())
    }

    async fn put(&self, config: &Path) -> anyhow::Result<()> {
        if self.user {
            make_user(self.needs.remap_user()).await?;
        }
        raise(&self.quotas)?;
        // Before the engine starts containers that have them.
        for profile in &self.profiles {
            profile.load()?;
        }
        if let (Some(link), Some(name)) = (&self.link, self.needs.runtime.file_name()) {
            // Before the settings that name it.
            symlink(name, link).with_context(|| format!("cannot make {}", link.display()))?;
        }
        for (file, _, before, text) in &self.ranges {
            tell_copy(put(Path::new(file), before.as_deref(), text)?);
        }
        if !self.merged.is_unchanged() {
            tell_copy(put(config, self.before.as_deref(), &self.merged.text)?);
        }
        Ok(())
    }
}

/// Refuses ranges where servers couldn't start with them.
async fn allow_ranges(runtime: &Path, running: Option<&Facts>) -> anyhow::Result<()> {
    let Some(facts) = running.filter(|facts| facts.remapped) else {
        bail!(
            "ranges can only be tried in the folder of an engine that runs and maps users: set it up without `--way` \
             first, restart it, and ask again"
        );
    };
    let probed = Probed::ask(runtime, &facts.root).await?;
    if !probed.allows(Way::Own) {
        bail!("this host can't give servers ranges of ids of their own:{probed}");
    }
    Ok(())
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

/// Counts the servers of the state repo: none where there is no state yet, or none that holds.
fn servers(settings: &Settings) -> usize {
    let found = Source::open(&settings.state).and_then(|mut source| source.find(None));
    found.ok().and_then(|found| found.state.ok()).map_or(0, |settled| settled.state.servers.len())
}

/// The host's settings that are too small for many servers, with the value that mends each.
fn missing_quotas(servers: usize) -> anyhow::Result<Vec<(&'static Quota, u64)>> {
    let mut missing = Vec::new();
    for quota in QUOTAS {
        let found = read(&quota.file())?.unwrap_or_default();
        missing.extend(quota.wanted(&found, servers).map(|least| (quota, least)));
    }
    Ok(missing)
}

fn line(quota: &Quota, value: u64) -> String {
    format!("{} = {value}", quota.sysctl)
}

/// Raises the settings now and for every boot to come.
fn raise(quotas: &[(&Quota, u64)]) -> anyhow::Result<()> {
    if quotas.is_empty() {
        return Ok(());
    }
    let path = Path::new(SYSCTL_FILE);
    let before = read(path)?;
    let mut text = before.clone().unwrap_or_else(|| SYSCTL_HEAD.to_owned());
    for (quota, least) in quotas {
        if let Some(module) = quota.module {
            load(module, &quota.file())?;
        }
        fs::write(quota.file(), least.to_string())
            .with_context(|| format!("cannot write {}", quota.file().display()))?;
        let line = line(quota, *least);
        // The last of two lines is the one that counts.
        if text.lines().rfind(|found| found.starts_with(quota.sysctl)) != Some(&*line) {
            text.push_str(&line);
            text.push('\n');
        }
    }
    if before.as_deref() != Some(&*text) {
        put(path, before.as_deref(), &text)?;
    }
    Ok(())
}

/// Loads a module now, if its setting isn't there, and at every start of the machine.
fn load(module: &str, setting: &Path) -> anyhow::Result<()> {
    if !setting.exists() {
        let status =
            std::process::Command::new("modprobe").arg(module).status().context("cannot run modprobe")?;
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
        .context("cannot run useradd")?;
    if !status.success() {
        bail!("useradd {user} ended with {status}");
    }
    Ok(())
}

fn read(path: &Path) -> anyhow::Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
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
