//! Room in the kernel for many servers, where its own measure is small.
//!
//! The kernel counts keys per user of the host, and all servers belong to one, the mapped root. runc makes a session key for each
//! server and for each command that is run in one: at 200 keys creating and `exec` fail with "disk quota exceeded".
//!
//! What watches files, and namespaces, are on each server's own account (`berth-runtime`), which is as large as the host's setting.
//! The 128 inotify instances of a stock kernel are enough for an idle server, and few for one that runs dozens of containers. The
//! table of connections is one for all servers: those that use up their share fill it for the others.
//!
//! Watches of epoll and pages of pipes are counted for the mapped root, too, unless each server has ids of its own. Their memory is
//! charged to the server's cgroup, which bounds it better than the kernel's count, so the count is lifted.

use std::path::{Path, PathBuf};

use berth_plan::recipe::CONNECTIONS;

/// Meaning of 0 in a host setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zero {
    /// Nothing at all.
    Nothing,
    /// No bound.
    Unbounded,
}

/// Measure of the kernel's own value of a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// The same on every host, and never more than `least`.
    Fixed,
    /// More on a host with more memory.
    Memory,
}

/// One host setting, and the least that it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Its name for `sysctl`.
    pub sysctl: &'static str,
    /// The least value that leaves room for many servers.
    pub least: u64,
    /// The meaning of 0 in it.
    pub zero: Zero,
    /// Share of an idle server, with some to spare; `None` where each server has as much, or where it is up to the platform's
    /// settings.
    pub per_server: Option<u64>,
    /// The kernel's module that has it, where it isn't the kernel itself: without it there is no file.
    pub module: Option<&'static str>,
    /// The measure of the kernel's own value.
    pub measure: Measure,
}

/// Keys and their bytes of all servers; what watches files, and namespaces, of each; processes; and connections of one network
/// namespace.
pub const QUOTAS: &[Quota] = &[
    kernel("kernel.keys.maxkeys", 20_000, 1),
    kernel("kernel.keys.maxbytes", 2_000_000, 100),
    account("fs.inotify.max_user_instances", 2_048),
    grows("fs.inotify.max_user_watches", 524_288),
    grows("user.max_user_namespaces", 10_000),
    grows("user.max_pid_namespaces", 10_000),
    grows("user.max_uts_namespaces", 10_000),
    grows("user.max_ipc_namespaces", 10_000),
    grows("user.max_net_namespaces", 10_000),
    grows("user.max_mnt_namespaces", 10_000),
    grows("user.max_cgroup_namespaces", 10_000),
    // The kernel's most on 64 bits (proc_sys_kernel(5)). Each server's `pids` bounds what it takes of it.
    account("kernel.pid_max", 4_194_304),
    // One account of all servers without ranges of their own. The memory behind both is the server's in any case.
    account("fs.epoll.max_user_watches", 0x7fff_ffff),
    Quota { zero: Zero::Unbounded, ..account("fs.pipe-user-pages-soft", 0) },
    Quota {
        sysctl: "net.netfilter.nf_conntrack_max",
        least: CONNECTIONS,
        zero: Zero::Nothing,
        per_server: None,
        module: Some("nf_conntrack"),
        measure: Measure::Fixed,
    },
];

const fn kernel(sysctl: &'static str, least: u64, per_server: u64) -> Quota {
    Quota {
        sysctl,
        least,
        zero: Zero::Nothing,
        per_server: Some(per_server),
        module: None,
        measure: Measure::Fixed,
    }
}

/// A setting that is each account's own: a server's, or the host root's.
const fn account(sysctl: &'static str, least: u64) -> Quota {
    Quota { sysctl, least, zero: Zero::Nothing, per_server: None, module: None, measure: Measure::Fixed }
}

/// One whose own value grows with the host's memory.
const fn grows(sysctl: &'static str, least: u64) -> Quota {
    Quota { measure: Measure::Memory, ..account(sysctl, least) }
}

impl Quota {
    /// The setting's file.
    pub fn file(&self) -> PathBuf {
        Path::new("/proc/sys").join(self.sysctl.replace('.', "/"))
    }

