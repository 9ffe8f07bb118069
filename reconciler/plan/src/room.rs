//! Room: how many more servers a host can carry, by whatever is scarcest there.

use std::fmt;

use berth_schema::platform::Platform;
use serde::Serialize;

use crate::recipe::CONNECTIONS;

/// Share of an idle server with its own Docker: one had 103 MiB of memory, 50 processes and 11 MiB of disk (2026-11-30). The rest is for
/// what it will run.
const IDLE: Left = Left { memory: 256 << 20, processes: 128, disk: 1 << 30 };

/// Resources that are left on a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left {
    /// Bytes of memory that programs could still get.
    pub memory: u64,
    /// Processes and threads that could still be started.
    pub processes: u64,
    /// Bytes of the engine's disk.
    pub disk: u64,
}

/// Room for more servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct More {
    /// Idle servers that the host can still carry.
    pub servers: u64,
    /// Resource that is used up first.
    pub scarcest: Scarcest,
}

/// A resource of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Scarcest {
    /// Addresses of `networks.users`.
    Addresses,
    /// Memory.
    Memory,
    /// Processes and threads.
    Processes,
    /// Disk space of the engine.
    Disk,
}

/// Connections of all servers together that the kernel's table has no room for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excess {
    /// Sentence that tells how many there may be.
    pub what: String,
    /// Advice on what to do.
    pub remedy: &'static str,
}

/// Returns the excess of so many servers, if there is one.
pub fn connections(servers: usize, platform: &Platform) -> Option<Excess> {
    let each = platform.firewall.connections.get();
    let together = u64::try_from(servers).unwrap_or(u64::MAX).saturating_mul(each.into());
    (platform.services.firewall && together > CONNECTIONS).then(|| Excess {
        what: format!(
            "{servers} servers with {each} connections each (`firewall.connections`) may have {together} together, and \
             `berth engine setup` makes room for {CONNECTIONS}"
        ),
        remedy: "raise net.netfilter.nf_conntrack_max to more, or lower the limit",
    })
}

impl fmt::Display for Excess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.remedy)
    }
}

impl More {
    /// Counts the servers for which something of everything is left.
    pub fn of(left: &Left, addresses: usize) -> Self {
        let all = [
            (u64::try_from(addresses).unwrap_or(u64::MAX), Scarcest::Addresses),
            (left.memory / IDLE.memory, Scarcest::Memory),
            (left.processes / IDLE.processes, Scarcest::Processes),
            (left.disk / IDLE.disk, Scarcest::Disk),
        ];
        let (servers, scarcest) = all.into_iter().min().unwrap_or((0, Scarcest::Addresses));
        Self { servers, scarcest }
    }
}

impl fmt::Display for More {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let servers = if self.servers == 1 { "server" } else { "servers" };
        write!(f, "{} for {} more idle {servers}", self.scarcest, self.servers)
    }
}

impl fmt::Display for Scarcest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Addresses => "addresses",
            Self::Memory => "memory",
            Self::Processes => "processes",
            Self::Disk => "disk space",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scarcest_resource_bounds_the_servers() {
        let plenty = Left { memory: 1 << 40, processes: 1 << 20, disk: 1 << 50 };
        for (left, addresses, words) in [
            (plenty, 236, "addresses for 236 more idle servers"),
            (Left { memory: 300 << 20, ..plenty }, 236, "memory for 1 more idle server"),
            (Left { processes: 1000, ..plenty }, 236, "processes for 7 more idle servers"),
            (Left { disk: 5 << 30, ..plenty }, 236, "disk space for 5 more idle servers"),
            (Left { memory: 0, disk: 0, ..plenty }, 236, "memory for 0 more idle servers"),
        ] {
            assert_eq!(More::of(&left, addresses).to_string(), words);
        }
    }
}
