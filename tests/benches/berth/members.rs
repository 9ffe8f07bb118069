//! (s) An organisation of thousands, with years of history: what its members do, many at the same moment, through the real SSH
//! router and the real door. No engine is needed.
//!
//! `BERTH_BENCH_OTHER` names a folder with another build's programs, which are measured beside this one's in the same run.
//! `BERTH_BENCH_MEMBERS`, `BERTH_BENCH_COMMITS` and `BERTH_BENCH_TOGETHER` set the size; a debug build tries a small one.

mod alone;
mod many;
mod memory;
mod state;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use berth_tests::GitDoor;
use berth_tests::process::built;
use tempfile::TempDir;

use self::state::{ADMIN, Size, member};
use crate::table;

/// Programs that are measured.
pub(crate) struct Build {
    label: String,
    /// Folder of the programs; `None` for those of this build.
    programs: Option<PathBuf>,
}

/// A state repo for one build, with its hooks.
pub(crate) struct Ground<'b> {
    build: &'b Build,
    size: Size,
    folder: TempDir,
}

/// Somebody with a clone.
pub(crate) struct Seat {
    path: PathBuf,
    ssh: String,
}

/// Rows of the table: what was measured, and by which build.
pub(crate) type Rows = Vec<Vec<String>>;

pub(crate) fn run() -> anyhow::Result<()> {
    let size = if cfg!(debug_assertions) {
        Size { members: 60, commits: 30, together: 4 }
    } else {
        Size { members: 9_173, commits: 3_449, together: 20 }
    };
    let set = |name: &str, usual: usize| match env::var(name) {
        Ok(text) => text.parse().with_context(|| format!("read {name}")),
        Err(_) => Ok(usual),
    };
    let size = Size {
        members: set("BERTH_BENCH_MEMBERS", size.members)?,
        commits: set("BERTH_BENCH_COMMITS", size.commits)?,
        together: set("BERTH_BENCH_TOGETHER", size.together)?,
    };
    ensure!(size.members >= 2 * size.together.max(4), "too few members for so many at once");
    let mut builds = vec![Build { label: "this build".to_owned(), programs: None }];
    if let Some(programs) = env::var_os("BERTH_BENCH_OTHER") {
        let label = env::var("BERTH_BENCH_OTHER_NAME").unwrap_or_else(|_| "the other build".to_owned());
        builds.insert(0, Build { label, programs: Some(programs.into()) });
    }
    let mut rows = Rows::new();
    // In turns, measure by measure: what the machine does besides hits both.
    type Measure = fn(&Build, Size) -> anyhow::Result<Rows>;
    let measures: [Measure; 5] =
        [alone::young, alone::commands, many::pushes_at_once, many::first_looks, many::proposals_at_once];
    for measure in measures {
        for build in &builds {
            eprintln!("{} members, {} commits: {} …", size.members, size.commits, build.label);
            rows.extend(measure(build, size)?.into_iter().map(|mut row| {
                row.insert(1, build.label.clone());
                row
            }));
        }
    }
    let heading = format!(
        "(s) {} members with a server and a domain each, {} commits, {} at once",
        size.members, size.commits, size.together
    );
    table::print(&heading, &["what", "by", "time", "memory of all processes, at most", "besides"], &rows);
    Ok(())
}

impl Build {
    fn program(&self, name: &str) -> PathBuf {
        self.programs.as_ref().map_or_else(|| built(name), |folder| folder.join(name))
    }

    fn berth(&self, arguments: &[&str]) -> Command {
        let mut berth = Command::new(self.program("berth"));
        berth.args(arguments).stdin(Stdio::null()).stderr(Stdio::null());
        berth
    }
}

impl<'b> Ground<'b> {
    /// The organisation with its history, packed.
    pub(crate) fn old(build: &'b Build, size: Size) -> anyhow::Result<Self> {
        let ground = Self::empty(build, size)?;
        berth_repo::StateRepo::init(&ground.repo())?;
        state::import(&ground.repo(), size)?;
        ground.hooks()
    }

