//! (j) The firewall's rules, loaded as a whole as Berth does it, against a call of `iptables` for each rule, as a folder of
//! scripts does it. In a network namespace of its own.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use berth_plan::render::{self, Kind, Templates};
use berth_schema::{Parsed, State};
use berth_tests::namespace::Namespace;
use berth_tests::process::source_tree;

use crate::caddy::good;
use crate::organisation;
use crate::table;
use crate::times::Times;

/// Servers, and whether each has an exception.
const SIZES: [(usize, bool); 6] =
    [(1, false), (100, false), (1_000, false), (1, true), (100, true), (1_000, true)];
const ROUNDS: usize = 7;

pub(crate) fn run() -> anyhow::Result<()> {
    let mut rows = Vec::new();
    for (servers, excepted) in SIZES {
        eprintln!("rules of {servers} servers, {} …", if excepted { "with exceptions" } else { "without" });
        let state = state(servers, excepted)?;
        let ground = Ground::new()?;
        let file = ground.folder.path().join("rules.v4");
        let (mut rendered, mut restored, mut loaded) = (Times::default(), Times::default(), Times::default());
        let mut text = String::new();
        let mut saved = String::new();
        for _ in 0..ROUNDS {
            text = rendered.measure(|| {
                render::render(
                    Kind::Firewall,
                    &state,
                    &Templates::default(),
                    &berth_plan::Identities::example([]),
                )
            })?;
            fs::write(&file, &text)?;
            restored.measure(|| good(ground.command("iptables-restore").arg(&file)))?;
            saved = ground.saved()?;
            loaded.measure(|| good(ground.program("load").arg("firewall").arg(&file)))?;
        }
        let rules = text.lines().filter(|line| line.starts_with("-A ")).count();
        ensure!(
            saved.lines().filter(|line| line.starts_with("-A ")).count() == rules,
            "not all rules are there"
        );
        let marked = ground.saved()?;
        ensure!(
            marked.lines().filter(|line| !line.starts_with(":berth.")).eq(saved.lines()),
            "the program has loaded something else"
        );
        // The same from nothing.
        let other = Ground::new()?;
        let mut called = Times::default();
        let rounds = if rules > 500 { 1 } else { 3 };
        for _ in 0..rounds {
            good(other.command("iptables-restore").arg(&empty(&other)?))?;
            called.measure(|| other.call(&text))?;
            ensure!(other.saved()? == saved, "the calls have made other rules");
        }
        rows.push(vec![
            servers.to_string(),
            if excepted { "one each" } else { "none" }.to_owned(),
            rules.to_string(),
            rendered.to_string(),
            restored.to_string(),
            loaded.to_string(),
            called.to_string(),
            format!("{:.0} ×", called.ratio_to(&restored)),
            format!("{ROUNDS}, {rounds}"),
        ]);
    }
    table::print(
        "(j) The firewall's rules",
        &[
            "servers",
            "exceptions",
            "rules",
            "render",
            "`iptables-restore`",
            "the image's `load`",
            "a call for each",
            "longer",
            "rounds",
        ],
        &rows,
    );
    Ok(())
}

fn state(servers: usize, excepted: bool) -> anyhow::Result<State> {
    let mut files = organisation::files(servers, "[networks]\nusers = \"10.0.0.0/8\"\n");
    if excepted {
        for (number, (_, text)) in
            files.iter_mut().filter(|(path, _)| path.starts_with("servers/")).enumerate()
        {
            *text += &format!("allow = [\"192.168.{}.{}/32:5432/tcp\"]\n", number / 250, 1 + number % 250);
        }
    }
    let parsed: Vec<Parsed> = files.iter().map(|(path, text)| Parsed::parse(path, text)).collect();
    organisation::state(&parsed)
}

/// A namespace, and a folder for what the programs keep.
struct Ground {
    namespace: Namespace,
    folder: tempfile::TempDir,
}

impl Ground {
    fn new() -> anyhow::Result<Self> {
        Ok(Self { namespace: Namespace::make("bench"), folder: tempfile::tempdir()? })
    }

    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = self.namespace.command();
        command
            .env("BERTH_RUN", self.folder.path().join("run"))
            .env("BERTH_ETC", self.folder.path())
            .stdin(Stdio::null())
            .arg(program);
        command
    }

    /// A program of the firewall's image.
    fn program(&self, name: &str) -> Command {
        self.command(source_tree().join("templates/firewall/lib").join(name))
    }

    /// Rules in force, without the comments, which differ from one look to the next.
    fn saved(&self) -> anyhow::Result<String> {
        let output = self.command("iptables-save").output().context("run iptables-save")?;
        ensure!(output.status.success(), "iptables-save: {}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8_lossy(&output.stdout);
        Ok(text.lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect())
    }

    /// Makes the rules of a file by a call of `iptables` for each.
    fn call(&self, text: &str) -> anyhow::Result<()> {
        let mut script = String::from("set -e\n");
        let mut table = "";
        for line in text.lines() {
            if let Some(name) = line.strip_prefix('*') {
                table = name;
            } else if let Some(chain) = line.strip_prefix(':') {
                let (name, rest) = chain.split_once(' ').unwrap_or_default();
                let policy = rest.split(' ').next().unwrap_or_default();
                let verb = if policy == "-" { format!("-N {name}") } else { format!("-P {name} {policy}") };
                script += &format!("iptables -t {table} {verb}\n");
            } else if line.starts_with("-A ") {
                script += &format!("iptables -t {table} {line}\n");
            }
        }
        let file = self.folder.path().join("calls");
        fs::write(&file, script)?;
        good(self.command("sh").arg(file))
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        self.namespace.end();
    }
}

/// Rules that are none, in the tables that there are.
fn empty(ground: &Ground) -> anyhow::Result<PathBuf> {
    let file = ground.folder.path().join("empty");
    fs::write(&file, "*raw\nCOMMIT\n*nat\nCOMMIT\n*filter\nCOMMIT\n")?;
    Ok(file)
}
