//! Servers of the tiny image, for the parts that need an engine.

use std::process::Stdio;

use anyhow::{Context as _, ensure};
use berth_repo::{Edit, Signature, StateRepo, Words};
use berth_tests::{Folder, Platform};

/// Writes the files of `servers` servers, and gives their owner room for them.
pub(crate) fn write(folder: &Folder, servers: usize) {
    let settings = folder.read("platform.toml").replace("\nservers = 100\n", "\nservers = 1000\n");
    folder.write("platform.toml", &settings);
    for id in 1..=servers {
        folder.write(&path(id), &text(id, "0.5"));
    }
}

/// Commits another number of cpus for one server, as every door does.
pub(crate) fn commit_cpus(repo: &StateRepo, id: usize, cpus: &str) -> anyhow::Result<()> {
    let tip = repo.head()?.context("the state repo is empty")?;
    let ann = Signature::now("Ann", "ann@example.org");
    repo.commit(
        Some(&tip),
        &[Edit::write(path(id), text(id, cpus))],
        &Words { author: &ann, committer: &ann, message: "cpus" },
    )?;
    Ok(())
}

/// `berth apply`, as a person calls it. Not the harness's way to run a command, which only looks now and then whether
/// it has ended.
pub(crate) fn apply(platform: &Platform) -> anyhow::Result<()> {
    let output = platform.berth_command(&["apply"]).stdin(Stdio::null()).output().context("run berth")?;
    ensure!(output.status.success(), "berth apply: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

fn path(id: usize) -> String {
    format!("servers/s{id}.toml")
}

fn text(id: usize, cpus: &str) -> String {
    format!("id = {id}\nowner = \"ann\"\ncpus = {cpus}\nmemory = \"128 MiB\"\npids = 512\n")
}
