//! The container's own cgroup, as the kernel tells it, and its delegation to the container's root.
//!
//! `/proc/<pid>/cgroup` of the container's first process says where it is, under every v1 hierarchy, under v2, or under
//! both at once; this process's mount table says where those hierarchies are. A path is taken only if it is the one that the bundle
//! asked for, so a hierarchy that runc did not use (its path is the engine's own or `/`) is never given away.
//!
//! The directory is delegated, and the files that move processes and create children. Files that hold limits stay the
//! host's: a server can divide its share, but not raise it.

use std::fs;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Component, Path, PathBuf};

use berth_host::cgroup::{Hierarchy, hierarchies};
use rustix::fs::{AtFlags, Gid, Mode, OFlags, Uid, chownat, fstat, open, openat};

use crate::bundle::MappedRoot;

/// The files that go to the container's root, where they exist: the v1 and v2 names of "which processes" and "what
/// children may use".
const DELEGATED_FILES: &[&str] = &["cgroup.procs", "cgroup.subtree_control", "cgroup.threads", "tasks"];

/// Bounds of a server's tree of cgroups, where the kernel has these files (v2). Each group costs memory of the kernel, and a
/// walk over all of them costs time of everybody. A server that boots has some 150, four deep.
const BOUNDS: &[(&str, &str)] = &[("cgroup.max.descendants", "4096"), ("cgroup.max.depth", "32")];

/// Flags with which directories are opened: never through a symbolic link.
const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Reason for which a cgroup could not be delegated.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CgroupError {
    /// A file of /proc could not be read.
    #[error("cannot read {}", path.display())]
    Proc { path: PathBuf, source: io::Error },
    /// The bundle names no cgroup, so none can be recognised as the container's own.
    #[error("the bundle has no linux.cgroupsPath")]
    NoPath,
    /// No hierarchy holds the container where the bundle said.
    #[error("the container is in no cgroup that matches {wanted:?}")]
    NotFound { wanted: String },
    /// A directory could not be opened without following a symbolic link.
    #[error("cannot open the cgroup {}", path.display())]
    Open { path: PathBuf, source: io::Error },
    /// A bound could not be written.
    #[error("cannot write {}", path.display())]
    Bound { path: PathBuf, source: io::Error },
    /// The owner of a directory or file could not be changed.
    #[error("cannot give {} to user {uid}", path.display())]
    Chown { path: PathBuf, uid: u32, source: io::Error },
}

/// Text of what a server's cgroup gets.
#[cfg(test)]
pub(crate) fn told() -> String {
    format!("{DELEGATED_FILES:?} {BOUNDS:?}")
}

/// The paths that end in what the bundle's `cgroupsPath` asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wanted(PathBuf);

impl Wanted {
    /// Reads `cgroupsPath` in either form: a path, or `slice:prefix:name` for the systemd driver.
    fn parse(cgroups_path: &str) -> Result<Self, CgroupError> {
        let last = match cgroups_path.split(':').collect::<Vec<_>>().as_slice() {
            [_, _, name] if name.ends_with(".slice") => (*name).to_owned(),
            [_, "", name] => format!("{name}.scope"),
            [_, prefix, name] => format!("{prefix}-{name}.scope"),
            _ => cgroups_path.trim_matches('/').to_owned(),
        };
        let path = PathBuf::from(last);
        let plain = path.components().all(|part| matches!(part, Component::Normal(_)));
        if path.as_os_str().is_empty() || !plain {
            return Err(CgroupError::NoPath);
        }
        Ok(Self(path))
    }

    fn matches(&self, path: &Path) -> bool {
        path.ends_with(&self.0)
    }
}

/// Gives the cgroup of process `pid` to `root` under every hierarchy, and returns the directories.
pub(crate) fn delegate(
    pid: u32,
    cgroups_path: Option<&str>,
    root: MappedRoot,
) -> Result<Vec<PathBuf>, CgroupError> {
    let wanted = Wanted::parse(cgroups_path.ok_or(CgroupError::NoPath)?)?;
    let hierarchies = hierarchies(&read_proc("/proc/self/mountinfo".into())?);
    let memberships = read_proc(format!("/proc/{pid}/cgroup").into())?;
    let mut delegated = Vec::new();
    for mounts in own(&hierarchies, &memberships, &wanted) {
        let Some((hierarchy, path, mount)) = visible(&mounts) else { continue };
        delegate_directory(mount, &hierarchy.mount_point, path, root)?;
        delegated.push(hierarchy.mount_point.join(path));
    }
    if delegated.is_empty() {
        return Err(CgroupError::NotFound { wanted: wanted.0.display().to_string() });
    }
    Ok(delegated)
}

