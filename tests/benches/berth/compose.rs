//! The peer of a platform: Docker Compose over as many services, made like servers.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail, ensure};
use berth_tests::{Docker, image};
use tempfile::TempDir;

/// Time that one `up` may take, in seconds.
const PATIENCE: &str = "150";
/// Services that are made by one `up`.
const AT_A_TIME: usize = 40;

/// A project of Compose.
pub(crate) struct Compose {
    program: Vec<&'static str>,
    docker: Docker,
    home: TempDir,
}

impl Compose {
    /// The Compose of this machine: the plugin, else the older program.
    pub(crate) fn find(docker: &Docker) -> anyhow::Result<Self> {
        let works = |program: &[&str]| {
            let mut command = Command::new(program[0]);
            command.args(&program[1..]).arg("version").stdout(Stdio::null()).stderr(Stdio::null());
            command.status().is_ok_and(|status| status.success())
        };
        let program =
            [vec!["docker", "compose"], vec!["docker-compose"]].into_iter().find(|program| works(program));
        let Some(program) = program else {
            bail!("there is no Docker Compose on this machine: scripts/install.sh bench");
        };
        Ok(Self { program, docker: docker.clone(), home: tempfile::tempdir()? })
    }

    /// Its name and version.
    pub(crate) fn version(&self) -> anyhow::Result<String> {
        let output =
            Command::new(self.program[0]).args(&self.program[1..]).args(["version", "--short"]).output()?;
        Ok(format!("{} {}", self.program.join(" "), String::from_utf8_lossy(&output.stdout).trim()))
    }

    /// Writes the project: `services` services, all alike but for the cpus of the first.
    pub(crate) fn write(&self, services: usize, cpus_of_first: &str) -> anyhow::Result<()> {
        let mut text = String::from("services:\n");
        for id in 1..=services {
            let cpus = if id == 1 { cpus_of_first } else { "0.5" };
            let tiny = image::TINY;
            write!(
                text,
                "  s{id}:\n    image: {tiny}\n    hostname: s{id}\n    runtime: berth\n    network_mode: none\n    \
                 restart: unless-stopped\n    tty: true\n    stop_signal: \"37\"\n    cpus: {cpus}\n    \
                 mem_limit: 128m\n    memswap_limit: 128m\n    pids_limit: 512\n    \
                 volumes: [\"s{id}-apps:/apps\", \"s{id}-home:/home\", \"s{id}-docker:/var/lib/docker\"]\n"
            )?;
        }
        text += "volumes:\n";
        for id in 1..=services {
            writeln!(text, "  s{id}-apps: {{}}\n  s{id}-home: {{}}\n  s{id}-docker: {{}}")?;
        }
        Ok(fs::write(self.file(), text)?)
    }

    /// Makes all services, some at a time: Compose 1.29 waits for ever when more services are to be made than it does
    /// side by side (64), since each holds a place while its container waits for one.
    pub(crate) fn make(&self, services: usize) -> anyhow::Result<()> {
        let names: Vec<String> = (1..=services).map(|id| format!("s{id}")).collect();
        names.chunks(AT_A_TIME).try_for_each(|some| self.run(some))
    }

    /// `up -d`.
    pub(crate) fn up(&self) -> anyhow::Result<()> {
        self.run(&[])
    }

    fn run(&self, services: &[String]) -> anyhow::Result<()> {
        let output = Command::new("timeout")
            .arg(PATIENCE)
            .args(&self.program)
            .args(["--project-name", "bench", "--file"])
            .arg(self.file())
            .args(["up", "-d"])
            .args(services)
            .env("DOCKER_HOST", self.docker.host())
            .env("COMPOSE_HTTP_TIMEOUT", "600")
            .stdin(Stdio::null())
            .output()
            .context("run Compose")?;
        let words = String::from_utf8_lossy(&output.stderr);
        let last = words.trim_end().rsplit('\n').next().unwrap_or_default();
        ensure!(output.status.success(), "compose up, {}: {last}", output.status);
        Ok(())
    }

    fn file(&self) -> PathBuf {
        self.home.path().join("compose.yaml")
    }
}
