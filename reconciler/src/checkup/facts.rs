//! Facts about a host, as they are read.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;

use berth_engine::Facts;

use crate::setup::keys::Quota;

/// Everything that a check-up judges by.
#[derive(Debug, Clone)]
pub struct HostFacts {
    /// The distribution's name for itself, such as `Debian GNU/Linux 13 (trixie)`; empty where it has none.
    pub system: String,
    /// The kernel's release, such as `6.12.48+deb13-amd64`.
    pub kernel: String,
    /// True if the reader was root: others see less.
    pub is_root: bool,
    /// The mounted cgroup hierarchies.
    pub cgroups: Cgroups,
    /// The kernel's AppArmor, and what is loaded into it.
    pub apparmor: AppArmor,
    /// Programs that Berth calls and that aren't in `PATH`.
    pub missing: Vec<Program>,
    /// The Docker engine.
    pub engine: Engine,
    /// Reasons for which `berth engine setup` would refuse the engine's configuration file.
    pub conflicts: Vec<String>,
    /// Version of the `docker` command, such as `20.10.24+dfsg1`.
    pub client: Option<String>,
    /// Version of Caddy in the platform's web server, where that runs.
    pub caddy: Option<String>,
    /// The ports of the host that the platform is reached at.
    pub ports: Vec<Port>,
    /// The platform's domain, once there is a state.
    pub name: Option<Name>,
    /// The clock.
    pub clock: Clock,
    /// The file systems that Berth and the engine write to, one a device.
    pub disks: Vec<Disk>,
    /// Settings of the kernel that are too low.
    pub low: Vec<Low>,
    /// Settings of the kernel that keep members' programs from making user namespaces, by their names for `sysctl`.
    pub no_namespaces: Vec<&'static str>,
    /// Bytes of memory; `None` where it can't be read.
    pub memory: Option<u64>,
    /// Bytes of swap.
    pub swap: u64,
}

/// Cgroup hierarchies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cgroups {
    /// None is mounted.
    None,
    /// Version 1 or a mixture, with these controllers.
    V1(BTreeSet<String>),
    /// Version 2 alone, with these controllers at its root.
    V2(BTreeSet<String>),
}

/// AppArmor.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AppArmor {
    /// True if the kernel has it, and it is on.
    pub is_enabled: bool,
    /// True if there is a program that loads profiles.
    pub has_parser: bool,
    /// Those of Berth's profiles that aren't loaded, or not as this release has them.
    pub missing: Vec<&'static str>,
    /// Reason for which that can't be told.
    pub unread: Option<String>,
}

/// A program that Berth calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Program {
    /// Its name.
    pub name: &'static str,
    /// Debian's package of it.
    pub package: &'static str,
    /// Effect of its absence.
    pub without: &'static str,
}

/// The Docker engine.
#[derive(Debug, Clone)]
pub enum Engine {
    /// No program of it is installed, and none answers.
    Absent,
    /// It is installed and doesn't answer, for the reason given.
    Silent(String),
    /// It answers.
    Running {
        /// Its account of itself.
        facts: Box<Facts>,
        /// Needs of Berth's that it doesn't meet, in words.
        lacks: Vec<String>,
    },
}

/// A TCP port of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Its number.
    pub number: u16,
    /// The part of the platform that is reached there, and the field of platform.toml that chooses it.
    pub used_by: &'static str,
    /// The field of platform.toml that chooses another.
    pub field: &'static str,
    /// Whoever listens there now.
    pub held: Held,
}

/// Holder of a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Held {
    /// Nobody.
    Free,
    /// The platform itself.
    Ours,
    /// Another container, by its name.
    Container(String),
    /// A process of the host: its name and its id.
    Process(String, u32),
    /// Somebody whom this user can't see.
    Hidden,
}

/// A name's records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// The name.
    pub name: String,
    /// Its addresses, and whether each leads here; or the reason for which they can't be had.
    pub records: Result<Vec<(IpAddr, bool)>, String>,
}

/// State of the host's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// The kernel has it from a time server.
    Synchronised,
    /// It runs by itself.
    Alone,
    /// Nobody here can tell.
    Unknown,
}

/// A file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// The folders in question that lie on it, the engine's first.
    pub folders: Vec<PathBuf>,
    /// True if the engine's folder is among them.
    pub has_engine: bool,
    /// The kernel's name for its kind, such as `ext4`.
    pub kind: String,
    /// Bytes of it.
    pub bytes: u64,
    /// Bytes that root may still write.
    pub free: u64,
    /// Inodes of it; 0 where they are made as needed.
    pub inodes: u64,
    /// Inodes that are free.
    pub free_inodes: u64,
}

/// A setting of the kernel that is too low.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Low {
    /// The setting.
    pub quota: &'static Quota,
    /// Its value, as the kernel writes it; empty where there is none.
    pub found: String,
    /// The least that it should be.
    pub least: u64,
}