fn read_proc(path: PathBuf) -> Result<String, CgroupError> {
    fs::read_to_string(&path).map_err(|source| CgroupError::Proc { path, source })
}

/// For each hierarchy that holds the container where it is wanted: its mounts, and the path below each mount point.
fn own<'a>(
    hierarchies: &'a [Hierarchy],
    memberships: &str,
    wanted: &Wanted,
) -> Vec<Vec<(&'a Hierarchy, PathBuf)>> {
    let mut found = Vec::new();
    for line in memberships.lines() {
        // 4:memory:/docker/abc, 1:name=systemd:/docker/abc, 0::/docker/abc
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
        let path = Path::new(path);
        if !wanted.matches(path) {
            continue;
        }
        let mounts: Vec<_> = hierarchies
            .iter()
            .filter(|hierarchy| match &hierarchy.controllers {
                None => controllers.is_empty(),
                Some(mounted) => {
                    !controllers.is_empty() && controllers.split(',').all(|c| mounted.iter().any(|m| m == c))
                }
            })
            .filter_map(|hierarchy| Some((hierarchy, path.strip_prefix(&hierarchy.root).ok()?.to_owned())))
            .collect();
        if !mounts.is_empty() {
            found.push(mounts);
        }
    }
    found
}

/// The first of a hierarchy's mounts whose mount point really leads there, opened.
fn visible<'a>(mounts: &'a [(&Hierarchy, PathBuf)]) -> Option<(&'a Hierarchy, &'a Path, OwnedFd)> {
    mounts.iter().find_map(|(hierarchy, path)| {
        let directory = open(&hierarchy.mount_point, DIRECTORY, Mode::empty()).ok()?;
        let device = fstat(&directory).ok()?.st_dev;
        (device == hierarchy.device).then_some((*hierarchy, path.as_path(), directory))
    })
}

/// Changes the owner of one cgroup directory and of the files in it that are delegated. No step follows a symbolic
/// link, and every step starts from the directory that the step before opened.
fn delegate_directory(
    mount: OwnedFd,
    mount_point: &Path,
    relative: &Path,
    root: MappedRoot,
) -> Result<(), CgroupError> {
    let full = mount_point.join(relative);
    let failed = |source: rustix::io::Errno| CgroupError::Open { path: full.clone(), source: source.into() };
    let mut directory = mount;
    for part in relative.components() {
        let Component::Normal(part) = part else {
            return Err(failed(rustix::io::Errno::INVAL));
        };
        directory = openat(directory.as_fd(), part, DIRECTORY, Mode::empty()).map_err(failed)?;
    }

    for (file, bound) in BOUNDS {
        let write_only = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let written = match openat(&directory, *file, write_only, Mode::empty()) {
            Ok(file) => rustix::io::write(file, bound.as_bytes()).map(drop),
            Err(rustix::io::Errno::NOENT) => Ok(()),
            Err(error) => Err(error),
        };
        written.map_err(|source| CgroupError::Bound { path: full.join(file), source: source.into() })?;
    }
    let owner = (Some(Uid::from_raw(root.uid)), Some(Gid::from_raw(root.gid)));
    for file in DELEGATED_FILES {
        match chownat(&directory, *file, owner.0, owner.1, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => {}
            Err(source) => {
                return Err(CgroupError::Chown {
                    path: full.join(file),
                    uid: root.uid,
                    source: source.into(),
                });
            }
        }
    }
    // The directory last: until then the container's root could not have changed what is in it.
    chownat(&directory, "", owner.0, owner.1, AtFlags::EMPTY_PATH).map_err(|source| CgroupError::Chown {
        path: full.clone(),
        uid: root.uid,
        source: source.into(),
    })
}

#[cfg(test)]
#[path = "cgroup_tests.rs"]
mod tests;