    /// The least value for so many servers.
    pub fn least_for(&self, servers: usize) -> u64 {
        let servers = u64::try_from(servers).unwrap_or(u64::MAX);
        self.least.max(servers.saturating_mul(self.per_server.unwrap_or(0)))
    }

    /// Returns the value that so many servers need if `found`, the file's content, is less. An unreadable one is less.
    pub fn wanted(&self, found: &str, servers: usize) -> Option<u64> {
        let least = self.least_for(servers);
        let enough = found.trim().parse::<u64>().is_ok_and(|found| match self.zero {
            Zero::Nothing => found >= least,
            Zero::Unbounded => found == 0 || least > 0 && found >= least,
        });
        (!enough).then_some(least)
    }

    /// Returns the number of servers for which there is room, if they are fewer than `servers`.
    pub fn room(&self, found: &str, servers: usize) -> Option<u64> {
        let room = found.trim().parse::<u64>().ok()?.checked_div(self.per_server?)?;
        (room < u64::try_from(servers).unwrap_or(u64::MAX)).then_some(room)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quota(sysctl: &str) -> Quota {
        *QUOTAS.iter().find(|quota| quota.sysctl == sysctl).expect("a quota")
    }

    #[test]
    fn asks_for_more_only_where_there_is_too_little() {
        for (sysctl, found, wanted) in [
            ("kernel.keys.maxkeys", "200\n", Some(20_000)),
            ("kernel.keys.maxkeys", "20000\n", None),
            ("kernel.keys.maxbytes", "", Some(2_000_000)),
            ("kernel.keys.maxbytes", "2000000", None),
            ("fs.inotify.max_user_instances", "128\n", Some(2_048)),
            ("fs.epoll.max_user_watches", "5491383\n", Some(0x7fff_ffff)),
            ("fs.epoll.max_user_watches", "2147483647\n", None),
            ("fs.pipe-user-pages-soft", "16384\n", Some(0)),
            ("fs.pipe-user-pages-soft", "0\n", None),
            ("fs.pipe-user-pages-soft", "", Some(0)),
            ("net.netfilter.nf_conntrack_max", "262144\n", Some(1_048_576)),
            ("net.netfilter.nf_conntrack_max", "4194304\n", None),
        ] {
            assert_eq!(quota(sysctl).wanted(found, 12), wanted, "{sysctl} {found}");
        }
        assert_eq!(quota("kernel.keys.maxkeys").wanted("20000", 30_000), Some(30_000));
        assert_eq!(quota("fs.inotify.max_user_instances").wanted("2048", 30_000), None);
    }

    #[test]
    fn tells_how_many_servers_there_is_room_for() {
        let keys = quota("kernel.keys.maxkeys");
        assert_eq!(keys.room("200\n", 200), None);
        assert_eq!(keys.room("200\n", 201), Some(200));
        assert_eq!(keys.room("no number", 9), None);
        assert_eq!(quota("fs.inotify.max_user_instances").room("128", 1_000), None);
        assert_eq!(quota("net.netfilter.nf_conntrack_max").room("1", 9), None);
    }

    #[test]
    fn the_least_has_room_for_the_subnet_of_the_default() {
        let plainest = berth_schema::Parsed::parse("platform.toml", "domain = \"h.org\"\n");
        let platform = berth_schema::State::assemble(&[plainest]).unwrap().platform;
        let servers = usize::try_from(platform.networks.capacity()).expect("a number");
        for quota in QUOTAS {
            assert_eq!(quota.least_for(servers), quota.least, "{}", quota.sysctl);
        }
    }

    #[test]
    fn the_file_of_a_setting_is_where_the_kernel_has_it() {
        assert_eq!(quota("kernel.keys.maxkeys").file(), Path::new("/proc/sys/kernel/keys/maxkeys"));
    }

    /// The least is what the defaults come to, in the subnet of the default.
    #[test]
    fn a_platform_of_defaults_can_t_fill_the_table() {
        let plainest = berth_schema::Parsed::parse("platform.toml", "domain = \"h.org\"\n");
        let platform = berth_schema::State::assemble(&[plainest]).unwrap().platform;
        let shares = u64::from(platform.networks.capacity()) * u64::from(platform.firewall.connections.get());
        assert!(shares < CONNECTIONS, "{shares}");
    }
}
