//! Cgroups of containers: where the engine puts them, and what their files say, under v1 and v2.
//!
//! The files are the host's, also where the cgroup is delegated to the server's root, so that no server chooses its figures.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use berth_host::cgroup::{Hierarchy, hierarchies};

use super::disk_traffic::{Disks, Moved};

/// Most folders that a search looks into.
const LOOKED_INTO: usize = 2000;
/// Depth of the deepest folder that a search looks into.
const DEEPEST: usize = 4;

/// Counters of one container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// Microseconds of processors, since the container started.
    pub cpu_micros: u64,
    /// Bytes of memory without the page cache that wasn't used of late (`inactive_file`). The kernel takes that back first,
    /// before anything is killed; `docker stats` and cAdvisor's working set leave out the same.
    pub memory: u64,
    /// Processes and threads.
    pub processes: u64,
    /// Bytes of memory with the page cache.
    pub usage: u64,
    /// Bytes from and to disks; `None` where the kernel doesn't count them.
    pub moved: Option<Moved>,
    /// Programs that the kernel ended for want of memory; `None` where it doesn't count them.
    pub oom_kills: Option<u64>,
}

/// The folders that hold the host's cgroups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Tree {
    /// One for all, as v2 has it.
    Unified(PathBuf),
    /// One for each controller, as v1 has it. The last one may be missing.
    Split { cpu: PathBuf, memory: PathBuf, pids: PathBuf, blkio: Option<PathBuf> },
}

/// Place of the engine's containers below each of these folders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    parent: PathBuf,
    form: Form,
}

/// Name of a container's cgroup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// `<id>`, by the engine's own cgroup driver.
    Plain,
    /// `docker-<id>.scope`, by systemd's.
    Scope,
}

impl Form {
    const ALL: [Self; 2] = [Self::Plain, Self::Scope];

    fn name(self, id: &str) -> String {
        match self {
            Self::Plain => id.to_owned(),
            Self::Scope => format!("docker-{id}.scope"),
        }
    }
}

impl Layout {
    /// Path of a container's cgroup below those folders, as the kernel and cAdvisor name it.
    pub(super) fn path(&self, id: &str) -> String {
        format!("/{}", self.parent.join(self.form.name(id)).display())
    }
}

impl Tree {
    /// Finds the folders in a `mountinfo`; `None` where none of the two versions has all three controllers.
    pub(super) fn of(mountinfo: &str) -> Option<Self> {
        let mounts = hierarchies(mountinfo);
        let has = |mount: &&Hierarchy, controller: &str| {
            mount.controllers.as_ref().is_some_and(|all| all.iter().any(|one| one == controller))
        };
        let v1 = |controller: &str| {
            mounts.iter().find(|mount| has(mount, controller)).map(|mount| mount.mount_point.clone())
        };
        // Where both are mounted, a controller is v1's if v1 has it.
        if let (Some(cpu), Some(memory), Some(pids)) = (v1("cpuacct"), v1("memory"), v1("pids")) {
            return Some(Self::Split { cpu, memory, pids, blkio: v1("blkio") });
        }
        let unified = mounts.into_iter().find(|mount| mount.controllers.is_none())?;
        Some(Self::Unified(unified.mount_point))
    }

    /// The folder in which containers are looked for.
    fn root(&self) -> &Path {
        match self {
            Self::Unified(root) | Self::Split { memory: root, .. } => root,
        }
    }