    /// The organisation without history, as `berth init --from` makes it, and the time that this took.
    pub(crate) fn young(build: &'b Build, size: Size) -> anyhow::Result<(Self, Duration)> {
        let ground = Self::empty(build, size)?;
        let from = ground.folder.path().join("from");
        state::write(&from, size.members)?;
        let mut init = build.berth(&["init"]);
        init.arg(ground.repo()).arg("--from").arg(&from).stdout(Stdio::null());
        let began = Instant::now();
        ensure!(init.status().context("run berth")?.success(), "berth init failed");
        let took = began.elapsed();
        fs::remove_dir_all(from)?;
        Ok((ground.hooks()?, took))
    }

    fn empty(build: &'b Build, size: Size) -> anyhow::Result<Self> {
        Ok(Self { build, size, folder: tempfile::tempdir()? })
    }

    fn hooks(self) -> anyhow::Result<Self> {
        let installed = self.berth(&["hook", "install"]).stdout(Stdio::null()).status();
        ensure!(installed.context("run berth")?.success(), "no hooks");
        Ok(self)
    }

    pub(crate) fn repo(&self) -> PathBuf {
        self.folder.path().join("state.git")
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Berth on this state repo.
    pub(crate) fn berth(&self, arguments: &[&str]) -> Command {
        let mut berth = self.build.berth(arguments);
        berth.env("BERTH_STATE", self.repo()).env("BERTH_DATA", self.data());
        berth
    }

    /// The door, and the router before it, for the admin and so many members.
    pub(crate) fn door(&self, members: usize) -> GitDoor {
        let names: Vec<String> = (1..=members).map(member).collect();
        let people: Vec<&str> = [ADMIN].into_iter().chain(names.iter().map(String::as_str)).collect();
        GitDoor::of_build(self.build.programs.as_deref(), &self.repo(), &self.data(), &people)
    }

    /// Folder in which somebody's clone may be.
    pub(crate) fn place(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("clone-{name}"))
    }

    /// Clones as somebody.
    pub(crate) fn clone_as(&self, door: &GitDoor, name: &str) -> anyhow::Result<Seat> {
        let seat = Seat { path: self.place(name), ssh: door.ssh(name) };
        let mut clone = git(&seat.ssh);
        clone.args(["clone", "--quiet", &door.url()]).arg(&seat.path);
        done(&mut clone)?;
        Ok(seat)
    }
}

impl Seat {
    /// Git in the clone, to be run.
    pub(crate) fn git(&self, arguments: &[&str]) -> Command {
        let mut git = git(&self.ssh);
        git.arg("-C").arg(&self.path).args(arguments);
        git
    }

    /// Commits files.
    pub(crate) fn commit(&self, files: &[(String, String)]) -> anyhow::Result<()> {
        for (path, text) in files {
            let path = self.path.join(path);
            fs::create_dir_all(path.parent().context("a folder")?)?;
            fs::write(path, text)?;
        }
        done(&mut self.git(&["add", "--all"]))?;
        done(&mut self.git(&["commit", "--quiet", "--message", "a change"]))
    }
}

/// Git as Ada, by an SSH command.
fn git(ssh: &str) -> Command {
    let mut git = berth_testing::git(Path::new("."));
    // The first word may be a shell's.
    git.env("GIT_SSH_COMMAND", ssh).env("GIT_SSH_VARIANT", "ssh").stdin(Stdio::null());
    git
}

/// Runs a command that has to succeed.
pub(crate) fn done(command: &mut Command) -> anyhow::Result<()> {
    let output = command.output().context("run a program")?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// Runs a command that has to succeed, and returns the time that it took.
pub(crate) fn timed(command: &mut Command) -> anyhow::Result<Duration> {
    let began = Instant::now();
    done(command)?;
    Ok(began.elapsed())
}

/// Seconds in words.
pub(crate) fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

/// A row of the table.
pub(crate) fn row(what: impl Into<String>, time: String, most: String, besides: String) -> Vec<String> {
    vec![what.into(), time, most, besides]
}
