//! The host's cgroup hierarchies, as a process's mount table shows them.

use std::path::PathBuf;

use rustix::fs::makedev;

/// One mount of a cgroup hierarchy. A hierarchy may have several, and a mount may be hidden under a later one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hierarchy {
    /// The folder that it is mounted at.
    pub mount_point: PathBuf,
    /// Device number of the mount, which tells whether the mount point still leads there.
    pub device: u64,
    /// The part of the hierarchy that is mounted there; `/` unless this process is in a container itself.
    pub root: PathBuf,
    /// The controllers or the name of a v1 hierarchy, none for v2.
    pub controllers: Option<Vec<String>>,
}

/// The cgroup mounts in a `mountinfo`.
pub fn hierarchies(mountinfo: &str) -> Vec<Hierarchy> {
    mountinfo.lines().filter_map(hierarchy).collect()
}

/// Reads one line of a `mountinfo`, if it is a cgroup mount:
/// `36 35 0:26 /root /mount/point rw,opts optional... - type source super,options`.
fn hierarchy(line: &str) -> Option<Hierarchy> {
    let (mount, filesystem) = line.split_once(" - ")?;
    let mut mount = mount.split(' ').skip(2);
    let (major, minor) = mount.next()?.split_once(':')?;
    let (root, mount_point) = (mount.next()?, mount.next()?);
    let mut filesystem = filesystem.split(' ');
    let (kind, options) = (filesystem.next()?, filesystem.nth(1)?);
    let controllers = match kind {
        "cgroup2" => None,
        "cgroup" => Some(options.split(',').map(str::to_owned).collect()),
        _ => return None,
    };
    Some(Hierarchy {
        mount_point: PathBuf::from(unescape(mount_point)),
        device: makedev(major.parse().ok()?, minor.parse().ok()?),
        root: PathBuf::from(unescape(root)),
        controllers,
    })
}

/// Undoes the octal escapes of `mountinfo` for the characters that a path of cgroups may hold.
fn unescape(field: &str) -> String {
    field.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")
}