    /// Reads the counters of a container; an error where it doesn't run.
    pub(super) fn read(
        &self,
        layout: &Layout,
        id: &str,
        disks: &mut Disks,
        text: &mut String,
    ) -> io::Result<Reading> {
        let place = layout.parent.join(layout.form.name(id));
        match self {
            Self::Unified(root) => {
                let folder = root.join(place);
                let usage = number(read(&folder.join("memory.current"), text)?)?;
                Ok(Reading {
                    cpu_micros: field(read(&folder.join("cpu.stat"), text)?, "usage_usec")?,
                    memory: usage
                        .saturating_sub(field(read(&folder.join("memory.stat"), text)?, "inactive_file")?),
                    processes: number(read(&folder.join("pids.current"), text)?)?,
                    usage,
                    moved: read(&folder.join("io.stat"), text).ok().map(|text| disks.of_v2(text)),
                    oom_kills: maybe(&folder.join("memory.events"), "oom_kill", text),
                })
            }
            Self::Split { cpu, memory, pids, blkio } => {
                let memory = memory.join(&place);
                let usage = number(read(&memory.join("memory.usage_in_bytes"), text)?)?;
                Ok(Reading {
                    cpu_micros: number(read(&cpu.join(&place).join("cpuacct.usage"), text)?)? / 1000,
                    // The totals count the cgroups below, as the usage does.
                    memory: usage.saturating_sub(field(
                        read(&memory.join("memory.stat"), text)?,
                        "total_inactive_file",
                    )?),
                    usage,
                    oom_kills: maybe(&memory.join("memory.oom_control"), "oom_kill", text),
                    processes: number(read(&pids.join(&place).join("pids.current"), text)?)?,
                    moved: blkio.as_ref().and_then(|blkio| {
                        let file = blkio.join(&place).join("blkio.throttle.io_service_bytes_recursive");
                        read(&file, text).ok().map(|text| disks.of_v1(text))
                    }),
                })
            }
        }
    }

    /// Finds where the engine puts its containers, by one that runs: where it does so by default, and otherwise (`cgroup-parent`
    /// in its settings) by a search of bounded length.
    pub(super) fn layout(&self, id: &str) -> Option<Layout> {
        let usual = [("docker", Form::Plain), ("system.slice", Form::Scope)];
        let usual = usual.map(|(parent, form)| Layout { parent: parent.into(), form });
        let is_there = |layout: &Layout| self.root().join(&layout.parent).join(layout.form.name(id)).is_dir();
        usual.into_iter().find(is_there).or_else(|| self.search(id))
    }

    fn search(&self, id: &str) -> Option<Layout> {
        let mut waiting = VecDeque::from([(PathBuf::new(), 0)]);
        for _ in 0..LOOKED_INTO {
            let (parent, depth) = waiting.pop_front()?;
            let folder = self.root().join(&parent);
            if let Some(form) = Form::ALL.into_iter().find(|form| folder.join(form.name(id)).is_dir()) {
                return Some(Layout { parent, form });
            }
            if depth == DEEPEST {
                continue;
            }
            let Ok(entries) = fs::read_dir(folder) else { continue };
            for entry in entries.flatten() {
                let name = entry.file_name();
                // What is in a container is its own business, and as much as it likes.
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) && !is_container(&name.to_string_lossy())
                {
                    waiting.push_back((parent.join(name), depth + 1));
                }
            }
        }
        None
    }
}

/// Returns whether a cgroup has a container's name, of whichever form.
fn is_container(name: &str) -> bool {
    let id = name.strip_suffix(".scope").and_then(|name| name.rsplit('-').next()).unwrap_or(name);
    id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Reads a file into a text that is used again.
fn read<'a>(path: &Path, text: &'a mut String) -> io::Result<&'a str> {
    text.clear();
    File::open(path)?.read_to_string(text)?;
    Ok(text)
}

/// Reads a file of one number.
fn number(text: &str) -> io::Result<u64> {
    text.trim_end().parse().map_err(|_| unreadable())
}

/// Reads one line of a file that older kernels don't have, or not with this line.
fn maybe(path: &Path, name: &str, text: &mut String) -> Option<u64> {
    field(read(path, text).ok()?, name).ok()
}

/// Reads one line of a file of `name number` lines.
fn field(text: &str, name: &str) -> io::Result<u64> {
    let mut lines = text.lines();
    let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    number(value.ok_or_else(unreadable)?)
}

fn unreadable() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "not what the kernel's documentation says")
}

#[cfg(test)]
#[path = "cgroup_tests.rs"]
mod tests;
